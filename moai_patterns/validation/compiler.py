"""Writes what is generated from the shapes: the files under `schemas/` and the module `compiled.py`.

`python -m moai_patterns.validation.compiler`, in the root of a checkout, writes both; a test compares them
with their source. The generated module has code for the keywords that the built-in kinds use; others are
refused here.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
from typing import Any

from moai_patterns.errors import SchemaError
from moai_patterns.records import BUILT_IN
from moai_patterns.validation import sound
from moai_patterns.validation.mirror import TIMESTAMP
from moai_patterns.validation.registry import BASE, CONTEXT, ENVELOPE, FIRST, find

Schema = dict[str, Any]

# Python's regular expressions would cost the capture process 10 ms of imports, so each one is translated.
_MATCHES = {"^[0-9a-fA-F]{7,64}$": "7 <= len({0}) <= 64 and not {0}.strip(_HEXADECIMAL)"}
_LACKS = {r"[/\\\x00-\x1f\x7f]|\.\.": "not _path_like({0})"}


def files() -> dict[str, str]:
    """Return every generated file by its path in the checkout."""
    kinds = {name: kind.schema for name in BUILT_IN if (kind := find(name)) is not None}
    schemas = {
        f"schemas/{schema['$id'].removeprefix(BASE)}": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for schema in (ENVELOPE, CONTEXT, *kinds.values())
    }
    return {**schemas, "moai_patterns/validation/compiled.py": module(ENVELOPE, CONTEXT, kinds)}


def module(envelope: Schema, context: Schema, kinds: dict[str, Schema]) -> str:
    """Return the source of a module with `valid(record)` for records of these kinds.

    Raises `SchemaError` for a keyword or regular expression that it has no code for.
    """
    made = _Module(context["$id"])
    # Which kinds there are the table of payloads decides.
    known = {key: part for key, part in envelope["properties"].items() if key != "pattern_type"}
    tables = {
        "_CONTEXT": made.table(context),
        "_ENVELOPE": made.table({**envelope, "properties": known}),
        **{f"_{name.upper()}": made.table(schema) for name, schema in kinds.items()},
    }
    payloads = "".join(f'    "{name}": _{name.upper()},\n' for name in kinds)
    copied = [sound.sound, sound._inside, sound.encodable, sound.exact, sound.plain]
    parts = [
        _HEAD.format(first=FIRST),
        *map(_source, copied),
        *(f"def {name}(item: Any) -> bool:\n    return {test}" for test, name in made.names.items()),
        "\n".join(f"{name}: _Table = {text}" for name, text in tables.items())
        + f"\n_PAYLOADS = {{\n{payloads}}}",
    ]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


def _source(function: Any) -> str:
    """Return a function's source with the first line of its docstring alone."""
    return re.sub(r'r?("""[^\n]+\.)\n\n.*?"""', r'\1"""', inspect.getsource(function), flags=re.DOTALL)


class _Module:
    """The functions of the generated module: one per distinct test of a field."""

    def __init__(self, context: str) -> None:
        self.context = context
        self.names: dict[str, str] = {}

    def table(self, schema: Schema) -> str:
        """Return what an object schema demands: the required keys, and the test of each field."""
        _refuse(schema.keys() - {"$schema", "$id", "title", "description", "type", "properties", "required"})
        required = "".join(f'"{key}", ' for key in schema.get("required", ()))
        rows = [f"    ({required.rstrip() if required.count(',') == 1 else required[:-2]}),\n", "    {\n"]
        for key, part in schema["properties"].items():
            test = self.test(part)
            if test != "True":
                rows.append(f'        "{key}": {self.names.setdefault(test, f"_test{len(self.names)}")},\n')
        return f"(\n{''.join(rows)}    }},\n)"

    def test(self, schema: Schema | bool, name: str = "item") -> str:
        """Return the expression that holds for a value of a schema."""
        if isinstance(schema, bool) or not schema:
            return str(schema is not False)
        if schema == {"$ref": self.context}:
            return f"_fits({name}, _CONTEXT)"
        if schema.keys() == {"enum"} and all(isinstance(choice, str) for choice in schema["enum"]):
            texts = ", ".join(json.dumps(choice) for choice in schema["enum"])
            return f"type({name}) is str and {name} in ({texts})"
        stated = schema.get("type", [])
        types = [stated] if isinstance(stated, str) else stated
        _refuse(schema.keys() - {"type", "description", *(key for each in types for key in _KEYWORDS[each])})
        return " or ".join(
            " and ".join([_TYPES[each].format(name), *self.limits(schema, each, name)]) for each in types
        )

    def limits(self, schema: Schema, kind: str, name: str) -> list[str]:
        """Return the expressions for the keywords that concern one type."""
        found = []
        for keyword in _KEYWORDS[kind]:
            wanted = schema.get(keyword)
            if keyword == "items" and wanted is not None:
                found.append(f"all({self.test(wanted, 'each')} for each in {name})")
            elif keyword == "not" and wanted is not None:
                found.append(_translated(_LACKS, wanted.get("pattern")).format(name))
            elif keyword == "pattern" and wanted is not None and not schema.get(TIMESTAMP):
                found.append(_translated(_MATCHES, wanted).format(name))
            elif keyword in _LIMITS and wanted is not None:
                found.append(_LIMITS[keyword].format(name, wanted))
        return found


def _refuse(unknown: set[str]) -> None:
    if unknown:
        raise SchemaError(f"no code is generated for {', '.join(sorted(unknown))}")


def _translated(table: dict[str, str], regex: Any) -> str:
    if regex not in table:
        raise SchemaError(f"no code is generated for the regular expression {regex!r}; give it a translation")
    return table[regex]


_TYPES = {
    "string": "type({0}) is str",
    "integer": "_integer({0})",
    "number": "(type({0}) is int or type({0}) is float)",
    "boolean": "type({0}) is bool",
    "null": "{0} is None",
    "array": "type({0}) is list",
    "object": "type({0}) is dict",
}
_KEYWORDS: dict[str, tuple[str, ...]] = {
    "string": ("minLength", "maxLength", "pattern", "not", TIMESTAMP),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "array": ("items",),
    "boolean": (),
    "null": (),
    "object": (),
}
_LIMITS = {
    "minimum": "{0} >= {1}",
    "maximum": "{0} <= {1}",
    "minLength": "len({0}) >= {1}",
    "maxLength": "len({0}) <= {1}",
    TIMESTAMP: "_timestamp({0})",
}
_HEAD = '''"""Whether a value is a record of a built-in kind. Generated: `make schemas`.

For the capture process, which lives for one record: the engines of `verdict` and `explain` would cost it 22
and 105 ms of imports. This module imports nothing, but for a timestamp of a rare form.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    _Table = tuple[tuple[str, ...], dict[str, Callable[[Any], bool]]]

_CONTROLS = frozenset(map(chr, (*range(32), 127)))
_HEXADECIMAL = "0123456789abcdefABCDEF"


def valid(record: Any) -> bool:
    """Tell whether a value is a valid record of a built-in kind, version {first}."""
    grade = sound((record,))
    if grade == 1:
        record = plain(record)
    if not grade or not _fits(record, _ENVELOPE) or record.get("version", "{first}") != "{first}":
        return False
    kind = record["pattern_type"]
    return type(kind) is str and kind in _PAYLOADS and _fits(record["data"], _PAYLOADS[kind])


def _fits(value: Any, table: _Table) -> bool:
    """Tell whether a plain value is an object with the required keys, whose fields pass their tests."""
    required, tests = table
    if type(value) is not dict:
        return False
    for key in required:
        if key not in value:
            return False
    for key, item in value.items():
        if key in tests and not tests[key](item):
            return False
    return True


def _integer(item: Any) -> bool:
    if type(item) is float:
        return item.is_integer() and -9223372036854775808.0 <= item < 9223372036854775808.0
    return type(item) is int


def _path_like(text: str) -> bool:
    if "/" in text or "\\\\" in text or ".." in text:
        return True
    return not (text.isprintable() or _CONTROLS.isdisjoint(text))


def _timestamp(text: str) -> bool:
    if len(text) == 27 and text[4:20:3] == "--T::." and text[26] == "Z":  # as this package writes its own
        digits = text[:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16] + text[17:19] + text[20:26]
        month, day = text[5:7], text[8:10]
        if (
            digits.isascii()
            and digits.isdigit()
            and "0001" < text[:4] < "9999"
            and "01" <= month <= "12"
            and ("01" <= day <= "28" or (day in ("29", "30") and month != "02"))
            and text[11:13] < "24"
            and text[14:16] < "60"
            and text[17:19] < "60"
        ):
            return True
    from moai_patterns.instant import instant

    try:
        instant(text)
    except ValueError:
        return False
    return True
'''


def main(root: str = ".") -> None:
    """Write every generated file below a directory."""
    for name, text in files().items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""JSON Schema 2020-12 as this package runs it: bounded regular expressions, nothing fetched, real dates.

`format` is an annotation. The one keyword of our own, `x-timestamp: true`, holds for what `instant()` reads.
An integral float is an `integer` like the integer it equals, so beyond signed 64 bit neither is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import jsonschema_rs

from moai_patterns.errors import SchemaError
from moai_patterns.instant import instant
from moai_patterns.validation.faults import json_path
from moai_patterns.validation.mirror import TIMESTAMP

Schema = dict[str, Any]
Validator = jsonschema_rs.Validator
Known = jsonschema_rs.Registry

# An automaton instead of backtracking, so time grows with the length of the text alone. 1 MiB, because at
# the library's 10 MiB one expression took 250 ms over 100,000 characters; at 1 MiB the worst took 8 ms.
_LINEAR = jsonschema_rs.RegexOptions(size_limit=1 << 20)


_DAY = r"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
_TIME = r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?"
_ZONE = r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_YEAR = r"(?:000[2-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])"
# The part of the grammar that a regular expression can decide: days that every year has, years that no
# offset leads out of, and without a zone those in which every system knows its local time.
_SURE = f"^(?:{_YEAR}-{_DAY}{_TIME}{_ZONE}|(?:19[89]|20[012])[0-9]-{_DAY}(?:{_TIME})?)$"
_sure = re.compile(_SURE).fullmatch


def is_timestamp(text: str) -> bool:
    """Tell whether `instant` reads a text; the frequent forms at a third of its time.

    >>> is_timestamp("2025-11-29T10:00:00Z"), is_timestamp("2025-11-31T10:00:00Z")
    (True, False)
    """
    if _sure(text):
        return True
    try:
        instant(text)
    except ValueError:
        return False
    return True


def sure_timestamps(schema: Any) -> Any:
    """Return a schema whose timestamps a regular expression decides alone: it accepts less, at half the time.

    Only for schemas without `not`, `oneOf` and `if` around timestamps: there, less inside is more outside.
    """
    if isinstance(schema, dict):
        if schema.get(TIMESTAMP) is True:
            return {"type": schema["type"], "pattern": _SURE}
        return {key: sure_timestamps(value) for key, value in schema.items()}
    return [sure_timestamps(value) for value in schema] if isinstance(schema, list) else schema


class _TimestampKeyword:
    def __init__(self, parent_schema: Schema, value: Any, schema_path: list[str | int]) -> None:
        if value is not True and value is not False:
            raise ValueError(f"{TIMESTAMP} is true or false")
        self._wanted = value

    def validate(self, instance: Any) -> None:
        if self._wanted and isinstance(instance, str) and not is_timestamp(instance):
            raise ValueError("no timestamp")


# As floats, because the engine takes an integral float for less than the integer that it equals.
_IN_64_BIT = {"minimum": -(2.0**63), "exclusiveMaximum": 2.0**63}
_KEYS_ARE_NAMES = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
_VALUES = ("enum", "const", "default", "examples")


def is_integer(value: Any) -> bool:
    """Tell whether a plain value is of the type `integer`: integral, and within signed 64 bit.

    >>> is_integer(5.0), is_integer(True), is_integer(2.0**63), is_integer(1e300)
    (True, False, False, False)
    """
    kind = type(value)
    return kind is int or (kind is float and value.is_integer() and -(2.0**63) <= value < 2.0**63)


def _bounded(schema: Any, names: bool = False) -> Any:
    """Return a schema whose integers are those of `is_integer`; the engine has floats of any size."""
    if isinstance(schema, list):
        return [_bounded(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: value if key in _VALUES and not names else _bounded(value, key in _KEYS_ARE_NAMES and not names)
        for key, value in schema.items()
    }
    stated = schema.get("type")
    types = [stated] if isinstance(stated, str) else stated
    if isinstance(types, list) and "integer" in types and "number" not in types:
        made["allOf"] = [*made.get("allOf", ()), _IN_64_BIT]
    return made


def resources(schemas: Mapping[str, Schema]) -> Known:
    """Return what `$ref` may reach besides the schema itself: schemas by their `$id`."""
    bounded = [(uri, _bounded(schema)) for uri, schema in schemas.items()]
    return jsonschema_rs.Registry(bounded, draft=jsonschema_rs.Draft202012)


def compiled(schema: Schema, known: Known | None = None) -> Validator:
    """Compile a schema. Raises `SchemaError` for one that this dialect cannot run."""
    with _refusals():
        return jsonschema_rs.Draft202012Validator(
            _bounded(schema),
            registry=known,
            offline=True,
            validate_formats=False,
            pattern_options=_LINEAR,
            keywords={TIMESTAMP: _TimestampKeyword},
        )


def check_schema(schema: Schema) -> None:
    """Raise `SchemaError` unless a schema is one by the metaschema of JSON Schema 2020-12."""
    with _refusals():
        jsonschema_rs.meta.validate(schema)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except jsonschema_rs.ValidationError as error:
        place = json_path(tuple(error.instance_path))
        raise SchemaError(f"the schema cannot be used at {place}: {_reason(error.message)}") from None


def _reason(message: str) -> str:
    if message.endswith('is not a "regex"'):
        return (
            "the regular expression is wrong, or cannot be run in bounded time and space: look-around, "
            "back-references and large counted repeats are not supported"
        )
    return message if len(message) <= 200 else f"{message[:200]}..."


def holds(keyword: str, value: Any) -> Callable[[Any], bool]:
    """Return the test that one keyword makes of a value.

    The other engines ask here where their own reading differs or can hang: regular expressions, multiples
    of fractions, uniqueness.

    >>> holds("multipleOf", 0.01)(19.99), holds("pattern", "^(a+)+$")("a" * 50_000 + "b")
    (True, False)
    """
    return _holds(keyword, json.dumps(value))


@lru_cache(maxsize=1024)
def _holds(keyword: str, value: str) -> Callable[[Any], bool]:
    return compiled({keyword: json.loads(value)}).is_valid

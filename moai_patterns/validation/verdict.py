"""The one verdict, fast: is this a record, and what is its plain copy? `explain` says why not.

Four engines know the schemas: `jsonschema-rs` here, `jsonschema` in `explain`, the generated code of
`compiled`, and `typeguard` in `typed`. They agree; where a record is refused or accepted, this one decided.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import orjson

from moai_patterns.validation import dialect
from moai_patterns.validation.faults import json_path
from moai_patterns.validation.registry import CONTEXT, FIRST, Kind, find
from moai_patterns.validation.sound import plain, sound

# Written and read again, a record equals itself only if JSON can hold it: tuples, UUIDs, NaN come back as
# something else, the rest fails. Integers of more than 53 bits fail too and are left to the walk. Costs a
# third of the walk, and the second half of it is the copy that is needed anyway.
_STRICT = (
    orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)

_NAMING = ("properties", "patternProperties", "additionalProperties", "unevaluatedProperties")


def admitted(record: Any) -> dict[str, Any] | None:
    """Return the plain copy of a valid record, or None for any other value.

    >>> admitted({"pattern_id": "a", "pattern_type": "hook_event", "timestamp": "2025-11-29T10:00Z"})
    """
    copy: dict[str, Any] = snapshot(record)
    kind = kind_of(copy)
    if kind is not None and (kind.quick.is_valid(copy) or kind.record.is_valid(copy)):
        return copy
    return None


def snapshot(value: Any) -> Any:
    """Return a plain copy of a value that JSON can hold, or None."""
    copy, faithful = None, False
    try:
        written = orjson.dumps(value, option=_STRICT)
        copy = orjson.loads(written)
        # With fewer brackets than levels there is no need to look how deep they nest.
        faithful = copy == value and written.count(b"{") + written.count(b"[") <= 100
    except Exception:  # noqa: BLE001 - a foreign value raises what it likes when compared; the walk decides
        faithful = False
    if faithful:
        return copy
    return plain(value) if sound((value,)) else None


def kind_of(record: Any) -> Kind | None:
    """Return the registered kind and version that a plain record states, or None."""
    try:
        return find(record["pattern_type"], record.get("version", FIRST))
    except (KeyError, TypeError):  # no object, no such key, or a list in its place
        return None


def valid_payload(name: str, data: Any) -> bool:
    """Tell whether a value is valid `data` of the first version of a kind."""
    kind = find(name)
    return kind is not None and _holds(kind.payload, data)


def valid_context(context: Any) -> bool:
    """Tell whether a value is a valid `context`."""
    return _holds(_context(), context)


@cache
def _context() -> dialect.Validator:
    return dialect.compiled(CONTEXT)


def _holds(validator: dialect.Validator, value: Any) -> bool:
    grade = sound((value,), 99)  # a record around it takes one level
    return grade > 0 and validator.is_valid(value if grade == 2 else plain(value))


def unnamed_keys(record: dict[str, Any]) -> list[str]:
    """Return the JSON paths of the keys of an admitted record that its schemas do not name."""
    kind = cast("Kind", kind_of(record))  # it has one, or it would not have been admitted
    named: dict[str, set[str]] = {}
    declared: dict[str, None] = {}
    for note in kind.record.evaluate(record).annotations():
        place, keyword = note["instanceLocation"], note["schemaLocation"].rpartition("/")[2]
        if keyword in _NAMING and isinstance(note["annotations"], list):
            named.setdefault(place, set()).update(map(str, note["annotations"]))
            if keyword == "properties":
                declared[place] = None
    found = []
    for place in declared:
        steps, value = _reached(record, place)
        found += [json_path((*steps, key)) for key in value if key not in named[place]]
    return sorted(found)


def _reached(record: Any, pointer: str) -> tuple[tuple[str | int, ...], Any]:
    """Follow a JSON pointer; return its steps and what it leads to."""
    steps: list[str | int] = []
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        steps.append(int(name) if isinstance(record, list) else name)
        record = record[steps[-1]]
    return tuple(steps), record

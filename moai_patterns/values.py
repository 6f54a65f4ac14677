"""JSON values as questions see them: found by a path, compared, written short."""

from __future__ import annotations

from collections.abc import Mapping
from reprlib import Repr
from typing import Any

from moai_patterns.errors import QueryError

DEEPEST = 100  # levels of lists and objects, as in any record; and of conditions
_SHOWN = 80
_BOUNDED = Repr()
_BOUNDED.maxlevel = 8
_BOUNDED.maxlist = _BOUNDED.maxtuple = _BOUNDED.maxdict = _BOUNDED.maxset = _BOUNDED.maxfrozenset = 20
_BOUNDED.maxstring = _BOUNDED.maxlong = _BOUNDED.maxother = 2 * _SHOWN
MISSING = object()


def reach(record: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Return the value at `path`, or `MISSING`."""
    found: Any = record
    for step in path:
        if isinstance(found, dict):
            found = found.get(step, MISSING)
        elif isinstance(found, list) and step.isdecimal() and step.isascii():
            found = found[int(step)] if len(step) < 19 and int(step) < len(found) else MISSING
        else:
            return MISSING
        if found is MISSING:
            return MISSING
    return found


def same(left: Any, right: Any) -> bool:
    """Tell whether two JSON values are equal; a bool never equals a number, at any depth."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def comparable(left: Any, right: Any) -> bool:
    """Tell whether two JSON values have an order: two numbers, or two texts."""
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    if isinstance(left, str):
        return isinstance(right, str)
    return isinstance(left, (int, float)) and isinstance(right, (int, float))


def literal(value: object, room: int = DEEPEST) -> Any:
    """Return `value` if JSON has it, checked to the last element; otherwise raise `QueryError`.

    Like a record's, its lists and objects nest at most `room` levels deep.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return int(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float) and value - value == 0:
        return value
    if isinstance(value, (list, tuple, Mapping)) and not room:
        raise QueryError(f"a value to compare with nests at most {DEEPEST} levels deep, as in any record")
    if isinstance(value, (list, tuple)):
        return [literal(item, room - 1) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {text(key): literal(item, room - 1) for key, item in value.items()}
    raise QueryError(f"{shortened(value)} is no JSON value to compare with")


def hashable(value: Any) -> Any:
    """Return what is equal for equal JSON values alone."""
    if isinstance(value, (list, tuple)):
        return ("array", *map(hashable, value))
    if isinstance(value, dict):
        return ("object", frozenset((key, hashable(item)) for key, item in value.items()))
    return (type(value), value) if isinstance(value, bool) else value


def shortened(value: object) -> str:
    """Return how a value is written, for an error's sentence: not more of it than a line."""
    if isinstance(value, str):  # what may be cut has no bounds
        value = str.__str__(value[: _SHOWN + 1])
    try:
        written = _BOUNDED.repr(value)
    except Exception:  # noqa: BLE001  numbers of more than 4,300 digits, and objects of any sort
        written = f"a value of the type {type(value).__name__}"
    return written if len(written) <= _SHOWN else f"{written[:_SHOWN]}..."


def text(value: str) -> str:
    """Return plain text (an enum member as its value); raise `QueryError` for a lone surrogate."""
    meant = getattr(value, "value", value)
    plain = str.__str__(meant if isinstance(meant, str) else value)
    try:
        plain.encode()
    except UnicodeEncodeError as error:
        raise QueryError(
            f"{shortened(plain)} holds a lone surrogate at {error.start}; no record can"
        ) from None
    return plain

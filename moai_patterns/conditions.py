"""Conditions on any path of a record: `field("data.duration_ms") >= 3`.

One definition for every backend:

- A path names members of objects, and elements of arrays by their number.
- `==` and `!=` compare JSON values: numbers by value, `True` never equals `1`, `None` only `None`.
- `<`, `<=`, `>`, `>=` hold between two numbers or two texts (by code point), otherwise they fail.
- On a path that the record lacks every comparison fails, `!=` too; `~` turns an outcome round.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as slot
from reprlib import Repr
from typing import Any, Literal

from moai_patterns.errors import QueryError

Relation = Literal["==", "!=", "<", "<=", ">", ">=", "in", "exists"]
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ROOTS = ("data", "context")
_DEEPEST = 100
_SHOWN = 80
_BOUNDED = Repr()
_BOUNDED.maxlevel = 8
_BOUNDED.maxlist = _BOUNDED.maxtuple = _BOUNDED.maxdict = _BOUNDED.maxset = _BOUNDED.maxfrozenset = 20
_BOUNDED.maxstring = _BOUNDED.maxlong = _BOUNDED.maxother = 2 * _SHOWN
MISSING = object()


class Condition(ABC):
    """A test of one record. Combine with `&`, `|` and `~`; they may nest 100 levels deep."""

    levels: int = 1

    @abstractmethod
    def matches(self, record: Mapping[str, Any]) -> bool:
        """Tell whether the record passes."""

    def __and__(self, other: Condition) -> Condition:
        return Every((*_parts(Every, self), *_parts(Every, condition(other))))

    def __or__(self, other: Condition) -> Condition:
        return Either((*_parts(Either, self), *_parts(Either, condition(other))))

    def __invert__(self) -> Condition:
        return Not(self)

    def __bool__(self) -> bool:
        raise QueryError("a condition has no truth value of its own; combine conditions with & | ~")


def _parts(joined: type[Every | Either], part: Condition) -> tuple[Condition, ...]:
    return part.parts if type(part) is joined else (part,)


@dataclass(frozen=True, slots=True, eq=False)
class Compare(Condition):
    """The value at `path` stands in `relation` to `value`."""

    path: tuple[str, ...]
    relation: Relation
    value: Any = None

    def __eq__(self, other: object) -> bool:
        """Tell whether the other asks the same, where a bool never equals a number."""
        return isinstance(other, Compare) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (self.path, self.relation, _hashable(self.value))

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Tell whether the record passes."""
        found = reach(record, self.path)
        if self.relation == "exists":
            return found is not MISSING
        if found is MISSING:
            return False
        if self.relation == "in":
            return any(same(found, value) for value in self.value)
        if self.relation in _ORDER:
            return comparable(found, self.value) and _ORDER[self.relation](found, self.value)
        return same(found, self.value) == (self.relation == "==")


@dataclass(frozen=True, slots=True)
class Every(Condition):
    """All parts pass."""

    parts: tuple[Condition, ...]
    levels: int = slot(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", _levels(self.parts))

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Tell whether the record passes."""
        return all(part.matches(record) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Either(Condition):
    """At least one part passes."""

    parts: tuple[Condition, ...]
    levels: int = slot(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", _levels(self.parts))

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Tell whether the record passes."""
        return any(part.matches(record) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """The part fails."""

    part: Condition
    levels: int = slot(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", _levels((self.part,)))

    def __invert__(self) -> Condition:
        return self.part

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Tell whether the record passes."""
        return not self.part.matches(record)


def _levels(parts: Iterable[Condition]) -> int:
    levels = 1 + max((part.levels for part in parts), default=0)
    if levels > _DEEPEST:
        raise QueryError(f"the conditions nest more than {_DEEPEST} levels deep; join them side by side")
    return levels


class field:  # noqa: N801  reads as a word of the query, like a function
    """A path into `data` or `context`, to be compared with a JSON value.

    `path` is dotted; further arguments are single steps that may contain dots themselves.
    Raises `QueryError` for an empty step, another root, or a value that JSON does not have.

    >>> record = {"data": {"duration_ms": 7, "tools": ["Bash"]}, "context": {}}
    >>> (field("data.duration_ms") >= 3).matches(record)
    True
    >>> (field("data.tools.0").in_(["Read", "Bash"]) & ~field("context.git_branch").exists()).matches(record)
    True
    """

    __slots__ = ("path",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, path: str, *steps: str) -> None:
        if not isinstance(path, str) or not all(isinstance(step, str) for step in steps):
            raise QueryError(f"a path is made of text, not {shortened(path)} {shortened(steps)}")
        self.path = tuple(map(text, (*path.split("."), *steps)))
        if "" in self.path or self.path[0] not in _ROOTS:
            raise QueryError(
                f"the path {shortened(path)} must begin with data or context and have no empty step"
            )

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        return Compare(self.path, "==", literal(value))

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return Compare(self.path, "!=", literal(value))

    def __lt__(self, value: float | str) -> Condition:
        return Compare(self.path, "<", _ordered(value))

    def __le__(self, value: float | str) -> Condition:
        return Compare(self.path, "<=", _ordered(value))

    def __gt__(self, value: float | str) -> Condition:
        return Compare(self.path, ">", _ordered(value))

    def __ge__(self, value: float | str) -> Condition:
        return Compare(self.path, ">=", _ordered(value))

    def in_(self, values: Iterable[Any]) -> Condition:
        """The value equals one of these."""
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise QueryError(f"in_ takes a list of values, not {shortened(values)}")
        return Compare(self.path, "in", tuple(literal(value) for value in values))

    def exists(self) -> Condition:
        """The path is there, whatever its value; null counts."""
        return Compare(self.path, "exists")

    def is_null(self) -> Condition:
        """The path is there and null."""
        return Compare(self.path, "==", None)


def condition(where: object) -> Condition:
    """Return `where` as a condition: itself, or a mapping of dotted paths to the values they equal.

    Raises `QueryError` for anything else.
    """
    if isinstance(where, Condition):
        return where
    if isinstance(where, Mapping):
        return Every(tuple(field(path) == value for path, value in where.items()))
    raise QueryError(f"where takes a condition or a mapping of paths to values, not {type(where).__name__}")


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


def literal(value: object, room: int = _DEEPEST) -> Any:
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
        raise QueryError(f"a value to compare with nests at most {_DEEPEST} levels deep, as in any record")
    if isinstance(value, (list, tuple)):
        return [literal(item, room - 1) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {text(key): literal(item, room - 1) for key, item in value.items()}
    raise QueryError(f"{shortened(value)} is no JSON value to compare with")


def _hashable(value: Any) -> Any:
    """Return what is equal for equal JSON values alone."""
    if isinstance(value, (list, tuple)):
        return ("array", *map(_hashable, value))
    if isinstance(value, dict):
        return ("object", frozenset((key, _hashable(item)) for key, item in value.items()))
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


def _ordered(value: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise QueryError(f"only numbers and texts have an order, not {shortened(value)}")
    return literal(value)

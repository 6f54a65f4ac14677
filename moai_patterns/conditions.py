"""Conditions on any path of a record: `field("data.duration_ms") >= 3`.

One definition for every backend:

- A path names members of objects, and elements of arrays by their number. It begins with `data` or `context`,
  or is one of `pattern_id`, `pattern_type`, `version` and `timestamp`.
- `==` and `!=` compare JSON values: numbers by value, `True` never equals `1`, `None` only `None`.
- `<`, `<=`, `>`, `>=` hold between two numbers or two texts (by code point), otherwise they fail.
- `contains` holds for a text inside a text, and for a value among the elements of an array.
- `startswith` and `matches` hold for texts alone.
- `timestamp` compares instants, by whatever zone they are written in; a date alone is the whole local day.
- On a path that the record lacks every comparison fails, `!=` too; `~` turns an outcome round.
"""

from __future__ import annotations

import json
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as slot
from datetime import date
from functools import lru_cache
from typing import Any, Literal

from moai_patterns.errors import QueryError, SchemaError
from moai_patterns.instant import FIRST, LAST, isoformat
from moai_patterns.moments import bound, moment_of
from moai_patterns.values import DEEPEST, MISSING, comparable, hashable, literal, reach, same, shortened, text

Relation = Literal["==", "!=", "<", "<=", ">", ">=", "in", "exists", "contains", "startswith", "matches"]
_ROOTS = ("data", "context")
_TEXTS = ("pattern_id", "pattern_type", "version")
_TIME = ("timestamp",)
# What the text form takes for a step as it is.
_PLAIN = re.compile(r"[\w$@/-]+")


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
        return (self.path, self.relation, hashable(self.value))

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Tell whether the record passes."""
        found = reach(record, self.path)
        return found is not MISSING and _TESTS[self.relation](found, self.value)

    def __str__(self) -> str:
        """Return it as `parse_condition` reads it."""
        path = spelled(self.path)
        if self.relation == "exists":
            return f"{path} exists"
        values = list(self.value) if self.relation == "in" else self.value
        return f"{path} {self.relation} {json.dumps(values, ensure_ascii=False)}"


def _ordered(relation: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda found, value: comparable(found, value) and relation(found, value)


def _contains(found: Any, value: Any) -> bool:
    if isinstance(found, str):
        return isinstance(value, str) and value in found
    return isinstance(found, list) and any(same(item, value) for item in found)


@lru_cache(maxsize=256)
def _search(pattern: str) -> Callable[[Any], bool]:
    from moai_patterns.validation.dialect import holds

    return holds("pattern", pattern)


_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": same,
    "!=": lambda found, value: not same(found, value),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "in": lambda found, value: any(same(found, each) for each in value),
    "exists": lambda found, value: True,
    "contains": _contains,
    "startswith": lambda found, value: isinstance(found, str) and found.startswith(value),
    "matches": lambda found, value: isinstance(found, str) and _search(value)(found),
}


@dataclass(frozen=True, slots=True)
class Between(Condition):
    """The record's instant lies between two, in UTC microseconds; both count, and None is no bound."""

    low: int | None
    high: int | None

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Tell whether the record passes; one that was never stored goes by its timestamp."""
        moment = moment_of(record)
        return not (
            (self.low is not None and moment < self.low) or (self.high is not None and moment > self.high)
        )

    def __str__(self) -> str:
        """Return it as `parse_condition` reads it."""
        parts = []
        if self.low is not None:
            # What nothing can come after has no text of its own.
            parts.append(f">= {_stamp(self.low)}" if self.low <= LAST else f"> {_stamp(LAST)}")
        if self.high is not None:
            parts.append(f"<= {_stamp(self.high)}" if self.high >= FIRST else f"< {_stamp(FIRST)}")
        return f"({' and '.join(f'timestamp {part}' for part in parts)})"


def _stamp(moment: int) -> str:
    return f'"{isoformat(moment)}"'


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

    def __str__(self) -> str:
        """Return it as `parse_condition` reads it."""
        return _joined(" and ", self.parts) or "true"


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

    def __str__(self) -> str:
        """Return it as `parse_condition` reads it."""
        return _joined(" or ", self.parts) or "false"


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

    def __str__(self) -> str:
        """Return it as `parse_condition` reads it."""
        return f"not ({self.part})"


def _joined(word: str, parts: Iterable[Condition]) -> str:
    return word.join(f"({part})" if isinstance(part, (Every, Either)) else str(part) for part in parts)


def _levels(parts: Iterable[Condition]) -> int:
    levels = 1 + max((part.levels for part in parts), default=0)
    if levels > DEEPEST:
        raise QueryError(f"the conditions nest more than {DEEPEST} levels deep; join them side by side")
    return levels


class field:  # noqa: N801  reads as a word of the query, like a function
    """A path into a record, to be compared with a JSON value.

    `path` is dotted, and begins with `data` or `context`, or is one of `pattern_id`, `pattern_type`,
    `version` and `timestamp`; further arguments are single steps that may contain dots themselves. What
    `timestamp` is compared with is a time, as for `start_date`.
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
        if "" in self.path:
            raise QueryError(f"the path {shortened(path)} has an empty step")
        if self.path[0] in (*_TEXTS, *_TIME):
            if len(self.path) > 1:
                raise QueryError(f"{self.path[0]} is a text; the path {shortened(path)} leads nowhere in it")
        elif self.path[0] not in _ROOTS:
            known = ", ".join((*_ROOTS, *_TEXTS))
            raise QueryError(f"the path {shortened(path)} begins with none of {known} and {_TIME[0]}")

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        return self._compared("==", literal, value)

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return self._compared("!=", literal, value)

    def __lt__(self, value: object) -> Condition:
        return self._compared("<", _with_order, value)

    def __le__(self, value: object) -> Condition:
        return self._compared("<=", _with_order, value)

    def __gt__(self, value: object) -> Condition:
        return self._compared(">", _with_order, value)

    def __ge__(self, value: object) -> Condition:
        return self._compared(">=", _with_order, value)

    def _compared(self, relation: Relation, checked: Callable[[object], Any], value: object) -> Condition:
        if self.path == _TIME:
            return _timed(relation, value)
        return Compare(self.path, relation, checked(value))

    def in_(self, values: Iterable[Any]) -> Condition:
        """The value equals one of these."""
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise QueryError(f"in_ takes a list of values, not {shortened(values)}")
        if self.path == _TIME:
            return Either(tuple(_timed("==", value) for value in values))
        return Compare(self.path, "in", tuple(literal(value) for value in values))

    def contains(self, value: object) -> Condition:
        """The value is a text with this text in it, or an array with an element that equals this.

        >>> record = {"data": {"command": "make test", "tools": ["Read", "Bash"]}}
        >>> (field("data.command").contains("test") & field("data.tools").contains("Bash")).matches(record)
        True
        """
        return Compare(self._not_the_time("contains"), "contains", literal(value))

    def startswith(self, value: str) -> Condition:
        """The value is a text that begins so."""
        return Compare(self._not_the_time("startswith"), "startswith", _text("startswith", value))

    def matches(self, pattern: str) -> Condition:
        r"""The value is a text in which this regular expression is found.

        It runs in time that grows with the text alone, so there are no back-references and no look-around.
        The syntax is ECMA 262's, as in JSON Schema's `pattern`; `(?i)` at its beginning ignores case.
        Raises `QueryError` for another expression.

        >>> field("data.command").matches(r"^make\b").matches({"data": {"command": "make test"}})
        True
        """
        path, wanted = self._not_the_time("matches"), _text("matches", pattern)
        try:
            _search(wanted)
        except SchemaError as error:
            reason = str(error).partition("$.pattern: ")[2] or str(error)
            raise QueryError(f"{shortened(wanted)} cannot be matched: {reason}") from None
        return Compare(path, "matches", wanted)

    def exists(self) -> Condition:
        """The path is there, whatever its value; null counts."""
        return Compare(self.path, "exists")

    def is_null(self) -> Condition:
        """The path is there and null."""
        return self == None  # noqa: E711  the operator makes a condition

    def _not_the_time(self, relation: str) -> tuple[str, ...]:
        if self.path == _TIME:
            raise QueryError(
                f"{relation} asks of texts, and a timestamp is a time: compare it with < <= > >="
            )
        return self.path


def _timed(relation: Relation, value: object) -> Condition:
    """Compare instants; a date alone is the whole day from its first to its last microsecond."""
    if not isinstance(value, (str, date)):
        raise QueryError(f"timestamp is compared with a timestamp, date or datetime, not {shortened(value)}")
    first, last = bound("timestamp", value), bound("timestamp", value, end=True)
    if relation == "!=":
        return Not(Between(first, last))
    low = {"==": first, ">=": first, ">": last + 1}.get(relation)
    high = {"==": last, "<=": last, "<": first - 1}.get(relation)
    return Between(low, high)


def spelled(path: Iterable[str]) -> str:
    """Return a path as the text form of a condition has it: a step that is no plain word in quotes.

    >>> spelled(("data", "a.b", "0"))
    'data."a.b".0'
    """
    return ".".join(step if _PLAIN.fullmatch(step) else json.dumps(step, ensure_ascii=False) for step in path)


def condition(where: object) -> Condition:
    """Return `where` as a condition: itself, or a mapping of dotted paths to the values they equal.

    Raises `QueryError` for anything else.
    """
    if isinstance(where, Condition):
        return where
    if isinstance(where, Mapping):
        return Every(tuple(field(path) == value for path, value in where.items()))
    hint = "; parse_condition() reads a text" if isinstance(where, str) else ""
    kind = type(where).__name__
    raise QueryError(f"where takes a condition or a mapping of paths to values, not {kind}{hint}")


def _with_order(value: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise QueryError(f"only numbers and texts have an order, not {shortened(value)}")
    return literal(value)


def _text(relation: str, value: object) -> str:
    if not isinstance(value, str):
        raise QueryError(f"{relation} takes a text, not {shortened(value)}")
    return text(value)

"""What stands in a refusal: place, broken rule and sentence; and how values are named in one.

`faults` finds what JSON cannot hold, with its places; `sound` answers the same question without them.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from moai_patterns.validation.sound import encodable, exact

LEVELS = 100
_SHOWN = 40
_DEEP = 20  # so many containers beyond the last level are listed; a web of them would never end
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch
_TYPE_NAME = type.__dict__["__name__"].__get__  # a metaclass may override the attribute
_INSTEAD = {
    "tuple": "; use a list",
    "set": "; use a list",
    "frozenset": "; use a list",
    "datetime": "; use its isoformat()",
    "date": "; use its isoformat()",
    "bytes": "; decode it to text",
    "UUID": "; use str() of it",
    "Decimal": "; use float() or str() of it",
}

Path = tuple[str | int, ...]


class Violation(NamedTuple):
    """One broken rule of a record.

    `path` is a JSON path such as `$.data.tags[2]`; `rule` a keyword of JSON Schema (`required`, `type`,
    `minimum`, ...) or one of `finite`, `integer-range`, `surrogate`, `key`, `depth`, `timestamp`, `kind`,
    `version`, `schema`; `sentence` says what was wrong.
    """

    path: str
    rule: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}: {self.sentence} ({self.rule})"


class Fault(NamedTuple):
    """A violation with its place in steps: names and positions."""

    place: Path
    rule: str
    sentence: str

    def violation(self) -> Violation:
        """Return it with its place as text."""
        return Violation(json_path(self.place), self.rule, self.sentence)


def json_path(place: Path) -> str:
    r"""Write the way to a value; names that are no identifiers in brackets, cut when very long.

    >>> json_path(("data", "tags", 2, "it's"))
    "$.data.tags[2]['it\\'s']"
    """
    return "$" + "".join(map(_step, place))


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if len(step) <= 2 * _SHOWN and _NAME(step) else f"[{quote(step, 2 * _SHOWN)}]"


def quote(text: str, length: int = _SHOWN) -> str:
    r"""Return a text in quotation marks, on one line and of bounded length.

    >>> print(quote("it's\n"))
    'it\'s\n'
    """
    shown = "".join(map(_escaped, text[:length]))
    return f"'{shown}'" if len(text) <= length else f"'{shown}...'"


def _escaped(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def describe(value: Any) -> str:
    """Name a value by its type, with a look at it when it is a scalar.

    >>> describe("minor"), describe(2.5), describe([1, 2]), describe(b"")
    ("the text 'minor'", 'the number 2.5', 'an array of 2 items', 'a value of the type bytes')
    """
    value = exact(value)
    kind = type(value)
    if value is None or kind is bool:
        return {None: "null", True: "the boolean true", False: "the boolean false"}[value]
    if kind is str:
        more = f" of {len(value)} characters" if len(value) > _SHOWN else ""
        return f"the text {quote(value)}{more}"
    if kind is int:
        bits = value.bit_length()
        return f"the integer {value}" if bits <= 64 else f"an integer of {bits} bits"
    if kind is float:
        return f"the number {value}"
    if kind is list:
        return f"an array of {len(value)} item{'s' * (len(value) != 1)}"
    if issubclass(kind, dict):
        many = dict.__len__(value)
        return f"an object of {many} key{'s' * (many != 1)}"
    return f"a value of the type {quote(_TYPE_NAME(kind))[1:-1]}"


def faults(value: Any) -> tuple[Any, list[Fault]]:
    """Return a plain copy of a value, and what JSON cannot hold in it.

    In the copy null stands for each faulty value, and faulty keys are left out.

    >>> faults({"a": float("inf"), "b": (1,)})[1][0].sentence
    'the number inf is not finite'
    """
    walk = _Walk()
    try:
        return walk.copy(value, (), LEVELS), walk.found
    except _EnoughError:
        return None, walk.found


class _EnoughError(Exception):
    pass


class _Walk:
    def __init__(self) -> None:
        self.found: list[Fault] = []
        self.deep = 0
        self.open: set[int] = set()

    def copy(self, value: Any, place: Path, room: int) -> Any:
        base = exact(value)
        kind = type(base)
        if base is None or kind is bool:
            return base
        if kind is str:
            return (
                base
                if encodable(base)
                else self.add(place, "surrogate", f"{describe(base)} holds a lone surrogate")
            )
        if kind is int:
            if -(2**63) <= base < 2**63:
                return base
            return self.add(place, "integer-range", f"{describe(base)} does not fit into signed 64 bit")
        if kind is float:
            return base if base - base == 0 else self.add(place, "finite", f"{describe(base)} is not finite")
        if kind is list or issubclass(kind, dict):
            return self.container(value, base, place, room)
        name = _TYPE_NAME(kind)
        return self.add(place, "type", f"{describe(base)} has no JSON form{_INSTEAD.get(name, '')}")

    def container(self, value: Any, base: Any, place: Path, room: int) -> Any:
        if id(value) in self.open:
            return self.add(place, "depth", f"{describe(base)} contains itself")
        if not room:
            self.deep += 1
            if self.deep > _DEEP:
                raise _EnoughError
            return self.add(place, "depth", f"{describe(base)} lies deeper than {LEVELS} levels")
        self.open.add(id(value))
        if type(base) is list:
            made: Any = [self.copy(item, (*place, at), room - 1) for at, item in enumerate(base)]
        else:
            made = {}
            for key, item in dict.items(base):
                name = self.name(key, place, made)
                if name is not None:
                    made[name] = self.copy(item, (*place, name), room - 1)
        self.open.discard(id(value))
        return made

    def name(self, key: Any, place: Path, made: dict[str, Any]) -> str | None:
        if not issubclass(type(key), str):
            self.add(place, "key", f"{describe(key)} is a key, and keys in JSON are texts")
            return None
        text = str.__str__(key)
        if not encodable(text):
            self.add((*place, text), "surrogate", f"the key {quote(text)} holds a lone surrogate")
            return None
        if text in made:
            self.add(place, "key", f"the key {quote(text)} stands there twice")
            return None
        return text

    def add(self, place: Path, rule: str, sentence: str) -> None:
        self.found.append(Fault(place, rule, sentence))

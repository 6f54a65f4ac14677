"""Values close to every limit of the schemas, and records with one or more of them."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import enum
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from moai_patterns.records import BUILT_IN, PatternContext, PatternType
from moai_patterns.validation import registry


class Word(str):
    """A text of a subclass."""

    __slots__ = ()


class Unequal(str):
    """A text that equals no other, so that a dict can hold it twice."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 1


class Colour(str, enum.Enum):
    """A text that is an enum member."""

    RED = "red"


class Level(enum.IntEnum):
    """An integer that is an enum member."""

    HIGH = 3


class Ratio(float):
    """A float of a subclass."""


class Plain(enum.Enum):
    """An enum member that is no text."""

    ONE = "one"


class Lying:
    """An object that claims to be a dict, and whose every method raises."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise RuntimeError("do not ask")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare")

    def __hash__(self) -> int:
        raise RuntimeError("do not hash")

    def __len__(self) -> int:
        raise RuntimeError("do not count")

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("do not iterate")

    def __bool__(self) -> bool:
        raise RuntimeError("do not ask")

    def __repr__(self) -> str:
        raise RuntimeError("do not print")


class LyingDict(dict[Any, Any]):
    """A dict whose own methods lie; what it holds is what counts."""

    def items(self) -> Any:
        raise RuntimeError("do not ask")

    def __iter__(self) -> Iterator[Any]:
        return iter(("other",))

    def keys(self) -> Any:
        raise RuntimeError("do not ask")

    def get(self, *_: Any) -> Any:
        raise RuntimeError("do not ask")

    def __getitem__(self, key: Any) -> Any:
        raise RuntimeError("do not ask")


def nested(levels: int) -> Any:
    """A list in a list, so many levels deep."""
    made: Any = []
    for _ in range(levels - 1):
        made = [made]
    return made


def recursive() -> list[Any]:
    """A list that contains itself, twice."""
    made: list[Any] = []
    made += [made, made]
    return made


NAN, INFINITY = float("nan"), float("inf")

# In the form that this package writes, one part out of its range each.
_DATES = """0000-01-01 0001-01-01 9999-12-31 2025-00-01 2025-13-01 2025-01-00 2025-01-32 2025-04-31 2025-02-29
    2025-02-30 2024-02-29 2025-12-31 2O25-01-01 ٢025-01-01 2025-1x-01 0002-01-01"""
_TIMES = "24:00:00.000000 23:60:00.000000 23:59:60.000000 23:59:59.99999x 23:59:59.999999"
STAMPS = [f"{date}T10:20:30.123456Z" for date in _DATES.split()]
STAMPS += [f"2025-01-01T{time}Z" for time in _TIMES.split()]

SOUND: list[Any] = [
    *STAMPS,
    *(None, True, False, 0, 1, -1, 100, 101, 2**53 - 1, 2**53, -(2**53), 2**63 - 1, -(2**63)),
    *(0.0, -0.0, 1.0, 1.5, -0.5, -1.0, 100.0, 100.5, 1e16, 1e308, -1e308, 5e-324, 2.0**63),
    *(-(2.0**63), 2.0**63 - 1024, -(2.0**63) - 2048, 2.0**64, 1e300),
    *(
        "",
        "a",
        "é",
        "\U0001f600",
        "\x00",
        "a\x00b",
        "\x7f",
        "\x80",
        "\u2028",
        "\xad",
        "a/b",
        "a\\b",
        "..",
        "a..b",
        ".",
    ),
    *(
        "x" * 255,
        "x" * 256,
        "\U0001f600" * 255,
        "minor",
        "Minor",
        "production",
        "task_completion",
        "1.0",
        "2.0",
    ),
    *("abcdef", "abcdef0", "ABCDEF0123", "abcdefg", "abcdef0\n", "٣" * 7, "a" * 64, "a" * 65),
    *(
        "2025-11-29",
        "2025-11-29T10:00Z",
        "2025-11-29 10:00:00.123456789+09:00",
        "2025-11-29T10:00:00.000000Z",
    ),
    *("2024-02-29T00:00:00Z", "2025-02-29", "2025-02-30T10:00:00.000000Z", "2025-13-01", "2025-11-29T24:00"),
    *(
        "2025-W48-6",
        "20251129T100000Z",
        "now",
        "2025-11-29Z",
        "0001-01-01T00:00+01:00",
        "9999-12-31T23:59-01:00",
    ),
    *(
        "2025-11-29T10:00:00,5Z",
        "2025-11-29T10:00:00.5z",
        "2025-11-29T10:00:60Z",
        "2025-11-31T10:00:00.000000Z",
    ),
    *(
        [],
        ["a"],
        [""],
        [1],
        ["a", None],
        [[]],
        ["a"] * 3,
        {},
        {"a": 1},
        {"": None},
        {"tags": []},
        [True],
        [1.0],
    ),
    nested(97),
    nested(98),
]
CONVERTED: list[Any] = [
    *(
        Word("a"),
        Word("minor"),
        Word(""),
        Colour.RED,
        PatternType.TASK_COMPLETION,
        Level.HIGH,
        Ratio(1.5),
        Ratio(2.0),
    ),
    *(
        OrderedDict(a=1),
        {Word("a"): 1},
        {Colour.RED: 2},
        LyingDict(a=1),
        [Word("a")],
        [Colour.RED],
        {"a": [Level.HIGH]},
    ),
]
UNSOUND: list[Any] = [
    *(NAN, INFINITY, -INFINITY, 2**63, -(2**63) - 1, 2**64, 10**5000, Ratio("nan")),
    *(
        "\ud800",
        "a\udfff",
        {"\ud800": 1},
        {1: 2},
        {None: 1},
        {True: 1},
        {(): 1},
        [NAN],
        {"a": [2**63]},
        [["\udc00"]],
    ),
    *(
        (),
        (1,),
        {1},
        frozenset(),
        b"",
        bytearray(),
        1j,
        object(),
        int,
        range(3),
        Plain.ONE,
        Lying(),
        [Lying()],
    ),
    *(
        uuid.UUID(int=5),
        decimal.Decimal(1),
        dt.date(2025, 1, 1),
        dt.datetime(2025, 1, 1),
        MappingProxyType({}),
    ),
    *(
        {"a": uuid.UUID(int=5)},
        {"a": (1,)},
        {Word("\ud800"): 1},
        OrderedDict({1: 2}),
        nested(99),
        nested(10_000),
        {"a": 1, Unequal("a"): 2},
        recursive(),
    ),
]
POOL = [*SOUND, *CONVERTED, *UNSOUND]

VALID: dict[str, dict[str, Any]] = {
    "task_completion": {"task_type": "t", "agent": "a", "duration_ms": 5, "success": True},
    "error_occurrence": {"error_type": "e", "error_message": ""},
    "agent_usage": {"agent_type": "a", "task_type": "t", "success": False, "duration_ms": 0},
    "user_correction": {"original_output": "", "corrected_output": "", "correction_type": "c", "agent": "a"},
    "tool_use": {"tool_name": "Bash"},
    "hook_event": {"event": "Stop"},
}
ENVELOPE = ("pattern_id", "pattern_type", "timestamp", "data", "context", "version", "_meta", "extra")


def record(kind: str = "task_completion", **changes: Any) -> dict[str, Any]:
    """A valid record of a built-in kind, with other members."""
    made = {"pattern_id": "p", "pattern_type": kind, "timestamp": "2025-11-29T10:00:00Z"}
    return {**made, "data": copy.deepcopy(VALID.get(kind, {})), **changes}


def places(kind: str) -> list[tuple[str, ...]]:
    """Every place of a record of a kind that a schema says something about, and one more at each level."""
    fields = [("data", name) for name in (*BUILT_IN[kind].__annotations__, "extra")]
    context = [("context", name) for name in (*PatternContext.__annotations__, "extra")]
    return [*((name,) for name in ENVELOPE), *fields, *context]


def put(target: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Set a value at a place, when what lies on the way is an object."""
    for name in place[:-1]:
        target = target.setdefault(name, {}) if type(target) is dict else {}
    if type(target) is dict:
        target[place[-1]] = value
    return target


def near_misses() -> Iterator[dict[str, Any]]:
    """A record for every place and every value there, and one without each place."""
    for kind in BUILT_IN:
        for place in places(kind):
            if place[0] != "data" and kind != "task_completion":
                continue  # envelope and context are the same for all
            for value in POOL:
                made = record(kind)
                put(made, place, value)
                yield made
            made = record(kind, context={})
            (made if len(place) == 1 else made[place[0]]).pop(place[-1], None)
            yield made


@contextmanager
def kinds_forgotten() -> Iterator[None]:
    """Take back what a test registers."""
    before = dict(registry._KINDS)
    yield
    registry._KINDS.clear()
    registry._KINDS.update(before)

"""Texts and values that somebody hands in who means no good: each number gives the same ones every time."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
from collections import OrderedDict, UserDict
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

from samples import PAYLOADS

PATHS = (
    *("../../canary/x", "/etc/passwd", "..", ".", "a/../../b", "..\\..\\x", "C:\\x", "\\\\host\\share"),
    *("%2e%2e%2f", "~", "~root/x", "$HOME", "CON", "nul.txt", "COM1", "aux", "file:///etc/passwd", "-rf"),
    *("....//", "a/./b", "/", "//", "index.json", ".lock", "journal", "tmp/../../canary", "..;/", "a\x00b"),
)
SQL = (
    *(
        "' OR '1'='1",
        "'; DROP TABLE patterns; --",
        "\"; ATTACH DATABASE '/tmp/x' AS x; --",
        "a' UNION SELECT 1",
    ),
    *(
        "1); DELETE FROM patterns",
        "%",
        "_",
        "*",
        "?1",
        ":v0",
        "@x",
        "$v0",
        "[a]",
        "`a`",
        "a\\",
        '"',
        "'",
        "--",
    ),
)
TEXTS = (
    *("", " ", "\x00", "\n", "\r\n", "\t", "\x7f", "\x1b[31m", "\ufeff", "\u202eevil", "\u200d", "\u2028"),
    *("é", "e\u0301", "ß", "SS", "İ", "i\u0307", "ﬀ", "😀", "👨\u200d👩", "\U0010ffff", "\ufffe", "\ue000"),
    *("\ud800", "a\udfffb", "\udcff", "{0.__class__}", "%s%n", "{{7*7}}", "<script>", "null", "NaN", "1e999"),
    *("a" * 255, "a" * 256, "é" * 255, "\u0301" * 300, "😀" * 255, "a" * 5000, "0" * 4400),
)
STAMPS = (
    *(
        "2025-11-29",
        "2025-11-29T10:00:00Z",
        "2025-11-29 10:00",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59Z",
    ),
    *(
        "9999-12-31T23:59:59-23:59",
        "2025-02-30",
        "2025-13-01",
        "2024-02-29T24:00:00Z",
        "2025-11-29T10:00:60Z",
    ),
    *("2025-11-29T10:00:00.999999999999Z", "٢٠٢٥-11-29", "2025-11-29T10:00:00+99:99", "-001-01-01", "now"),
    *("2025-11-29T10:00:00" + "0" * 5000, "2025-11-29T10:00:00." + "9" * 5000 + "Z", "10000-01-01", "1e9"),
)
KINDS = (
    *PAYLOADS,
    "unknown",
    "task",
    "~task",
    "task_completion\x00",
    "TASK_COMPLETION",
    "../task",
    "envelope",
)


class _Text(str):
    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        raise KeyError("not as you think")

    def __str__(self) -> str:
        raise RuntimeError("no text")


class _Kind(str, enum.Enum):
    STOP = "hook_event"


class _Odd:
    def __repr__(self) -> str:
        raise RecursionError("no name")


@cache
def deep(levels: int, *, objects: bool) -> Any:
    """A value of so many lists or objects within each other."""
    value: Any = 0
    for _ in range(levels):
        value = {"a": value} if objects else [value]
    return value


@cache
def _circle() -> list[Any]:
    value: list[Any] = []
    value.append({"a": value})
    return value


@cache
def _wide(keys: int) -> dict[str, Any]:
    return {f"key {number}": number for number in range(keys)}


@cache
def _huge() -> str:
    return "ab\u00e9\n" * 300_000


NUMBERS = (
    *(
        0,
        -1,
        2**31,
        2**53 + 1,
        2**63 - 1,
        2**63,
        -(2**63),
        -(2**63) - 1,
        2**64,
        10**400,
        1.5,
        -0.0,
        5e-324,
        1e308,
    ),
    *(float("nan"), float("inf"), float("-inf"), True, False, 1.0, 0.1, 2.0**63, 9007199254740993.0),
)
_MADE: tuple[Callable[[], Any], ...] = (
    *(lambda: b"bytes", lambda: {1, 2}, lambda: (1, 2), object, _Odd, lambda: _Text("a"), lambda: _Kind.STOP),
    *(lambda: decimal.Decimal("1.5"), lambda: dt.datetime(2025, 1, 1, tzinfo=dt.UTC), lambda: 1j),
    *(lambda: iter([1]), lambda: OrderedDict(a=1), lambda: UserDict(a=1), lambda: {1: 2}, lambda: {None: 1}),
    *(lambda: {_Text("k"): 1}, lambda: range(3), lambda: type, lambda: {"a": _Odd()}, lambda: [_Kind.STOP]),
    *(_circle, lambda: 10**5000, lambda: -(10**5000), lambda: bytearray(b"x"), lambda: memoryview(b"x")),
)


def text(choose: Random) -> str:
    """A text; by itself, cut, or put together of two."""
    pool = choose.choice((PATHS, SQL, TEXTS, STAMPS, KINDS))
    found = choose.choice(pool)
    match choose.randrange(6):
        case 0:
            return found + choose.choice(choose.choice((PATHS, SQL, TEXTS)))
        case 1:
            return "".join(
                chr(choose.choice((choose.randrange(128), choose.randrange(0x11_0000))))
                for _ in range(choose.randrange(12))
            )
        case _:
            return found


def value(choose: Random, levels: int = 3) -> Any:
    """Any value, good or bad."""
    match choose.randrange(12):
        case 0 | 1 | 2:
            return text(choose)
        case 3 | 4:
            return choose.choice(NUMBERS)
        case 5:
            return choose.choice(_MADE)()
        case 6:
            return None
        case 7:
            return deep(choose.choice((50, 97, 98, 99, 100, 101, 1000)), objects=choose.random() < 0.5)
        case 8 | 9 if levels:
            return [value(choose, levels - 1) for _ in range(choose.randrange(4))]
        case _ if levels:
            return {text(choose): value(choose, levels - 1) for _ in range(choose.randrange(4))}
        case _:
            return choose.randrange(-10, 10)


def giant(choose: Random) -> Any:
    """A value of a size, or a depth, that costs somebody something."""
    return choose.choice(
        (
            lambda: deep(100_000, objects=False),
            lambda: deep(100_000, objects=True),
            lambda: _wide(100_000),
            _huge,
            lambda: [_huge()],
            lambda: {"a" * 1_000_000: 1},
            lambda: list(range(200_000)),
            lambda: [{} for _ in range(100_000)],
        )
    )()


def size_of(made: Any) -> int:
    """Return about how many bytes a value has as JSON; what is in it twice counts once."""
    size = 0
    seen: set[int] = set()
    waiting = [made]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str | bytes | bytearray):
            size += len(item)
        elif isinstance(item, int):
            size += 1 + item.bit_length() // 3
        elif isinstance(item, dict | list | tuple | set) and id(item) not in seen:
            seen.add(id(item))
            waiting += [*item, *item.values()] if isinstance(item, dict) else item
            size += 2 + 2 * len(item)
    return size


def equal(found: Any, made: Any) -> bool:
    """Tell whether JSON values are the same, to the type of a number and the sign of zero."""
    if isinstance(made, str):
        return type(found) is str and found == str.__str__(getattr(made, "value", made))
    if isinstance(made, dict):
        return (
            isinstance(found, dict)
            and found.keys() == made.keys()
            and all(equal(found[key], made[key]) for key in made)
        )
    if isinstance(made, list):
        return isinstance(found, list) and len(found) == len(made) and all(map(equal, found, made))
    if isinstance(made, float) and not isinstance(found, bool):
        return found == made and (found != 0 or math.copysign(1, found) == math.copysign(1, made))
    return bool(found == made) and isinstance(found, bool) == isinstance(made, bool)


def record(choose: Random) -> Any:
    """A record: valid, nearly valid, or nothing like it."""
    kind = choose.choice(tuple(PAYLOADS))
    made: dict[Any, Any] = {
        "pattern_id": f"id-{choose.randrange(50)}",
        "pattern_type": kind,
        "timestamp": "2025-11-29T10:00:00Z",
        "data": dict(PAYLOADS[kind]),
        "context": {"tags": ["a"]},
    }
    for _ in range(choose.randrange(1, 4)):
        _change(made, choose)
    return made if choose.random() < 0.98 else value(choose)


def _change(made: dict[Any, Any], choose: Random) -> None:
    data, context = made.get("data"), made.get("context")
    match choose.randrange(12):
        case 0 | 1 | 2:
            made["pattern_id"] = text(choose)
        case 3:
            made["pattern_type"] = choose.choice((text(choose), choose.choice(KINDS)))
        case 4:
            made["timestamp"] = choose.choice((choose.choice(STAMPS), text(choose)))
        case 5 if isinstance(data, dict):
            data[text(choose)] = value(choose)
        case 6 if isinstance(data, dict) and data:
            data[choose.choice(list(data))] = value(choose)
        case 7 if isinstance(context, dict):
            context[choose.choice(("tags", "session_id", "environment", "metadata", text(choose)))] = value(
                choose
            )
        case 8 if isinstance(context, dict):
            context["tags"] = [text(choose) for _ in range(choose.randrange(4))]
        case 9:
            made[choose.choice((*list(made), text(choose), "version", "_meta"))] = value(choose)
        case 10 if made:
            del made[choose.choice(list(made))]
        case 11 if choose.random() < 0.02:
            made[choose.choice(("data", "pattern_id", "extra"))] = giant(choose)
        case _ if isinstance(data, dict):
            data["note"] = text(choose)

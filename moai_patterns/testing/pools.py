"""The dense pools that everything generated is drawn from, and the hard values.

Few ids, instants microseconds apart around a midnight, few payload values: uniform strategies hardly
ever draw two records with one instant, or a bound that hits a record exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from moai_patterns.instant import DAY, FIRST, LAST, SECOND, civil, instant
from moai_patterns.query import Record

T = TypeVar("T")
HOUR = 3600 * SECOND
MIDNIGHT = instant("2025-11-29T00:00Z")
STAMPED = instant("2025-12-01T12:00Z")
"""When every generated record says it was recorded."""


class Choose(Protocol):
    """Picks an element: by a seeded generator, or drawn by Hypothesis (which shrinks to the first)."""

    def __call__(self, pool: Sequence[T], /) -> T: ...  # noqa: D102


IDS = (
    "0198f2aa-0001",
    "0198f2aa-0002",
    "0198f2aa-0003",
    "0198f2aa",
    "Case",
    "case",
    "\uffee",  # before the next by code point, after it in UTF-16
    "\U0001f600",
    "\u00e4",
    "a\u0308",
    "odd/..\\ '\"%_\n",
    "nul\0end",
)
KINDS = ("task_completion", "error_occurrence", "own.Kind", "own.kind")
MOMENTS = (
    MIDNIGHT,
    MIDNIGHT + 1,
    MIDNIGHT - 1,
    MIDNIGHT + 2,
    MIDNIGHT + 10 * HOUR,
    MIDNIGHT + 10 * HOUR + 1,
    MIDNIGHT - DAY,
    MIDNIGHT + DAY,
    MIDNIGHT + 2 * DAY - 1,
    -1,
    FIRST,
    LAST,
)
# (zone as written, its minutes, digits of fraction): the last has no zone, and its instant was fixed
# elsewhere, so a backend that reads the text again gets it wrong.
SPELLINGS = (("Z", 0, 6), ("+09:00", 540, 9), ("-03:30", -210, 6), ("+00:00", 0, 7), ("", 777, 6))
TAGS = ("a", "b", "ab", "A", "", "a,b", '"', "%", "\u00e4")
ACTORS = (None, "somebody")
NUMBERS = (0, 1, 1.0, True, 2**53, 2**53 + 1, False, None, -0.0, 0.5, 2**63 - 1)
WORDS = ("a", "b", "A", "", "10", "9", "\uffee", "\U0001f600", "nul\0end")

TEXTS = (
    *("", " ", "0", "null", "true", "NaN", "{}", "[1]", "%s", "${x}", '"', "'", "\\", "\\u0041", "\\ud800"),
    *("\0", "a\0b", "\0\0", "\n", "\r\n", "\t", "\x1b[0m", "\x1f\x7f\x80", "\u2028\u2029", "\ufeffmark"),
    *("\u00e9", "e\u0301", "\ufffd\ufffe\uffff", "\ud7ff\ue000", "\U00010000\U0001f600\U0010ffff"),
    *("\u202eright to left", "'; DROP TABLE patterns; --", "../../etc/passwd", "\u1e9e\u00df\u0130\u0131"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, -(2**31) - 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)),
    *(0.0, -0.0, 1.0, -1.0, 0.1, 0.1 + 0.2, 1e15, 1e16, 1e22, 1e23, 123456789.123456789),
    *(5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, float(2**63), 9007199254740993.0),
    *([], {}, [[]], [{}], [None], {"": None}, {"": {"": [""]}}, [1, 1.0, True, "1", None], [[[[[0]]]]]),
    *({"a.b": 1, "a": {"b": 2}}, {"$": 1, "0": [0], "pattern_id": "x", "_meta": {"revision": 9}}),
    "long " + '\u00e9\U0001f600 \\" ' * 100_000,
)


def stored(identity: str, moment: int, revision: int = 1, **members: Any) -> Record:
    """Return a stored record as a backend gets it, without `seq`.

    `moment` is its instant in UTC microseconds; `members` replace or extend the envelope.

    >>> record = stored("a", 0, pattern_type="own.kind", data={"n": 1})
    >>> record["timestamp"], record["_meta"]["revision"]
    ('1970-01-01T00:00:00.000000Z', 1)
    """
    envelope = {
        "pattern_id": identity,
        "pattern_type": "task_completion",
        "timestamp": spelling(moment),
        "data": {},
    }
    meta = {"instant": moment, "revision": revision, "recorded_at": STAMPED, "operation": "save"}
    return {**envelope, **members, "_meta": meta}


def spelling(moment: int, zone: str = "Z", minutes: int = 0, digits: int = 6) -> str:
    """Return a timestamp that names `moment` in a zone `minutes` east of UTC.

    >>> spelling(0, "+09:00", 540, 7)
    '1970-01-01T09:00:00.0000000+09:00'
    """
    local = moment + minutes * 60 * SECOND
    if not FIRST <= local <= LAST:
        local, zone = moment, "Z"
    fraction = f"{local % SECOND:06d}".ljust(digits, "0")
    return "%04d-%02d-%02dT%02d:%02d:%02d" % civil(local) + f".{fraction}{zone}"


def drawn(choose: Choose) -> Record:
    """Return a stored record of revision 1 out of the dense pools."""
    moment = choose((*MOMENTS[:4], *MOMENTS))  # near each other more often than not
    record = stored(choose(IDS), moment, pattern_type=choose(KINDS), data=_payload(choose))
    record["timestamp"] = spelling(moment, *choose(SPELLINGS))
    if choose((True, True, False)):
        record["context"] = _context(choose)
    if choose((False, False, False, True)):
        record["version"] = choose(("1.0", "2"))
    if choose((False, False, False, True)):
        record["drift"] = choose((None, {"new": [1]}))
    if choose((False, False, True)):
        record["_meta"]["actor"] = "somebody"
    return record


def _payload(choose: Choose) -> dict[str, Any]:
    data: dict[str, Any] = {"n": choose(NUMBERS)}
    if choose((True, False)):
        data["word"] = choose(WORDS)
    if choose((False, True)):
        data["deep"] = {"x": choose(NUMBERS), "list": [choose(NUMBERS), choose(WORDS)]}
    if choose((False, False, True)):
        data["a.b"] = choose(NUMBERS)
    return data


def _context(choose: Choose) -> dict[str, Any]:
    context: dict[str, Any] = {}
    if choose((True, True, False)):
        context["tags"] = [choose(TAGS) for _ in range(choose((1, 2, 3, 0)))]
    if choose((False, True)):
        context["agent"] = choose((*WORDS, None))
    return context

"""Revisions that a history lacks: which they are, and which of them nobody has noted as lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from moai_patterns.backends.sqlite.quarantine import Ranges

_GAPS = """
    SELECT p.seq, p.pattern_id, p.revision FROM patterns AS p WHERE p.revision > 1 AND p.revision - 1 <>
        (SELECT count(*) FROM history AS h WHERE h.pattern_id = p.pattern_id AND h.revision < p.revision)"""
# By the number: an id that is no UTF-8 can be read, but not handed in again.
_BEFORE = """
    SELECT h.revision FROM patterns AS p JOIN history AS h
        ON h.pattern_id = p.pattern_id AND h.revision < p.revision
    WHERE p.seq = ? ORDER BY h.revision"""


class Gap(NamedTuple):
    """An id, its head's revision, and what is missing before it beside what was known."""

    identity: str
    revision: int
    missing: Ranges

    @property
    def number(self) -> int:
        """How many revisions are missing."""
        return sum(last - first + 1 for first, last in self.missing)


def gaps(ask: Callable[..., Iterable[Any]], noted: Mapping[str, Ranges]) -> Iterator[Gap]:
    """Yield the ids that lack more revisions than are noted, or whose history does not fit otherwise."""
    for seq, identity, revision in ask(_GAPS):
        missing = _missing((number for (number,) in ask(_BEFORE, (seq,))), revision)
        unknown = _without(missing, noted.get(identity, []))
        if unknown or not missing:
            yield Gap(identity, revision, unknown)


def _missing(present: Iterable[object], head: object) -> Ranges:
    """Return what is missing before a head.

    >>> _missing([2, 3, 7], 9)
    [(1, 1), (4, 6), (8, 8)]
    """
    found, expected = [], 1
    for number in (*present, head):
        if type(number) is int and number >= expected:
            if number > expected:
                found.append((expected, number - 1))
            expected = number + 1
    return found


def _without(ranges: Ranges, known: Ranges) -> Ranges:
    """Return what of some ranges is in no known one.

    >>> _without([(1, 1), (4, 6), (8, 9)], [(1, 1), (5, 5), (8, 20)])
    [(4, 4), (6, 6)]
    """
    for first, last in known:
        parts = [
            part for low, high in ranges for part in ((low, min(high, first - 1)), (max(low, last + 1), high))
        ]
        ranges = [(low, high) for low, high in parts if low <= high]
    return ranges

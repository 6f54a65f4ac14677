"""Scans in the order of arrival, which nothing on disk has: numbers are sorted, then records are read.

Each segment and journal says which arrival numbers it spans, so it is opened when their turn comes. What
is held meanwhile of those whose spans overlap is packed: 16 bytes for each answering record of a
segment, 4 for one of a journal, about 100 for the name of a hot file.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush, heapreplace
from itertools import groupby
from operator import itemgetter
from typing import Protocol

from moai_patterns.backends.filesystem.journal import Journal
from moai_patterns.backends.filesystem.manifest import PARTS
from moai_patterns.backends.filesystem.overlay import HOT
from moai_patterns.backends.filesystem.reading import Snapshot, in_runs, reach, span
from moai_patterns.backends.filesystem.segment import Segment
from moai_patterns.backends.filesystem.sideindex import SLOTS
from moai_patterns.instant import DAY
from moai_patterns.query import Query, Record

_MEMBERS = 64  # decoded members that are kept; what arrived together lies together


class _Source(Protocol):
    """Some of the records: `places` in the order of their numbers, each to be read by `read`."""

    first: int  # no number is smaller

    def places(self) -> Iterator[tuple[int, int]]: ...

    def read(self, place: int) -> Record | None: ...


def by_arrival(snapshot: Snapshot, query: Query) -> Iterator[Record]:
    """Yield a superset of what answers in the order of arrival, each record once."""
    cache, days = _Cache(), _days(snapshot, query)
    sources: list[_Source] = [_Hot(snapshot, query, days)]
    sources += (_Journalled(snapshot, query, found) for found in snapshot.journals if found.seqs)
    for part in PARTS if query.revisions == "all" else PARTS[:1]:
        for day, segment in snapshot.cold.segments(part):
            if day in days and segment.facts.seq_last >= _after(query):
                sources.append(_Cold(snapshot, query, segment, cache))
    for _, group in groupby(_merged(sources), key=itemgetter(0)):
        found = [record for _, source, place in group if (record := source.read(place)) is not None]
        # One number may be that of several files, where a copy did not keep times; a record may be in
        # a segment and still where it came from.
        yield from {query.key(record): record for record in sorted(found, key=query.key)}.values()


def _merged(sources: list[_Source]) -> Iterator[tuple[int, _Source, int]]:
    waiting = sorted(sources, key=lambda source: source.first, reverse=True)
    heap: list[tuple[int, int, int, _Source, Iterator[tuple[int, int]]]] = []
    while heap or waiting:
        while waiting and (not heap or waiting[-1].first <= heap[0][0]):
            source = waiting.pop()
            places = source.places()
            for seq, place in places:
                heappush(heap, (seq, len(waiting), place, source, places))
                break
        if not heap:
            return
        seq, number, place, source, places = heap[0]
        yield seq, source, place
        for following in places:
            heapreplace(heap, (following[0], number, following[1], source, places))
            break
        else:
            heappop(heap)


class _Cold:
    """The records of a segment; it is decoded once for the numbers, and once for the records."""

    def __init__(self, snapshot: Snapshot, query: Query, segment: Segment, cache: _Cache) -> None:
        self.first = segment.facts.seq_first
        self._snapshot, self._query, self._segment, self._cache = snapshot, query, segment, cache

    def places(self) -> Iterator[tuple[int, int]]:
        query, after = self._query, _after(self._query)
        seqs, places = array("q"), array("I")
        for place, record in self._segment.placed(*reach(query)):
            seq = record["_meta"]["seq"]
            if seq >= after and query.matches(record) and self._snapshot.counts(record, seq, query):
                seqs.append(seq)
                places.append(place)
        return _in_order(seqs, places.__getitem__)

    def read(self, place: int) -> Record:
        number, slot = divmod(place, SLOTS)
        return self._segment.record(number, self._cache.lines(self._segment, number)[slot])


class _Journalled:
    """The records of a journal."""

    def __init__(self, snapshot: Snapshot, query: Query, found: Journal) -> None:
        self.first = min(found.seqs)
        self._snapshot, self._query, self._found = snapshot, query, found

    def places(self) -> Iterator[tuple[int, int]]:
        return _in_order(self._found.seqs, int)

    def read(self, place: int) -> Record | None:
        since, until, _ = reach(self._query)
        moment = self._found.instants[place]
        if (since is not None and moment < since) or (until is not None and moment > until):
            return None
        if self._found.seqs[place] < _after(self._query):
            return None
        record = self._snapshot.line(self._found, place)
        return record if self._snapshot.counts(record, record["_meta"]["seq"], self._query) else None


class _Hot:
    """The hot files of all days: their dates are their numbers."""

    first = -(1 << 63)

    def __init__(self, snapshot: Snapshot, query: Query, days: Iterable[int]) -> None:
        self._snapshot, self._query, self._searched = snapshot, query, days
        self._names = bytearray()
        self._days, self._starts = array("i"), array("Q")

    def places(self) -> Iterator[tuple[int, int]]:
        # Read whole, not only dated: who damages a file dates it anew, and then its place is unknown.
        query, seqs, after = self._query, array("q"), _after(self._query)
        for day in self._searched:
            first, last = span(query, day)
            for names in self._snapshot.hot_names(day):
                for second, name, kind, _ in names:
                    if not first <= second <= last or (query.kinds is not None and kind not in query.kinds):
                        continue
                    record = self._counted(day, name)
                    if record is not None and record["_meta"]["seq"] >= after and query.matches(record):
                        seqs.append(record["_meta"]["seq"])
                        self._days.append(day)
                        self._starts.append(len(self._names))
                        self._names += name.encode() + b"\0"
        return _in_order(seqs, int)

    def read(self, place: int) -> Record | None:
        start = self._starts[place]
        name = self._names[start : self._names.index(b"\0", start)].decode()
        return self._counted(self._days[place], name)

    def _counted(self, day: int, name: str) -> Record | None:
        record = self._snapshot.read_hot(day, name)
        return record if record is not None and self._snapshot.counts(record, HOT, self._query) else None


class _Cache:
    """The members that were read last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()

    def lines(self, segment: Segment, number: int) -> list[bytes]:
        """Return the lines of a member."""
        key = (id(segment), number)
        if key in self._kept:
            self._kept.move_to_end(key)
        else:
            self._kept[key] = segment.lines(number)
            if len(self._kept) > _MEMBERS:
                self._kept.popitem(last=False)
        return self._kept[key]


def _in_order(seqs: array[int], place: Callable[[int], int]) -> Iterator[tuple[int, int]]:
    order = in_runs(range(len(seqs)), seqs.__getitem__)
    return ((seqs[at], place(at)) for at in order)


def _days(snapshot: Snapshot, query: Query) -> set[int]:
    low = -(10**9) if query.since is None else query.since // DAY
    high = 10**9 if query.until is None else query.until // DAY
    return {day for day in snapshot.days() if low <= day <= high}


def _after(query: Query) -> int:
    """The smallest number that can answer."""
    return -(1 << 63) if query.after is None else query.after[0]

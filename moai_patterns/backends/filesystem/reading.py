"""Scans of a tree: hot files, journals and segments of one day after the other, merged in order.

A snapshot is the manifest and the journals of one moment. While it is open it holds the pin, a shared
lock: compaction removes its sources only when nobody holds that, so nothing a scan has listed goes
away under it. Where the pin cannot be had, each listing is followed by a look whether the manifest is
still the same, because compaction replaces that before it removes anything.
"""

from __future__ import annotations

import errno
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import chain, groupby
from operator import itemgetter

import orjson

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem.cold import Cold
from moai_patterns.backends.filesystem.journal import Journal
from moai_patterns.backends.filesystem.lookup import read_hot
from moai_patterns.backends.filesystem.manifest import PARTS, day_directories
from moai_patterns.backends.filesystem.names import day_path, parse_hot
from moai_patterns.backends.filesystem.overlay import HOT, Overlay
from moai_patterns.backends.filesystem.segment_writer import key
from moai_patterns.backends.filesystem.tree import Tree
from moai_patterns.errors import BusyError, DamageError
from moai_patterns.instant import DAY, SECOND
from moai_patterns.query import Query, Record

# So many names of one day are held at once; a day with more is listed hour by hour.
_NAMES = 50_000
_HOUR = 3600
_RUN = 50_000  # lines that are sorted at once
_KEPT = 32  # open journals
_AHEAD = 1 << 16  # bytes
Keep = Callable[[Record, int], bool]


class Lines:
    """Reads lines of journals and keeps those open that were read last; they close with this object.

    Whoever reads one line after the other gets them out of blocks.
    """

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._block = "", 0, b""  # journal, where it begins, bytes: what was read last

    def __call__(self, found: Journal, position: int) -> Record:
        """Return the record of a line. Raises `DamageError`."""
        try:
            return found.line(position, self._read, orjson.loads)
        except OSError as error:
            sentence = f"a journal cannot be read: {error.strerror}"
            raise DamageError(error.errno, sentence, found.path) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamageError(f"{found.path}, byte {found.offsets[position]}: no record: {error}") from None

    def _read(self, path: str, offset: int, length: int) -> bytes:
        descriptor = self._open.get(path)
        if descriptor is None:
            if len(self._open) >= _KEPT:
                os.close(self._open.pop(next(iter(self._open))))
            self._open[path] = descriptor = fileops.open_read(path)
        known, start, block = self._block
        at = offset - start if path == known else -1
        if not (at >= 0 and at + length <= len(block)):
            # The next line follows the line end of the last one.
            ahead = _AHEAD if 0 <= at - len(block) <= 1 or 0 <= at < len(block) else 0
            block, at = fileops.read_at(descriptor, max(length, ahead), offset), 0
            self._block = (path, offset, block) if ahead else (path, offset + length, b"")
        return block[at : at + length]

    def close(self) -> None:
        """Close what is open; it is opened again when it is needed."""
        self._block = "", 0, b""
        while self._open:
            os.close(self._open.popitem()[1])

    def __del__(self) -> None:
        self.close()


class Snapshot:
    """A tree as it is at one moment.

    Parameters:
        tree, journals, cold: its parts.
        pinned: whether the pin is held while it is used.
    """

    def __init__(self, tree: Tree, journals: list[Journal], cold: Cold, *, pinned: bool = True) -> None:
        self.tree = tree
        self.journals = journals
        self.cold = cold
        self._pinned = pinned
        self.line = Lines()  # not a method: a cycle with the overlay would keep files open
        self.overlay = Overlay(journals, self.line)

    def must_be_whole(self) -> None:
        """Raise `DamageError` when a journal is damaged: nobody can tell the days of lost lines."""
        for found in self.journals:
            if found.damage:
                raise DamageError(
                    f"{found.path}: {found.damage}; its other records can be loaded by id, and "
                    "`moai-patterns repair` keeps them"
                )

    def must_be_in_place(self) -> None:
        """Raise `BusyError` when a compaction may have moved what this has listed."""
        if not (self._pinned or self.cold.is_current()):
            raise BusyError(
                f"{self.tree.root}: it was compacted while it was read, and {self.tree.path('.pin')}, which "
                "a compaction waits for, cannot be opened; ask again"
            )

    def days(self) -> set[int]:
        """Return the UTC days that anything lies in. Raises `DamageError` when nobody can tell them all."""
        if self.cold.manifest.lost:
            raise DamageError(self.cold.manifest.damage)
        days = {day for day, _ in day_directories(self.tree.root)}
        self.must_be_in_place()
        for found in self.journals:
            days.update(found.by_day())
        return days | self.cold.manifest.heads.keys() | self.cold.manifest.history.keys()

    def stream(self, query: Query) -> Iterator[Record]:
        """Yield a superset of what answers, in the order `newest` or `oldest`, heads or all revisions."""
        newest = query.order != "oldest"
        low = -(10**9) if query.since is None else query.since // DAY
        high = 10**9 if query.until is None else query.until // DAY
        if query.after is not None and query.order == "newest":
            high = min(high, query.after[0] // DAY)
        if query.after is not None and query.order == "oldest":
            low = max(low, query.after[0] // DAY)
        for day in sorted((day for day in self.days() if low <= day <= high), reverse=newest):
            yield from self.day(day, query, newest=newest)

    def day(self, day: int, query: Query, *, newest: bool) -> Iterator[Record]:
        """Yield the records of one day in order, each once."""
        keep = partial(self.counts, query=query) if self.overlay else None
        sources = self.loose(day, query, keep)
        for part in ("heads", "history") if query.revisions == "all" else ("heads",):
            segment = self.cold.segment(part, day)
            if segment is not None:
                sources.append(self._cold(segment.scan(*reach(query), reverse=newest), query))
        last = None
        for record in merge(*sources, key=key, reverse=newest):
            this = key(record)
            if this != last:  # a record may be in a segment and still where it came from
                last = this
                yield record

    def loose(self, day: int, query: Query, keep: Keep | None) -> list[Iterator[Record]]:
        """Return what of a day is in no segment: hot files and journal lines, each in order.

        `keep` gets a record and the arrival number by which journals may have changed it; None keeps all.
        """
        newest = query.order != "oldest"
        return [self._hot(day, query, newest, keep), self._journalled(day, query, newest, keep)]

    def hot_names(self, day: int, *, newest: bool = False) -> Iterator[list[tuple[int, str, str, int]]]:
        """Yield (second of the day, name, kind, hash) of hot files: all at once, or hour by hour."""
        hours: Counter[int] = Counter()
        held: list[tuple[int, str, str, int]] = []
        for entry in self._entries(day):
            hours[entry[0] // _HOUR] += 1
            if len(held) <= _NAMES:
                held.append(entry)
        self.must_be_in_place()
        if len(held) <= _NAMES:
            yield held
            return
        held.clear()
        for hour in sorted(hours, reverse=newest):
            names = [entry for entry in self._entries(day) if entry[0] // _HOUR == hour]
            self.must_be_in_place()
            yield names

    def read_hot(self, day: int, name: str) -> Record | None:
        """Return a hot record with its arrival number, None when it is compacted.

        Raises `DamageError` when it is damaged, or gone and nothing here tells why.
        """
        path = self.tree.path(f"{day_path(day * DAY)}/{name}")
        try:
            return read_hot(path)
        except FileNotFoundError:
            self.must_be_in_place()
            if self._explains(day, name):
                return None
            raise DamageError(errno.ENOENT, "it was listed a moment ago and is missing now", path) from None

    def _explains(self, day: int, name: str) -> bool:
        """Tell whether a hot file may have been removed because a segment holds it, or it was removed."""
        parsed = parse_hot(name)
        hashed = -1 if parsed is None else parsed[2]
        segments = (self.cold.segment(part, day) for part in PARTS)
        return self.overlay.may_remove(hashed) or any(s is not None and s.may_hold(hashed) for s in segments)

    def _entries(self, day: int) -> Iterator[tuple[int, str, str, int]]:
        try:
            with os.scandir(self.tree.path(day_path(day * DAY))) as entries:
                for entry in entries:
                    parsed = parse_hot(entry.name)
                    if parsed is not None:
                        yield parsed[1], entry.name, parsed[0], parsed[2]
        except (FileNotFoundError, NotADirectoryError):
            return

    def _hot(self, day: int, query: Query, newest: bool, keep: Keep | None) -> Iterator[Record]:
        first, last = span(query, day)
        kinds = query.kinds
        for names in self.hot_names(day, newest=newest):
            wanted = sorted(
                (
                    entry
                    for entry in names
                    if first <= entry[0] <= last and (kinds is None or entry[2] in kinds)
                ),
                reverse=newest,
            )
            for _, group in groupby(wanted, key=itemgetter(0)):
                records = [self.read_hot(day, name) for _, name, _, _ in group]
                alive = [
                    record for record in records if record is not None and (keep is None or keep(record, HOT))
                ]
                alive.sort(key=key, reverse=newest)
                yield from alive

    def _journalled(self, day: int, query: Query, newest: bool, keep: Keep | None) -> Iterator[Record]:
        first, last = span(query, day)
        entries = array("Q")
        for number, found in enumerate(self.journals):
            for position in found.by_day().get(day, ()):
                if first <= (found.instants[position] - day * DAY) // SECOND <= last:
                    entries.append(number << 32 | position)
        alike: list[Record] = []  # of one instant
        moment = None
        for entry in in_runs(entries, self._moment, reverse=newest):
            record = self.line(self.journals[entry >> 32], entry & 0xFFFF_FFFF)
            meta = record["_meta"]
            if keep is None or keep(record, meta["seq"]):
                if meta["instant"] != moment:
                    yield from sorted(alike, key=key, reverse=newest) if len(alike) > 1 else alike
                    alike, moment = [], meta["instant"]
                alike.append(record)
        yield from sorted(alike, key=key, reverse=newest)

    def _moment(self, entry: int) -> int:
        """The instant of a journal's line, given as the journal's number and its position."""
        return self.journals[entry >> 32].instants[entry & 0xFFFF_FFFF]

    def _cold(self, records: Iterator[Record], query: Query) -> Iterator[Record]:
        if not self.overlay:
            return records
        return (record for record in records if self.counts(record, record["_meta"]["seq"], query))

    def counts(self, record: Record, seq: int, query: Query) -> bool:
        """Tell whether a record that arrived with this number is a head, or a revision that is not gone."""
        if query.revisions == "all":
            return not self.overlay.is_gone(record["pattern_id"], seq)
        return self.overlay.is_head(record, seq)


def in_runs(entries: Sequence[int], key: Callable[[int], int], *, reverse: bool = False) -> Iterator[int]:
    """Yield numbers in the order of a key, eight bytes each: a list of all of them would take 40."""
    runs = [
        array("Q", sorted(entries[start : start + _RUN], key=key, reverse=reverse))
        for start in range(0, len(entries), _RUN)
    ]
    return merge(*runs, key=key, reverse=reverse) if len(runs) > 1 else chain.from_iterable(runs)


def reach(query: Query) -> tuple[int | None, int | None, tuple[str, ...] | None]:
    """Return the bounds of a question, narrowed by its cursor, and its kinds."""
    since, until = query.since, query.until
    if query.after is not None and query.order == "newest":
        until = query.after[0] if until is None else min(until, query.after[0])
    if query.after is not None and query.order == "oldest":
        since = query.after[0] if since is None else max(since, query.after[0])
    return since, until, query.kinds


def span(query: Query, day: int) -> tuple[int, int]:
    """Return the first and the last second of a day that a question reaches into."""
    since, until, _ = reach(query)
    first = 0 if since is None else (since - day * DAY) // SECOND
    last = 86_399 if until is None else (until - day * DAY) // SECOND
    return first, last

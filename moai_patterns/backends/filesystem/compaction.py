"""Brings closed days into segments, and makes removals and superseded revisions physical.

1. Segments of a new generation are built beside what is there; nothing sees them yet. They, and
   the journals that they go by, are flushed.
2. The manifest is replaced: that rename is the commit.
3. What the segments hold now is removed where it came from: hot files first, then journals, all at
   once by a second manifest that calls them dead, then segments that no manifest names. Readers by an
   older manifest are waited for, a while; what stays is removed by the next run. Until then readers
   see both and take each revision once.

A kill between any two steps leaves a tree with the same answers.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from heapq import merge
from itertools import chain
from operator import itemgetter

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem import manifest
from moai_patterns.backends.filesystem.cold import Cold
from moai_patterns.backends.filesystem.hotlog import HotLog
from moai_patterns.backends.filesystem.manifest import PARTS, Manifest
from moai_patterns.backends.filesystem.names import digest
from moai_patterns.backends.filesystem.reading import Snapshot
from moai_patterns.backends.filesystem.segment_writer import DATA, INDEX, SegmentFacts, key, write_segment
from moai_patterns.backends.filesystem.tree import Tree
from moai_patterns.errors import DamageError
from moai_patterns.instant import DAY, isoformat
from moai_patterns.query import Key, Query, Record

_HASHES = 1 << 22  # held at once, eight bytes each
_ALL = Query(limit=None, order="oldest", revisions="all")


class Folding:
    """What one run brings into segments, and which lines of the journals it makes superfluous.

    Parameters:
        snapshot: the tree.
        days: closed UTC days: everything loose in them goes into their segments.

    Segments that hold what was removed, or as a head what was superseded, are rewritten whatever
    their day. A journal's line has to stay when its
    day is another one, or as long as an older revision of its id lies loose in another day: then it
    is what tells that this one is no head.
    """

    def __init__(self, snapshot: Snapshot, days: Iterable[int]) -> None:
        self.snapshot = snapshot
        self.overlay = snapshot.overlay
        self._held: dict[tuple[int, int], list[array[int]]] = {}
        self.changed = {digest(identity): identity for identity in self.overlay.ids()}
        self.stale = {day for identity in self.changed.values() for day in self._stale(identity)}
        self.days = set(days)
        self.rewritten = self.stale | {day for day in self.days if self.has_loose(day)}
        self._oldest_loose = self._outside() if self.changed else {}

    def drops(self, record: Record, seq: int) -> bool:
        """Tell whether a record was removed."""
        return self.overlay.is_gone(record["pattern_id"], seq)

    def takes(self, record: Record, seq: int) -> bool:
        """Tell whether a hot file's or a journal's record goes into the segments of its day."""
        return not self.drops(record, seq)

    def has_loose(self, day: int) -> bool:
        """Tell whether a day has hot files or journal lines that its segments do not hold."""
        cold = self.snapshot.cold
        for names in self.snapshot.hot_names(day):
            if not all(self.is_held(cold, day, entry[3], 1) for entry in names):
                return True
        return not all(
            self.is_held(cold, day, found.hashes[position], found.revisions[position])
            for found in self.snapshot.journals
            for position in found.by_day().get(day, ())
        )

    def is_held(self, cold: Cold, day: int, hashed: int, revision: int) -> bool:
        """Tell whether the segments of a day hold this revision."""
        if hashed not in self.changed:
            return any(is_among(known, hashed) for known in self.hashes(cold, day))
        parts = [part for part in (cold.segment(name, day) for name in PARTS) if part is not None]
        found = (record for part in parts for record in part.find(self.changed[hashed]))
        return any(record["_meta"]["revision"] == revision for record in found)

    def hashes(self, cold: Cold, day: int) -> list[array[int]]:
        """Return what the segments of a day hold for certain, by part: nothing where one cannot be read.

        Every line is looked for, one after the other.
        """
        place = cold.manifest.generation, day
        known = self._held.get(place)
        if known is None:
            known = []
            for part in (cold.segment(name, day) for name in PARTS):
                if part is not None:
                    with suppress(DamageError):  # whoever rewrites the day says so
                        known.append(part.hashes())
            while sum(len(one) for held in self._held.values() for one in held) > _HASHES:
                del self._held[next(iter(self._held))]
            self._held[place] = known
        return known

    def _stale(self, identity: str) -> Iterator[int]:
        """Yield the days whose segments say of an id what the journals have changed."""
        for part in PARTS:
            for record in self.snapshot.cold.find(identity, part):
                meta = record["_meta"]
                gone = self.overlay.is_gone(identity, meta["seq"])
                if gone or (part == "heads" and self.overlay.is_superseded(identity, meta["revision"])):
                    yield meta["instant"] // DAY

    def is_anchored(self, hashed: int, revision: int) -> bool:
        """Tell whether an older revision of an id lies loose in a day that stays as it is."""
        return self._oldest_loose.get(hashed, revision) < revision

    def _outside(self) -> dict[int, int]:
        """The oldest revisions of changed ids that lie loose in days that stay as they are, by hash."""
        oldest: dict[int, int] = {}
        for found in self.snapshot.journals:
            for day, positions in found.by_day().items():
                if day not in self.days:
                    for position in positions:
                        hashed, revision = found.hashes[position], found.revisions[position]
                        if hashed in self.changed:
                            oldest[hashed] = min(revision, oldest.get(hashed, revision))
        for day, _ in manifest.day_directories(self.snapshot.tree.root):
            if day not in self.days:
                for names in self.snapshot.hot_names(day):
                    oldest.update((entry[3], 1) for entry in names if entry[3] in self.changed)
        return oldest


def is_among(hashes: array[int], hashed: int) -> bool:
    """Tell whether a sorted array holds a number."""
    at = bisect_left(hashes, hashed)
    return at < len(hashes) and hashes[at] == hashed


def build(tree: Tree, folding: Folding) -> tuple[Manifest, int, dict[int, str]]:
    """Write the segments of a new generation.

    Return the manifest to be, how many heads came in, and what is damaged in the days that stay as they
    are for it: one file that cannot be read is no reason to leave the others.
    """
    known = folding.snapshot.cold.manifest
    if known.guessed and any(manifest.segment_files(tree)):
        raise DamageError(
            f"{known.damage}; what was removed may be among them, so nothing is compacted: bring the "
            "manifest back from a backup, or let `moai-patterns repair` make one of what is there"
        )
    generation = known.generation + 1
    changes: dict[str, dict[int, SegmentFacts | None]] = {part: {} for part in PARTS}
    moved = 0
    damaged: dict[int, str] = {}
    for day in sorted(folding.rewritten):
        try:
            built, taken = _build_day(tree, folding, day, generation)
        except DamageError as damage:
            damaged[day] = str(damage)
            continue
        except OSError:  # a full disk, say, of which they would take up the rest
            _discard(tree, generation)
            raise
        moved += taken
        for part, facts in built.items():
            changes[part][day] = facts
    heads, history = (known.part(part).changed(changes[part]) for part in PARTS)
    return replace(known, generation=generation, heads=heads, history=history), moved, damaged


def _discard(tree: Tree, generation: int) -> None:
    """Remove the segments that were written for a manifest that does not come."""
    for _, _, found, stem in list(manifest.segment_files(tree)):
        if found == generation:
            fileops.remove(stem + DATA)
            fileops.remove(stem + INDEX)


def _build_day(
    tree: Tree, folding: Folding, day: int, generation: int
) -> tuple[dict[str, SegmentFacts | None], int]:
    """Write the segments of a day; return their facts by part, and how many heads came in."""
    known, taken = folding.snapshot.cold.manifest, [0]
    built: dict[str, SegmentFacts | None] = {}
    for part in PARTS:
        if part == "history" and not folding.changed and day not in known.history:
            continue  # no need to read the day a second time
        records = _sorted(folding, day, part, taken)
        built[part] = write_part(tree, day, part, generation, records)
    return built, taken[0]


def flush_journals(folding: Folding, days: set[int]) -> None:
    """Bring to the medium the journals that the segments go by; at the level `os` they may not be there.

    A power cut could take a newer revision and leave the one before it in the history, without a head,
    or as a second head in an older journal; or half of a batch. Of what lies in these `days` alone nothing
    is left that a segment does not hold.
    """
    known = [
        found
        for found in folding.snapshot.journals
        if found.removals
        or max(found.revisions, default=1) > 1
        or (found.by_day().keys() & folding.days and found.by_day().keys() - days)
    ]
    for found in known:
        fileops.sync_file(found.path)
    if known:
        fileops.sync_dir(folding.snapshot.tree.journals)


def commit(tree: Tree, content: Manifest, log: HotLog) -> None:
    """Put a manifest in place of the one before, for good; to be called under the lock of the tree."""
    manifest.write(tree, replace(content, seq=max(log.seq, content.seq)))


def write_part(
    tree: Tree, day: int, part: str, generation: int, records: Iterator[Record]
) -> SegmentFacts | None:
    """Write the segment of one part of a day and flush it; None, and no file, when there is no record."""
    first = next(records, None)
    if first is None:
        return None
    name = f"{isoformat(day * DAY)[:10].replace('-', '')}.{generation}"
    stem = tree.path(manifest.stem(day, part, name))
    fileops.make_dirs(os.path.dirname(stem))
    for suffix in (DATA, INDEX):
        fileops.remove(stem + suffix)  # of a run that was killed before its commit
    facts = write_segment(stem, chain((first,), records))
    directory = os.path.dirname(stem)
    while len(directory) >= len(tree.root):
        fileops.sync_dir(directory)
        directory = os.path.dirname(directory)
    return facts


def _sorted(folding: Folding, day: int, part: str, taken: list[int]) -> Iterator[Record]:
    """Yield what one part of a day is to hold, in order; `taken` counts the heads that are new to it."""
    last = None
    changes = bool(folding.overlay)
    for place, record, was in merge(*_sources(folding, day), key=itemgetter(0)):
        if place == last:
            continue
        superseded = False
        if changes:
            meta = record["_meta"]
            if was and folding.drops(record, meta["seq"]):
                continue
            superseded = folding.overlay.is_superseded(record["pattern_id"], meta["revision"])
        last = place
        becomes = "history" if superseded or was == "history" else "heads"
        if becomes == part:
            taken[0] += was == "" and part == "heads"
            yield record


def _sources(folding: Folding, day: int) -> Iterator[Iterator[tuple[Key, Record, str]]]:
    """Yield the sorted sources of a day: its segments, each record with its part, then what is loose."""
    for part in PARTS:
        segment = folding.snapshot.cold.segment(part, day)
        if segment is not None:
            yield _marked(segment.scan(), part)
    if day in folding.days:
        keep = folding.takes if folding.overlay else None
        for records in folding.snapshot.loose(day, _ALL, keep):
            yield _marked(records, "")


def _marked(records: Iterator[Record], part: str) -> Iterator[tuple[Key, Record, str]]:
    return ((key(record), record, part) for record in records)

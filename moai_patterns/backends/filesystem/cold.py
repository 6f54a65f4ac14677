"""The cold part of a tree as its manifest describes it: open segments by day."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from operator import itemgetter

from moai_patterns.backends.filesystem import manifest
from moai_patterns.backends.filesystem.manifest import PARTS, Days, Manifest, Seen
from moai_patterns.backends.filesystem.segment import Segment
from moai_patterns.backends.filesystem.segment_writer import SegmentFacts
from moai_patterns.backends.filesystem.tree import Tree
from moai_patterns.errors import DamageError
from moai_patterns.query import Record

# Each open segment holds a descriptor, and a process has 1,024 of them by default.
_MOST_OPEN = 256


class Cold:
    """The segments of one manifest. A new manifest gives a new object; open readers keep theirs."""

    def __init__(self, tree: Tree, content: Manifest, seen: Seen | None = None) -> None:
        self.manifest = content
        self._tree = tree
        self._seen = seen
        self._segments: dict[tuple[str, int], Segment] = {}
        self._by_id: dict[str, _Ranges] = {}

    def segment(self, part: str, day: int) -> Segment | None:
        """Return the segment of a day's heads or history, if there is one."""
        facts = self.manifest.part(part).get(day)
        return None if facts is None else self._open(part, day, facts)

    def segments(self, part: str) -> Iterator[tuple[int, Segment]]:
        """Yield the segments of `heads` or `history` by day."""
        for day, facts in self.manifest.part(part).items():
            yield day, self._open(part, day, facts)

    def may_hold(self, identity: str, hashed: int) -> bool:
        """Tell by manifest and side indexes alone whether an id may be in any segment."""
        if not (self.manifest.heads or self.manifest.history):
            return self.manifest.lost
        for part in PARTS:
            for day, facts in self._ranges(part).around(identity):
                if self._open(part, day, facts).may_hold(hashed):
                    return True
        return self.manifest.lost

    def find(self, identity: str, part: str) -> list[Record]:
        """Return every revision of an id among the heads, or in the history."""
        found: list[Record] = []
        for day, facts in self._ranges(part).around(identity):
            found += self._open(part, day, facts).find(identity)
        if not found and self.manifest.lost:
            raise DamageError(self.manifest.damage)
        return found

    def _ranges(self, part: str) -> _Ranges:
        if part not in self._by_id:
            self._by_id[part] = _Ranges(self.manifest.part(part))
        return self._by_id[part]

    def is_current(self) -> bool:
        """Tell whether the manifest is still the file that this was read from."""
        return manifest.seen(self._tree) == self._seen

    def close(self) -> None:
        """Close what is open."""
        for segment in list(self._segments.values()):
            segment.close()

    def _open(self, part: str, day: int, facts: SegmentFacts) -> Segment:
        segment = self._segments.get((part, day))
        if segment is None:
            while len(self._segments) >= _MOST_OPEN:  # the one that was opened first; readers keep theirs
                # A copy in one step: other threads open and close some meanwhile.
                oldest = self._segments.pop(next(iter(tuple(self._segments))), None)
                if oldest is not None:
                    oldest.close()
            segment = Segment(self._tree.path(manifest.stem(day, part, facts.name)), facts)
            self._segments[part, day] = segment
        return segment

    def successor(self, content: Manifest, seen: Seen) -> Cold:
        """Return the object for a newer manifest, with the segments that both have."""
        following = Cold(self._tree, content, seen)
        for (part, day), segment in list(self._segments.items()):  # scans of other threads may open some
            if content.part(part).get(day) == segment.facts:
                following._segments[part, day] = segment
        return following


class _Ranges:
    """Segments by the ids they span: ids made in order of time touch one or two, whatever there are."""

    def __init__(self, segments: Days) -> None:
        self._segments = segments
        self._sorted = segments.id_ranges()
        self._last_so_far = list(accumulate((last for _, last, _ in self._sorted), max))

    def around(self, identity: str) -> Iterator[tuple[int, SegmentFacts]]:
        """Yield the segments whose smallest and largest id have this one between them."""
        at = bisect_right(self._sorted, identity, key=itemgetter(0)) - 1
        while at >= 0 and self._last_so_far[at] >= identity:
            _, last, day = self._sorted[at]
            if last >= identity:
                yield day, self._segments[day]
            at -= 1


class ColdView:
    """The cold part as it is now, looked at again whenever the manifest is another file."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._seen: Seen | None = None
        self._cold = Cold(tree, Manifest())

    def now(self) -> Cold:
        """Return the cold part by the present manifest."""
        seen = manifest.seen(self._tree)
        if seen != self._seen:
            self._cold = self._cold.successor(manifest.load(self._tree), seen)
            self._seen = seen
        return self._cold

    def close(self) -> None:
        """Close what is open."""
        self._cold.close()
        self._seen = None

"""Counts and sizes that the manifest and file names answer without opening a record."""

from __future__ import annotations

import os
from collections import Counter

from moai_patterns.backends.filesystem.manifest import PARTS
from moai_patterns.backends.filesystem.names import digest
from moai_patterns.backends.filesystem.reading import Snapshot
from moai_patterns.backends.filesystem.segment import Segment
from moai_patterns.backends.filesystem.segment_writer import DATA, INDEX
from moai_patterns.backends.filesystem.tree import Tree
from moai_patterns.instant import DAY, FIRST, LAST
from moai_patterns.query import Query


def is_countable(query: Query) -> bool:
    """Tell whether a question is one of whole days and kinds, without anything that needs a record."""
    return (
        not query.asks_tags
        and query.ids is None
        and query.where is None
        and query.after is None
        and query.revisions == "heads"
    )


def is_everything_until(query: Query) -> bool:
    """Tell whether a question asks for all records up to the end of a UTC day, and nothing else."""
    ends_day = query.until is not None and (query.until + 1) % DAY == 0
    bare = query.since is None and query.kinds is None and query.limit is None
    return ends_day and bare and is_countable(query)


def untouched(snapshot: Snapshot, query: Query) -> list[tuple[int, Segment]]:
    """Return the days, all of which the question asks for, that are wholly in a segment of heads."""
    since = FIRST if query.since is None else query.since
    until = LAST if query.until is None else query.until
    changed = {digest(identity) for identity in snapshot.overlay.ids()}
    return [
        (day, segment)
        for day, segment in snapshot.cold.segments("heads")
        if since <= day * DAY
        and (day + 1) * DAY - 1 <= until
        and not any(segment.may_hold(hashed) for hashed in changed)
        and not any(day in found.by_day() for found in snapshot.journals)
        and not any(snapshot.hot_names(day))
    ]


def span_of_days(query: Query) -> tuple[int, int]:
    """Return the first and the last UTC day that a question can be about."""
    since = FIRST if query.since is None else query.since
    until = LAST if query.until is None else query.until
    return since // DAY, until // DAY


def days(snapshot: Snapshot, query: Query) -> dict[int, dict[str, int]]:
    """Return the number of heads per day and kind that answer a countable question."""
    found = {}
    changed = {digest(identity) for identity in snapshot.overlay.ids()}
    for day in sorted(snapshot.days()):
        if query.since is not None and day < query.since // DAY:
            continue
        if query.until is not None and day > query.until // DAY:
            continue
        counts = _by_facts(snapshot, day, query, changed)
        if counts is None:
            records = snapshot.day(day, query.but(order="newest"), newest=True)
            counts = Counter(record["pattern_type"] for record in records if query.matches(record))
        if counts:
            found[day] = dict(counts)
    return found


def _by_facts(snapshot: Snapshot, day: int, query: Query, changed: set[int]) -> Counter[str] | None:
    """Count a day by its segment's facts and its hot files' names; None when that is not enough."""
    since, until = query.since, query.until
    if (since is not None and since > day * DAY) or (until is not None and until < (day + 1) * DAY - 1):
        return None
    if any(day in found.by_day() for found in snapshot.journals):
        return None
    counts: Counter[str] = Counter()
    heads, history = (snapshot.cold.segment(part, day) for part in PARTS)
    if heads is not None:
        if any(heads.may_hold(hashed) for hashed in changed):
            return None
        counts.update(heads.facts.kinds)
    for names in snapshot.hot_names(day):
        for _, _, kind, hashed in names:
            if hashed in changed or (history is not None and history.may_hold(hashed)):
                return None
            if heads is None or not heads.may_hold(hashed):
                counts[kind] += 1
            elif not heads.holds(hashed):
                return None
    if query.kinds is not None:
        counts = Counter({kind: counts[kind] for kind in query.kinds if counts[kind]})
    return counts


def sizes(tree: Tree) -> dict[str, int]:
    """Return apparent bytes of what is hot, cold and neither."""
    found = {"hot": 0, "cold": 0, "other": 0}
    for directory, _, names in os.walk(tree.root):
        top = os.path.relpath(directory, tree.root).split(os.sep)[0]
        for name in names:
            try:
                size = os.lstat(os.path.join(directory, name)).st_size
            except OSError:
                continue  # gone meanwhile, or something else is in its place
            if name.endswith((DATA, INDEX)):
                found["cold"] += size
            elif top in ("index", "tmp", "."):
                found["other"] += size
            elif top != "reserve":
                found["hot"] += size
    return found

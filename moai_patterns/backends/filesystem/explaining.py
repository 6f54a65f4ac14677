"""What a question to a tree would read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from moai_patterns.aggregates import Aggregation
from moai_patterns.backends.base import parts
from moai_patterns.backends.filesystem import aggregating, counting
from moai_patterns.backends.filesystem.manifest import PARTS
from moai_patterns.backends.filesystem.reading import Snapshot
from moai_patterns.backends.filesystem.segment_writer import DATA
from moai_patterns.query import Query


def by_ids(query: Query, asked: Aggregation | None) -> dict[str, Any]:
    """Tell of a question that names its records."""
    return {"reads": f"{len(query.id_set)} ids, each by its place", **_left(query, ("ids",), asked)}


def by_days(snapshot: Snapshot, query: Query, asked: Aggregation | None) -> dict[str, Any]:
    """Tell of any other question what lies in the days that it is about."""
    low, high = counting.span_of_days(query)
    days = {day for day in snapshot.days() if low <= day <= high}
    segments = [
        segment
        for part in (PARTS if query.revisions == "all" else PARTS[:1])
        for day, segment in snapshot.cold.segments(part)
        if day in days
    ]
    hot = sum(len(names) for day in days for names in snapshot.hot_names(day))
    return {
        "reads": f"{len(days)} days",
        "segments": len(segments),
        "segment_bytes": sum(os.stat(segment.path + DATA).st_size for segment in segments),
        "hot_files": hot,
        "journals": len(snapshot.journals),
        **_left(query, ("kinds", "since", "until"), asked),
    }


def _left(query: Query, known: Sequence[str], asked: Aggregation | None) -> dict[str, list[str]]:
    """Tell what is decided before a record is read, and what by reading it."""
    left = [name for name in parts(query) if name not in known]
    pushed = [name for name in parts(query) if name in known]
    if asked is not None:
        by_engine = counting.is_countable(query) and query.limit is None and aggregating.has_engine(asked)
        (pushed if by_engine else left).append("groups")
    return {"pushed_down": pushed, "per_record": left}

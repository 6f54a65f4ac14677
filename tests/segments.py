"""Records for segments, and a segment to try things on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from moai_patterns.backends.filesystem.segment import Segment
from moai_patterns.backends.filesystem.segment_writer import SegmentFacts, key, write_segment
from moai_patterns.instant import isoformat
from samples import sample

START = 1_764_374_400_000_000  # 2025-11-29T00:00Z
KINDS = ("task_completion", "error_occurrence", "agent_usage")


def stored(
    number: int, moment: int, kind: str = KINDS[0], *, identity: str = "", **data: Any
) -> dict[str, Any]:
    """A stored record; `number` is its arrival number and, without `identity`, its id."""
    record = sample(identity or f"id-{number:04}", isoformat(moment), kind, tags=["ä"], **data)
    meta = {"instant": moment, "revision": 1, "recorded_at": moment, "operation": "save", "seq": number}
    return {**record, "_meta": meta}


def some(count: int, *, seed: int = 1, ids: int = 0, spread: int = 40) -> list[dict[str, Any]]:
    """Records in the order of a segment: instants that collide, and revisions where ids do."""
    chance = random.Random(seed)
    records = []
    for number in range(1, count + 1):
        identity = f"id-{chance.randrange(ids)}" if ids else ""
        moment = START + chance.randrange(spread)
        record = stored(
            number, moment, chance.choice(KINDS), identity=identity, note="x" * chance.randrange(9)
        )
        record["_meta"]["revision"] = number if ids else 1
        records.append(record)
    return sorted(records, key=key)


def made(place: Path, records: list[dict[str, Any]]) -> Segment:
    """A segment of these records."""
    stem = str(place / "20251129.1")
    return Segment(stem, write_segment(stem, iter(records)))


def files(segment: Segment) -> tuple[Path, Path]:
    """The data file and the side index of a segment."""
    return Path(segment.path + ".jsonl.gz"), Path(segment.path + ".idx")


def anew(segment: Segment, facts: SegmentFacts | None = None) -> Segment:
    """The same files, opened as by another process."""
    return Segment(segment.path, facts or segment.facts)

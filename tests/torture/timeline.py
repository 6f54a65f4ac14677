"""Whether a store has every record at its place in time: partition, order, ranges, counts, pages."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from moai_patterns import PatternStorage, ValidationError
from moai_patterns.query import Order, Query
from torture.promise import must
from torture.world_time import LAST, day_path

_RANGES = 10
_PAGE = 7
Moments = Mapping[str, int]


def kept(storage: PatternStorage, stamps: Iterable[tuple[str, int | None]]) -> dict[str, int]:
    """Save a record of each timestamp and return the instants by id; those without one must be refused."""
    wanted: dict[str, int] = {}
    for number, (text, moment) in enumerate(stamps):
        identity = f"{number * 7919 % 1009:04d}-{number}"
        record = {"pattern_id": identity, "pattern_type": "hook_event", "timestamp": text}
        try:
            storage.save({**record, "data": {"event": "Stop"}})
        except ValidationError:
            must(moment is None, f"{text!r} was refused")
        else:
            must(moment is not None, f"{text!r} was taken, and is no time that exists")
            wanted[identity] = moment or 0
    return wanted


def judge(storage: PatternStorage, wanted: Moments, seed: int) -> None:
    """Hold all answers of a store against the instants that its records should have.

    Takes the records in the order in which they were saved.
    """
    ordered = sorted(wanted, key=lambda identity: (wanted[identity], identity))
    orders: dict[Order, list[str]] = {"oldest": ordered, "newest": ordered[::-1], "arrival": list(wanted)}
    for order, expected in orders.items():
        found = list(storage.backend.scan(Query(order=order, limit=None)))
        must([one["pattern_id"] for one in found] == expected, f"the order {order} is another one")
        wrong = [one for one in found if one["_meta"]["instant"] != wanted[one["pattern_id"]]]
        must(not wrong, f"another instant: {wrong[:1]}")
        must(_pages(storage, order) == expected, f"the pages in the order {order} are no scan")
    days = Counter(map(day_path, wanted.values()))
    told = {day: sum(kinds.values()) for day, kinds in storage.stats()["days"].items()}
    must(told == {day.replace("/", "-"): number for day, number in days.items()}, f"days: {told}")
    _judge_ranges(storage, wanted, ordered, random.Random(seed))


def _pages(storage: PatternStorage, order: Order) -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = storage.query(limit=_PAGE, order=order, cursor=cursor)
        found += [one["pattern_id"] for one in page]
        cursor = page.cursor
        if cursor is None:
            return found


def _judge_ranges(
    storage: PatternStorage, wanted: Moments, ordered: Sequence[str], choose: random.Random
) -> None:
    for _ in range(min(_RANGES, len(ordered))):
        first, last = sorted(choose.choices(range(len(ordered)), k=2))
        start, end = wanted[ordered[first]], wanted[ordered[last]]
        for since, until in ((start, end), (start + 1, end), (start, end - 1)):
            expected = [identity for identity in ordered if since <= wanted[identity] <= until]
            asked: dict[str, Any] = {"start_date": since, "end_date": until}
            found = [one["pattern_id"] for one in storage.iter(order="oldest", **asked)]
            must(found == expected, f"from {since} to {until}: {found}, not {expected}")
            must(storage.count(**asked) == len(expected), f"from {since} to {until}: another count")
    for identity in choose.sample(ordered, min(_RANGES, len(ordered))):
        # The stamp itself, with a time or an offset, is a bound that includes its own record.
        record = storage.load(identity)
        text = record["timestamp"] if record else ""
        if len(text) > len("YYYY-MM-DD"):
            found = [one["pattern_id"] for one in storage.iter(start_date=text, end_date=text)]
            must(identity in found, f"{text} is not in the range from itself to itself")


def judge_files(root: Path, wanted: Moments) -> None:
    """Hold the day directories of a tree against the UTC days of the records."""
    held: dict[str, str] = {}
    for path in root.glob("[0-9]*/*/*/*.json"):
        held[json.loads(path.read_bytes())["pattern_id"]] = str(path.parent.relative_to(root))
    for path in root.glob("[0-9]*/*/*/*.jsonl.gz"):
        directory = str(path.parent.relative_to(root))
        must(path.name.startswith(directory.replace("/", "")), f"{path} is named after another day")
        for line in gzip.decompress(path.read_bytes()).splitlines():
            held[json.loads(line)["pattern_id"]] = directory
    expected = {identity: day_path(moment) for identity, moment in wanted.items()}
    must(held == expected, f"another day: {sorted(held.items() ^ expected.items())[:4]}")


def judge_everywhere(place: Path, stamps: Sequence[tuple[str, int | None]], seed: int) -> int:
    """Store the timestamps on every backend, hot and compacted, and judge; return how many were stored."""
    stored = 0
    for backend in ("memory", "sqlite", "filesystem"):
        path = place / backend
        with timeless(backend, path, lambda: LAST * 1000) as storage:
            wanted = kept(storage, stamps)
            judge(storage, wanted, seed)
            if backend == "filesystem":
                judge_files(path, wanted)
                storage.compress_old_files()
                judge_files(path, wanted)
                judge(storage, wanted, seed)
            must(storage.check(read_data=True) == [], "check finds fault")
        stored += len(wanted)
    return stored


def timeless(backend: str, path: Path, clock: Callable[[], int], **options: Any) -> PatternStorage:
    """Open a store that does nothing by itself and compacts every closed day."""
    options = {"compression_threshold_days": 0, "maintenance_interval": None, **options}
    return PatternStorage(backend, path, clock=clock, **options)

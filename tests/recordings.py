"""The recordings beside the checkout in stores of each backend, and questions about what is in them."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from moai_patterns import PatternStorage, Query, field
from moai_patterns.collect.importing import import_paths
from moai_patterns.conditions import Condition
from moai_patterns.instant import instant, isoformat
from moai_patterns.query import Order, Record

ORDERS: tuple[Order, ...] = ("newest", "newest", "oldest", "arrival")
WEEK = 7 * 24 * 3600 * 1_000_000_000
CALLS = ("hook_event", "tool_use", "task_completion", "agent_usage", "error_occurrence", "user_correction")


def next_week() -> int:
    """A clock by which every recording is of a closed day."""
    return time.time_ns() + WEEK


def opened(backend: str, path: Path) -> PatternStorage:
    """A storage that compacts every closed day, and what closed means is the week to come."""
    return PatternStorage(
        backend, path, compression_threshold_days=0, clock=next_week, maintenance_interval=None
    )


def imported(backend: str, path: Path, shared_data: Path) -> PatternStorage:
    """An open storage with all hook payloads and transcripts, as they are."""
    storage = opened(backend, path)
    import_paths([shared_data], storage, key=None)
    return storage


def values(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every path below a value that a condition can name, with what stands there."""
    if path[1:]:
        yield path, value
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, member in members:
        if step != "":
            yield from values(member, (*path, str(step)))


class Questions:
    """Questions drawn from the records themselves, so that bounds, tags and values hit.

    The same seed asks the same questions of the same records.
    """

    def __init__(self, records: list[Record], seed: int) -> None:
        self._records = records
        self._chance = random.Random(seed)
        self._tags = [*sorted({tag for r in records for tag in r.get("context", {}).get("tags", ())}), "none"]
        self.asked: Counter[str] = Counter()

    def draw(self) -> Query:
        """The next question."""
        pick = self._chance.choice
        filters: dict[str, Callable[[], Any]] = {
            "pattern_type": lambda: pick((*CALLS, CALLS[:2], CALLS[3:], ("none",))),
            "start_date": self._bound,
            "end_date": self._bound,
            "tags": lambda: self._chance.sample(self._tags, pick((1, 1, 2, 5))),
            "where": lambda: self._where(2),
            "ids": lambda: [r["pattern_id"] for r in self._chance.sample(self._records, 30)],
        }
        weights = (4, 2, 2, 3, 6, 1)
        names = set(self._chance.choices(list(filters), weights, k=pick((1, 1, 2, 3))))
        self.asked.update(names)
        order = pick(ORDERS)
        self.asked[order] += 1
        limit = pick((None, 0, 1, 7, 100, 1000))
        return Query(limit=limit, order=order, **{name: filters[name]() for name in sorted(names)})

    def _bound(self) -> Any:
        stamp = self._chance.choice(self._records)["timestamp"]
        moment = instant(stamp) + self._chance.choice((0, 0, 1, -1))
        return self._chance.choice((stamp, moment, isoformat(moment), stamp[:10]))

    def _where(self, depth: int) -> Condition:
        form = self._chance.choice(("one", "one", "not", "and", "or")) if depth else "one"
        if form == "not":
            return ~self._where(depth - 1)
        if form == "one":
            return self._comparison()
        left, right = self._where(depth - 1), self._where(depth - 1)
        return left & right if form == "and" else left | right

    def _comparison(self) -> Condition:
        record = self._chance.choice(self._records)
        root = self._chance.choice(("data", "data", "context"))
        found = list(values(record.get(root, {}), (root,)))
        if not found:
            return field("data.nothing").exists()
        path, value = self._chance.choice(found)
        here = field(*path)
        forms: list[Callable[[], Condition]] = [
            lambda: here == value,
            lambda: here != value,
            lambda: here.in_([value, 0, "x", None]),
            here.exists,
            here.is_null,
        ]
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            forms += [
                lambda: here < value,
                lambda: here <= value,
                lambda: here > value,
                lambda: here >= value,
            ]
        return self._chance.choice(forms)()

"""What one `capture()` costs in a small store and in a large one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.stores import Filled
from moai_patterns import PatternStorage
from moai_patterns.bench.cases import opened
from moai_patterns.bench.measuring import Act, Case, Contestant
from moai_patterns.bench.samples import context, history, payload

_SMALL = 10_000
_CAPTURES = 100
_FLOOR = f"with {_SMALL:,} records"


def cases(filled: Filled) -> list[Case]:
    """Return a case for each backend; the large stores are filled when the first of them begins."""
    return [
        Case(
            f"capture with {filled.count:,} records, {shown}",
            partial(_contest, filled, backend),
            {_FLOOR: 1.3},
            rounds=51,
        )
        for backend, shown in (("filesystem", "filesystem"), ("sqlite", "SQLite"))
    ]


@contextmanager
def _contest(filled: Filled, backend: str, directory: Path) -> Iterator[Sequence[Contestant]]:
    stores = filled.stores
    large = stores.tree if backend == "filesystem" else stores.database
    large.save_many(stores.rest)  # loose in the tree, as nothing of today is compacted
    with opened(backend, directory / "small") as small:
        small.save_many(history(_SMALL, time.time_ns() // 1000))
        small.compress_old_files()
        yield [
            Contestant(f"{filled.count:,}", partial(_capturing, large), _CAPTURES),
            Contestant(_FLOOR, partial(_capturing, small), _CAPTURES),
        ]


def _capturing(storage: PatternStorage, number: int) -> Act:
    first = number * _CAPTURES
    calls = [(payload(at), context(at)) for at in range(first * 2 + 1, (first + _CAPTURES) * 2, 2)]
    return partial(_each, storage.capture, calls)


def _each(capture: Callable[..., object], calls: Sequence[tuple[object, object]]) -> None:
    for data, surroundings in calls:
        capture("task_completion", data, surroundings)

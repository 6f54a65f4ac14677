"""What one `capture()` costs in a small store and in a large one, in turns within the same run."""

from __future__ import annotations

import statistics
import time

from benchmarks.stores import context, payload
from moai_patterns import PatternStorage

CALLS = 100


def seconds_per_call(storage: PatternStorage, first: int) -> float:
    """The mean over one round of captures."""
    calls = [(payload(number), context(number)) for number in range(first * 2 + 1, (first + CALLS) * 2, 2)]
    begin = time.perf_counter()
    for data, surroundings in calls:
        storage.capture("task_completion", data, surroundings)
    return (time.perf_counter() - begin) / CALLS


def compare(small: PatternStorage, large: PatternStorage, rounds: int) -> tuple[float, float]:
    """Median seconds per capture in either store, taken in turns so that both see the same machine."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for storage, seconds in zip((small, large), taken, strict=True):
            seconds.append(seconds_per_call(storage, number * CALLS))
    return statistics.median(taken[0]), statistics.median(taken[1])

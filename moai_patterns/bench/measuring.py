"""Times contestants in turns within one run, so that all of them see the same machine."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

Act = Callable[[], object]
OURS = "moai_patterns"


@dataclass(frozen=True)
class Contestant:
    """One of those compared.

    Parameters:
        name: what tables call it.
        prepare: gets the number of a round, makes what the round needs, and returns what is timed.
        operations: how many of them one round does.
    """

    name: str
    prepare: Callable[[int], Act]
    operations: int


Contest = AbstractContextManager[Sequence[Contestant]]


@dataclass(frozen=True)
class Case:
    """One comparison of this store with the floor, and with what else could be used.

    Parameters:
        name: what tables call it.
        contest: opens the contestants in an empty directory, this store first.
        targets: the ratio to reach, by the name of the other contestant. Those without one are shown too.
        rounds: how often each has its turn; the median counts.
    """

    name: str
    contest: Callable[[Path], Contest]
    targets: Mapping[str, float]
    rounds: int = 9


@dataclass(frozen=True)
class Row:
    """What a comparison found.

    `ours` and `other` are seconds per operation, or megabytes. `target` is None where none is set.
    """

    case: str
    against: str
    ours: float
    other: float
    target: float | None
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """How many times as much this store takes."""
        return self.ours / self.other

    @property
    def is_met(self) -> bool:
        """Whether the target is reached; so it is where there is none."""
        return self.target is None or self.ratio <= self.target


def fresh(directory: Path) -> Path:
    """Return a new empty directory inside another, to be removed with it, and not before.

    After a removal ext4 passes over what was freed for some seconds: a new file costs up to 0.4 ms then.
    """
    return Path(tempfile.mkdtemp(dir=directory))


def measure(case: Case, directory: Path, rounds: int = 0) -> Iterator[Row]:
    """Yield a row for each contestant that this store is compared with.

    Parameters:
        case: what to measure.
        directory: an empty one.
        rounds: how often each has its turn. Default: as often as the case says.
    """
    taken: dict[str, list[float]] = {}
    with case.contest(directory) as contestants:
        for number in range(rounds or case.rounds):
            # Who comes first finds other caches than who comes last.
            turn = number % len(contestants)
            for contestant in (*contestants[turn:], *contestants[:turn]):
                taken.setdefault(contestant.name, []).append(_seconds(contestant, number))
    ours, *others = [contestant.name for contestant in contestants]
    median = {name: statistics.median(seconds) for name, seconds in taken.items()}
    for name in others:
        yield Row(case.name, name, median[ours], median[name], case.targets.get(name))


def _seconds(contestant: Contestant, number: int) -> float:
    act = contestant.prepare(number)
    gc.collect()  # what the others left is not paid for here
    begin = time.perf_counter()
    act()
    return (time.perf_counter() - begin) / contestant.operations

"""A promise of the store, and what its cases report: numbered, so that any share can be run and counted."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

FIRED = "faults"


class BrokenPromiseError(AssertionError):
    """A case in which the store did not keep its promise; the message says how."""


def must(holds: bool, sentence: str) -> None:
    """Raise `BrokenPromiseError` with the sentence unless it holds."""
    if not holds:
        raise BrokenPromiseError(sentence)


@dataclass
class Tally:
    """What cases did: numbers that add up, and figures of which the worst counts.

    `faults` is the one number that every promise reports: how often what it is about really happened
    (a process died, a bit was flipped, a write failed). A run in which that is 0 fails.
    """

    counts: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, number: int = 1) -> None:
        """Count something up."""
        self.counts[name] += number

    def fired(self, number: int = 1) -> None:
        """Count faults that really came."""
        self.counts[FIRED] += number

    def see(self, name: str, figure: float) -> None:
        """Keep the largest figure of this name."""
        self.worst[name] = max(figure, self.worst.get(name, figure))

    def merge(self, other: Self) -> None:
        """Take in what other cases did."""
        self.counts.update(other.counts)
        for name, figure in other.worst.items():
            self.see(name, figure)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"counts": dict(self.counts), "worst": self.worst}

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> Self:
        """Return what `as_json` gave."""
        return cls(Counter(value["counts"]), dict(value["worst"]))


@dataclass(frozen=True)
class Need:
    """Something of the machine without which a promise cannot be tested."""

    name: str
    is_met: Callable[[], bool]


def _has_strace() -> bool:
    return sys.platform == "linux" and shutil.which("strace") is not None


def _may_mount() -> bool:
    """Tell whether file systems can be mounted: CAP_SYS_ADMIN, and loop devices."""
    if sys.platform != "linux" or os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    # An unknown file system type is refused after the question of rights: EPERM means we may not.
    libc.mount(b"none", b"/", b"no such type", 0, None)
    return ctypes.get_errno() != 1


LINUX = Need("Linux", lambda: sys.platform == "linux")
ROOT = Need("root", lambda: sys.platform == "linux" and os.geteuid() == 0)
STRACE = Need("strace", _has_strace)
MOUNT = Need("the right to mount loop devices", _may_mount)


@dataclass(frozen=True)
class Promise:
    """One promise.

    Parameters:
        name: what reports and `PART=` call it.
        sentence: what holds; a row of the table in docs/reliability.md.
        cases: gives the number of all cases; they are 0, 1, ... Each is the same in every run.
        run: runs the cases of these numbers in an empty directory, tells a `Tally` what they did, and
            raises `BrokenPromiseError` with the number in its message. Leaves nothing behind elsewhere.
        fast: so many cases, spread over all of them, run in `make test`; 0 where each takes too long.
        chunk: so many at most are run by one process at once; a run that was interrupted goes on there.
        together: so many neighbours build on each other and are chosen as one.
        shards: into so many tests the fast cases are divided, so that each takes some 20 seconds.
        needs: what the machine must have.
        alone: whether it uses all cores by itself, so that nothing else should run beside it.
        in_memory: whether its directory may lie in memory, where it has one: nothing of it is about the disk.
        about: patterns of files below `tests` that the cases are about; a change of them makes a run that is
            not whole yet begin anew, as does one of the package and of the harness.
    """

    name: str
    sentence: str
    cases: Callable[[], int]
    run: Callable[[Sequence[int], Path, Tally], None]
    fast: int
    chunk: int
    together: int = 1
    shards: int = 1
    needs: tuple[Need, ...] = (LINUX,)
    alone: bool = False
    in_memory: bool = True
    about: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """The names of what this machine does not have."""
        return [need.name for need in self.needs if not need.is_met()]

    def slice(self, shard: int = 0) -> list[int]:
        """Return the case numbers of a shard of `make test`."""
        groups = self.cases() // self.together
        few = min(self.fast // self.together, groups)
        # Somewhere in each stretch: in step they would all be even, say, and one backend would be left out.
        ends = [at * groups // few for at in range(few + 1)]
        chosen = [first + at * 7919 % (end - first) for at, (first, end) in enumerate(pairwise(ends))]
        chosen = chosen[shard :: self.shards]
        return [group * self.together + at for group in chosen for at in range(self.together)]

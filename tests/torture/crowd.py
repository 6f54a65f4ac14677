"""Many processes at once, and numbers that all of them see."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from mmap import mmap
from types import TracebackType
from typing import Self

from forks import child
from torture.promise import BrokenPromiseError

_NUMBER = 8


class Shared:
    """Numbers in memory that forked processes share; each is to be changed by one process only.

    What a process has written stays when it is killed, so a ledger can stand here.
    """

    def __init__(self, count: int) -> None:
        self._numbers = memoryview(mmap(-1, max(count, 1) * _NUMBER)).cast("q")

    def __getitem__(self, place: int) -> int:
        return self._numbers[place]

    def __setitem__(self, place: int, number: int) -> None:
        self._numbers[place] = number

    def total(self, places: range) -> int:
        """Return the sum of these."""
        return sum(self._numbers[places.start : places.stop])


class Crowd:
    """Processes that begin at the same moment. Whoever is still there at the end is killed."""

    def __init__(self) -> None:
        self._gate, self._opener = os.pipe()
        self._workers: list[int] = []
        self._others: list[int] = []
        self._over = Shared(1)

    @property
    def is_over(self) -> bool:
        """Whether those that go on until they are told have been told."""
        return bool(self._over[0])

    def add(self, act: Callable[[], object]) -> None:
        """Add a process that comes to an end by itself."""
        self._workers.append(self._waiting(act))

    def add_endless(self, act: Callable[[], object]) -> None:
        """Add a process that acts again and again until all others have come to their end."""

        def repeat() -> None:
            while not self.is_over:
                act()

        self._others.append(self._waiting(repeat))

    def begin(self) -> None:
        """Let all begin."""
        os.close(self._opener)
        self._opener = -1

    def end(self) -> None:
        """Wait for all. Raises `BrokenPromiseError` when one failed; it has printed why."""
        failed = _failed(self._workers)
        self._over[0] = 1
        failed += _failed(self._others)
        if failed:
            raise BrokenPromiseError(f"{failed} processes failed; what they printed stands above")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over[0] = 1
        for pid in (*self._workers, *self._others):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for descriptor in (self._gate, self._opener):
            if descriptor >= 0:
                os.close(descriptor)

    def _waiting(self, act: Callable[[], object]) -> int:
        def wait() -> None:
            os.close(self._opener)
            os.read(self._gate, 1)  # ends when the parent closes the other side
            act()

        return child(wait)


def _failed(pids: list[int]) -> int:
    """Wait for these and forget them; return how many failed."""
    failed = 0
    while pids:
        failed += os.waitpid(pids[-1], 0)[1] != 0
        pids.pop()
    return failed

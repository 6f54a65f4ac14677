"""Times single calls: the CPU they take, and how long they wait; a case with a slow one is run again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from torture.promise import BrokenPromiseError, Tally, must
from torture.promises import found
from torture.running import run_apart

LIMIT = 0.05  # seconds of CPU
WAIT = 0.1  # seconds in which it neither runs nor would the machine keep it from running
PORTION = 50_000  # bytes of input for which the CPU limit is granted once more
_AGAIN = 1000  # of so many cases one may be run again, and three of fewer


class Stopwatch:
    """Times what the cases of a promise do.

    A busy machine makes anything slow now and then. So a case in which something was slow is run again, by
    itself and in a fresh interpreter, where nothing is cached and every store and schema is new. Slow there
    as well, it has failed. What is slow now and then for another reason fails by being too often.

    Parameters:
        promise: the name of the promise.
        cases: how many of its cases are run. One by itself is not run again.
        tally: hears of the longest of each kind.
    """

    def __init__(self, promise: str, cases: int, tally: Tally) -> None:
        self._promise = promise
        self._cases = cases
        self._tally = tally
        self._slow: list[str] = []
        self._again = 0
        # How long it ran, and how long others had the processor: a busy machine is no fault of the store.
        self._schedule = os.open("/proc/thread-self/schedstat", os.O_RDONLY)

    def timed(
        self,
        name: str,
        act: Callable[[], Any],
        *,
        size: int = 0,
        limit: float = LIMIT,
        wait: float = WAIT,
        cpu: Callable[[], float] = time.process_time,
    ) -> Any:
        """Return what `act` returns, or raise what it raises; note when it took too long.

        Parameters:
            name: what it is called in reports.
            size: bytes of input; every 50 KB may take as long as all of a small one.
            limit: seconds of CPU.
            wait: seconds for which it may wait, for a lock or a pipe say.
            cpu: tells the time of the CPU; that of this thread alone where others do something else.
        """
        began, free = cpu(), self._waited()
        try:
            return act()
        finally:
            took, waited = cpu() - began, max(self._waited() - free, 0.0)
            portions = 1 + size // PORTION
            if took > limit * portions or waited > wait:
                self._slow.append(
                    f"{name}: {took:.3f} s of CPU, {waited:.3f} s waited, {size} bytes of input"
                )
            else:
                per = " per 50 KB" if portions > 1 else ""
                self._tally.see(f"{name}, ms of CPU{per}", round(took * 1000 / portions, 1))
                self._tally.see("ms waited", round(waited * 1000, 1))

    def _waited(self) -> float:
        """Return the seconds in which this thread neither had a processor nor was kept waiting for one."""
        at = time.perf_counter()
        running, kept, _ = os.pread(self._schedule, 100, 0).split()
        return at - (int(running) + int(kept)) / 1e9

    def close(self) -> None:
        """Close what is open."""
        os.close(self._schedule)

    def settle(self, number: int) -> None:
        """Run a case again in which something was slow. Raises `BrokenPromiseError` when it is slow again."""
        slow, self._slow = self._slow, []
        if not slow:
            return
        if self._cases == 1:
            raise BrokenPromiseError(f"case {number} is slow: {'; '.join(slow)}")
        self._again += 1
        allowed = max(3, self._cases // _AGAIN)
        must(self._again <= allowed, f"case {number} is slow, as {allowed} others before: {'; '.join(slow)}")
        again = run_apart(found()[self._promise], [number])
        for name, figure in again.worst.items():
            self._tally.see(name, figure)
        self._tally.add("run again to measure them anew")

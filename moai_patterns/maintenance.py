"""Doing what the policy asks for, one process at a time, at most once per interval."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from moai_patterns import lifecycle
from moai_patterns.backends import fileops
from moai_patterns.backends.base import BackendBase
from moai_patterns.backends.locking import Lock
from moai_patterns.errors import BusyError, RetentionError, StoreError
from moai_patterns.lifecycle import Outcome, Plan, Policy

_LOG = logging.getLogger("moai_patterns")
_LOG.addHandler(logging.NullHandler())


class _Noted(NamedTuple):
    """When the last run was whose clock was believed, and when one since then came upon a silence; or 0."""

    last: int = 0
    noticed: int = 0


class Upkeep:
    """Runs the lifecycle of one storage, on request or by itself.

    Parameters:
        backend, policy: what is kept, and how.
        clock: returns nanoseconds since 1970-01-01 UTC.
        place: a file beside the store that is locked during a run and holds the times of `_Noted` in
            microseconds; None for a store that no other process sees.
        interval: seconds between runs that start by themselves; None for no such runs.
    """

    def __init__(
        self,
        backend: BackendBase,
        policy: Policy,
        *,
        clock: Callable[[], int],
        place: str | None,
        interval: float | None,
    ) -> None:
        self._backend = backend
        self._policy = policy
        self._clock = clock
        self._place = place
        self._interval = float("inf") if interval is None else interval
        self._due = time.monotonic() + self._interval
        self._noted = _Noted()  # for where there is no file that says it
        self._running = threading.Lock()
        self._pid = os.getpid()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def after_save(self) -> None:
        """Start a run in the background when one is due; costs one look at the clock otherwise."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._interval
        # One in the future was noted under a clock that has been set back since.
        if 0 <= self._now() - self._what_is_noted().last < self._interval * 1e6:
            return
        self._thread = threading.Thread(target=self._run_quietly, name="moai-patterns upkeep", daemon=True)
        self._thread.start()

    def run(self) -> Outcome | None:
        """Plan and apply the policy now; None when somebody is at it already.

        Raises `RetentionError` when something must not expire; what is to be compacted is by then.
        """
        running = self._own_lock()
        if not running.acquire(blocking=False):
            return None
        try:
            if self._place is not None:
                return self._run_alone(self._place)
            return self._work()
        finally:
            running.release()

    def _own_lock(self) -> threading.Lock:
        if self._pid != os.getpid():  # a thread that is not in this forked child may have held it
            self._pid, self._running = os.getpid(), threading.Lock()
        return self._running

    def _run_alone(self, place: str) -> Outcome | None:
        path = self._backend.path
        if path is None or not os.path.exists(path):
            return Outcome()  # nothing was saved yet, and nothing is made for that
        lock = Lock(place)
        try:
            lock.acquire(timeout=0.0)
        except BusyError:
            return None
        except OSError as error:
            if error.errno in fileops.FULL:  # what it does makes room, and each backend keeps two runs apart
                return self._work()
            raise StoreError(error.errno, f"{place}: cannot be locked for maintenance: {error}") from error
        try:
            return self._work()
        finally:
            lock.release()
            lock.close()

    def close(self) -> None:
        """Wait for a run in the background to end, which it does after the day that it is at."""
        self._closing.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self) -> Outcome:
        last, noticed = self._what_is_noted()
        silence = None
        try:
            todo = lifecycle.plan(self._backend, self._policy, clock=self._now)
            if last:
                silence = lifecycle.silence(self._backend, last, todo.now)
            if silence is not None:
                noticed = noticed if last < noticed <= todo.now else todo.now
                self._note(_Noted(last, noticed))
                lifecycle.refuse_leap(self._backend, todo, silence, noticed)
        except RetentionError:
            # What stands in the way of expiring does not in that of compacting.
            keeping = replace(self._policy, retain_days=None)
            self._apply(lifecycle.plan(self._backend, keeping, clock=self._now))
            raise
        outcome = self._apply(todo)
        if silence is None or silence.is_past(noticed, todo.now):
            self._note(_Noted(self._now()))
        return outcome

    def _apply(self, todo: Plan) -> Outcome:
        return lifecycle.apply(self._backend, todo, clock=self._now, stopped=self._closing.is_set)

    def _now(self) -> int:
        return self._clock() // 1000

    def _run_quietly(self) -> None:
        # A save that succeeded must not fail, nor print, because of upkeep that it happened to start.
        try:
            self.run()
        except Exception:  # noqa: BLE001  whatever it is, the log has it and the save stands
            _LOG.exception("maintenance failed; the next interval tries again")

    def _what_is_noted(self) -> _Noted:
        if self._place is None:
            return self._noted
        try:
            return _Noted(*map(int, (fileops.read(self._place) or b"").split()[:2]))
        except (OSError, ValueError):
            return _Noted()

    def _note(self, noted: _Noted) -> None:
        self._noted = noted
        if self._place is None:
            return
        text = b"%d %d" % noted
        try:
            descriptor = fileops.open_shared(self._place)
            try:
                fileops.write_at(descriptor, text, 0)
                fileops.truncate(descriptor, len(text))
            finally:
                os.close(descriptor)
        except OSError as error:  # what was to be done is done; it is only done again sooner
            _LOG.warning("%s: the time of maintenance cannot be noted: %s", self._place, error)

"""Processes that start at once where no store is yet, or one whose making was cut off half way."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from hook_payloads import FRAME
from hooks import HOOK, ROOT
from moai_patterns.query import Query
from torture.acts import DAYS, opened, record
from torture.crowd import Crowd
from torture.promise import BrokenPromiseError, Promise, Tally, must
from torture.stepping import TRACING, Puppet

_BACKENDS = ("filesystem", "sqlite")
_TOGETHER = 1_000
# Of twenty, one is an interpreter of its own and one the hook command; the others are forked.
_TWENTY = 20
# Seconds: on a machine that does other things too, a thousand take longer than the 30 of a default.
_PATIENCE = 600.0
_SAVE = """
import sys
from moai_patterns import PatternStorage
with PatternStorage(sys.argv[1], sys.argv[2], timeout=float(sys.argv[4])) as storage:
    storage.save({"pattern_id": sys.argv[3], "pattern_type": "error_occurrence", "timestamp": "2025-11-20",
                  "data": {"error_type": "a", "error_message": "b"}})
"""
# So many system calls it takes to make a store, and some more: a case stands for each.
_POINTS = {"filesystem": 260, "sqlite": 510}
_CUT_OFF = [(backend, point) for backend, points in _POINTS.items() for point in range(points)]
_AFTER_ONE = 12


class Start:
    """Many starters at one place; each saves one record.

    Parameters:
        backend: of the store.
        place: an empty directory; the store is to lie in one below it that is missing too.
    """

    def __init__(self, backend: str, place: Path) -> None:
        self._backend, self._place = backend, place
        self.path = place / "missing" / "store"

    def run(self, numbers: Sequence[int], tally: Tally) -> None:
        """Let a starter of each number start at once. Raises `BrokenPromiseError` unless all have saved."""
        with Crowd() as crowd:
            for number in numbers:
                crowd.add(self._starter(number))
            crowd.begin()
            crowd.end()
        wanted = {f"s{number}" for number in numbers if number % _TWENTY != 1}
        with closing(opened(self._backend, self.path)) as storage:
            found = list(storage.backend.scan(Query(limit=None, revisions="all")))
            hooked = [one for one in found if one["pattern_type"] == "tool_use"]
            there = [one["pattern_id"] for one in found if one["pattern_type"] != "tool_use"]
            must(sorted(there) == sorted(wanted), f"{len(there)} saved, {len(wanted)} started")
            hooks = sum(number % _TWENTY == 1 for number in numbers)
            must(len(hooked) == hooks, f"{len(hooked)} captured, {hooks} hooks started")
            problems = storage.check(read_data=True)
            must(not problems, f"check finds {[str(problem) for problem in problems[:3]]}")
        remains = sorted(file.name for file in self.path.parent.iterdir() if file.name.endswith("-new"))
        must(not remains, f"left behind: {remains}")
        tally.add("interpreters", sum(number % _TWENTY in (0, 1) for number in numbers))

    def _starter(self, number: int) -> Callable[[], object]:
        if number % _TWENTY == 0:
            arguments = (self._backend, str(self.path), f"s{number}", str(_PATIENCE))
            return lambda: self._become([sys.executable, "-c", _SAVE, *arguments], b"")
        if number % _TWENTY == 1:
            call = {"hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_use_id": f"s{number}"}
            return lambda: self._become(HOOK, json.dumps({**FRAME, **call}).encode())
        return lambda: self.save(f"s{number}")

    def save(self, name: str) -> None:
        """Save one record."""
        with closing(opened(self._backend, self.path, timeout=_PATIENCE)) as storage:
            storage.save(record(name, 0, DAYS[0]))

    def _become(self, command: Sequence[str], given: bytes) -> None:
        """Be another program, which gets this on its standard input."""
        reading, writing = os.pipe()
        os.write(writing, given)
        os.close(writing)
        os.dup2(reading, 0)
        scheme = "file" if self._backend == "filesystem" else "sqlite"
        environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            "PYTHONPATH": os.pathsep.join((os.environ.get("PYTHONPATH", ""), str(ROOT))),
            "HOME": str(self._place),
            "MOAI_PATTERNS_STORE": f"{scheme}:{self.path}",
        }
        os.execve(command[0], list(command), environment)


def _run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    for at, backend in enumerate(_BACKENDS):
        if mine := [number for number in numbers if number // _TOGETHER == at]:
            (place / backend).mkdir()
            Start(backend, place / backend).run(mine, tally)
            tally.fired(len(mine))


def _run_after_one(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    for backend in _BACKENDS:  # what is imported at the first time is no part of making a store
        _start(backend, place / f"imports-{backend}").save("s2")
    calls = {backend: _calls(_start(backend, place / f"whole-{backend}")) for backend in _BACKENDS}
    few = [backend for backend in _BACKENDS if calls[backend] > _POINTS[backend]]
    must(not few, f"making a store takes {calls} calls: name more points for {few}")
    for number in numbers:
        backend, point = _CUT_OFF[number]
        start = _start(backend, place / str(number))
        with _maker(start) as puppet:
            if all(puppet.to_call() for _ in range(calls[backend] * point // _POINTS[backend] + 1)):
                tally.fired()
        try:
            start.run([*range(_AFTER_ONE)], tally)
        except BrokenPromiseError as error:
            raise BrokenPromiseError(f"case {number}: {error}") from error


def _start(backend: str, place: Path) -> Start:
    place.mkdir()
    return Start(backend, place)


def _maker(start: Start) -> Puppet:
    """A process that makes the store."""

    def make(ready: Callable[[], None]) -> None:
        ready()
        start.save("s2")
        os._exit(0)

    return Puppet(make)


def _calls(start: Start) -> int:
    """Return how many system calls it takes to make the store."""
    count = 0
    with _maker(start) as puppet:
        while puppet.to_call():
            count += 1
    return count


PROMISES = [
    Promise(
        name="starts",
        sentence="1,000 processes that start at once where no store is yet, by fork, as interpreters of "
        "their own and as hooks: all save, in one store with one schema",
        cases=lambda: _TOGETHER * len(_BACKENDS),
        run=_run,
        fast=160,
        chunk=_TOGETHER,
        together=80,
        alone=True,
    ),
    Promise(
        name="starts-after-one",
        sentence="the same with 12 processes where another was killed at any system call of making the store",
        cases=lambda: len(_CUT_OFF),
        run=_run_after_one,
        fast=16,
        chunk=130,
        needs=(TRACING,),
    ),
]

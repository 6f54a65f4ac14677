"""Every system call by which an operation changes a store: killed before and after it, and failing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torture.faulted import KILLS, SHORT, Point, Setting, Stores, points, run
from torture.operations import operations
from torture.promise import LINUX, STRACE, BrokenPromiseError, Promise, Tally
from torture.strace import Call

_ERRORS = ("ENOSPC", "EIO", "EINTR", "EDQUOT")
_LASTING = ("ENOSPC+", "EIO+")
# No local file system refuses a lock for ever; and what opens nothing any more cannot even be observed.
_PASSING = ("fcntl", "flock", "openat")


def _of(names: Sequence[str]) -> tuple[Setting, ...]:
    found = [operations()[name] for name in names]
    return tuple(
        Setting(operation.name, backend, level)
        for operation in found
        for backend in operation.backends
        for level in operation.levels
    )


def _deaths(call: Call) -> Sequence[str]:
    return KILLS


def _errors(call: Call) -> Sequence[str]:
    """Return what a call may fail with; giving a lock back does not."""
    if call.is_release:
        return ()
    return _ERRORS if call.name in _PASSING else (*_ERRORS, *_LASTING)


def killed_in_save() -> list[Point]:
    """Return the deaths around each call of a save."""
    return points(_of(["save"]), _deaths)


def killed() -> list[Point]:
    """Return the deaths around each call of all else."""
    return points(_of([name for name in operations() if name != "save"]), _deaths)


def failing() -> list[Point]:
    """Return the errors of each call of everything."""
    return points(_of(list(operations())), _errors)


def _shorts(call: Call) -> Sequence[str]:
    """Return what a write of ours may do less; SQLite makes its own, which are cut by a disk that is full."""
    return (SHORT,) if call.name in ("write", "pwrite64") else ()


def shortened() -> list[Point]:
    """Return the short writes of everything on the tree."""
    settings = _of([name for name, one in operations().items() if "filesystem" in one.backends])
    return points(tuple(one for one in settings if one.backend == "filesystem"), _shorts)


def _running(chosen: Callable[[], list[Point]]) -> Callable[[Sequence[int], Path, Tally], None]:
    def run_cases(numbers: Sequence[int], place: Path, tally: Tally) -> None:
        every = chosen()
        stores = Stores(place)
        for number in numbers:
            try:
                done = run(every[number], stores)
            except BrokenPromiseError as error:
                raise BrokenPromiseError(f"case {number}: {error}") from error
            tally.fired()
            tally.add("processes that died there", bool(done.signal))
            tally.add("refused with an error of ours", any("act: refused" in line for line in done.said))
            tally.add("done all the same", "act: done" in done.said)

    return run_cases


PROMISES = (
    Promise(
        name="save-syscalls",
        sentence="a save killed before or after any system call that changes a file is there whole or not at "
        "all, and nothing else is lost or changed",
        cases=lambda: len(killed_in_save()),
        run=_running(killed_in_save),
        fast=1_000_000,
        chunk=500,
        needs=(LINUX, STRACE),
    ),
    Promise(
        name="syscall-kills",
        sentence="so is all else, killed before and after each system call that changes a file: batch, "
        "stream, session, update, delete, compaction, retention, copy, import, capture, drain, creation",
        cases=lambda: len(killed()),
        run=_running(killed),
        fast=200,
        chunk=1_500,
        shards=2,
        needs=(LINUX, STRACE),
    ),
    Promise(
        name="syscall-errors",
        sentence="where one of these calls fails with ENOSPC, EIO, EINTR or EDQUOT, once or for ever, all "
        "is done or refused with an error of ours, nothing else is touched, and the process goes on later",
        cases=lambda: len(failing()),
        run=_running(failing),
        fast=120,
        chunk=1_500,
        needs=(LINUX, STRACE),
    ),
    Promise(
        name="short-writes",
        sentence="a write that writes half of its bytes is gone on with, or refused with an error of ours; "
        "nothing is torn",
        cases=lambda: len(shortened()),
        run=_running(shortened),
        fast=60,
        chunk=500,
        needs=(LINUX, STRACE),
    ),
)

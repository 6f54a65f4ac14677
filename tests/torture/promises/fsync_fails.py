"""A flush that fails: nothing is acknowledged that the medium may not hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torture.faulted import Point, Setting, Stores, acted, points, run
from torture.operations import operations
from torture.promise import LINUX, STRACE, BrokenPromiseError, Promise, Tally
from torture.strace import Call, Traced

_LEVELS = ("record", "group")
_KINDS = ("EIO", "EIO+", "ENOSPC", "EDQUOT+")
_FLUSHES = ("fsync", "fdatasync")
_DATABASE, _LOG = "store.db", "store.db-wal"
_CHANGES = ("write", "pwrite64", "writev", "ftruncate", "openat")


def _settings() -> tuple[Setting, ...]:
    """Return operations that acknowledge at these levels; captures do so at `os`, a drain keeps its spool."""
    return tuple(
        Setting(operation.name, backend, level)
        for operation in operations().values()
        for backend in operation.backends
        for level in _LEVELS
        if not operation.is_silent and not operation.is_kept
    )


def _kinds(call: Call) -> Sequence[str]:
    return _KINDS if call.name in _FLUSHES else ()


def failing_flushes() -> list[Point]:
    """Return the failures of each flush of each operation."""
    return points(_settings(), _kinds)


def _run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    every = failing_flushes()
    stores = Stores(place)
    for number in numbers:
        point = every[number]
        try:
            done = run(point, stores)
            _must_not_be_acknowledged_falsely(point, done)
        except BrokenPromiseError as error:
            raise BrokenPromiseError(f"case {number}: {error}") from error
        tally.fired()
        tally.add("refused with an error of ours", any("act: refused" in line for line in done.said))
        tally.add("done without this flush", "act: done" in done.said)


def _must_not_be_acknowledged_falsely(point: Point, done: Traced) -> None:
    """Raise when an operation was acknowledged although what it stands on may not be on the medium."""
    if "act: done" not in done.said:
        return
    calls = acted(done)
    failed = next(at for at, call in enumerate(calls) if call.injected)
    before, after = calls[:failed], calls[failed + 1 :]
    if not (
        _is_flushed_again(point.call, after)
        or _is_given_up(point.call, after)
        or _holds_nothing_new(point.call, before)
        or _is_kept_in_the_log(point.call, after)
    ):
        raise BrokenPromiseError(f"{point}: acknowledged, and {point.call.path} was not flushed")


def _is_flushed_again(flush: Call, after: Sequence[Call]) -> bool:
    """Tell whether it is a directory that was flushed later: of the names in it nothing is forgotten.

    A file must not be: the system takes its pages for clean after the failure, whatever the medium has.
    """
    is_directory = not Path(flush.path).suffix
    return is_directory and any(_is_done_on(flush.path, call) for call in after)


def _is_given_up(flush: Call, after: Sequence[Call]) -> bool:
    """Tell whether the file was removed: what is acknowledged stands in another one, perhaps of its name."""
    removed = any(call.name == "unlink" and call.path == flush.path and not call.failed for call in after)
    return removed and flush.path not in (_DATABASE, _LOG)


def _is_done_on(path: str, call: Call) -> bool:
    return call.name in _FLUSHES and call.path == path and not call.failed


def _holds_nothing_new(flush: Call, before: Sequence[Call]) -> bool:
    """Tell whether the file was not changed since its last flush: a checkpoint makes sure once more."""
    for call in reversed(before):
        if call.path == flush.path and call.name in _CHANGES:
            return False
        if _is_done_on(flush.path, call):
            return True
    return True


def _is_kept_in_the_log(flush: Call, after: Sequence[Call]) -> bool:
    """Tell whether it is a database whose checkpoint fails: the log, which is flushed, stays as it is."""
    touched = [
        call for call in after if call.path == _LOG and call.name in ("unlink", "ftruncate", "pwrite64")
    ]
    return flush.path == _DATABASE and not touched


PROMISES = (
    Promise(
        name="fsync-fails",
        sentence="at levels `record` and `group` nothing is acknowledged whose flush failed, at any call, "
        "once or for ever; no file is flushed again and then believed",
        cases=lambda: len(failing_flushes()),
        run=_run,
        fast=80,
        chunk=400,
        needs=(LINUX, STRACE),
    ),
)

"""A flush that fails: nothing is acknowledged that the medium may not hold."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torture.faulted import Point, Setting, Stores, acted, points, run
from torture.operations import operations
from torture.promise import LINUX, STRACE, BrokenPromiseError, Promise, Tally
from torture.strace import Call, Traced

_LEVELS = ("record", "group")
_KINDS = ("EIO", "EIO+", "ENOSPC", "EDQUOT+")
_FLUSHES = ("fsync", "fdatasync")
_WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "truncate", "fallocate")
_RENAMES = ("rename", "renameat", "renameat2")
_LINKS = ("link", "linkat")
_BIRTHS = ("mkdir", "mkdirat")
_REMOVALS = ("unlink", "unlinkat", "rmdir")
_NO_CHANGES = ("flock", "fcntl", "chmod", "fchmod", "fchmodat", "chown", "fchown", "utimensat")
_DATABASE, _LOG = "store.db", "store.db-wal"
# No record is lost with these names: of a lock, of what SQLite makes anew, and of space that is kept free.
_DISPENSABLE = ("-lock", "-shm", ".reserve")
# What a mutant does not do right.
_OF_FILES = "takes files whose flush fails for flushed"
_OF_DIRECTORIES = "takes directories whose flush fails for flushed"
_LEFT_TO_SQLITE = "leaves the flush of directories to SQLite, which ignores that it fails"


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
            missing = _acknowledged_falsely(point, done)
            if missing:
                raise BrokenPromiseError(f"{point}: acknowledged, and {missing} may not be on the medium")
        except BrokenPromiseError as error:
            raise BrokenPromiseError(f"case {number}: {error}") from error
        tally.fired()
        tally.add("refused with an error of ours", any("act: refused" in line for line in done.said))
        tally.add("done without this flush", "act: done" in done.said)


def _is_of_directory(flush: Call) -> bool:
    """Tell whether it flushes a directory: those of a store have no suffix, its files have one."""
    return not Path(flush.path).suffix


def _acknowledged_falsely(point: Point, done: Traced) -> list[str]:
    """Return what the medium may lack although the operation was acknowledged."""
    if "act: done" not in done.said:
        return []
    in_session = any(act.verb == "line" for act in operations()[point.setting.operation].given)
    medium = _Medium(all_flushed=point.setting.level == "record" or not in_session)
    for call in acted(done):
        medium.see(call)
    return medium.missing()


@dataclass
class _File:
    """A file, whatever its names are: whether it was changed since its last flush, or one failed since."""

    is_changed: bool
    is_lost: bool = False


class _Medium:
    """What a medium may lack, as the calls of an operation tell: what has changed, and its flush failed.

    Flushed again, a file is not believed: after the failure the system takes its pages for clean, whatever
    the medium has. A directory is: of the names in it nothing is forgotten.

    Parameters:
        all_flushed: whether every file was flushed when the operation began. What a session that is under
            way has written is not at level `group`.
    """

    def __init__(self, *, all_flushed: bool) -> None:
        self._all_flushed = all_flushed
        self._files: dict[str, _File] = {}
        self._in_log: list[_File] = []
        self._changed: dict[str, set[str]] = {}  # names, by directory
        self._lost: dict[str, set[str]] = {}

    def see(self, call: Call) -> None:
        """Take in the next call."""
        if call.name in _FLUSHES:
            flush = self._flush_directory if _is_of_directory(call) else self._flush_file
            flush(call.path, call.failed)
        elif not call.failed:
            self._change(call)

    def missing(self) -> list[str]:
        """Return the names that may not be on the medium, and those of files that may not be."""
        lost = {path for path, file in self._files.items() if file.is_lost}
        return sorted(lost.union(*self._lost.values()))

    def _flush_file(self, path: str, failed: bool) -> None:
        file = self._file(path)
        if not failed:
            file.is_changed = False
        elif file.is_changed and path == _DATABASE:
            self._in_log.append(file)
        elif file.is_changed:
            file.is_lost = True

    def _flush_directory(self, path: str, failed: bool) -> None:
        if not failed:
            self._changed.pop(path, None)
            self._lost.pop(path, None)
        elif path in self._changed:
            self._lost[path] = set(self._changed[path])

    def _change(self, call: Call) -> None:
        path = call.path
        if call.name in _WRITES:
            self._file(path).is_changed = True
        elif call.name == "openat":
            self._open(call)
        elif call.name in (*_RENAMES, *_LINKS):
            source, path = call.paths
            self._files[path] = self._file(source)
            self._change_name(path)
            if call.name in _RENAMES:
                self._remove(source)
        elif call.name in _REMOVALS:
            self._remove(path)
        elif call.name in _BIRTHS:
            self._change_name(path)
        elif call.name not in _NO_CHANGES:
            raise AssertionError(f"what does this change? {call}")
        if path == _LOG and call.name not in (*_NO_CHANGES, "openat"):
            # From the log the checkpoint would have been done again, had it stayed as it was.
            for file in self._in_log:
                file.is_lost = True

    def _open(self, call: Call) -> None:
        if "O_CREAT" in call.text and call.path not in self._files:
            self._files[call.path] = _File(is_changed=True)
            self._change_name(call.path)
        elif "O_TRUNC" in call.text:
            self._file(call.path).is_changed = True

    def _remove(self, path: str) -> None:
        self._files.pop(path, None)
        for names in self._lost.values():
            names.discard(path)
        self._change_name(path)

    def _change_name(self, path: str) -> None:
        if not path.endswith(_DISPENSABLE):
            self._changed.setdefault(os.path.dirname(path) or ".", set()).add(path)

    def _file(self, path: str) -> _File:
        return self._files.setdefault(path, _File(is_changed=not self._all_flushed))


@dataclass(frozen=True)
class _Mutant:
    """An operation with a bug planted in it, and the flushes that fail."""

    setting: Setting
    bug: str
    points: tuple[Point, ...]

    def __str__(self) -> str:
        return f"{self.setting}, which {self.bug}"


@cache
def _mutants() -> list[_Mutant]:
    """Return the mutants of each operation: one of its files, and one of its directories.

    Our flushes are `fsync`, those of SQLite `fdatasync`. What it flushes after us makes up for ours, so of
    files there is no mutant there, and of directories one that leaves them all to SQLite; where a database
    is closed none, for the log that the directory names is removed.
    """
    flushes: dict[tuple[Setting, bool], list[Point]] = {}
    for point in failing_flushes():
        if point.kind == "EIO":
            flushes.setdefault((point.setting, _is_of_directory(point.call)), []).append(point)
    found = []
    for (setting, of_directories), failing in flushes.items():
        last = failing[-1].call.name
        if last == "fsync":
            bug = _OF_DIRECTORIES if of_directories else _OF_FILES
        elif of_directories and setting.operation != "close":
            bug = _LEFT_TO_SQLITE
        else:
            continue
        found.append(_Mutant(setting, bug, tuple(point for point in failing if point.call.name == last)))
    return found


@contextmanager
def _planted(bug: str) -> Iterator[None]:
    """Plant a bug in all processes that are forked meanwhile."""
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        if is_directory and bug == _LEFT_TO_SQLITE:
            return
        try:
            flush(descriptor)
        except OSError:
            if bug != (_OF_DIRECTORIES if is_directory else _OF_FILES):
                raise

    os.fsync = fsync  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fsync = flush


def _control(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case is a mutant, which must be seen to acknowledge falsely at one of its flushes at least."""
    every = _mutants()
    stores = Stores(place)
    for number in numbers:
        mutant = every[number]
        with _planted(mutant.bug):
            seen = [bool(_acknowledged_falsely(point, run(point, stores))) for point in mutant.points]
        if not any(seen):
            raise BrokenPromiseError(f"case {number}: {mutant}: nothing of it was seen, the test is blind")
        tally.fired(sum(seen))
        tally.add("flushes that failed", len(seen))


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
    Promise(
        name="fsync-fails-control",
        sentence="with failing flushes of files, or of directories, taken for done, every operation is seen "
        "to acknowledge what may be lost",
        cases=lambda: len(_mutants()),
        run=_control,
        fast=12,
        chunk=30,
        needs=(LINUX, STRACE),
    ),
)

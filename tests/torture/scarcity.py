"""What a store can run out of: bytes, blocks, inodes, length of a file, descriptors, the right to write."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moai_patterns.backends import fileops

_LIBC = ctypes.CDLL(None, use_errno=True)
_READ_ONLY, _REMOUNT, _BIND, _DETACH = 1, 32, 4096, 2
_PAGE = 4096
_KINDS = (errno.ENOSPC, errno.EDQUOT)


def _mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    told = _LIBC.mount(source.encode(), str(target).encode(), kind.encode(), flags, options.encode())
    if told:
        raise OSError(ctypes.get_errno(), f"mount: {os.strerror(ctypes.get_errno())}", str(target))


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[Path]:
    """A file system in memory with a size of its own; gone at the end, whatever happened in it."""
    place.mkdir(parents=True)
    _mount("none", place, "tmpfs", 0, options)
    try:
        yield place
    finally:
        _LIBC.umount2(str(place).encode(), _DETACH)
        place.rmdir()


class Scarcity:
    """Something that runs out; this one never does.

    Attributes: `hits`, how often it was felt, where that can be told; `asked`, the bytes of each write that
    was counted; `allows_reading`, whether what is stored can be read all the same.
    """

    allows_reading = True

    def __init__(self) -> None:
        self.hits = 0
        self.asked: list[int] = []

    def begin(self) -> None:
        """From here on it is scarce."""

    def end(self) -> None:
        """Now there is enough again; a second time does nothing."""


class Blocks(Scarcity):
    """A disk with so many free pages of 4 KB: at 0 not a byte fits into it."""

    def __init__(self, disk: Path, left: int) -> None:
        super().__init__()
        self._filler = disk / "filler"
        self._left = left

    def begin(self) -> None:
        """Fill it, up to what is left."""
        facts = os.statvfs(self._filler.parent)
        with self._filler.open("wb") as file:
            size = (facts.f_bavail - self._left) * facts.f_frsize
            os.posix_fallocate(file.fileno(), 0, max(size, _PAGE))

    def end(self) -> None:
        """Take the filler away."""
        self._filler.unlink(missing_ok=True)


class Inodes(Scarcity):
    """A disk with so many free inodes: at 0 no file or directory can be made."""

    def __init__(self, disk: Path, left: int) -> None:
        super().__init__()
        self._place = disk / "fillers"
        self._left = left

    def begin(self) -> None:
        """Make empty files, up to what is left."""
        self._place.mkdir()
        for number in range(os.statvfs(self._place).f_favail - self._left):
            (self._place / str(number)).touch()

    def end(self) -> None:
        """Take them away."""
        if self._place.exists():
            for file in self._place.iterdir():
                file.unlink()
            self._place.rmdir()


class ReadOnly(Scarcity):
    """A place that cannot be written any more: a read-only mount of itself lies over it."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self._place = place

    def begin(self) -> None:
        """Mount it; files that are open go on as they are."""
        _mount(str(self._place), self._place, "", _BIND, "")
        _mount("", self._place, "", _BIND | _REMOUNT | _READ_ONLY, "")

    def end(self) -> None:
        """Unmount it."""
        _LIBC.umount2(str(self._place).encode(), _DETACH)


class Limit(Scarcity):
    """A limit of this process: `RLIMIT_FSIZE` ends a write at that byte of a file, `RLIMIT_NOFILE` opens.

    The system sends a signal for each write that meets the first, so those are counted.
    """

    def __init__(self, kind: int, most: int) -> None:
        super().__init__()
        self._kind, self._most = kind, most
        self.allows_reading = kind != resource.RLIMIT_NOFILE
        self._soft, self._hard = resource.getrlimit(kind)

    def begin(self) -> None:
        """Set it."""
        most = self._most
        if self._kind == resource.RLIMIT_NOFILE:
            most += max(map(int, os.listdir("/proc/self/fd")))
        signal.signal(signal.SIGXFSZ, self._felt)
        resource.setrlimit(self._kind, (most, self._hard))

    def end(self) -> None:
        """Take it away."""
        resource.setrlimit(self._kind, (self._soft, self._hard))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as it is in every Python

    def _felt(self, *_: object) -> None:
        self.hits += 1


class Bytes(Scarcity):
    """A disk that is full amid one write, whatever file it goes to; not for SQLite.

    Stands between `fileops` and the system. What is removed or cut gives its bytes back.

    Parameters:
        write: the number of the write, or None for a disk that is never full.
        fits: tells how many of its bytes still fit.
        error: what the system says.
    """

    def __init__(
        self,
        write: int | None = None,
        fits: Callable[[int], int] = lambda wanted: wanted,
        error: int = errno.ENOSPC,
    ) -> None:
        super().__init__()
        self._write = write
        self._fits = fits
        self._most: int | None = None
        self._taken = 0
        self._error = error

    def begin(self) -> None:
        """Take the place of the system."""
        fileops.os = self  # type: ignore[attr-defined,assignment]

    def end(self) -> None:
        """Give it back."""
        fileops.os = os  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, data: bytes) -> int:
        """Write what fits, or refuse."""
        return os.write(descriptor, data[: self._room(len(data))])

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        """Write what fits; only what lengthens the file takes up room."""
        inside = max(0, min(len(data), os.fstat(descriptor).st_size - offset))
        return os.pwrite(descriptor, data[: inside or self._room(len(data))], offset)

    def posix_fallocate(self, descriptor: int, offset: int, size: int) -> None:
        """Set aside all of it, or nothing."""
        more = max(0, offset + size - os.fstat(descriptor).st_size)
        before = self._taken
        if self._room(more) < more:
            self._taken = before
            self._refuse()
        os.posix_fallocate(descriptor, offset, size)

    def unlink(self, path: str) -> None:
        """Remove a file; its bytes are free."""
        size = _alone(path)
        os.unlink(path)
        self._free(size)

    def replace(self, source: str, target: str) -> None:
        """Rename a file; the bytes of the one it replaces are free."""
        size = _alone(target)
        os.replace(source, target)
        self._free(size)

    def ftruncate(self, descriptor: int, size: int) -> None:
        """Cut a file; its bytes are free."""
        before = os.fstat(descriptor).st_size
        os.ftruncate(descriptor, size)
        self._free(max(0, before - size))

    def _room(self, wanted: int) -> int:
        """Take up what is wanted, or what is left of it; raise when that is nothing."""
        if not wanted:
            return 0
        if len(self.asked) == self._write:
            self._most = self._taken + self._fits(wanted)
        self.asked.append(wanted)
        found = wanted if self._most is None else min(wanted, self._most - self._taken)
        if found < wanted:
            self.hits += 1
            if not found:
                self._refuse()
        self._taken += found
        return found

    def _free(self, size: int) -> None:
        self._taken -= size

    def _refuse(self) -> None:
        raise OSError(self._error, os.strerror(self._error))


def _alone(path: str) -> int:
    """Return the bytes that are free when this name is gone."""
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return 0
    return facts.st_size if facts.st_nlink == 1 else 0


def kind_of_full(number: int) -> int:
    """Return in turn what a full disk says, and what a full quota does."""
    return _KINDS[number % len(_KINDS)]

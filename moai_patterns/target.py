"""The file that a command writes: whole or not at all, and only its owner can read it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO

from moai_patterns.errors import PatternError, StoreError

_OF_THE_PROCESS = ("/proc/self/fd", "/dev/fd")  # where its open files have names
_STANDARD_OUTPUT = 1
_PART = 100  # characters of a name that a temporary file takes over


@contextmanager
def written(path: str) -> Iterator[BinaryIO]:
    """Open what `path` names for writing; `-` is standard output.

    A file gets its content and its name at the end, when all went well; until then, and otherwise,
    what stood there stands. A pipe, a device or an open file of this process (`/dev/stdout`) is
    written as it is. Raises `StoreError` when the system refuses, `BrokenPipeError` when nobody reads.

    >>> with written("all.jsonl") as file:
    ...     _ = file.write(b"{}")
    ...     os.path.exists("all.jsonl")
    False
    >>> os.path.getsize("all.jsonl")
    2
    """
    try:
        with _opened(path) as file:
            yield file
    except (PatternError, BrokenPipeError):
        raise
    except OSError as error:
        raise StoreError(error.errno, f"cannot be written: {error.strerror}", path) from error


def _opened(path: str) -> AbstractContextManager[BinaryIO]:
    descriptor = _STANDARD_OUTPUT if path == "-" else _own_descriptor(path)
    if descriptor is not None:
        return open(os.dup(descriptor), "wb")
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        return open(os.open(path, os.O_WRONLY), "wb")
    return _replaced(os.path.realpath(path))


@contextmanager
def _replaced(path: str) -> Iterator[BinaryIO]:
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f"{name[:_PART]}.{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb", opener=_for_its_owner) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


def _for_its_owner(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    if os.name == "posix":
        os.fchmod(descriptor, 0o600)  # a umask may have taken bits that the owner needs
    return descriptor


def _own_descriptor(path: str) -> int | None:
    """Return the number of the open file of this process that a path names, through links or not."""
    places = {os.path.realpath(place) for place in _OF_THE_PROCESS}
    for _ in range(40):  # as many links as Linux follows
        folder, name = os.path.split(path)
        if name.isdecimal() and os.path.realpath(folder) in places:
            return int(name)
        if not os.path.islink(path):
            return None
        path = os.path.join(folder, os.readlink(path))
    return None

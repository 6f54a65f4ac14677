"""The one place where what SQLite and the system report becomes an error of this package."""

from __future__ import annotations

import errno

from moai_patterns.backends.fileops import DENIED
from moai_patterns.errors import BusyError, DamageError, LayoutError, ReadOnlyError, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

# Primary result codes of SQLite (https://www.sqlite.org/rescode.html).
_ERROR, _PERM, _BUSY, _LOCKED, _NOMEM, _READONLY, _IOERR, _CORRUPT = 1, 3, 5, 6, 7, 8, 10, 11
_FULL, _CANTOPEN, _TOOBIG, CONSTRAINT, _AUTH, _NOTADB = 13, 14, 18, 19, 23, 26


def code(error: sqlite3.Error) -> int:
    """Return the primary result code, or 0 for an error that Python's module raised by itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def passing(error: sqlite3.Error) -> bool:
    """Tell whether the error is another process's lock, so that trying again helps.

    A running recovery, a checkpoint and a closing connection report it whatever the busy timeout is.
    """
    return code(error) in (_BUSY, _LOCKED)


def translate(error: sqlite3.Error, path: str) -> StoreError:
    """Return the error of this package for an error of the driver, with the path and what to do."""
    told = f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
    primary = code(error)
    if primary in (_BUSY, _LOCKED):
        return BusyError(f"{path}: other processes were writing all the time: {told}; try again")
    if primary == _CORRUPT:
        return DamageError(f"{path}: the database is damaged: {told}; run `moai-patterns check`")
    if primary == _ERROR:
        return DamageError(f"{path}: not as it was made: {told}; run `moai-patterns check`")
    if primary == _NOTADB:
        return LayoutError(f"{path}: this file is no SQLite database: {told}; name another path")
    if primary in (_READONLY, _PERM, _AUTH):
        return ReadOnlyError(errno.EROFS, f"the database cannot be written: {told}", path)
    number, sentence = _MEDIUM.get(primary, (errno.EIO, "SQLite refused"))
    return StoreError(number, f"{sentence}: {told}", path)


_MEDIUM = {
    _FULL: (errno.ENOSPC, "the disk is full, nothing was written"),
    _CANTOPEN: (errno.EACCES, "the database, its -wal or its -shm cannot be opened"),
    _IOERR: (errno.EIO, "the disk refused"),
    _NOMEM: (errno.ENOMEM, "out of memory"),
    _TOOBIG: (errno.EFBIG, "a record is larger than SQLite takes"),
}


def from_system(error: OSError, path: str) -> StoreError:
    """Return the error of this package for a refusal of the system."""
    if isinstance(error, StoreError):
        return error
    kind = ReadOnlyError if error.errno in DENIED else StoreError
    return kind(error.errno, error.strerror or str(error), error.filename or path)

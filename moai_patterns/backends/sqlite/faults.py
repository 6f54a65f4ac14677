"""The one place where what SQLite and the system report becomes an error of this package."""

from __future__ import annotations

import errno
import os

from moai_patterns.backends.fileops import DENIED
from moai_patterns.errors import BusyError, DamageError, LayoutError, ReadOnlyError, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

# Primary result codes of SQLite (https://www.sqlite.org/rescode.html).
_ERROR, _PERM, _BUSY, _LOCKED, _NOMEM, _READONLY, _IOERR, _CORRUPT = 1, 3, 5, 6, 7, 8, 10, 11
_FULL, _CANTOPEN, _PROTOCOL, _TOOBIG, _MISMATCH, _AUTH, _NOTADB = 13, 14, 15, 18, 20, 23, 26
# SQLITE_PROTOCOL: for ten seconds others were quicker at starting to read, or one was stopped while he did.
_IN_THE_WAY = (_BUSY, _LOCKED, _PROTOCOL)

# What SQLite says of a statement that is too much for it, under the code for a schema that does not fit.
_LIMITS = ("too ", "overflow", "cannot ")
_TAKEN = (1555, 2067, 2579)  # SQLITE_CONSTRAINT_PRIMARYKEY, _UNIQUE and _ROWID
ADVICE = "; `moai-patterns check --read-data` lists all damage, `moai-patterns repair` mends it"


def damage(path: str, sentence: str) -> DamageError:
    """Return the error for bytes that are not as they were written.

    >>> print(damage("a.db", "row 7 is lost"))
    a.db: row 7 is lost; `moai-patterns check --read-data` lists all damage, `moai-patterns repair` mends it
    """
    return DamageError(f"{path}: {sentence}{ADVICE}")


def finding(found: DamageError, path: str) -> str:
    """Return what a damage error says, without the path and the advice to look for more."""
    return str(found).removeprefix(f"{path}: ").removesuffix(ADVICE)


def code(error: sqlite3.Error) -> int:
    """Return the primary result code, or 0 for an error that Python's module raised by itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def passing(error: sqlite3.Error) -> bool:
    """Tell whether the error is another process's lock, so that trying again helps.

    A running recovery, a checkpoint and a closing connection report it whatever the busy timeout is.
    """
    return code(error) in _IN_THE_WAY


def translate(error: sqlite3.Error, path: str) -> StoreError:
    """Return the error of this package for an error of the driver, with the path and what to do."""
    told = f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
    primary = code(error)
    if primary in _IN_THE_WAY:
        return BusyError(f"{path}: other processes were writing all the time: {told}; try again")
    if primary == _CORRUPT or str(error).startswith("Could not decode"):
        return damage(path, f"the database is damaged: {told}")
    if primary == _MISMATCH or getattr(error, "sqlite_errorcode", 0) in _TAKEN:
        # Conflicts of ids are met before: what is left is the arrival number and what triggers write.
        return damage(path, f"a new row does not fit to those that are there: {told}")
    if primary == _ERROR and not any(word in str(error) for word in _LIMITS):
        return damage(path, f"not as it was made: {told}")
    if primary == _NOTADB:
        return LayoutError(f"{path}: this file is no SQLite database: {told}; name another path")
    if primary in (_READONLY, _PERM, _AUTH):
        return ReadOnlyError(errno.EROFS, f"the database cannot be written: {told}", path)
    if primary in (_IOERR, _CANTOPEN) and is_full(path):
        primary = _FULL  # it says so only of a database or a log that grows
    number, sentence = _MEDIUM.get(primary, (errno.EIO, "SQLite refused"))
    return StoreError(number, f"{sentence}: {told}", path)


_MEDIUM = {
    _FULL: (
        errno.ENOSPC,
        "the disk is full, nothing was written; make room, or let records go with `moai-patterns retain`",
    ),
    _CANTOPEN: (errno.EACCES, "the database, its -wal or its -shm cannot be opened"),
    _IOERR: (errno.EIO, "the disk refused"),
    _NOMEM: (errno.ENOMEM, "out of memory"),
    _TOOBIG: (errno.EFBIG, "a record is larger than SQLite takes"),
}


def is_full(path: str) -> bool:
    """Tell whether the file system of a database has no block or no inode left for this user."""
    try:
        facts = os.statvfs(os.path.dirname(path))
    except (AttributeError, OSError):  # Windows has no such thing
        return False
    return not facts.f_bavail or (facts.f_files > 0 and not facts.f_favail)


def from_system(error: OSError, path: str) -> StoreError:
    """Return the error of this package for a refusal of the system."""
    if isinstance(error, StoreError):
        return error
    kind = ReadOnlyError if error.errno in DENIED else StoreError
    return kind(error.errno, error.strerror or str(error), error.filename or path)

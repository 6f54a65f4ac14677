"""The write side of an SQLite store, light enough for a process that captures one record and ends."""

from __future__ import annotations

import errno
import os
import time
from _thread import allocate_lock
from zlib import crc32

from moai_patterns.backends import fileops, forking
from moai_patterns.backends.sqlite import database, faults, layout
from moai_patterns.errors import BusyError, ConflictError, ReadOnlyError, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any

    Record = dict[str, Any]
    Encode = Callable[[object], bytes | str]
    Row = list[Any]
    Entry = tuple[str, int, int]
else:
    sqlite3 = database.sqlite3

_NEXT = "1 + max(ifnull((SELECT max(seq) FROM patterns), 0), (SELECT highest_removed FROM arrival))"
_VALUES = ", ".join(f"ifnull(?8, {_NEXT})" if n == 8 else f"?{n}" for n in range(1, 16))
_INSERT = f"INSERT INTO patterns ({', '.join(layout.NAMES)}) VALUES ({_VALUES})"
# `created_at` stays that of the first revision.
_UPDATE = (
    "UPDATE patterns SET pattern_type = ?2, timestamp = ?3, data = ?4, context = ?5, version = ?6, "
    f"seq = ifnull(?8, {_NEXT}), instant = ?9, revision = ?10, recorded_at = ?11, operation = ?12, "
    "actor = ?13, extra = ?14, checksum = ?15, indexed = NULL WHERE pattern_id = ?1 AND revision = ?10 - 1"
)
_LATER = _INSERT, _UPDATE
_INDEXED = (
    f"INSERT INTO patterns ({', '.join(layout.NAMES)}, indexed) VALUES ({_VALUES}, 1)",
    _UPDATE.replace("indexed = NULL", "indexed = 1"),
)
_REMOVE = "DELETE FROM patterns WHERE pattern_id = ?1 AND (?2 IS NULL OR revision = ?2)"
# One save in so many brings the indexes up to date.
_INDEXED_EVERY = 64
_SEQ, _INSTANT, _REVISION = 7, 8, 9
_LOOK_AFTER = 0.01
_ENVELOPE = frozenset(("pattern_id", "pattern_type", "timestamp", "data", "context", "version", "_meta"))
_META = frozenset(("instant", "revision", "recorded_at", "operation", "actor", "seq"))


class TableWriter:
    """Writes batches into an SQLite store; the file is made with the first one.

    Parameters:
        path: the database file.
        durability: `os`: survives any kill of the process. `group`, `record`: each acknowledged
            batch survives a power cut.
        timeout: seconds to wait for other writers before `BusyError`. Default 0.5.

    May be used by several threads, and after a fork.
    """

    def __init__(self, path: str, *, durability: str = "os", timeout: float = 0.5) -> None:
        self.database = database.Database(path, durability=durability, timeout=timeout)
        self._mutex = allocate_lock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._looked = 0.0
        self._closed = False
        self._paused = False
        forking.tell(self)

    def write(
        self,
        add: Sequence[Record],
        remove: Sequence[tuple[str, int | None]] = (),
        fresh: bool = False,
        encode: Encode | None = None,
    ) -> int:
        """Write a batch: first the removals, then the additions, all or nothing.

        Returns how many removals had something to remove.

        Parameters:
            add: stored records without `seq`.
            remove: ids with the revision that their head must have to be removed, or None.
            fresh: accepted and not needed: the unique index answers whether an id is known.
            encode: a value to JSON, as text or UTF-8. Default: the `json` module.

        Raises `ConflictError` for a stale revision, `BusyError`, `StoreError`.
        """
        if not add and not remove:
            return 0
        rows = _rows(add, encode or _default_encode())
        return self.transact(lambda connection: _write(connection, add, rows, remove))

    def transact(self, action: Callable[[sqlite3.Connection], int]) -> int:
        """Return what `action` returns, which runs on the writing connection and commits or raises.

        It runs again after it met another process's lock. Raises what `write` raises.
        """
        end = time.monotonic() + self.database.timeout
        if not self._mutex.acquire(timeout=max(self.database.timeout, 0.0)):
            raise BusyError(f"{self.database.path}: other threads were writing all the time; try again")
        try:
            while True:
                connection = self._ready(end)
                try:
                    result = self._run(connection, action, end)
                except (StoreError, ConflictError):
                    if self._is_current():
                        raise
                else:
                    # What was committed into a file that is not the store any more is lost with it; a look
                    # takes 2 us of a save's 50.
                    if self._is_current():
                        self.database.committed(connection)
                        return result
                if time.monotonic() > end:
                    raise BusyError(f"{self.database.path}: the file was replaced all the time; try again")
        except StoreError:
            raise
        except OSError as error:
            raise faults.from_system(error, self.database.path) from error
        finally:
            self._mutex.release()

    def _run(
        self, connection: sqlite3.Connection, action: Callable[[sqlite3.Connection], int], end: float
    ) -> int:
        def locked() -> int:
            # Not while it waits for its turn: of many writers one would hold it all the time, and nobody
            # could checkpoint (seen: a log of 1.7 GB after 64,000 saves by 64 processes).
            with self.database.lock.held(shared=True, timeout=max(0.0, end - time.monotonic())):
                return action(connection)

        usable = True
        try:
            return self.database.attempt(locked, end)
        except ReadOnlyError:
            # What SQLite could not open for writing it opens for reading, and leaves it at that.
            usable = False
            raise
        finally:
            if connection.in_transaction or not usable:  # even the rollback failed, or it cannot write
                self._connection = None
                self.database.close(connection)

    def checkpoint(self) -> bool:
        """Empty the write-ahead log into the database; tell whether it could be done."""
        with self._mutex:
            end = time.monotonic() + self.database.timeout
            return self.database.checkpoint(self._ready(end), "TRUNCATE", wait=self.database.timeout)

    def keep_damaged_log(self) -> None:
        """Put a damaged log into the quarantine before anything is written into it. Raises `StoreError`."""
        with self._mutex:
            try:
                self._ready(time.monotonic() + self.database.timeout)
                self.database.keep_damaged_log()
            except StoreError:
                raise
            except OSError as error:
                raise faults.from_system(error, self.database.path) from error

    def close(self, *, checkpoint: bool = True) -> None:
        """Close the connection; a second call does nothing.

        The last connection of all processes brings the log into the database, which costs two
        flushes to the disk. A process that captures one record and leaves with `os._exit` saves them
        with `checkpoint=False`: then the connection just stays open until the process is gone.
        """
        with self._mutex:
            self._closed = True
            connection, self._connection = self._connection, None
            if connection is None:
                return
            if checkpoint:
                self._part(connection)
            else:
                database.leave_open(connection)

    def _part(self, connection: sqlite3.Connection) -> None:
        if self._is_current():
            self.database.close(connection)
        else:
            database.leave_open(connection, beyond_exit=True)

    def _ready(self, end: float) -> sqlite3.Connection:
        """Return the connection, opened when needed, and anew when the file was replaced."""
        if self._closed:
            raise StoreError(errno.EBADF, "this store is closed", self.database.path)
        if self._connection is not None:
            # Only after a pause, for every commit is followed by a look.
            if time.monotonic() < self._looked + _LOOK_AFTER or self._is_current():
                return self._connection
            connection, self._connection = self._connection, None
            self._part(connection)
        self._connection, self._file = self._opened(end)
        self._looked = time.monotonic()
        return self._connection

    def _opened(self, end: float) -> tuple[sqlite3.Connection, tuple[int, int] | None]:
        """Return a new connection, once the names of database and log are as durable as the level asks."""
        connection, file = self.database.open(end)
        if self.database.durability != "os":
            # SQLite ignores it when the name of its log cannot be flushed, and whoever made the database
            # may have died before its name was.
            try:
                fileops.sync_dir(os.path.dirname(self.database.path))
            except OSError as error:
                self.database.close(connection)
                raise faults.from_system(error, self.database.path) from error
        return connection, file

    def _is_current(self) -> bool:
        """Tell whether the file is still the one that the connection is open on."""
        try:
            found = os.stat(self.database.path)
        except OSError:
            found = None
        current = found is not None and (found.st_dev, found.st_ino) == self._file
        self._looked = time.monotonic() if current else 0.0
        return current

    def before_fork(self) -> None:
        """Close the connection: SQLite takes locks of the parent that a child sees for its own."""
        self._paused = self._mutex.acquire(timeout=max(self.database.timeout, 0.0))
        if self._paused and self._connection is not None:
            connection, self._connection = self._connection, None
            self._part(connection)

    def after_fork(self, in_child: bool) -> None:
        """Go on; the next write opens a connection of this process's own."""
        if self._paused:
            self._mutex.release()
        elif in_child:
            # Forked out of the middle of a write, by a signal say: the connection is the parent's.
            self._mutex = allocate_lock()
            self._closed = True
            database.leave_open(self._connection)
            self._connection = None


def _write(
    connection: sqlite3.Connection,
    add: Sequence[Record],
    rows: list[Row],
    remove: Sequence[tuple[str, int | None]],
) -> int:
    removed, at_once = 0, False
    if len(rows) == 1 and not remove and rows[0][_REVISION] == 1:
        rows[0][_SEQ] = None
        first = _insert(connection, rows, _INSERT)
    else:
        with Transaction(connection):
            if remove:
                removed = connection.executemany(_REMOVE, remove).rowcount
            (first,) = connection.execute(f"SELECT {_NEXT}").fetchone()
            if type(first) is int:  # else the statement that asks for it again says that it is none
                for seq, row in enumerate(rows, start=first):
                    row[_SEQ] = seq
            # So many are not worth a second visit; what waits before them has to go first.
            at_once = len(rows) >= _INDEXED_EVERY and not _indexing().catch_up(connection)
            _add(connection, rows, *(_INDEXED if at_once else _LATER))
            if at_once:
                _add_tags(connection, add, rows)
    if not at_once and first // _INDEXED_EVERY != (first + len(rows)) // _INDEXED_EVERY:
        try:
            _indexing().index(connection)
        except sqlite3.Error:
            return removed  # what was to be saved is committed; a later save, or `reclaim`, indexes it
    return removed


def _add_tags(connection: sqlite3.Connection, add: Sequence[Record], rows: list[Row]) -> None:
    entries: list[Entry] = []
    listed = _indexing().listed
    for record, row in zip(add, rows, strict=True):
        entries += listed(record.get("context"), row[_INSTANT], row[_SEQ])
    _indexing().add_tags(connection, entries, rows[-1][_SEQ])


def _add(connection: sqlite3.Connection, rows: list[Row], insert: str, update: str) -> None:
    """Insert first revisions in runs, and update heads one by one in between."""
    start = 0
    for place, row in enumerate(rows):
        if row[_REVISION] != 1:
            _insert(connection, rows[start:place], insert)
            if connection.execute(update, row).rowcount != 1:
                raise _conflict(connection, row)
            start = place + 1
    _insert(connection, rows[start:] if start else rows, insert)


def _insert(connection: sqlite3.Connection, rows: list[Row], insert: str) -> int:
    """Insert first revisions; return the number of a single one."""
    before = connection.total_changes
    try:
        if len(rows) == 1:
            return connection.execute(insert, rows[0]).lastrowid or 0
        if rows:
            connection.executemany(insert, rows)
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname != "SQLITE_CONSTRAINT_UNIQUE":
            raise
        raise _conflict(connection, rows[connection.total_changes - before]) from None
    return 0


def _conflict(connection: sqlite3.Connection, row: Row) -> ConflictError:
    found = connection.execute("SELECT revision FROM patterns WHERE pattern_id = ?", (row[0],)).fetchone()
    head = found[0] if found else 0
    return ConflictError(f"{row[0]!r} is at revision {head}, so the next is {head + 1}, not {row[_REVISION]}")


def _indexing() -> ModuleType:
    """Return the module of the indexes: it loads a fast JSON parser, and one save in many needs it."""
    from moai_patterns.backends.sqlite import indexing

    return indexing


class Transaction:
    """A writing transaction in a `with` statement: committed at its end, undone by an exception."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            roll_back(self._connection)


def roll_back(connection: sqlite3.Connection) -> None:
    """Undo an open transaction; SQLite has undone it by itself after some errors."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _rows(records: Sequence[Record], encode: Encode) -> list[Row]:
    """Return a row per record."""
    rows: list[Row] = []
    for record in records:
        meta = record["_meta"]
        get = meta.get
        instant = meta["instant"]
        recorded = get("recorded_at")
        actor = get("actor")
        version = record.get("version")
        data = encode(record["data"])
        text = None
        members = 5 + (version is not None)
        if "context" in record:
            members += 1
            text = encode(record["context"])
            if type(text) is bytes:
                text = text.decode()
        extra = None
        if len(record) != members or len(meta) != 4 + (actor is not None) or recorded is None:
            extra = _extra(record, encode)
        row = [
            record["pattern_id"],
            record["pattern_type"],
            record["timestamp"],
            data.decode() if type(data) is bytes else data,
            text,
            version,
            (instant if recorded is None else recorded) // 1_000_000,
            None,
            instant,
            meta["revision"],
            recorded,
            get("operation"),
            actor,
            extra,
        ]
        row.append(checksum(row))
        rows.append(row)
    return rows


def checksum(row: Sequence[Any]) -> int:
    """Return the checksum over the columns of a row that come back, but for `seq`.

    `seq` is given only by the statement, and `created_at` stays what it was at the first revision.

    SQLite notices damage to its own structures, not to a letter within a text.
    """
    return crc32(
        f"{row[0]}\0{row[1]}\0{row[2]}\0{row[3]}\0{row[4]}\0{row[5]}\0{row[8]}\0{row[9]}\0"
        f"{row[10]}\0{row[11]}\0{row[12]}\0{row[13]}".encode()
    )


def must_be_whole(row: Sequence[Any]) -> None:
    """Raise `ValueError` with what is wrong with a row that is not as it was written."""
    if type(row[_SEQ]) is not int:  # where the schema is damaged, and the number is that of the row no more
        raise ValueError("has no arrival number")
    try:
        whole = checksum(row) == row[-1]
    except UnicodeEncodeError:
        raise ValueError("holds a text that is no UTF-8") from None
    if not whole:
        raise ValueError("is not as it was written")


def _extra(record: Record, encode: Encode) -> str | None:
    """Return the members that have no column of their own, as JSON; None when there are none."""
    extra = {name: value for name, value in record.items() if name not in _ENVELOPE}
    if "version" in record and record["version"] is None:
        extra["version"] = None
    meta = {
        name: value
        for name, value in record["_meta"].items()
        if name != "seq" and (name not in _META or value is None)
    }
    if meta:
        extra["_meta"] = meta
    if not extra:
        return None
    text = encode(extra)
    return text.decode() if isinstance(text, bytes) else text


def _default_encode() -> Encode:
    from json import JSONEncoder

    return JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

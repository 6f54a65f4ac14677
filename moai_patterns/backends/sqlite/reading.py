"""Connections that only read: kept for the next question, and one question at a time on each."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from moai_patterns.backends import forking
from moai_patterns.backends.reserve import Reserve
from moai_patterns.backends.sqlite.database import Database, connect, identity, leave_open, log_size
from moai_patterns.backends.sqlite.faults import damage
from moai_patterns.errors import DamageError, ReadOnlyError, StoreError
from moai_patterns.validation.sound import encodable

T = TypeVar("T")
Parameters = dict[str, Any] | tuple[Any, ...]
Ask = Callable[..., Iterator[Any]]

_KEPT = 8
# Rows may be large, and those read ahead are held.
_AHEAD = 16


class _Reader:
    """A connection, and the lock that is held whenever SQLite works on it: a fork may come any time."""

    __slots__ = ("connection", "cursors", "file", "inherited", "lock", "still")

    def __init__(
        self, connection: sqlite3.Connection, file: tuple[int, int] | None, still: tuple[int, ...] | None
    ) -> None:
        self.connection = connection
        self.file = file
        # What the file was like for a connection that takes it for unchangeable; None for any other.
        self.still = still
        self.lock = threading.Lock()
        self.cursors: list[sqlite3.Cursor] = []
        self.inherited = False

    def start(self, sql: str, parameters: Parameters) -> sqlite3.Cursor:
        """Run a statement up to its first row."""
        cursor = self.connection.execute(sql, parameters)
        self.cursors.append(cursor)
        return cursor

    def close_cursors(self) -> None:
        """End the statements; only then closing the connection closes the file."""
        while self.cursors:
            self.cursors.pop().close()

    def end(self) -> None:
        """End the statements, and the transaction that keeps them at one moment."""
        self.close_cursors()
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")


def decoded(text: bytes) -> str:
    """Decode UTF-8, with lone surrogates for what is none."""
    return text.decode(errors="surrogateescape")


def _undecoded(error: BaseException | None) -> bool:
    return str(error).startswith("Could not decode")


def _unreadable(reader: _Reader) -> str | None:
    """Return the first row with a text that is no UTF-8, in words."""
    with reader.lock:
        reader.connection.text_factory = decoded
        try:
            for table in ("patterns", "history"):
                for row in reader.connection.execute(f"SELECT seq, * FROM {table}"):
                    if not all(encodable(item) for item in row if isinstance(item, str)):
                        return f"table {table}, row with seq {row[0]} (id {row[1]!r}): a text is no UTF-8"
        except sqlite3.Error:
            return None  # so much is damaged that the row cannot be found
        finally:
            reader.connection.text_factory = str
    return None


def _state(path: str) -> tuple[int, ...]:
    """Return what is another value once somebody has written to the database or its log, or taken it away."""
    try:
        facts = os.stat(path)
    except OSError:
        return ()  # whoever opens it says what is wrong
    return facts.st_mtime_ns, facts.st_size, log_size(path)


class Readers:
    """The reading connections of one process on one database file."""

    def __init__(self, database: Database, reserve: Reserve) -> None:
        self._database = database
        self._reserve = reserve
        self._idle: list[_Reader] = []
        self._leased: set[_Reader] = set()
        self._held: list[_Reader] = []
        # Reentrant, for the garbage collector may end an answer while its thread is in here.
        self._lock = threading.RLock()
        self._closed = False
        forking.tell(self)

    def all(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        """Return all rows of an answer, which is known to be small."""
        reader = self._lease()
        try:
            return self._work(reader, lambda: reader.connection.execute(sql, parameters).fetchall())
        finally:
            self._give_back(reader)

    def rows(
        self, sql: str, parameters: Parameters = (), *, before: str = ""
    ) -> tuple[list[Any], Iterator[Any]]:
        """Return the rows of a statement, all of one moment: that of this call; first those of `before`.

        The latter are known to be few, and none where it is empty. The others are streamed; the connection is
        free again when the iterator is at its end, closed or collected. Until then the log cannot be emptied
        beyond that moment.
        """
        rows = self._rows(sql, parameters, before)
        return next(rows), rows  # runs the statement to its first row, and only then it has its moment

    @contextmanager
    def moment(self, *, lenient: bool = False) -> Iterator[Ask]:
        """Give a function that answers any number of statements from one state of the database.

        `lenient`: in a text that is no UTF-8 lone surrogates stand for what cannot be read.
        """
        reader = self._lease()
        if lenient:
            reader.connection.text_factory = decoded

        def ask(sql: str, parameters: Parameters = ()) -> Iterator[Any]:
            cursor = self._work(reader, lambda: reader.start(sql, parameters))
            while batch := self._work(reader, lambda: cursor.fetchmany(_AHEAD)):
                yield from batch

        try:
            self._work(reader, lambda: reader.connection.execute("BEGIN"))
            yield ask
        finally:
            if not reader.inherited:
                self._work(reader, reader.end)
                reader.connection.text_factory = str
            self._give_back(reader)

    def _rows(self, sql: str, parameters: Parameters, before: str) -> Iterator[Any]:
        reader = self._lease()

        def begin() -> list[Any]:
            if not before:
                return []
            if not reader.connection.in_transaction:
                reader.connection.execute("BEGIN")
            return reader.connection.execute(before).fetchall()

        try:
            first = self._work(reader, begin)
            cursor = self._work(reader, lambda: reader.start(sql, parameters))
            yield first
            while batch := self._work(reader, lambda: cursor.fetchmany(_AHEAD)):
                yield from batch
        finally:
            if not reader.inherited:
                self._work(reader, reader.end)
            self._give_back(reader)

    def _work(self, reader: _Reader, action: Callable[[], T]) -> T:
        """Return what `action` does on the reader's connection."""

        def run() -> T:
            with reader.lock:
                if reader.inherited:
                    sentence = "this process was forked while an answer was read; ask again"
                    raise StoreError(errno.EBADF, sentence, self._database.path)
                return action()

        try:
            return self._database.attempt(run, time.monotonic() + self._database.timeout)
        except DamageError as error:
            # SQLite's message has the text, but not whose it is.
            row = _unreadable(reader) if _undecoded(error.__cause__) else None
            raise (damage(self._database.path, row) if row else error) from None

    def _lease(self) -> _Reader:
        file = identity(self._database.path)
        with self._lock:
            if self._closed:
                raise StoreError(errno.EBADF, "this store is closed", self._database.path)
            while self._idle:
                reader = self._idle.pop()
                if reader.file == file and (
                    reader.still is None or reader.still == _state(self._database.path)
                ):
                    self._leased.add(reader)
                    return reader
                leave_open(reader.connection, beyond_exit=True)
            reader = self._open()
            self._leased.add(reader)
            return reader

    def _open(self) -> _Reader:
        still = None
        end = time.monotonic() + self._database.timeout
        try:
            # The first connection makes an index of the log, also on a full disk.
            connection, file = self._reserve.freeing(lambda: self._database.open(end))
        except StoreError as refused:
            # Where nothing can be written SQLite cannot make its index of the log; without a log the
            # file alone is the whole state.
            unwritable = type(refused) in (StoreError, ReadOnlyError)
            file = identity(self._database.path)
            if not unwritable or log_size(self._database.path) or file is None:
                raise
            still = _state(self._database.path)
            connection = self._database.attempt(lambda: connect(self._database.path, "ro&immutable=1"), end)
        connection.execute("PRAGMA query_only = ON")
        return _Reader(connection, file, still)

    def _give_back(self, reader: _Reader) -> None:
        with self._lock:
            self._leased.discard(reader)
            if reader.inherited:
                return
            if not self._closed and len(self._idle) < _KEPT:
                self._idle.append(reader)
                return
        self._part(reader)

    def close(self) -> None:
        """Close what is idle; an answer under way closes its connection at its end."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        self._part(*idle)

    def _part(self, *readers: _Reader) -> None:
        file = identity(self._database.path) if readers else None
        current = [reader.connection for reader in readers if reader.file == file]
        for reader in readers:
            if reader.file != file:
                leave_open(reader.connection, beyond_exit=True)
        if current:
            self._database.close(*current)

    def before_fork(self) -> None:
        """Close what is idle, and hold still what is under way."""
        self._lock.acquire()
        idle, self._idle = self._idle, []
        self._part(*idle)
        self._held = list(self._leased)
        for reader in self._held:
            reader.lock.acquire()

    def after_fork(self, in_child: bool) -> None:
        """Go on; in the child the answers under way are at their end.

        Their connections are closed there, so that SQLite forgets the locks it believes to hold.
        Reading leaves nothing to be undone, and the parent's lock on the file keeps the close from
        touching the log.
        """
        for reader in self._held:
            if in_child:
                reader.inherited = True
                reader.close_cursors()
                reader.connection.close()
            reader.lock.release()
        self._held = []
        if in_child:
            self._leased.clear()
        self._lock.release()

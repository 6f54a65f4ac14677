"""What can be read of a damaged database, row by row: ranges of arrival numbers around what cannot."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterator
from typing import Any

from moai_patterns.backends.sqlite import faults, layout
from moai_patterns.backends.sqlite.database import connect
from moai_patterns.backends.sqlite.reading import decoded
from moai_patterns.backends.sqlite.rows import SEQ

TABLES = ("patterns", "history")
# Statements that may fail before the rest of a table is given up: a table whose first page is lost.
_MOST_PROBES = 1_000_000
_LARGEST = 2**62
# SQLite quotes a damaged schema in its message, which may be no UTF-8.
DAMAGED = (sqlite3.Error, UnicodeDecodeError)
_ROWS = "SELECT {names} FROM {table} NOT INDEXED WHERE seq BETWEEN ? AND ? ORDER BY seq"
_NUMBERS = (
    "SELECT max(seq) FROM {table} NOT INDEXED",
    "SELECT max(seq) FROM (SELECT seq FROM {table} INDEXED BY sqlite_autoindex_{table}_1)",
    "SELECT max(seq) FROM (SELECT seq FROM {table} INDEXED BY {table}_by_time{listed})",
    "SELECT max(seq) FROM (SELECT seq FROM {table} INDEXED BY {table}_by_kind{listed})",
    "SELECT max(seq) FROM tags",
    "SELECT max(highest_removed) FROM arrival",
)
_KNOWN = "SELECT seq, pattern_id FROM {table} INDEXED BY sqlite_autoindex_{table}_1"

Row = tuple[Any, ...]


def lenient(path: str) -> sqlite3.Connection:
    """Open a database whose schema or texts may be damaged, to read what can be read."""
    connection = connect(path)
    connection.text_factory = decoded
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA writable_schema = ON")  # what is wrong in the schema is left out of it
    return connection


class Table:
    """The rows of a table that can be read.

    Attributes, complete when `rows` is at its end: `missed`, the ranges of arrival numbers in which something
    cannot; `highest`, the largest arrival number that anything speaks of.
    """

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self.name = name
        self.missed: list[tuple[int, int]] = []
        listed = " WHERE indexed = 1" if name == "patterns" else ""
        self.highest = max(_number(connection, sql.format(table=name, listed=listed)) for sql in _NUMBERS)
        self._read: set[int] = set()
        self._probes = 0

    def rows(self) -> Iterator[Row]:
        """Yield the rows, by arrival number."""
        waiting = [(0, self.highest)]
        while waiting:
            low, high = waiting.pop()
            last = low - 1
            try:
                for row in self._range(low, high):
                    last = row[SEQ]
                    self._read.add(last)
                    yield row
            except DAMAGED as error:
                if isinstance(error, sqlite3.Error) and faults.passing(error):
                    raise
                self._probes += 1
                if last >= low and last < high:
                    waiting.append((last + 1, high))
                elif (last < low and low == high) or self._probes > _MOST_PROBES:
                    self.missed.append((low, high))
                elif last < low:
                    middle = (low + high) // 2
                    waiting += [(middle + 1, high), (low, middle)]

    def named(self, faulty: Container[int]) -> list[tuple[int, str]] | None:
        """Return arrival number and id of the rows that the table gives faulty or not at all, by an index.

        None where no index tells.
        """
        try:
            known = self._connection.execute(_KNOWN.format(table=self.name)).fetchall()
        except DAMAGED:
            return None
        return [(seq, str(identity)) for seq, identity in known if seq in faulty or seq not in self._read]

    def _range(self, low: int, high: int) -> Iterator[Row]:
        sql = _ROWS.format(names=", ".join(layout.NAMES), table=self.name)
        last = low - 1
        for row in self._connection.execute(sql, (low, high)):
            if not (type(row[SEQ]) is int and last < row[SEQ] <= high):
                raise sqlite3.DatabaseError("the rows are not in their order")
            last = row[SEQ]
            yield row


def _number(connection: sqlite3.Connection, sql: str) -> int:
    try:
        ((number,),) = connection.execute(sql).fetchall()
    except DAMAGED as error:
        if isinstance(error, sqlite3.Error) and faults.passing(error):
            raise
        return 0
    return number if type(number) is int and 0 <= number < _LARGEST else 0

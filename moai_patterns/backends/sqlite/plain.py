"""The plain layout of the document, read only: one table `patterns` with seven columns.

Its timestamps are whole seconds since 1970-01-01 UTC, so that is what the text of a record's timestamp
says. A write is refused with the command that brings the records over.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import orjson

from moai_patterns.backends.base import Batch, ForeignStore, Problem, unfit
from moai_patterns.backends.sqlite.database import Database, connect
from moai_patterns.backends.sqlite.faults import damage, finding, translate
from moai_patterns.backends.sqlite.reading import decoded
from moai_patterns.errors import DamageError, ReadOnlyError
from moai_patterns.instant import FIRST, LAST, SECOND, isoformat
from moai_patterns.query import Query, Record
from moai_patterns.validation.sound import encodable

_SELECT = (
    "SELECT rowid, pattern_id, pattern_type, timestamp, data, context, version, created_at FROM patterns"
)
_ORDERS = {
    "newest": "timestamp DESC, pattern_id DESC",
    "oldest": "timestamp, pattern_id",
    "arrival": "rowid",
}


class PlainDatabase(ForeignStore):
    """A database in the plain layout, for reading.

    Parameters:
        path: the database file, which must exist.
        timeout: seconds to wait for a process that writes it.
    """

    def __init__(self, path: str, *, timeout: float = 30.0) -> None:
        self._database = Database(path, durability="os", timeout=timeout)
        self._path = self._database.path

    def write(self, batch: Batch) -> NoReturn:
        """Refuse, naming the command that brings the records into a store that can be written."""
        raise ReadOnlyError(
            errno.EROFS,
            "a table in the plain layout can only be read; bring it over with "
            f"`moai-patterns copy --store sqlite:{self._path} sqlite:NEW`",
            self._path,
        )

    def scan(self, query: Query) -> Iterator[Record]:
        """Yield the exact answer in the query's order, limit and cursor applied last."""
        return query.select(map(self._record, self._asked(query)), ordered=True)

    def sift(self, query: Query, refused: Callable[[Problem], None]) -> Iterator[Record]:
        """Yield what of the answer is a valid record; `refused` is told of the rest, damage included."""

        def readable() -> Iterator[Record]:
            for row in self._asked(query):
                try:
                    yield _read(row)
                except ValueError as fault:
                    refused(self._problem(row[0], str(fault)))

        for record in query.select(readable(), ordered=True):
            if fault := unfit(record):
                refused(self._problem(record["_meta"]["seq"], fault))
            else:
                yield record

    def _asked(self, query: Query) -> Iterator[Any]:
        """Yield the rows in which an answer could lie."""
        since = FIRST if query.since is None else max(FIRST, query.since)
        until = LAST if query.until is None else min(LAST, query.until)
        # Whole seconds around the bounds; a timestamp that is none is damage, and must be met.
        sql = (
            f"{_SELECT} WHERE timestamp BETWEEN ? AND ? OR typeof(timestamp) <> 'integer'"
            f" OR timestamp NOT BETWEEN {FIRST // SECOND} AND {LAST // SECOND}"
        )
        bounds = (since // SECOND, until // SECOND)
        return self._rows(f"{sql} ORDER BY {_ORDERS[query.order]}", bounds)

    def _rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> Iterator[Any]:
        connection = self._database.attempt(
            lambda: connect(self._path, "ro"), time.monotonic() + self._database.timeout
        )
        connection.text_factory = decoded
        try:
            end = time.monotonic() + self._database.timeout
            yield from self._database.attempt(lambda: connection.execute(sql, parameters), end)
        except sqlite3.Error as error:
            raise translate(error, self._path) from error
        finally:
            connection.close()

    def _record(self, row: tuple[Any, ...]) -> Record:
        try:
            return _read(row)
        except ValueError as fault:
            place = f"table patterns, row {row[0]} (id {row[1]!r})"
            raise damage(self._path, f"{place} cannot be read: {fault}") from None

    def _problem(self, number: int, sentence: str) -> Problem:
        return Problem(f"{self._path}: patterns row {number}", sentence, 1)

    def check(self, *, read_data: bool = False) -> list[Problem]:
        """Look for damage, and for rows that are no valid records.

        `read_data` makes no difference: every row is read in any case.
        """
        problems: list[Problem] = []
        try:
            lines = [line for (line,) in self._rows("PRAGMA integrity_check")]
            problems += [Problem(self._path, line) for line in lines if line != "ok"]
            for _ in self.sift(Query(limit=None, order="arrival"), problems.append):
                pass
        except DamageError as error:
            problems.append(Problem(self._path, finding(error, self._path)))
        return problems

    def sizes(self) -> dict[str, int]:
        """Return the bytes of the database as `hot`."""
        return {"hot": os.stat(self._path).st_size}

    def facts(self) -> dict[str, Any]:
        """Return the library's version and what the layout means."""
        return {"sqlite": sqlite3.sqlite_version, "layout": "plain", "writable": False}

    def close(self) -> None:
        """Release nothing: each answer has a connection of its own."""


def _read(row: tuple[Any, ...]) -> Record:
    """Return the record of a row. Raises `ValueError` with what cannot be read."""
    seq, identity, kind, seconds, data, context, version, created = row
    for name, value in (("pattern_id", identity), ("pattern_type", kind), ("version", version or "")):
        if not isinstance(value, str) or not encodable(value):
            raise ValueError(f"{name} is no text")
    moment = _moment("timestamp", seconds)
    try:
        found: Record = {
            "pattern_id": identity,
            "pattern_type": kind,
            "timestamp": isoformat(moment),
            "data": orjson.loads(data),
        }
        circumstances = None if context is None else orjson.loads(context)
    except (ValueError, TypeError) as error:
        raise ValueError(f"it holds a text that is no JSON: {error}") from None
    if circumstances is not None:
        found["context"] = circumstances
    if version is not None:
        found["version"] = version
    found["_meta"] = {
        "instant": moment,
        "revision": 1,
        "recorded_at": moment if created is None else _moment("created_at", created),
        "operation": "plain",
        "seq": seq,
    }
    return found


def _moment(name: str, seconds: object) -> int:
    if type(seconds) is not int or not FIRST <= seconds * SECOND <= LAST:
        raise ValueError(f"{name} {seconds!r} is no second of the years 1 to 9999")
    return seconds * SECOND

"""The plain layout of the document, read only: one table `patterns` with seven columns.

Its timestamps are whole seconds since 1970-01-01 UTC, so that is what the text of a record's timestamp
says. A write is refused with the command that brings the records over.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import orjson

from moai_patterns.backends.base import BackendBase, Batch, Problem
from moai_patterns.backends.sqlite.database import Database, connect
from moai_patterns.backends.sqlite.faults import translate
from moai_patterns.errors import DamageError, ReadOnlyError
from moai_patterns.instant import FIRST, LAST, SECOND, isoformat
from moai_patterns.query import Query, Record

_SELECT = (
    "SELECT rowid, pattern_id, pattern_type, timestamp, data, context, version, created_at FROM patterns"
)
_ORDERS = {
    "newest": "timestamp DESC, pattern_id DESC",
    "oldest": "timestamp, pattern_id",
    "arrival": "rowid",
}


class PlainDatabase(BackendBase):
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
        since = FIRST if query.since is None else max(FIRST, query.since)
        until = LAST if query.until is None else min(LAST, query.until)
        sql = f"{_SELECT} WHERE timestamp BETWEEN ? AND ? OR typeof(timestamp) <> 'integer'"
        # Whole seconds around the bounds; a timestamp that is no integer is damage, and must be met.
        bounds = (since // SECOND, until // SECOND)
        rows = self._rows(f"{sql} ORDER BY {_ORDERS[query.order]}", bounds)
        return query.select(map(self._record, rows), ordered=True)

    def _rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> Iterator[Any]:
        connection = self._database.attempt(
            lambda: connect(self._path, "ro"), time.monotonic() + self._database.timeout
        )
        try:
            end = time.monotonic() + self._database.timeout
            yield from self._database.attempt(lambda: connection.execute(sql, parameters), end)
        except sqlite3.Error as error:
            raise translate(error, self._path) from error
        finally:
            connection.close()

    def _record(self, row: tuple[Any, ...]) -> Record:
        seq, identity, kind, seconds, data, context, version, created = row
        try:
            moment = seconds * SECOND
            found: Record = {
                "pattern_id": identity,
                "pattern_type": kind,
                "timestamp": isoformat(moment),
                "data": orjson.loads(data),
            }
            circumstances = None if context is None else orjson.loads(context)
            if circumstances is not None:
                found["context"] = circumstances
            if version is not None:
                found["version"] = version
            recorded = moment if created is None else created * SECOND
        except (ValueError, TypeError) as error:
            raise DamageError(
                f"{self._path}: row {seq} of table patterns (id {identity!r}) cannot be read: {error}"
            ) from error
        found["_meta"] = {
            "instant": moment,
            "revision": 1,
            "recorded_at": recorded,
            "operation": "plain",
            "seq": seq,
        }
        return found

    def check(self, *, read_data: bool = False) -> list[Problem]:
        """Look for damage; `read_data` compares indexes with rows and reads every text."""
        pragma = "integrity_check" if read_data else "quick_check"
        problems: list[Problem] = []
        try:
            problems += [
                Problem(self._path, line) for (line,) in self._rows(f"PRAGMA {pragma}") if line != "ok"
            ]
            for row in self._rows(_SELECT) if read_data else ():
                try:
                    self._record(row)
                except DamageError as damage:
                    problems.append(Problem(f"{self._path}: patterns row {row[0]}", str(damage), 1))
        except DamageError as damage:
            problems.append(Problem(self._path, str(damage)))
        return problems

    def sizes(self) -> dict[str, int]:
        """Return the bytes of the database as `hot`."""
        return {"hot": os.stat(self._path).st_size}

    def facts(self) -> dict[str, Any]:
        """Return the library's version and what the layout means."""
        return {"sqlite": sqlite3.sqlite_version, "layout": "plain", "writable": False}

    def close(self) -> None:
        """Release nothing: each answer has a connection of its own."""

"""The SQLite backend: heads in a table that people can read, superseded revisions in another."""

from __future__ import annotations

import heapq
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any
from weakref import finalize

import orjson

from moai_patterns.aggregates import Aggregation, Tally
from moai_patterns.backends import grouped
from moai_patterns.backends.base import BackendBase, Batch, Problem, Repair, SingleWriter, parts
from moai_patterns.backends.fileops import FULL
from moai_patterns.backends.reserve import Reserve
from moai_patterns.backends.sqlite import asking, checking, indexing, layout, repairing
from moai_patterns.backends.sqlite.creation import PlainLayoutError
from moai_patterns.backends.sqlite.database import RESERVE, log_size
from moai_patterns.backends.sqlite.faults import damage, from_system, is_full
from moai_patterns.backends.sqlite.plain import PlainDatabase
from moai_patterns.backends.sqlite.reading import Ask, Readers
from moai_patterns.backends.sqlite.rows import answering, distinct, in_order, records, waiting
from moai_patterns.backends.sqlite.write import TableWriter, Transaction
from moai_patterns.errors import DamageError, StoreError
from moai_patterns.instant import DAY, FIRST, LAST
from moai_patterns.periods import Periods
from moai_patterns.query import Query, Record

_NAMES = ", ".join(layout.NAMES)
_GET = f"SELECT {_NAMES} FROM patterns WHERE pattern_id = ?1"
_HISTORY = f"SELECT {_NAMES} FROM history WHERE pattern_id = ?1 UNION ALL {_GET} ORDER BY revision"
_FIRST_KIND = "SELECT min(pattern_type) FROM patterns WHERE indexed = 1"
_NEXT_KIND = f"{_FIRST_KIND} AND pattern_type > ?"
_OF_KIND = "FROM patterns WHERE indexed = 1 AND pattern_type = ? AND instant >= ?"
_NEXT_INSTANT = f"SELECT instant {_OF_KIND} ORDER BY instant LIMIT 1"
_ANY_INSTANT = f"SELECT instant FROM patterns WHERE indexed = 1 AND instant > {-(2**63)}"
_LATE_INSTANTS = f"SELECT instant FROM patterns WHERE seq > {indexing.UP_TO}"
_IN_DAY = f"SELECT count(*) {_OF_KIND} AND instant < ?"
_MISFITS = (
    "SELECT seq, pattern_id FROM patterns WHERE typeof(pattern_type) <> 'text'"
    f" OR typeof(instant) <> 'integer' OR instant NOT BETWEEN {FIRST} AND {LAST} LIMIT 1"
)
_RECLAIM_PAGES = 2000


def open_database(
    path: str, *, durability: str = "os", timeout: float = 30.0
) -> SqliteBackend | PlainDatabase:
    """Open the store in a database file, made when it is missing.

    A table in the document's plain layout is opened for reading. Raises `LayoutError` for a file that
    is no store, or one of a newer layout, and `StoreError` for a path that cannot be a database.
    """
    try:
        return SqliteBackend(path, durability=durability, timeout=timeout)
    except PlainLayoutError:
        return PlainDatabase(path, timeout=timeout)


class SqliteBackend(BackendBase):
    """Records in one SQLite file with a write-ahead log, for any number of processes and threads.

    Parameters:
        path: the database file; made, with its directory, when it is missing.
        durability: `os` (survives any kill of the process), `group` and `record` (each batch
            survives a power cut).
        timeout: seconds to wait for other writers before `BusyError`.

    >>> import os, tempfile
    >>> place = tempfile.TemporaryDirectory()
    >>> backend = SqliteBackend(os.path.join(place.name, "patterns.db"))
    >>> backend.get("unknown") is None
    True
    >>> backend.close(); place.cleanup()
    """

    def __init__(self, path: str, *, durability: str = "os", timeout: float = 30.0) -> None:
        self._writer = TableWriter(path, durability=durability, timeout=timeout)
        self._database = self._writer.database
        self.path: str = self._database.path
        self.durability = durability
        self._reserve = Reserve(self.path + ".reserve", RESERVE)
        self._readers = Readers(self._database, self._reserve)
        # A connection that is merely dropped, by the end of the interpreter say, closes without the lock.
        self._end = finalize(self, _close, self._readers, self._writer, self._reserve)
        with suppress(DamageError):  # every question says so, `check` names it, and `repair` mends it
            self._readers.all("SELECT 1")

    def write(self, batch: Batch) -> int:
        """Write a batch: all of it or nothing; return how many removals had something to remove.

        Raises `ConflictError` for a stale revision.
        """
        if batch.add or not batch.remove:
            return self._writer.write(batch.add, batch.remove, batch.fresh, orjson.dumps)
        return self._freeing(lambda: self._writer.write((), batch.remove))

    def single_writer(self) -> SingleWriter:
        """Return a writer of a session; at the level `group` it flushes once, when it is closed."""
        return _SessionWriter(self) if self._database.durability == "group" else SingleWriter(self)

    def scan(self, query: Query) -> Iterator[Record]:
        """Yield the exact answer in the query's order, all of one moment: that of this call.

        A long answer keeps the write-ahead log from being emptied for as long as it is read.
        """
        statement = asking.select(query)
        if statement is None:
            return iter(())
        late, rows = self._readers.rows(statement.sql, statement.parameters, before=statement.waiting)
        return self._answer(query, statement, rows, waiting(late, query, self.path))

    def _answer(
        self,
        query: Query,
        statement: asking.Statement,
        rows: Iterator[Any],
        late: Sequence[Record] = (),
    ) -> Iterator[Record]:
        """Yield the answer of the rows that indexes have named, and of the records that are late for them."""
        found = records(distinct(rows) if statement.repeats else rows, self.path)
        if statement.exact:
            found = answering(found, query.matches, self.path)
        if late:
            found = heapq.merge(found, late, key=query.key, reverse=query.order == "newest")
        found = in_order(found, query, self.path)
        if not statement.exact:
            return query.select(found, ordered=True)
        if (statement.repeats or late) and query.limit is not None:
            return islice(found, min(query.limit, sys.maxsize))
        return found

    def get(self, pattern_id: str) -> Record | None:
        """Return the head of an id, or None."""
        try:
            rows = self._readers.all(_GET, (pattern_id,))
        except UnicodeEncodeError:  # a lone surrogate, which no record can have
            return None
        return next(self._named(rows, pattern_id), None)

    def history(self, pattern_id: str) -> list[Record]:
        """Return all revisions of an id, oldest first, the head last; empty when unknown."""
        try:
            rows = self._readers.all(_HISTORY, (pattern_id,))
        except UnicodeEncodeError:  # as in `get`
            return []
        return list(self._named(rows, pattern_id))

    def _named(self, rows: Sequence[Any], pattern_id: str) -> Iterator[Record]:
        return answering(records(rows, self.path), lambda one: one["pattern_id"] == pattern_id, self.path)

    def count(self, query: Query) -> int:
        """Return how many records `scan` would yield."""
        statement = asking.select_numbers(query)
        if statement is None:
            return 0
        if not statement.exact:
            return super().count(query)
        counted = f"SELECT count(*) FROM ({statement.sql})"
        late, rows = self._readers.rows(counted, statement.parameters, before=statement.waiting)
        ((number,),) = rows
        number += len(waiting(late, query, self.path))
        return int(number if query.limit is None else min(number, query.limit))

    def aggregate(self, query: Query, asked: Aggregation) -> Tally:
        """Return the figures of what `scan` would yield, group by group.

        Where SQLite can tell values exactly it hands out these alone, and no checksum of a row is looked at.
        """
        tally = Tally(asked)
        # What is damaged is for a scan to say: it knows which row it is.
        with suppress(DamageError, TypeError, ValueError), self._readers.moment() as ask:
            grid = (0, 1) if asked.periods is None else _grid(ask, query, asked.periods)
            statement = asking.select_values(query, asked, grid)
            if statement is not None:
                grouped.count(ask(statement.sql, statement.parameters), tally, grid)
                for late in waiting(ask(statement.waiting), query, self.path) if statement.waiting else ():
                    tally.add(late)
                return tally
        return super().aggregate(query, asked)

    def explain(self, query: Query, asked: Aggregation | None = None) -> dict[str, Any]:
        """Return the statement and SQLite's plan for it, and what is left to be decided record by record."""
        told: dict[str, Any] = {"reads": "nothing: no record can match", "pushed_down": [], "per_record": []}
        with self._readers.moment() as ask:
            grid = (0, 1)
            if asked is not None and asked.periods is not None:
                grid = _grid(ask, query, asked.periods)
            grouping = None if asked is None else asking.select_values(query, asked, grid)
            statement = grouping or asking.select(query)
            if statement is None:
                return told
            plan = [row[3] for row in ask(f"EXPLAIN QUERY PLAN {statement.sql}", statement.parameters)]
        left = [] if statement.exact else parts(query, ("tags_all", "tags_none", "where"))
        told["reads"] = "values of the rows" if grouping else "rows"
        told["pushed_down"] = [name for name in parts(query) if name not in left]
        if asked is not None:
            (told["pushed_down"] if grouping else left).append("groups")
        return {**told, "per_record": left, "sql": statement.sql, "plan": plan}

    def delete(self, query: Query) -> int:
        """Remove exactly what `scan` yields and return how many that were.

        In one transaction, but for a disk that is too full for its log: there in batches.
        """
        if query.revisions == "all":
            return super().delete(query)
        try:
            return self._freeing(lambda: self._delete(query))
        except StoreError as error:
            if error.errno not in FULL:
                raise
            return super().delete(query)

    def _delete(self, query: Query) -> int:
        statement = asking.delete(query)
        if statement is None:
            return 0
        if not statement.exact:
            return self._delete_matching(query)

        def run(held: sqlite3.Connection) -> int:
            with Transaction(held):
                self._catch_up(held, statement)
                return held.execute(statement.sql, statement.parameters).rowcount

        return self._writer.transact(run)

    def _delete_matching(self, query: Query) -> int:
        """Remove what only reading the records can tell, read and removed in one transaction."""
        statement = asking.select(query)
        if statement is None:
            return 0

        def run(held: sqlite3.Connection) -> int:
            with Transaction(held):
                self._catch_up(held, statement)
                rows = held.execute(statement.sql, statement.parameters)
                doomed = [(found["_meta"]["seq"],) for found in self._answer(query, statement, rows)]
                rows.close()
                held.executemany("DELETE FROM patterns WHERE seq = ?", doomed)
            return len(doomed)

        return self._writer.transact(run)

    def _catch_up(self, held: sqlite3.Connection, statement: asking.Statement) -> None:
        if statement.waiting and (fault := indexing.catch_up(held)):
            raise damage(self.path, fault)

    def flush(self, pattern_ids: Sequence[str]) -> None:
        """Wait until everything committed so far is on the medium."""
        if pattern_ids:
            self._database.flush()

    def days(self) -> dict[int, dict[str, int]]:
        """Return the number of heads per UTC day (days since 1970-01-01) and kind."""
        found: dict[int, dict[str, int]] = {}
        with self._readers.moment() as ask:
            for kind, day, number in _days(ask, self.path):
                found.setdefault(day, {})[kind] = number
            for late in waiting(ask(indexing.WAITING), Query(), self.path):
                counts = found.setdefault(late["_meta"]["instant"] // DAY, {})
                counts[late["pattern_type"]] = counts.get(late["pattern_type"], 0) + 1
        return found

    def reclaim(self) -> None:
        """Give free pages back to the file system, in steps between which others can write.

        Pages from the end of the file move into the free ones by way of the log, so on a full disk the
        steps become smaller.
        """
        self._writer.keep_damaged_log()  # what is written here could take the place of what is lost in it
        self._freeing(partial(self._writer.transact, indexing.index))
        pages, left, before = _RECLAIM_PAGES, -1, None
        while left and left != before:
            try:
                found = self._freeing(partial(self._writer.transact, partial(_free_pages, pages)))
            except StoreError as error:
                if error.errno not in FULL or pages == 1:
                    raise
                pages //= 2
                continue
            left, before = found, left
            self._writer.checkpoint()
        self._reserve.renew()

    def check(self, *, read_data: bool = False) -> list[Problem]:
        """Look for damage without changing anything.

        The structure of the file, its schema and indexes are compared with the rows; `read_data` also
        reads every text.
        """
        return checking.check(self._readers, self._database, read_data=read_data)

    def repair(self, *, dry_run: bool = False) -> list[Repair]:
        """Mend what is damaged, what is taken out kept in `<name>.db-quarantine/`.

        Returns what was done, or would be. Waits for writers, and where a new database has to take the place
        of this one for readers too. Raises `BusyError` when they take too long.
        """
        try:
            return repairing.repair(self._readers, self._database, dry_run=dry_run)
        except OSError as error:
            raise from_system(error, self.path) from error

    def sizes(self) -> dict[str, int]:
        """Return the bytes of the database and its log as `hot`, of what is set aside as `reserve`."""
        try:
            hot = os.stat(self.path).st_size + log_size(self.path)
            return {"hot": hot, "reserve": self._reserve.size()}
        except OSError as error:
            raise from_system(error, self.path) from error

    def facts(self) -> dict[str, Any]:
        """Return the library's version, the layout, how the log stands, and what is done about it."""
        ((mode,),) = self._readers.all("PRAGMA journal_mode")
        ((free,),) = self._readers.all("PRAGMA freelist_count")
        return {
            "sqlite": sqlite3.sqlite_version,
            "layout": layout.LAYOUT,
            "journal_mode": mode,
            "durability": self._database.durability,
            "wal_bytes": log_size(self.path),
            "free_pages": free,
            "wal_reset_bug": wal_reset_bug(sqlite3.sqlite_version_info),
            "checkpoints": "only by one process at a time, while nobody writes",
        }

    def close(self) -> None:
        """Release files, locks and connections; a second call does nothing."""
        self._end.detach()
        _close(self._readers, self._writer, self._reserve)

    def _freeing(self, act: Callable[[], int]) -> int:
        """Return what `act` returns, which removes; on a full disk by what log and reserve take up."""
        try:
            return act()
        except StoreError as error:
            if error.errno not in FULL:
                raise
        self._make_room()
        result = self._reserve.freeing(act)
        self._make_room()
        self._reserve.renew()
        return result

    def _make_room(self) -> None:
        """Empty the log, which may take room first: for what is new in the file."""
        with suppress(StoreError):
            while not self._writer.checkpoint() and is_full(self.path) and self._reserve.give():
                pass


def _close(readers: Readers, writer: TableWriter, reserve: Reserve) -> None:
    readers.close()
    writer.close()
    writer.database.lock.close()
    if reserve.given:  # the index of the log is gone by now, if nobody else has the store open
        reserve.renew()


class _SessionWriter(SingleWriter):
    """Commits into the log alone, and brings all of it to the medium at the end."""

    def __init__(self, backend: SqliteBackend) -> None:
        super().__init__(backend)
        store = backend._database
        self._writer = TableWriter(store.path, durability="os", timeout=store.timeout)

    def write(self, batch: Batch) -> None:
        """Write a batch: all of it or nothing; it survives the process, and a power cut after `close`."""
        self._writer.write(batch.add, batch.remove, batch.fresh, orjson.dumps)

    def close(self) -> None:
        """Wait until the session's batches are on the medium."""
        try:
            self._writer.database.flush()
        finally:
            self._writer.close()
            self._writer.database.lock.close()


def _days(ask: Ask, path: str) -> Iterator[tuple[str, int, int]]:
    """Yield kind, day and number, from one range of the index to the next.

    One GROUP BY over all rows computes and sorts a day per row, which takes four times as long.
    """
    ((kind,),) = ask(_FIRST_KIND)
    while kind is not None:
        begin = -(2**63)
        while rows := list(ask(_NEXT_INSTANT, (kind, begin))):
            ((moment,),) = rows
            if type(kind) is not str or type(moment) is not int or not FIRST <= moment <= LAST:
                raise _misfit(ask, path)
            day = moment // DAY
            begin = (day + 1) * DAY
            ((number,),) = ask(_IN_DAY, (kind, day * DAY, begin))
            yield kind, day, number
        ((kind,),) = ask(_NEXT_KIND, (kind,))


def _grid(ask: Ask, query: Query, periods: Periods) -> tuple[int, int]:
    """Return a grid of periods for all that can answer, whether the index by time has it or not yet."""
    ends = (f"{_ANY_INSTANT} ORDER BY instant{direction} LIMIT 1" for direction in ("", " DESC"))
    found = [moment for sql in (*ends, _LATE_INSTANTS) for (moment,) in ask(sql)]
    if not found:
        return 0, 1
    low = min(found) if query.since is None else max(query.since, min(found))
    high = max(found) if query.until is None else min(query.until, max(found))
    return periods.grid(low, high) if low <= high else (0, 1)


def _misfit(ask: Ask, path: str) -> DamageError:
    found = "a kind or an instant in an index is none"
    for seq, identity in ask(_MISFITS):
        found = f"table patterns, row with seq {seq} (id {identity!r}): its kind or instant is none"
    return damage(path, found)


def _free_pages(pages: int, held: sqlite3.Connection) -> int:
    # `execute` would stop after the first page: the pragma yields rows without columns.
    held.executescript(f"PRAGMA incremental_vacuum({pages})")
    return int(held.execute("PRAGMA freelist_count").fetchone()[0])


def wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Tell whether this SQLite has the bug of https://www.sqlite.org/wal.html#walresetbug.

    >>> wal_reset_bug((3, 40, 1)), wal_reset_bug((3, 44, 6)), wal_reset_bug((3, 51, 3))
    (True, False, False)
    """
    mended = version >= (3, 51, 3) or any(
        version[:2] == line[:2] and version >= line for line in ((3, 44, 6), (3, 50, 7))
    )
    return version >= (3, 7, 0) and not mended

"""Mends a database: in place where its tables can be read, else by a new one of the rows that can.

In place everything happens in one transaction: damaged rows leave, which stand in the quarantine by then;
indexes, triggers, tags and the arrival number are made anew. It is taken back when the result is not sound.
Then a new database is built beside the old one, which keeps a name in the quarantine, and renamed over it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Problem, Repair
from moai_patterns.backends.sqlite import checking, faults, layout, quarantine
from moai_patterns.backends.sqlite.creation import make_draft
from moai_patterns.backends.sqlite.database import Database, connect, log_size
from moai_patterns.backends.sqlite.logfile import lost_commits
from moai_patterns.backends.sqlite.reading import Readers, decoded
from moai_patterns.backends.sqlite.rows import SEQ, read
from moai_patterns.backends.sqlite.salvage import DAMAGED, TABLES, Row, Table, lenient
from moai_patterns.backends.sqlite.write import roll_back
from moai_patterns.errors import BusyError, DamageError

_NAMES = ", ".join(layout.NAMES)
_INSERT = f"INSERT INTO {{}} ({_NAMES}) VALUES ({', '.join('?' * len(layout.NAMES))})"
_HEADLESS = """
    SELECT pattern_id, max(revision) FROM history AS h
    WHERE NOT EXISTS (SELECT 1 FROM patterns AS p WHERE p.pattern_id = h.pattern_id) GROUP BY pattern_id"""
_RAISE = f"INSERT INTO patterns ({_NAMES}) SELECT {_NAMES} FROM history WHERE pattern_id = ? AND revision = ?"
_UNFIT = f"""
    SELECT {", ".join("h." + name for name in layout.NAMES)} FROM history AS h JOIN patterns AS p
        ON p.pattern_id = h.pattern_id AND (p.revision <= h.revision OR p.seq <= h.seq)
    UNION SELECT {", ".join("h." + name for name in layout.NAMES)} FROM history AS h
        JOIN patterns AS p ON p.seq = h.seq"""
_HIGHEST = (
    "SELECT max(seq) FROM (SELECT max(seq) AS seq FROM patterns UNION ALL SELECT max(seq) FROM history)"
)
_ROWS_IN_PAGE, _LEAST_PAGE = 256, 512
_NAMED = 20  # ids that a sentence lists


class _Aside(NamedTuple):
    """A row that is taken out of a table, and why."""

    table: str
    row: Row
    reason: str

    def told(self) -> Mapping[str, Any]:
        """Return what the quarantine says of it."""
        columns = dict(zip(layout.NAMES, self.row, strict=True))
        return {"table": self.table, "reason": self.reason, "row": columns}


def repair(readers: Readers, database: Database, *, dry_run: bool) -> list[Repair]:
    """Mend a database, or only tell what would be done.

    Raises `BusyError` when others keep it for longer than the timeout, and `StoreError`; `DamageError` when
    nothing of it can be read.
    """
    path = database.path
    aside = set(quarantine.held(path))
    found = checking.check(readers, database, read_data=True)
    if all(problem.place in aside for problem in found):
        return []
    problems = [problem for problem in found if problem.place not in aside]
    try:
        if dry_run:
            return _Mending(database, problems).survey()
        with database.lock.held(timeout=database.timeout):
            return _Mending(database, problems).run()
    except DAMAGED as error:
        if isinstance(error, sqlite3.Error):
            raise faults.translate(error, path) from error
        raise faults.damage(path, "the schema is damaged: it is no UTF-8") from None


class _Mending:
    """One run over a database in which something does not fit."""

    def __init__(self, database: Database, problems: list[Problem]) -> None:
        self._path = database.path
        self._timeout = database.timeout
        self._problems = problems
        self._aside: list[_Aside] = []
        self._raised: list[str] = []
        self._told: list[Repair] = []
        self._unread: list[Repair] = []
        self._highest = 0
        self._missed = False

    def survey(self) -> list[Repair]:
        """Return what would be done, as far as that can be told from reading alone."""
        self._look()
        if not (self._told or self._missed or self._aside or self._rest()):
            return []
        place, _ = quarantine.rows_place(self._path, [entry.told() for entry in self._aside])
        return self._report(place, quarantine.place_for(self._path) if self._missed else "")

    def run(self) -> list[Repair]:
        """Mend the database; the caller holds its lock."""
        if lost := lost_commits(self._path):
            self._told.append(Repair(self._path + "-wal", lost, None, (), quarantine.keep_log(self._path)))
        self._look()
        if not (self._told or self._missed or self._aside or self._rest()):
            return []
        before = list(self._aside)
        if not self._missed:
            try:
                place = self._in_place()
            except (*DAMAGED, DamageError) as error:
                if isinstance(error, sqlite3.Error) and faults.passing(error):
                    raise
                self._aside, self._raised = before, []
            else:
                return self._report(place, "")
        self._aside, self._raised = [], []
        original, place = self._anew()
        return self._report(place, original)

    def _look(self) -> None:
        """Read every row, and find out which are not as they were written and which cannot be read."""
        with closing(lenient(self._path)) as connection:
            for name in TABLES:
                table = Table(connection, name)
                for row in table.rows():
                    if fault := _fault(row):
                        self._aside.append(_Aside(name, row, fault))
                self._note(table)

    def _note(self, table: Table) -> None:
        self._highest = max(self._highest, table.highest)
        self._missed = self._missed or bool(table.missed)
        lost = table.lost()
        if table.missed or lost:
            ids = tuple(identity for _, identity in lost or ())
            number = None if lost is None else len(lost)
            place = f"{self._path}: {table.name}"
            self._unread.append(Repair(place, "rows that cannot be read", number, ids))

    def _rest(self) -> list[Repair]:
        """Return what `check` found beside damaged rows and what stands in them as it was written."""
        told = []
        for problem in self._problems:
            if problem.place.endswith("-wal") or (" row " in problem.place and "tag" not in problem.sentence):
                continue
            lost = 0
            if "has not all before it" in problem.sentence:
                lost = 0 if any(problem.place.endswith(repr(name)) for name in self._lost_ids()) else 1
            told.append(Repair(problem.place, f"{problem.sentence}: mended", lost))
        return told

    def _lost_ids(self) -> set[str]:
        """Return the ids of which it is told already that something is lost."""
        return {str(entry.row[0]) for entry in self._aside} | {
            name for repair in (*self._told, *self._unread) for name in repair.lost_ids
        }

    def _report(self, place: str, original: str) -> list[Repair]:
        told = list(self._told)
        if original:
            told += [replace(repair, quarantined=original) for repair in self._unread]
        for entry in self._aside:
            where = f"{self._path}: {entry.table} row {entry.row[SEQ]} (id {entry.row[0]!r})"
            told.append(Repair(where, f"the row {entry.reason}", 1, (str(entry.row[0]),), place))
        if self._raised:
            lost = tuple(name for name in self._raised if name not in self._lost_ids())
            names = ", ".join(map(repr, self._raised[:_NAMED])) + (", ..." * (len(self._raised) > _NAMED))
            sentence = f"the newest revision is lost, so the one before it is the head again: {names}"
            told.append(Repair(self._path, sentence, len(lost), lost))
        told += self._rest()
        if original:
            sentence = "replaced by a new database of the rows that can be read"
            told.append(Repair(self._path, sentence, 0, (), original))
        return told

    def _in_place(self) -> str:
        """Mend the tables as they are; return where the rows are that were taken out."""
        with closing(connect(self._path)) as connection:
            connection.text_factory = decoded
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                _drop(connection, "trigger", "index")
                for entry in self._aside:
                    connection.execute(f"DELETE FROM {entry.table} WHERE seq = ?", (entry.row[SEQ],))
                _make(connection, "index")
                connection.execute("REINDEX")
                self._settle(connection)
                _make(connection, "trigger")
                gaps = connection.execute(checking.GAPS).fetchall()
                place = self._keep(gaps)
                checking.must_be_sound(connection.execute, self._path)
                connection.execute("COMMIT")
            finally:
                roll_back(connection)
        return place

    def _keep(self, gaps: list[tuple[str, int]]) -> str:
        """Bring into the quarantine what is about to leave the database, and return where rows are."""
        quarantine.note_gaps(self._path, gaps)
        if not self._aside:
            return ""
        return quarantine.keep_rows(self._path, [entry.told() for entry in self._aside])

    def _settle(self, connection: sqlite3.Connection) -> None:
        """Make what hangs between the rows fit again, with no trigger in the way."""
        for identity, revision in connection.execute(_HEADLESS).fetchall():
            connection.execute(_RAISE, (identity, revision))
            gone = "DELETE FROM history WHERE pattern_id = ? AND revision = ?"
            connection.execute(gone, (identity, revision))
            self._raised.append(identity)
        for row in connection.execute(_UNFIT).fetchall():
            self._aside.append(_Aside("history", row, "does not fit to its head"))
            connection.execute("DELETE FROM history WHERE seq = ?", (row[SEQ],))
        self._count_on(connection)
        connection.execute("DROP TABLE IF EXISTS tags")
        connection.execute(checking.expected_schema()["table", "tags"])
        for name in TABLES:
            for row in connection.execute(f"SELECT {_NAMES} FROM {name}"):
                entries = checking.tag_entries(read(row))
                connection.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?, ?)", entries)

    def _count_on(self, connection: sqlite3.Connection) -> None:
        """Make sure that no arrival number is given again of all that are known."""
        known = [self._highest, *(entry.row[SEQ] for entry in self._aside)]
        try:
            known += [number for (number,) in connection.execute("SELECT highest_removed FROM arrival")]
        except sqlite3.Error:
            pass  # the table is not there
        numbers = [number for number in known if type(number) is int and 0 <= number < checking.MOST_ARRIVALS]
        ((present,),) = connection.execute(_HIGHEST)
        removed = 0 if max(numbers) == present else max(numbers)
        connection.execute("DROP TABLE IF EXISTS arrival")
        connection.execute(checking.expected_schema()["table", "arrival"])
        connection.execute("INSERT INTO arrival VALUES (?)", (removed,))

    def _anew(self) -> tuple[str, str]:
        """Build a new database and put it in the place of this one; return where that is, and its rows."""
        with closing(lenient(self._path)) as connection:
            self._empty_log(connection)
            # Nothing may tell how far the numbers of lost rows went, but so many are never in a page.
            self._highest += _ROWS_IN_PAGE * (os.stat(self._path).st_size // _LEAST_PAGE + _pages(self._path))
            draft = make_draft(self._path)
            with closing(connect(draft)) as fresh:
                fresh.execute("BEGIN")
                _drop(fresh, "trigger")
                taken = sum(self._fill(fresh, Table(connection, name)) for name in TABLES)
                if not taken and self._missed:
                    raise faults.damage(self._path, "no row of it can be read: bring it back from a backup")
                self._settle(fresh)
                _make(fresh, "trigger")
                gaps = fresh.execute(checking.GAPS).fetchall()
                fresh.execute("COMMIT")
        fileops.sync_file(draft)
        place = self._keep(gaps)
        original = quarantine.keep_database(self._path)
        for beside in ("-wal", "-shm"):  # both empty, and those of the old file
            fileops.remove(self._path + beside)
        fileops.rename(draft, self._path)
        fileops.sync_dir(os.path.dirname(self._path))
        return original, place

    def _empty_log(self, connection: sqlite3.Connection) -> None:
        """Bring the log into the old file: what is in it belongs to that, and must not meet the new one."""
        end = time.monotonic() + self._timeout
        while True:
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.Error as error:
                if not faults.passing(error):
                    raise
            if not log_size(self._path):
                return
            if time.monotonic() > end:
                raise BusyError(f"{self._path}: others read it all the time, so its log cannot be emptied")
            time.sleep(0.01)

    def _fill(self, fresh: sqlite3.Connection, table: Table) -> int:
        """Take over the rows that are as they were written; return how many."""
        taken = 0
        for row in table.rows():
            fault = _fault(row)
            if not fault:
                try:
                    fresh.execute(_INSERT.format(table.name), row)
                except sqlite3.IntegrityError:
                    fault = "has the id, or the arrival number, of another one"
            if fault:
                self._aside.append(_Aside(table.name, row, fault))
            taken += not fault
        return taken


def _pages(path: str) -> int:
    """Return how many pages the header says that the file has, in case it was cut off."""
    descriptor = fileops.open_read(path)
    try:
        return min(int.from_bytes(fileops.read_at(descriptor, 4, 28), "big"), 1 << 30)
    finally:
        os.close(descriptor)


def _fault(row: Row) -> str:
    try:
        read(row)
    except ValueError as fault:
        return str(fault)
    return ""


def _drop(connection: sqlite3.Connection, *kinds: str) -> None:
    for kind, name in _named(kinds):
        connection.execute(f"DROP {kind} IF EXISTS {name}")


def _make(connection: sqlite3.Connection, *kinds: str) -> None:
    for key in _named(kinds):
        connection.execute(checking.expected_schema()[key])


def _named(kinds: Iterable[str]) -> list[tuple[str, str]]:
    return [key for key in checking.expected_schema() if key[0] in kinds]

"""Mends a database: in place where its tables can be read, else by a new one of the rows that can.

In place everything happens in one transaction: damaged rows leave, which stand in the quarantine by then;
indexes, triggers, tags and the arrival number are made anew. It is taken back when the result is not sound.
Then, or when another connection cannot read what was made, a new database is built beside the old one, which
keeps a name in the quarantine, and renamed over it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from itertools import islice
from typing import Any, NamedTuple

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Problem, Repair
from moai_patterns.backends.sqlite import checking, faults, layout, quarantine
from moai_patterns.backends.sqlite.creation import make_draft
from moai_patterns.backends.sqlite.database import Database, connect, log_size
from moai_patterns.backends.sqlite.gaps import Gap, gaps
from moai_patterns.backends.sqlite.indexing import tag_entries
from moai_patterns.backends.sqlite.logfile import lost_commits
from moai_patterns.backends.sqlite.reading import Readers, decoded
from moai_patterns.backends.sqlite.rows import SEQ, read, record
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
_IS_THERE = """
    SELECT 1 FROM patterns WHERE pattern_id = ?1 AND revision = ?2
    UNION ALL SELECT 1 FROM history WHERE pattern_id = ?1 AND revision = ?2"""
_IS_HEAD = "SELECT 1 FROM patterns WHERE pattern_id = ?"
_REVISION = layout.NAMES.index("revision")
_ROWS_IN_PAGE, _LEAST_PAGE = 256, 512
_NAMED = 20  # ids that a sentence lists


class _Aside(NamedTuple):
    """A row that is taken out of a table, why, and whose it is as far as an index knows."""

    table: str
    row: Row
    reason: str
    identity: str

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
        with database.lock.held(shared=dry_run, timeout=database.timeout):
            mending = _Mending(database, problems)
            return mending.survey() if dry_run else mending.run()
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
        self._noted = quarantine.noted_gaps(self._path)
        self._aside: list[_Aside] = []
        self._explained: set[_Aside] = set()
        self._gaps: list[Gap] = []
        self._raised: list[str] = []
        self._told: list[Repair] = []
        self._named: dict[str, dict[int, str]] = {}
        self._unread: dict[str, list[str] | None] = {}
        self._highest = 0
        self._missed = False

    def survey(self) -> list[Repair]:
        """Return what would be done, as far as that can be told from reading alone."""
        log = self._path + "-wal"
        for problem in self._problems:
            if problem.place == log:
                place = quarantine.log_place(self._path, fileops.read(log))
                self._told.append(Repair(log, problem.sentence, None, (), place))
        self._look()
        with closing(lenient(self._path)) as connection, suppress(*DAMAGED):
            self._weigh(connection)
        place, _ = quarantine.rows_place(self._path, [entry.told() for entry in self._aside])
        return self._report(place, quarantine.place_for(self._path) if self._missed else "")

    def run(self) -> list[Repair]:
        """Mend the database; the caller holds its lock."""
        if lost := lost_commits(self._path):
            log = self._path + "-wal"
            place = quarantine.keep_log(self._path, fileops.read(log))
            self._told.append(Repair(log, lost, None, (), place))
            with closing(lenient(self._path)) as connection:
                self._empty_log(connection)
        self._look()
        if not (self._missed or self._aside or self._gaps or self._rest()):
            return self._told
        if self._missed:
            self._aside = []  # a new database finds them again
        else:
            in_place = self._try_in_place()
            if in_place is not None:
                return self._report(in_place, "")
        original, place = self._anew()
        return self._report(place, original)

    def _look(self) -> None:
        """Read every row, and find out which are not as they were written and which cannot be read."""
        with closing(lenient(self._path)) as connection:
            for name in TABLES:
                table = Table(connection, name)
                faulty = {row[SEQ]: (row, fault) for row in table.rows() if (fault := _fault(row))}
                named = table.named(faulty)
                self._named[name] = dict(named or ())
                self._aside += [self._out(name, row, fault) for row, fault in faulty.values()]
                self._highest = max(self._highest, table.highest)
                self._missed = self._missed or bool(table.missed)
                lost = None if named is None else [identity for seq, identity in named if seq not in faulty]
                if table.missed or lost:
                    self._unread[name] = lost
            with suppress(*DAMAGED):
                self._gaps = list(gaps(connection.execute, self._noted))

    def _out(self, table: str, row: Row, reason: str) -> _Aside:
        return _Aside(table, row, reason, self._named[table].get(row[SEQ], str(row[0])))

    def _rest(self) -> list[Repair]:
        """Return what `check` found and what is made anew."""
        found = (problem for problem in self._problems if not isinstance(problem, checking.Counted))
        return [Repair(problem.place, f"{problem.sentence}: mended") for problem in found]

    def _report(self, place: str, original: str) -> list[Repair]:
        told = list(self._told)
        for table, known in self._unread.items():
            number = None if known is None else len(known)
            where = f"{self._path}: {table}"
            told.append(Repair(where, "rows that cannot be read", number, tuple(known or ()), original))
        for entry in self._aside:
            where = f"{self._path}: {entry.table} row {entry.row[SEQ]} (id {entry.row[0]!r})"
            ids = () if entry in self._explained else (entry.identity,)
            told.append(Repair(where, f"the row {entry.reason}", len(ids), ids, place))
        counted = Counter(identity for repair in told for identity in repair.lost_ids)
        if self._raised:
            lost = tuple(name for name in self._raised if not counted[name])
            names = ", ".join(map(repr, self._raised[:_NAMED])) + (", ..." * (len(self._raised) > _NAMED))
            sentence = f"the newest revision is lost, so the one before it is the head again: {names}"
            told.append(Repair(self._path, sentence, len(lost), lost))
        counted.subtract(name for name in self._raised if counted[name])
        for gap in self._gaps:
            if (number := gap.number - counted[gap.identity]) > 0:
                sentence = f"revision {gap.revision!r} has not all before it, which is noted"
                where = f"{self._path}: patterns {gap.identity!r}"
                told.append(Repair(where, sentence, number, (gap.identity,)))
        told += self._rest()
        if original:
            sentence = "replaced by a new database of the rows that can be read"
            told.append(Repair(self._path, sentence, 0, (), original))
        return list(dict.fromkeys(told))

    def _try_in_place(self) -> str | None:
        """Mend the tables as they are, and return where rows are that were taken out; None if that failed."""
        try:
            place = self._in_place()
        except (*DAMAGED, DamageError) as error:
            _must_not_pass(error)
            self._aside, self._raised = [], []
            return None
        try:
            # What the connection that made it knows of the schema need not be what is in the file.
            with closing(connect(self._path)) as fresh:
                fresh.text_factory = decoded
                fresh.execute("PRAGMA wal_autocheckpoint = 0")
                checking.must_be_sound(fresh.execute, self._path)
        except (*DAMAGED, DamageError) as error:
            _must_not_pass(error)
            return None
        return place

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
                checking.must_be_sound(connection.execute, self._path)
                place = self._keep(connection)
                connection.execute("COMMIT")
            finally:
                roll_back(connection)
        return place

    def _keep(self, connection: sqlite3.Connection) -> str:
        """Bring into the quarantine what is about to leave the database, and return where rows are."""
        self._weigh(connection)
        quarantine.note_gaps(self._path, [(gap.identity, gap.missing) for gap in self._gaps])
        if not self._aside:
            return ""
        return quarantine.keep_rows(self._path, [entry.told() for entry in self._aside])

    def _weigh(self, connection: sqlite3.Connection) -> None:
        """Find out which revisions are missing, and which findings tell of one that others tell of too."""
        self._gaps = list(gaps(connection.execute, self._noted))
        lacking = {gap.identity for gap in self._gaps} | set(self._raised)
        # A row that is there after all: the entry of the index was damaged.
        for table, known in self._unread.items():
            if known is not None:
                heads = (bool(connection.execute(_IS_HEAD, (name,)).fetchone()) for name in known)
                pairs = zip(known, heads, strict=True)
                self._unread[table] = [name for name, is_there in pairs if not is_there or name in lacking]
        self._explained = {entry for entry in self._aside if _is_there(connection, entry)}
        for table, names in self._named.items():
            # A damaged page shows them in the place of others.
            unknown = (e for e in self._aside if e.table == table and e.row[SEQ] not in names)
            self._explained.update(islice(unknown, len(self._unread.get(table) or ())))

    def _settle(self, connection: sqlite3.Connection) -> None:
        """Make what hangs between the rows fit again, with no trigger in the way."""
        for identity, revision in connection.execute(_HEADLESS).fetchall():
            connection.execute(_RAISE, (identity, revision))
            gone = "DELETE FROM history WHERE pattern_id = ? AND revision = ?"
            connection.execute(gone, (identity, revision))
            self._raised.append(identity)
        for row in connection.execute(_UNFIT).fetchall():
            self._aside.append(self._out("history", row, "does not fit to its head"))
            connection.execute("DELETE FROM history WHERE seq = ?", (row[SEQ],))
        self._count_on(connection)
        connection.execute("DROP TABLE IF EXISTS tags")
        connection.execute(checking.expected_schema()["table", "tags"])
        for name in TABLES:
            for row in connection.execute(f"SELECT {_NAMES} FROM {name}"):
                entries = tag_entries(record(row, self._path))
                connection.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?, ?)", entries)
        connection.execute("UPDATE patterns SET indexed = 1 WHERE indexed IS NOT 1")

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
        connection.execute("INSERT INTO arrival VALUES (?, ?)", (removed, present or 0))

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
                fresh.execute("COMMIT")
                place = self._keep(fresh)
        fileops.sync_file(draft)
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
                self._aside.append(self._out(table.name, row, fault))
            taken += not fault
        return taken


def _must_not_pass(error: Exception) -> None:
    """Raise an error again that another process's lock has made: there is nothing to be mended."""
    if isinstance(error, sqlite3.Error) and faults.passing(error):
        raise error


def _is_there(connection: sqlite3.Connection, entry: _Aside) -> bool:
    """Tell whether another row is the revision that a row says it is."""
    named = entry.row[0], entry.row[_REVISION]
    try:
        return connection.execute(_IS_THERE, named).fetchone() is not None
    except UnicodeEncodeError:
        return False


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

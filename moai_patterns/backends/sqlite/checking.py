"""Looking for damage in a database without changing anything, in one state of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Problem
from moai_patterns.backends.sqlite import layout, quarantine
from moai_patterns.backends.sqlite.database import Database
from moai_patterns.backends.sqlite.faults import finding
from moai_patterns.backends.sqlite.gaps import gaps
from moai_patterns.backends.sqlite.indexing import tag_entries
from moai_patterns.backends.sqlite.logfile import lost_commits
from moai_patterns.backends.sqlite.reading import Ask, Readers
from moai_patterns.backends.sqlite.rows import SEQ, read
from moai_patterns.errors import BusyError, DamageError
from moai_patterns.instant import instant
from moai_patterns.query import Record

_SET_ASIDE = "damaged, and set aside; remove it when nothing in it is needed any more"
_MOST = 1000
_FOR_LOG = 1.0  # seconds to wait for a moment in which nobody writes
MOST_ARRIVALS = 2**62
_MASTER = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'"
_ORPHANS = """
    SELECT h.pattern_id, count(*) FROM history AS h LEFT JOIN patterns AS p
        ON p.pattern_id = h.pattern_id AND p.revision > h.revision AND p.seq > h.seq
    WHERE p.seq IS NULL GROUP BY h.pattern_id"""
_STRAY_TAGS = """
    SELECT t.tag, t.seq FROM tags AS t
    WHERE NOT EXISTS (SELECT 1 FROM patterns AS p WHERE p.seq = t.seq AND p.instant = t.instant)
    AND NOT EXISTS (SELECT 1 FROM history AS h WHERE h.seq = t.seq AND h.instant = t.instant)"""
_LAST = "SELECT max(seq) FROM (SELECT max(seq) AS seq FROM patterns UNION SELECT max(seq) FROM history)"
_ASTRAY = """
    SELECT count(*), min(seq) FROM patterns NOT INDEXED
    WHERE (indexed IS 1) <> (seq <= (SELECT indexed FROM arrival))"""
_SEQ_REUSED = "SELECT h.seq FROM history AS h JOIN patterns AS p ON p.seq = h.seq"


class Counted(Problem):
    """A finding whose losses a repair counts by itself: the log, a row, revisions that are missing."""

    __slots__ = ()


def check(readers: Readers, database: Database, *, read_data: bool) -> list[Problem]:
    """Return what is wrong with the database; `read_data` reads every text and every index entry."""
    path = database.path
    problems = list(_log(database)) if read_data else []
    try:
        with readers.moment(lenient=True) as ask:
            problems += _findings(ask, path, read_data=read_data)
    except DamageError as damage:  # so much that it cannot be opened
        problems.append(Problem(path, finding(damage, path)))
    return problems + [Problem(place, _SET_ASIDE) for place in quarantine.held(path)]


def _findings(ask: Ask, path: str, *, read_data: bool) -> Iterator[Problem]:
    steps = [_structure(ask, path), _schema(ask, path), _gaps(ask, path), _relations(ask, path)]
    if read_data:
        steps.append(_texts(ask, path))
    for step in steps:
        try:
            yield from islice(step, _MOST)
            if further := sum(1 for _ in step):
                yield Problem(path, f"and {further} further findings of this sort")
        except DamageError as damage:
            yield Problem(path, finding(damage, path))


def must_be_sound(ask: Ask, path: str) -> None:
    """Raise `DamageError` with the first thing that can be mended; texts are not read."""
    for problem in chain(_structure(ask, path), _schema(ask, path), _relations(ask, path)):
        raise DamageError(f"{problem.place}: {problem.sentence}")


def _log(database: Database) -> Iterator[Problem]:
    try:
        with database.lock.held(timeout=min(database.timeout, _FOR_LOG)):
            lost = lost_commits(database.path)
    except OSError as error:
        if isinstance(error, BusyError) or error.errno in fileops.DENIED:
            return  # others write at this moment, or one may only read: then the log is not looked at
        yield Counted(database.path + "-wal", f"it cannot be read: {error.strerror or error}")
    else:
        if lost:
            yield Counted(database.path + "-wal", lost)


def _structure(ask: Ask, path: str) -> Iterator[Problem]:
    # quick_check, at half the time, leaves out whether each index entry has its row: what queries trust.
    for (line,) in ask("PRAGMA integrity_check"):
        if line != "ok":
            yield Problem(path, line)


def expected_schema() -> dict[tuple[str, str], str]:
    """Return the statement that made each table, index and trigger of this layout."""
    made = sqlite3.connect(":memory:")
    try:
        for _, statements in layout.STEPS:
            for statement in statements:
                made.execute(statement)
        return {(kind, name): sql for kind, name, sql in made.execute(_MASTER)}
    finally:
        made.close()


def _schema(ask: Ask, path: str) -> Iterator[Problem]:
    expected = expected_schema()
    found = {(kind, name): sql for kind, name, sql in ask(_MASTER)}
    for (kind, name), sql in expected.items():
        if (kind, name) not in found:
            yield Problem(f"{path}: {kind} {name}", f"the {kind} is missing")
        elif found[kind, name] != sql:
            yield Problem(f"{path}: {kind} {name}", f"the {kind} is not as it was made")


def _gaps(ask: Ask, path: str) -> Iterator[Problem]:
    for gap in gaps(ask, quarantine.noted_gaps(path)):
        sentence = f"revision {gap.revision!r} has not all before it"
        yield Counted(f"{path}: patterns {gap.identity!r}", sentence, gap.number or 1)


def _relations(ask: Ask, path: str) -> Iterator[Problem]:
    for identity, count in ask(_ORPHANS):
        yield Problem(f"{path}: history {identity!r}", "superseded revisions without a later head", count)
    for tag, seq in ask(_STRAY_TAGS):
        yield Problem(f"{path}: tags {tag!r}, seq {seq}", "no record has this number and instant")
    yield from _arrival(ask, path)
    for (seq,) in ask(_SEQ_REUSED):
        yield Problem(f"{path}: seq {seq}", "two revisions have the same arrival number", 2)


def _arrival(ask: Ask, path: str) -> Iterator[Problem]:
    rows = list(ask("SELECT highest_removed, indexed FROM arrival"))
    numbers = rows[0] if len(rows) == 1 else ()
    if not numbers or not all(type(n) is int and 0 <= n < MOST_ARRIVALS for n in numbers):
        shown = ", ".join(repr(row)[:80] for row in rows[:3]) or "none"
        yield Problem(f"{path}: arrival", f"one row of two numbers should stand there, not {shown}")
        return
    removed, indexed = numbers
    ((given,),) = ask(_LAST)
    if indexed > max(given or 0, removed):
        yield Problem(f"{path}: arrival", f"record {indexed} counts as indexed, which nobody has saved")
    ((astray, first),) = ask(_ASTRAY)
    if astray:
        which = f"{astray} rows, the first with seq {first}, do not say whether they are indexed as it does"
        yield Problem(f"{path}: arrival", which)


def _texts(ask: Ask, path: str) -> Iterator[Problem]:
    tagged = _Tally()
    up_to = _indexed(ask)
    for place, row in _rows(ask, path):
        try:
            found = read(row)
        except ValueError as fault:
            yield Counted(place, f"the row {fault}", 1)
            continue
        if row[SEQ] <= up_to:
            tagged.add(tag_entries(found))
        doubt = _doubt(found)
        if doubt:
            yield Counted(place, doubt, 1)
    indexed = _Tally()
    indexed.add(ask("SELECT tag, instant, seq FROM tags"))
    if indexed.sum != tagged.sum:
        yield from _tags_astray(ask, path)


def _indexed(ask: Ask) -> int:
    """Return up to which number rows are in the indexes; all when the number is damaged."""
    found = [row for row in ask("SELECT indexed FROM arrival") if type(row[0]) is int]
    return int(found[0][0]) if found else MOST_ARRIVALS


def _rows(ask: Ask, path: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    names = ", ".join(layout.NAMES)
    for table in ("patterns", "history"):
        for row in ask(f"SELECT {names} FROM {table}"):
            yield f"{path}: {table} row {row[SEQ]} (id {row[0]!r})", row


class _Tally:
    """Index entries as their number and a sum over them: any number, in any order, in no space."""

    def __init__(self) -> None:
        self.sum = (0, 0)

    def add(self, entries: Iterable[tuple[str, int, int]]) -> None:
        number, total = self.sum
        for entry in entries:
            number, total = number + 1, (total + hash(entry)) & 0xFFFF_FFFF_FFFF_FFFF
        self.sum = number, total


def _tags_astray(ask: Ask, path: str) -> Iterator[Problem]:
    """Compare the tags of each record with the index one by one, once it is known that they differ."""
    right = 0
    up_to = _indexed(ask)
    for place, row in _rows(ask, path):
        try:
            found = read(row)
        except ValueError:
            continue
        for entry in tag_entries(found) if row[SEQ] <= up_to else ():
            if list(ask("SELECT 1 FROM tags WHERE tag = ? AND instant = ? AND seq = ?", entry)):
                right += 1
            else:
                yield Problem(place, f"the tag {entry[0]!r} is not in the index", 1)
    ((number,),) = ask("SELECT count(*) FROM tags")
    if number > right:
        yield Problem(f"{path}: tags", f"{number - right} entries that no readable record has")


def _doubt(found: Record) -> str | None:
    """Return what does not fit within one record."""
    stamp, moment = found["timestamp"], found["_meta"]["instant"]
    # A stamp without a zone means the local time where it was saved, which is unknown here.
    zoned = stamp.endswith("Z") or stamp[10:].find("+") > 0 or stamp[10:].find("-") > 0
    try:
        if instant(stamp) == moment or not zoned:
            return None
    except ValueError as error:
        return str(error)
    return f"the timestamp {stamp} is not the instant {moment}"

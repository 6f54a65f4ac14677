"""The WAL-reset bug of SQLite, with its timing forced to the instruction, against our locks.

A checkpoint of a log that is brought over whole already has read where the log ends, and stands still;
somebody commits and so starts the log anew; the checkpoint goes on and notes that the new log is brought
over as far as the old one went. What is committed next nobody sees again.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from forks import child
from moai_patterns.backends import locking
from moai_patterns.backends.sqlite.backend import wal_reset_bug
from moai_patterns.backends.sqlite.database import Database
from moai_patterns.errors import BusyError, PatternError
from moai_patterns.query import Query
from torture.acts import DAYS, opened, record
from torture.promise import BrokenPromiseError, Need, Promise, Tally, must
from torture.stepping import TRACING, Call, Puppet

# From where a checkpoint has its lock, so many instructions: more than it takes to find nothing to do.
_INSTRUCTIONS = 600
_CHECKPOINT_BYTE = 121  # of the index of the log; SQLite's lock of whoever checkpoints
_OLD, _NEW = 20, 5
_SHORT, _LONG = 0.05, 30.0

BUG = Need("an SQLite with the WAL-reset bug", lambda: wal_reset_bug(sqlite3.sqlite_version_info))


class Side(NamedTuple):
    """How the three processes of a case use a database.

    `saves` stores records of these names, waiting so long for others, and tells whether it could;
    `checkpoints` returns a function that does a checkpoint; `sees` returns the names that are there.
    """

    saves: Callable[[Path, Sequence[str], float], bool]
    checkpoints: Callable[[Path], Callable[[], object]]
    sees: Callable[[Path], set[str]]


def _plain_saves(path: Path, names: Sequence[str], timeout: float) -> bool:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=timeout)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS words (word)")
        for name in names:
            connection.execute("INSERT INTO words VALUES (?)", (name,))
    return True


def _plain_checkpoints(path: Path) -> Callable[[], object]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("SELECT count(*) FROM words").fetchone()
    return lambda: connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def _plain_sees(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {word for (word,) in connection.execute("SELECT word FROM words")}


def _store_saves(path: Path, names: Sequence[str], timeout: float) -> bool:
    with closing(opened("sqlite", path, timeout=timeout)) as storage:
        try:
            for name in names:
                storage.save(record(name, 0, DAYS[0]))
        except BusyError:
            return False
    return True


def _store_checkpoints(path: Path) -> Callable[[], object]:
    database = Database(str(path), durability="os", timeout=_LONG)
    connection, _ = database.open(time.monotonic() + _LONG)
    return lambda: database.checkpoint(connection, "PASSIVE", wait=_LONG)


def _store_sees(path: Path) -> set[str]:
    with closing(opened("sqlite", path)) as storage:
        found = list(storage.backend.scan(Query(limit=None)))
        if problems := storage.check(read_data=True):
            raise BrokenPromiseError(f"check finds {[str(problem) for problem in problems[:3]]}")
    return {one["pattern_id"] for one in found}


def _take_out_the_lock() -> None:
    """Take out, in this forked process, what the store does against the bug."""
    locking._lock = lambda descriptor, shared: True
    locking._unlock = lambda descriptor: None


PLAIN = Side(_plain_saves, _plain_checkpoints, _plain_sees)
STORE = Side(_store_saves, _store_checkpoints, _store_sees)


class Ending(NamedTuple):
    """What came of a case: acknowledged names that are gone, and whether a save was possible meanwhile."""

    lost: set[str]
    saved_meanwhile: bool


class Scene:
    """Processes that use one database, with or without the lock that a store has beside its own."""

    def __init__(self, side: Side, path: Path, *, locked: bool = True) -> None:
        self._side, self._path, self._locked = side, path, locked

    def played(self, instructions: int) -> Ending:
        """Let a checkpoint stand still after so many instructions, while somebody commits."""
        old, new = ([f"{age}{n}" for n in range(count)] for age, count in (("old", _OLD), ("new", _NEW)))
        asking, telling = os.pipe()
        ending, over = os.pipe()
        holder = child(lambda: self._hold(old, telling, ending, over))
        for descriptor in (telling, ending):
            os.close(descriptor)
        try:
            os.read(asking, 1)
            with Puppet(self._checkpoint) as puppet:
                _stop_within(puppet, instructions)
                meanwhile = _said(lambda: self._save(new[:1], _SHORT))
                puppet.let_go()
                must(puppet.end() == 0, "the checkpoint failed; what it printed stands above")
            must(_said(lambda: self._save(new, _LONG)), "no save was possible after the checkpoint")
            return Ending({*old, *new} - self._seen(), meanwhile)
        finally:
            for descriptor in (asking, over):
                os.close(descriptor)
            os.waitpid(holder, 0)

    def _hold(self, names: list[str], telling: int, ending: int, over: int) -> None:
        """Write the log and bring all of it over; stay, so that the log stays."""
        self._begin()
        os.close(over)
        self._side.saves(self._path, names[:1], _LONG)
        checkpoint = self._side.checkpoints(self._path)
        self._side.saves(self._path, names[1:], _LONG)
        checkpoint()
        os.write(telling, b".")
        os.read(ending, 1)

    def _checkpoint(self, ready: Callable[[], None]) -> None:
        self._begin()
        checkpoint = self._side.checkpoints(self._path)
        ready()
        checkpoint()
        os._exit(0)  # a close would be another checkpoint

    def _save(self, names: Sequence[str], timeout: float) -> bool:
        self._begin()
        return self._side.saves(self._path, names, timeout)

    def _begin(self) -> None:
        if not self._locked:
            _take_out_the_lock()

    def _seen(self) -> set[str]:
        """What is there; nothing of what cannot be read any more, or `check` finds fault with."""
        try:
            return self._side.sees(self._path)
        except (PatternError, sqlite3.Error, BrokenPromiseError) as error:
            print(error, file=sys.stderr)
            return set()


def _stop_within(puppet: Puppet, instructions: int) -> None:
    begun = puppet.to_call(_takes_checkpoint_lock) and puppet.past_call()
    must(begun and puppet.step(instructions), "the checkpoint ended too soon")


def _takes_checkpoint_lock(call: Call) -> bool:
    return call.locks() == (1, _CHECKPOINT_BYTE)


def _said(act: Callable[[], bool]) -> bool:
    """Do something in a process of its own that closes nothing, and return what it returned."""
    reading, writing = os.pipe()
    pid = child(lambda: os.write(writing, b"yes" if act() else b"no"))
    os.close(writing)
    said = os.read(reading, 3)
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    must(status == 0, "a save failed; what it printed stands above")
    return said == b"yes"


def _run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    for number in numbers:
        here = place / str(number)
        here.mkdir()
        plain = Scene(PLAIN, here / "plain.db").played(number)
        tally.add("timings that lost commits of plain connections", bool(plain.lost))
        without = Scene(STORE, here / "open.db", locked=False).played(number)
        tally.add("timings that lost records of the store without its lock", bool(without.lost))
        tally.fired(bool(without.lost))
        kept = Scene(STORE, here / "store.db").played(number)
        must(not kept.lost, f"instruction {number}: lost {sorted(kept.lost)}")
        must(not kept.saved_meanwhile, f"instruction {number}: a save was acknowledged amid a checkpoint")


PROMISES = [
    Promise(
        name="wal-reset",
        sentence="a checkpoint that stands still at any instruction while another process commits (the "
        "WAL-reset bug of SQLite) loses nothing of the store; without the store's lock it does",
        cases=lambda: _INSTRUCTIONS,
        run=_run,
        fast=24,
        chunk=_INSTRUCTIONS,
        needs=(TRACING, BUG),
    )
]

"""Bugs of the other themes that a promise itself sees, from the outside: the harnesses are not blind."""

from __future__ import annotations

from torture.sabotages import (
    durability,
    files,
    journals,
    locking,
    order,
    query,
    retention,
    revisions,
    segments,
    sqlite,
)
from torture.sabotages.sabotage import Sabotage

_THEMES = (durability, files, journals, locking, order, query, retention, revisions, segments, sqlite)
_SEEN = {
    "save-syscalls": "a hot file is published before it is announced",
    "syscall-kills": "segments go before the manifest",
    "short-writes": "a short write is whole",
    "kills": "publish and unlink swapped",
    "power-cuts-record": "a hot file's directory is not flushed",
    "power-cuts-group": "SQLite at group does not flush",
    "crash-states": "no fsync of directories",
    "spool-states": "the spool is cleared before the store has it",
    "fsync-fails": "a failed flush is tried again",
    "full-disk-byte": "a short write is whole",
    "writers": "lock forgotten for a hot file",
    "updates": "a lost update",
    "starts": "a database is made without the lock",
    "readers": "doubles within a day",
    "locks": "two compactions at once",
    "flips-tree": "a line's checksum is not looked at",
    "flips-sqlite": "a row's checksum is not looked at",
    "derived-tree": "an index's checksum is not looked at",
    "programs": "limit in SQL before a condition",
    "hostile-records": "ids become paths",
    "hostile-questions": "limit in SQL before a condition",
    "hostile-nodes": "symbolic links are followed",
    "umasks": "the umask decides about files",
    "private-births": "readable for everybody",
    "zones": "an end date ends at midnight",
    "calendar": "every fourth year is a leap year",
    "clock-steps": "arrival numbers follow the clock alone",
    "retention": "a day too many expires",
}


# Of 80 processes on two cores every third time none meets another in the act, and of 500 that are killed
# at some moment of a compaction now and then none between the two steps.
_TRIES = {"kills": 8, "starts": 8}


def _seen() -> tuple[Sabotage, ...]:
    known = {bug.name: bug for theme in _THEMES for bug in theme.SABOTAGES}
    return tuple(
        known[name]._replace(
            name=f"{name}, as {part} sees it",
            test=f"tests/torture/test_promises.py::test_promise[{part}-1]",
            tries=_TRIES.get(part, 1),
        )
        for part, name in _SEEN.items()
    )


SABOTAGES: tuple[Sabotage, ...] = _seen()

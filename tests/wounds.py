"""How to corrupt stored bytes of each backend: what must be named in a report of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path


def flip(path: Path, offset: int) -> None:
    """Flip a bit of one byte of a file; a negative offset counts from its end."""
    stored = bytearray(path.read_bytes())
    stored[offset] ^= 1
    path.write_bytes(stored)


def journal_wounds(path: Path) -> Iterator[str]:
    """A bit in the first, a middle and the last line."""
    lines = path.read_bytes().splitlines(keepends=True)
    for number in (1, len(lines) // 2, len(lines) - 1):
        flip(path, sum(map(len, lines[:number])) + 40)
        yield f"{path}:{number + 1}"


def tree_wounds(path: Path) -> Iterator[str]:
    """Flipped bits in every kind of file that holds records, and the loss of what can be built again."""
    day = next(file.parent for file in sorted(path.glob("*/*/*/*.json")))
    for file in (
        *sorted(day.glob("*.json"))[:3],
        *sorted(path.glob("*/*/*/*.jsonl.gz"))[:1],
        *sorted(path.glob("history/*/*/*/*.jsonl.gz"))[:1],
        *sorted(path.glob("journal/*.jsonl"))[-2:],
        path / "index.json",
    ):
        size = file.stat().st_size
        for part in range(8):
            flip(file, size * part // 8)
            yield file.name
        file.write_bytes(bytes(size))
        yield file.name
    for file in sorted(file for file in path.glob("index/*") if file.stat().st_size):
        for derived in (b"", bytes(file.stat().st_size), None):
            file.unlink() if derived is None else file.write_bytes(derived)
            yield ""


def sqlite_wounds(path: Path) -> Iterator[str]:
    """A scrambled page of the table, and a text that is no JSON any more."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'patterns'")
        ((size,),) = database.execute("PRAGMA page_size")
    stored = bytearray(path.read_bytes())
    stored[(page - 1) * size : (page - 1) * size + 8] = b"scramble"
    path.write_bytes(stored)
    yield path.name
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "UPDATE patterns SET data = substr(data, 2) WHERE rowid = (SELECT max(rowid) FROM patterns)"
        )
    yield path.name

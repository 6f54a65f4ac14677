"""The same work done raw: what no store that keeps these things can be faster than."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import orjson

from moai_patterns.backends.sqlite.layout import STEPS
from moai_patterns.instant import instant
from moai_patterns.query import Record

_UPSERT = """
    INSERT INTO patterns (pattern_id, pattern_type, timestamp, data, context, version, created_at, instant,
                          revision, recorded_at, operation, checksum, indexed)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, 'save', 0, 1)
    ON CONFLICT (pattern_id) DO UPDATE SET
        pattern_type = excluded.pattern_type, timestamp = excluded.timestamp, data = excluded.data,
        context = excluded.context, instant = excluded.instant, revision = revision + 1
"""
_MANY = """
    INSERT INTO patterns (pattern_id, pattern_type, timestamp, data, context, version, created_at, seq,
                          instant, revision, recorded_at, operation, checksum, indexed)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, 'save', 0, 1)
"""
_TAG = "INSERT INTO tags (tag, instant, seq) VALUES (?, ?, ?)"


@contextmanager
def upserting(path: Path) -> Iterator[Callable[[Record], None]]:
    """Give what upserts one record in a transaction of its own, by prepared statements and `json`."""
    with closing(_tables(path)) as connection:

        def save(record: Record) -> None:
            now = time.time_ns() // 1000
            moment = instant(record["timestamp"])
            context = record["context"]
            row = (
                record["pattern_id"],
                record["pattern_type"],
                record["timestamp"],
                json.dumps(record["data"]),
                json.dumps(context),
                record.get("version"),
                now // 1_000_000,
                moment,
                now,
            )
            connection.execute("BEGIN IMMEDIATE")
            seq = connection.execute(_UPSERT, row).lastrowid
            connection.executemany(_TAG, [(tag, moment, seq) for tag in context["tags"]])
            connection.execute("COMMIT")

        yield save


@contextmanager
def inserting(path: Path) -> Iterator[Callable[[Sequence[Record]], None]]:
    """Give what inserts records in one transaction, by `executemany` and `orjson`."""
    with closing(_tables(path)) as connection:

        def save(records: Sequence[Record]) -> None:
            now = time.time_ns() // 1000
            (first,) = connection.execute("SELECT ifnull(max(seq), 0) + 1 FROM patterns").fetchone()
            rows, tags = [], []
            for seq, record in enumerate(records, start=first):
                moment = instant(record["timestamp"])
                context = record["context"]
                rows.append(
                    (
                        record["pattern_id"],
                        record["pattern_type"],
                        record["timestamp"],
                        orjson.dumps(record["data"]).decode(),
                        orjson.dumps(context).decode(),
                        record.get("version"),
                        now // 1_000_000,
                        seq,
                        moment,
                        now,
                    )
                )
                tags += [(tag, moment, seq) for tag in context["tags"]]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_MANY, rows)
            connection.executemany(_TAG, tags)
            connection.execute("COMMIT")

        yield save


def _tables(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    for _, statements in STEPS:
        for statement in statements:
            connection.execute(statement)
    return connection


def rename(directory: Path, name: str, data: bytes) -> None:
    """Write a file under a temporary name, and give it its own."""
    temporary = f"{directory}/.{name}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
    os.rename(temporary, f"{directory}/{name}")


def append(path: Path, records: Sequence[Record], *, each: bool) -> None:
    """Append records to a file of JSON lines, by `json`; `each` hands every line to the system at once."""
    with path.open("a") as file:
        for record in records:
            file.write(json.dumps(record) + "\n")
            if each:
                file.flush()

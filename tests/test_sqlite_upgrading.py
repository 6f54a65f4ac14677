"""Databases of the layout before this one are brought up as they are opened, with all that is in them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.sqlite import layout
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.backends.sqlite.write import checksum
from moai_patterns.query import Query, Record
from moai_patterns.testing.pools import MIDNIGHT, stored
from stores import checked, filled_database

QUESTIONS = [
    Query(limit=None),
    Query(limit=None, revisions="all", order="oldest"),
    Query("task_completion", MIDNIGHT + 10, MIDNIGHT + 20),
    Query(tags=["x"], limit=None),
    Query(tags=["z"], revisions="all"),
    Query(order="arrival", limit=7),
]
NAMES = ", ".join(layout.NAMES)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A database of this layout."""
    path = filled_database(tmp_path / "now.db")
    with closing(SqliteBackend(str(path))) as store:
        store.write(Batch(remove=[Removal("r59")]))
    return path


@pytest.fixture
def older(tmp_path: Path, filled: Path) -> Path:
    """The same records in a database of layout 1, as it was written by the version of that time."""
    path = tmp_path / "older.db"
    name, statements = layout.STEPS[0]
    with closing(sqlite3.connect(path, isolation_level=None)) as made:
        made.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for statement in (*layout.STEPS_TABLE, *statements):
            made.execute(statement)
        made.execute(
            'INSERT INTO "_sqlite_migrations" (migration_set, name) VALUES (?, ?)', (layout.STEP_SET, name)
        )
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("ATTACH ? AS now", (str(filled),))
        for table in ("patterns", "history"):
            made.execute(f"INSERT INTO {table} ({NAMES}) SELECT {NAMES} FROM now.{table}")
        made.execute("INSERT INTO tags SELECT * FROM now.tags")
        made.execute("UPDATE arrival SET highest_removed = (SELECT highest_removed FROM now.arrival)")
    return path


def answers(path: Path) -> list[list[Record]]:
    """What a store says to each question; every byte of it is looked at."""
    with checked(path) as store:
        return [list(store.scan(question)) for question in QUESTIONS]


def schema(path: Path) -> list[tuple[str, ...]]:
    """Tables, indexes and triggers, and the number of the layout."""
    with closing(sqlite3.connect(path)) as opened:
        made = opened.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
        return made + opened.execute("PRAGMA user_version").fetchall()


def test_an_older_database_is_brought_up_with_its_records(filled: Path, older: Path) -> None:
    """Answers, schema and the steps that count as applied are those of a database that began as this one."""
    before = answers(filled)
    assert schema(older) != schema(filled)
    assert answers(older) == before
    assert schema(older) == schema(filled)
    with closing(SqliteBackend(str(older))) as store:
        store.write(Batch([stored("new", MIDNIGHT, context={"tags": ["x"]})]))
        assert list(store.scan(Query(order="arrival", limit=None)))[-1]["pattern_id"] == "new"


def test_what_an_older_writer_adds_meanwhile_is_found_once(older: Path) -> None:
    """A process of the version before, which has the file open, goes on by the rules that it knows."""
    with closing(sqlite3.connect(older, isolation_level=None)) as writer:
        writer.execute("SELECT count(*) FROM patterns").fetchone()
        with closing(SqliteBackend(str(older))) as store:
            assert store.count(Query(limit=None)) == 59
            row = ["late", "task_completion", "2025-11-29", "{}", '{"tags":["x"]}', None, 0, 900, MIDNIGHT, 1]
            row += [MIDNIGHT, "save", None, None]
            row.append(checksum(row))
            writer.execute("BEGIN IMMEDIATE")
            marks = ", ".join("?" * len(row))
            writer.execute(f"INSERT INTO patterns ({NAMES}) VALUES ({marks})", row)
            writer.execute("INSERT INTO tags VALUES ('x', ?, 900)", (MIDNIGHT,))
            writer.execute("COMMIT")
            for _ in range(2):
                for question in (Query(limit=None), Query(tags=["x"], limit=None), Query("task_completion")):
                    found = [record["pattern_id"] for record in store.scan(question)]
                    assert found.count("late") == 1
                store.reclaim()
            assert store.check(read_data=True) == []


def test_a_failing_step_leaves_the_older_layout(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is whole or not at all: the file can be opened again, and then it succeeds."""
    name, statements = layout.STEPS[1]
    broken = (*statements[:-1], "INSERT INTO nowhere VALUES (1)")
    before = schema(older)
    with monkeypatch.context() as patching:
        patching.setattr(layout, "STEPS", (layout.STEPS[0], (name, broken)))
        with closing(SqliteBackend(str(older))) as store, pytest.raises(OSError, match="nowhere"):
            store.count(Query())
    assert schema(older) == before
    assert len(answers(older)[0]) == 59

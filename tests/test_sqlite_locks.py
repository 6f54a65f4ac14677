"""What happens in a database under which lock, seen at the moment at which it happens."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from forks import child, succeed
from moai_patterns.backends.base import Batch
from moai_patterns.backends.locking import Lock
from moai_patterns.backends.sqlite import creation, database, write
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.conditions import field
from moai_patterns.errors import BusyError
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "patterns.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteBackend]:
    """A store with one record."""
    with closing(SqliteBackend(str(path), timeout=10.0)) as opened:
        opened.write(Batch([stored("a", MIDNIGHT, data={"n": 1})]))
        yield opened


def others_can_write(path: Path) -> bool:
    """Whether another connection could begin to write now."""
    with closing(sqlite3.connect(path, timeout=0.0, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        other.execute("ROLLBACK")
        return True


def is_free(path: Path, *, shared: bool = False) -> bool:
    """Whether anybody could take the lock file of a database now."""
    lock = Lock(f"{path}-lock")
    try:
        lock.acquire(shared=shared, timeout=0.0)
    except BusyError:
        return False
    else:
        lock.release()
        return True
    finally:
        lock.close()


def test_a_batch_keeps_other_writers_out_from_its_first_look(
    store: SqliteBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a batch has read to number its records is still so when it writes them."""
    add, seen = write._add, list[bool]()

    def looking(connection: Any, rows: Any) -> None:
        seen.append(others_can_write(path))
        add(connection, rows)

    monkeypatch.setattr(write, "_add", looking)
    store.write(Batch([stored("b", MIDNIGHT), stored("c", MIDNIGHT)]))
    assert seen == [False]


def test_a_deletion_keeps_other_writers_out_while_it_reads(
    store: SqliteBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a deletion with a condition removes is what it has read."""
    answer, seen = SqliteBackend._answer, list[bool]()

    def looking(backend: SqliteBackend, *arguments: Any) -> Any:
        seen.append(others_can_write(path))
        return answer(backend, *arguments)

    monkeypatch.setattr(SqliteBackend, "_answer", looking)
    assert store.delete(Query(where=field("data.n") == 1)) == 1
    assert seen == [False]


def test_a_closing_connection_is_alone(
    store: SqliteBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last connection checkpoints when it closes, so nobody may write meanwhile."""
    close_all, seen = database._close_all, list[bool]()

    def looking(connections: Any) -> None:
        seen.append(is_free(path, shared=True))
        close_all(connections)

    monkeypatch.setattr(database, "_close_all", looking)
    store.close()
    assert seen == [False, False]  # the reading connections, and then the writing one


def test_a_write_holds_the_lock_that_checkpoints_wait_for(
    store: SqliteBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a transaction is open other writers may come, and no checkpoint."""
    add, seen = write._add, list[tuple[bool, bool]]()

    def looking(connection: Any, rows: Any) -> None:
        seen.append((is_free(path, shared=True), is_free(path)))
        add(connection, rows)

    monkeypatch.setattr(write, "_add", looking)
    store.write(Batch([stored("b", MIDNIGHT), stored("c", MIDNIGHT)]))
    store.write(Batch([stored("d", MIDNIGHT)]))
    assert seen == [(True, False), (True, False)]


def test_connections_never_checkpoint_by_themselves(
    store: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each connection, reading or writing, leaves checkpoints to the rule."""
    found = list[int]()
    connect = database.Database._connect

    def looking(opened: database.Database) -> Any:
        connection = connect(opened)
        found.append(connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0])
        return connection

    monkeypatch.setattr(database.Database, "_connect", looking)
    with closing(SqliteBackend(store.path)) as other:
        other.write(Batch([stored("b", MIDNIGHT)]))
        assert other.get("b") is not None
    assert found == [0, 0]


def test_no_connection_of_the_parent_is_open_in_a_child(store: SqliteBackend, path: Path) -> None:
    """Neither one that has written nor one that has read: SQLite would take its locks for the child's."""
    assert store.get("a") is not None

    def look() -> None:
        held = {
            os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.islink(entry.path)
        }
        assert not held & {str(path), f"{path}-wal", f"{path}-shm"}

    succeed([child(look)])
    assert store.get("a") is not None


def test_a_database_is_made_by_one_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who makes it keeps out others who would make it, or write into it, at the same time."""
    make_draft, seen = creation.make_draft, list[bool]()

    def looking(place: str) -> str:
        seen.append(is_free(path, shared=True))
        return make_draft(place)

    monkeypatch.setattr(creation, "make_draft", looking)
    with closing(SqliteBackend(str(path))):
        assert seen == [False]

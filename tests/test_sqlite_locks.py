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
from moai_patterns.backends.sqlite.reading import Readers
from moai_patterns.backends.sqlite.write import TableWriter
from moai_patterns.conditions import field
from moai_patterns.errors import BusyError, StoreError
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

    def looking(*arguments: Any) -> None:
        seen.append(others_can_write(path))
        add(*arguments)

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
    inserting, seen = write._insert, list[tuple[bool, bool]]()

    def looking(connection: Any, rows: Any, insert: str) -> int:
        seen.append((is_free(path, shared=True), is_free(path)))
        return inserting(connection, rows, insert)

    monkeypatch.setattr(write, "_insert", looking)
    store.write(Batch([stored("b", MIDNIGHT), stored("c", MIDNIGHT)]))
    store.write(Batch([stored("d", MIDNIGHT)]))
    assert seen == [(True, False), (True, False)]


def test_connections_never_checkpoint_by_themselves(
    store: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each connection, reading or writing, leaves checkpoints to the rule."""
    found = list[int]()
    connect = database.Database._connect

    def looking(opened: database.Database, end: float) -> Any:
        connection, file = connect(opened, end)
        found.append(connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0])
        return connection, file

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


@pytest.mark.parametrize("stage", ["about to", "half", "done"])
def test_no_connection_has_an_old_file_and_a_new_log(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Who opened the file while a repair replaced it, and then the log, opens both again."""
    for place, identity in ((path, "old"), (tmp_path / "new.db", "new")):
        with closing(SqliteBackend(str(place))) as made:
            made.write(Batch([stored(identity, MIDNIGHT)]))
    attach, opened = database.Database._attach, list[Any]()
    draft = Path(f"{path}-new")

    def replacing(store: database.Database, connection: Any) -> Any:
        if not opened and stage != "done":
            draft.write_bytes(b"")
        elif not opened:
            (tmp_path / "new.db").rename(path)
        elif stage == "about to":
            assert (is_free(path, shared=True), is_free(path)) == (True, False)
        opened.append(connection)
        found = attach(store, connection)
        if len(opened) == 1 and stage == "half":
            draft.unlink()
            (tmp_path / "new.db").rename(path)
        return found

    monkeypatch.setattr(database.Database, "_attach", replacing)
    writer = TableWriter(str(path), timeout=10.0)
    writer.write([stored("more", MIDNIGHT)])
    assert len(opened) == 2
    asked = "SELECT pattern_id FROM patterns WHERE pattern_id <> 'more'"
    ((first,),) = opened[1].execute(asked).fetchall()
    assert first == ("old" if stage == "about to" else "new")
    writer.close()


def test_a_reader_knows_a_file_that_was_replaced_while_it_opened(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection on the old file is not taken for one on the new."""
    for place, identity in ((path, "old"), (tmp_path / "new.db", "new")):
        with closing(SqliteBackend(str(place))) as made:
            made.write(Batch([stored(identity, MIDNIGHT)]))
    opening = Readers._open

    def replacing(readers: Readers) -> Any:
        opened = opening(readers)
        if (tmp_path / "new.db").exists():
            (tmp_path / "new.db").rename(path)
        return opened

    monkeypatch.setattr(Readers, "_open", replacing)
    with closing(SqliteBackend(str(path))) as store:
        assert store.get("new") is not None
        assert store.get("old") is None


def test_a_connection_that_fails_is_closed_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be the last one, whose closing brings the log into the database."""
    with closing(SqliteBackend(str(path))):
        pass
    path.write_bytes(b"SQLite format 3\0" + b"damaged" * 1000)
    close_all, seen = database._close_all, list[bool]()

    def looking(connections: Any) -> None:
        seen.append(is_free(path, shared=True))
        close_all(connections)

    monkeypatch.setattr(database, "_close_all", looking)
    with pytest.raises(StoreError):
        SqliteBackend(str(path)).get("a")
    assert seen
    assert not any(seen)


def test_a_session_that_cannot_flush_is_closed_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection does not wait for the collector, which would close it without the lock."""
    closed = list[int]()
    close = database.Database.close

    def closing_them(opened: database.Database, *connections: Any) -> None:
        closed.append(len(connections))
        close(opened, *connections)

    def refusing(opened: database.Database) -> None:
        raise StoreError(5, "the disk does not flush", opened.path)

    with closing(SqliteBackend(str(path), durability="group")) as store:
        session = store.single_writer()
        session.write(Batch([stored("a", MIDNIGHT)]))
        monkeypatch.setattr(database.Database, "flush", refusing)
        monkeypatch.setattr(database.Database, "close", closing_them)
        with pytest.raises(StoreError, match="does not flush"):
            session.close()
        assert closed == [1]

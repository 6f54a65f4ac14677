"""`repair` on a database where the easy way fails, and what it tells of losses."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from moai_patterns.backends.base import Batch, Problem
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.query import Query, Record
from moai_patterns.testing.pools import MIDNIGHT, stored

EVERYTHING = Query(limit=None, order="oldest", revisions="all")
PAGE = 4096


def fill(path: Path) -> list[Record]:
    """Make a closed database of ten ids in three revisions each, and return all of them."""
    with closing(SqliteBackend(str(path))) as store:
        for revision in (1, 2, 3):
            store.write(Batch([stored(f"r{n}", MIDNIGHT + n, revision) for n in range(10)]))
        return everything(store)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of a test is."""
    return tmp_path / "store" / "p.db"


def everything(store: SqliteBackend) -> list[Record]:
    """All revisions without their arrival numbers."""
    found = list(store.scan(EVERYTHING))
    for record in found:
        del record["_meta"]["seq"]
    return found


def damage(path: Path, script: str) -> None:
    """Change a closed database without the store."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)


def root_of(path: Path, name: str) -> int:
    """Where the first page of a table or index begins in the file."""
    with closing(sqlite3.connect(path)) as database:
        ((page,),) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,))
    return int(page - 1) * PAGE


def findings(store: SqliteBackend) -> list[Problem]:
    """What a check finds beside what is set aside."""
    return [problem for problem in store.check(read_data=True) if "quarantine" not in problem.place]


@pytest.mark.parametrize("name", ["history_by_kind", "patterns_superseded"])
def test_a_name_in_other_letters_is_mended_for_every_connection(path: Path, name: str) -> None:
    """What repair makes can be read by connections that come later, not only by its own."""
    right = fill(path)
    raw = path.read_bytes()
    at = raw.index(name.encode()) + 3  # the name in `sqlite_master` comes before the statement
    path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x20]) + raw[at + 1 :])
    with closing(SqliteBackend(str(path))) as store:
        assert sum(repair.lost or 0 for repair in store.repair()) == 0
    with closing(SqliteBackend(str(path))) as store:
        assert everything(store) == right
        store.write(Batch([stored("r1", MIDNIGHT, 4)]))
        assert len(store.history("r1")) == 4
        assert findings(store) == []
        assert store.repair() == []


@pytest.mark.parametrize("name", ["history", "patterns"])
def test_flipped_places_of_rows_never_stop_a_repair(path: Path, name: str) -> None:
    """Whatever rows a damaged page shows, those that were stored come through, and what is told is lost."""
    right = fill(path)
    raw, begin = path.read_bytes(), root_of(path, name)
    assert raw[begin] == 13  # a leaf
    cells = int.from_bytes(raw[begin + 3 : begin + 5], "big")
    for bit in range(0, cells * 16, 7):
        at = begin + 8 + bit // 8
        flipped = raw[:at] + bytes([raw[at] ^ 1 << bit % 8]) + raw[at + 1 :]
        damaged = path.parent.parent / f"{bit}" / "p.db"
        damaged.parent.mkdir(mode=0o700)
        damaged.write_bytes(flipped)
        with closing(SqliteBackend(str(damaged))) as store:
            told = store.repair()
            found = everything(store)
            assert all(record in right for record in found)
            assert sum(repair.lost or 0 for repair in told) == len(right) - len(found)
            assert findings(store) == []
            assert store.repair() == []


@pytest.mark.parametrize("directory", ["a row b", "x-wal", "tag row 1 (id 'r1')"])
def test_the_path_of_a_database_means_nothing(tmp_path: Path, directory: str) -> None:
    """Damage beside rows is mended wherever the database lies."""
    for path in (tmp_path / directory / "p.db", tmp_path / f"{directory}-wal"):
        fill(path)
        damage(path, "DROP INDEX patterns_by_kind; DELETE FROM tags")
        with closing(SqliteBackend(str(path))) as store:
            assert store.repair() != []
            assert store.check(read_data=True) == []


def test_a_loss_that_is_noted_hides_no_later_one(path: Path) -> None:
    """Of an id with a known gap further missing revisions are found, told and noted."""
    fill(path)
    damage(path, "DELETE FROM history WHERE pattern_id = 'r1' AND revision = 1")
    with closing(SqliteBackend(str(path))) as store:
        (told,) = store.repair()
        assert (told.lost, told.lost_ids) == (1, ("r1",))
        assert store.check(read_data=True) == []
        for revision in range(4, 9):
            store.write(Batch([stored("r1", MIDNIGHT, revision)]))
        assert store.check(read_data=True) == []
    damage(path, "DELETE FROM history WHERE pattern_id = 'r1' AND revision BETWEEN 4 AND 6")
    with closing(SqliteBackend(str(path))) as store:
        (problem,) = store.check(read_data=True)
        assert (problem.place, problem.records) == (f"{path}: patterns 'r1'", 3)
        (told,) = store.repair()
        assert (told.lost, told.lost_ids) == (3, ("r1",))
        assert store.check(read_data=True) == []


def test_a_damaged_index_loses_nothing(path: Path) -> None:
    """Revisions that only an index does not find are not told as lost."""
    right = fill(path)
    raw, begin = bytearray(path.read_bytes()), root_of(path, "sqlite_autoindex_history_1")
    at = raw.index(b"r4", begin)
    raw[at + 1] ^= 0x40
    path.write_bytes(raw)
    with closing(SqliteBackend(str(path))) as store:
        assert any("r4" in problem.place for problem in store.check())
        told = store.repair()
        assert [repair.lost for repair in told] == [0] * len(told)
        assert everything(store) == right


def test_a_row_with_another_id_is_lost_once(path: Path) -> None:
    """A damaged id and the gap that it leaves are one loss, told with the id that an index knows."""
    fill(path)
    begin, raw = root_of(path, "history"), bytearray(path.read_bytes())
    at = raw.index(b"r4", begin)
    raw[at + 1] ^= 0x40
    path.write_bytes(raw)
    with closing(SqliteBackend(str(path))) as store:
        told = [repair for repair in store.repair() if repair.lost]
    assert [(repair.lost, repair.lost_ids) for repair in told] == [(1, ("r4",))]


def test_each_thing_is_told_once(path: Path) -> None:
    """What makes several looks at a database fail is one finding of a repair."""
    fill(path)
    raw, begin = bytearray(path.read_bytes()), root_of(path, "tags")
    raw[begin] = 0xFF
    path.write_bytes(raw)
    with closing(SqliteBackend(str(path))) as store:
        told = store.repair()
    assert told
    assert len(told) == len(set(told))

"""What a repair never does: change what is sound, bring back what was removed, touch what is not its own."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from moai_patterns import PatternStorage
from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.cli.commands import run
from moai_patterns.errors import BusyError, DamageError, LayoutError, ReadOnlyError
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored
from stores import contents
from wounds import flip

HEADS = Query(limit=None, order="oldest")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a compacted day, two hot files, a batch, and a removal of which nothing else is told."""
    path = tmp_path / "tree"
    with closing(FilesystemBackend(str(path))) as store:
        store.write(Batch([stored(f"c{n}", MIDNIGHT + n) for n in range(4)]))
        store.compact([MIDNIGHT // DAY])
        for n in range(2):
            store.write(Batch([stored(f"h{n}", MIDNIGHT + DAY + n)]))
        store.write(Batch([stored(f"j{n}", MIDNIGHT + DAY + n) for n in range(3)]))
        store.write(Batch(remove=[Removal("c1"), Removal("h1"), Removal("j1")]))
    return path


def ids(store: FilesystemBackend | SqliteBackend) -> list[str]:
    """The ids of all heads."""
    return [record["pattern_id"] for record in store.scan(HEADS)]


KEPT = ["c0", "c2", "c3", "h0", "j0", "j2"]


@pytest.mark.parametrize("wound", ["a bit of an id", "a bit of the JSON", "all of it"])
def test_what_was_removed_stays_removed(tree: Path, wound: str) -> None:
    """Where a removal cannot be read any more, the change log knows of it, and the tree knows the id."""
    path = max((tree / "journal").iterdir())
    raw = path.read_bytes()
    if wound == "all of it":
        path.unlink()
    else:
        path.write_bytes(raw.replace(b'"c1"', b'"c3"' if wound == "a bit of an id" else b'"c1}'))
    with closing(FilesystemBackend(str(tree))) as store:
        assert store.repair() != []
        assert sorted(ids(store)) == KEPT
        assert [store.get(identity) for identity in ("c1", "h1", "j1")] == [None] * 3
        assert store.get("c3") is not None
        assert store.repair() == []
        store.compact([MIDNIGHT // DAY, MIDNIGHT // DAY + 1])
        assert sorted(ids(store)) == KEPT


def test_a_dry_run_changes_no_byte_and_tells_the_same(tree: Path) -> None:
    """What would be done is told as what is done, place by place."""
    flip(next(tree.glob("2*/*/*/*_h0_*.json")), 90)
    flip(next(tree.glob("2*/*/*/*.jsonl.gz")), 90)
    flip(min((tree / "journal").iterdir()), 200)
    before = contents(tree)
    with closing(FilesystemBackend(str(tree))) as store:
        planned = store.repair(dry_run=True)
        assert contents(tree) == before
        assert store.repair() == planned
    assert {Path(repair.quarantined).name for repair in planned if repair.quarantined} <= {
        path.name for path in (tree / "quarantine").iterdir()
    }


@pytest.mark.parametrize("backend", ["filesystem", "sqlite", "memory"])
def test_a_sound_store_is_left_alone(tmp_path: Path, backend: str) -> None:
    """Nothing is told, and no byte is another one."""
    with PatternStorage(backend, tmp_path / "store") as storage:
        storage.capture("hook_event", {"event": "Stop"})
        before = contents(tmp_path)
        assert storage.repair(dry_run=True) == []
        assert contents(tmp_path) == before
        assert storage.repair() == []
        lock = {"store/.maintenance": hashlib.blake2b().hexdigest()} if backend == "filesystem" else {}
        assert contents(tmp_path) == {**before, **lock}


def test_a_record_under_another_name_gets_its_own_again(tree: Path) -> None:
    """A hot file that somebody renamed is whole, so its record stays; a second copy of it is set aside."""
    path = next(tree.glob("2*/*/*/*_h0_*.json"))
    other = path.with_name(path.name.replace("_h0_", "_h0_f")[:-6] + ".json")
    shutil.copy2(path, other)
    with closing(FilesystemBackend(str(tree))) as store:
        (told,) = (repair for repair in store.repair() if repair.quarantined)
        assert (told.place, told.lost) == (str(other), 0)
        path.rename(other)
        store.repair()
        assert path.exists()
        assert not other.exists()
        assert sorted(ids(store)) == KEPT
        assert store.repair() == []


def test_a_session_under_way_keeps_its_journal(tree: Path) -> None:
    """A damaged journal that is still written to stays, and is mended when its session is over."""
    with closing(FilesystemBackend(str(tree))) as store:
        session = store.single_writer()
        for n in range(3):
            session.write(Batch([stored(f"s{n}", MIDNIGHT + DAY + n)]))
        path = max((tree / "journal").iterdir())
        flip(path, 60)
        assert [repair.sentence for repair in store.repair() if "not over" in repair.sentence] != []
        assert path.exists()
        session.write(Batch([stored("s3", MIDNIGHT + DAY)]))
        session.close()
        (told,) = (repair for repair in store.repair() if repair.place == str(path))
        assert told.lost == 1
        assert {"s1", "s2", "s3"} <= set(ids(store))
        assert store.repair() == []


def test_readers_are_waited_for(tree: Path) -> None:
    """While a scan is read nothing is taken away under it; a repair that may not wait so long says so."""
    flip(next(tree.glob("2*/*/*/*.jsonl.gz")), -30)
    with closing(FilesystemBackend(str(tree), timeout=0.05)) as store:
        scan = store.scan(Query(limit=None, start_date=MIDNIGHT + DAY))
        next(scan)
        with pytest.raises(BusyError):
            store.repair()
        assert len(list(scan)) == 2
        assert store.repair() != []


def test_other_layouts_are_refused(tmp_path: Path, tree: Path) -> None:
    """A newer layout, a foreign file and the plain layout are refused in the words of every command."""
    with closing(sqlite3.connect(tmp_path / "plain.db")) as database:
        columns = "pattern_id, pattern_type, timestamp, data, context, version, created_at"
        database.execute(f"CREATE TABLE patterns ({columns})")
    with (
        PatternStorage("sqlite", tmp_path / "plain.db") as storage,
        pytest.raises(ReadOnlyError, match="copy"),
    ):
        storage.repair()
    (tmp_path / "foreign.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(LayoutError, match="no SQLite database"):
        PatternStorage("sqlite", tmp_path / "foreign.db")
    manifest = tree / "index.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"layout":1', b'"layout":2', 1))
    before = contents(tree)
    with pytest.raises(LayoutError, match="newer"):
        PatternStorage("filesystem", tree)
    assert contents(tree) == before


def test_a_database_of_which_nothing_can_be_read_stays_as_it_is(tmp_path: Path) -> None:
    """No empty database takes the place of one that somebody else may be able to read."""
    path = tmp_path / "p.db"
    with closing(SqliteBackend(str(path))) as store:
        store.write(Batch([stored(f"r{n}", MIDNIGHT + n) for n in range(90)]))
    raw = path.read_bytes()
    path.write_bytes(raw[:8192] + b"scramble" * ((len(raw) - 8192) // 8))
    before = path.read_bytes()
    with closing(SqliteBackend(str(path))) as store, pytest.raises(DamageError, match="backup"):
        store.repair()
    assert path.read_bytes() == before


def test_rows_that_leave_are_kept_as_they_were(tmp_path: Path) -> None:
    """The quarantine has every column of a damaged row, bytes and broken texts included."""
    path = tmp_path / "p.db"
    with closing(SqliteBackend(str(path))) as store:
        store.write(Batch([stored(f"r{n}", MIDNIGHT + n) for n in range(3)]))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE patterns SET data = CAST(x'7bff' AS TEXT), actor = x'00ff' WHERE seq = 2")
    with closing(SqliteBackend(str(path))) as store:
        (told,) = store.repair()
    assert (told.lost, told.lost_ids) == (1, ("r1",))
    kept = json.loads(Path(told.quarantined).read_bytes())
    assert kept["table"] == "patterns"
    assert (kept["row"]["data"], kept["row"]["actor"]) == ("{\udcff", {"hex": "00ff"})
    assert Path(told.quarantined).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "p.db-quarantine").stat().st_mode & 0o777 == 0o700


def test_the_command_says_what_was_done_and_what_is_left(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 as long as there is a finding, 0 when there is none any more."""
    store = ["--store", f"file:{tree}"]
    flip(next(tree.glob("2*/*/*/*_h0_*.json")), 90)
    assert run(["repair", "--dry-run", *store]) == 1
    assert "_h0_" in capsys.readouterr().out
    assert run(["repair", *store]) == 1
    said = capsys.readouterr().out
    assert "lost: 1 record: hash " in said
    assert "left: " in said
    assert run(["repair", "--json", *store]) == 1
    (left,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert "set aside" in left["left"]
    shutil.rmtree(tree / "quarantine")
    assert run(["repair", *store]) == 0
    assert capsys.readouterr().out == "nothing to repair\n"

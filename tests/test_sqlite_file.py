"""The database file: its schema, its permissions, what is refused, what check finds, who else reads it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from moai_patterns.backends.base import Batch, Problem
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.backends.sqlite import database, layout, reading
from moai_patterns.backends.sqlite.backend import SqliteBackend, open_database, wal_reset_bug
from moai_patterns.backends.sqlite.creation import create_file, refuse_remote
from moai_patterns.backends.sqlite.faults import translate
from moai_patterns.backends.sqlite.plain import PlainDatabase
from moai_patterns.backends.sqlite.write import TableWriter
from moai_patterns.backup import copy
from moai_patterns.errors import BusyError, DamageError, LayoutError, PatternError, ReadOnlyError, StoreError
from moai_patterns.query import Query
from moai_patterns.testing.compare import agree, content
from moai_patterns.testing.pools import MIDNIGHT, stored
from stores import filled_database

EVERYTHING = Query(limit=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be made."""
    return tmp_path / "patterns.db"


@pytest.fixture
def filled(path: Path) -> Path:
    """A closed database with a head, its superseded revision and tags."""
    return filled_database(path)


def schema(file: Path) -> list[tuple[Any, ...]]:
    """All that a database is made of, as SQLite says it."""
    with closing(sqlite3.connect(file)) as database:
        found = database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
        for fact in ("application_id", "user_version", "auto_vacuum", "journal_mode", "encoding"):
            found.append((fact, *database.execute(f"PRAGMA {fact}").fetchone()))
        applied = database.execute("SELECT id, migration_set, name FROM _sqlite_migrations")
        return found + applied.fetchall()


def test_both_ways_in_make_the_same_schema(tmp_path: Path) -> None:
    """A file made at once and an empty database brought up by sqlite-utils are the same, to the pragma."""
    made, raised = tmp_path / "made.db", tmp_path / "raised.db"
    TableWriter(str(made)).close()
    assert not made.exists()  # nothing was written yet
    with closing(sqlite3.connect(raised)) as database:
        database.execute("VACUUM")
    assert raised.stat().st_size > 0
    for file in (made, raised):
        with closing(SqliteBackend(str(file))) as store:
            store.write(Batch([stored("one", MIDNIGHT)]))
            assert store.check(read_data=True) == []
    assert schema(made) == schema(raised)
    assert ("auto_vacuum", 2) in schema(made)


def test_the_page_shows_the_schema(root: Path) -> None:
    """docs/layout-sqlite.md has every statement as it is executed, and every column explained."""
    page = (root / "docs/layout-sqlite.md").read_text(encoding="utf-8")
    statements = [statement for _, each in layout.STEPS for statement in each]
    assert "\n".join(f"{statement};" for statement in statements) in page
    for name in layout.NAMES:
        assert f"| `{name}` |" in page


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    """A file of no bytes, as `touch` makes it, is as good as none."""
    path.touch()
    with closing(SqliteBackend(str(path))) as store:
        store.write(Batch([stored("one", MIDNIGHT)]))
        assert store.count(EVERYTHING) == 1


def test_a_store_that_another_process_has_just_made_is_taken(filled: Path) -> None:
    """Whoever saw no file yet, and comes to make one, finds a whole store and leaves it alone."""
    before = filled.read_bytes()
    create_file(database.Database(str(filled), durability="os", timeout=1.0), time.monotonic() + 1)
    assert filled.read_bytes() == before


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o377, 0o777])
def test_files_are_private_under_any_umask(tmp_path: Path, umask: int) -> None:
    """The database, its log, index and lock are 0600, made directories 0700."""
    path = tmp_path / "new" / "deep" / "patterns.db"
    before = os.umask(umask)
    try:
        with closing(SqliteBackend(str(path))) as store:
            store.write(Batch([stored("one", MIDNIGHT)]))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
            reserved = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("*.reserve/*")}
    finally:
        os.umask(before)
    names = ["patterns.db", "patterns.db-lock", "patterns.db-shm", "patterns.db-wal"]
    assert modes == {**dict.fromkeys(names, 0o600), "patterns.db.reserve": 0o700}
    assert reserved == {0o600}
    assert {stat.S_IMODE(place.stat().st_mode) for place in path.parents[:2]} == {0o700}


def refusals(tmp_path: Path) -> Iterator[tuple[Path, type[PatternError], str]]:
    """Paths that are no store, with the error and a word of its sentence."""
    text = tmp_path / "text.db"
    text.write_text("neither a store nor a database\n" * 50)
    yield text, LayoutError, "no SQLite database"
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as database:
        database.execute("CREATE TABLE bookmarks (url)")
    yield foreign, LayoutError, "bookmarks"
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as database:
        database.execute("PRAGMA application_id = 7")
    yield other, LayoutError, "another program"
    newer = tmp_path / "newer.db"
    SqliteBackend(str(newer)).close()
    with closing(sqlite3.connect(newer)) as database:
        database.execute("PRAGMA user_version = 99")
    yield newer, LayoutError, "layout 99"
    (tmp_path / "directory.db").mkdir()
    yield tmp_path / "directory.db", StoreError, "directory"
    os.mkfifo(tmp_path / "fifo.db")
    yield tmp_path / "fifo.db", StoreError, "no regular file"
    (tmp_path / "link.db").symlink_to(tmp_path / "elsewhere.db")
    yield tmp_path / "link.db", StoreError, "symbolic link"
    yield text / "below.db", StoreError, "irectory"


def test_what_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Foreign, newer and odd files raise an error that names the path; not a byte is written."""
    for place, kind, word in refusals(tmp_path):
        before = place.read_bytes() if place.is_file() else None
        for way in (open_database, lambda name: TableWriter(name).write([stored("one", 1)])):
            with pytest.raises(kind, match=word) as caught:
                way(str(place))
            assert str(place) in str(caught.value)
        if before is not None:
            assert place.read_bytes() == before
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    """A directory on NFS or SMB is refused with the way out; the deepest mount decides."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nhost:/x {tmp_path}/na\\040me nfs4 rw 0 0\n")
    place = tmp_path / "na me" / "below"
    with pytest.raises(StoreError, match=r"network file system \(nfs4\).*file:PATH"):
        refuse_remote(str(place), str(mounts))
    refuse_remote(str(tmp_path), str(mounts))
    refuse_remote(str(tmp_path), str(tmp_path / "no such listing"))


def test_a_closed_store_says_so(path: Path) -> None:
    """After close every verb raises StoreError; closing again does nothing."""
    store = SqliteBackend(str(path))
    store.close()
    store.close()
    for act in (
        lambda: store.write(Batch([stored("a", 1)])),
        lambda: store.get("a"),
        store.days,
        store.facts,
    ):
        with pytest.raises(StoreError, match="closed"):
            act()


def test_driver_errors_have_one_translation() -> None:
    """Each result code of SQLite becomes the error of this package that says what to do."""
    kinds = {
        5: BusyError,
        6: BusyError,
        8: ReadOnlyError,
        10: StoreError,
        11: DamageError,
        13: StoreError,
        14: StoreError,
        15: BusyError,
        26: LayoutError,
        1: DamageError,
        7: StoreError,
        18: StoreError,
        21: StoreError,
    }
    for code, kind in kinds.items():
        error = sqlite3.OperationalError("told")
        error.sqlite_errorcode = code | 3 << 8
        error.sqlite_errorname = "SQLITE_SOMETHING"
        found = translate(error, "the/path.db")
        assert type(found) is kind
        assert "the/path.db" in str(found)
        assert "told" in str(found)
    assert type(translate(sqlite3.ProgrammingError("closed"), "p")) is StoreError
    much = sqlite3.OperationalError("parser stack overflow")
    much.sqlite_errorcode = 1
    assert type(translate(much, "p")) is StoreError


LEAVE_A_LOG = """
import os, sys
from moai_patterns.backends.sqlite.write import TableWriter
from moai_patterns.testing.pools import stored
TableWriter(sys.argv[1]).write([stored("r1", 1, 3)])
os._exit(0)
"""


@pytest.mark.parametrize("logged", [False, True])
def test_a_read_only_file_can_be_read(filled: Path, logged: bool) -> None:
    """Where nothing can be written, with or without a log there, reading works and writing says why."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user for whom the file is read-only")
    if logged:
        subprocess.run([sys.executable, "-c", LEAVE_A_LOG, str(filled)], check=True)
        assert filled.with_name("patterns.db-wal").exists()
    with tempfile.TemporaryDirectory() as place:  # other users do not get into pytest's own directories
        for file in filled.parent.glob("patterns.db*"):
            if file.is_dir():
                continue  # the reserve
            shutil.copy(file, place)
            Path(place, file.name).chmod(0o444)
        Path(place).chmod(0o555)
        identity = os.fork()
        if identity == 0:
            status = 1
            try:
                os.setgid(65534)
                os.setuid(65534)
                store = open_database(f"{place}/patterns.db", timeout=1.0)
                assert store.count(EVERYTHING) == 60
                assert store.check(read_data=True) == []
                with pytest.raises(StoreError, match="patterns"):
                    store.write(Batch([stored("new", 1)]))
                store.close()
                status = 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(status)
        assert os.waitpid(identity, 0)[1] == 0


@pytest.fixture
def plain(path: Path) -> Path:
    """A database as the document describes it: seven columns, whole seconds."""
    rows = [
        ("a", "hook_event", 1764378000, '{"event": "1"}', '{"tags": ["x"]}', "1.0", 1764378001),
        ("b", "tool_use", 1764378000, '{"tool_name": "2"}', None, None, 1764378002),
        ("c", "hook_event", -1, '{"event": "3"}', "null", "1.0", None),
    ]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE patterns (pattern_id TEXT PRIMARY KEY, pattern_type TEXT NOT NULL,"
            " timestamp INTEGER NOT NULL, data TEXT NOT NULL, context TEXT, version TEXT DEFAULT '1.0',"
            " created_at INTEGER)"
        )
        database.execute("CREATE INDEX idx_type_timestamp ON patterns (pattern_type, timestamp)")
        database.executemany("INSERT INTO patterns VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return path


def test_the_plain_layout_is_read(plain: Path) -> None:
    """Its records answer like any others; their timestamp is the UTC text of the stored second."""
    before = plain.read_bytes()
    with closing(open_database(str(plain))) as store:
        assert isinstance(store, PlainDatabase)
        found = store.get("a")
        assert found is not None
        assert found["timestamp"] == "2025-11-29T01:00:00.000000Z"
        assert found["_meta"] == {
            "instant": 1764378000_000000,
            "revision": 1,
            "recorded_at": 1764378001_000000,
            "operation": "plain",
            "seq": 1,
        }
        assert [record["pattern_id"] for record in store.scan(EVERYTHING)] == ["b", "a", "c"]
        assert [record["pattern_id"] for record in store.scan(Query(order="arrival"))] == ["a", "b", "c"]
        assert [record["pattern_id"] for record in store.scan(Query(tags=["x"]))] == ["a"]
        assert store.count(Query("hook_event", 0, limit=None)) == 1
        assert store.count(Query(end_date=-1)) == 1
        assert store.days() == {
            20421: {"hook_event": 1, "tool_use": 1},
            -1: {"hook_event": 1},
        }
        assert "context" not in next(store.scan(Query(ids=["b"])))
        assert store.check(read_data=True) == []
        assert store.facts()["layout"] == "plain"
        assert store.sizes() == {"hot": len(before)}
        oracle = MemoryBackend()
        copy(store, oracle)
        agree(list(store.scan(EVERYTHING)), list(oracle.scan(EVERYTHING)), "the copy")
    assert plain.read_bytes() == before


def test_the_plain_layout_is_not_written(plain: Path) -> None:
    """A save names the command that brings the records over, and changes nothing."""
    before = plain.read_bytes()
    with closing(open_database(str(plain))) as store:
        attempts: list[Callable[[], object]] = [
            lambda: store.write(Batch([stored("n", 1)])),
            lambda: store.delete(EVERYTHING),
            lambda: TableWriter(str(plain)).write([stored("n", 1)]),
            lambda: SqliteBackend(str(plain)),
        ]
        for attempt in attempts:
            with pytest.raises(ReadOnlyError, match="moai-patterns copy"):
                attempt()
    assert plain.read_bytes() == before


def test_damage_in_the_plain_layout_is_named(plain: Path) -> None:
    """A text that is no JSON and a timestamp that is no number are met, and named by their row."""
    with closing(sqlite3.connect(plain)) as database, database:
        database.execute("UPDATE patterns SET data = '{' WHERE pattern_id = 'a'")
        database.execute("UPDATE patterns SET timestamp = 'noon' WHERE pattern_id = 'b'")
    with closing(open_database(str(plain))) as store:
        with pytest.raises(DamageError, match="row"):
            list(store.scan(EVERYTHING))
        with pytest.raises(DamageError, match="'b'"):
            list(store.scan(Query(start_date=0, end_date=1)))
        places = [problem.place for problem in store.check()]
        assert [place.rpartition("row ")[2] for place in places] == ["1", "2"]


MISREAD = {
    "a second beyond all years": "timestamp = 253402300800",
    "a second before all years": "timestamp = -9223372036854775807",
    "half a second": "timestamp = 0.5",
    "a text that is no UTF-8": "data = CAST(x'7bff7d' AS TEXT)",
    "an id that is no UTF-8": "pattern_id = CAST(x'ff' AS TEXT)",
    "a kind that is bytes": "pattern_type = x'ff'",
    "a text for the time of creation": "created_at = 'noon'",
}
UNFIT = {
    "an empty id": "pattern_id = ''",
    "an id with a slash": "pattern_id = 'a/b'",
    "an unknown kind": "pattern_type = 'nope'",
    "a number as data": "data = '5'",
    "an array as context": "context = '[]'",
    "a text as tags": """context = '{"tags": "tea"}'""",
    "null as tags": """context = '{"tags": null}'""",
}


@pytest.mark.parametrize("change", [*MISREAD.values(), *UNFIT.values()], ids=[*MISREAD, *UNFIT])
def test_a_bad_row_in_the_plain_layout_is_left_out_of_a_copy(plain: Path, change: str) -> None:
    """Damage stops a scan, and neither it nor what is no valid record goes into another store unnoticed."""
    with closing(sqlite3.connect(plain)) as database, database:
        database.execute(f"UPDATE patterns SET {change} WHERE pattern_id = 'b'")
    with closing(open_database(str(plain))) as store:
        assert [problem.place.rpartition("row ")[2] for problem in store.check()] == ["2"]
        if change in MISREAD.values():
            with pytest.raises(DamageError, match="row 2"):
                list(store.scan(EVERYTHING))
            with pytest.raises(DamageError, match="row 2"):
                store.count(Query(limit=None))
        else:
            assert store.count(Query(limit=None)) == 3
            assert store.count(Query(tags=["tea", "t"])) == 0
        oracle, refused = MemoryBackend(), list[Problem]()
        with pytest.raises(DamageError, match="row 2"):
            copy(store, oracle)
        copy(store, oracle, on_refused=refused.append)
        assert [problem.place.rpartition("row ")[2] for problem in refused] == ["2"]
        assert sorted(record["pattern_id"] for record in oracle.scan(EVERYTHING)) == ["a", "c"]


def test_an_empty_upgrade_is_all_or_nothing(path: Path) -> None:
    """Eight processes that raise one empty database at once make one schema."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("VACUUM")
    script = """
import sys
from moai_patterns.backends.sqlite.write import TableWriter
from moai_patterns.testing.pools import stored
TableWriter(sys.argv[1], timeout=30.0).write([stored(sys.argv[2], 1)])
"""
    children = [subprocess.Popen([sys.executable, "-c", script, str(path), f"p{n}"]) for n in range(8)]
    assert [process.wait() for process in children] == [0] * 8
    with closing(SqliteBackend(str(path))) as store:
        assert store.count(EVERYTHING) == 8
        assert store.check(read_data=True) == []


def test_facts_tell_the_version_and_the_bug(filled: Path) -> None:
    """`doctor` gets the library's version, whether it has the bug, and how the log stands."""
    with closing(SqliteBackend(str(filled), durability="record")) as store:
        facts = store.facts()
    assert facts["sqlite"] == sqlite3.sqlite_version
    assert facts["wal_reset_bug"] is wal_reset_bug(sqlite3.sqlite_version_info)
    assert facts["journal_mode"] == "wal"
    assert facts["durability"] == "record"
    affected = [(3, 6, 23), (3, 7, 0), (3, 40, 1), (3, 44, 5), (3, 44, 6), (3, 45, 0), (3, 50, 6), (3, 50, 7)]
    affected += [(3, 51, 0), (3, 51, 2), (3, 51, 3), (3, 52, 0), (4, 0, 0)]
    assert [version for version in affected if not wal_reset_bug(version)] == [
        (3, 6, 23),
        (3, 44, 6),
        (3, 50, 7),
        (3, 51, 3),
        (3, 52, 0),
        (4, 0, 0),
    ]


def test_a_session_is_durable_at_its_end(path: Path) -> None:
    """A session's writes are visible at once at every level; an unknown level is refused."""
    for level in ("os", "group", "record"):
        with closing(SqliteBackend(str(path), durability=level)) as store:
            session = store.single_writer()
            session.write(Batch([stored(level, MIDNIGHT)]))
            assert store.get(level) is not None
            session.close()
    with pytest.raises(ValueError, match="durability"):
        SqliteBackend(str(path), durability="never")


def test_a_writer_goes_on_after_the_file_could_once_be_read_only(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite opens for reading what it cannot open for writing; the writer does not stay with that."""
    connect = database.connect
    with closing(TableWriter(str(filled))) as writer:
        monkeypatch.setattr(database, "connect", lambda path: connect(path, "ro"))
        with pytest.raises(ReadOnlyError):
            writer.write([stored("new", MIDNIGHT)])
        monkeypatch.setattr(database, "connect", connect)
        writer.write([stored("new", MIDNIGHT)])
    with closing(SqliteBackend(str(filled))) as store:
        assert store.get("new") is not None


def test_a_database_that_vanishes_between_two_looks(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file taken away while a question begins raises no bare `OSError`, and is read once it is back."""
    aside = tmp_path / "aside"

    def moved(path: str) -> tuple[int, int] | None:
        found = database.identity(path)
        monkeypatch.undo()
        os.rename(path, aside)
        return found

    with closing(SqliteBackend(str(filled))) as store:
        known = store.get("r1")
        monkeypatch.setattr(reading, "identity", moved)
        assert store.get("r1") == known
        assert reading._state(str(filled)) == ()
        aside.rename(filled)
        assert store.get("r1") == known


def test_other_programs_show_sensible_columns(filled: Path) -> None:
    """`sqlite3`, `sqlite-utils rows` and Datasette read the file as it stands."""
    tool = Path(sys.executable).with_name("sqlite-utils")
    shown = subprocess.run(
        [tool, "rows", str(filled), "patterns", "--limit", "1"], capture_output=True, check=True
    )
    (row,) = json.loads(shown.stdout)
    columns = list(row)
    shown_first = "pattern_id, pattern_type, timestamp, data, context, version, created_at"
    assert ", ".join(columns[:7]) == shown_first
    assert json.loads(row["context"])["tags"] == ["x", "y"]
    datasette = Path(sys.executable).with_name("datasette")
    page = subprocess.run(
        [datasette, str(filled), "--get", "/patterns/patterns.json?pattern_id=r1&_shape=array"],
        capture_output=True,
        check=True,
    )
    (found,) = json.loads(page.stdout)
    assert list(found) == columns
    assert found["revision"] == 2
    pending = subprocess.run([tool, "tables", str(filled), "--counts"], capture_output=True, check=True)
    counts = {table["table"]: table["count"] for table in json.loads(pending.stdout)}
    assert counts == {"_sqlite_migrations": 2, "arrival": 1, "history": 1, "patterns": 60, "tags": 121}
    with closing(SqliteBackend(str(filled))) as store:
        assert len(content(store)) == 61
        assert store.check(read_data=True) == []

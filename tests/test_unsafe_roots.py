"""Stores that somebody else owns, that everybody may write to, or that are links: refused untouched."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hooks import TOOL_USE, Project
from moai_patterns import PatternStorage, StoreError, UnsafeStoreError, spool
from moai_patterns.backends.reserve import Reserve
from moai_patterns.collect import faults
from moai_patterns.collect.redact import load_key

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX owners and modes")
needs_root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="needs root, to give files to another user"
)
NOBODY = 65534
PERSISTENT = ("filesystem", "sqlite")
RECORD = {
    "pattern_id": "a",
    "pattern_type": "tool_use",
    "timestamp": "2025-11-29",
    "data": {"tool_name": "Read"},
}


def root_of(backend: str, place: Path) -> Path:
    """What a store's root is: a directory, or a file."""
    return place / "store" if backend == "filesystem" else place / "store.db"


@pytest.fixture(params=PERSISTENT)
def backend_name(request: pytest.FixtureRequest) -> str:
    """The name of each persistent backend in turn."""
    return str(request.param)


@pytest.fixture
def stored(backend_name: str, tmp_path: Path) -> Path:
    """The root of a store with one record."""
    with PatternStorage(backend_name, tmp_path / "store") as storage:
        storage.save(RECORD)
    return root_of(backend_name, tmp_path)


def contents(place: Path) -> dict[str, tuple[int, bytes]]:
    """Each file below a place with its mode and bytes."""
    files = [path for path in place.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path): (path.stat().st_mode, path.read_bytes()) for path in files}


def refused(backend_name: str, path: Path) -> str:
    """What the error says of a store that must not be opened; nothing is changed by asking."""
    before = contents(path.parent)
    with pytest.raises(UnsafeStoreError, match=str(path)) as found:
        PatternStorage(backend_name, path).close()
    assert contents(path.parent) == before
    return str(found.value)


@needs_root
def test_a_store_of_another_user_is_refused_also_for_root(backend_name: str, stored: Path) -> None:
    """The message says whose it is and how to go on; root would leave files there that lock the owner out."""
    os.chown(stored, NOBODY, NOBODY)
    said = refused(backend_name, stored)
    assert "sudo -u '#65534'" in said
    assert "chown" in said
    os.chown(stored, 0, 0)
    with PatternStorage(backend_name, stored) as storage:
        assert storage.count() == 1


def test_a_reserve_is_not_kept_in_files_of_others(tmp_path: Path, backend_name: str) -> None:
    """A link in the place of the reserve is not followed: what lies behind it stays as it is."""
    files = tmp_path / "files"
    files.mkdir()
    for number in (1, 2):
        (files / str(number)).write_text("of others")
    root = root_of(backend_name, tmp_path)
    place = Path(f"{root}.reserve")
    place.symlink_to(files)
    before = contents(files)
    with PatternStorage(backend_name, tmp_path / "store") as storage:
        storage.save(RECORD)
        storage.maintain()
        storage.delete("a")
    reserve = Reserve(str(place))
    assert (reserve.size(), reserve.give()) == (0, False)
    assert contents(files) == before


def test_a_repair_keeps_nothing_among_files_of_others(tmp_path: Path) -> None:
    """A link in the place of the quarantine is refused, and the damaged row stays where it is."""
    files = tmp_path / "files"
    files.mkdir()
    path = tmp_path / "store.db"
    with PatternStorage("sqlite", path) as storage:
        storage.save(RECORD)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE patterns SET data = '{}'")
    Path(f"{path}-quarantine").symlink_to(files)
    with PatternStorage("sqlite", path) as storage:
        with pytest.raises(UnsafeStoreError, match="symbolic link"):
            storage.repair()
        assert len(storage.check(read_data=True)) == 1
    assert list(files.iterdir()) == []


@pytest.mark.parametrize("sticky", [0, stat.S_ISVTX])
def test_a_store_that_everybody_may_write_to_is_refused(backend_name: str, stored: Path, sticky: int) -> None:
    """With the sticky bit others could still add files; `chmod o-w`, as the message says, makes it usable."""
    stored.chmod(stored.stat().st_mode | stat.S_IWOTH | sticky)
    assert "chmod o-w" in refused(backend_name, stored)
    stored.chmod(stored.stat().st_mode & ~stat.S_IWOTH)
    with PatternStorage(backend_name, stored) as storage:
        assert storage.count() == 1


def test_a_group_that_may_write_is_trusted(backend_name: str, stored: Path) -> None:
    """Somebody has set that up, and where each user has a group of its own it means nobody."""
    stored.chmod(stored.stat().st_mode | 0o070)
    with PatternStorage(backend_name, stored) as storage:
        storage.save({**RECORD, "pattern_id": "b"})
        assert storage.count() == 2


@pytest.mark.parametrize("dangling", [False, True])
def test_a_root_that_is_a_link_is_refused(
    backend_name: str, stored: Path, tmp_path: Path, dangling: bool
) -> None:
    """It could be turned elsewhere between two saves, and a dangling one is filled wherever it points."""
    link = root_of(backend_name, tmp_path / "other")
    link.parent.mkdir()
    link.symlink_to(tmp_path / "nowhere" if dangling else stored)
    with pytest.raises(StoreError, match="symbolic link"):
        PatternStorage(backend_name, link).close()
    assert not (tmp_path / "nowhere").exists()


def test_a_link_above_the_root_is_followed(backend_name: str, stored: Path, tmp_path: Path) -> None:
    """A home directory, or macOS's /tmp, may be one."""
    (tmp_path / "way").symlink_to(stored.parent, target_is_directory=True)
    with PatternStorage(backend_name, tmp_path / "way" / stored.name) as storage:
        assert storage.count() == 1


def test_a_directory_made_beforehand_is_looked_at_too(tmp_path: Path) -> None:
    """An empty directory that everybody may write to is refused at the first save, and stays empty."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(0o777)
    refused("filesystem", tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


def test_a_root_that_somebody_makes_between_opening_and_the_first_save_is_refused(tmp_path: Path) -> None:
    """Opening a store that is not there yet makes nothing, so the first save looks again."""
    with PatternStorage("filesystem", tmp_path / "store") as storage:
        (tmp_path / "store").mkdir()
        (tmp_path / "store").chmod(0o777)
        with pytest.raises(UnsafeStoreError):
            storage.save(RECORD)
    assert list((tmp_path / "store").iterdir()) == []


@needs_root
@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal", "-lock"])
@pytest.mark.parametrize("kind", ["foreign", "link"])
def test_nothing_planted_beside_a_database_is_used(tmp_path: Path, suffix: str, kind: str) -> None:
    """In a directory of all users the files themselves count: SQLite would replay a log that lies there."""
    tmp_path.chmod(0o1777)
    with PatternStorage("sqlite", tmp_path / "store") as storage:
        storage.save(RECORD)
    planted = tmp_path / f"store.db{suffix}"
    planted.unlink(missing_ok=True)
    (tmp_path / "elsewhere").write_bytes(b"theirs")
    if kind == "link":
        planted.symlink_to(tmp_path / "elsewhere")
    else:
        planted.write_bytes(b"theirs")
        os.chown(planted, NOBODY, NOBODY)
        planted.chmod(0o666)
    with pytest.raises(StoreError), PatternStorage("sqlite", tmp_path / "store", timeout=1.0) as storage:
        storage.save({**RECORD, "pattern_id": "b"})
    assert planted.read_bytes() == b"theirs"
    planted.unlink()
    with PatternStorage("sqlite", tmp_path / "store") as storage:
        assert storage.count() == 1


@needs_root
def test_a_directory_of_another_user_is_looked_at_as_one_of_all_users(tmp_path: Path) -> None:
    """Its owner can plant a log there as well."""
    with PatternStorage("sqlite", tmp_path / "store") as storage:
        storage.save(RECORD)
    os.chown(tmp_path, NOBODY, NOBODY)
    with PatternStorage("sqlite", tmp_path / "store") as storage:
        assert storage.count() == 1
    (tmp_path / "store.db-wal").write_bytes(b"theirs")
    os.chown(tmp_path / "store.db-wal", NOBODY, NOBODY)
    with pytest.raises(UnsafeStoreError, match=r"store\.db-wal"):
        PatternStorage("sqlite", tmp_path / "store").close()


def plant_spool(location: tuple[str, str], record: dict[str, object]) -> Path:
    """A spool as somebody else would leave it."""
    file = Path(spool.put(location, [record], {}))
    os.chown(file, NOBODY, NOBODY)
    return file


def plant_draining(location: tuple[str, str], record: dict[str, object]) -> Path:
    """A spool in the middle of being drained, likewise."""
    file = Path(spool.put(location, [record], {}))
    folder = Path(f"{file}.draining")
    folder.mkdir()
    file.rename(folder / "0.jsonl")
    os.chown(folder, NOBODY, NOBODY)
    return folder / "0.jsonl"


@needs_root
@pytest.mark.parametrize("plant", [plant_spool, plant_draining])
def test_what_another_user_has_spooled_does_not_get_in(
    backend_name: str,
    stored: Path,
    plant: Callable[[tuple[str, str], dict[str, object]], Path],
) -> None:
    """A spool of theirs stays where it is, and saves go on."""
    meta = {"instant": 1, "revision": 1, "recorded_at": 1, "operation": "save"}
    file = plant((backend_name, str(stored)), {**RECORD, "pattern_id": "planted", "_meta": meta})
    with PatternStorage(backend_name, stored) as storage:
        storage.save({**RECORD, "pattern_id": "b"})
        assert sorted(record["pattern_id"] for record in storage.query()) == ["a", "b"]
    assert file.exists()


@needs_root
def test_a_key_of_another_user_is_not_used(tmp_path: Path) -> None:
    """Whoever knows the key can try out what was redacted."""
    key = tmp_path / "store.key"
    load_key(str(key))
    os.chown(key, NOBODY, NOBODY)
    with pytest.raises(UnsafeStoreError, match=r"store\.key"):
        load_key(str(key))


def test_a_hook_spools_what_an_unsafe_store_may_not_have(tmp_store_dir: Path, backend_name: str) -> None:
    """The agent sees exit code 0 and not a word; the log of faults has the reason, the spool the record."""
    project = Project(tmp_store_dir, backend_name)
    project.hook(TOOL_USE)
    root = Path(project.location[1])
    root.chmod(root.stat().st_mode | stat.S_IWOTH)
    project.hook(TOOL_USE)
    told = [fault["error"].partition(":")[0] for fault in faults.recent(project.location, {})]
    assert told == ["UnsafeStoreError"]
    assert spool.status(project.location, {})["waiting"] == 1
    root.chmod(root.stat().st_mode & ~stat.S_IWOTH)
    with PatternStorage(*project.location) as storage:
        assert storage.count() == 2


def test_a_plain_database_of_everybody_is_refused_too(tmp_path: Path) -> None:
    """What is only read would be believed."""
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE patterns (pattern_id, pattern_type, timestamp, data, context, version, created_at)"
        )
    path.chmod(0o666)
    refused("sqlite", path)

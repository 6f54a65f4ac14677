"""Flushes around an SQLite database that SQLite itself does not make."""

from __future__ import annotations

import errno
from contextlib import closing
from pathlib import Path

import pytest

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Batch
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.errors import StoreError
from moai_patterns.testing.pools import MIDNIGHT, stored


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files and directories that are flushed from here on, in order."""
    found: list[Path] = []
    sync, sync_dir = fileops.sync, fileops.sync_dir

    def flushing(descriptor: int) -> None:
        found.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    def flushing_names(path: str) -> None:
        found.append(Path(path))
        sync_dir(path)

    monkeypatch.setattr(fileops, "sync", flushing)
    monkeypatch.setattr(fileops, "sync_dir", flushing_names)
    return found


def test_a_new_database_has_a_durable_name(tmp_path: Path, flushed: list[Path]) -> None:
    """Its directory is flushed, and the directories above it that were made for it."""
    with closing(SqliteBackend(str(tmp_path / "new" / "deep" / "patterns.db"), durability="record")) as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
    assert {tmp_path / "new" / "deep", tmp_path / "new", tmp_path} <= set(flushed)


def test_a_session_is_flushed_once_when_it_ends(tmp_path: Path, flushed: list[Path]) -> None:
    """At level `group` the saves of a session are on the medium, and the log has a name there, at its end."""
    path = tmp_path / "patterns.db"
    with closing(SqliteBackend(str(path), durability="group")) as store:
        session = store.single_writer()
        session.write(Batch([stored("a", MIDNIGHT)]))
        session.write(Batch([stored("b", MIDNIGHT)]))
        flushed.clear()
        session.close()
        assert flushed == [Path(f"{path}-wal"), tmp_path]


def test_flushing_ids_flushes_the_log_and_its_name(tmp_path: Path, flushed: list[Path]) -> None:
    """What a process at level `os` wrote is on the medium afterwards."""
    path = tmp_path / "patterns.db"
    with closing(SqliteBackend(str(path))) as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
        flushed.clear()
        store.flush(["a"])
        assert flushed == [Path(f"{path}-wal"), tmp_path]


def test_a_writer_flushes_the_names_that_others_made(
    tmp_path: Path, flushed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At level `record` nothing is acknowledged before the directory is flushed, by whoever writes."""
    path = tmp_path / "patterns.db"
    SqliteBackend(str(path)).write(Batch([stored("a", MIDNIGHT)]))
    flushed.clear()
    with closing(SqliteBackend(str(path), durability="record")) as store:
        with monkeypatch.context() as patched:
            patched.setattr(fileops, "sync_dir", _refusing)
            with pytest.raises(StoreError, match="does not flush"):
                store.write(Batch([stored("b", MIDNIGHT)]))
        assert store.get("b") is None
        store.write(Batch([stored("b", MIDNIGHT)]))
        assert tmp_path in flushed
        flushed.clear()
        store.write(Batch([stored("c", MIDNIGHT)]))
        assert flushed == []


def _refusing(path: str) -> None:
    raise OSError(errno.EIO, "the disk does not flush", path)

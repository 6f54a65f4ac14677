"""Sequences of flushes in a tree: what is acknowledged, or removed, is on the medium by then."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored

TODAY = MIDNIGHT // DAY


class Call(NamedTuple):
    """A call that decides about durability: `fsync`, `replace` or `unlink`; `source` is a draft's path."""

    name: str
    path: Path
    source: Path | None = None


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """What is flushed, renamed and removed from here on, in order."""
    found: list[Call] = []
    fsync, replace, unlink = os.fsync, os.replace, os.unlink

    def flushing(descriptor: int) -> None:
        found.append(Call("fsync", Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    def renaming(source: Any, target: Any) -> None:
        found.append(Call("replace", Path(target), Path(source)))
        replace(source, target)

    def removing(path: Any, **options: Any) -> None:
        found.append(Call("unlink", Path(path)))
        unlink(path, **options)

    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(os, "replace", renaming)
    monkeypatch.setattr(os, "unlink", removing)
    return found


@contextmanager
def opened(path: Path, durability: str = "os") -> Iterator[FilesystemBackend]:
    with closing(FilesystemBackend(str(path), durability=durability, timeout=10.0)) as store:
        yield store


def must_be_durable(calls: list[Call], published: int) -> None:
    """Of a rename among the calls: the bytes are flushed before it, and the name after it."""
    what = calls[published]
    assert any(call == Call("fsync", what.source or what.path) for call in calls[:published]), what
    assert Call("fsync", what.path.parent) in calls[published:], what


@pytest.mark.parametrize("durability", ["group", "record"])
@pytest.mark.parametrize("act", ["save", "batch", "update", "removal"])
def test_a_batch_is_acknowledged_when_its_bytes_and_its_name_are_flushed(
    tmp_path: Path, calls: list[Call], durability: str, act: str
) -> None:
    """Whatever a batch becomes, its file is flushed before it has its name, and its directory after."""
    batches = {
        "save": Batch([stored("a", MIDNIGHT)]),
        "batch": Batch([stored("a", MIDNIGHT), stored("b", MIDNIGHT + DAY)]),
        "update": Batch([stored("known", MIDNIGHT + 1, 2)]),
        "removal": Batch(remove=[Removal("known")]),
    }
    with opened(tmp_path / "tree", durability) as store:
        store.write(Batch([stored("known", MIDNIGHT)]))
        calls.clear()
        store.write(batches[act])
    published = [at for at, call in enumerate(calls) if call.name == "replace"]
    assert len(published) == 1
    must_be_durable(calls, published[0])


@pytest.mark.parametrize("durability", ["group", "record"])
def test_the_journal_of_a_session_has_a_durable_name(
    tmp_path: Path, calls: list[Call], durability: str
) -> None:
    """The directory is flushed after the journal of a session came into it, before the session ends."""
    with opened(tmp_path / "tree", durability) as store:
        store.write(Batch([stored("known", MIDNIGHT)]))
        session = store.single_writer()
        calls.clear()
        session.write(Batch([stored("a", MIDNIGHT)]))
        if durability == "group":
            session.close()
        journal = next(at for at, call in enumerate(calls) if call.name == "replace")
        assert Call("fsync", calls[journal].path.parent) in calls[journal:]
        assert Call("fsync", calls[journal].path) in calls[journal:]


def test_a_compaction_removes_nothing_before_what_replaces_it_is_flushed(
    tmp_path: Path, calls: list[Call]
) -> None:
    """Segments, their directories, the manifest and what is kept of a journal come before any removal."""
    root = tmp_path / "tree"
    with opened(root) as store:
        store.write(Batch([stored("hot", MIDNIGHT)]))
        store.write(Batch([stored("moves", MIDNIGHT), stored("stays", MIDNIGHT + DAY)]))
        calls.clear()
        assert store.compact([TODAY]) == 2
    removed = [
        at for at, call in enumerate(calls) if call.name == "unlink" and call.path.parent != root / "tmp"
    ]
    hot = next(at for at in removed if calls[at].path.suffix == ".json")
    day = root / "2025/11/29"
    for suffix in (".jsonl.gz", ".idx"):
        written = calls.index(Call("fsync", day / f"20251129.1{suffix}"))
        for directory in (day, day.parent, day.parent.parent, root):
            assert Call("fsync", directory) in calls[written:hot], directory
    for at, call in enumerate(calls[:hot]):
        if call.name == "replace" and call.path.parent == root:
            must_be_durable(calls[:hot], at)
    assert Call("fsync", root) in calls[:hot]
    journal = next(at for at in removed if calls[at].path.parent == root / "journal")
    kept = [
        at for at, call in enumerate(calls) if call.name == "replace" and call.path.parent == root / "journal"
    ]
    assert len(kept) == 1
    must_be_durable(calls[:journal], kept[0])


def test_days_that_are_removed_whole_are_flushed(tmp_path: Path, calls: list[Call]) -> None:
    """The manifest that leaves them out, and its name, are on the medium when their removal is told."""
    with opened(tmp_path / "tree", "record") as store:
        store.write(Batch([stored("goes", MIDNIGHT), stored("stays", MIDNIGHT + DAY)]))
        store.compact([TODAY, TODAY + 1])
        calls.clear()
        assert store.delete(Query(end_date=MIDNIGHT + DAY - 1, limit=None)) == 1
    manifests = [at for at, call in enumerate(calls) if call.path == tmp_path / "tree/index.json"]
    must_be_durable(calls, manifests[0])


def test_the_first_manifest_is_flushed(tmp_path: Path, calls: list[Call]) -> None:
    """A power cut after the first save at any level leaves a tree that can be recognised."""
    with opened(tmp_path / "tree") as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
    manifest = [at for at, call in enumerate(calls) if call.path == tmp_path / "tree/index.json"]
    must_be_durable(calls, manifest[0])


def test_flushing_ids_flushes_their_files_and_the_names_of_these(tmp_path: Path, calls: list[Call]) -> None:
    """What a process at level `os` wrote is on the medium afterwards, hot files and journals alike."""
    root = tmp_path / "tree"
    with opened(root) as store:
        store.write(Batch([stored("hot", MIDNIGHT)]))
        store.write(Batch([stored("one", MIDNIGHT), stored("two", MIDNIGHT)]))
        calls.clear()
        store.flush(["hot", "two"])
    flushed = [call.path for call in calls]
    assert {path.parent for path in flushed if path.is_file()} == {root / "2025/11/29", root / "journal"}
    for directory in (root / "2025/11/29", root / "2025/11", root / "2025", root, root / "journal"):
        assert directory in flushed


@pytest.mark.parametrize(("directory", "after"), [("2025/11/29", "unlink"), ("", "replace")])
def test_what_a_full_disk_could_not_flush_is_flushed_before_journals_go(
    tmp_path: Path, calls: list[Call], monkeypatch: pytest.MonkeyPatch, directory: str, after: str
) -> None:
    """Removed hot files, and the manifest that calls journals dead: the second try finds both as they are."""
    root, failed = tmp_path / "tree", list[int]()
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        flush(descriptor)
        swept = any(call.name == "unlink" and call.path.parent == root / "2025/11/29" for call in calls)
        if swept and not failed and calls[-2].name == after and calls[-1].path == root / directory:
            failed.append(len(calls))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with opened(root) as store:
        store.write(Batch([stored("gone", MIDNIGHT)]))
        store.write(Batch(remove=[Removal("gone")]))
        calls.clear()
        monkeypatch.setattr(os, "fsync", fsync)
        store.compact([TODAY])
        assert list(store.scan(Query())) == []
    later = calls[failed[0] :]
    gone = next(at for at, call in enumerate(later) if call.path.parent == root / "journal")
    assert later[gone].name == "unlink"
    assert Call("fsync", root / directory) in later[:gone]

"""What happens in a tree under which lock, seen at the moment at which it happens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from forks import child, succeed
from moai_patterns import PatternStorage, lifecycle
from moai_patterns.backends import fileops
from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.filesystem import compaction, maintaining, sweeping
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.filesystem.hotlog import HotLog
from moai_patterns.backends.filesystem.write import TreeWriter
from moai_patterns.backends.locking import Lock
from moai_patterns.errors import BusyError
from moai_patterns.instant import DAY
from moai_patterns.query import Query, Record
from moai_patterns.testing.pools import MIDNIGHT, stored

TODAY = MIDNIGHT // DAY
# The copy of the manifest is a cache: the maintenance lock alone guards it.
UNGUARDED = {"index.copy.json"}


@contextmanager
def opened(path: Path, timeout: float = 10.0) -> Iterator[FilesystemBackend]:
    with closing(FilesystemBackend(str(path), timeout=timeout)) as store:
        yield store


def is_free(path: Path) -> bool:
    """Whether anybody could take this lock now."""
    lock = Lock(str(path))
    try:
        lock.acquire(timeout=0.0)
    except BusyError:
        return False
    else:
        lock.release()
        return True
    finally:
        lock.close()


def write_everything(store: FilesystemBackend) -> None:
    """Save in each of its forms, update, remove and compact."""
    store.write(Batch([stored("hot", MIDNIGHT)], fresh=True))
    store.write(Batch([stored("also hot", MIDNIGHT)]))
    store.write(Batch([stored("a", MIDNIGHT), stored("b", MIDNIGHT + DAY)]))
    store.write(Batch([stored("hot", MIDNIGHT, 2)]))
    store.write(Batch(remove=[Removal("also hot")]))
    session = store.single_writer()
    session.write(Batch([stored("said", MIDNIGHT)]))
    session.close()
    store.compact([TODAY])


def test_every_file_gets_its_name_under_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes into the tree, and nothing is announced in its log, while others could do the same."""
    root = tmp_path / "tree"
    unguarded: list[str] = []
    renamed: list[str] = []
    rename, append = fileops.rename, HotLog.append

    def renaming(source: str, target: str) -> None:
        renamed.append(target)
        if is_free(root / ".lock") and Path(target).name not in UNGUARDED:
            unguarded.append(target)
        rename(source, target)

    def announcing(log: HotLog, *changes: Any) -> None:
        # A log that is being made anew is nobody's yet.
        if is_free(root / ".lock"):
            unguarded.append("the change log")
        append(log, *changes)

    monkeypatch.setattr(fileops, "rename", renaming)
    monkeypatch.setattr(HotLog, "append", announcing)
    with opened(root) as store:
        write_everything(store)
    assert len(renamed) > 8
    assert unguarded == []


def test_one_compaction_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one waits for the first, and says so when its patience is over."""
    build = compaction.build
    refused: list[BusyError] = []

    def compacted_meanwhile(*arguments: Any) -> Any:
        with opened(tmp_path / "tree", timeout=0.05) as other, pytest.raises(BusyError) as busy:
            other.compact([TODAY])
        refused.append(busy.value)
        return build(*arguments)

    with opened(tmp_path / "tree") as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
        with monkeypatch.context() as patched:
            patched.setattr(compaction, "build", compacted_meanwhile)
            assert store.compact([TODAY]) == 1
        assert len(refused) == 1


@pytest.mark.parametrize("by", ["retention", "a question"])
def test_what_expires_goes_while_a_compaction_is_at_a_large_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Nobody is told that the store is busy: what does not go with its day goes record by record."""
    root, build = tmp_path / "tree", compaction.build
    gone: list[int] = []

    def expired_meanwhile(*arguments: Any) -> Any:
        if by == "retention":
            with PatternStorage("filesystem", root, timeout=0.05, maintenance_interval=None) as other:
                gone.append(other.delete_old_patterns(0))
        else:
            with opened(root, timeout=0.05) as other:
                gone.append(other.delete(Query(end_date=MIDNIGHT + DAY - 1, limit=None)))
        return build(*arguments)

    with opened(root) as store:
        store.write(Batch([stored("a", MIDNIGHT), stored("b", MIDNIGHT + DAY)]))
        store.compact([TODAY])
        with monkeypatch.context() as patched:
            patched.setattr(compaction, "build", expired_meanwhile)
            store.compact([TODAY + 1])
        assert gone == [2 if by == "retention" else 1]
        assert store.count(Query()) == 2 - gone[0]
        store.reclaim()
        assert store.days() == ({} if by == "retention" else {TODAY + 1: {"task_completion": 1}})


def test_a_lock_whose_file_was_removed_is_taken_on_the_new_one(tmp_path: Path) -> None:
    """Who holds a lock that nobody else can see holds none."""
    path = tmp_path / "lock"
    early, late = Lock(str(path)), Lock(str(path))
    early.acquire()
    early.release()
    path.unlink()
    with late.held(), pytest.raises(BusyError):
        early.acquire(timeout=0.01)
    with early.held(), pytest.raises(BusyError):
        late.acquire(timeout=0.01)
    early.close()
    late.close()


def test_a_forked_child_shares_no_lock_with_its_parent(tmp_path: Path) -> None:
    """What the parent had open before is not held by both when the child takes it."""
    lock = Lock(str(tmp_path / "lock"))
    lock.acquire()
    lock.release()
    taken, done = os.pipe(), os.pipe()

    def hold() -> None:
        with lock.held():
            os.write(taken[1], b"x")
            os.read(done[0], 1)

    process = child(hold)
    os.read(taken[0], 1)
    try:
        with pytest.raises(BusyError):
            lock.acquire(timeout=0.02)
    finally:
        os.write(done[1], b"x")
        succeed([process])
    lock.acquire(timeout=10.0)
    lock.release()
    lock.close()
    for descriptor in (*taken, *done):
        os.close(descriptor)


def test_who_comes_late_makes_no_second_manifest(tmp_path: Path) -> None:
    """A writer that was opened before there was a tree leaves alone what others have compacted since."""
    with closing(TreeWriter(str(tmp_path / "tree"))) as early, opened(tmp_path / "tree") as other:
        other.write(Batch([stored("a", MIDNIGHT)]))
        assert other.compact([TODAY]) == 1
        compacted = (tmp_path / "tree/index.json").read_bytes()
        early.write([stored("b", MIDNIGHT)])
        assert (tmp_path / "tree/index.json").read_bytes() == compacted
    with opened(tmp_path / "tree") as store:
        assert store.get("a") is not None
        assert store.count(Query(limit=None)) == 2


def test_a_scan_that_begins_amid_a_sweep_keeps_its_journals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a reader has listed is there until it has been read; the next compaction removes it."""
    hot_files = sweeping.hot_files
    scans: list[Iterator[Record]] = []
    with opened(tmp_path / "tree") as store, opened(tmp_path / "tree") as reader:
        for day in range(2):
            store.write(Batch([stored(f"{day}-{n}", MIDNIGHT + day * DAY) for n in range(2)]))

        def scanned_meanwhile(*arguments: Any) -> bool:
            whole = hot_files(*arguments)
            scans.append(reader.scan(Query(limit=None, order="oldest", revisions="all")))
            next(scans[0])
            return whole

        with monkeypatch.context() as patched:
            patched.setattr(sweeping, "hot_files", scanned_meanwhile)
            patched.setattr(maintaining, "_PATIENCE", 0.05)
            store.compact([TODAY])
        assert len(list((tmp_path / "tree/journal").iterdir())) == 2
        assert [record["pattern_id"] for record in scans[0]] == ["0-1", "1-0", "1-1"]
        store.compact([TODAY, TODAY + 1])
        assert list((tmp_path / "tree/journal").iterdir()) == []


@pytest.mark.parametrize("backend", ["filesystem", "sqlite"])
def test_one_upkeep_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """A storage that is asked to maintain while another one is at it does nothing."""
    plan = lifecycle.plan
    others: list[object] = []
    with (
        PatternStorage(backend, tmp_path / "store", maintenance_interval=None) as storage,
        PatternStorage(backend, tmp_path / "store", maintenance_interval=None) as other,
    ):
        storage.capture("hook_event", {"event": "Stop"})

        def maintained_meanwhile(*arguments: Any, **options: Any) -> Any:
            monkeypatch.undo()
            others.append(other.maintain())
            return plan(*arguments, **options)

        monkeypatch.setattr(lifecycle, "plan", maintained_meanwhile)
        assert storage.maintain() is not None
        assert others == [None]


def test_a_scan_under_way_keeps_the_files_that_it_has_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compaction removes no hot file before it has been read; the next one removes it."""
    monkeypatch.setattr(maintaining, "_PATIENCE", 0.05)
    with opened(tmp_path / "tree") as store, opened(tmp_path / "tree") as reader:
        for number in range(3):
            store.write(Batch([stored(f"r{number}", MIDNIGHT + number * 1_000_000)]))
        scan = reader.scan(Query(limit=None, order="oldest"))
        first = next(scan)
        store.compact([TODAY])
        assert len(list(tmp_path.glob("tree/2*/**/*.json"))) == 3
        assert [record["pattern_id"] for record in (first, *scan)] == ["r0", "r1", "r2"]
        store.compact([TODAY])
        assert list(tmp_path.glob("tree/2*/**/*.json")) == []

"""Steps that fail, are overtaken or find nothing leave no file behind, and make none that nobody wrote."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Batch
from moai_patterns.backends.filesystem import manifest, repairing, sweeping
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.filesystem.hotlog import HotLog
from moai_patterns.backends.filesystem.journal import Journal
from moai_patterns.backends.filesystem.maintaining import Maintenance
from moai_patterns.backends.reserve import PARTS
from moai_patterns.errors import BusyError, DamageError
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored
from wounds import flip

EVERYTHING = Query(limit=None, order="oldest", revisions="all")
FIRST = MIDNIGHT // DAY


@contextmanager
def opened(path: Path, timeout: float = 30.0) -> Iterator[FilesystemBackend]:
    with closing(FilesystemBackend(str(path), timeout=timeout)) as store:
        yield store


def ids(store: FilesystemBackend) -> list[str]:
    return [record["pattern_id"] for record in store.scan(EVERYTHING)]


def no_space(*_of_no_interest: object) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_each_try_of_a_sweep_on_a_full_disk_leaves_the_space_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of a journal is written once more for each part of the reserve: no draft takes it up."""
    tree = tmp_path / "tree"
    drafts: list[list[str]] = []
    write = HotLog.append

    def append(log: HotLog, *batch: Any) -> None:
        drafts.append(os.listdir(tree / "tmp"))
        if len(drafts) < 4:
            no_space()
        write(log, *batch)

    with opened(tree) as store:
        store.write(Batch([stored("a", MIDNIGHT), stored("b", MIDNIGHT + DAY)]))
        with monkeypatch.context() as patched:
            patched.setattr(HotLog, "append", append)
            assert store.compact([FIRST]) == 1
        assert [len(names) for names in drafts] == [1] * 4
        assert os.listdir(tree / "tmp") == []
        assert ids(store) == ["a", "b"]
        assert store.check(read_data=True) == []


def test_a_manifest_that_gets_no_name_leaves_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of itself nor of its copy, however often it is tried."""
    tree = tmp_path / "tree"
    rename = fileops.rename

    def unless_manifest(source: str, target: str) -> None:
        if os.path.basename(target) == "index.json":
            no_space()
        rename(source, target)

    with opened(tree) as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
        with monkeypatch.context() as patched:
            patched.setattr(fileops, "rename", unless_manifest)
            with pytest.raises(OSError, match="space"):
                store.compact([FIRST])
        assert os.listdir(tree / "tmp") == []
        assert len(os.listdir(tmp_path / "tree.reserve")) < PARTS
        assert store.compact([FIRST]) == 1
        assert store.check(read_data=True) == []


@pytest.mark.parametrize("opening", [1, 2], ids=["its lock", "itself"])
def test_a_session_whose_draft_is_swept_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opening: int
) -> None:
    """It is not made again empty: a journal without its header is one that nobody can read."""
    tree = tmp_path / "tree"
    real, opens = fileops.open_shared, []

    def sweep_first(path: str, **options: bool) -> int:
        if os.path.dirname(path) == str(tree / "tmp"):
            opens.append(path)
            if len(opens) == opening:
                os.unlink(path)
        return real(path, **options)

    with opened(tree) as store:
        store.write(Batch([stored("old", MIDNIGHT)]))
        monkeypatch.setattr(fileops, "open_shared", sweep_first)
        with closing(store.single_writer()) as session:
            session.write(Batch([stored("new", MIDNIGHT)]))
            session.write(Batch([stored("newer", MIDNIGHT)]))
        assert len(opens) == opening + 2
        assert ids(store) == ["new", "newer", "old"]
        assert store.check(read_data=True) == []


def test_one_damaged_day_keeps_no_other_from_making_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk the days go one after the other; the damaged one is told of when the others are done."""
    tree = tmp_path / "tree"
    compact = Maintenance.compact

    def one_at_a_time(maintenance: Maintenance, days: Any) -> int:
        return no_space() if len(days) > 1 else compact(maintenance, days)

    with opened(tree) as store:
        for n in range(3):
            store.write(Batch([stored(f"r{n}", MIDNIGHT + n * DAY)]))
        flip(next(tree.rglob("*_r0_*.json")), 30)
        monkeypatch.setattr(Maintenance, "compact", one_at_a_time)
        with pytest.raises(DamageError, match=r"_r0_.*all other days are compacted"):
            store.compact([FIRST, FIRST + 1, FIRST + 2])
    assert [path.name.split("_")[3] for path in tree.glob("2*/*/*/*.json")] == ["r0"]
    assert len(list(tree.glob("2*/*/*/*.jsonl.gz"))) == 2


@pytest.fixture
def between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], Path]:
    """A compacted tree, and what lets something happen once, after a repair has read its manifest."""
    with opened(tmp_path / "tree") as store:
        store.write(Batch([stored(f"r{n}", MIDNIGHT + n) for n in range(20)]))
        store.compact([FIRST])
        store.write(Batch([stored("late", MIDNIGHT + 5)]))
    load = manifest.load

    def arrange(happens: Callable[[], object]) -> Path:
        todo = [happens]

        def loaded(tree: Any) -> Any:
            content = load(tree)
            if todo:
                todo.pop()()
            return content

        monkeypatch.setattr(manifest, "load", loaded)
        return tmp_path / "tree"

    return arrange


def compact_beside(path: Path) -> int:
    with opened(path, timeout=0.05) as store:
        return store.compact([FIRST])


def test_a_dry_run_keeps_a_compaction_out(
    between: Callable[[Callable[[], object]], Path], tmp_path: Path
) -> None:
    """What it looks at stays where it is, or all of it would seem to be lost."""
    refused = []

    def compact() -> None:
        with pytest.raises(BusyError) as told:
            compact_beside(tmp_path / "tree")
        refused.append(told)

    path = between(compact)
    with opened(path) as store:
        assert store.repair(dry_run=True) == []
        assert len(refused) == 1
        assert store.compact([FIRST]) == 1


def test_a_dry_run_that_cannot_keep_a_compaction_out_looks_again(
    between: Callable[[Callable[[], object]], Path], tmp_path: Path
) -> None:
    """It makes no file to lock, so where there is none a compaction may come in between."""
    moved = []
    path = between(lambda: moved.append(compact_beside(tmp_path / "tree")))
    (path / ".maintenance").unlink()
    with opened(path) as store:
        assert store.repair(dry_run=True) == []
    assert moved == [1]


def test_a_look_at_a_journal_that_has_just_gone_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty journal in its place would be one that every scan refuses."""
    with opened(tmp_path / "tree") as store:
        session = store.single_writer()
        session.write(Batch([stored("a", MIDNIGHT)]))
        (path,) = (tmp_path / "tree" / "journal").iterdir()
        under_way = Journal(str(path))
        session.close()

    def gone(_path: str) -> str:
        path.unlink()
        return "it is damaged"

    with opened(tmp_path / "tree") as store, monkeypatch.context() as patched:
        patched.setattr(repairing, "_journal_fault", gone)
        store.repair(dry_run=True)
    assert not path.exists()
    assert not sweeping._is_over(under_way)
    assert not path.exists()

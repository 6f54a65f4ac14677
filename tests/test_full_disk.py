"""The reserve, and what else lets a store go on where a disk is full or was; torture/ fills real ones."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from moai_patterns import PatternStorage, StoreError
from moai_patterns.backends import fileops
from moai_patterns.backends.base import Batch
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.reserve import PARTS, Reserve
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.backends.sqlite.database import Database
from moai_patterns.errors import ReadOnlyError
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored

EVERYTHING = Query(limit=None)
SIZES = {"filesystem": 1 << 20, "sqlite": 5 << 20}
Opened = FilesystemBackend | SqliteBackend


def record(identity: str) -> dict[str, Any]:
    """A record on a day that is long closed."""
    data = {"event": "Stop"}
    return {"pattern_id": identity, "pattern_type": "hook_event", "timestamp": "2025-01-01", "data": data}


@pytest.fixture(params=list(SIZES))
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PatternStorage]:
    """A store of each backend with one record."""
    with PatternStorage(request.param, tmp_path / "store", 1, maintenance_interval=None) as storage:
        storage.save(record("a"))
        yield storage


def reserve_of(storage: PatternStorage) -> Path:
    """Where the reserve of a store lies."""
    return Path(f"{storage.backend.path}.reserve")  # type: ignore[attr-defined]


def full(*_of_no_interest: object, **_likewise: object) -> Any:
    """What a full disk says."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_new_store_has_a_reserve_of_real_blocks(storage: PatternStorage) -> None:
    """They take up space from the first save on, are private, count apart, and are no finding of `check`."""
    parts = list(reserve_of(storage).iterdir())
    assert len(parts) == PARTS
    assert sum(part.stat().st_blocks * 512 for part in parts) >= SIZES[storage.config.backend]
    assert {part.stat().st_mode & 0o777 for part in parts} == {0o600}
    assert storage.stats()["bytes"]["reserve"] == SIZES[storage.config.backend]
    assert storage.check(read_data=True) == []


def test_a_reserve_that_is_removed_comes_back_with_the_next_maintenance(storage: PatternStorage) -> None:
    """Nothing but maintenance misses it."""
    shutil.rmtree(reserve_of(storage))
    storage.save(record("b"))
    assert storage.check(read_data=True) == []
    assert storage.stats()["bytes"]["reserve"] == 0
    storage.delete("b")
    storage.backend.reclaim()  # type: ignore[attr-defined]
    assert storage.stats()["bytes"]["reserve"] == SIZES[storage.config.backend]


def test_a_part_that_has_become_too_small_is_made_whole(tmp_path: Path) -> None:
    """A kill may have come in the middle of it."""
    reserve = Reserve(str(tmp_path / "reserve"))
    reserve.renew()
    os.truncate(tmp_path / "reserve" / "3", 5)
    reserve.renew()
    assert reserve.size() == 1 << 20


def test_a_tree_on_a_file_system_of_its_own_has_its_reserve_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies beside a mount point would be space on another disk."""
    real = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        facts = real(path, **options)
        if path != str(tmp_path):
            return facts
        return os.stat_result((*facts[:2], facts.st_dev + 1, *facts[3:]))

    (tmp_path / "store").mkdir()
    monkeypatch.setattr(os, "stat", stat)
    with closing(FilesystemBackend(str(tmp_path / "store"))) as store:
        store.write(Batch([stored("one", MIDNIGHT)]))
        assert store.sizes()["reserve"] == 1 << 20
        assert store.sizes()["hot"] < 1000
        assert store.check(read_data=True) == []
    assert len(list((tmp_path / "store" / "reserve").iterdir())) == PARTS


def test_a_reserve_grows_with_what_has_to_be_written_first(tmp_path: Path) -> None:
    """A manifest of many years is written twice before anything of the tree can go."""
    reserve = Reserve(str(tmp_path / "reserve"))
    reserve.renew()
    reserve.renew(4 << 20)
    assert reserve.size() == 4 << 20


@pytest.mark.parametrize(
    ("free", "size", "parts"),
    [
        (1 << 30, 1 << 20, 8),
        (4 << 20, 1 << 19, 8),
        (96 << 10, 32 << 10, 8),
        (60 << 10, 20 << 10, 5),
        (8 << 10, 0, 0),
    ],
)
def test_a_small_disk_gets_a_small_reserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, size: int, parts: int
) -> None:
    """An eighth of what is free at most, and where that is less than eight blocks a third."""
    facts = os.statvfs(tmp_path)
    small = os.statvfs_result((*facts[:4], free // facts.f_frsize, *facts[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: small)
    reserve = Reserve(str(tmp_path / "reserve"))
    reserve.make()
    assert reserve.size() == size
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == parts


def test_what_gives_space_back_takes_the_reserve_until_it_has_enough(tmp_path: Path) -> None:
    """A part each time that there is none, and then the error of the system."""
    reserve = Reserve(str(tmp_path / "reserve"))
    reserve.renew()
    left = iter([3, 2, 1, 0])
    assert reserve.freeing(lambda: next(left) and full()) == 0
    assert reserve.size() == (1 << 20) // PARTS * (PARTS - 3)
    with pytest.raises(OSError, match="No space left"):
        reserve.freeing(full)
    assert reserve.size() == 0


def test_a_log_opened_for_reading_is_opened_anew_when_writing_is_possible_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that stays open where a disk is read-only for a while saves again as soon as it is not."""
    real = fileops.open_shared

    def refused(path: str, *, append: bool = False, create: bool = True) -> int:
        if path.startswith(str(tmp_path / "index")):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real(path, append=append, create=create)

    with closing(FilesystemBackend(str(tmp_path))) as store:
        store.write(Batch([stored("first", MIDNIGHT)]))
    with closing(FilesystemBackend(str(tmp_path))) as store:
        monkeypatch.setattr(fileops, "open_shared", refused)
        assert store.get("first") is not None
        with pytest.raises(ReadOnlyError):
            store.write(Batch([stored("new", MIDNIGHT)]))
        monkeypatch.undo()
        store.write(Batch([stored("new", MIDNIGHT)]))
        assert store.get("new") is not None


def test_a_manifest_that_does_not_fit_twice_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a compaction that is done would be reported as failed, and what it has moved as none."""
    with closing(FilesystemBackend(str(tmp_path))) as store:
        store.write(Batch([stored("one", MIDNIGHT)]))
        before = (tmp_path / "index.json").read_bytes()
        for room in range(2):
            with monkeypatch.context() as now:
                now.setattr(Reserve, "give", lambda _: False)
                now.setattr(fileops, "create", room_for(room))
                with pytest.raises(StoreError, match="moai-patterns retain"):
                    store.compact([MIDNIGHT // DAY])
            assert (tmp_path / "index.json").read_bytes() == before
        assert store.compact([MIDNIGHT // DAY]) == 1


def room_for(number: int) -> Callable[..., None]:
    """`fileops.create` on a disk that has room for so many files more."""
    real = fileops.create
    made: list[str] = []

    def create(path: str, data: bytes, *, sync: bool = False) -> None:
        if len(made) == number:
            full()
        made.append(path)
        real(path, data, sync=sync)

    return create


def test_a_compaction_that_does_not_fit_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segments that it has built would take up what is left of the disk."""
    days = [MIDNIGHT // DAY + number for number in range(3)]
    with closing(FilesystemBackend(str(tmp_path))) as store:
        store.write(Batch([stored(f"r{day}", day * DAY) for day in days]))
        monkeypatch.setattr(Reserve, "give", lambda _: False)
        writes = iter(range(9))  # of the first segment and of a part of the second
        real = os.write
        monkeypatch.setattr(
            os, "write", lambda *given: real(*given) if next(writes, None) is not None else full()
        )
        with pytest.raises(StoreError, match="No space left"):
            store.compact(days)
        monkeypatch.undo()
        assert not list(tmp_path.rglob("*.gz"))
        assert store.compact(days) == 3


def test_days_that_do_not_fit_together_are_rewritten_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retention rewrites every day with a removal: two or four files each, and no more inodes are free."""
    days = [MIDNIGHT // DAY + number for number in range(6)]
    with closing(FilesystemBackend(str(tmp_path))) as store:
        store.write(Batch([stored(f"{name}{day}", day * DAY) for day in days for name in ("gone", "kept")]))
        store.compact(days)
        store.delete(Query(ids=[f"gone{day}" for day in days], limit=None))
        most = len(list(tmp_path.rglob("*"))) + 4  # two files of a segment, and both manifests
        real = fileops.open_new

        def open_new(path: str, *, append: bool = False) -> int:
            return full() if len(list(tmp_path.rglob("*"))) >= most else real(path, append=append)

        monkeypatch.setattr(Reserve, "give", lambda _: False)
        monkeypatch.setattr(fileops, "open_new", open_new)
        store.reclaim()
        generations = {path.name.split(".")[1] for path in tmp_path.glob("2*/**/*.gz")}
        assert generations == {"2", "3", "4", "5", "6", "7"}
        assert not list(tmp_path.glob("journal/*"))
        assert store.count(EVERYTHING) == len(days)
        assert store.check(read_data=True) == []


def test_a_reader_that_took_the_file_for_unchangeable_sees_what_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that is full to the last page SQLite can read only so; when there is room, others write."""
    path = str(tmp_path / "store.db")
    with closing(SqliteBackend(path)) as store:
        store.write(Batch([stored("one", MIDNIGHT)]))
    monkeypatch.setattr(Database, "open", lambda *_: _refuse())
    monkeypatch.setattr(Reserve, "give", lambda _: False)
    with closing(SqliteBackend(path)) as store:
        assert store.count(EVERYTHING) == 1
        monkeypatch.undo()
        store.write(Batch([stored("two", MIDNIGHT)]))
        assert store.count(EVERYTHING) == 2


def _refuse() -> None:
    raise StoreError(errno.ENOSPC, "full")


def test_maintenance_that_cannot_note_its_time_is_done_all_the_same(
    storage: PatternStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note only keeps the next one from coming too soon."""
    monkeypatch.setattr(fileops, "write_at", full)
    storage.maintain()


def test_maintenance_runs_where_not_even_its_lock_can_be_made(
    storage: PatternStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what makes room, and the backend keeps two of them apart."""
    real = fileops.open_shared

    def create(path: str, *, append: bool = False, create: bool = True) -> int:
        if path.endswith(("store.maintenance", "store.db.maintenance")):
            full()
        return real(path, append=append, create=create)

    monkeypatch.setattr(fileops, "open_shared", create)
    assert storage.maintain() is not None

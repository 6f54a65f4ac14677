"""Small stores whose files are always the same, and the questions whose answers damage must not change."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

from moai_patterns.backends.base import BackendBase
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.instant import DAY, instant
from moai_patterns.query import Query
from moai_patterns.storage import PatternStorage

# After the start of every machine that runs this: what was written before one may be torn by it.
_BEGIN = 2_000_000_000 * 10**9
_KINDS = ("task_completion", "hook_event", "error_occurrence")
_DATA: dict[str, dict[str, Any]] = {
    "task_completion": {"task_type": "fix", "agent": "coder", "duration_ms": 7, "success": True},
    "hook_event": {"event": "Stop"},
    "error_occurrence": {"error_type": "E501", "error_message": "long"},
}
Answers = dict[str, Any]
Ask = Callable[[BackendBase], Any]


@contextmanager
def _still() -> Iterator[None]:
    """A clock that gives every run the same times, each later than the one before."""
    ticks = range(_BEGIN, _BEGIN + 10**12, 1_000_000)
    with mock.patch.object(time, "time_ns", side_effect=ticks):
        yield


def _record(number: int, day: str, **more: Any) -> dict[str, Any]:
    kind = _KINDS[number % len(_KINDS)]
    return {
        "pattern_id": f"id-{number:02d}",
        "pattern_type": kind,
        "timestamp": f"{day}T10:00:{number:02d}Z",
        "data": {**_DATA[kind], **more},
        "context": {"tags": ["odd" if number % 2 else "even", f"t{number % 3}"]},
    }


@dataclass
class Stored:
    """A file of a store: its bytes, when it was written, what it was before, and whose records it holds."""

    data: bytes
    modified: int
    older: list[bytes] = field(default_factory=list)


@dataclass
class SmallStore:
    """A store on disk that is damaged and brought back again and again.

    Parameters:
        root: the directory that holds all of its files.
        opened: opens it.
        volatile: whether a file, by its path below the root, is no part of what is stored.
    """

    root: Path
    opened: Callable[[], BackendBase]
    volatile: Callable[[str], bool]
    files: dict[str, Stored] = field(default_factory=dict)

    def keep(self) -> None:
        """Take the files as they are now for what they should be; what they were before is older."""
        now = {}
        for name, path in self._present():
            data = path.read_bytes()
            known = self.files.get(name)
            older = [] if known is None else list(known.older)
            if known is not None and known.data != data and known.data not in older:
                older.append(known.data)
            now[name] = Stored(data, path.stat().st_mtime_ns, older)
        self.files = now

    def _present(self) -> Iterator[tuple[str, Path]]:
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if path.is_file() and not self.volatile(name):
                yield name, path

    def put(self, name: str, data: bytes) -> None:
        """Write a file over, dated as it was: hot files are dated by their arrival."""
        path = self.root / name
        path.write_bytes(data)
        os.utime(path, ns=(self.files[name].modified,) * 2)

    def put_back(self) -> None:
        """Bring all files back, and remove what else there is."""
        for name, path in self._present():
            if name not in self.files:
                path.unlink()
        self.restore(*self.files)

    def restore(self, *names: str) -> None:
        """Bring files back as they should be."""
        for name in names:
            self.put(name, self.files[name].data)

    def restore_directory(self, name: str) -> None:
        """Bring a directory back: no other file is in it."""
        for path in (self.root / name).iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        self.restore(*(file for file in self.files if os.path.dirname(file) == name))

    def changed(self) -> list[str]:
        """Return which files are not as they should be."""
        present = {name: path.read_bytes() for name, path in self._present()}
        names = present.keys() | self.files.keys()
        return sorted(
            name for name in names if name not in self.files or present.get(name) != self.files[name].data
        )

    @cached_property
    def right(self) -> Answers:
        """The answers of the sound store."""
        backend = self.opened()
        try:
            return {name: ask(backend) for name, ask in QUESTIONS.items()}
        finally:
            backend.close()


IDS = [f"id-{number:02d}" for number in range(14)]


def _scan(**parameters: Any) -> Ask:
    return lambda backend: list(backend.scan(Query(**parameters)))


def _pages(backend: BackendBase) -> list[Any]:
    found: list[Any] = []
    query = Query(limit=5)
    while page := list(backend.scan(query)):
        found += page
        query = query.but(cursor=query.cursor_after(page[-1]))
    return found


def _count(**parameters: Any) -> Ask:
    return lambda backend: backend.count(Query(**parameters))


_DAY = {"start_date": instant("2025-11-02T00:00Z"), "end_date": instant("2025-11-03T00:00Z") - 1}
QUESTIONS: dict[str, Ask] = {
    **{f"get {identity}": (lambda backend, i=identity: backend.get(i)) for identity in (*IDS, "unknown")},  # type: ignore[misc]
    **{
        f"history {identity}": (lambda backend, i=identity: backend.history(i))  # type: ignore[misc]
        for identity in ("id-01", "id-05", "id-09", "id-11")
    },
    "newest": _scan(),
    "oldest": _scan(order="oldest"),
    "arrival": _scan(order="arrival"),
    "all revisions": _scan(revisions="all", order="oldest"),
    "a kind": _scan(pattern_type="hook_event"),
    "a day": _scan(**_DAY),
    "a tag": _scan(tags=["odd"]),
    "pages": _pages,
    "count": _count(),
    "count of a kind": _count(pattern_type="task_completion"),
    "count of a day": _count(**_DAY),
    "count of a tag": _count(tags=["t1"]),
    "days": lambda backend: backend.days(),
}


def _first(root: Path, store: SmallStore, storage: PatternStorage) -> None:
    """What both stores begin with: two days, of each one record with a second revision."""
    days = ("2025-11-01", range(4)), ("2025-11-02", range(4, 7))
    for day, numbers in days:
        storage.save_many(_record(number, day) for number in numbers)
        storage.save(_record(numbers[1], day, note="revised"))
        store.keep()
        storage.backend.compact([instant(f"{day}T00:00Z") // DAY])  # type: ignore[attr-defined]
        store.keep()


def _then(storage: PatternStorage) -> None:
    """Single records, a batch, and removals."""
    for number in (7, 8, 9):
        storage.save(_record(number, "2025-11-03"))
    storage.save_batch([_record(10, "2025-11-02"), _record(9, "2025-11-03", note="revised")])
    storage.delete("id-08")
    storage.delete("id-04")


def _at_last(storage: PatternStorage, keep: Callable[[], None]) -> None:
    """A session that is over, and one that goes on."""
    with storage.session() as closed:
        closed.save(_record(11, "2025-11-04"))
        closed.save(_record(11, "2025-11-04", note="revised"))
    with storage.session() as growing:
        growing.save(_record(12, "2025-11-04"))
        keep()
        growing.save(_record(13, "2025-11-04"))
        keep()


def _storage(backend: BackendBase) -> PatternStorage:
    return PatternStorage(backend, clock=time.time_ns, maintenance_interval=None)


def small_tree(root: Path) -> SmallStore:
    """A tree with two compacted days, their history, hot files, and journals of every kind."""
    store = SmallStore(root, lambda: FilesystemBackend(str(root)), _volatile_of_tree)
    with _still(), _storage(store.opened()) as storage:
        _first(root, store, storage)
        _then(storage)
        store.keep()
        _at_last(storage, store.keep)
    store.put_back()
    return store


def small_database(root: Path) -> SmallStore:
    """An SQLite database that nobody has open, so that it has no log."""
    path = str(root / "small.db")
    store = SmallStore(root, lambda: SqliteBackend(path, timeout=0.0), _volatile_of_database)
    root.mkdir(parents=True, exist_ok=True)
    with _still(), _storage(SqliteBackend(path)) as storage:
        _first(root, store, storage)
        _then(storage)
        storage.backend.reclaim()  # type: ignore[attr-defined]  # so that its indexes have some of it, and some waits
        _at_last(storage, lambda: None)
    store.files.clear()
    store.keep()
    return store


def small_log(root: Path) -> SmallStore:
    """An SQLite database whose write-ahead log a killed process has left behind, with two commits in it."""
    store = small_database(root)
    with _still(), _storage(SqliteBackend(str(root / "small.db"))) as storage:
        storage.save(_record(6, "2025-11-02", note="revised"))
        storage.delete("id-13")
        store.files.clear()
        store.keep()
    store.put_back()
    return store


def _volatile_of_tree(name: str) -> bool:
    return name in (".lock", ".pin", ".maintenance") or name.startswith("reserve")


def _volatile_of_database(name: str) -> bool:
    return name.endswith(("-lock", "-shm")) or "reserve" in name

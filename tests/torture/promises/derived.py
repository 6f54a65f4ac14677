"""Files that only repeat what others say: gone, scrambled or replaced, they change no answer."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from moai_patterns import PatternStorage
from moai_patterns.backends.base import BackendBase
from moai_patterns.backends.opening import open_backend
from moai_patterns.errors import PatternError
from torture.promise import BrokenPromiseError, Promise, Tally
from torture.small_store import QUESTIONS, SmallStore, small_database, small_log, small_tree

_LOCKS = (".lock", ".pin", ".maintenance", "small.db-lock")
_GARBAGE = 24
_CUTS = 16
# Nothing but a directory cannot be replaced by renaming a file: then a refusal that names it will do.
_IN_THE_WAY = "a directory with something in it"
Spoil = Callable[[Path, bytes, int], None]


def _delete(path: Path, data: bytes, number: int) -> None:
    path.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _garbage(path: Path, data: bytes, number: int) -> None:
    _write(path, random.Random(number).randbytes(max(len(data), 64)))


def _scattered(path: Path, data: bytes, number: int) -> None:
    choose, changed = random.Random(number), bytearray(data)
    for _ in range(1 + number % 7):
        changed[choose.randrange(len(changed))] = choose.randrange(256)
    _write(path, bytes(changed))


def _directory(path: Path, data: bytes, number: int) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def _full_directory(path: Path, data: bytes, number: int) -> None:
    _directory(path, data, number)
    (path / "inside").write_bytes(data)


def _link(path: Path, data: bytes, number: int) -> None:
    """A link to the same bytes outside of the store, which must stay as they are."""
    path.unlink(missing_ok=True)
    path.symlink_to(path.parents[number].resolve().parent / "outside" / "linked")


def _fifo(path: Path, data: bytes, number: int) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


class Way(NamedTuple):
    """A way to spoil a file, and how many variants it has."""

    name: str
    variants: int
    spoil: Spoil


def _ways(data: bytes, foreign: Sequence[bytes]) -> list[Way]:
    spoiled = [Way("scattered bytes changed", _GARBAGE, _scattered)] if data else []
    return [
        Way("deleted", 1, _delete),
        Way("empty", 1, lambda path, _, __: _write(path, b"")),
        Way("zeros", 1, lambda path, data, _: _write(path, bytes(len(data) or 64))),
        Way("garbage", _GARBAGE, _garbage),
        Way("cut", _CUTS if data else 0, lambda path, data, n: _write(path, data[: len(data) * n // _CUTS])),
        Way("of another store or time", len(foreign), lambda path, _, n: _write(path, foreign[n])),
        Way("an empty directory", 1, _directory),
        Way(_IN_THE_WAY, 1, _full_directory),
        Way("a link to the same", 1, _link),
        Way("a FIFO", 1, _fifo),
        *spoiled,
    ]


class Case(NamedTuple):
    """What is spoiled, how, and in which of its variants."""

    names: tuple[str, ...]
    way: Way
    variant: int

    def __str__(self) -> str:
        return f"{', '.join(self.names)}: {self.way.name} ({self.variant})"


def _derived(name: str) -> bool:
    return name.startswith("index/") or name.endswith((".idx", "index.copy.json", "-shm")) or name in _LOCKS


def _foreign(store: SmallStore, name: str) -> list[bytes]:
    """Return other files of this sort: of this store, and what it was before."""
    kind = Path(name).suffix
    others = [other.data for path, other in store.files.items() if path != name and Path(path).suffix == kind]
    return [*store.files[name].older, *others] if name in store.files else []


def _cases(store: SmallStore) -> list[Case]:
    names = [str(path.relative_to(store.root)) for path in sorted(store.root.rglob("*")) if path.is_file()]
    derived = [name for name in names if _derived(name)]
    found = []
    for some in (*[(name,) for name in derived], tuple(derived)):
        for way in _ways(_bytes(store, some[0]), _foreign(store, some[0]) if len(some) == 1 else ()):
            found += [Case(some, way, variant) for variant in range(way.variants)]
    return found


def _bytes(store: SmallStore, name: str) -> bytes:
    return (store.root / name).read_bytes()


def _build(make: Callable[[Path], SmallStore], place: Path) -> SmallStore:
    (place / "outside").mkdir(parents=True)
    (place / "outside" / "linked").write_bytes(b"not yours")
    store = make(place / "store")
    assert store.right  # asked while nothing is spoiled
    store.put_back()
    if make is small_log:  # the index of the log stays beside it when a process is killed
        (store.root / "small.db-shm").write_bytes(b"\x18\xe2\x2d\x00" * 8192)
    return store


@cache
def _count(make: Callable[[Path], SmallStore]) -> int:
    with TemporaryDirectory(prefix="torture-derived-") as place:
        return len(_cases(_build(make, Path(place) / "at")))


def _run(make: Callable[[Path], SmallStore], numbers: Sequence[int], place: Path, tally: Tally) -> None:
    pristine = _build(make, place / "pristine")
    right = pristine.right
    for number in numbers:
        store = _copied(pristine, place / f"case-{number}")
        case = _cases(store)[number]
        _look(store, case, right, tally)
        shutil.rmtree(store.root.parent)


def _copied(pristine: SmallStore, place: Path) -> SmallStore:
    shutil.copytree(pristine.root.parent, place, symlinks=True)
    copy = SmallStore(place / "store", lambda: None, pristine.volatile)  # type: ignore[arg-type, return-value]
    database = copy.root / "small.db"
    name, path = ("sqlite", database) if database.exists() else ("filesystem", copy.root)
    copy.opened = lambda: open_backend(name, str(path), timeout=1.0)
    copy.files = pristine.files
    return copy


def _look(store: SmallStore, case: Case, right: dict[str, Any], tally: Tally) -> None:
    for name in case.names:
        data = _bytes(store, name)
        case.way.spoil(store.root / name, data, case.variant if case.way.name != "a link to the same" else 0)
    tally.fired()
    try:
        backend = store.opened()
        try:
            _must_answer(backend, right, case)
            backend.check(read_data=True)
        finally:
            backend.close()
        _must_go_on(store, case, right["count"])
        tally.add("same answers")
    except PatternError as error:
        if not _may_refuse(case) or not _is_named(case, str(error)):
            raise BrokenPromiseError(f"{case}: {error!r}") from error
        tally.add("refused with the name of what is in the way")
    except Exception as error:
        raise BrokenPromiseError(f"{case}: {error!r}") from error
    if (store.root.parent / "outside" / "linked").read_bytes() != b"not yours":
        raise BrokenPromiseError(f"{case}: a file outside of the store was changed")


def _is_named(case: Case, sentence: str) -> bool:
    return any(Path(name).name.removesuffix("-shm") in sentence for name in case.names)


def _may_refuse(case: Case) -> bool:
    """Tell whether something stands where a file has to be made, and a lock on another file would be none."""
    shared = any(name in _LOCKS or name.endswith("-shm") for name in case.names)
    directory = case.way.name in ("an empty directory", _IN_THE_WAY)
    return directory or (shared and case.way.name in ("a link to the same", "a FIFO"))


def _must_answer(backend: BackendBase, right: dict[str, Any], case: Case) -> None:
    for name, ask in QUESTIONS.items():
        answer = ask(backend)
        if answer != right[name]:
            raise BrokenPromiseError(f"{case}: {name!r} is answered {answer!r}, not {right[name]!r}")


def _must_go_on(store: SmallStore, case: Case, known: int) -> None:
    with PatternStorage(store.opened(), maintenance_interval=None) as storage:
        record = {
            "pattern_id": "more",
            "pattern_type": "hook_event",
            "timestamp": "2025-11-05T00:00:00Z",
            "data": {"event": "Stop"},
        }
        storage.save(record)
        if storage.load("more") != record or storage.count() != known + 1:
            raise BrokenPromiseError(f"{case}: what is saved afterwards is not found")


def _drop_indexes(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """The indexes of a database, taken away in each combination."""
    pristine = small_database(place / "pristine")
    right = pristine.right
    for number in numbers:
        shutil.copytree(pristine.root, place / "case")
        path = place / "case" / "small.db"
        dropped = [name for at, name in enumerate(_INDEXES) if number >> at & 1]
        with closing(sqlite3.connect(path)) as held:
            for name in dropped:
                held.execute(f"DROP INDEX {name}")
                tally.fired()
            held.commit()
        backend = open_backend("sqlite", str(path))
        try:
            for name, ask in QUESTIONS.items():
                if ask(backend) != right[name]:
                    raise BrokenPromiseError(f"without {dropped}: {name!r} is answered otherwise")
            problems = [f"{problem.place}: {problem.sentence}" for problem in backend.check()]
            unnamed = [name for name in dropped if not any(name in problem for problem in problems)]
            if unnamed or (problems and not dropped):
                raise BrokenPromiseError(f"without {dropped}: check names {problems}, not {unnamed}")
        finally:
            backend.close()
        shutil.rmtree(place / "case")


_INDEXES = ("patterns_by_kind", "patterns_by_time", "history_by_kind", "history_by_time")


PROMISES = (
    Promise(
        name="derived-tree",
        sentence="any index, copy, change log or lock file of a tree deleted, scrambled or replaced: "
        "same answers, and it goes on",
        cases=lambda: _count(small_tree),
        run=lambda numbers, place, tally: _run(small_tree, numbers, place, tally),
        fast=200,
        chunk=400,
    ),
    Promise(
        name="derived-sqlite",
        sentence="the lock file of a database and the index of its log deleted, scrambled or replaced: "
        "same answers, and it goes on",
        cases=lambda: _count(small_log),
        run=lambda numbers, place, tally: _run(small_log, numbers, place, tally),
        fast=60,
        chunk=400,
    ),
    Promise(
        name="derived-indexes",
        sentence="any indexes of a database dropped: same answers, and check names them",
        cases=lambda: 1 << len(_INDEXES),
        run=_drop_indexes,
        fast=16,
        chunk=16,
    ),
)

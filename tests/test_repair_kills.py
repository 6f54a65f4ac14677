"""A repair that is killed anywhere: the next one ends what it began, and nothing whole is lost on the way."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from forks import child
from moai_patterns.backends import fileops
from moai_patterns.backends.base import BackendBase, Batch, Removal
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.sqlite import database, repairing
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored
from stores import index_all
from wounds import flip

MUTATING = ("append", "create", "date", "link", "make_dirs", "remove", "rename", "sync_dir")
FIRST = MIDNIGHT // DAY


def wounded_tree(path: Path) -> None:
    """A tree with a damaged file of each kind, and two manifests that cannot be read."""
    with closing(FilesystemBackend(str(path))) as store:
        store.write(Batch([stored(f"c{n}", MIDNIGHT + n % 2 * DAY + n) for n in range(6)]))
        store.write(Batch([stored(f"c{n}", MIDNIGHT + n % 2 * DAY + n, 2) for n in range(2)]))
        store.compact([FIRST, FIRST + 1])
        for n in range(2):
            store.write(Batch([stored(f"h{n}", MIDNIGHT + 2 * DAY + n)]))
        store.write(Batch([stored(f"j{n}", MIDNIGHT + 2 * DAY + n) for n in range(4)], [Removal("c5")]))
    hot = next(path.glob("2*/*/*/*_h0_*.json"))
    with hot.open("ab") as file:
        file.write(bytes(10))
    flip(next(path.glob("2*/*/*/*_h1_*.json")), 90)
    flip(next(path.glob("journal/*.jsonl")), 200)
    first, second = sorted(path.glob("2*/*/*/*.jsonl.gz"))
    flip(first, first.stat().st_size // 2)
    flip(second.with_name(second.name.replace(".jsonl.gz", ".idx")), 40)


def without_manifest(path: Path) -> None:
    """The same, and no manifest either."""
    wounded_tree(path)
    for name in ("index.json", "index.copy.json"):
        flip(path / name, -20)


def filled_database(path: Path) -> None:
    """A closed database with history and tags."""
    with closing(SqliteBackend(str(path))) as store:
        records = [stored(f"r{n}", MIDNIGHT + n, data={"text": "x" * 900}) for n in range(30)]
        store.write(Batch(records))
        store.write(Batch([stored(f"r{n}", MIDNIGHT + n, 2, context={"tags": ["z"]}) for n in range(4)]))
        index_all(store)


def wounded_rows(path: Path) -> None:
    """A database with damaged rows and a tag too few, all of which can be mended in place."""
    filled_database(path)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE patterns SET data = '1' WHERE pattern_id IN ('r1', 'r9')")
        file.execute("DELETE FROM tags")


def wounded_page(path: Path) -> None:
    """A database with a page that is none any more."""
    filled_database(path)
    scramble(path)


def scramble(path: Path) -> None:
    """Put something else into the first page with records."""
    page = path.read_bytes().index(b"x" * 900) // 4096
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(b"scramble" * 512)


def wounded_page_and_log(path: Path) -> None:
    """The same, and a commit that only the log of a killed process holds."""
    filled_database(path)
    with closing(SqliteBackend(str(path))) as store:
        store.write(Batch([stored("late", MIDNIGHT)]))
        left = {end: path.with_name(path.name + end).read_bytes() for end in ("", "-wal")}
    for end, raw in left.items():
        path.with_name(path.name + end).write_bytes(raw)
    scramble(path)


STORES: dict[str, tuple[Callable[[Path], None], Callable[[str], BackendBase]]] = {
    "tree": (wounded_tree, FilesystemBackend),
    "tree without manifest": (without_manifest, FilesystemBackend),
    "rows": (wounded_rows, SqliteBackend),
    "page": (wounded_page, SqliteBackend),
    "page and log": (wounded_page_and_log, SqliteBackend),
}


def dying_at(point: int, said: int) -> Callable[[], None]:
    """Count a step, and end the process like a kill when it is the one; a byte is said for each."""
    seen = 0

    def step() -> None:
        nonlocal seen
        if seen == point:
            os._exit(9)
        seen += 1
        os.write(said, b".")

    return step


def repair_until(opened: Callable[[str], BackendBase], path: Path, step: Callable[[], None]) -> None:
    """Repair a store with a step before each mutating call, and before each statement."""

    def stepping(act: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            step()
            return act(*arguments, **options)

        return run

    def traced(*arguments: Any) -> sqlite3.Connection:
        connection = connect(*arguments)
        connection.set_trace_callback(lambda _: step())
        return connection

    store = opened(str(path))
    connect = database.connect
    for name in MUTATING:
        setattr(fileops, name, stepping(getattr(fileops, name)))
    setattr(repairing, "connect", traced)  # noqa: B010  only in a process that ends
    store.repair()


def state(opened: Callable[[str], BackendBase], path: Path) -> list[Any]:
    """Everything that is stored, in order, and where there are findings."""
    with closing(opened(str(path))) as store:
        found = store.check(read_data=True)
        assert all("quarantine" in problem.place for problem in found), found
        heads = list(store.scan(Query(limit=None)))
        return [heads, list(store.scan(Query(limit=None, order="oldest", revisions="all")))]


@pytest.mark.parametrize("kind", STORES)
def test_a_killed_repair_is_ended_by_the_next(tmp_path: Path, kind: str) -> None:
    """Killed before any of its steps and run again, it comes to the same as one that was not."""
    make, opened = STORES[kind]
    name = "store.db" if opened is SqliteBackend else "store"
    pristine = tmp_path / "pristine"
    pristine.mkdir()
    make(pristine / name)
    shutil.copytree(pristine, tmp_path / "right")
    with closing(opened(str(tmp_path / "right" / name))) as store:
        assert store.repair() != []
    right = state(opened, tmp_path / "right" / name)
    point, died = 0, True
    while died:
        place = tmp_path / f"{point}"
        shutil.copytree(pristine, place)
        reading, said = os.pipe()
        act = partial(repair_until, opened, place / name, dying_at(point, said))
        process = child(act)
        os.close(said)
        steps = b""
        while more := os.read(reading, 1 << 16):
            steps += more
        os.close(reading)
        died = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9
        assert len(steps) >= point or not died
        with closing(opened(str(place / name))) as store:
            store.repair()
            assert store.repair() == []
        assert state(opened, place / name) == right, f"killed at step {point}"
        shutil.rmtree(place)
        point += 1
    assert point > 20

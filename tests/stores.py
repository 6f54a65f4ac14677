"""Looking at stores from outside: their bytes, and values that no store takes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from moai_patterns.backends.base import Batch
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored

# SQLite's index of its log is shared memory: readers write into it.
_VOLATILE = ("-shm",)


def contents(place: Path) -> dict[str, str]:
    """The digest of every file below a directory by its path, which is what `unchanged` means."""
    return {
        str(path.relative_to(place)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file() and not path.name.endswith(_VOLATILE)
    }


def nested(levels: int, key: str | None = None) -> Any:
    """A value of so many lists or, with a key, objects within each other."""
    value: Any = 0
    for _ in range(levels):
        value = [value] if key is None else {key: value}
    return value


@contextmanager
def checked(path: Path) -> Iterator[SqliteBackend]:
    """The store in a database file, to be worked with; at the end every byte of it is checked."""
    with closing(SqliteBackend(str(path))) as store:
        yield store
        assert store.check(read_data=True) == []


def filled_database(path: Path) -> Path:
    """A closed database with 60 heads, one of them with a superseded revision, and tags."""
    with closing(SqliteBackend(str(path))) as store:
        store.write(Batch([stored(f"r{n}", MIDNIGHT + n, context={"tags": ["x", "y"]}) for n in range(60)]))
        store.write(Batch([stored("r1", MIDNIGHT + 1, 2, context={"tags": ["z"]})]))
        index_all(store)
    return path


def index_all(store: SqliteBackend) -> None:
    """Bring the indexes up to date, as one save in 64 does."""
    assert store.delete(Query(tags=["nobody's"])) == 0

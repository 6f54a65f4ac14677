"""Questions of more parts than SQLite takes in one statement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from moai_patterns import field
from moai_patterns.backends.base import Batch
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.query import Query
from moai_patterns.testing.compare import agree
from moai_patterns.testing.pools import MIDNIGHT, stored
from stores import checked


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SqliteBackend]:
    """An empty store in a new file; every byte of it is checked at the end."""
    with checked(tmp_path / "patterns.db") as opened:
        yield opened


def test_ten_thousand_ids_are_one_question(backend: SqliteBackend) -> None:
    """A long list of ids, with ones that SQLite's JSON would cut, gives each record once and in order."""
    names = [f"r{n}" for n in range(3000)] + ["nul\0a", "nul\0b", "nul", 'quote"\\']
    backend.write(Batch([stored(name, MIDNIGHT + place) for place, name in enumerate(names)]))
    asked = Query(ids=[*names[::-1], *(f"none{n}" for n in range(7000)), "nul\0c"], limit=None)
    assert [record["pattern_id"] for record in backend.scan(asked)] == names[::-1]
    assert backend.count(asked.but(limit=10)) == 10
    assert backend.delete(asked.but(ids=["nul\0a", "nul\0c"])) == 1
    assert backend.get("nul") is not None
    assert backend.get("\ud800") is None
    assert backend.history("\ud800") == []


def test_more_than_sqlite_takes_is_asked_for_all_the_same(backend: SqliteBackend) -> None:
    """Long and deep conditions, ids with NUL and lists of tags and kinds give the oracle's answers."""
    numbers = [stored(f"r{n}\0{n}", MIDNIGHT + n, data={"x": n, "y": 1}) for n in range(600)]
    tagged = [stored(f"\1{n}\2", n, pattern_type=f"k{n}\0", context={"tags": [f"t{n}"]}) for n in range(9)]
    oracle = MemoryBackend()
    for store in (oracle, backend):
        store.write(Batch([*numbers, *tagged]))
    either = both = deep = field("data.x") == 5
    for n in range(600):
        either |= field("data.x") == n
        both &= field("data.x") < n + 6
    for n in range(40):
        deep = (deep & (field("data.y") == 1)) | (field("data.x") == n)
    for query in (
        Query(limit=None, where=either),
        Query(limit=None, where=both),
        Query(limit=None, where=deep),
        Query(limit=None, where=either & deep),
        Query(limit=None, where={f"data.none{n}": n for n in range(1100)}),
        Query(limit=None, where={"data.x": 3, **{f"data.{'y' * (n + 1)}": 1 for n in range(300)}}),
        Query(limit=None, ids=[f"r{n}\0{n}" for n in range(700)] + ["\0012\2", "\1\0"]),
        Query(limit=None, tags=[f"t{n}" for n in range(3, 40_000)]),
        Query([f"k{n}\0" for n in range(3, 40_000)], limit=None),
    ):
        agree(list(backend.scan(query)), list(oracle.scan(query)), "a large question")
        assert backend.count(query) == oracle.count(query)

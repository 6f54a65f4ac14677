"""Loads and questions, out of a million records."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.stores import Filled, Stores
from moai_patterns.bench.measuring import OURS, Case, Contestant
from moai_patterns.conditions import field
from moai_patterns.instant import DAY, instant

_LOADS = 500
_KIND = "task_completion"
_NAMES = "pattern_id, pattern_type, timestamp, data, context, version"
_BY_ID = f"SELECT {_NAMES} FROM patterns WHERE pattern_id = ?"
_NEWEST = f"""SELECT {_NAMES} FROM patterns WHERE pattern_type = ? AND instant BETWEEN ? AND ?
    AND indexed = 1 ORDER BY instant DESC, pattern_id DESC LIMIT 100"""
_LONG = 60_000  # milliseconds: a third of the records took longer
# As text: DuckDB would need another package to hand out a time with its zone.
_EVERYTHING = "SELECT * REPLACE (CAST(timestamp AS VARCHAR) AS timestamp) FROM files"
_SELECT, _OPEN, _SQL = "raw SELECT, json.loads", "open, json.loads", "raw SQL, json.loads"
_ALL_FILES, _DAY_FILES = "DuckDB, all files", "DuckDB, the files of the day"

Load = Callable[[str], object]
Ask = Callable[[], Any]


def cases(filled: Filled) -> list[Case]:
    """Return the cases on stores that are filled when the first of them begins."""
    return [
        Case("load by id, SQLite", partial(_load_rows, filled), {_SELECT: 1.8}),
        Case("load by id, hot file", partial(_load_files, filled, hot=True), {_OPEN: 3}),
        Case("load by id, compacted tree", partial(_load_files, filled, hot=False), {_OPEN: 12}),
        Case("newest 100 of a kind in a day, SQLite", partial(_newest_rows, filled), {_SQL: 2}),
        Case(
            "newest 100 of a kind in a day, tree", partial(_newest_lines, filled), {_ALL_FILES: 0.1}, rounds=5
        ),
        Case("a condition over one day, tree", partial(_condition, filled), {_DAY_FILES: 1}, 5),
        Case("count per kind, tree", partial(_count, filled), {_ALL_FILES: 0.1}, 5),
    ]


@contextmanager
def _load_rows(filled: Filled, _: Path) -> Iterator[list[Contestant]]:
    stores = filled.stores
    with closing(sqlite3.connect(stores.file)) as connection:

        def raw(identity: str) -> object:
            return _decoded(connection.execute(_BY_ID, (identity,)).fetchone())

        yield [_loading(OURS, stores.database.load, stores.cold), _loading(_SELECT, raw, stores.cold)]


@contextmanager
def _load_files(filled: Filled, _: Path, *, hot: bool) -> Iterator[list[Contestant]]:
    stores = filled.stores
    paths = sorted(map(str, stores.root.glob("*/*/*/*.json")))

    def raw(path: str) -> object:
        with open(path, "rb") as file:
            return json.loads(file.read())

    yield [
        _loading(OURS, stores.tree.load, stores.hot if hot else stores.cold),
        _loading(_OPEN, raw, paths),
    ]


def _loading(name: str, load: Load, which: Sequence[str]) -> Contestant:
    """Load the same number in each round, and others in each."""
    following = cycle(which)

    def every(some: Sequence[str]) -> None:
        for one in some:
            if load(one) is None:
                raise RuntimeError(f"{one} is not there")

    return Contestant(name, lambda _: partial(every, list(islice(following, _LOADS))), _LOADS)


def _decoded(row: Sequence[Any]) -> tuple[object, ...]:
    return (*row[:3], json.loads(row[3]), json.loads(row[4]), row[5])


@contextmanager
def _newest_rows(filled: Filled, _: Path) -> Iterator[list[Contestant]]:
    stores = filled.stores
    first = instant(stores.day)
    with closing(sqlite3.connect(stores.file)) as connection:

        def raw() -> list[Any]:
            rows = connection.execute(_NEWEST, (_KIND, first, first + DAY - 1))
            return [_decoded(row) for row in rows]

        yield _alike(lambda: stores.database.query(_KIND, *_bounds(stores), 100), _SQL, raw, times=20)


@contextmanager
def _newest_lines(filled: Filled, _: Path) -> Iterator[list[Contestant]]:
    stores = filled.stores
    since, until = _bounds(stores)
    question = f"""{_EVERYTHING}
        WHERE pattern_type = '{_KIND}' AND CAST(timestamp AS TIMESTAMPTZ) BETWEEN '{since}' AND '{until}'
        ORDER BY timestamp DESC, pattern_id DESC LIMIT 100"""
    with _duck(stores, "*/*/*", question) as raw:
        yield _alike(lambda: stores.tree.query(_KIND, *_bounds(stores), 100), _ALL_FILES, raw)


@contextmanager
def _condition(filled: Filled, _: Path) -> Iterator[list[Contestant]]:
    stores = filled.stores
    asked = field("data.duration_ms") >= _LONG
    question = f"{_EVERYTHING} WHERE CAST(data.duration_ms AS BIGINT) >= {_LONG}"
    with _duck(stores, stores.day.replace("-", "/"), question) as raw:
        yield _alike(lambda: stores.tree.query(None, *_bounds(stores), None, where=asked), _DAY_FILES, raw)


@contextmanager
def _count(filled: Filled, _: Path) -> Iterator[list[Contestant]]:
    stores = filled.stores
    # What is not compacted are other files, of another shape.
    compacted = "SELECT pattern_type, count(*) FROM files GROUP BY ALL"
    with _duck(stores, "*/*/*", compacted) as raw:
        yield _alike(lambda: stores.tree.stats()["kinds"], _ALL_FILES, raw)


def _bounds(stores: Stores) -> tuple[str, str]:
    return f"{stores.day}T00:00:00Z", f"{stores.day}T23:59:59.999999Z"


@contextmanager
def _duck(stores: Stores, day: str, question: str) -> Iterator[Ask]:
    """Give what asks the segments of a day, or of all, by DuckDB."""
    import duckdb

    files = f"SELECT * FROM read_json('{stores.root / day}/*.jsonl.gz', format = 'newline_delimited')"
    with duckdb.connect() as connection:
        yield lambda: connection.execute(f"WITH files AS ({files}) {question}").fetchall()


def _alike(ours: Ask, name: str, other: Ask, times: int = 1) -> list[Contestant]:
    """Compare two ways to an answer, which must be of the same length; each asks so often in a round."""
    found, expected = len(ours()), len(other())
    if found != expected:
        raise RuntimeError(f"{name}: {expected} answers, and {found} of ours")
    return [
        Contestant(who, lambda _, ask=ask: partial(_repeat, ask, times), times)  # type: ignore[misc]
        for who, ask in ((OURS, ours), (name, other))
    ]


def _repeat(ask: Ask, times: int) -> None:
    for _ in range(times):
        ask()

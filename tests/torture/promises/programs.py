"""Generated programs of questions: one answer, wherever the records lie and whatever reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

from moai_patterns import PatternStorage, Query, parse_condition
from moai_patterns.aggregates import Tally as Figures
from moai_patterns.backends.filesystem import aggregating
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.conditions import Condition
from moai_patterns.query import Record, content
from moai_patterns.testing import compare
from moai_patterns.testing.answers import dense
from moai_patterns.testing.questions import aggregation, answer, question
from torture.promise import BrokenPromiseError, Promise, Tally

_PROGRAMS = 50  # that ask the same stores
_STEPS = 2


def run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Ask the same programs of all stores, and compare with the definition."""
    for seed, programs in groupby(numbers, key=lambda number: number // _PROGRAMS):
        with _stores(seed, place / str(seed)) as stores, _duckdb_for_everything():
            everything = compare.content(stores["memory"].backend)  # type: ignore[arg-type]
            for number in programs:
                choose = Random(number)
                for step in range(_STEPS):
                    try:
                        _ask(choose, stores, everything, tally)
                    except Exception as error:
                        raise BrokenPromiseError(f"case {number}, step {step}: {error}") from error
                tally.fired()


@contextmanager
def _stores(seed: int, place: Path) -> Iterator[Mapping[str, PatternStorage]]:
    """The same records in memory, in trees that are hot, half and wholly compacted, and in SQLite."""
    place.mkdir(parents=True)
    backends = {
        "memory": MemoryBackend(),
        **{f"tree, {form}": FilesystemBackend(str(place / form)) for form in ("hot", "mixed", "compacted")},
        "SQLite": SqliteBackend(str(place / "rows.db")),
    }
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(PatternStorage(backend, maintenance_interval=None))
            for name, backend in backends.items()
        }
        batches = list(dense(seed, 40))
        for backend in backends.values():
            for batch in batches:
                backend.write(batch)
        days = sorted(backends["memory"].days())
        backends["tree, mixed"].compact(days[::2])
        backends["tree, compacted"].compact(days)
        yield opened


@contextmanager
def _duckdb_for_everything() -> Iterator[None]:
    """Let DuckDB count compacted days, however few records they have."""
    before, aggregating._WORTH = aggregating._WORTH, 0
    try:
        yield
    finally:
        aggregating._WORTH = before


def _ask(
    choose: Random, stores: Mapping[str, PatternStorage], everything: Sequence[Record], tally: Tally
) -> None:
    query, figures = question(choose.choice), aggregation(choose.choice)
    if query.revisions == "all":
        records = list(everything)
    else:
        by_revision = sorted(everything, key=lambda one: int(one["_meta"]["revision"]))
        records = list({one["pattern_id"]: one for one in by_revision}.values())
    wanted = list(map(content, answer(records, query)))
    whole = list(map(content, answer(records, query.but(limit=None))))
    counted = Figures(figures)
    for record in answer(records, query):
        counted.add(record)
    rows = counted.rows()
    size = choose.choice((2, 3, 7, 100))
    written = query
    if isinstance(query.where, Condition):
        written = query.but(where=parse_condition(str(query.where)))
    tally.add("records in answers", len(wanted))
    for name, storage in stores.items():
        what = f"{name}, {query!r}"
        compare.equal(list(storage.query(query)), wanted, what)
        found = storage.aggregate(
            query, group_by=figures.group_by, every=figures.every, tz=figures.tz, metrics=figures.metrics
        )
        compare.must(repr(found) == repr(rows), f"{what}, {figures}: {found}, not {rows}")
        match choose.randrange(3):  # all three of each would take four times as long
            case 0:
                compare.equal(list(storage.query(written)), wanted, f"{what}, asked as text")
                compare.must(
                    storage.count(query) == len(wanted), f"{what}: count says {storage.count(query)}"
                )
            case 1:
                compare.equal(list(_pages(storage, query, size)), whole, f"{what}, in pages of {size}")
            case _:
                lazy, part = storage.query(query.but(limit=None)), choose.randrange(4)
                compare.must(len(lazy) == len(whole), f"{what}: lazily {len(lazy)}")
                slices = list(lazy[part : part + size]), whole[part : part + size]
                compare.equal(*slices, f"{what}, from {part} on")


def _pages(storage: PatternStorage, query: Query, size: int) -> Iterator[dict[str, Any]]:
    asked = query.but(limit=size)
    while True:
        page = storage.query(asked)
        yield from page
        if page.cursor is None:
            return
        asked = asked.but(cursor=page.cursor)


PROMISES = (
    Promise(
        name="programs",
        sentence="generated programs of queries, conditions (as expressions and as text), figures, pages and "
        "slices: the same answer in memory, in a tree (hot, mixed, compacted, by DuckDB) and in SQLite",
        cases=lambda: 10_000,
        run=run,
        fast=300,
        chunk=500,
    ),
)

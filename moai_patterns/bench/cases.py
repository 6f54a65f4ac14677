"""The cases that take seconds: `moai-patterns bench` runs them, and `make bench` among others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import orjson

from moai_patterns.bench import floors
from moai_patterns.bench.measuring import OURS, Act, Case, Contestant
from moai_patterns.bench.peers import PEERS
from moai_patterns.bench.samples import record
from moai_patterns.query import Record
from moai_patterns.storage import PatternStorage

_SAVES = 1000
_FEW = 20  # of what takes milliseconds
_MANY = 10_000
_LOADS = 500


class _Fresh:
    """Records that nobody has seen before."""

    def __init__(self) -> None:
        self._number = 0

    def some(self, count: int) -> list[Record]:
        begin = time.time_ns() // 1000
        made = [record(self._number + at, begin + at) for at in range(count)]
        self._number += count
        return made


def opened(backend: str, path: Path) -> PatternStorage:
    """Return a storage that does no maintenance by itself: nothing is measured but what is asked for."""
    return PatternStorage(backend, path, compression_threshold_days=0, maintenance_interval=None)


@contextmanager
def _one_by_one(directory: Path) -> Iterator[Sequence[Contestant]]:
    fresh = _Fresh()
    with ExitStack() as stack:
        ours = stack.enter_context(opened("sqlite", directory / "ours"))
        raw = stack.enter_context(floors.upserting(directory / "raw.db"))
        contestants = [_saving(OURS, ours.save, fresh), _saving("raw upsert", raw, fresh)]
        for number, (name, peer) in enumerate(PEERS.items()):
            try:
                save = stack.enter_context(peer(directory / f"peer{number}.db"))
            except ImportError:
                continue
            contestants.append(_saving(name, save, fresh, _FEW if name.startswith("TinyDB") else _SAVES))
        yield contestants


def _saving(name: str, save: Callable[[Record], object], fresh: _Fresh, count: int = _SAVES) -> Contestant:
    return Contestant(name, lambda _: partial(_each, save, fresh.some(count)), count)


def _each(act: Callable[[Record], object], records: Sequence[Record]) -> None:
    for one in records:
        act(one)


@contextmanager
def many_in_sqlite(directory: Path, count: int = _MANY) -> Iterator[Sequence[Contestant]]:
    """`save_many` of `count` records."""
    fresh = _Fresh()
    with opened("sqlite", directory / "ours") as ours, floors.inserting(directory / "raw.db") as raw:
        yield [
            Contestant(OURS, lambda _: partial(ours.save_many, fresh.some(count)), count),
            Contestant("raw executemany", lambda _: partial(_in_thousands, raw, fresh.some(count)), count),
        ]


def _in_thousands(save: Callable[[Sequence[Record]], object], records: Sequence[Record]) -> None:
    for start in range(0, len(records), 1000):
        save(records[start : start + 1000])


@contextmanager
def _files(directory: Path) -> Iterator[Sequence[Contestant]]:
    fresh = _Fresh()
    raw = directory / "raw"
    raw.mkdir()
    with opened("filesystem", directory / "tree") as ours:

        def renaming(_: int) -> Act:
            made = [(f"{one['pattern_id']}.json", _readable(one)) for one in fresh.some(_SAVES)]
            return partial(_each_file, raw, made)

        yield [
            _saving(OURS, ours.save, fresh),
            Contestant("temporary file and rename", renaming, _SAVES),
        ]


def _each_file(directory: Path, files: Sequence[tuple[str, bytes]]) -> None:
    for name, data in files:
        floors.rename(directory, name, data)


def _readable(one: Record) -> bytes:
    """A record as a hot file holds it."""
    now = time.time_ns() // 1000
    meta = {"instant": now, "revision": 1, "recorded_at": now, "operation": "save", "crc32": now % 2**32}
    return orjson.dumps({**one, "_meta": meta}, option=orjson.OPT_INDENT_2)


@contextmanager
def _lines(directory: Path, *, each: bool) -> Iterator[Sequence[Contestant]]:
    fresh = _Fresh()
    with opened("filesystem", directory / "tree") as ours:

        def through_session(records: Sequence[Record]) -> None:
            with ours.session() as session:
                _each(session.save, records)

        save = through_session if each else ours.save_many
        yield [
            Contestant(OURS, lambda _: partial(save, fresh.some(_MANY)), _MANY),
            Contestant(
                "NDJSON append",
                lambda _: partial(floors.append, directory / "raw.jsonl", fresh.some(_MANY), each=each),
                _MANY,
            ),
        ]


CASES = (
    Case(
        "save, SQLite",
        _one_by_one,
        {
            "raw upsert": 1.2,
            "LangGraph SqliteStore.put": 1.2,
            "sqlite-utils upsert, as it comes": 0.25,
            "TinyDB insert": 0.02,
        },
    ),
    Case("save_many, SQLite", many_in_sqlite, {"raw executemany": 1.25}),
    Case("save, filesystem", _files, {"temporary file and rename": 1.8}),
    Case("save_many, filesystem", partial(_lines, each=False), {"NDJSON append": 1.5}),
    Case("session, filesystem", partial(_lines, each=True), {"NDJSON append": 1.5}),
)

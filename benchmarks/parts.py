"""Where the time of a save goes: each part timed by itself, and the whole, on the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson

from moai_patterns.backends import fileops
from moai_patterns.backends.base import BackendBase
from moai_patterns.backends.filesystem import sealed
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.filesystem.hotlog import HotLog
from moai_patterns.backends.filesystem.lookup import Lookup
from moai_patterns.backends.filesystem.tree import Tree
from moai_patterns.backends.filesystem.write import TreeWriter
from moai_patterns.backends.locking import Lock
from moai_patterns.backends.sqlite import indexing, write
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.backends.sqlite.database import Database
from moai_patterns.backends.sqlite.write import TableWriter
from moai_patterns.bench.cases import opened
from moai_patterns.bench.samples import record
from moai_patterns.query import Record
from moai_patterns.saving import Saver
from moai_patterns.schema import admit
from moai_patterns.storage import PatternStorage

_RECORDS = 6_000
_BATCH = 1_000
# Microseconds per record, by part.
Profile = dict[str, float]
_WRITE = "the write itself"
# What is timed inside, and not by itself; none of these is called by another.
_INSIDE: Mapping[str, tuple[tuple[Any, str], ...]] = {
    _WRITE: ((SqliteBackend, "write"), (FilesystemBackend, "write")),
    "indexes by kind, time and tag": ((indexing, "index"),),
    "checkpoints": ((Database, "_bound"),),
    "looks at what others may have changed": (
        (Tree, "current_log"),
        (HotLog, "look"),
        (Lookup, "refresh"),
        (TreeWriter, "_must_not_lead_away"),
        (TableWriter, "_is_current"),
    ),
    "change log: is the id known": ((Lookup, "trace"), (Lookup, "traces")),
    "change log: announce, settle": ((HotLog, "append"), (HotLog, "settle")),
    "draft, date, name": ((fileops, "create"), (fileops, "date"), (fileops, "rename")),
}
WAYS = ("one save, SQLite", "batch, SQLite", "one save, tree", "batch, tree")


def profiles(directory: Path) -> dict[str, Profile]:
    """Return for each way to save what its parts take; the last of them is what is left of the whole."""
    found = {}
    for way, (backend, size) in zip(
        WAYS, (("sqlite", 1), ("sqlite", _BATCH), ("filesystem", 1), ("filesystem", _BATCH)), strict=True
    ):
        with opened(backend, directory / way) as storage:
            found[way] = _profile(storage, size)
    return found


def _profile(storage: PatternStorage, size: int) -> Profile:
    backend = storage.backend
    assert isinstance(backend, BackendBase)
    saver = Saver(backend, clock=time.time_ns, actor=None, timeout=1.0)
    some = _records(0, 2_000)
    parts = {"validate, and copy": _each(admit, some)}
    admitted = [admit(one) for one in some]
    parts["instant, stamp"] = _each(lambda one: saver._stamp(one, "save"), admitted)
    if isinstance(backend, SqliteBackend):
        parts["encode, checksum"] = _each(lambda one: write._rows([one], orjson.dumps), admitted)
        lock = backend._writer.database.lock
    else:
        assert isinstance(backend, FilesystemBackend)
        seal = sealed.seal_line if size > 1 else sealed.seal_file
        option = None if size > 1 else orjson.OPT_INDENT_2
        parts["encode, checksum"] = _each(
            lambda one: seal(one, lambda found: orjson.dumps(found, option=option)), admitted
        )
        lock = backend._writer.tree.lock
    save: Callable[[Any], object] = storage.save_many if size > 1 else storage.save
    _whole(save, 10_000, size)  # what a process does at its first save
    parts["lock"] = _each(lambda _: _locked(lock), some) / size
    with _timed(_INSIDE) as taken:
        whole = _whole(save, 20_000, size)
    written = taken.pop(_WRITE)
    apart = {name: value for name, value in taken.items() if value}
    rest = written - sum(apart.values()) - parts["encode, checksum"] - parts["lock"]
    before = parts["validate, and copy"] + parts["instant, stamp"]
    return {**parts, **apart, _WRITE: rest, "calls above the backend": whole - written - before}


def _records(first: int, count: int) -> list[Record]:
    begin = time.time_ns() // 1000
    return [record(first + at, begin + at) for at in range(count)]


def _each(act: Callable[[Any], object], values: Sequence[Any]) -> float:
    """Return what one call takes, in microseconds: the least of several rounds."""
    least = float("inf")
    for _ in range(7):
        begin = time.perf_counter()
        for value in values:
            act(value)
        least = min(least, time.perf_counter() - begin)
    return least / len(values) * 1e6


def _locked(lock: Lock) -> None:
    with lock.held(timeout=1.0):
        pass


def _whole(save: Callable[[Any], object], first: int, size: int) -> float:
    """Return what a record takes on the way that its owner goes."""
    records = _records(first, _RECORDS)
    every = records if size == 1 else [records[at : at + size] for at in range(0, len(records), size)]
    begin = time.perf_counter()
    for one in every:
        save(one)
    return (time.perf_counter() - begin) / _RECORDS * 1e6


@contextmanager
def _timed(inside: Mapping[str, Sequence[tuple[Any, str]]]) -> Iterator[dict[str, float]]:
    """Give what functions take in here, in microseconds per record."""
    taken = dict.fromkeys(inside, 0.0)

    def around(part: str, function: Callable[..., object]) -> Callable[..., object]:
        def timed(*arguments: Any, **options: Any) -> object:
            begin = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                taken[part] += (time.perf_counter() - begin) / _RECORDS * 1e6

        return timed

    with ExitStack() as stack:
        for part, places in inside.items():
            for owner, name in places:
                function = getattr(owner, name)
                stack.callback(setattr, owner, name, function)
                setattr(owner, name, around(part, function))
        yield taken


def table(found: Mapping[str, Profile]) -> str:
    """Return a table in Markdown, in microseconds per record."""
    names = list(dict.fromkeys(name for profile in found.values() for name in profile))
    lines = [f"| part | {' | '.join(found)} |", "|---|" + "---:|" * len(found)]
    for name in names:
        values = (f"{profile[name]:.1f}" if name in profile else "" for profile in found.values())
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"

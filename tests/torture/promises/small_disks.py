"""Disks of any size that a store fills by itself, to the last byte; then retention has to make room."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import count, product
from pathlib import Path

from moai_patterns import PatternStorage
from moai_patterns.errors import StoreError
from moai_patterns.instant import DAY
from torture.acts import DAYS, NOW, Model, Record, opened, record
from torture.oracle import judge
from torture.promise import LINUX, MOUNT, BrokenPromiseError, Promise, Tally
from torture.scarcity import small_disk

_KB = 1024
# An empty database takes 180 KB with its log and the index of that.
_SIZES = {
    "filesystem": [64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096, 8192, 16384],
    "sqlite": [1024, 1536, 2048, 3072, 4096, 8192, 16384],
}
_CASES = [
    (backend, size, ways, level, bytes_each)
    for backend, sizes in _SIZES.items()
    for size, ways, level, bytes_each in product(
        sizes, ("save", "batch", "session"), ("os", "group", "record"), (100, 900)
    )
]
_MOST = 4000  # records; a larger disk is filled up otherwise


def run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case has a disk of its own."""
    for number in numbers:
        backend, size, way, level, length = _CASES[number]
        with small_disk(place / "disk", f"size={size * _KB}") as disk:
            open_it = partial(opened, backend, disk / "store", level)
            try:
                model = _filled(open_it(), way, length)
                _fill_up(disk)
                kept = _retained(open_it, model, disk, tally)
                judge(open_it, kept)
            except BrokenPromiseError as error:
                what = f"case {number}, {backend} on {size} KB, {way}, {length} bytes, level {level}"
                raise BrokenPromiseError(f"{what}: {error}") from error


def _filled(storage: PatternStorage, way: str, length: int) -> Model:
    """Save until the disk is full, or has enough; return what was acknowledged."""
    model: Model = {}
    with closing(storage):
        try:
            for batch in _batches(length):
                if way == "save":
                    for one in batch:
                        storage.save(one)
                        model[one["pattern_id"]] = (one,)
                elif way == "batch":
                    storage.save_batch(batch)
                    model |= {one["pattern_id"]: (one,) for one in batch}
                else:
                    with storage.session() as session:
                        for one in batch:
                            session.save(one)
                            model[one["pattern_id"]] = (one,)
        except StoreError:
            pass
    return model


def _batches(length: int) -> Iterator[list[Record]]:
    numbers = count()
    for _ in range(_MOST // 20):
        yield [
            record(f"r{at}", 0, DAYS[at // 50 % len(DAYS)], length)
            for at, _ in zip(numbers, range(20), strict=False)
        ]


def _fill_up(disk: Path) -> None:
    """Leave not one byte."""
    with (disk / "somebody else's").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(512)):
                pass
        except OSError:
            pass


def _retained(open_it: partial[PatternStorage], model: Model, disk: Path, tally: Tally) -> Model:
    """Let all but the last day expire, with nothing free before and something free after."""
    if os.statvfs(disk).f_bavail:
        raise BrokenPromiseError("the disk is not full")
    kept = {one: versions for one, versions in model.items() if versions[0]["timestamp"] >= _day(DAYS[3])}
    with closing(open_it()) as storage:
        try:
            removed = storage.delete_old_patterns(NOW // 1000 // DAY - DAYS[3])
        except StoreError as error:
            raise BrokenPromiseError(f"retention found no room: {error}") from error
    if removed != len(model) - len(kept):
        raise BrokenPromiseError(f"{removed} removed of {len(model) - len(kept)}")
    tally.fired(bool(removed))
    tally.add("records expired at 0 bytes free", removed)
    if removed and not os.statvfs(disk).f_bavail:
        raise BrokenPromiseError("retention gave nothing back")
    (disk / "somebody else's").unlink()
    return kept


def _day(day: int) -> str:
    return str(record("", 0, day)["timestamp"][:10])


PROMISES = (
    Promise(
        name="small-disks",
        sentence="disks of 64 KB (for SQLite 1 MB) to 16 MB, filled up by saves, batches or sessions: "
        "what was acknowledged is there, and `retain` works at 0 bytes free",
        cases=lambda: len(_CASES),
        run=run,
        fast=24,
        chunk=60,
        needs=(LINUX, MOUNT),
    ),
)

"""Readers beside a day that is compacted again and again: each record is there once, whenever they ask."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

from moai_patterns import PatternStorage
from moai_patterns.instant import DAY, isoformat
from torture.acts import FIRST_DAY, opened, record
from torture.crowd import Crowd, Shared
from torture.promise import BrokenPromiseError, Promise, Tally, must

_BACKENDS = ("filesystem", "sqlite")
_READERS = 4
_CASES = 500_000
_STAYING = 120
_PASSING = 20
_HOUR = 3600 * 1_000_000
_ORDERS: tuple[Literal["newest", "oldest"], ...] = ("newest", "oldest")
_NOON = FIRST_DAY * DAY + 12 * _HOUR
# How many of a hundred reads are loads, counts and scans; the others page.
_LOADS, _COUNTS, _SCANS = 80, 90, 96


def _staying(number: int, version: int) -> dict[str, Any]:
    """A record of the morning: it changes, and never goes."""
    moment = FIRST_DAY * DAY + number * 1_000_000
    return {**record(f"stays-{number:03}", version, FIRST_DAY), "timestamp": isoformat(moment)}


class Day:
    """One day of a store. Its mornings stay as many as they are; its afternoons come and go.

    Parameters:
        backend: of the store.
        path: where it is.
    """

    def __init__(self, backend: str, path: Path) -> None:
        self._backend, self._path = backend, path
        self._versions = Shared(_STAYING)
        self._moved, self._records, self._saved = Shared(1), Shared(_READERS), Shared(1)
        self._names = [f"stays-{number:03}" for number in range(_STAYING)]
        with self._storage() as storage:
            storage.save_batch([_staying(number, 0) for number in range(_STAYING)])

    def run(self, numbers: Sequence[int], tally: Tally) -> None:
        """Do the reads of these numbers. Raises `BrokenPromiseError` when one misses anything."""
        with Crowd() as crowd:
            for reader in range(_READERS):
                mine = numbers[reader::_READERS]
                crowd.add(lambda reader=reader, mine=mine: self._ask(reader, mine))  # type: ignore[misc]
            crowd.add_endless(self._change)
            crowd.add_endless(self._compact)
            crowd.begin()
            crowd.end()
        with self._storage() as storage:
            problems = storage.check(read_data=True)
        must(not problems, f"check finds {[str(problem) for problem in problems[:3]]}")
        tally.add("reclaims" if self._backend == "sqlite" else "records compacted", self._moved[0])
        tally.add("records changed meanwhile", self._saved[0])
        tally.add("records read", sum(self._records[reader] for reader in range(_READERS)))
        tally.fired(self._moved[0])

    @contextmanager
    def _storage(self) -> Iterator[PatternStorage]:
        with closing(opened(self._backend, self._path)) as storage:
            yield storage

    def _change(self) -> None:
        """Let some of the morning be another version, and the afternoon be others."""
        choose = random.Random(self._saved[0])
        with self._storage() as storage:
            for _ in range(5):
                number = choose.randrange(_STAYING)
                storage.save(_staying(number, self._versions[number] + 1))
                self._versions[number] += 1
            late = [record(f"passes-{number}", 0, FIRST_DAY) for number in range(_PASSING)]
            storage.save_batch([{**one, "timestamp": isoformat(_NOON + _HOUR)} for one in late])
            for one in late:
                storage.delete(one["pattern_id"])
            self._saved[0] += 5

    def _compact(self) -> None:
        with self._storage() as storage:
            if self._backend == "sqlite":
                storage.backend.reclaim()  # type: ignore[attr-defined]
                self._moved[0] += 1
            else:
                self._moved[0] += storage.compress_old_files()
        time.sleep(0.01)  # a store that many read is not compacted without a pause

    def _ask(self, reader: int, numbers: Sequence[int]) -> None:
        choose = random.Random(numbers[0] if numbers else 0)
        for start in range(0, len(numbers), 500):
            with self._storage() as storage:  # which keeps what it has learned for as long as it is open
                for _ in numbers[start : start + 500]:
                    self._records[reader] += self._way(choose.randrange(100))(storage, choose)

    def _way(self, share: int) -> Callable[[PatternStorage, random.Random], int]:
        """Return a way to ask, which returns how many records it has read and looked at."""
        if share < _LOADS:
            return self._load
        if share < _COUNTS:
            return self._count
        return self._scan if share < _SCANS else self._page

    def _load(self, storage: PatternStorage, choose: random.Random) -> int:
        number = choose.randrange(_STAYING)
        before = self._versions[number]
        found = storage.load(self._names[number])
        self._must_be(found, number, before)
        return 1

    def _count(self, storage: PatternStorage, choose: random.Random) -> int:
        first = choose.randrange(_STAYING)
        since = isoformat(FIRST_DAY * DAY + first * 1_000_000)
        there = storage.count(start_date=since, end_date=isoformat(_NOON))
        must(there == _STAYING - first, f"{there} records are counted of {_STAYING - first}")
        return 0

    def _scan(self, storage: PatternStorage, choose: random.Random) -> int:
        order = choose.choice(_ORDERS)
        before = self._acknowledged()
        found = list(storage.iter(end_date=isoformat(_NOON), order=order))
        self._must_be_all(found, order, before)
        return len(found)

    def _page(self, storage: PatternStorage, choose: random.Random) -> int:
        order, size, before = choose.choice(_ORDERS), choose.randint(20, 70), self._acknowledged()
        page = storage.query(end_date=isoformat(_NOON), limit=size, order=order)
        found = list(page)
        while page.cursor is not None:
            page = storage.query(end_date=isoformat(_NOON), limit=size, order=order, cursor=page.cursor)
            found += page
        self._must_be_all(found, order, before)
        return len(found)

    def _acknowledged(self) -> list[int]:
        return [self._versions[number] for number in range(_STAYING)]

    def _must_be_all(self, found: Sequence[dict[str, Any]], order: str, before: Sequence[int]) -> None:
        names = [one["pattern_id"] for one in found]
        wanted = self._names if order == "oldest" else self._names[::-1]
        if names != wanted:
            missing = sorted(set(wanted) - set(names))[:5]
            double = sorted({name for name in names if names.count(name) > 1})[:5]
            raise BrokenPromiseError(f"{order}: missing {missing}, double {double}, of {len(names)}")
        numbers = range(_STAYING) if order == "oldest" else range(_STAYING - 1, -1, -1)
        for number, one in zip(numbers, found, strict=True):
            self._must_be(one, number, before[number])

    def _must_be(self, found: dict[str, Any] | None, number: int, before: int) -> None:
        """It is a version since the question: the one acknowledged then, up to the one under way now."""
        must(found is not None, f"{self._names[number]} is missing")
        version = (found or {})["data"]["version"]
        after = self._versions[number] + 1
        must(before <= version <= after, f"version {version}, acknowledged were {before} to {after}")
        must(found == _staying(number, version), f"{self._names[number]} is not what was saved: {found}")


def _run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    for at, backend in enumerate(_BACKENDS):
        if mine := [number for number in numbers if number // _CASES == at]:
            Day(backend, place / backend).run(mine, tally)
            tally.add(f"reads of {backend}", len(mine))


PROMISES = [
    Promise(
        name="readers",
        sentence="while a day is changed and compacted again and again, each load, count, scan and page "
        "shows each record once, in its order, and never an older version than was acknowledged",
        cases=lambda: _CASES * len(_BACKENDS),
        run=_run,
        fast=8_000,
        chunk=10_000,
        together=1_000,
        alone=True,
    )
]

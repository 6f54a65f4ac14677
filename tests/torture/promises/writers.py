"""Many writers on one store, with compaction, retention and readers going on, also on a slow disk."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from moai_patterns import PatternStorage
from moai_patterns.query import Query, content
from torture.acts import DAYS, FIRST_DAY, NOW, opened, record
from torture.crowd import Crowd, Shared
from torture.promise import LINUX, STRACE, BrokenPromiseError, Promise, Tally, must

_WRITERS = 64
_READERS = 4
_BACKENDS = ("filesystem", "sqlite")
_DELAY = 20_000  # microseconds
_EVERY_BATCH = 10
_OLD_DAY = FIRST_DAY - 40
_KEPT_DAYS = NOW // 1000 // 86_400_000_000 - (FIRST_DAY - 10)


def acts_of(writer: int, number: int, saves: int) -> Iterator[list[dict[str, Any]]]:
    """Yield what a writer stores for a case: single records, now and then a batch of three."""
    for n in range(saves):
        name, day = f"{number}-{n}", DAYS[(number + n) % len(DAYS)]
        parts = (name, f"{name}+", f"{name}++") if n % _EVERY_BATCH == _EVERY_BATCH - 1 else (name,)
        yield [{**record(part, 0, day), "context": {"tags": [f"w{writer}"]}} for part in parts]


class Load:
    """One store under load.

    Parameters:
        backend: of the store.
        place: an empty directory.
        numbers: the cases, each so many saves by one writer.
        saves: how many.
        levels: the durability of the writers, in turn.
    """

    def __init__(
        self, backend: str, place: Path, numbers: Sequence[int], saves: int, levels: Sequence[str] = ("os",)
    ) -> None:
        self._backend, self._place, self._saves, self._levels = backend, place, saves, levels
        self._path = place / "store"
        shares = [[n for n in numbers if n % _WRITERS == writer] for writer in range(_WRITERS)]
        self._shares = [share for share in shares if share]
        writers = len(self._shares)
        self._acknowledged = Shared(writers)
        self._reads, self._moved, self._expired = Shared(_READERS), Shared(1), Shared(1)
        self._log = Shared(1)

    def run(self, tally: Tally) -> None:
        """Do it all. Raises `BrokenPromiseError` when anything failed, is missing, double or in part."""
        with Crowd() as crowd:
            for writer in range(len(self._shares)):
                crowd.add(lambda writer=writer: self._write(writer))  # type: ignore[misc]
            for reader in range(_READERS):
                crowd.add_endless(lambda reader=reader: self._read(reader))  # type: ignore[misc]
            crowd.add_endless(self._compact)
            crowd.add_endless(self._expire)
            crowd.begin()
            crowd.end()
        self._judge()
        self._tell(tally)

    @contextmanager
    def _storage(self, level: str = "os") -> Iterator[PatternStorage]:
        with closing(opened(self._backend, self._path, level)) as storage:
            yield storage

    def _acts(self, writer: int) -> Iterator[list[dict[str, Any]]]:
        for number in self._shares[writer]:
            yield from acts_of(writer, number, self._saves)

    def _write(self, writer: int) -> None:
        took = array("d")
        with self._storage(self._levels[writer % len(self._levels)]) as storage:
            for count, act in enumerate(self._acts(writer), start=1):
                began = time.perf_counter()
                if len(act) == 1:
                    storage.save(act[0])
                else:
                    storage.save_batch(act)
                took.append(time.perf_counter() - began)
                self._acknowledged[writer] = count
        with (self._place / f"took-{writer}").open("wb") as file:
            took.tofile(file)

    def _compact(self) -> None:
        time.sleep(0.02)
        with self._storage() as storage:
            if self._backend == "sqlite":
                storage.backend.reclaim()  # type: ignore[attr-defined]
                self._moved[0] += 1
            else:
                self._moved[0] += storage.compress_old_files()

    def _expire(self) -> None:
        time.sleep(0.02)
        with self._storage() as storage:
            for n in range(5):
                storage.save(record(f"old-{n}", 0, _OLD_DAY))
            gone = storage.delete_old_patterns(_KEPT_DAYS)
            must(gone == 5, f"retention removed {gone} records of 5")
            self._expired[0] += gone
        log = self._place / "store.db-wal"
        if log.exists():
            self._log[0] = max(self._log[0], log.stat().st_size)

    def _read(self, reader: int) -> None:
        choose = random.Random()
        with self._storage() as storage:
            for _ in range(20):
                writer = choose.randrange(len(self._shares))
                if choose.random() < 0.2:
                    self._read_all_of(storage, writer)
                else:
                    self._read_one_of(storage, writer, choose)
                self._reads[reader] += 1

    def _read_all_of(self, storage: PatternStorage, writer: int) -> None:
        """Ask for all of a writer: no batch may be there in part, nothing acknowledged may be missing."""
        before = self._acknowledged[writer]
        found = list(storage.query(tags=[f"w{writer}"], limit=None))
        after = self._acknowledged[writer] + 1
        there = {one["pattern_id"]: one for one in found}
        must(len(there) == len(found), f"of writer {writer} a record came twice")
        for number, act in enumerate(self._acts(writer)):
            parts = [there.pop(one["pattern_id"], None) for one in act]
            if any(part is not None for part in parts) or number < before:
                must(parts == act, f"of writer {writer} act {number} is there as {parts}")
                must(number < after, f"of writer {writer} act {number} is there before it was begun")
        must(not there, f"of writer {writer} what nobody saved: {sorted(there)[:3]}")

    def _read_one_of(self, storage: PatternStorage, writer: int, choose: random.Random) -> None:
        acknowledged, everyone = self._acknowledged[writer], range(len(self._shares))
        if acknowledged:
            wanted = choose.randrange(max(0, acknowledged - 30), acknowledged)
            number = self._shares[writer][wanted // self._saves]
            act = next(islice(acts_of(writer, number, self._saves), wanted % self._saves, None))
            loaded = storage.load(act[-1]["pattern_id"])
            must(loaded == act[-1], f"of writer {writer} act {wanted} is loaded as {loaded}")
        if choose.random() < 0.1:
            before = self._acknowledged.total(everyone)
            there = storage.count()
            must(there >= before, f"count gives {there}, {before} are acknowledged")

    def _judge(self) -> None:
        wanted = {
            one["pattern_id"]: one
            for writer in range(len(self._shares))
            for act in self._acts(writer)
            for one in act
        }
        with self._storage() as storage:
            must(storage.delete_old_patterns(_KEPT_DAYS) in (0, 5), "what retention left is no round")
            found = [content(one) for one in storage.backend.scan(Query(limit=None, revisions="all"))]
            must(len(found) == len(wanted), f"{len(found)} revisions are there, {len(wanted)} were saved")
            must({one["pattern_id"]: one for one in found} == wanted, "not what was saved is there")
            must(storage.count() == len(wanted), "count gives another number than a scan")
            problems = storage.check(read_data=True)
            must(not problems, f"check finds {[str(problem) for problem in problems[:3]]}")

    def _tell(self, tally: Tally) -> None:
        reads, moved, expired = self._reads.total(range(_READERS)), self._moved[0], self._expired[0]
        must(bool(reads and moved and expired), f"{reads} reads, {moved} moved, {expired} expired: too few")
        tally.add("saves", self._acknowledged.total(range(len(self._shares))))
        tally.add("reads meanwhile", reads)
        tally.add("records expired meanwhile", expired)
        name = "reclaims" if self._backend == "sqlite" else "records compacted"
        tally.add(f"{name} meanwhile", moved)
        if self._backend == "sqlite":
            tally.see("sqlite: MiB of the log at most", round(self._log[0] / (1 << 20), 1))
        took = array("d")
        for file in self._place.glob("took-*"):
            took.frombytes(file.read_bytes())
        ordered = sorted(took)
        tally.see(f"{self._backend}: ms of a save at most", round(ordered[-1] * 1000, 1))
        tally.see(
            f"{self._backend}: ms of 99 in 100 saves", round(ordered[len(ordered) * 99 // 100] * 1000, 1)
        )


_SAVES, _CASES = 100, 640
_SLOW_SAVES, _SLOW_CASES = 10, 6400


def _split(numbers: Sequence[int], each: int) -> Iterator[tuple[str, list[int]]]:
    """Yield each backend with its cases."""
    for at, backend in enumerate(_BACKENDS):
        if mine := [number for number in numbers if number // each == at]:
            yield backend, mine


def _run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    for backend, mine in _split(numbers, _CASES):
        here = place / backend
        here.mkdir()
        Load(backend, here, mine, _SAVES).run(tally)
        tally.fired(len(mine))


def _run_slowly(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Run the load in a process of its own, of whose children every flush to the medium takes longer."""
    for backend, mine in _split(numbers, _SLOW_CASES):
        here = place / backend
        here.mkdir()
        trace = place / f"{backend}.trace"
        inject = f"inject=fsync,fdatasync:delay_enter={_DELAY}"
        tracing = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", str(trace), "-e", "trace=fsync,fdatasync"]
        program = [sys.executable, "-m", __name__, backend, str(here)]
        done = subprocess.run(
            [*tracing, "-e", inject, *program],
            input=json.dumps(mine),
            capture_output=True,
            text=True,
            check=False,
            env=dict(os.environ),
        )
        if done.returncode != 0:
            raise BrokenPromiseError(f"on a slow disk: {done.stderr[-4000:]}")
        tally.merge(Tally.of_json(json.loads(done.stdout)))
        with trace.open() as lines:
            delayed = sum("(DELAYED)" in line for line in lines)
        tally.fired(delayed)
        must(delayed >= len(mine) * _SLOW_SAVES / 2, f"only {delayed} flushes were delayed")


def main(backend: str, place: str) -> None:
    """Run what `_run_slowly` starts."""
    tally = Tally()
    Load(backend, Path(place), json.load(sys.stdin), _SLOW_SAVES, ("record", "group")).run(tally)
    print(json.dumps(tally.as_json()))


PROMISES = [
    Promise(
        name="writers",
        sentence="64 processes save 1,000 times each while others compact, expire and read: all is there "
        "once, nobody is told that the store is locked, no reader sees a batch in part or misses what was "
        "acknowledged",
        cases=lambda: _CASES * len(_BACKENDS),
        run=_run,
        fast=32,
        chunk=_CASES,
        together=16,
        alone=True,
    ),
    Promise(
        name="slow-disk",
        sentence="the same with every flush to the medium delayed by 20 ms, at levels `record` and `group`",
        cases=lambda: _SLOW_CASES * len(_BACKENDS),
        run=_run_slowly,
        fast=32,
        chunk=_SLOW_CASES,
        together=16,
        needs=(LINUX, STRACE),
        alone=True,
    ),
]

if __name__ == "__main__":
    main(*sys.argv[1:])

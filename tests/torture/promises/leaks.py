"""Every verb in any order, failing ones, abandoned ones, threads and forks: nothing of it stays."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from forks import child, succeed
from moai_patterns import PatternStorage, Query, field
from moai_patterns.backends.base import Batch
from moai_patterns.errors import PatternError
from torture.footprint import Footprint
from torture.promise import BrokenPromiseError, Promise, Tally

_BACKENDS = ("memory", "filesystem", "sqlite")
_SHORT, _LONG = 3_000, 100_000
_IDS = 300
_WIPED = 400  # after so many acts the store is emptied, so that it is not the store that grows
_DAY = 86_400
_BEGIN = 1_764_000_000
_PACE = 60  # seconds that pass with each act, so that days close, are compacted and expire
_KINDS = ("hook_event", "tool_use")


class Life:
    """A store, a storage that stays open on it, and everything that can be done to both."""

    def __init__(self, backend: str, place: Path, seed: int) -> None:
        self._backend = backend
        self._place = place
        self._choose = random.Random(seed)
        self._now = _BEGIN
        self.storage = self._open()
        self._damaged = _damaged_stores(place / "damaged") if backend != "memory" else []
        self._held: list[Any] = []
        self.refused = 0
        self.forks = 0

    def _open(self) -> PatternStorage:
        return PatternStorage(
            self._backend,
            self._place / "store",
            compression_threshold_days=0,
            retention_days=9,
            clock=lambda: self._now * 10**9,
            maintenance_interval=None,
            timeout=10.0,
        )

    def act(self, number: int) -> None:
        """Do one thing, which may be refused but never fail otherwise."""
        self._now += _PACE
        if number % _WIPED == _WIPED - 1:
            self.settle()
            return
        verb = self._choose.choices(_VERBS, _WEIGHTS)[0]
        try:
            verb(self)
        except (PatternError, ValueError):
            self.refused += 1

    def settle(self) -> None:
        """Empty the store, as far as what is removed goes away at once."""
        self._held.clear()
        self.storage.delete(Query())
        self.storage.compress_old_files()

    def close(self) -> None:
        """Let go of everything."""
        self._held.clear()
        self.storage.close()

    def _record(self) -> dict[str, Any]:
        choose = self._choose
        moment = time.gmtime(self._now - choose.randrange(12 * _DAY))
        kind = choose.choice(_KINDS)
        data: dict[str, Any] = {"event": "Stop"} if kind == "hook_event" else {"tool_name": "Bash"}
        return {
            "pattern_id": f"id-{choose.randrange(_IDS)}",
            "pattern_type": kind,
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", moment),
            "data": {**data, "number": choose.randrange(1000), "text": "x" * choose.randrange(300)},
            "context": {"tags": [f"t{choose.randrange(5)}"]},
        }

    def _records(self) -> list[dict[str, Any]]:
        return [self._record() for _ in range(5)]

    def save(self) -> None:
        self.storage.save(self._record())

    def capture(self) -> None:
        self.storage.capture("hook_event", {"event": "Stop"})

    def save_batch(self) -> None:
        self.storage.save_batch(self._records())

    def save_many(self) -> None:
        self.storage.save_many(iter(self._records()), batch_size=2)

    def session(self) -> None:
        with self.storage.session() as session:
            for record in self._records():
                session.save(record)

    def abandoned_session(self) -> None:
        session = self.storage.session()
        session.save(self._record())

    def load(self) -> None:
        self.storage.load(f"id-{self._choose.randrange(_IDS)}")
        self.storage.get_many([f"id-{n}" for n in range(9)])

    def query(self) -> None:
        first = self.storage.query(limit=5, tags=["t1", "t2"], where=field("data.number") > 500)
        self.storage.query(limit=5, tags=["t1", "t2"], where=field("data.number") > 500, cursor=first.cursor)
        self.storage.count(Query(_KINDS[0]))

    def abandoned_iterator(self) -> None:
        list(islice(self.storage.iter(order=self._choose.choice(("newest", "oldest", "arrival"))), 3))

    def held_iterator(self) -> None:
        """One that is read half and held for a while, over whatever comes."""
        answer = self.storage.iter()
        next(answer, None)
        self._held = [*self._held[-2:], answer]

    def look(self) -> None:
        self.storage.stats()
        self.storage.plan()

    def check(self) -> None:
        self.storage.check(read_data=self._choose.random() < 0.5)

    def delete(self) -> None:
        self.storage.delete(f"id-{self._choose.randrange(_IDS)}")
        self.storage.delete(Query(tags=["t4"], end_date="2025-01-01"))

    def keep(self) -> None:
        self._held.clear()  # a reader would make the removal of compacted files wait
        self._choose.choice(
            (self.storage.compress_old_files, self.storage.delete_old_patterns, self.storage.maintain)
        )()

    def copy(self) -> None:
        with PatternStorage("memory") as other:
            self.storage.copy_to(other, Query(_KINDS[1]))

    def reopen(self) -> None:
        with self._open() as other:
            other.save(self._record())
            next(other.iter(), None)

    def abandoned_storage(self) -> None:
        other = self._open()
        other.save(self._record())
        other.query(limit=1)

    def invalid(self) -> None:
        self.storage.save_batch([self._record(), {**self._record(), "data": {"number": float("nan")}}])

    def conflict(self) -> None:
        stale = {
            **self._record(),
            "_meta": {"instant": 1, "revision": 77, "recorded_at": 1, "operation": "save"},
        }
        self.storage.backend.write(Batch([stale]))

    def refused_session(self) -> None:
        with self.storage.session() as session:
            session.save(self._record())
            session.save({**self._record(), "timestamp": "2025-02-30"})

    def refused_query(self) -> None:
        self.storage.query(start_date="no day")

    def broken_stream(self) -> None:
        self.storage.save_many(record if n < 3 else {} for n, record in enumerate(self._records()))

    def damaged(self) -> None:
        for backend, path in self._damaged:
            with suppress(PatternError), PatternStorage(backend, path, maintenance_interval=None) as storage:
                storage.check(read_data=True)
                list(storage.iter())
        if self._damaged:
            self.refused += 1

    def thread(self) -> None:
        thread = threading.Thread(target=self._elsewhere)
        thread.start()
        thread.join()

    def _elsewhere(self) -> None:
        self.storage.save({**self._record(), "pattern_id": "from elsewhere"})
        next(self.storage.iter(), None)

    def fork(self) -> None:
        answer = self.storage.iter()
        next(answer, None)
        succeed(
            [child(lambda: (self.storage.capture("hook_event", {"event": "Stop"}), self.storage.count()))]
        )
        self.forks += 1


_OFTEN: tuple[Callable[[Life], None], ...] = (
    *(Life.save, Life.capture, Life.save_batch, Life.load, Life.query, Life.delete),
    *(Life.abandoned_iterator, Life.held_iterator, Life.invalid, Life.conflict, Life.refused_query),
)
_SELDOM: tuple[Callable[[Life], None], ...] = (
    *(Life.save_many, Life.session, Life.abandoned_session, Life.look, Life.copy, Life.reopen),
    *(Life.abandoned_storage, Life.refused_session, Life.broken_stream, Life.thread),
)
_RARE: tuple[Callable[[Life], None], ...] = (Life.check, Life.keep, Life.damaged, Life.fork)
_VERBS = (*_OFTEN, *_SELDOM, *_RARE)
_WEIGHTS = (*(12 for _ in _OFTEN), *(4 for _ in _SELDOM), *(2 for _ in _RARE))


def _damaged_stores(place: Path) -> list[tuple[str, Path]]:
    """Make a tree with a torn record and no manifest, and a database of which a page is overwritten."""
    found = []
    for backend in ("filesystem", "sqlite"):
        path = place / backend
        with PatternStorage(backend, path, 0, maintenance_interval=None) as storage:
            for number in range(20):
                event = {"event": "Stop", "text": "x" * 400}
                stamp = f"2025-11-{1 + number % 2:02d}T10:00:00Z"
                record = {"pattern_id": f"r{number}", "pattern_type": "hook_event", "timestamp": stamp}
                storage.save({**record, "data": event})
                if number == 9:
                    storage.compress_old_files()
        found.append((backend, path))
    for torn in [*(place / "filesystem").glob("2025/11/0?/*.json")][:3]:
        torn.write_bytes(torn.read_bytes()[:-20])
    (place / "filesystem/index.json").write_text("{")
    database = place / "sqlite.db"
    raw = bytearray(database.read_bytes())
    raw[4096 * 3 : 4096 * 4] = b"?" * 4096
    database.write_bytes(raw)
    (place / "neither.db").write_bytes(b"not a database" * 100)
    return [*found, ("sqlite", place / "neither"), ("filesystem", place / "neither.db")]


def run(acts: int, numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case is the life of a process on another backend."""
    for number in numbers:
        path = place / str(number)
        path.mkdir()
        try:
            _live(_BACKENDS[number], path, number, acts, tally)
        except BrokenPromiseError as error:
            raise BrokenPromiseError(f"life {number} of {acts} acts: {error}") from error


def _live(backend: str, place: Path, seed: int, acts: int, tally: Tally) -> None:
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    _warm(backend, place)
    empty = Footprint.now(place)
    life = Life(backend, place, seed)
    for number in range(acts // 5):
        life.act(number)
    life.settle()
    warm = Footprint.now(place)
    for number in range(acts // 5, acts):
        life.act(number)
    life.settle()
    full = Footprint.now(place)
    full.must_not_have_grown(warm)
    life.close()
    tally.see("MiB grown after a fifth of the acts", (full.resident - warm.resident) / 2**20)
    tally.see("objects grown after a fifth of the acts", full.objects - warm.objects)
    tally.add("acts", acts)
    tally.add("forks", life.forks)
    tally.fired(life.refused)
    refused, forks = life.refused, life.forks
    del life
    Footprint.now(place).must_not_have_left(empty)
    if not refused or not forks:
        raise BrokenPromiseError("nothing was refused, or nothing forked: the test is blind")


def _warm(backend: str, place: Path) -> None:
    """Load what is loaded once and stays."""
    life = Life(backend, place / "warm", 0)
    for verb in _VERBS:
        with suppress(PatternError, ValueError):
            verb(life)
    life.close()


def _promise(name: str, acts: int, fast: int) -> Promise:
    return Promise(
        name=name,
        sentence=f"{acts:,} acts of all kinds on each backend, failing, abandoned and forked ones too: no "
        "descriptor, thread, process or temporary file is left, and memory does not grow",
        cases=lambda: len(_BACKENDS),
        run=partial(run, acts),
        fast=fast,
        chunk=1,
        shards=max(fast, 1),
    )


PROMISES = (_promise("leaks", _LONG, 0), _promise("leaks-short", _SHORT, 3))

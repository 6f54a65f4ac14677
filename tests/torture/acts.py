"""What a worker does to a store, and what each act makes of its answers: a program told by a number.

A model holds the history of each id: its revisions, first to last, as they were saved. The parent, which
is not killed, makes the same program again and knows what the store may look like.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from moai_patterns import PatternStorage
from moai_patterns.collect.importing import import_paths
from moai_patterns.errors import StoreError
from moai_patterns.instant import DAY, instant, isoformat
from moai_patterns.query import Query
from moai_patterns.session import Session

Record = dict[str, Any]
History = tuple[Record, ...]
Model = dict[str, History]

FIRST_DAY = instant("2025-11-20T00:00:00Z") // DAY
DAYS = range(FIRST_DAY, FIRST_DAY + 4)
# The clock of every store: all days above are closed and older than any threshold in use.
NOW = (FIRST_DAY + 20) * DAY * 1000

SAVING = ("save", "update", "many", "session", "line", "delete", "again")
KEEPING = ("compact", "purge", "retain", "copy", "import")
ALL_VERBS = SAVING + KEEPING
_KNOWN = 0.7  # so often a record that may be new or known is a known one
_IDLE = 0.05  # so often a retention has nothing to remove although it could have


def opened(backend: str, path: Path, durability: str = "os", timeout: float = 30.0) -> PatternStorage:
    """Open a store as all acts and the oracle do."""
    return PatternStorage(
        backend,
        path,
        compression_threshold_days=1,
        durability=durability,  # type: ignore[arg-type]
        timeout=timeout,
        clock=lambda: NOW,
        maintenance_interval=None,
    )


def record(identity: str, version: int, day: int, size: int = 60) -> Record:
    """Return a record on this day; its text tells id and version, so that nothing can be mixed up."""
    said = f"{identity} in version {version}. "
    return {
        "pattern_id": identity,
        "pattern_type": "error_occurrence",
        "timestamp": isoformat(day * DAY + (version * 7919 + len(identity)) % 86_400 * 1_000_000),
        "data": {
            "error_type": f"E{version}",
            "error_message": (said * (size // len(said) + 1))[:size],
            "version": version,
        },
        "context": {"tags": ["torture", f"v{version % 3}"]},
    }


@dataclass(frozen=True)
class Act:
    """One verb with its records.

    `puts` become the next revision of their ids, in this order; `removes` lose theirs. `whole` acts are
    all or nothing; of others any part may be there while they are not acknowledged. `cutoff` is the first
    day, counted from 1970-01-01, that a retention leaves.
    """

    number: int
    verb: str
    puts: tuple[Record, ...] = ()
    removes: tuple[str, ...] = ()
    whole: bool = True
    cutoff: int = 0

    def applied(self, model: Mapping[str, History]) -> Model:
        """Return the model after this act."""
        after = {identity: history for identity, history in model.items() if identity not in self.removes}
        for put in self.puts:
            history = after.get(put["pattern_id"], ())
            if not history or history[-1] != put:
                after[put["pattern_id"]] = (*history, put)
        return after

    @property
    def touched(self) -> set[str]:
        """The ids of which it changes anything."""
        return {put["pattern_id"] for put in self.puts} | set(self.removes)


class Actor:
    """Does acts on a store, each acknowledged when `perform` returns."""

    def __init__(self, storage: PatternStorage) -> None:
        self._storage = storage
        self._session: Session | None = None

    def perform(self, act: Act) -> None:
        """Do it; `line` goes through a session that stays open until another verb does what waits for it."""
        match act.verb:
            case "many":
                self._storage.save_batch(act.puts)
            case "session":
                with self._storage.session() as session:
                    for put in act.puts:
                        session.save(put)
            case "line":
                self._session = self._session or self._storage.session()
                self._session.save(act.puts[0])
            case "delete":
                self._storage.delete(Query(ids=act.removes, limit=None))
            case "compact":
                self.close()  # what a session that is under way has written is not compacted
                compact(self._storage)
            case "purge":
                self.close()
                self._storage.delete(Query(ids=act.removes, limit=None))
                compact(self._storage)
            case "retain":
                self._storage.delete_old_patterns(NOW // 1000 // DAY - act.cutoff)
            case "copy":
                with _holding(act.puts) as source:
                    source.copy_to(self._storage)
            case "import":
                path = payloads(act.number)
                told = import_paths([path], self._storage, key=None, clock=_clock)
                if told.skipped:  # what cannot be read is named, and no more is acknowledged than went in
                    raise StoreError(told.skipped[0].reason)
            case _:
                self._storage.save(act.puts[0])

    def close(self) -> None:
        """End the session that is open."""
        if self._session is not None:
            self._session.__exit__(None, None, None)
            self._session = None


def compact(storage: PatternStorage) -> None:
    """Bring closed days into their dense form and give free space back, which alone SQLite has of it."""
    storage.compress_old_files()
    storage.backend.reclaim()  # type: ignore[attr-defined]


@dataclass
class Program:
    """Acts without end, the same each time for the same number; iterate over it.

    Parameters:
        seed: tells the program; ids begin with it, so that several may work on one store.
        verbs: what is chosen from; a verb that is named twice comes twice as often.
        model: what the store holds already.
    """

    seed: int
    verbs: Sequence[str] = ALL_VERBS
    model: Model = field(default_factory=dict)

    def __iter__(self) -> Iterator[Act]:
        author = _Author(self.seed, dict(self.model))
        number = 0
        while True:
            act = author.act(author.choose.choice(self.verbs), number)
            if act is not None:
                author.model = act.applied(author.model)
                number += 1
                yield act


class _Author:
    """Makes up the acts of a program; knows which ids live and which version each has reached."""

    def __init__(self, seed: int, model: Model) -> None:
        self.choose = random.Random(seed)
        self.model = model
        self._seed = seed
        self._versions = {
            identity: history[-1]["data"]["version"]
            for identity, history in model.items()
            if "version" in history[-1]["data"]  # what was imported is no record of ours
        }

    def act(self, verb: str, number: int) -> Act | None:
        """Return an act of this verb, or None when there is nothing to do it to."""
        choose, fresh = self.choose, f"{self._seed}-{number}"
        living = [identity for identity in self.model if identity in self._versions]
        gone = [identity for identity in self._versions if identity not in self.model]
        match verb:
            case "save":
                return Act(number, verb, (self._put(fresh),))
            case "update" | "line":
                known = choose.choice(living) if living and choose.random() < _KNOWN else fresh
                return Act(number, verb, (self._put(known),))
            case "again" | "delete" | "purge" if not (gone if verb == "again" else living):
                return None
            case "again":
                return Act(number, verb, (self._put(choose.choice(gone)),))
            case "delete":
                doomed = choose.sample(living, min(len(living), choose.randint(1, 3)))
                return Act(number, verb, removes=tuple(doomed))
            case "purge":
                return Act(number, verb, removes=tuple(choose.sample(living, len(living) // 2 + 1)))
            case "many" | "session":
                some = choose.sample(living, min(len(living), 2))
                puts = tuple(self._put(one) for one in (*some, *(f"{fresh}-{at}" for at in range(4))))
                return Act(number, verb, puts, whole=verb == "many")
            case "copy":
                return Act(
                    number, verb, tuple(self._put(f"{fresh}-{at // 2}") for at in range(6)), whole=False
                )
            case "import":
                return Act(number, verb, imported(number), whole=False)
            case "retain":
                cutoff = self._cutoff()
                old = tuple(one for one, history in self.model.items() if _day(history[-1]) < cutoff)
                return Act(number, verb, removes=old, whole=False, cutoff=cutoff)
        return Act(number, verb)

    def _cutoff(self) -> int:
        """Return a day before which there is something, if there is any; now and then one without."""
        oldest = min((_day(history[-1]) for history in self.model.values()), default=DAYS[0])
        useful = [day for day in DAYS[1:3] if oldest < day]
        rarely = self.choose.random() < _IDLE
        return DAYS[0] if rarely or not useful else self.choose.choice(useful)

    def _put(self, identity: str) -> Record:
        version = self._versions[identity] = self._versions.get(identity, -1) + 1
        return record(identity, version, self.choose.choice(DAYS), self.choose.choice((60, 60, 300, 5000)))


def _day(put: Record) -> int:
    return instant(put["timestamp"]) // DAY


def _clock() -> int:
    return NOW


@contextmanager
def _holding(puts: Sequence[Record]) -> Iterator[PatternStorage]:
    """A store in memory with these records."""
    with opened("memory", Path()) as source:
        for put in puts:
            source.save(put)
        yield source


def payloads(number: int) -> Path:
    """Return a log of hook payloads, the same for the same number; made once, when its act is made up."""
    path = Path(gettempdir(), f"payloads-{number}.jsonl")
    if not path.exists():
        lines = [
            {"hook_event_name": "UserPromptSubmit", "session_id": f"s{number}", "prompt": f"{number}.{at}"}
            for at in range(5)
        ]
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text("".join(json.dumps(payload) + "\n" for payload in lines))
        moment = (DAYS[number % len(DAYS)] * DAY + number) * 1000
        os.utime(fresh, ns=(moment, moment))
        fresh.rename(path)
    return path


@cache
def imported(number: int) -> tuple[Record, ...]:
    """Return the records that the payloads of this number become."""
    with opened("memory", Path()) as storage:
        import_paths([payloads(number)], storage, key=None, clock=_clock)
        return tuple(storage.iter(order="oldest"))

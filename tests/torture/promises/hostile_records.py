"""Hostile records, one by one and in batches, into each backend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from moai_patterns import PatternSchema, PatternStorage
from moai_patterns.errors import PatternError, QueryError, ValidationError
from samples import sample
from torture.hostile_values import equal, record, size_of, text, value
from torture.promise import BrokenPromiseError, Promise, Tally
from torture.stopwatch import Stopwatch
from torture.watch import Watch

_BACKENDS = ("memory", "filesystem", "sqlite")
_RENEWED = 1500  # cases after which a store is checked, and another one made


def run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Hand hostile records in; what is refused must leave no trace, and what is taken comes back equal."""
    with Watch(place, Stopwatch("hostile-records", len(numbers), tally)) as watch:
        watch.resting(lambda: _warm(watch))
        for start in range(0, len(numbers), _RENEWED):
            stores = {name: _Store(name, watch, tally) for name in _BACKENDS}
            for number in numbers[start : start + _RENEWED]:
                with watch.case(number):
                    stores[_BACKENDS[number % 3]].take(number, Random(number))
            with watch.case(start):
                for store in stores.values():
                    store.end()
            watch.clear()
            watch.must_be_quiet(number)


def _warm(watch: Watch) -> None:
    """Do everything once, so that no case has to wait for a module to be loaded."""
    for name in _BACKENDS:
        with PatternStorage(name, watch.place / f"warm-{name}", maintenance_interval=None) as storage:
            storage.save_batch([sample("a"), sample("b", kind="hook_event")])
            storage.capture("hook_event", {"event": "Stop"})
            storage.load("a")
            storage.delete("a")
    PatternSchema.errors(sample("a", kind="hook_event", event=1))


class _Store:
    """A store, and what it must hold."""

    def __init__(self, name: str, watch: Watch, tally: Tally) -> None:
        self._watch, self._tally = watch, tally
        self._path = watch.place / name
        self._storage: PatternStorage = watch.timed(
            "opening a store", lambda: PatternStorage(name, self._path, maintenance_interval=None)
        )
        self._held: dict[str, Any] = {}

    def take(self, number: int, choose: Random) -> None:
        """Do one case."""
        self._tally.fired()
        act = choose.choice((self._save, self._save, self._save, self._save_batch, self._capture, self._ask))
        try:
            act(number, choose)
        except (PatternError, BrokenPromiseError):
            raise
        except Exception as error:
            raise BrokenPromiseError(f"case {number}: {error!r}") from error

    def _save(self, number: int, choose: Random) -> None:
        made = record(choose)
        valid = self._valid(number, made)
        try:
            self._watch.timed("a save", lambda: self._storage.save(made), size=size_of(made))
        except ValidationError as error:
            self._refused(number, valid, str(error))
        else:
            self._taken(number, valid, made)

    def _valid(self, number: int, made: Any) -> bool:
        size = size_of(made)
        valid = self._watch.timed("validation", lambda: PatternSchema.validate_pattern(made), size=size)
        if not valid:
            found = self._watch.timed("all violations", lambda: PatternSchema.errors(made), size=size)
            if not found:
                raise BrokenPromiseError(f"case {number}: refused without a reason")
        return bool(valid)

    def _refused(self, number: int, valid: bool, sentence: str) -> None:
        if valid or not sentence:
            raise BrokenPromiseError(f"case {number}: a valid record is refused: {sentence}")
        self._tally.add("refused")

    def _taken(self, number: int, valid: bool, made: Any) -> None:
        identity = str.__str__(made["pattern_id"])
        found = self._load(identity, size_of(made))
        if not valid or not equal(found, made):
            raise BrokenPromiseError(f"case {number}: {made!r} came back as {found!r}")
        self._held[identity] = found
        self._tally.add("taken, and came back equal")

    def _load(self, identity: Any, size: int) -> Any:
        return self._watch.timed("a load", lambda: self._storage.load(identity), size=size)

    def _save_batch(self, number: int, choose: Random) -> None:
        batch = [record(choose) for _ in range(choose.randrange(1, 4))]
        valid = [self._valid(number, made) for made in batch]
        verbs = (self._storage.save_batch, lambda some: self._storage.save_many(iter(some), batch_size=10))
        verb = verbs[choose.random() >= 0.5]
        try:
            self._watch.timed("a batch", lambda: verb(batch), size=size_of(batch))
        except ValidationError as error:
            self._refused(number, all(valid), str(error))
        else:
            last = {str.__str__(made["pattern_id"]): made for made in batch}
            for made in last.values():
                self._taken(number, all(valid), made)

    def _capture(self, number: int, choose: Random) -> None:
        made = record(choose)
        kind, data, context = (
            (made.get("pattern_type"), made.get("data"), made.get("context"))
            if isinstance(made, dict)
            else (value(choose), value(choose), value(choose))
        )
        size = size_of([kind, data, context])
        try:
            identity = self._watch.timed(
                "a capture",
                lambda: self._storage.capture(kind, data, context),  # type: ignore[arg-type]
                size=size,
            )
        except ValidationError:
            self._tally.add("refused")
            return
        found = self._load(identity, size)
        if found is None or not equal(found["data"], data) or not equal(found.get("context"), context):
            raise BrokenPromiseError(f"case {number}: {data!r} came back as {found!r}")
        self._held[identity] = found

    def _ask(self, number: int, choose: Random) -> None:
        """Ask for, or delete, what may be no id at all."""
        asked = text(choose) if choose.random() < 0.8 else value(choose)
        size = size_of(asked)
        try:
            if choose.random() < 0.2:
                removed = self._watch.timed("a delete", lambda: self._storage.delete(asked), size=size)
                if removed != (self._held.pop(asked, None) is not None):
                    raise BrokenPromiseError(f"case {number}: {removed} removed for {asked!r}")
            else:
                found = self._load(asked, size)
                if found != self._held.get(asked):
                    raise BrokenPromiseError(f"case {number}: {asked!r} gives {found!r}")
        except QueryError:
            self._tally.add("refused")

    def end(self) -> None:
        """Compare all of it, check the files, and remove them."""
        together = {found["pattern_id"]: found for found in self._storage.iter()}
        if together != self._held:
            raise BrokenPromiseError(f"{self._storage.config.backend}: a scan finds other records")
        if problems := self._storage.check(read_data=True):
            raise BrokenPromiseError(f"{self._storage.config.backend}: {problems[:3]}")
        self._storage.close()


PROMISES = (
    Promise(
        name="hostile-records",
        sentence="hostile ids, kinds, tags, times and values: refused with a reason, or taken and back "
        "exactly; nothing outside the store touched; each validation, explanation, save, batch, capture, "
        "load and delete takes at most 50 ms of CPU per 50 KB, and waits 100 ms at most",
        cases=lambda: 500_000,
        run=run,
        fast=5_000,
        chunk=15_000,
    ),
)

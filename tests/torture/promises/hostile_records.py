"""Hostile records, one by one and in batches, into each backend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from moai_patterns import PatternSchema, PatternStorage
from moai_patterns.errors import PatternError, QueryError, ValidationError
from torture.hostile_values import record, text, value
from torture.promise import BrokenPromiseError, Promise, Tally
from torture.watch import Watch

_BACKENDS = ("memory", "filesystem", "sqlite")
_RENEWED = 1500  # cases after which a store is checked, and another one made


def run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Hand hostile records in; what is refused must leave no trace, and what is taken comes back equal."""
    with Watch(place, tally) as watch:
        for start in range(0, len(numbers), _RENEWED):
            stores = {name: _Store(name, watch, tally) for name in _BACKENDS}
            for number in numbers[start : start + _RENEWED]:
                with watch.case(number):
                    stores[_BACKENDS[number % 3]].take(number, Random(number))
            for store in stores.values():
                store.end()
            watch.clear()
            watch.must_be_quiet()


class _Store:
    """A store, and what it must hold."""

    def __init__(self, name: str, watch: Watch, tally: Tally) -> None:
        self._watch, self._tally = watch, tally
        self._path = watch.place / name
        self._storage = PatternStorage(name, self._path, maintenance_interval=None)
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
            self._storage.save(made)
        except ValidationError as error:
            self._refused(number, valid, str(error))
        else:
            self._taken(number, valid, made)

    def _valid(self, number: int, made: Any) -> bool:
        size = _size(made)
        valid = self._watch.timed(number, "validation", lambda: PatternSchema.validate_pattern(made), size)
        if not valid and not size:
            found = self._watch.timed(number, "all violations", lambda: PatternSchema.errors(made))
            if not found:
                raise BrokenPromiseError(f"case {number}: refused without a reason")
        return bool(valid)

    def _refused(self, number: int, valid: bool, sentence: str) -> None:
        if valid or not sentence:
            raise BrokenPromiseError(f"case {number}: a valid record is refused: {sentence}")
        self._tally.add("refused")

    def _taken(self, number: int, valid: bool, made: Any) -> None:
        identity = str.__str__(made["pattern_id"])
        found = self._storage.load(identity)
        if not valid or not _equal(found, made):
            raise BrokenPromiseError(f"case {number}: {made!r} came back as {found!r}")
        self._held[identity] = found
        self._tally.add("taken, and came back equal")

    def _save_batch(self, number: int, choose: Random) -> None:
        batch = [record(choose) for _ in range(choose.randrange(1, 4))]
        valid = [self._valid(number, made) for made in batch]
        try:
            if choose.random() < 0.5:
                self._storage.save_batch(batch)
            else:
                self._storage.save_many(iter(batch), batch_size=10)
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
        try:
            identity = self._storage.capture(kind, data, context)  # type: ignore[arg-type]
        except ValidationError:
            self._tally.add("refused")
            return
        found = self._storage.load(identity)
        if found is None or not _equal(found["data"], data) or not _equal(found.get("context"), context):
            raise BrokenPromiseError(f"case {number}: {data!r} came back as {found!r}")
        self._held[identity] = found

    def _ask(self, number: int, choose: Random) -> None:
        """Ask for, or delete, what may be no id at all."""
        asked = text(choose) if choose.random() < 0.8 else value(choose)
        try:
            if choose.random() < 0.2:
                removed = self._storage.delete(asked)
                if removed != (self._held.pop(asked, None) is not None):
                    raise BrokenPromiseError(f"case {number}: {removed} removed for {asked!r}")
            else:
                found = self._storage.load(asked)
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


def _size(made: Any) -> int:
    """Return about how many bytes of input this is; 0 for what is small."""
    members = made.values() if isinstance(made, dict) else ()
    giants = [member for member in members if isinstance(member, str | list | dict) and _is_giant(member)]
    return 2_000_000 if giants else 0


def _is_giant(member: Any) -> bool:
    if len(member) >= 50_000 or (isinstance(member, dict) and any(_is_long(key) for key in member)):
        return True
    if len(member) != 1 or isinstance(member, str):
        return False
    inner = member[0] if isinstance(member, list) else member.get("a")
    levels = 0
    while isinstance(inner, list | dict) and len(inner) == 1 and levels < 2000:
        inner, levels = inner[0] if isinstance(inner, list) else inner.get("a"), levels + 1
    return levels >= 2000 or _is_long(inner)


def _is_long(item: Any) -> bool:
    return isinstance(item, str) and len(item) >= 50_000


def _equal(found: Any, made: Any) -> bool:
    """Tell whether JSON values are the same, to the type of a number and the sign of zero."""
    if isinstance(made, str):
        return type(found) is str and found == str.__str__(getattr(made, "value", made))
    if isinstance(made, dict):
        return (
            isinstance(found, dict)
            and found.keys() == made.keys()
            and all(_equal(found[key], made[key]) for key in made)
        )
    if isinstance(made, list):
        return isinstance(found, list) and len(found) == len(made) and all(map(_equal, found, made))
    if isinstance(made, float) and not isinstance(found, bool):
        return found == made and (found != 0 or math.copysign(1, found) == math.copysign(1, made))
    return bool(found == made) and isinstance(found, bool) == isinstance(made, bool)


PROMISES = (
    Promise(
        name="hostile-records",
        sentence="hostile ids, kinds, tags, times and values: refused with a reason, or taken and back "
        "exactly; nothing outside the store touched, at most 50 ms",
        cases=lambda: 500_000,
        run=run,
        fast=12_000,
        chunk=15_000,
    ),
)

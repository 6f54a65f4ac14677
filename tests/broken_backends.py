"""Backends with one planted bug each, and the test of the contract that must catch it: clauses 1 and 2."""

from __future__ import annotations

import copy
import time
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from moai_patterns.backends.base import BackendBase, Batch, ConflictError, Removal
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.query import Query, Record

B = TypeVar("B", bound=type[BackendBase])


class Broken(NamedTuple):
    """A broken backend; `machine` says that the state machine must catch it too."""

    backend: type[BackendBase]
    test: str
    machine: bool


BROKEN: list[Broken] = []


def caught_by(test: str, *, machine: bool = True) -> Callable[[B], B]:
    def mark(backend: B) -> B:
        BROKEN.append(Broken(backend, test, machine))
        return backend

    return mark


def change(value: Any, how: Callable[[Any], Any]) -> Any:
    """The value with every member of it changed, keys left alone."""
    if isinstance(value, dict):
        return {key: change(item, how) for key, item in value.items()}
    return [change(item, how) for item in value] if isinstance(value, list) else how(value)


class Altering(MemoryBackend):
    """Alters each record on its way in."""

    def alter(self, record: Record) -> Record:
        raise NotImplementedError

    def write(self, batch: Batch) -> None:
        super().write(batch._replace(add=[self.alter(copy.deepcopy(record)) for record in batch.add]))


# 1. Round trip


@caught_by("test_1_timestamps_keep_their_text")
class LostFraction(Altering):
    def alter(self, record: Record) -> Record:
        return {**record, "timestamp": record["timestamp"].replace(".000000000", "").replace(".000000", "")}


@caught_by("test_1_absence_null_and_empty_stay_apart")
class NullDropped(Altering):
    def alter(self, record: Record) -> Record:
        kept = {name: value for name, value in record["data"].items() if value is not None}
        return {**record, "data": kept}


@caught_by("test_1_absence_null_and_empty_stay_apart")
class AbsenceFilledIn(Altering):
    def alter(self, record: Record) -> Record:
        return {"version": "1.0", **record}


@caught_by("test_1_absence_null_and_empty_stay_apart")
class EmptyContextDropped(Altering):
    def alter(self, record: Record) -> Record:
        return {name: value for name, value in record.items() if name != "context" or value}


@caught_by("test_1_values_keep_type_and_value")
class IntegersBecomeFloats(Altering):
    def alter(self, record: Record) -> Record:
        data = change(record["data"], lambda value: float(value) if type(value) is int else value)
        return {**record, "data": data}


@caught_by("test_1_values_keep_type_and_value")
class IntegralFloatsBecomeIntegers(Altering):
    def alter(self, record: Record) -> Record:
        def shorter(value: Any) -> Any:
            return int(value) if isinstance(value, float) and value.is_integer() and value else value

        return {**record, "data": change(record["data"], shorter)}


@caught_by("test_1_values_keep_type_and_value")
class ZeroLosesItsSign(Altering):
    def alter(self, record: Record) -> Record:
        return {
            **record,
            "data": change(record["data"], lambda it: it + 0.0 if isinstance(it, float) else it),
        }


@caught_by("test_1_values_keep_type_and_value", machine=False)
class FifteenDigits(Altering):
    def alter(self, record: Record) -> Record:
        data = change(record["data"], lambda it: float(f"{it:.15g}") if isinstance(it, float) else it)
        return {**record, "data": data}


@caught_by("test_1_values_keep_type_and_value", machine=False)
class LongTextCut(Altering):
    def alter(self, record: Record) -> Record:
        data = change(record["data"], lambda it: it[:65_535] if isinstance(it, str) else it)
        return {**record, "data": data}


@caught_by("test_1_texts_keep_every_character")
class TextEndsAtNul(Altering):
    def alter(self, record: Record) -> Record:
        cut = change(record["data"], lambda it: it.partition("\0")[0] if isinstance(it, str) else it)
        return {**record, "data": cut}


@caught_by("test_1_texts_keep_every_character", machine=False)
class TextNormalised(Altering):
    def alter(self, record: Record) -> Record:
        def composed(value: Any) -> Any:
            return unicodedata.normalize("NFC", value) if isinstance(value, str) else value

        return {**record, "data": change(record["data"], composed)}


@caught_by("test_1_unknown_envelope_members_stay")
class UnknownMembersDropped(Altering):
    known = ("pattern_id", "pattern_type", "timestamp", "data", "context", "version", "_meta")

    def alter(self, record: Record) -> Record:
        return {name: value for name, value in record.items() if name in self.known}


@caught_by("test_1_absence_null_and_empty_stay_apart")
class ActorForgotten(Altering):
    def alter(self, record: Record) -> Record:
        record["_meta"].pop("actor", None)
        return record


@caught_by("test_1_ids_and_kinds_are_any_text", machine=False)
class KindsInLowerCase(Altering):
    def alter(self, record: Record) -> Record:
        return {**record, "pattern_type": record["pattern_type"].lower()}


@caught_by("test_1_ids_and_kinds_are_any_text")
class IdsByTheirBeginning(MemoryBackend):
    """Two ids that share eight characters are one, as in a tree whose file names hold no more of them."""

    def write(self, batch: Batch) -> None:
        short = {identity[:8]: identity for identity in self._revisions}
        for record in batch.add:
            if short.setdefault(record["pattern_id"][:8], record["pattern_id"]) != record["pattern_id"]:
                raise ConflictError("there is a file of this name")
        super().write(batch)


@caught_by("test_1_what_the_caller_holds_is_a_copy")
class NestedValuesShared(MemoryBackend):
    def write(self, batch: Batch) -> None:
        super().write(batch)
        for record in batch.add:
            if kept := self._revisions.get(record["pattern_id"]):
                kept[-1]["data"] = dict(record["data"])


@caught_by("test_1_what_the_caller_holds_is_a_copy")
class StoredRecordsReturned(MemoryBackend):
    def scan(self, query: Query) -> Iterator[Record]:
        heads = query.revisions == "heads"
        lists = self._revisions.values()
        return query.select([one for kept in lists for one in (kept[-1:] if heads else kept)])


# 2. Batches and conflicts


@caught_by("test_2_stale_or_skipped_revisions_are_refused")
class StaleRevisionAccepted(MemoryBackend):
    def write(self, batch: Batch) -> None:
        heads = {identity: kept[-1]["_meta"]["revision"] for identity, kept in self._revisions.items()}
        add = []
        for record in batch.add:
            right = heads.get(record["pattern_id"], 0) + 1
            heads[record["pattern_id"]] = right
            add.append({**record, "_meta": {**record["_meta"], "revision": right}})
        super().write(batch._replace(add=add))


@caught_by("test_2_stale_or_skipped_revisions_are_refused")
class SkippedRevisionAccepted(MemoryBackend):
    def write(self, batch: Batch) -> None:
        for record in batch.add:
            kept = self._revisions.get(record["pattern_id"])
            if kept and record["_meta"]["revision"] > kept[-1]["_meta"]["revision"] + 1:
                kept[-1] = {**kept[-1], "_meta": {**kept[-1]["_meta"]}}
                kept[-1]["_meta"]["revision"] = record["_meta"]["revision"] - 1
        super().write(batch)


@caught_by("test_2_a_refused_batch_leaves_nothing")
class HalfABatch(MemoryBackend):
    def write(self, batch: Batch) -> None:
        super().write(Batch(remove=batch.remove))
        for record in batch.add:
            super().write(Batch([record]))


@caught_by("test_2_a_refused_batch_leaves_nothing")
class RemovalsStayAfterARefusal(MemoryBackend):
    def write(self, batch: Batch) -> None:
        super().write(Batch(remove=batch.remove))
        super().write(Batch(batch.add))


@caught_by("test_2_removing_what_is_not_there_is_no_error")
class RemovalIgnoresRevision(MemoryBackend):
    def write(self, batch: Batch) -> None:
        super().write(batch._replace(remove=[Removal(each.pattern_id) for each in batch.remove]))


@caught_by("test_2_removing_what_is_not_there_is_no_error")
class AbsentRemovalRefused(MemoryBackend):
    def write(self, batch: Batch) -> None:
        for removal in batch.remove:
            if removal.pattern_id not in self._revisions:
                raise ConflictError(f"{removal.pattern_id!r} is not there")
        super().write(batch)


@caught_by("test_2_a_removal_takes_the_whole_history")
class RemovalTakesTheHeadOnly(MemoryBackend):
    def write(self, batch: Batch) -> None:
        before = {removal.pattern_id: self._revisions.get(removal.pattern_id, []) for removal in batch.remove}
        super().write(batch)
        for identity, kept in before.items():
            if identity not in self._revisions and len(kept) > 1:
                self._revisions[identity] = kept[:-1]


@caught_by("test_2_several_revisions_of_an_id_in_one_batch")
class LastOfABatchOnly(MemoryBackend):
    def write(self, batch: Batch) -> None:
        before = {
            record["pattern_id"]: len(self._revisions.get(record["pattern_id"], [])) for record in batch.add
        }
        super().write(batch)
        for identity, count in before.items():
            kept = self._revisions.get(identity, [])
            if len(kept) > count + 1:
                self._revisions[identity] = [*kept[:count], kept[-1]]


@caught_by("test_2_removals_of_a_batch_come_first")
class RemovalsComeLast(MemoryBackend):
    def write(self, batch: Batch) -> None:
        whole = dict(self._revisions)
        for removal in batch.remove:
            kept = self._revisions.get(removal.pattern_id, [])
            if kept and removal.revision in (None, kept[-1]["_meta"]["revision"]):
                whole.pop(removal.pattern_id)
        super().write(batch)
        for removal in batch.remove:
            if removal.pattern_id not in whole:
                self._revisions.pop(removal.pattern_id, None)


@caught_by("test_2_of_racing_threads_one_wins", machine=False)
class LookThenWrite(MemoryBackend):
    """Looks for a conflict outside the lock under which it writes."""

    def write(self, batch: Batch) -> None:
        trial = MemoryBackend()
        trial._revisions = dict(self._revisions)
        trial.write(batch)
        time.sleep(0.002)
        with self._lock:
            for record in batch.add:
                self._seq += 1
                stored = copy.deepcopy(record)
                stored["_meta"]["seq"] = self._seq
                self._revisions.setdefault(record["pattern_id"], []).append(stored)

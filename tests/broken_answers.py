"""Backends that answer wrongly in one way each: clauses 3 to 5."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from broken_backends import Altering, caught_by
from moai_patterns.backends.base import Batch
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.conditions import Compare, Condition, Either, Every, Not
from moai_patterns.errors import StoreError
from moai_patterns.instant import instant
from moai_patterns.query import Query, Record
from moai_patterns.values import reach


class Selecting(MemoryBackend):
    """Selects in its own way out of everything it holds."""

    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        raise NotImplementedError

    def scan(self, query: Query) -> Iterator[Record]:
        whole = Query(limit=None, order=query.order, revisions=query.revisions)
        return iter(self.pick(list(super().scan(whole)), query))


# 3. Order


@caught_by("test_3_newest_and_oldest_are_mirrored_total_orders")
class TiesInOrderOfArrival(Selecting):
    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        fitting = sorted(query.but(limit=None).select(records), key=lambda record: record["_meta"]["seq"])
        if query.order != "arrival":
            fitting.sort(key=lambda record: record["_meta"]["instant"], reverse=query.order == "newest")
        return fitting[: query.limit]


@caught_by("test_3_newest_and_oldest_are_mirrored_total_orders")
class IdsInUtf16(Selecting):
    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        fitting = list(query.but(limit=None).select(records))
        if query.order != "arrival":
            fitting.sort(
                key=lambda it: (
                    it["_meta"]["instant"],
                    it["pattern_id"].encode("utf-16-be"),
                    it["_meta"]["revision"],
                ),
                reverse=query.order == "newest",
            )
        return fitting[: query.limit]


@caught_by("test_3_the_instant_decides_not_the_text")
class TimestampReadAgain(Altering):
    def alter(self, record: Record) -> Record:
        record["_meta"]["instant"] = instant(record["timestamp"])
        return record


@caught_by("test_3_arrival_is_the_order_of_writing")
class ANewRevisionKeepsItsPlace(MemoryBackend):
    def write(self, batch: Batch) -> None:
        super().write(batch)
        for kept in self._revisions.values():
            kept[-1]["_meta"]["seq"] = kept[0]["_meta"]["seq"]


@caught_by("test_3_arrival_numbers_are_never_given_twice")
class ArrivalNumberGivenAgain(MemoryBackend):
    def write(self, batch: Batch) -> None:
        super().write(batch)
        self._seq = max((kept[-1]["_meta"]["seq"] for kept in self._revisions.values()), default=0)


# 4. Limit and cursor


@caught_by("test_4_limit_comes_after_matching")
class LimitBeforeFilter(Selecting):
    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        return query.select(records[: query.limit], ordered=True)


@caught_by("test_4_limit_comes_after_matching")
class LimitZeroIsNone(MemoryBackend):
    def scan(self, query: Query) -> Iterator[Record]:
        return super().scan(query.but(limit=query.limit or None))


@caught_by("test_4_a_cursor_goes_on_strictly_after_its_record")
class CursorInclusive(Selecting):
    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        last = query.after and query.after[:2]
        kept = [it for it in records if query.key(it)[:2] == last or not query.passed(query.key(it))]
        return query.but(cursor=None).select(kept)


@caught_by("test_4_paging_to_the_end_equals_one_scan")
class CursorSkipsTies(Selecting):
    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        after = query.after
        return query.select(it for it in records if after is None or query.key(it)[0] != after[0])


@caught_by("test_4_a_cursor_outlives_its_record")
class CursorLooksForItsRecord(Selecting):
    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        places = [query.key(record)[:2] for record in records]
        start = places.index(query.after[:2]) + 1 if query.after and query.after[:2] in places else 0
        return query.but(cursor=None).select(records[start:], ordered=True)


@caught_by("test_4_a_record_that_changes_between_pages_comes_once", machine=False)
class CursorGoesByRevision(Selecting):
    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        last = query.after and query.after[:2]
        kept = [
            it
            for it in records
            if (query.key(it)[:2] == last and query.key(it)[2] > 1) or not query.passed(query.key(it))
        ]
        return query.but(cursor=None).select(kept)


@caught_by("test_4_a_cursor_goes_on_strictly_after_its_record")
class CountIgnoresCursor(MemoryBackend):
    def count(self, query: Query) -> int:
        return super().count(query.but(cursor=None))


@caught_by("test_4_limit_comes_after_matching")
class CountIgnoresLimit(MemoryBackend):
    def count(self, query: Query) -> int:
        return super().count(query.but(limit=None))


# 5. Matching


def rewritten(where: Condition, how: Callable[[Compare], Condition]) -> Condition:
    """The condition with every comparison replaced."""
    if isinstance(where, Compare):
        return how(where)
    if isinstance(where, Not):
        return Not(rewritten(where.part, how))
    if isinstance(where, (Every, Either)):
        return replace(where, parts=tuple(rewritten(part, how) for part in where.parts))
    return where


class Rewriting(MemoryBackend):
    """Asks another question than the one it was given."""

    def compare(self, comparison: Compare) -> Condition:
        raise NotImplementedError

    def scan(self, query: Query) -> Iterator[Record]:
        if isinstance(query.where, Condition):
            query = query.but(where=rewritten(query.where, self.compare))
        return super().scan(query)


@caught_by("test_5_tags_are_any_of_and_exact")
class TagsAllOf(Selecting):
    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        wanted = set(query.tags or ())
        return query.select(it for it in records if wanted <= set(it.get("context", {}).get("tags", ())))


@caught_by("test_5_tags_are_any_of_and_exact")
class TagsJoined(Selecting):
    """One row per tag that fits, as a join without `distinct` gives."""

    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        for record in query.select(records):
            tags = record.get("context", {}).get("tags", ())
            for _ in range(sum(tag in (query.tags or ()) for tag in tags) if query.tags else 1):
                yield record


@caught_by("test_5_tags_are_any_of_and_exact")
class TagsIgnoreCase(Selecting):
    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        wanted = {tag.lower() for tag in query.tags or ()}
        fitting = (
            it
            for it in records
            if not wanted or wanted & {tag.lower() for tag in it.get("context", {}).get("tags", ())}
        )
        return query.but(tags=None).select(fitting)


@caught_by("test_5_bounds_are_inclusive_to_the_microsecond")
class EndExclusive(Selecting):
    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        return query.select(it for it in records if it["_meta"]["instant"] != query.until)


@caught_by("test_5_bounds_are_inclusive_to_the_microsecond")
class BoundsToTheSecond(Selecting):
    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        until = None if query.until is None else query.until // 1_000_000 * 1_000_000 + 999_999
        return query.but(end_date=until).select(records)


@caught_by("test_5_bounds_are_inclusive_to_the_microsecond")
class BoundsByText(Selecting):
    def pick(self, records: list[Record], query: Query) -> Iterable[Record]:
        start, end = str(query.start_date or ""), str(query.end_date or "~")
        fitting = (it for it in records if start <= it["timestamp"] <= end)
        return query.but(start_date=None, end_date=None).select(fitting)


@caught_by("test_5_bounds_are_inclusive_to_the_microsecond")
class BoundsOverflow(MemoryBackend):
    def scan(self, query: Query) -> Iterator[Record]:
        for bound in (query.since, query.until):
            (bound or 0).to_bytes(8, "big", signed=True)
        return super().scan(query)


@caught_by("test_5_kinds_and_ids_are_lists_of_equals")
class EmptyListIsAll(MemoryBackend):
    def scan(self, query: Query) -> Iterator[Record]:
        return super().scan(query.but(ids=query.ids or None, pattern_type=query.pattern_type or None))


@caught_by("test_5_kinds_and_ids_are_lists_of_equals", machine=False)
class AThousandParameters(MemoryBackend):
    def scan(self, query: Query) -> Iterator[Record]:
        if len(query.ids or ()) > 999:
            raise StoreError("too many SQL variables")
        return super().scan(query)


@caught_by("test_5_conditions_tell_types_and_absence_apart")
class MissingIsNull(Rewriting):
    def compare(self, comparison: Compare) -> Condition:
        if comparison.relation == "!=":
            return Not(replace(comparison, relation="=="))
        return comparison


@caught_by("test_5_conditions_tell_types_and_absence_apart")
class BooleansAreNumbers(Rewriting):
    def compare(self, comparison: Compare) -> Condition:
        value = comparison.value
        if comparison.relation == "==" and type(value) in (bool, int, float) and value in (0, 1):
            return Either((replace(comparison, value=bool(value)), replace(comparison, value=int(value))))
        return comparison


@caught_by("test_5_conditions_tell_types_and_absence_apart")
class LargeIntegersAreFloats(Rewriting):
    def compare(self, comparison: Compare) -> Condition:
        if type(comparison.value) is int:
            return replace(comparison, value=float(comparison.value))
        return comparison


@caught_by("test_5_conditions_tell_types_and_absence_apart")
class TextsCompareAsNumbers(Rewriting):
    def compare(self, comparison: Compare) -> Condition:
        if comparison.relation in ("<", "<=", ">", ">=") and str(comparison.value).isdecimal():
            return Either((replace(comparison, value=float(comparison.value)), _Numerically(comparison)))
        return comparison


class _Numerically(Condition):
    def __init__(self, comparison: Compare) -> None:
        self.comparison = comparison

    def matches(self, record: Any) -> bool:
        found = reach(record, self.comparison.path)
        if not isinstance(found, str) or not found.isdecimal():
            return self.comparison.matches(record)
        below, equal = (
            float(found) < float(self.comparison.value),
            float(found) == float(self.comparison.value),
        )
        return {"<": below, "<=": below or equal, ">": not below and not equal, ">=": not below}[
            self.comparison.relation
        ]


@caught_by("test_5_every_answer_equals_the_definition")
class OldRevisionsAnswer(MemoryBackend):
    """Lets a filter look at superseded revisions when heads were asked for."""

    def scan(self, query: Query) -> Iterator[Record]:
        if query.kinds is None or query.revisions == "all":
            return super().scan(query)
        known = {record["pattern_id"]: record for record in super().scan(Query(limit=None, order="arrival"))}
        found = super().scan(query.but(revisions="all", limit=None))
        hits = [known[record["pattern_id"]] for record in found]
        return query.but(pattern_type=None).select({id(hit): hit for hit in hits}.values())


@caught_by("test_5_a_scan_shows_all_of_a_batch_or_nothing", machine=False)
class ScanReadsAlong(MemoryBackend):
    def scan(self, query: Query) -> Iterator[Record]:
        while page := list(
            super().scan(query.but(limit=min(10, query.limit or 0 if query.limit is not None else 10)))
        ):
            yield from page
            left = None if query.limit is None else query.limit - len(page)
            query = query.but(cursor=query.cursor_after(page[-1]), limit=left)


@caught_by("test_4_a_cursor_beyond_everything", machine=False)
class CursorOverflows(MemoryBackend):
    def scan(self, query: Query) -> Iterator[Record]:
        if query.after is not None:
            query.after[0].to_bytes(8, "big", signed=True)
        return super().scan(query)


@caught_by("test_5_readers_see_whole_batches_while_others_write", machine=False)
class ReadersSeeHalf(MemoryBackend):
    def write(self, batch: Batch) -> None:
        super().write(Batch(batch.add[:1], batch.remove))
        time.sleep(0.001)
        super().write(Batch(batch.add[1:]))

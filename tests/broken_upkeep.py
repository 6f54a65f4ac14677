"""Backends that delete, compact or count days wrongly in one way each: clauses 6 and 8."""

from __future__ import annotations

import math
from collections.abc import Sequence

from broken_backends import caught_by
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.instant import DAY
from moai_patterns.query import Query

# 6. Deleting


@caught_by("test_6_delete_removes_exactly_the_answer")
class DeletesOneTooMany(MemoryBackend):
    def delete(self, query: Query) -> int:
        found = super().delete(query)
        if found:
            super().delete(Query(limit=1))
        return found


@caught_by("test_6_delete_obeys_limit_order_and_cursor")
class DeleteIgnoresLimit(MemoryBackend):
    def delete(self, query: Query) -> int:
        return super().delete(query.but(limit=None) if query.limit else query)


@caught_by("test_6_delete_removes_exactly_the_answer")
class DeleteForgetsHistory(MemoryBackend):
    def delete(self, query: Query) -> int:
        gone = list(self.scan(query))
        for record in gone:
            kept = self._revisions.pop(record["pattern_id"])[:-1]
            if kept:
                self._revisions[record["pattern_id"]] = kept
        return len(gone)


@caught_by("test_6_delete_removes_exactly_the_answer")
class DeleteCountsRevisions(MemoryBackend):
    def delete(self, query: Query) -> int:
        count = sum(len(self.history(record["pattern_id"])) for record in self.scan(query))
        super().delete(query)
        return count


# 8. Upkeep


@caught_by("test_8_compaction_changes_no_answer")
class HeadsMissingAfterCompaction(MemoryBackend):
    def compact(self, days: Sequence[int]) -> int:
        for identity, kept in list(self._revisions.items()):
            if len(kept) > 1 and kept[-1]["_meta"]["instant"] // DAY in days:
                self._revisions[identity] = kept[:-1]
        return 0


@caught_by("test_8_compaction_changes_no_answer")
class HistoryCompactedAway(MemoryBackend):
    def compact(self, days: Sequence[int]) -> int:
        for identity, kept in self._revisions.items():
            if kept[-1]["_meta"]["instant"] // DAY in days:
                self._revisions[identity] = kept[-1:]
        return 0


@caught_by("test_8_compaction_changes_no_answer")
class CompactionNumbersAnew(MemoryBackend):
    def compact(self, days: Sequence[int]) -> int:
        everything = sorted((it for kept in self._revisions.values() for it in kept), key=Query().key)
        for number, record in enumerate(everything):
            record["_meta"]["seq"] = number
        return 0


@caught_by("test_8_days_count_heads_by_utc_day_and_kind")
class DaysRoundTowardsZero(MemoryBackend):
    def days(self) -> dict[int, dict[str, int]]:
        found: dict[int, dict[str, int]] = {}
        for record in self.scan(Query(limit=None)):
            kinds = found.setdefault(math.trunc(record["_meta"]["instant"] / DAY), {})
            kinds[record["pattern_type"]] = kinds.get(record["pattern_type"], 0) + 1
        return found


@caught_by("test_8_days_count_heads_by_utc_day_and_kind")
class DaysCountRevisions(MemoryBackend):
    def days(self) -> dict[int, dict[str, int]]:
        found: dict[int, dict[str, int]] = {}
        for record in self.scan(Query(limit=None, revisions="all")):
            kinds = found.setdefault(record["_meta"]["instant"] // DAY, {})
            kinds[record["pattern_type"]] = kinds.get(record["pattern_type"], 0) + 1
        return found


@caught_by("test_8_compaction_changes_no_answer")
class CompactionCountsAgain(MemoryBackend):
    def compact(self, days: Sequence[int]) -> int:
        return sum(record["_meta"]["instant"] // DAY in days for record in self.scan(Query(limit=None)))

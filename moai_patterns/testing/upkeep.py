"""Clauses 6 and 8: deleting removes exactly what was asked for, upkeep changes no answer."""

from __future__ import annotations

from pathlib import Path

from moai_patterns.backends.base import BackendBase, Batch, Removal
from moai_patterns.conditions import field
from moai_patterns.instant import DAY
from moai_patterns.query import Query, Record
from moai_patterns.testing.answers import dense
from moai_patterns.testing.clauses import Clauses
from moai_patterns.testing.compare import agree, bare, content, equal, heads, must, views
from moai_patterns.testing.pools import HOUR, MIDNIGHT, stored
from moai_patterns.testing.questions import ORDERS


class Deleting(Clauses):
    """Clause 6."""

    def test_6_delete_removes_exactly_the_answer(self, tmp_path: Path) -> None:
        """What scan yields is removed with its history and counted, all else stays, a repeat finds none."""
        queries = (
            Query("task_completion", limit=None),
            Query(start_date=MIDNIGHT, end_date=MIDNIGHT, limit=None),
            Query(tags=["a"], limit=None, order="oldest"),
            Query(where=field("data.n") == 1, limit=None, order="arrival"),
            Query(ids=["Case", "none"], limit=None),
            Query(end_date=MIDNIGHT - 1, limit=None),
            Query(limit=None),
        )
        for number, query in enumerate(queries):
            for form, store in self.forms(tmp_path / str(number), dense(number, 25)):
                gone = {record["pattern_id"] for record in store.scan(query)}
                left = [record for record in content(store) if record["pattern_id"] not in gone]
                deleted = store.delete(query)
                must(deleted == len(gone), f"delete of {query!r}, {form}: {deleted}, not {len(gone)}")
                equal(content(store), left, f"what is left after delete of {query!r}, {form}")
                must(store.delete(query) == 0, f"a second delete of {query!r}, {form}")
                store.write(Batch([stored(f"{form}-{at}", MIDNIGHT - 1 + at) for at in range(3)]))

    def test_6_delete_obeys_limit_order_and_cursor(self, tmp_path: Path) -> None:
        """Deleting three oldest removes those three; after a cursor, only what comes after it."""
        records = [stored(f"r{at}", MIDNIGHT + at * HOUR) for at in range(10)]
        for form, store in self.forms(tmp_path / "store", [Batch(records)]):
            must(store.delete(Query(limit=0)) == 0, f"limit 0, {form}")
            must(store.delete(Query(limit=3, order="oldest")) == 3, f"three oldest, {form}")
            agree(heads(store), records[:2:-1], f"after deleting three oldest, {form}")
            newest = Query(limit=None)
            cursor = newest.cursor_after(next(store.scan(newest.but(ids=["r5"]))))
            must(store.delete(newest.but(cursor=cursor, limit=1)) == 1, f"one after r5, {form}")
            agree(heads(store), [*records[:4:-1], records[3]], f"after deleting the next one, {form}")
            store.delete(newest)
            agree(content(store), [], f"after deleting everything, {form}")
            store.write(Batch(records))


class Compacting(Clauses):
    """Clause 8."""

    def test_8_compaction_changes_no_answer(self, tmp_path: Path) -> None:
        """Compacting any days, again and again, with the space given back, leaves every view as it was."""
        with self.store(tmp_path / "store") as store:
            for number, batch in enumerate(dense(8, 60)):
                store.write(batch)
                if number % 6 == 5:
                    self._compacts(store, sorted(store.days())[number % 4 :: 2], f"after batch {number}")
            self._compacts(store, [*store.days(), 10**6, -(10**6)], "all days and some without records")
            equal(list(store.uncompacted_days()), [], "days left to compact after compacting all")

    def _compacts(self, store: BackendBase, days: list[int], when: str) -> None:
        before = views(store)
        moved, most = store.compact(days), store.count(Query(limit=None))
        must(0 <= moved <= most, f"compact {when} says it moved {moved} of {most} heads")
        equal(views(store), before, f"compact {when}")
        again = store.compact(days)
        must(again == 0, f"a second compact {when} says it moved {again}")
        store.reclaim()
        equal(views(store), before, f"reclaim {when}")

    def test_8_compacted_records_change_like_any_other(self, tmp_path: Path) -> None:
        """After compaction records are changed, moved to another day, removed and joined by late arrivals."""
        first = [stored(f"r{at}", MIDNIGHT + at % 3 * DAY, data={"n": at}) for at in range(9)]
        with self.store(tmp_path / "store") as store:
            store.write(Batch(first))
            store.compact(sorted(store.days()))
            changed, moved = (
                stored("r0", MIDNIGHT, 2, data={"n": "new"}),
                stored("r1", MIDNIGHT + 2 * DAY + 1, 2),
            )
            late, again = stored("late", MIDNIGHT + 5), stored("r3", MIDNIGHT + DAY, data={"n": "again"})
            store.write(Batch([changed, moved, late], [Removal("r2", 1), Removal("r3")]))
            store.write(Batch([again]))
            wanted = [first[at] for at in (0, 1, 4, 5, 6, 7, 8)] + [changed, moved, late, again]
            for turn in range(3):
                agree(content(store), wanted, f"all revisions, {turn} compactions after the changes")
                current = [record for record in wanted if record not in first[:2]]
                agree(
                    heads(store),
                    sorted(current, key=Query().key, reverse=True),
                    f"heads, {turn} compactions after",
                )
                store.compact(sorted(store.days()))
        if self.persistent:
            with self.store(tmp_path / "store") as store:
                agree(content(store), wanted, "reopened")

    def test_8_a_scan_survives_compaction(self, tmp_path: Path) -> None:
        """A scan that began before a compaction ends with the same records, none missing, none double."""
        records = [stored(f"r{at:02}", MIDNIGHT + at * HOUR, data={"text": "x" * 500}) for at in range(60)]
        queries = [Query(order=order, limit=None) for order in ORDERS]
        with self.store(tmp_path / "store") as store:
            store.write(Batch(records))
            for turn in range(2):
                wanted = [list(store.scan(query)) for query in queries]
                begun = [store.scan(query) for query in queries]
                found = [[next(scan)] for scan in begun]
                store.compact(sorted(store.days()))
                store.reclaim()
                for query, scan, seen, right in zip(queries, begun, found, wanted, strict=True):
                    seen.extend(scan)
                    equal(seen, right, f"{query.order}, scan number {turn} during compaction")
                store.write(Batch([stored(f"late-{turn}", MIDNIGHT + turn)]))

    def test_8_days_count_heads_by_utc_day_and_kind(self, tmp_path: Path) -> None:
        """`days` names each UTC day that has heads, with the number of heads of each kind."""
        batches = [
            Batch([stored("a", MIDNIGHT - 1), stored("b", MIDNIGHT), stored("c", MIDNIGHT + DAY - 1)]),
            Batch(
                [
                    stored("d", MIDNIGHT, pattern_type="own.kind"),
                    stored("e", -1),
                    stored("f", MIDNIGHT),
                    stored("g", -1),
                ]
            ),
            Batch([stored("a", MIDNIGHT, 2), stored("e", 0, 2)], [Removal("f")]),
        ]
        day = MIDNIGHT // DAY
        wanted = {
            -1: {"task_completion": 1},
            0: {"task_completion": 1},
            day: {"own.kind": 1, "task_completion": 3},
        }
        for form, store in self.forms(tmp_path / "store", batches):
            must(store.days() == wanted, f"days, {form}: {store.days()}, wanted {wanted}")

    def test_8_a_copy_answers_like_its_source(self, tmp_path: Path) -> None:
        """All revisions of a store, written to another one in order of arrival, make an equal store."""
        with self.store(tmp_path / "source") as source, self.store(tmp_path / "copy") as target:
            for number, batch in enumerate(dense(9, 40)):
                source.write(batch)
                if number == 20:
                    source.compact(sorted(source.days()))
            everything = content(source)
            for start in range(0, len(everything), 7):
                part: list[Record] = [bare(record) for record in everything[start : start + 7]]
                target.write(Batch(part))
            agree(content(target), everything, "all revisions of the copy")
            agree(heads(target), heads(source), "heads of the copy")
            equal(
                {str(day): kinds for day, kinds in target.days().items()},
                {str(day): kinds for day, kinds in source.days().items()},
                "days of the copy",
            )

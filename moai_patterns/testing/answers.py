"""Clauses 3 to 5: one total order, limit and cursor last, and every answer equal to the definition."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from moai_patterns.backends.base import BackendBase, Batch, Removal
from moai_patterns.conditions import Condition, field
from moai_patterns.errors import QueryError
from moai_patterns.instant import DAY
from moai_patterns.query import Query, Record
from moai_patterns.testing.clauses import Clauses
from moai_patterns.testing.compare import agree, content, equal, must, refuses
from moai_patterns.testing.pools import HOUR, IDS, MIDNIGHT, TAGS, drawn, spelling, stored
from moai_patterns.testing.questions import ORDERS, answer, question

QUESTIONS = 300


class Ordering(Clauses):
    """Clause 3."""

    def test_3_newest_and_oldest_are_mirrored_total_orders(self, tmp_path: Path) -> None:
        """Records sort by instant, then id by code point, then revision, both ways alike."""
        ids = ("0", "A", "a", "a\0", "aa", "b", "\u00e4", "\uffee", "\U0001f600")
        right = [
            stored("z-earlier", MIDNIGHT - 1),
            *(stored(identity, MIDNIGHT) for identity in ids),
            stored("changed", MIDNIGHT + 1),
            stored("changed", MIDNIGHT + 1, 2),
            stored("0-later", MIDNIGHT + 2),
        ]
        shuffled = random.Random(3).sample(right[:-3], len(right) - 3)
        for form, store in self.forms(tmp_path / "store", [Batch(shuffled), Batch(right[-3:])]):
            for revisions, wanted in (("all", right), ("heads", [*right[:-3], *right[-2:]])):
                oldest = Query(limit=None, order="oldest", revisions=revisions)  # type: ignore[arg-type]
                agree(list(store.scan(oldest)), wanted, f"oldest first, {revisions}, {form}")
                newest = oldest.but(order="newest")
                agree(list(store.scan(newest)), wanted[::-1], f"newest first, {revisions}, {form}")

    def test_3_the_instant_decides_not_the_text(self, tmp_path: Path) -> None:
        """Order, bounds and days go by the instant in `_meta`, whatever the timestamp's text looks like."""
        texts = (
            "2025-11-29T09:00+09:00",
            "2025-11-28T20:30:00.000001-03:30",
            "1999-01-01",  # without a zone: local time, and only the storage knew which
            "2025-11-29T00:00:00.0000039Z",
        )
        right = [stored(f"s{at}", MIDNIGHT + at, timestamp=text) for at, text in enumerate(texts)]
        for form, store in self.forms(tmp_path / "store", [Batch(right[::-1])]):
            agree(list(store.scan(Query(order="oldest"))), right, f"oldest first, {form}")
            inner = Query(
                start_date=MIDNIGHT + 1, end_date=spelling(MIDNIGHT + 2, "-05:00", -300), order="oldest"
            )
            agree(list(store.scan(inner)), right[1:3], f"between two instants, {form}")
            equal(list(store.days()), [MIDNIGHT // DAY], f"days, {form}")

    def test_3_arrival_is_the_order_of_writing(self, tmp_path: Path) -> None:
        """Arrival numbers ascend over batches and inside one; a new revision arrives anew."""
        batches = [
            Batch([stored("c", MIDNIGHT), stored("a", MIDNIGHT + 5), stored("b", MIDNIGHT - DAY)]),
            Batch([stored("a", MIDNIGHT - 5, 2)]),
            Batch([stored("d", MIDNIGHT + DAY), stored("c", MIDNIGHT, 2)]),
        ]
        everything = [record for batch in batches for record in batch.add]
        for form, store in self.forms(tmp_path / "store", batches):
            found = content(store)
            agree(found, everything, f"all revisions by arrival, {form}")
            numbers = [record["_meta"]["seq"] for record in found]
            must(numbers == sorted(set(numbers)), f"arrival numbers, {form}: {numbers}")
            current = [everything[at] for at in (2, 3, 4, 5)]
            agree(list(store.scan(Query(order="arrival"))), current, f"heads by arrival, {form}")

    def test_3_arrival_numbers_are_never_given_twice(self, tmp_path: Path) -> None:
        """A number stays used when its record is removed, also after compacting and reopening."""
        highest = -1
        for opening in range(3 if self.persistent else 1):
            with self.store(tmp_path / "store") as store:
                for turn in range(3):
                    identity = f"{opening}-{turn}"
                    store.write(Batch([stored("stays" + identity, MIDNIGHT), stored(identity, MIDNIGHT)]))
                    found = [record["_meta"]["seq"] for record in content(store)[-2:]]
                    must(highest < found[0] < found[1], f"{identity}: {found} were given after {highest}")
                    highest = found[1]
                    store.write(Batch(remove=[Removal(identity)]))
                    store.compact(sorted(store.days()))
                    store.reclaim()


class Paging(Clauses):
    """Clause 4."""

    def test_4_limit_comes_after_matching(self, tmp_path: Path) -> None:
        """The limit counts records that match; limit 0 is empty, a huge one is none, a negative refused."""
        records = [stored(f"r{at:02}", MIDNIGHT + at, data={"n": at % 5}) for at in range(20)]
        rare = field("data.n") == 0
        refuses(QueryError, "a negative limit", Query, None, None, None, -1)
        for form, store in self.forms(tmp_path / "store", [Batch(records)]):
            for limit in (0, 1, 2, 3, 4, 5, 10**30, None):
                query = Query(where=rare, order="oldest", limit=limit)
                wanted = records[::5][: 4 if limit is None or limit > 4 else limit]
                agree(list(store.scan(query)), wanted, f"limit {limit}, {form}")
                must(
                    store.count(query) == len(wanted),
                    f"count with limit {limit}, {form}: {store.count(query)}",
                )

    def test_4_paging_to_the_end_equals_one_scan(self, tmp_path: Path) -> None:
        """Following the cursor gives each record once, in every order, at any page size, among ties too."""
        batches = list(dense(4, 12))
        ties = [stored(f"tie-{at}", MIDNIGHT) for at in range(7)]
        for form, store in self.forms(tmp_path / "store", [*batches, Batch(ties)]):
            for order in ORDERS:
                for query in (
                    Query(limit=None, order=order),
                    Query(limit=None, order=order, revisions="all", tags=["a", "b"]),
                    Query(limit=None, order=order, where=field("data.word").exists()),
                    Query(limit=None, order=order, start_date=MIDNIGHT, end_date=MIDNIGHT + 1),
                ):
                    whole = list(store.scan(query))
                    for size in (1, 2, 3, 7, len(whole) + 1):
                        paged = [record for page in pages(store, query, size) for record in page]
                        equal(paged, whole, f"pages of {size}, {query!r}, {form}")

    def test_4_a_cursor_goes_on_strictly_after_its_record(self, tmp_path: Path) -> None:
        """A cursor excludes its own record and keeps the ties after it, and count obeys it."""
        records = [stored(identity, MIDNIGHT) for identity in ("a", "b", "c", "d")]
        for form, store in self.forms(tmp_path / "store", [Batch(records)]):
            for order, right in (("oldest", records), ("newest", records[::-1]), ("arrival", records)):
                query = Query(order=order)  # type: ignore[arg-type]
                for at, record in enumerate(list(store.scan(query))):
                    onward = query.but(cursor=query.cursor_after(record))
                    agree(
                        list(store.scan(onward)),
                        right[at + 1 :],
                        f"{order} after {right[at]['pattern_id']}, {form}",
                    )
                    must(
                        store.count(onward) == 3 - at,
                        f"count, {order} after {at}, {form}: {store.count(onward)}",
                    )

    def test_4_a_cursor_beyond_everything(self, tmp_path: Path) -> None:
        """A cursor before the first record gives all, one after the last gives nothing, at any distance."""
        records = [stored(identity, MIDNIGHT) for identity in ("a", "b")]
        for form, store in self.forms(tmp_path / "store", [Batch(records)]):
            for order in ORDERS:
                for first in (-(10**30), 10**30):
                    end = {"pattern_id": "", "_meta": {"instant": first, "seq": first, "revision": 1}}
                    query = Query(order=order)
                    found = list(store.scan(query.but(cursor=query.cursor_after(end))))
                    passed = (first > 0) == (order == "newest")
                    right = records[::-1] if order == "newest" else records
                    agree(found, right if passed else [], f"{order} after {first}, {form}")

    def test_4_a_record_that_changes_between_pages_comes_once(self, tmp_path: Path) -> None:
        """A record that ended a page and has another revision since does not begin the next page."""
        for number, order in enumerate(("newest", "oldest")):
            with self.store(tmp_path / str(number)) as store:
                store.write(Batch([stored(f"r{at}", MIDNIGHT) for at in range(3)]))
                query = Query(order=order)  # type: ignore[arg-type]
                first = list(store.scan(query))
                cursor = query.cursor_after(first[1])
                store.write(Batch([stored("r1", MIDNIGHT, 2)]))
                onward = query.but(cursor=cursor)
                rest = [bare["pattern_id"] for bare in store.scan(onward)]
                must(rest == [first[2]["pattern_id"]], f"{order}: {rest} after r1 was changed")
                must(store.count(onward) == 1, f"{order}: count says {store.count(onward)}")

    def test_4_a_cursor_outlives_its_record(self, tmp_path: Path) -> None:
        """When the record that a cursor names is removed or changed, paging goes on at the same place."""
        records = [stored(f"r{at}", MIDNIGHT + at) for at in range(6)]
        for number, order in enumerate(ORDERS):
            with self.store(tmp_path / str(number)) as store:
                store.write(Batch(records))
                query = Query(order=order)
                seen = list(store.scan(query))
                cursor = query.cursor_after(seen[2])
                store.write(
                    Batch(
                        [stored(seen[1]["pattern_id"], MIDNIGHT - 9 * DAY, 2)],
                        [Removal(seen[2]["pattern_id"])],
                    )
                )
                rest = [bare["pattern_id"] for bare in store.scan(query.but(cursor=cursor))]
                moved = {"newest": [seen[1]["pattern_id"]], "oldest": [], "arrival": [seen[1]["pattern_id"]]}[
                    order
                ]
                wanted = [record["pattern_id"] for record in seen[3:]] + moved
                must(rest == wanted, f"{order}: {rest}, wanted {wanted}")


class Matching(Clauses):
    """Clause 5."""

    def test_5_every_answer_equals_the_definition(self, tmp_path: Path) -> None:
        """Generated queries over a dense store answer as matching, ordering and cutting everything does."""
        choose = random.Random(5)
        queries = [question(choose.choice) for _ in range(QUESTIONS)]
        for form, store in self.forms(tmp_path / "store", dense(5, 40)):
            self._answers(store, queries, form)

    def _answers(self, store: BackendBase, queries: Sequence[Query], form: str) -> None:
        everything = content(store)
        newest = {record["pattern_id"]: record for record in sorted(everything, key=_revision)}
        for query in queries:
            wanted = answer(everything if query.revisions == "all" else newest.values(), query)
            equal(list(store.scan(query)), wanted, f"{query!r}, {form}")
            must(store.count(query) == len(wanted), f"count of {query!r}, {form}: {store.count(query)}")

    def test_5_bounds_are_inclusive_to_the_microsecond(self, tmp_path: Path) -> None:
        """Both bounds include their own instant and nothing beside it, in any spelling, at any distance."""
        records = [stored(f"r{at}", MIDNIGHT + at) for at in (-1, 0, 1)]
        wide = [stored("first", MIDNIGHT - 40 * DAY), stored("last", MIDNIGHT + 40 * DAY)]
        for form, store in self.forms(tmp_path / "store", [Batch([*records, *wide])]):
            for bound in (
                MIDNIGHT,
                spelling(MIDNIGHT),
                spelling(MIDNIGHT, "+09:00", 540),
                spelling(MIDNIGHT, digits=9),
            ):
                found = list(store.scan(Query(start_date=bound, end_date=bound)))
                agree(found, [records[1]], f"from {bound} to {bound}, {form}")
            agree(
                list(store.scan(Query(start_date=MIDNIGHT + 1))), [wide[1], records[2]], f"start only, {form}"
            )
            agree(list(store.scan(Query(end_date=MIDNIGHT - 1))), [records[0], wide[0]], f"end only, {form}")
            agree(
                list(store.scan(Query(start_date=MIDNIGHT + 1, end_date=MIDNIGHT))),
                [],
                f"nothing between, {form}",
            )
            everything = Query(start_date=-(10**30), end_date=10**30)
            agree(list(store.scan(everything)), [wide[1], *records[::-1], wide[0]], f"beyond 64 bits, {form}")

    def test_5_tags_are_any_of_and_exact(self, tmp_path: Path) -> None:
        """A record answers once when it has any of the tags, whole and case-sensitive, however often."""
        records = [
            stored(f"r{at}", MIDNIGHT - at, context={"tags": [tag, tag]}) for at, tag in enumerate(TAGS)
        ]
        bare = [stored("none", MIDNIGHT - 100), stored("empty", MIDNIGHT - 101, context={"tags": []})]
        for form, store in self.forms(tmp_path / "store", [Batch([*records, *bare])]):
            for at, tag in enumerate(TAGS):
                agree(list(store.scan(Query(tags=[tag]))), [records[at]], f"tag {tag!r}, {form}")
            agree(list(store.scan(Query(tags=[*TAGS, *TAGS]))), records, f"all tags twice, {form}")
            agree(
                list(store.scan(Query(tags=["none", *map(str, range(3_000))]))),
                [],
                f"3,000 other tags, {form}",
            )
            agree(list(store.scan(Query(tags=[]))), [*records, *bare], f"no tags asked for, {form}")

    def test_5_tags_may_all_be_asked_for_or_none(self, tmp_path: Path) -> None:
        """Every one of some tags, not one of others, and any of further ones hold together."""
        sets = (("a",), ("a", "b"), ("b", "a", "ab"), ("b", "nul\0"), (), ("A", "", "a,b"))
        records = [
            stored(f"r{at}", MIDNIGHT - at, context={"tags": list(tags)}) for at, tags in enumerate(sets)
        ]
        records.append(stored("bare", MIDNIGHT - 100))
        for form, store in self.forms(tmp_path / "store", [Batch(records)]):
            for query, wanted in (
                (Query(tags_all=["a"]), [0, 1, 2]),
                (Query(tags_all=["a", "b", "a"]), [1, 2]),
                (Query(tags_all=["a", "none"]), []),
                (Query(tags_all=["nul\0", "b"]), [3]),
                (Query(tags_none=["a"]), [3, 4, 5, 6]),
                (Query(tags_none=["a", "b", ""]), [4, 6]),
                (Query(tags=["ab", "a,b"], tags_all=["a"]), [2]),
                (Query(tags=["a", "b"], tags_none=["ab", "nul\0"], limit=1), [0]),
                (Query(tags_all=[], tags_none=[]), list(range(7))),
            ):
                agree(list(store.scan(query)), [records[at] for at in wanted], f"{query!r}, {form}")
                must(store.count(query) == len(wanted), f"count of {query!r}, {form}: {store.count(query)}")

    def test_5_the_envelope_is_asked_for_like_the_payload(self, tmp_path: Path) -> None:
        """Kinds, ids, versions and times in a condition, alone and joined, find what they say."""
        records = [
            stored(f"r{at}", MIDNIGHT + at * HOUR, pattern_type=f"k{at % 2}", version=f"{at}")
            for at in range(4)
        ]
        records.append(stored("later", MIDNIGHT + 9 * DAY))
        kind, moment, identity = field("pattern_type"), field("timestamp"), field("pattern_id")
        for form, store in self.forms(tmp_path / "store", [Batch(records)]):
            for where, wanted in (
                (kind == "k1", [1, 3]),
                ((kind == "k1") & (kind == "k0"), []),
                ((kind == "k1") | (identity == "r0"), [0, 1, 3]),
                (kind.in_(["k0", 5]) & identity.startswith("r"), [0, 2]),
                (~(kind == "k1"), [0, 2, 4]),
                (field("version") > "1", [2, 3]),
                (moment == spelling(MIDNIGHT + HOUR, "+09:00", 540), [1]),
                ((moment > spelling(MIDNIGHT)) & (moment < spelling(MIDNIGHT + 3 * HOUR)), [1, 2]),
                ((moment <= spelling(MIDNIGHT)) | (moment >= spelling(MIDNIGHT + DAY)), [0, 4]),
                (moment != spelling(MIDNIGHT), [1, 2, 3, 4]),
                (moment > "9999-12-31", []),
            ):
                query = Query(where=where, order="oldest")
                agree(list(store.scan(query)), [records[at] for at in wanted], f"{where}, {form}")
                must(store.count(query) == len(wanted), f"count where {where}, {form}")
            narrow = Query(start_date=MIDNIGHT + HOUR, where=moment < spelling(MIDNIGHT + 3 * HOUR))
            agree(list(store.scan(narrow)), [records[2], records[1]], f"bounds twice, {form}")

    def test_5_kinds_and_ids_are_lists_of_equals(self, tmp_path: Path) -> None:
        """Several kinds or ids mean any of them, repeated ones count once, an empty list is nothing."""
        records = [stored(f"0198f2aa-{at}", MIDNIGHT - at, pattern_type=f"k{at % 3}") for at in range(6)]
        many = [f"0198f2aa-{at}" for at in range(40_000)]
        for form, store in self.forms(tmp_path / "store", [Batch(records)]):
            for query, wanted in (
                (Query("k1"), records[1::3]),
                (Query(["k1", "k1", "k0"]), [records[at] for at in (0, 1, 3, 4)]),
                (Query([]), []),
                (Query("k"), []),
                (Query(ids=["0198f2aa"]), []),
                (Query(ids=["0198f2aa-1", "0198f2aa-1", "0198f2aa-9"]), [records[1]]),
                (Query(ids=[]), []),
                (Query(ids=many), records),
                (Query(ids=["", "x" * 100_000, "../0198f2aa-1", "0198f2aa-1\0", "0198F2AA-1"]), []),
                (Query("k1", ids=many[2:]), [records[4]]),
            ):
                agree(
                    list(store.scan(query)),
                    wanted,
                    f"kinds {query.kinds}, {len(query.ids or ())} ids, {form}",
                )

    def test_5_conditions_tell_types_and_absence_apart(self, tmp_path: Path) -> None:
        """True is not 1, 1 equals 1.0, large integers stay exact, a missing path fails every comparison."""
        values = (1, 1.0, True, "1", 0, False, None, 2**53, 2**53 + 1, [1], [True], {"x": 1}, "", "10", "9")
        records = [stored(f"r{at:02}", MIDNIGHT - at, data={"v": value}) for at, value in enumerate(values)]
        records.append(stored("missing", MIDNIGHT - 99))
        here = field("data.v")
        other = [at for at in range(len(records)) if at != 9]
        questions: tuple[tuple[Condition, list[int]], ...] = (
            *((here == 1, [0, 1]), (here == True, [2]), (here == 0, [4]), (here == None, [6])),  # noqa: E711, E712
            *(
                (here != 1, [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
                (here > 1, [7, 8]),
                (here <= 1, [0, 1, 4]),
            ),
            *((here == 2**53, [7]), (here == 2**53 + 1, [8]), (here > 2**53, [8]), (here < "2", [3, 12, 13])),
            *((here == [1], [9]), (here == [True], [10]), (here == {"x": 1}, [11]), (here == "", [12])),
            *(
                (here < "9", [3, 12, 13]),
                (here >= "9", [14]),
                (here <= "10", [3, 12, 13]),
                (here > "10", [14]),
            ),
            *((here.exists(), list(range(15))), (~here.exists(), [15]), (~(here == 1), list(range(2, 16)))),
            *((here.in_([True, "1"]), [2, 3]), (here.in_([]), []), (here.is_null(), [6])),
            *((here.contains("1"), [3, 13]), (here.contains(1), [9]), (here.contains(True), [10])),
            *(
                (here.contains(""), [3, 12, 13, 14]),
                (here.contains("0"), [13]),
                (here.startswith("1"), [3, 13]),
                (~here.contains(1), other),
            ),
            *((here.matches("^[0-9]$"), [3, 14]), (here.matches("(?i)^$"), [12])),
            *((field("data.v.0") == 1, [9]), (field("data.v.x") == 1, [11]), (here >= "", [3, 12, 13, 14])),
        )
        for form, store in self.forms(tmp_path / "store", [Batch(records)]):
            for where, wanted in questions:
                found = list(store.scan(Query(where=where)))
                agree(found, [records[at] for at in wanted], f"{where!r}, {form}")

    def test_5_a_scan_shows_all_of_a_batch_or_nothing(self, tmp_path: Path) -> None:
        """A scan that has begun goes on while others write, and shows the store as it was."""
        records = [stored(f"r{at}", MIDNIGHT + at * HOUR) for at in range(40)]
        with self.store(tmp_path / "store") as store:
            store.write(Batch(records))
            for order in ("oldest", "newest"):
                before = content(store)
                begun = store.scan(Query(order=order, limit=None))
                found = [next(begun)]
                added = [stored(f"{order}-{at}", MIDNIGHT + at * HOUR + 1) for at in range(40)]
                store.write(Batch(added, [Removal("r20"), Removal("r39"), Removal("r0")]))
                found.extend(begun)
                wanted = sorted(before, key=Query().key, reverse=order == "newest")
                agree(found, wanted, f"{order} first, written to meanwhile")
                store.write(
                    Batch(
                        [records[at] for at in (0, 20, 39)], [Removal(each["pattern_id"]) for each in added]
                    )
                )

    def test_5_readers_see_whole_batches_while_others_write(self, tmp_path: Path) -> None:
        """Threads that read while one writes, removes and compacts see each batch whole, none double."""
        wrong: list[str] = []
        done = threading.Event()

        def read(store: BackendBase) -> None:
            try:
                while not done.is_set() and not wrong:
                    found = [record["pattern_id"] for record in store.scan(Query(limit=None, order="oldest"))]
                    if (sentence := _torn(found)) is not None:
                        wrong.append(sentence)
            except Exception as error:  # noqa: BLE001  a thread's exception would vanish otherwise
                wrong.append(repr(error))

        with self.store(tmp_path / "store") as store:
            store.write(Batch([stored(f"stays-{at}", MIDNIGHT + at) for at in range(20)]))
            readers = [threading.Thread(target=read, args=(store,)) for _ in range(2)]
            for reader in readers:
                reader.start()
            for number in range(40):
                pair = [
                    stored(f"{side}-{number}", MIDNIGHT + at * DAY)
                    for side, at in (("left", -1), ("right", 1))
                ]
                gone = [Removal(f"{side}-{number - 5}") for side in ("left", "right")]
                store.write(Batch(pair, gone))
                if number % 8 == 7:
                    store.compact(sorted(store.days()))
            done.set()
            for reader in readers:
                reader.join()
        must(not wrong, f"a reader beside a writer: {wrong}")


def _torn(ids: Sequence[str]) -> str | None:
    """Return what is wrong with a scan in which pairs come and go and twenty records stay, or None."""
    sides = {
        side: {name.partition("-")[2] for name in ids if name.startswith(side)} for side in ("left", "right")
    }
    if sides["left"] != sides["right"]:
        return f"batches in part: {sorted(sides['left'] ^ sides['right'])}"
    if len(set(ids)) != len(ids):
        return f"records twice: {ids}"
    stays = sum(name.startswith("stays") for name in ids)
    return None if stays == 20 else f"{stays} of 20 records that nobody touched"


def dense(seed: int, count: int) -> Iterator[Batch]:
    """Yield batches out of the dense pools: new records, changes, removals, several days at once."""
    choose = random.Random(seed)
    revisions: dict[str, int] = {}
    for _ in range(count):
        gone = [Removal(identity) for identity in IDS if choose.random() < 0.03]
        for removal in gone:
            revisions.pop(removal.pattern_id, None)
        added: list[Record] = []
        for _ in range(choose.choice((1, 1, 2, 4))):
            record = drawn(choose.choice)
            if choose.random() < 0.6:
                record["pattern_id"] += f"-{choose.randrange(40)}"
            identity = record["pattern_id"]
            revisions[identity] = record["_meta"]["revision"] = revisions.get(identity, 0) + 1
            added.append(record)
        yield Batch(added, gone)


def pages(store: BackendBase, query: Query, size: int) -> Iterator[list[Record]]:
    """Yield the answer page by page, each asked for with the cursor of the one before."""
    asked = query.but(limit=size)
    while page := list(store.scan(asked)):
        yield page
        asked = asked.but(cursor=asked.cursor_after(page[-1]))


def _revision(record: Record) -> int:
    return int(record["_meta"]["revision"])

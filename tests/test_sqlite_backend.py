"""The SQLite backend against the oracle, and what its file promises: plans, statements, types."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moai_patterns import field
from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.backends.sqlite.asking import select, select_numbers
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.backends.sqlite.pushdown import superset
from moai_patterns.conditions import Compare, Condition, Not, Relation
from moai_patterns.errors import ConflictError, StoreError
from moai_patterns.query import Query
from moai_patterns.testing.compare import agree, bare, content, difference
from moai_patterns.testing.pools import IDS, MIDNIGHT, VALUES, Choose, drawn, stored
from moai_patterns.testing.questions import question
from moai_patterns.values import comparable
from stores import checked, index_all


def dumps(value: object) -> str:
    """JSON as the capture process writes it, which leaves letters beyond ASCII as they are."""
    return json.dumps(value, ensure_ascii=False)


EVERYTHING = Query(limit=None)
ORDERED: tuple[Relation, ...] = ("<", "<=", ">", ">=")
T = TypeVar("T")


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SqliteBackend]:
    """An empty store in a new file; every byte of it is checked at the end."""
    with checked(tmp_path / "patterns.db") as opened:
        yield opened


class Pair:
    """A database and the oracle, given the same batches."""

    def __init__(self) -> None:
        self.place = tempfile.mkdtemp()
        self.database = SqliteBackend(os.path.join(self.place, "patterns.db"))
        self.oracle = MemoryBackend()

    def write(self, batch: Batch) -> None:
        """Write to both; both accept or both refuse."""
        outcomes: list[str | None] = []
        for store in (self.oracle, self.database):
            try:
                store.write(batch)
                outcomes.append(None)
            except ConflictError as refused:
                outcomes.append(str(refused))
        assert outcomes[0] == outcomes[1] or None not in outcomes

    def compare(self, query: Query) -> None:
        """Ask both; the answers, their number and their days are the same."""
        wanted = list(self.oracle.scan(query))
        agree(list(self.database.scan(query)), wanted, str(query))
        assert self.database.count(query) == len(wanted)

    def close(self) -> None:
        """Check the database to the last byte and remove it."""
        found = self.database.check(read_data=True)
        self.database.close()
        shutil.rmtree(self.place)
        assert found == []


def batches(choose: Choose) -> Iterator[Batch]:
    """Batches out of the dense pools, one in a dozen revisions stale or skipped."""
    heads: dict[str, int] = {}
    for _ in range(choose((3, 1, 6))):
        remove = [Removal(choose(IDS), choose((None, 1, 2))) for _ in range(choose((0, 0, 1, 2)))]
        for identity, revision in remove:
            if revision in (None, heads.get(identity)):
                heads.pop(identity, None)
        add = []
        for _ in range(choose((1, 2, 5))):
            record = drawn(choose)
            revision = heads.get(record["pattern_id"], 0) + choose((1,) * 22 + (0, 2))
            record["_meta"]["revision"] = revision
            heads[record["pattern_id"]] = revision
            add.append(record)
        yield Batch(add, remove)


def live(choose: Choose, questions: int) -> None:
    """Give a database and the oracle one life and compare all that can be seen of them."""
    pair = Pair()
    try:
        for batch in batches(choose):
            pair.write(batch)
        for _ in range(questions):
            pair.compare(question(choose))
        assert pair.database.days() == pair.oracle.days()
        for identity in IDS:
            agree(pair.database.history(identity), pair.oracle.history(identity), f"history of {identity!r}")
        doomed = question(choose)
        assert pair.database.delete(doomed) == pair.oracle.delete(doomed), doomed
        agree(content(pair.database), content(pair.oracle), f"after delete({doomed})")
    finally:  # an example that Hypothesis gives up ends anywhere
        pair.close()


@settings(max_examples=30)
@given(st.data())
def test_every_answer_is_the_oracles(data: st.DataObject) -> None:
    """Batches with removals and stale revisions, then any query: the database and the oracle agree."""

    def choose(pool: Sequence[T], /) -> T:
        return data.draw(st.sampled_from(pool))

    live(choose, 6)


@pytest.mark.parametrize("seed", range(2))
def test_many_lives_agree_with_the_oracle(seed: int) -> None:
    """The same over 40 seeded lives with 60 questions each, which cost less than drawn ones."""
    for life in range(40):
        live(random.Random(seed * 1000 + life).choice, 60)


@pytest.mark.parametrize("number", [1, 2, 7, 8, 9, 40])
def test_any_number_of_kinds_and_tags_may_be_asked_for(backend: SqliteBackend, number: int) -> None:
    """Few are merged from the index, many are looked for in all; the answer is the same."""
    names = [f"n{n}" for n in range(number)]
    for n, name in enumerate([*names, "other"]):
        tags = {"tags": [name, names[n // 2]]}
        backend.write(Batch([stored(f"{name}-{i}", i, pattern_type=name, context=tags) for i in range(3)]))
    for query in (Query(names, limit=None), Query(tags=names[::-1], limit=None)):
        found = [(record["_meta"]["instant"], record["pattern_id"]) for record in backend.scan(query)]
        wanted = {(i, f"{name}-{i}") for name in names for i in range(3)}
        if query.tags:
            wanted |= {(i, f"other-{i}") for i in range(3)}
        assert found == sorted(wanted, reverse=True)
        assert backend.count(query) == len(wanted)
        assert len(list(backend.scan(query.but(limit=2, order="oldest")))) == 2


def pushed(condition: Condition) -> tuple[str, dict[str, object]]:
    """A condition as SQL with its parameters."""
    parameters: dict[str, object] = {}

    def bind(value: object) -> str:
        parameters[f"v{len(parameters)}"] = value
        return f":v{len(parameters) - 1}"

    return superset(condition, bind) or "1", parameters


ASKED = (*(value for value in VALUES if not isinstance(value, str) or len(value) < 100), "a", "a\0", "b")


@pytest.mark.parametrize("write", [json.dumps, dumps])
def test_a_pushed_condition_lets_every_match_through(write: Callable[[object], str]) -> None:
    """Any value in a record, any value asked for, any relation: SQLite keeps every match."""
    records = [{"data": {"x": value}} for value in ASKED]
    conditions: list[Condition] = [Compare(("data", "x"), "exists")]
    for value in ASKED:
        conditions += [Compare(("data", "x"), "==", value), Compare(("data", "x"), "!=", value)]
        conditions.append(Compare(("data", "x"), "in", (value, "none")))
        if comparable(value, value):
            conditions += [Compare(("data", "x"), relation, value) for relation in ORDERED]
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE rows (data)")
        database.executemany("INSERT INTO rows VALUES (?)", ((write(r["data"]),) for r in records))
        passed = 0
        for condition in conditions:
            sql, parameters = pushed(condition)
            kept = {n for (n,) in database.execute(f"SELECT rowid FROM rows WHERE {sql}", parameters)}
            matches = {n for n, record in enumerate(records, start=1) if condition.matches(record)}
            assert matches <= kept, (condition, [records[n - 1] for n in matches - kept])
            passed += len(kept)
    assert passed < len(conditions) * len(records) / 2  # and it does keep something away


STEPS = ("x", "a.b", "a b", "x-y", "$", "@", "'", '"', "\\", "0", "é", "\x7f", "[0]", "#")


@pytest.mark.parametrize("write", [json.dumps, dumps])
def test_a_pushed_path_finds_what_it_names(write: Callable[[object], str]) -> None:
    """Odd member names, nested and in arrays, are found or not pushed; parts combine without loss."""
    with closing(sqlite3.connect(":memory:")) as database:
        for path in [*((step,) for step in STEPS), *itertools.product(STEPS, STEPS)]:
            data: object = 7
            for step in reversed(path):
                data = {step: data}
            here = Compare(("data", *path), "==", 7)
            for condition in (here, here & here, here | Compare(("data", "none"), "==", 1), ~~here):
                sql, parameters = pushed(condition)
                row = {**parameters, "row": write(data)}
                assert database.execute(f"SELECT {sql} FROM (SELECT :row AS data)", row).fetchone() == (1,)
                assert condition.matches({"data": data})


def test_a_negation_is_not_pushed() -> None:
    """The opposite of a superset is none, so `~` is left to Python."""
    assert superset(Not(field("data.x") == 1), lambda value: "?") is None


def test_values_come_back_exactly(backend: SqliteBackend) -> None:
    """Every hard value returns with its type and sign, in data, context and unknown members."""
    records = [
        stored(f"r{place}", MIDNIGHT + place, data={"v": value}, context={"v": value}, drift=value)
        for place, value in enumerate(VALUES)
    ]
    records.append({**stored("odd", 1), "version": None})
    records[-1]["_meta"]["further"] = [1, None]
    backend.write(Batch(records))
    for record in records:
        found = backend.get(record["pattern_id"])
        assert found is not None
        assert difference(bare(found), record) is None


def test_a_record_with_several_of_the_tags_counts_once(backend: SqliteBackend) -> None:
    """Any-of tags: limit, cursor, count and delete go by records, not by index entries."""
    tags = {"tags": ["a", "b", "c"]}
    backend.write(Batch([stored(f"r{n}", MIDNIGHT + n // 4, context=tags) for n in range(20)]))
    backend.write(Batch([stored("r3", MIDNIGHT, 2, context={"tags": ["c"]})]))
    index_all(backend)
    names = [f"r{n}" for n in sorted(range(20), key=lambda n: (n // 4, f"r{n}"), reverse=True)]
    asked = Query(tags=["c", "a", "none", "b", "a"], limit=7)
    first = list(backend.scan(asked))
    rest = list(backend.scan(asked.but(limit=None, cursor=asked.cursor_after(first[-1]))))
    assert [record["pattern_id"] for record in first] == names[:7]
    assert [record["pattern_id"] for record in rest] == names[7:]
    assert backend.count(asked) == 7
    assert backend.count(asked.but(limit=None, order="arrival", revisions="all")) == 21
    assert backend.delete(asked) == 7
    assert [record["pattern_id"] for record in backend.scan(asked.but(limit=10**30))] == names[7:]


def test_absent_and_null_differ(backend: SqliteBackend) -> None:
    """A context that is null, empty or absent comes back as such, and so does the version."""
    for name, members in (("a", {}), ("b", {"context": {}}), ("c", {"version": "1.0"})):
        backend.write(Batch([stored(name, MIDNIGHT, **members)]))
        found = backend.get(name)
        assert found is not None
        assert {key: found[key] for key in ("context", "version") if key in found} == members


def test_arrival_numbers_are_never_reused(backend: SqliteBackend) -> None:
    """After the newest record is gone, by us or by another program, the next gets a greater number."""
    seen = []
    for round_ in range(3):
        backend.write(Batch([stored("a", MIDNIGHT), stored("b", MIDNIGHT)]))
        backend.write(Batch([stored("b", MIDNIGHT, 2)]))
        seen += [record["_meta"]["seq"] for record in content(backend)]
        if round_ == 1:
            with closing(sqlite3.connect(backend.path)) as other, other:
                other.execute("DELETE FROM patterns")
        else:
            assert backend.delete(EVERYTHING) == 2
        assert content(backend) == []
    assert seen == sorted(set(seen))
    assert len(seen) == 9


def test_a_removal_leaves_no_trace_of_the_payload(backend: SqliteBackend) -> None:
    """After delete and reclaim no byte of a removed record stands in any file."""
    canary = "canary-5f1c0e8a77"
    record = stored(canary, MIDNIGHT, data={"v": canary * 2000}, context={"tags": [canary]})
    backend.write(Batch([stored("kept", MIDNIGHT), record]))
    backend.write(Batch([{**record, "_meta": {**record["_meta"], "revision": 2}}]))
    assert backend.delete(Query(ids=(canary,))) == 1
    backend.reclaim()
    for file in Path(backend.path).parent.rglob("*"):
        assert file.is_dir() or canary.encode() not in file.read_bytes(), file


def test_reclaim_gives_the_space_back(backend: SqliteBackend) -> None:
    """Once most records are gone the file is a small part of what it was."""
    backend.write(Batch([stored(f"r{n}", MIDNIGHT + n, data={"v": "x" * 5000}) for n in range(500)]))
    backend.reclaim()
    full = backend.sizes()["hot"]
    backend.delete(Query(start_date=MIDNIGHT + 10, limit=None))
    backend.reclaim()
    assert full > 2_500_000
    assert backend.sizes()["hot"] < full / 10
    assert backend.facts()["free_pages"] == 0


LISTED = {"SCAN listed VIRTUAL TABLE INDEX 1:"}
PLANS = {
    "newest": (Query(), {"SEARCH p USING INDEX patterns_by_time"}),
    "between": (Query(start_date=1, end_date=9), {"SEARCH p USING INDEX patterns_by_time"}),
    "oldest": (Query(order="oldest", limit=None), {"SEARCH p USING INDEX patterns_by_time"}),
    "kind in time": (Query("a", 1, 9), {"SEARCH p USING INDEX patterns_by_kind"}),
    "kinds": (Query(["a", "b", "c"]), {"SEARCH p USING INDEX patterns_by_kind"}),
    "many kinds": (Query(list("abcdefghijkl"), 1), {"SEARCH p USING INDEX patterns_by_time"}),
    "kind and field": (Query("a", where=field("data.x") >= 3), {"SEARCH p USING INDEX patterns_by_kind"}),
    "tag": (
        Query(tags=["x"]),
        {"SEARCH t USING PRIMARY KEY", "SEARCH p USING INTEGER PRIMARY KEY"},
    ),
    "tags in time": (
        Query("a", 1, 9, tags=["x", "y"]),
        {"SEARCH t USING PRIMARY KEY", "SEARCH p USING INTEGER PRIMARY KEY"},
    ),
    "many tags": (
        Query(tags=list("abcdefghijkl")),
        {"SEARCH p USING INDEX patterns_by_time", "SEARCH t USING PRIMARY KEY"},
    ),
    "id": (
        Query("a", 1, 9, ids=["x", "y", "nul\0"], tags=["y"]),
        {
            "SEARCH p USING INDEX sqlite_autoindex_patterns_1",
            "SEARCH t USING PRIMARY KEY",
            *LISTED,
        },
    ),
    "arrival": (Query(order="arrival"), {"SCAN p"}),
    "all revisions": (
        Query("a", revisions="all"),
        {"SEARCH p USING INDEX patterns_by_kind", "SEARCH p USING INDEX history_by_kind"},
    ),
}
RECORD = {"pattern_id": "m", "_meta": {"instant": 5, "revision": 1, "seq": 5}}
SEARCHED = {
    "arrival": "SEARCH p USING INTEGER PRIMARY KEY",
    "newest": "SEARCH p USING INDEX patterns_by_time",
}


@pytest.mark.parametrize("analysed", [False, True])
def test_answers_come_from_indexes(backend: SqliteBackend, analysed: bool) -> None:
    """No question reads a table from end to end or sorts its answer, whatever ANALYZE has found."""
    kinds = ["a"] * 50 + ["b", "c"]
    backend.write(
        Batch([stored(f"r{n}", n, pattern_type=k, context={"tags": ["x"]}) for n, k in enumerate(kinds)])
    )
    with closing(sqlite3.connect(backend.path)) as database:
        if analysed:
            database.execute("ANALYZE")
        asked = dict(PLANS)
        for name, step in SEARCHED.items():
            query = Query(order=name)  # type: ignore[arg-type]
            asked[f"after, {name}"] = (query.but(cursor=query.cursor_after(RECORD)), {step})
        for name, (query, indexes) in asked.items():
            statement = select(query)
            assert statement is not None
            plan = database.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.parameters)
            steps = [step for (*_, step) in plan]
            # Of its one row a constant is made before.
            once = {at for at, step in enumerate(steps) if steps[at - 1].startswith("SCALAR SUBQUERY")}
            assert all(steps[at] == "SCAN arrival" for at in once)
            walked = [
                step
                for at, step in enumerate(steps)
                if at not in once and step.startswith(("SCAN", "SEARCH"))
            ]
            assert {step.partition(" (")[0] for step in walked} == indexes, (name, steps)
            if "id" not in name:
                assert "USE TEMP B-TREE FOR ORDER BY" not in steps, (name, steps)
            if statement.waiting:
                plan = database.execute(f"EXPLAIN QUERY PLAN {statement.waiting}")
                waiting = {step.partition(" (")[0] for (*_, step) in plan if step.startswith("SEARCH")}
                assert waiting == {"SEARCH patterns USING INTEGER PRIMARY KEY"}, (name, waiting)


def test_counts_are_read_from_an_index_alone(backend: SqliteBackend) -> None:
    """Counting touches no row."""
    with closing(sqlite3.connect(backend.path)) as database:
        for query in (EVERYTHING, Query("a", 1, limit=None)):
            statement = select_numbers(query)
            assert statement is not None
            plan = database.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.parameters)
            assert all("COVERING INDEX" in step for (*_, step) in plan)


@pytest.mark.as_shipped
def test_a_save_is_one_statement(backend: SqliteBackend) -> None:
    """A record without tags is inserted by a single statement, and reads nothing before it."""
    backend.write(Batch([stored("a", MIDNIGHT)]))
    connection = backend._writer._connection
    assert connection is not None
    heard: list[str] = []
    connection.set_trace_callback(heard.append)
    backend.write(Batch([stored("b", MIDNIGHT, context={})]))
    connection.set_trace_callback(None)
    assert [statement.split()[0] for statement in heard] == ["INSERT"]


def test_a_scan_sees_the_moment_of_its_call(backend: SqliteBackend) -> None:
    """What is written or removed after the call does not change an answer, however late it is read."""
    backend.write(Batch([stored(f"r{n}", MIDNIGHT + n) for n in range(100)]))
    scans = [backend.scan(EVERYTHING), backend.scan(Query(limit=None, where=field("data").exists()))]
    backend.write(Batch([stored("later", MIDNIGHT)], [Removal("r5")]))
    backend.delete(Query(start_date=MIDNIGHT + 50, limit=None))
    for scan in scans:
        assert len(list(scan)) == 100
    assert backend.count(EVERYTHING) == 50


def test_dropped_scans_give_their_connections_back(backend: SqliteBackend) -> None:
    """Scans that are closed, dropped or never begun hold nothing, and the log can be emptied."""
    backend.write(Batch([stored(f"r{n}", MIDNIGHT + n) for n in range(100)]))
    for _ in range(30):
        next(backend.scan(EVERYTHING))
        backend.scan(EVERYTHING)
        next(backend.scan(Query(where=field("data.x") == 1)), None)
    assert not backend._readers._leased
    assert len(backend._readers._idle) == 1
    assert backend._writer.checkpoint()
    assert backend.facts()["wal_bytes"] == 0


def test_threads_share_a_store(backend: SqliteBackend) -> None:
    """Eight threads write and read through one backend; nothing is lost, nothing is refused."""
    failed: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for n in range(40):
                backend.write(Batch([stored(f"t{thread}-{n}", n, context={"tags": [f"t{thread}"]})]))
                assert backend.get(f"t{thread}-{n}") is not None
                assert backend.count(Query(tags=[f"t{thread}"], limit=None)) == n + 1
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert backend.count(EVERYTHING) == 320


def test_a_refused_batch_changes_nothing(backend: SqliteBackend) -> None:
    """One stale record undoes the batch, names id and revisions, and the next batch goes in."""
    backend.write(Batch([stored("a", MIDNIGHT)]))
    before = content(backend)
    for batch in (
        Batch([stored("b", MIDNIGHT), stored("a", MIDNIGHT)]),
        Batch([stored("b", MIDNIGHT), stored("a", MIDNIGHT, 3)], [Removal("zzz")]),
        Batch([stored("a", MIDNIGHT, 2), stored("a", MIDNIGHT, 2)], [Removal("a", 7)]),
    ):
        with pytest.raises(ConflictError, match="'a' is at revision"):
            backend.write(batch)
        assert content(backend) == before
    backend.write(Batch([stored("a", MIDNIGHT, 2), stored("a", MIDNIGHT, 3)]))
    assert [record["_meta"]["revision"] for record in backend.history("a")] == [1, 2, 3]


def test_created_at_stays_that_of_the_first_revision(backend: SqliteBackend) -> None:
    """A further revision changes neither the second of creation nor the superseded row."""
    late = stored("a", MIDNIGHT, 2)
    late["_meta"]["recorded_at"] += 86_400_000_000
    backend.write(Batch([stored("a", MIDNIGHT)]))
    backend.write(Batch([late]))
    with closing(sqlite3.connect(backend.path)) as database:
        found = database.execute("SELECT created_at FROM patterns UNION ALL SELECT created_at FROM history")
        first = stored("a", MIDNIGHT)["_meta"]["recorded_at"] // 1_000_000
        assert found.fetchall() == [(first,), (first,)]


def test_what_no_json_holds_is_refused_whole(backend: SqliteBackend) -> None:
    """A value that cannot be encoded or bound leaves the store as it was and usable."""
    for broken in ({"v": {1, 2}}, {"v": 2**70}):
        with pytest.raises((TypeError, OverflowError)):
            backend.write(Batch([stored("ok", MIDNIGHT), stored("bad", MIDNIGHT, data=broken)]))
    with pytest.raises((TypeError, OverflowError, StoreError)):
        backend.write(Batch([stored("ok", MIDNIGHT), stored("bad", 2**70, context={"tags": ["x"]})]))
    assert content(backend) == []
    backend.write(Batch([stored("ok", MIDNIGHT)]))
    assert backend.count(EVERYTHING) == 1

"""The indexes lag behind the saves, and no question can tell."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.conditions import field
from moai_patterns.errors import DamageError
from moai_patterns.query import Query
from moai_patterns.testing.compare import agree
from moai_patterns.testing.pools import MIDNIGHT, stored
from stores import checked, index_all

pytestmark = pytest.mark.as_shipped

TAGS = ["x", "y", "z", "nul\0", ""]
QUESTIONS = [
    Query(tags=["x"]),
    Query(tags=["x"], limit=3),
    Query(tags=["y", "z"], order="oldest", limit=7),
    Query(tags=["x", "z"], order="arrival", limit=20),
    Query(tags=["nul\0", "y"]),
    Query(tags=["x"], revisions="all", limit=40),
    Query(tags=["y"], start_date=MIDNIGHT + 10, end_date=MIDNIGHT + 20, order="oldest"),
    Query(tags=["z"], ids=[f"r{n}" for n in range(50)]),
    Query(tags=["z", ""], pattern_type=["task_completion", "agent_usage"], limit=5),
    Query(tags=["nobody's"]),
    Query(),
    Query(limit=5),
    Query("task_completion", order="oldest", limit=9),
    Query(["task_completion", "agent_usage"], MIDNIGHT + 10, MIDNIGHT + 20),
    Query(revisions="all", order="oldest", limit=30),
    Query(where=field("data.duration_ms") >= 0, limit=20),
    Query(order="arrival", limit=20),
    Query(ids=[f"r{n}" for n in range(50)]),
]


def indexed(path: Path) -> int:
    """Up to which arrival number the indexes are complete."""
    with closing(sqlite3.connect(path)) as database:
        ((number,),) = database.execute("SELECT indexed FROM arrival")
        return int(number)


def same_answers(store: SqliteBackend, memory: MemoryBackend) -> None:
    """Each question, and what follows its first page."""
    for question in QUESTIONS:
        wanted = list(memory.scan(question))
        after = [question.but(cursor=question.cursor_after(record)) for record in wanted[2:3]]
        for query in (question, *after):
            agree(list(store.scan(query)), list(memory.scan(query)), str(query))
            assert store.count(query) == memory.count(query)


def test_indexed_or_not_a_record_is_found(tmp_path: Path) -> None:
    """Through saves, updates and removals each question has the answer of a store without any index."""
    chance, memory = Random(5), MemoryBackend()
    revisions: dict[str, int] = {}
    with checked(tmp_path / "patterns.db") as store:
        for number in range(600):
            name = f"r{chance.randrange(250)}"
            revisions[name] = revisions.get(name, 0) + 1
            tags = chance.sample(TAGS, chance.randrange(4))
            record = stored(name, MIDNIGHT + chance.randrange(50), revisions[name], context={"tags": tags})
            gone = [chance.choice([one for one in revisions if one != name])] if number % 9 == 8 else []
            for identity in gone:
                del revisions[identity]
            for backend in (store, memory):
                backend.write(Batch([record], [Removal(identity) for identity in gone]))
            if number % 60 == 59:
                same_answers(store, memory)
        assert 384 <= indexed(tmp_path / "patterns.db") < 600
        assert store.delete(QUESTIONS[0]) == memory.delete(QUESTIONS[0])
        same_answers(store, memory)


@pytest.mark.parametrize("size", [1, 100, 1000])
def test_one_save_in_so_many_brings_the_indexes_up_to_date(tmp_path: Path, size: int) -> None:
    """However the records come, fewer than 64 of them, or one batch, wait for the index."""
    path = tmp_path / "patterns.db"
    with checked(path) as store:
        records = [stored(f"r{n}", MIDNIGHT + n, context={"tags": ["x", "y"]}) for n in range(2000)]
        for start in range(0, 2000, size):
            store.write(Batch(records[start : start + size]))
            assert start + size - indexed(path) < 64
        store.reclaim()
        assert indexed(path) == 2000
        assert store.count(Query(tags=["y"])) == 2000


def test_what_gets_into_the_indexes_meanwhile_is_found(tmp_path: Path) -> None:
    """While somebody asks, one save in so many moves what waits; each answer has it once all the same."""
    path = tmp_path / "patterns.db"
    with closing(SqliteBackend(str(path))) as store, closing(SqliteBackend(str(path))) as other:
        store.write(Batch([stored(f"r{n}", MIDNIGHT + n) for n in range(9)]))
        connection = store._readers._lease()
        store._readers._give_back(connection)
        moved: list[str] = []

        def moving(statement: str) -> None:
            if "UNION" not in statement and "ORDER BY" in statement and not moved:
                moved.append(statement)
                other.reclaim()

        connection.connection.set_trace_callback(moving)
        assert len(list(store.scan(Query()))) == 9
        connection.connection.set_trace_callback(None)
        assert moved
        assert indexed(path) == 9


@pytest.mark.parametrize("wrong", ["indexed + 3", "indexed + 100", "indexed - 3", "'x'"])
def test_a_damaged_number_of_what_is_indexed_is_named(tmp_path: Path, wrong: str) -> None:
    """Where rows and the number do not agree, no answer is given that may lack a record, or have it twice."""
    path = tmp_path / "patterns.db"
    with closing(SqliteBackend(str(path))) as store:
        for start in (0, 20):
            store.write(Batch([stored(f"r{n}", MIDNIGHT + n) for n in range(start, start + 20)]))
            if not start:
                store.reclaim()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE arrival SET indexed = {wrong}")
    with closing(SqliteBackend(str(path))) as store:
        for act in (store.scan, store.count, store.delete):
            with pytest.raises(DamageError, match="arrival"):
                list(act(Query()))  # type: ignore[arg-type]
        assert any("arrival" in problem.place for problem in store.check())
        store.repair()
        assert store.count(Query()) == 40
        assert store.check(read_data=True) == []


def test_a_damaged_row_that_waits_is_named(tmp_path: Path) -> None:
    """Nobody knows when it was or which tags it had, so no question and no removal passes over it."""
    path = tmp_path / "patterns.db"
    with closing(SqliteBackend(str(path))) as store:
        store.write(Batch([stored(f"r{n}", MIDNIGHT + n, context={"tags": ["x"]}) for n in range(9)]))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("""UPDATE patterns SET context = '{"tags":["y"]}' WHERE pattern_id = 'r7'""")
    with closing(SqliteBackend(str(path))) as store:
        for act in (store.scan, store.count, store.delete):
            for question in (Query(tags=["x"]), Query(start_date=MIDNIGHT + 8)):
                with pytest.raises(DamageError, match=r"seq 8 \(id 'r7'\)"):
                    list(act(question))  # type: ignore[arg-type]
        store.reclaim()
        assert indexed(path) == 7
        with pytest.raises(DamageError, match="r7"):
            list(store.scan(Query(tags=["x"])))
        assert len(list(store.scan(Query(ids=["r8"])))) == 1
        store.repair()
        assert store.count(Query(tags=["x"])) == 8
        assert indexed(path) == 9


def test_a_save_does_not_fail_with_the_index(tmp_path: Path) -> None:
    """What was saved is saved; the index is brought up to date by a later one."""
    path = tmp_path / "patterns.db"
    with checked(path) as store:
        store.write(Batch([stored(f"r{n}", MIDNIGHT + n, context={"tags": ["x"]}) for n in range(62)]))
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(
                "CREATE TRIGGER refusing BEFORE UPDATE ON arrival BEGIN SELECT raise(ABORT, 'no'); END"
            )
        store.write(Batch([stored("last", MIDNIGHT, context={"tags": ["x"]})]))
        assert indexed(path) == 0
        assert store.count(Query(tags=["x"])) == 63
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("DROP TRIGGER refusing")
        index_all(store)
        assert indexed(path) == 63

"""Damage in an SQLite store: every question names the row, check names them all and goes on."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from moai_patterns.backends.base import Batch
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.conditions import field
from moai_patterns.errors import DamageError
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored
from stores import filled_database

EVERYTHING = Query(limit=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be made."""
    return tmp_path / "patterns.db"


@pytest.fixture
def filled(path: Path) -> Path:
    """A closed database with a head, its superseded revision and tags."""
    return filled_database(path)


DAMAGES: dict[str, tuple[str, str]] = {
    "a letter in a text": ("UPDATE patterns SET data = '{\"v\": 1}' WHERE pattern_id = 'r7'", "r7"),
    "a text that is no JSON": ("UPDATE patterns SET context = '{' WHERE pattern_id = 'r7'", "r7"),
    "a moved instant": ("UPDATE patterns SET instant = instant + 1 WHERE pattern_id = 'r7'", "r7"),
    "a lost tag": ("DELETE FROM tags WHERE tag = 'z'", "'z'"),
    "a stray tag": ("INSERT INTO tags VALUES ('stray', 1, 1)", "stray"),
    "a tag too many": ("INSERT INTO tags SELECT 'more', instant, seq FROM patterns LIMIT 1", "tags"),
    "a lost revision": ("DELETE FROM history", "r1"),
    "a lost head": ("DROP TRIGGER patterns_removed; DELETE FROM patterns WHERE revision = 2", "history 'r1'"),
    "a lost trigger": ("DROP TRIGGER patterns_superseded", "trigger patterns_superseded"),
    "a lost index": ("DROP INDEX patterns_by_kind", "index patterns_by_kind"),
    "another column": ("ALTER TABLE tags ADD COLUMN more", "table tags"),
    "a text that is no UTF-8": ("UPDATE patterns SET data = CAST(x'ff' AS TEXT) WHERE seq = 8", "row 8"),
    "an id that is no UTF-8": (
        "UPDATE patterns SET pattern_id = CAST(x'ff' AS TEXT) WHERE revision = 2",
        "revision 2",
    ),
    "an instant that is a text": ("UPDATE patterns SET instant = 'zz' WHERE pattern_id = 'r7'", "r7"),
    "a kind that is bytes": ("UPDATE patterns SET pattern_type = x'ff' WHERE pattern_id = 'r7'", "r7"),
    "a revision that is a text": ("UPDATE history SET revision = 'zz'", "history row"),
    "tags counted as indexed that are not": ("UPDATE arrival SET indexed = 64", "arrival"),
    "indexed tags that count as none": ("UPDATE arrival SET indexed = 3", "tags"),
    "an arrival that is a text": ("UPDATE arrival SET highest_removed = 'zz'", "arrival"),
    "an arrival beyond all": ("UPDATE arrival SET highest_removed = 9223372036854775807", "arrival"),
    "a lost arrival": ("DELETE FROM arrival", "arrival"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_check_names_what_is_wrong(filled: Path, damage: str) -> None:
    """Whatever does not fit is found with its table and row, or its trigger or index."""
    script, place = DAMAGES[damage]
    with closing(sqlite3.connect(filled)) as database:
        database.executescript(script)
    with closing(SqliteBackend(str(filled))) as store:
        found = store.check(read_data=True)
        assert any(place in problem.place + problem.sentence for problem in found), found
        assert all(str(filled) in problem.place for problem in found)
        assert not any("moai-patterns check" in problem.sentence for problem in found)
        assert not any(str(filled) in problem.sentence for problem in found)


MISFITS = (
    "data = CAST(x'ff' AS TEXT)",
    "instant = 'zz'",
    "instant = -4611686018427387904",
    "pattern_type = x'ff'",
)


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_row_that_does_not_fit_is_named_by_every_question(filled: Path, misfit: str) -> None:
    """Reading all rows and counting days raise DamageError with the row; check goes on to other findings."""
    with closing(sqlite3.connect(filled)) as database, database:
        database.execute(f"UPDATE patterns SET {misfit} WHERE pattern_id = 'r7'")
        database.execute("UPDATE patterns SET data = '1' WHERE pattern_id = 'r9'")
    with closing(SqliteBackend(str(filled))) as store:
        questions: list[Callable[[], object]] = [lambda: list(store.scan(Query(ids=["r7"]))), store.days]
        for ask in questions[: 1 if "data" in misfit else 2]:
            with pytest.raises(DamageError, match=r"seq 8 \(id 'r7'\).*check --read-data"):
                ask()
        places = [problem.place for problem in store.check(read_data=True)]
        assert any("'r7'" in place for place in places)
        assert any("'r9'" in place for place in places)
        assert store.get("r8") is not None


@pytest.mark.parametrize("arrival", ["'zz'", "9223372036854775807"])
def test_a_save_says_that_the_arrival_number_is_damaged(filled: Path, arrival: str) -> None:
    """No id is called taken because of a number that the store keeps for itself."""
    with closing(sqlite3.connect(filled)) as database, database:
        database.execute(f"UPDATE arrival SET highest_removed = {arrival}")
    with closing(SqliteBackend(str(filled))) as store:
        new = stored("new", MIDNIGHT)
        for batch in ([stored("r2", MIDNIGHT, 2)], [new], [new, stored("newer", MIDNIGHT)]):
            with pytest.raises(DamageError, match="check --read-data"):
                store.write(Batch(batch))


def test_a_damaged_schema_is_named(filled: Path) -> None:
    """A byte of the schema that is no UTF-8 is damage for every question, and a finding of check."""
    written = filled.read_bytes()
    filled.write_bytes(
        written.replace(b"CREATE INDEX history_by_kind ON h", b"CREATE INDEX history_by_kind O\xff h")
    )
    with closing(SqliteBackend(str(filled))) as store:
        with pytest.raises(DamageError, match="schema"):
            store.get("r7")
        assert any("schema" in problem.sentence for problem in store.check())


def test_a_changed_text_is_never_returned(filled: Path) -> None:
    """Reading a row that is not as it was written raises DamageError with its id; others stay readable."""
    with closing(sqlite3.connect(filled)) as database, database:
        database.execute("UPDATE patterns SET data = '{\"v\": 1}' WHERE pattern_id = 'r7'")
    with closing(SqliteBackend(str(filled))) as store:
        with pytest.raises(DamageError, match="'r7'"):
            store.get("r7")
        with pytest.raises(DamageError, match="'r7'"):
            list(store.scan(EVERYTHING))
        assert store.get("r8") is not None


def scramble(path: Path, index: str, before: bytes, after: bytes) -> None:
    """Change an entry of an index, whose page stays in order."""
    with closing(sqlite3.connect(path)) as database:
        ((page,),) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (index,))
    content = bytearray(path.read_bytes())
    place = content.index(before, (page - 1) * 4096, page * 4096)
    content[place : place + len(before)] = after
    path.write_bytes(content)


def test_a_scrambled_index_is_found(filled: Path) -> None:
    """An index entry whose row says something else is a finding, though every page is in order."""
    scramble(filled, "patterns_by_time", b"r33", b"r3x")
    with closing(SqliteBackend(str(filled))) as store:
        assert any("patterns_by_time" in problem.sentence for problem in store.check())


def test_a_record_of_another_id_is_no_answer(filled: Path) -> None:
    """An entry of the ids that leads to another record is damage: that is not returned and not removed."""
    with closing(sqlite3.connect(filled)) as database, database:
        database.execute("DELETE FROM patterns WHERE pattern_id = 'r32'")
    scramble(filled, "sqlite_autoindex_patterns_1", b"r33", b"r32")
    scramble(filled, "sqlite_autoindex_history_1", b"r1", b"r0")
    with closing(SqliteBackend(str(filled))) as store:
        asked = Query(ids=["r32"], limit=None)
        for ask in (lambda: store.get("r32"), lambda: list(store.scan(asked)), lambda: store.history("r0")):
            with pytest.raises(DamageError, match=r"seq (34|2)\b"):
                ask()
        assert store.delete(asked) == 0
        assert len([record for record in store.scan(EVERYTHING) if record["pattern_id"] == "r33"]) == 1
        assert any("autoindex_patterns" in problem.sentence for problem in store.check())


def test_a_removal_goes_by_the_rows(filled: Path) -> None:
    """What only a damaged index says is of the tag, the kind or the time that is to be removed stays."""
    with closing(sqlite3.connect(filled)) as database, database:
        database.execute("INSERT INTO tags SELECT 'more', instant, seq FROM patterns WHERE pattern_id = 'r8'")
    scramble(filled, "patterns_by_kind", b"task_completion", b"task_completioo")
    first, last = ((MIDNIGHT + n).to_bytes(8, "big") + b"r59" for n in (59, 10_000))
    scramble(filled, "patterns_by_time", first, last)
    with closing(SqliteBackend(str(filled))) as store:
        assert store.delete(Query(tags=["more"])) == 0
        assert store.delete(Query("task_completioo")) == 0
        assert store.delete(Query(start_date=MIDNIGHT + 9_000)) == 0
        assert len(list(store.scan(Query(order="arrival")))) == 60


def test_a_record_without_the_tag_is_no_answer(filled: Path) -> None:
    """An entry of the tags that names another record is damage with its place, and not believed."""
    with closing(sqlite3.connect(filled)) as database, database:
        database.execute("INSERT INTO tags SELECT 'more', instant, seq FROM patterns WHERE pattern_id = 'r8'")
    with closing(SqliteBackend(str(filled))) as store:
        with pytest.raises(DamageError, match="does not answer the question"):
            list(store.scan(Query(tags=["more"])))
        assert store.get("r8") is not None


def test_a_record_that_an_index_names_twice_is_damage(filled: Path) -> None:
    """An entry that has become one of another tag does not bring its record in a second time."""
    moment = (MIDNIGHT + 59).to_bytes(8, "big")
    scramble(filled, "tags", b"x" + moment, b"y" + moment)
    with closing(SqliteBackend(str(filled))) as store:
        for query in (Query(tags=["y"]), Query(tags=["y"], where=field("data").exists())):
            with pytest.raises(DamageError, match=r"names a record twice.*seq 60\b"):
                list(store.scan(query))
        assert any("tags" in problem.place for problem in store.check(read_data=True))


@pytest.mark.parametrize("left", [0, 1])
def test_a_store_that_was_cut_off_to_nothing_is_damage(filled: Path, left: int) -> None:
    """An empty file is as good as none, but not where a store was: that must not begin anew in silence."""
    begin = filled.read_bytes()[:left]
    filled.write_bytes(begin)
    with closing(SqliteBackend(str(filled))) as store:
        batch = Batch([stored("new", MIDNIGHT)])
        for act in (lambda: store.get("r1"), lambda: store.write(batch), lambda: store.count(EVERYTHING)):
            with pytest.raises(DamageError, match="cut off"):
                act()
        assert [problem.place for problem in store.check()] == [str(filled)]
        with pytest.raises(DamageError, match="bring it back from a backup"):
            store.repair()
    assert filled.read_bytes() == begin
    shutil.rmtree(f"{filled}.reserve")
    if left:
        with closing(SqliteBackend(str(filled))) as store, pytest.raises(DamageError, match="one byte"):
            store.write(batch)
        assert filled.read_bytes() == begin
        filled.unlink()
    with closing(SqliteBackend(str(filled))) as store:
        store.write(batch)
        assert store.count(EVERYTHING) == 1


def test_rows_that_have_lost_their_numbers_are_named(filled: Path) -> None:
    """A bit of the schema makes the arrival number a column like others; check and every question say so."""
    with closing(sqlite3.connect(filled)) as database, database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'seq INTEGER PRIMARY', 'seq INTEGEZ PRIMARY')"
            " WHERE name = 'patterns'"
        )
    with closing(SqliteBackend(str(filled))) as store:
        assert any("has no arrival number" in problem.sentence for problem in store.check(read_data=True))
        for ask in (lambda: list(store.scan(EVERYTHING)), lambda: store.get("r1")):
            with pytest.raises(DamageError, match="check --read-data"):
                ask()


def test_damage_that_is_everywhere_is_summed_up(path: Path) -> None:
    """A thousand findings of a kind are listed, the rest is counted."""
    with closing(SqliteBackend(str(path))) as store:
        store.write(Batch([stored(f"r{n}", MIDNIGHT) for n in range(1200)]))
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE patterns SET data = '[]'")
        found = store.check(read_data=True)
        assert len(found) == 1001
        assert "200 further" in found[-1].sentence
        assert store.check() == []

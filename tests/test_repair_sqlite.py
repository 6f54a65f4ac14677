"""`repair` on a database: rows that are whole stay, what is taken out is kept, the rest is made anew."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.errors import DamageError
from moai_patterns.query import Query, Record
from moai_patterns.testing.pools import MIDNIGHT, stored
from stores import contents, index_all

EVERYTHING = Query(limit=None, order="oldest", revisions="all")
HEADS = Query(limit=None, order="oldest")
IDS = [f"r{n}" for n in range(300)]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a closed database before anything happened to it."""
    place = tmp_path_factory.mktemp("pristine") / "store"
    with closing(SqliteBackend(str(place / "p.db"))) as store:
        tags = {"tags": ["x", "y"]}
        data = {"text": "x" * 300}
        store.write(
            Batch([stored(name, MIDNIGHT + n, data=data, context=tags) for n, name in enumerate(IDS)])
        )
        for revision in (2, 3):
            changed = [stored(f"r{n}", MIDNIGHT + n, revision, context={"tags": ["z"]}) for n in range(40)]
            store.write(Batch(changed))
        store.write(Batch(remove=[Removal(f"r{n}") for n in (38, 39, 299)]))
        index_all(store)
    return place


@pytest.fixture
def path(pristine: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(pristine, tmp_path / "store")) / "p.db"


def revisions(store: SqliteBackend, query: Query = EVERYTHING) -> dict[tuple[str, int], Record]:
    """What a scan yields, each revision once."""
    found: dict[tuple[str, int], Record] = {}
    for record in store.scan(query):
        key = (record["pattern_id"], record["_meta"]["revision"])
        assert key not in found
        found[key] = record
    return found


def check_repaired(path: Path, pristine: Path, lost: int | None) -> None:
    """What is there is right, not more is gone than was told, and the database works again."""
    with closing(SqliteBackend(str(pristine / "p.db"))) as store:
        right = revisions(store)
    with closing(SqliteBackend(str(path))) as store:
        found = revisions(store)
        assert {key for key in found if found[key] != right.get(key)} == set()
        assert lost is None or len(right) - len(found) <= lost
        newest = {identity: max(r for i, r in found if i == identity) for identity, _ in found}
        assert revisions(store, HEADS).keys() == set(newest.items())
        for tag in ("x", "y", "z"):
            tagged = [k for k, record in found.items() if tag in record["context"]["tags"]]
            answer = revisions(store, Query(limit=None, tags=[tag], revisions="all"))
            assert sorted(answer) == sorted(tagged)
        assert all("quarantine" in problem.place for problem in store.check(read_data=True))
        before = contents(path.parent)
        assert store.repair() == []
        assert contents(path.parent) == before
        numbers = {record["_meta"]["seq"] for record in right.values()}
        for identity in IDS:
            store.write(Batch([stored(identity, MIDNIGHT, newest.get(identity, 0) + 1)]))
            head = store.get(identity)
            assert head is not None
            assert head["_meta"]["seq"] not in numbers
        assert store.delete(Query(end_date=MIDNIGHT + 1000)) == len(IDS)
        assert all("quarantine" in problem.place for problem in store.check(read_data=True))
        assert list(store.scan(EVERYTHING)) == []


def mended(path: Path, pristine: Path) -> int | None:
    """Repair a database, look at it, and return how many records are told to be lost."""
    with closing(SqliteBackend(str(path))) as store:
        before = contents(path.parent)
        planned = store.repair(dry_run=True)
        assert contents(path.parent) == before
        told = store.repair()
        assert bool(planned) == bool(told)
        kept = [repair.quarantined for repair in told if repair.quarantined]
        assert all(Path(place).exists() for place in kept)
    lost = [repair.lost for repair in told]
    number = None if None in lost else sum(filter(None, lost))
    check_repaired(path, pristine, number)
    return number


DAMAGES: dict[str, tuple[str, int]] = {
    "a letter in a text": ("UPDATE patterns SET data = '{\"v\": 1}' WHERE pattern_id = 'r77'", 1),
    "a text that is no JSON": ("UPDATE patterns SET context = '{' WHERE pattern_id = 'r77'", 1),
    "a moved instant": ("UPDATE patterns SET instant = instant + 1 WHERE pattern_id = 'r77'", 1),
    "a lost tag": ("DELETE FROM tags WHERE tag = 'z'", 0),
    "a stray tag": ("INSERT INTO tags VALUES ('stray', 1, 1)", 0),
    "a tag too many": ("INSERT INTO tags SELECT 'more', instant, seq FROM patterns LIMIT 1", 0),
    "a lost revision": ("DELETE FROM history WHERE pattern_id = 'r1' AND revision = 2", 1),
    "lost heads": ("DROP TRIGGER patterns_removed; DELETE FROM patterns WHERE revision = 3", 38),
    "a damaged head": ("UPDATE patterns SET data = '1' WHERE pattern_id = 'r2'", 1),
    "damaged heads and history": ("UPDATE patterns SET data = '1'; UPDATE history SET data = '2'", 373),
    "a lost trigger": ("DROP TRIGGER patterns_superseded", 0),
    "another trigger": (
        "DROP TRIGGER history_removed; CREATE TRIGGER history_removed DELETE ON tags BEGIN SELECT 1; END",
        0,
    ),
    "a lost index": ("DROP INDEX patterns_by_kind", 0),
    "another index": ("DROP INDEX patterns_by_time; CREATE INDEX patterns_by_time ON patterns (seq)", 0),
    "another column": ("ALTER TABLE tags ADD COLUMN more", 0),
    "another column of records": ("ALTER TABLE patterns ADD COLUMN more", 0),
    "no tags": ("DROP TABLE tags", 0),
    "no history": ("DROP TABLE history", 74),
    "a text that is no UTF-8": ("UPDATE patterns SET data = CAST(x'ff' AS TEXT) WHERE seq = 80", 1),
    "an id that is no UTF-8": (
        "UPDATE patterns SET pattern_id = CAST(x'ff' AS TEXT) WHERE pattern_id = 'r1'",
        2,  # nothing tells that this row is the head that the history lacks
    ),
    "ids that are no UTF-8": (
        """UPDATE patterns SET pattern_id = CAST(x'ff' AS TEXT) WHERE pattern_id = 'r1';
        UPDATE history SET pattern_id = CAST(x'ff' AS TEXT) WHERE pattern_id = 'r1'""",
        3,
    ),
    "an instant that is a text": ("UPDATE patterns SET instant = 'zz' WHERE pattern_id = 'r77'", 1),
    "a kind that is bytes": ("UPDATE patterns SET pattern_type = x'ff' WHERE pattern_id = 'r77'", 1),
    "a revision that is a text": ("UPDATE history SET revision = 'zz' WHERE seq = 2", 1),
    "an arrival that is a text": ("UPDATE arrival SET highest_removed = 'zz'", 0),
    "an arrival beyond all": ("UPDATE arrival SET highest_removed = 9223372036854775807", 0),
    "tags counted as indexed that are not": ("UPDATE arrival SET indexed = indexed + 5", 0),
    "indexed tags that count as none": ("UPDATE arrival SET indexed = 3", 0),
    "a lost arrival": ("DELETE FROM arrival", 0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_does_not_fit_is_mended(path: Path, pristine: Path, damage: str) -> None:
    """Damaged rows leave, everything else stays, and what can be made anew is."""
    script, lost = DAMAGES[damage]
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)
    assert mended(path, pristine) in (lost, None)


def pages(path: Path) -> int:
    """How many pages a database has."""
    return path.stat().st_size // 4096


def scrambled(page: int) -> Callable[[bytes], bytes]:
    """Put something else into a page."""
    return lambda raw: raw[: page * 4096] + b"scramble" * 512 + raw[(page + 1) * 4096 :]


def flipped(at: int) -> Callable[[bytes], bytes]:
    """Flip a bit."""
    return lambda raw: raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1 :]


@pytest.mark.parametrize("page", range(1, 60, 3))
def test_a_scrambled_page_costs_what_was_in_it(path: Path, pristine: Path, page: int) -> None:
    """A page that is none any more is left out; all others give their rows to a new database."""
    assert page < pages(path)
    path.write_bytes(scrambled(page)(path.read_bytes()))
    try:
        lost = mended(path, pristine)
    except DamageError as error:
        assert "no row of it can be read" in str(error)  # noqa: PT017
        assert not path.with_name("p.db-quarantine").exists()
        return
    assert lost is None or lost <= 373


@pytest.mark.parametrize("size", [211_456, 180_000, 122_880, 8_192])
def test_a_database_that_was_cut_off_gives_what_is_left(path: Path, pristine: Path, size: int) -> None:
    """The rows before the cut stay, and no arrival number of those behind it is given again."""
    path.write_bytes(path.read_bytes()[:size])
    try:
        mended(path, pristine)
    except DamageError as error:
        assert "no row of it can be read" in str(error)  # noqa: PT017
        assert size == 8_192


def test_what_is_in_the_log_of_a_killed_process_stays(pristine: Path, tmp_path: Path) -> None:
    """Commits that only the write-ahead log holds come into the new database, without the old log."""
    place = tmp_path / "killed"
    with closing(SqliteBackend(str(pristine / "p.db"))) as store:
        right = revisions(store)
    shutil.copytree(pristine, tmp_path / "store")
    with closing(SqliteBackend(str(tmp_path / "store" / "p.db"))) as store:
        store.write(Batch([stored("late", MIDNIGHT, context={"tags": ["x"]})]))
        shutil.copytree(tmp_path / "store", place)
    path = place / "p.db"
    raw = path.read_bytes()
    page = raw.index(b"x" * 300) // 4096
    path.write_bytes(scrambled(page)(raw))
    with closing(SqliteBackend(str(path))) as store:
        told = store.repair()
        found = revisions(store)
        assert any("replaced by a new database" in repair.sentence for repair in told)
        assert ("late", 1) in found
        assert found.keys() - right.keys() == {("late", 1)}
        assert all("quarantine" in problem.place for problem in store.check(read_data=True))
        assert store.repair() == []

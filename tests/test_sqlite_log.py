"""The log that a killed process has left: commits behind damage are gone, and `check` says so."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from moai_patterns import PatternStorage
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.query import Query
from samples import sample

IDS = [f"id-{number}" for number in range(5)]


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A database with a log of five commits, as a killed process leaves them."""
    with PatternStorage("sqlite", tmp_path / "a") as storage:
        for identity in IDS:
            storage.save(sample(identity))
        for suffix in ("", "-wal"):
            shutil.copyfile(tmp_path / f"a.db{suffix}", tmp_path / f"left.db{suffix}")
    return tmp_path / "left.db"


@pytest.mark.parametrize(
    ("at", "words"),
    [(3, "its header"), (20, "its header"), (60, "frame 1 "), (32 + 4120 * 2 + 10, "frame 3 ")],
    ids=["magic", "salt", "first page", "salt of a frame"],
)
def test_lost_commits_are_named(left: Path, at: int, words: str) -> None:
    """A bit in the log loses what was committed behind it, which only a full check names."""
    path = left.with_name("left.db-wal")
    stored = bytearray(path.read_bytes())
    stored[at] ^= 1
    path.write_bytes(stored)

    with PatternStorage("sqlite", left) as storage:
        assert storage.count() < len(IDS)
        (problem,) = storage.check(read_data=True)
        assert problem.place == str(path)
        assert words in problem.sentence
        assert storage.check() == []


def test_a_sound_or_torn_log_is_no_finding(left: Path) -> None:
    """What a kill leaves, whole or cut anywhere, is in order; so is a log that was started anew."""
    path = left.with_name("left.db-wal")
    whole, database = path.read_bytes(), left.read_bytes()
    for end in (len(whole), len(whole) - 1, len(whole) - 5000, 4200, 40, 20, 0):
        left.write_bytes(database)
        path.write_bytes(whole[:end])
        with PatternStorage("sqlite", left) as storage:
            assert storage.check(read_data=True) == []
            storage.save(sample("more"))
            assert storage.check(read_data=True) == []


@pytest.fixture
def damaged(left: Path) -> tuple[Path, bytes]:
    """The database whose log has a flipped bit behind its first commit, and the bytes of that log."""
    path = left.with_name("left.db-wal")
    stored = bytearray(path.read_bytes())
    frames = range(32, len(stored), 4120)
    first = next(number for number, at in enumerate(frames, 1) if any(stored[at + 4 : at + 8]))
    stored[frames[first] + 60] ^= 1
    path.write_bytes(stored)
    return left, bytes(stored)


@pytest.mark.parametrize("act", ["count", "check", "plan", "empty"])
def test_lost_commits_are_kept_whatever_comes_first(damaged: tuple[Path, bytes], act: str) -> None:
    """Before the log is emptied by the last that closes, or by a checkpoint, what is in it is set aside."""
    path, log = damaged
    with closing(SqliteBackend(str(path))) as store:
        if act == "check":
            (problem,) = store.check(read_data=True)
            assert problem.place == f"{path}-wal"
        elif act == "plan":
            (plan,) = store.repair(dry_run=True)
            assert "is damaged: the commits behind it do not count" in plan.sentence
            assert plan.lost is None
        elif act == "empty":
            store.reclaim()
        else:
            assert store.count(Query(limit=None)) < len(IDS)
        kept = Path(f"{path}-quarantine", "left.db-wal")
        assert kept.exists() == (act == "empty")
    assert not Path(f"{path}-wal").exists()
    assert kept.read_bytes() == log
    with closing(SqliteBackend(str(path))) as store:
        assert [problem.place for problem in store.check(read_data=True)] == [str(kept)]
        assert store.repair() == []


def test_a_repair_keeps_the_log_and_empties_it(damaged: tuple[Path, bytes]) -> None:
    """What is told once is found no more, in the same process too."""
    path, log = damaged
    with closing(SqliteBackend(str(path))) as store:
        (told,) = store.repair()
        assert Path(told.quarantined).read_bytes() == log
        assert [problem.place for problem in store.check(read_data=True)] == [told.quarantined]
        assert store.repair() == []


def test_what_new_commits_leave_of_the_log_is_kept(damaged: tuple[Path, bytes]) -> None:
    """A save stands in the place of the first commits that were lost; those behind it are kept."""
    path, log = damaged
    with PatternStorage("sqlite", path) as storage:
        storage.save(sample("new"))
    kept = Path(f"{path}-quarantine", "left.db-wal").read_bytes()
    assert kept[-4120:] == log[-4120:]


def test_a_sound_log_is_not_kept(left: Path) -> None:
    """Nothing is set aside of a log that is whole, nor while another has the database open."""
    with PatternStorage("sqlite", left), PatternStorage("sqlite", left) as storage:
        assert storage.count() == len(IDS)
    assert not Path(f"{left}-quarantine").exists()

"""The log that a killed process has left: commits behind damage are gone, and `check` says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from moai_patterns import PatternStorage
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

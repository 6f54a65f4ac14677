"""Where ageing stops: at what was not planned, not copied, not over, or not by a clock that is right."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moai_patterns import PatternStorage, Policy, RetentionError
from moai_patterns.backends.base import Batch
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored
from samples import sample

NOW = datetime(2026, 3, 1, 15, 30, tzinfo=UTC)
BACKENDS = ["memory", "filesystem", "sqlite"]


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return int(self.now.timestamp()) * 1_000_000_000


def days_ago(days: float) -> str:
    return (NOW - timedelta(days=days)).isoformat()


def opened(backend: str, path: Path, clock: Clock | None = None) -> PatternStorage:
    return PatternStorage(backend, path, clock=clock or Clock(), maintenance_interval=None)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_kind_that_was_not_planned_stops_the_removal(tmp_path: Path, backend: str) -> None:
    """A plan lists kinds and days: what it says nothing of does not go with the rest."""
    with opened(backend, tmp_path / "store") as storage:
        storage.save(sample("old", days_ago(400)))
        plan = storage.plan(policy=Policy(None, 90))
        storage.save(
            {
                "pattern_id": "late",
                "pattern_type": "hook_event",
                "timestamp": days_ago(400),
                "data": {"event": "Stop"},
            }
        )
        with pytest.raises(RetentionError, match="plan again"):
            storage.apply(plan)
        assert storage.count() == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_clock_that_is_wrong_by_the_time_of_the_removal_stops_it(tmp_path: Path, backend: str) -> None:
    """A plan that was made by a right clock is not applied by one that stands before the newest record."""
    clock = Clock()
    with opened(backend, tmp_path / "store", clock) as storage:
        storage.save_many([sample("old", days_ago(400)), sample("new", days_ago(1))])
        plan = storage.plan(policy=Policy(None, 90))
        clock.now -= timedelta(days=2)
        with pytest.raises(RetentionError, match="behind the newest record"):
            storage.apply(plan)
        assert storage.count() == 2


def test_a_day_that_is_not_over_is_not_compacted(tmp_path: Path) -> None:
    """With a threshold of no days at all everything up to yesterday is compacted, and nothing of today."""
    with opened("filesystem", tmp_path / "store") as storage:
        storage.save_many([sample("yesterday", days_ago(1)), sample("today", days_ago(0.01))])
        plan = storage.plan(policy=Policy(0))
        assert plan.compact == ((plan.now // DAY) - 1,)


@pytest.mark.parametrize("target", ["memory", "sqlite"])
def test_compacted_days_are_in_the_archive_too(tmp_path: Path, target: str) -> None:
    """Days that could go without being read are read all the same when there is an archive."""
    with opened("filesystem", tmp_path / "store") as storage, opened(target, tmp_path / "archive") as archive:
        storage.save_many(sample(f"p{n}", days_ago(400)) for n in range(3))
        assert storage.compress_old_files() == 3
        storage.apply(storage.plan(policy=Policy(None, 90)), archive=archive)
        assert (storage.count(), archive.count()) == (0, 3)


def test_whole_days_go_only_as_they_were_counted(tmp_path: Path) -> None:
    """A compacted day with more records than somebody has counted is left to be read."""
    with closing(FilesystemBackend(str(tmp_path / "tree"))) as store:
        store.write(Batch([stored("a", MIDNIGHT), stored("b", MIDNIGHT)]))
        store.compact([MIDNIGHT // DAY])
        assert store.drop_days({MIDNIGHT // DAY: 1}) == 0
        assert store.count(Query(limit=None)) == 2
        assert store.drop_days({MIDNIGHT // DAY: 2}) == 2
        assert store.count(Query(limit=None)) == 0

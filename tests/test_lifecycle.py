"""Ageing: plans, compaction, retention, archives, and maintenance by itself."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moai_patterns import PatternStorage, Policy, RetentionError
from moai_patterns.backends import fileops
from moai_patterns.backends.base import Batch
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.instant import DAY, instant
from moai_patterns.lifecycle import Outcome, Plan, cutoff
from samples import sample

NOW = datetime(2026, 3, 1, 15, 30, tzinfo=UTC)


class Clock:
    """A clock that the test sets."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return int(self.now.timestamp()) * 1_000_000_000


def days_ago(days: float) -> str:
    """A timestamp so many days before now."""
    return (NOW - timedelta(days=days)).isoformat()


def fill(storage: PatternStorage) -> None:
    """Records of today and of 10, 40, 100 and 400 days ago."""
    storage.save_many(sample(f"p{days}", days_ago(days)) for days in (0, 10, 40, 100, 400))


@pytest.fixture(params=["memory", "filesystem", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PatternStorage]:
    """A storage with five records of different ages on each backend, checked at the end."""
    with PatternStorage(request.param, tmp_path / "patterns", clock=Clock()) as opened:
        fill(opened)
        yield opened
        assert opened.check(read_data=True) == []


def ids(storage: PatternStorage) -> set[str]:
    """The ids in a storage."""
    return {record["pattern_id"] for record in storage.iter()}


def test_nothing_expires_by_default(storage: PatternStorage) -> None:
    """An omitted retention shows 90 and is no policy by itself."""
    assert storage.config.retention_days == 90
    assert storage.plan().cutoff is None
    outcome = storage.maintain()

    assert outcome is not None
    assert outcome.expired == 0
    assert storage.count() == 5


def test_retention_removes_what_lies_before_a_utc_midnight(storage: PatternStorage) -> None:
    """delete_old_patterns returns how many went; its default is the configured number of days."""
    assert storage.delete_old_patterns() == 2
    assert ids(storage) == {"p0", "p10", "p40"}
    assert storage.delete_old_patterns(40) == 0
    assert storage.delete_old_patterns(39) == 1
    assert storage.delete_old_patterns(0) == 1
    assert ids(storage) == {"p0"}


def test_the_cutoff_is_exact(storage: PatternStorage) -> None:
    """The first microsecond of the oldest kept day stays, the one before goes."""
    edge = cutoff(instant(NOW.isoformat()), 5)
    assert edge % DAY == 0
    storage.save(sample("kept", "2026-02-24T00:00:00Z"))
    storage.save(sample("gone", "2026-02-23T23:59:59.999999Z"))
    storage.save(sample("east", "2026-02-24T05:00:00+09:00"))
    storage.delete_old_patterns(5)

    assert ids(storage) == {"p0", "kept"}


def test_a_plan_can_be_looked_at_before_it_is_applied(storage: PatternStorage) -> None:
    """Planning changes nothing; the plan names days and counts."""
    plan = storage.plan(policy=Policy(30, 90))

    assert plan.expired_count == 2
    assert list(plan.expired.values()) == [{"task_completion": 1}, {"task_completion": 1}]
    assert storage.count() == 5
    assert storage.apply(plan).expired == 2
    assert storage.count() == 3


def test_compaction_moves_only_closed_old_days(tmp_path: Path) -> None:
    """Days beyond the threshold go into segments, answers stay the same, a second run moves nothing."""
    with PatternStorage("filesystem", tmp_path / "tree", clock=Clock()) as storage:
        fill(storage)
        before = list(storage.iter())
        seen: list[int] = []
        plan = storage.plan()
        outcome = storage.apply(plan, on_day=seen.append)

        assert outcome.compacted == 3
        assert tuple(seen) == plan.compact
        assert list(storage.iter()) == before
        assert storage.plan().compact == ()
        assert storage.compress_old_files() == 0
        assert storage.check(read_data=True) == []


@pytest.mark.parametrize("name", ["memory", "sqlite"])
def test_other_backends_have_nothing_to_compact(name: str, tmp_path: Path) -> None:
    """compress_old_files returns 0 there."""
    with PatternStorage(name, tmp_path / "patterns", clock=Clock()) as storage:
        fill(storage)

        assert storage.compress_old_files() == 0


def test_a_clock_behind_the_newest_record_expires_nothing(storage: PatternStorage) -> None:
    """When the clock is wrong, ages mean nothing."""
    storage.save(sample("tomorrow", days_ago(-1)))
    with pytest.raises(RetentionError, match="clock"):
        storage.delete_old_patterns(90)

    assert storage.count() == 6


def test_more_than_was_planned_does_not_go(storage: PatternStorage) -> None:
    """A record that came into an expiring day after the plan stops its application."""
    plan = storage.plan(policy=Policy(None, 90))
    storage.save(sample("late", days_ago(400)))
    with pytest.raises(RetentionError, match="plan again"):
        storage.apply(plan)

    assert storage.count() == 6


def test_an_empty_listing_deletes_nothing() -> None:
    """A listing that comes back empty although something was planned is no permission."""

    class Forgetful(MemoryBackend):
        empty = False

        def days(self) -> dict[int, dict[str, int]]:
            return {} if self.empty else super().days()

    backend = Forgetful()
    storage = PatternStorage(backend, clock=Clock())
    fill(storage)
    plan = storage.plan(policy=Policy(None, 90))
    backend.empty = True
    with pytest.raises(RetentionError):
        storage.apply(plan)

    assert storage.count() == 5


def test_a_failing_listing_deletes_nothing() -> None:
    """An error while listing is raised before anything goes."""

    class Broken(MemoryBackend):
        def days(self) -> dict[int, dict[str, int]]:
            raise OSError("cannot list")

    storage = PatternStorage(Broken(), clock=Clock())
    fill(storage)
    with pytest.raises(OSError, match="cannot list"):
        storage.delete_old_patterns(90)

    assert storage.count() == 5


@pytest.mark.parametrize("target", ["memory", "filesystem", "sqlite"])
def test_an_archive_takes_what_expires(storage: PatternStorage, target: str, tmp_path: Path) -> None:
    """What expires is in the archive, compared, before it goes."""
    with PatternStorage(target, tmp_path / "archive") as archive:
        outcome = storage.apply(storage.plan(policy=Policy(None, 90)), archive=archive)

        assert outcome.expired == 2
        assert ids(archive) == {"p100", "p400"}
        assert archive.load("p400") == sample("p400", days_ago(400))
    assert ids(storage) == {"p0", "p10", "p40"}


@pytest.mark.parametrize("fault", ["missing", "other"])
def test_a_bad_archive_removes_nothing(storage: PatternStorage, fault: str) -> None:
    """An archive that does not give back what it took keeps the source as it was."""

    class Leaky(MemoryBackend):
        def write(self, batch: Batch) -> None:
            if fault == "other":
                for record in batch.add:
                    record["data"] = {**record["data"], "agent": "somebody else"}
                super().write(batch)

    with pytest.raises(OSError, match=r"missing|other content"):
        storage.apply(storage.plan(policy=Policy(None, 90)), archive=PatternStorage(Leaky()))

    assert storage.count() == 5


def test_given_retention_is_a_policy(tmp_path: Path) -> None:
    """An explicit number of days, also 90, is what maintain() expires by."""
    with PatternStorage("sqlite", tmp_path / "base", retention_days=90, clock=Clock()) as storage:
        fill(storage)
        outcome = storage.maintain()

        assert outcome is not None
        assert outcome.expired == 2


def test_one_process_maintains_at_a_time(tmp_path: Path) -> None:
    """While somebody holds the lock beside the store, maintain() does nothing and says so."""
    with PatternStorage("filesystem", tmp_path / "tree", clock=Clock()) as storage:
        fill(storage)
        with fileops.Lock(str(tmp_path / "tree.maintenance")).held():
            assert storage.maintain() is None
        assert storage.maintain() is not None


def test_a_long_lived_storage_maintains_itself(tmp_path: Path) -> None:
    """After the interval a save starts one run in the background, and only one per interval."""
    clock = Clock()
    with PatternStorage(
        "filesystem", tmp_path / "tree", retention_days=90, clock=clock, maintenance_interval=0.05
    ) as storage:
        fill(storage)
        time.sleep(0.06)
        storage.save(sample("trigger", days_ago(0)))
    with PatternStorage(
        "filesystem", tmp_path / "tree", retention_days=30, clock=clock, maintenance_interval=0.05
    ) as storage:
        assert storage.count() == 4
        time.sleep(0.06)
        storage.save(sample("again", days_ago(0)))
        storage.close()
    with PatternStorage("filesystem", tmp_path / "tree") as storage:
        assert storage.count() == 5


def test_upkeep_without_a_place_still_runs_once_at_a_time() -> None:
    """In memory nobody else can be at it, but a second thread can."""
    entered, leave = threading.Event(), threading.Event()

    class Slow(MemoryBackend):
        def uncompacted_days(self) -> tuple[int, ...]:
            entered.set()
            leave.wait(10)
            return ()

    storage = PatternStorage(Slow(), clock=Clock(), maintenance_interval=0.0)
    fill(storage)
    assert entered.wait(10)
    assert storage.maintain() is None
    leave.set()
    storage.close()


def test_a_failing_run_in_the_background_harms_no_save(caplog: pytest.LogCaptureFixture) -> None:
    """The save is acknowledged, the fault goes to the log and the next interval tries again."""

    class Broken(MemoryBackend):
        def uncompacted_days(self) -> tuple[int, ...]:
            raise OSError("cannot look")

    storage = PatternStorage(Broken(), clock=Clock(), maintenance_interval=0.0)
    assert storage.save(sample()) is True
    storage.close()

    assert "cannot look" in caplog.text


def test_days_are_whole_and_not_negative() -> None:
    """A policy refuses what is no number of days."""
    for wrong in (-1, 1.5, True, "30"):
        with pytest.raises(ValueError, match="whole number"):
            Policy(wrong)  # type: ignore[arg-type]


def test_an_empty_plan_does_nothing(storage: PatternStorage) -> None:
    """Nothing planned, nothing done."""
    assert storage.apply(Plan(instant(NOW.isoformat()))) == Outcome(0, 0)
    assert storage.count() == 5

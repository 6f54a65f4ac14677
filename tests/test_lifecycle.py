"""Ageing: plans, compaction, retention, archives, and maintenance by itself."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from moai_patterns import PatternStorage, Policy, RetentionError
from moai_patterns.backends.base import Batch
from moai_patterns.backends.locking import Lock
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.cli.commands import run
from moai_patterns.errors import StoreError
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
        with Lock(str(tmp_path / "tree.maintenance")).held():
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


class Late(MemoryBackend):
    """Somebody saves a record right after the archive has been written, or the days were counted."""

    def __init__(self, late: dict[str, Any], verb: str) -> None:
        super().__init__()
        self.late, self.verb = late, verb
        self.armed = False

    def _come(self, verb: str) -> None:
        if self.armed and verb == self.verb:
            self.armed = False
            PatternStorage(self).save(self.late)

    def days(self) -> dict[int, dict[str, int]]:
        found = super().days()
        self._come("days")
        return found

    def write(self, batch: Batch) -> None:
        if batch.remove:
            self._come("write")
        super().write(batch)


@pytest.mark.parametrize("with_archive", [True, False])
def test_what_comes_before_the_removal_stays(with_archive: bool) -> None:
    """A revision that is saved after the copy was compared keeps its record; nothing unseen goes."""
    for identity in ("p400", "new"):
        backend = Late(sample(identity, days_ago(400), duration_ms=77), "write")
        storage, archive = PatternStorage(backend, clock=Clock()), PatternStorage("memory")
        fill(storage)
        plan = storage.plan(policy=Policy(None, 90))
        backend.armed = True
        outcome = storage.apply(plan, archive=archive if with_archive else None)

        assert outcome.expired == (1 if identity == "p400" else 2)
        assert storage.load(identity) == backend.late
        assert ids(storage) == {"p0", "p10", "p40", identity}


def test_what_comes_after_the_days_were_counted_stops_the_removal() -> None:
    """The records of a day are compared with the count that the plan was compared with."""
    backend = Late(sample("new", days_ago(400)), "days")
    storage = PatternStorage(backend, clock=Clock())
    fill(storage)
    plan = storage.plan(policy=Policy(None, 90))
    backend.armed = True
    with pytest.raises(RetentionError, match="plan again"):
        storage.apply(plan)

    assert storage.count() == 6


def test_whole_days_of_a_compacted_tree_go_without_being_read(tmp_path: Path) -> None:
    """Days in segments are dropped, one with a late record is refused or removed record by record."""
    with PatternStorage("filesystem", tmp_path / "tree", 0, clock=Clock()) as storage:
        fill(storage)
        storage.compress_old_files()
        storage.save(sample("late", days_ago(100)))
        assert storage.delete_old_patterns(90) == 3
        assert ids(storage) == {"p0", "p10", "p40"}
        assert storage.backend.drop_days({1: 1}) == 0  # type: ignore[attr-defined]
        assert storage.check(read_data=True) == []


def same_places(tmp_path: Path) -> list[str]:
    """Other names of the store at `store`: relative, through a symlink, with a detour."""
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there", target_is_directory=True)
    place = tmp_path / "there" / "store"
    return [
        str(place),
        str(tmp_path / "link" / "store"),
        os.path.relpath(place),
        f"{place.parent}/../there/store",
    ]


@pytest.mark.parametrize("name", ["filesystem", "sqlite"])
def test_a_store_is_no_archive_of_itself(name: str, tmp_path: Path) -> None:
    """Under whatever name: it is refused before anything happens, else nothing would be left."""
    places = same_places(tmp_path)
    with PatternStorage(name, places[0], clock=Clock()) as storage:
        fill(storage)
        plan = storage.plan(policy=Policy(None, 90))
        for place in places:
            with (
                PatternStorage(name, place) as archive,
                pytest.raises(RetentionError, match="the store itself"),
            ):
                storage.apply(plan, archive=archive)
        with pytest.raises(RetentionError, match="the store itself"):
            storage.apply(plan, archive=storage)

        assert storage.count() == 5


def test_an_object_is_no_archive_of_itself() -> None:
    """Two storages over one object are one store, also when it has only the three verbs."""

    class Three:
        def __init__(self) -> None:
            inner = MemoryBackend()
            self.write, self.scan, self.close = inner.write, inner.scan, inner.close

    for backend in (MemoryBackend(), Three()):
        storage = PatternStorage(backend, clock=Clock())
        fill(storage)
        plan = storage.plan(policy=Policy(None, 90))
        with pytest.raises(RetentionError, match="the store itself"):
            storage.apply(plan, archive=PatternStorage(backend))
        assert storage.count() == 5
        assert storage.apply(plan, archive=PatternStorage("memory")).expired == 2


@pytest.mark.parametrize("target", ["memory", "filesystem", "sqlite"])
def test_an_archive_gets_all_revisions(storage: PatternStorage, target: str, tmp_path: Path) -> None:
    """Superseded revisions reach an archive that knows the id with other content already."""
    for duration in (1, 2):
        storage.save(sample("p400", days_ago(400), duration_ms=duration))
    with PatternStorage(target, tmp_path / "archive") as archive:
        archive.save(sample("p400", days_ago(400), duration_ms=9))
        storage.apply(storage.plan(policy=Policy(None, 90)), archive=archive)
        history = archive.backend.history("p400")  # type: ignore[attr-defined]

        durations = [record["data"].get("duration_ms") for record in history]
        assert (durations[0], durations[2:]) == (9, [1, 2])


@pytest.mark.parametrize("form", ["hot", "journal", "cold"])
def test_an_archive_is_on_the_medium_before_the_source_is_removed(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the archive had already, at the level `os`, is flushed too."""
    flushed: list[str] = []
    real = os.fsync

    def sync(descriptor: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    old = sample("p400", days_ago(400))
    with PatternStorage("filesystem", tmp_path / "archive", 0) as archive:
        archive.save_batch([old, sample("other", days_ago(400))] if form == "journal" else [old])
        if form == "cold":
            archive.compress_old_files()
        storage = PatternStorage("memory", clock=Clock())
        storage.save_many([old, sample("p0", days_ago(0))])
        monkeypatch.setattr(os, "fsync", sync)
        assert storage.apply(storage.plan(policy=Policy(None, 90)), archive=archive).expired == 1
    folder = {"hot": "/archive/2025/", "journal": "/archive/journal/"}
    assert form == "cold" or any(folder[form] in path for path in flushed)


def test_an_archive_that_cannot_be_flushed_removes_nothing(storage: PatternStorage) -> None:
    """What may be lost with the power is no copy yet."""

    class Unflushed(MemoryBackend):
        def flush(self, pattern_ids: Sequence[str]) -> None:
            raise StoreError(5, "Input/output error")

    with pytest.raises(StoreError):
        storage.apply(storage.plan(policy=Policy(None, 90)), archive=PatternStorage(Unflushed()))

    assert storage.count() == 5


def test_a_record_captured_between_plan_and_apply_is_no_wrong_clock(tmp_path: Path) -> None:
    """The clock is read after the newest record, at the plan and again when it is applied."""
    clock = Clock()
    with PatternStorage("sqlite", tmp_path / "live", clock=clock) as storage:
        fill(storage)
        plan = storage.plan(policy=Policy(None, 90))
        clock.now += timedelta(seconds=2)
        storage.capture("error_occurrence", {"error_type": "E501", "error_message": "long"})

        assert storage.apply(plan).expired == 2


def test_a_record_of_the_future_stops_expiring_but_not_compacting(tmp_path: Path) -> None:
    """The refusal names the record and what to do; the days that are due are compacted all the same."""
    with PatternStorage("filesystem", tmp_path / "tree", retention_days=90, clock=Clock()) as storage:
        fill(storage)
        storage.save(sample("wrong", "2030-01-01"))
        with pytest.raises(RetentionError, match=r"'wrong' is of 2030-01-01.*delete it or save it"):
            storage.maintain()
        assert storage.plan(policy=Policy(30)).compact == ()
        assert storage.count() == 6
        storage.delete("wrong")
        outcome = storage.maintain()
        assert outcome is not None
        assert outcome.expired == 2


def test_the_command_line_takes_no_archive_in_memory(tmp_path: Path) -> None:
    """It would be gone with the command; nothing is removed."""
    with PatternStorage("sqlite", tmp_path / "store") as storage:
        storage.save(sample("old", "2020-01-01"))
    arguments = ["retain", "--archive", "memory:", "--store", f"sqlite:{tmp_path / 'store'}"]
    assert run(arguments) == 2
    with PatternStorage("sqlite", tmp_path / "store") as storage:
        assert storage.count() == 1

"""Maintenance: one run at a time, in its place, and over when the storage is."""

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from moai_patterns import PatternStorage, lifecycle
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.errors import BusyError, RetentionError, StoreError
from moai_patterns.lifecycle import Outcome, Plan
from samples import sample
from test_lifecycle import NOW, Clock, days_ago, fill


def test_contention_in_the_work_is_no_other_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a lock that somebody holds beside the store makes maintain() return None."""

    def busy(*_: object, **__: object) -> Plan:
        raise BusyError("readers were at it all the time")

    with PatternStorage("sqlite", tmp_path / "store") as storage:
        fill(storage)
        monkeypatch.setattr(lifecycle, "plan", busy)
        with pytest.raises(BusyError, match="readers"):
            storage.maintain()


def test_a_store_that_is_not_there_yet_needs_no_maintenance(tmp_path: Path) -> None:
    """Nothing is done and nothing is made, also where the directory around it is missing."""
    with PatternStorage("filesystem", tmp_path / "no" / "tree") as storage:
        assert storage.maintain() == Outcome(0, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_cannot_be_had_is_a_typed_error(tmp_path: Path) -> None:
    """The message names the file beside the store."""
    (tmp_path / "tree.maintenance").mkdir()
    with PatternStorage("filesystem", tmp_path / "tree") as storage:
        fill(storage)
        with pytest.raises(StoreError, match=r"tree\.maintenance.*cannot be locked"):
            storage.maintain()


def test_a_plain_store_gets_no_file_of_ours_beside_it(tmp_path: Path) -> None:
    """A tree of others is read and left alone."""
    day = tmp_path / "plain" / "2025" / "11" / "29"
    day.mkdir(parents=True)
    (day / "task.json").write_text(json.dumps(sample()))
    with PatternStorage("filesystem", tmp_path / "plain") as storage:
        assert storage.count() == 1
        assert storage.maintain() == Outcome(0, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_forked_during_upkeep_maintains_for_itself() -> None:
    """What the parent's thread was at is nothing that a child has to wait for."""
    entered, leave = threading.Event(), threading.Event()

    class Slow(MemoryBackend):
        def uncompacted_days(self) -> tuple[int, ...]:
            entered.set()
            leave.wait(10)
            return ()

    storage = PatternStorage(Slow(), clock=Clock())
    thread = threading.Thread(target=storage.maintain)
    thread.start()
    assert entered.wait(10)
    child = os.fork()
    if not child:
        leave.set()
        os._exit(0 if storage.maintain() is not None else 1)
    leave.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def test_closing_stops_upkeep_between_days() -> None:
    """A run in the background ends after the day that it is at."""
    entered, leave = threading.Event(), threading.Event()
    seen: list[int] = []

    class Slow(MemoryBackend):
        def uncompacted_days(self) -> tuple[int, ...]:
            return tuple(range(1, 1000))

        def compact(self, days: Sequence[int]) -> int:
            seen.extend(days)
            entered.set()
            leave.wait(10)
            return 0

    storage = PatternStorage(Slow(), clock=Clock(), maintenance_interval=0.0)
    storage.save(sample())
    assert entered.wait(10)
    closing = threading.Thread(target=storage.close)
    closing.start()
    while not storage._upkeep._closing.is_set():
        time.sleep(0.001)
    leave.set()
    closing.join(10)

    assert seen == [1]


@pytest.fixture(params=["memory", "filesystem", "sqlite"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PatternStorage]:
    """A storage that keeps records for 30 days, has one of each of 20 days and was maintained now."""
    with PatternStorage(request.param, tmp_path / "kept", retention_days=30, clock=Clock()) as storage:
        storage.save_many(sample(f"p{days}", days_ago(days)) for days in range(20))
        assert storage.maintain() == Outcome()
        yield storage
        assert storage.check(read_data=True) == []


def set_clock(storage: PatternStorage, days: float) -> None:
    """Let the clock of a storage stand so many days after NOW."""
    clock = storage._clock
    assert isinstance(clock, Clock)
    clock.now = NOW + timedelta(days=days)


@pytest.mark.parametrize("days", [40, 3652])
def test_a_clock_set_ahead_expires_nothing_by_itself(kept: PatternStorage, days: int) -> None:
    """Not while most would go after a silence; asked for, it goes, and set right, all is as before."""
    set_clock(kept, days)
    late = kept.capture("hook_event", {"event": "Stop"})
    with pytest.raises(RetentionError, match=r"20 of 21 records .*2026-03-01.*may have been set ahead"):
        kept.maintain()
    assert kept.count() == 21

    assert kept.delete(late) == 1
    set_clock(kept, 1)
    assert kept.maintain() == Outcome()
    assert kept.count() == 20


def test_after_a_silence_the_records_that_come_show_that_the_clock_is_right(kept: PatternStorage) -> None:
    """As soon as what stays outweighs what expires it goes by itself; running retention is asking."""
    set_clock(kept, 40)
    kept.save_many(sample(f"new{n}", days_ago(-40)) for n in range(10))
    with pytest.raises(RetentionError, match="clock may have been set ahead"):
        kept.maintain()
    kept.save_many(sample(f"newer{n}", days_ago(-40)) for n in range(10))
    set_clock(kept, 41)
    outcome = kept.maintain()

    assert outcome is not None
    assert outcome.expired == 20


@pytest.mark.parametrize("days", [12, 19])
def test_after_a_silence_not_one_record_expires_until_the_clock_has_gone_on(
    kept: PatternStorage, days: int
) -> None:
    """Not the oldest either, for a day; set right meanwhile, the clock has done no harm."""
    set_clock(kept, days)
    for later in (0, 0.9):
        set_clock(kept, days + later)
        with pytest.raises(RetentionError, match="run again a day later"):
            kept.maintain()
    set_clock(kept, 1)
    assert kept.maintain() == Outcome()

    set_clock(kept, days)
    with pytest.raises(RetentionError, match="run again a day later"):
        kept.maintain()
    set_clock(kept, days + 1)
    outcome = kept.maintain()

    assert outcome is not None
    assert outcome.expired == days + 1 - 11


def test_a_silence_that_a_run_without_anything_to_expire_came_upon_is_waited_out_too(
    kept: PatternStorage,
) -> None:
    """The first record falls due two hours after that run, and stays until a day has passed."""
    set_clock(kept, 11.3)
    assert kept.maintain() == Outcome()
    for days in (11.4, 12.29):
        set_clock(kept, days)
        with pytest.raises(RetentionError, match=r"1 of 20 records .*run again a day later"):
            kept.maintain()
    set_clock(kept, 12.31)
    outcome = kept.maintain()

    assert outcome is not None
    assert outcome.expired == 1


def test_records_of_two_days_after_a_silence_show_that_the_clock_goes_on(kept: PatternStorage) -> None:
    """A monthly run after a holiday expires what is due."""
    kept.save_many(sample(f"after{days}", days_ago(-days)) for days in (13, 14, 15))
    set_clock(kept, 15)
    outcome = kept.maintain()

    assert outcome is not None
    assert outcome.expired == 4


@pytest.mark.parametrize("step", [1, 5])
def test_a_silent_store_expires_where_a_timer_maintains_it(kept: PatternStorage, step: int) -> None:
    """The clock cannot leap far unseen, and everything goes in its time."""
    removed = 0
    for days in range(0, 60, step):
        set_clock(kept, days)
        outcome = kept.maintain()
        assert outcome is not None
        removed += outcome.expired

    assert (removed, kept.count()) == (20, 0)


def test_records_without_a_gap_expire_however_long_nobody_looked(kept: PatternStorage) -> None:
    """A monthly run over a short retention finds much to remove, and does."""
    kept.save_many(sample(f"since{days}", days_ago(-days)) for days in range(1, 90, 6))
    set_clock(kept, 90)
    outcome = kept.maintain()

    assert outcome is not None
    assert outcome.expired == 30


def test_a_run_noted_in_the_future_puts_no_run_off(tmp_path: Path) -> None:
    """Set back after years ahead, the clock does not keep background maintenance away for these years."""
    clock = Clock(NOW + timedelta(days=3652))
    options: dict[str, Any] = {"retention_days": 30, "clock": clock, "maintenance_interval": 0.01}
    with PatternStorage("sqlite", tmp_path / "store", **options) as storage:
        storage.save(sample("old", days_ago(60)))
        storage.delete_old_patterns(10_000)
        (tmp_path / "store.db.maintenance").write_text(str(storage._now()))
        clock.now = NOW
        time.sleep(0.02)
        storage.save(sample("new", days_ago(0)))
        storage.close()
    with PatternStorage("sqlite", tmp_path / "store") as storage:
        assert storage.load("old") is None

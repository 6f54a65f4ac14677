"""Maintenance: one run at a time, in its place, and over when the storage is."""

import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from moai_patterns import PatternStorage, lifecycle
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.errors import BusyError, StoreError
from moai_patterns.lifecycle import Outcome, Plan
from samples import sample
from test_lifecycle import Clock, fill


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

"""Saving: revisions under competition, what a failure leaves, and what waits beside the store."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from moai_patterns import BusyError, PatternStorage, ValidationError, instant
from moai_patterns.backends.base import Batch
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.errors import ConflictError, StoreError
from moai_patterns.saving import Saved, Saver
from moai_patterns.spool import put
from moai_patterns.storage import Durability
from samples import sample
from stores import contents

BACKENDS = ("memory", "filesystem", "sqlite")


@pytest.fixture(params=BACKENDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PatternStorage]:
    """An empty storage on each backend; every byte of it is checked at the end."""
    with PatternStorage(request.param, tmp_path / "store", maintenance_interval=None) as opened:
        yield opened
        assert opened.check(read_data=True) == []


def revisions(storage: PatternStorage, identity: str) -> list[int]:
    """The durations that a record had, one after another."""
    history = storage.backend.history(identity)  # type: ignore[attr-defined]
    assert [record["_meta"]["revision"] for record in history] == list(range(1, len(history) + 1))
    return [record["data"]["duration_ms"] for record in history]


def test_saving_what_is_there_writes_nothing(storage: PatternStorage, tmp_path: Path) -> None:
    """An equal record, also one whose number is spelled otherwise, changes no byte of the store."""
    storage.save(sample(tags=["a"]))
    before = contents(tmp_path)
    assert storage.save(sample(tags=["a"])) is True
    assert storage.save(sample(tags=["a"], duration_ms=1200.0)) is True
    assert storage.save_batch([sample(tags=["a"])] * 3) == Saved(0, 0, 3)
    assert contents(tmp_path) == before


def test_a_boolean_in_the_place_of_a_number_is_a_change(storage: PatternStorage) -> None:
    """1 and 1.0 are equal, True is another value and makes a revision."""
    storage.save(sample(note=1))
    storage.save(sample(note=1.0))
    storage.save(sample(note=True))
    assert len(revisions(storage, "pattern-1")) == 2
    assert storage.load("pattern-1") == sample(note=True)


def test_going_back_is_a_revision_too(storage: PatternStorage) -> None:
    """A record that becomes what it once was has three revisions; all of them are kept."""
    for duration in (1, 2, 1, 1):
        storage.save(sample(duration_ms=duration))
    assert revisions(storage, "pattern-1") == [1, 2, 1]


def test_revisions_of_one_id_in_a_batch_follow_each_other(storage: PatternStorage) -> None:
    """A batch may change an id again and again, known before or not; the last one is what is loaded."""
    storage.save(sample("a", duration_ms=1))
    changes = [sample(identity, duration_ms=n) for n in (2, 3, 3) for identity in ("a", "b")]
    assert storage.save_batch(changes) == Saved(1, 3, 2)
    assert revisions(storage, "a") == [1, 2, 3]
    assert revisions(storage, "b") == [2, 3]


def test_competing_savers_of_one_id_lose_nothing(storage: PatternStorage) -> None:
    """Every change of eight threads becomes a revision of its own, without a gap."""

    def work(thread: int) -> None:
        for number in range(10):
            storage.save(sample("shared", duration_ms=thread * 10 + number))

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = revisions(storage, "shared")
    assert sorted(found) == list(range(80))
    for tens in range(8):
        own = [duration for duration in found if duration // 10 == tens]
        assert own == sorted(own), "each thread's changes are in its order"


class Overtaken(MemoryBackend):
    """Before each of the first writes another writer changes the same id."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.refused = 0

    def write(self, batch: Batch) -> None:
        """Let the other writer in, then write."""
        if self.times:
            self.times -= 1
            head = self.get("pattern-1")
            revision = head["_meta"]["revision"] + 1 if head else 1
            other = sample(note=f"other {revision}")
            meta = {"instant": 0, "revision": revision, "recorded_at": 0, "operation": "save"}
            super().write(Batch([{**other, "_meta": meta}]))
        try:
            super().write(batch)
        except ConflictError:
            self.refused += 1
            raise


def test_who_is_overtaken_again_and_again_comes_in_behind() -> None:
    """A refused batch is numbered anew from the heads, as often as it takes, and never half stored."""
    backend = Overtaken(5)
    with PatternStorage(backend) as storage:
        assert storage.save_batch([sample("first"), sample(duration_ms=7)]) == Saved(1, 1, 0)
        assert backend.refused == 5
        assert [record["_meta"]["revision"] for record in backend.history("pattern-1")] == [1, 2, 3, 4, 5, 6]
        assert storage.load("pattern-1") == sample(duration_ms=7)
        assert len(backend.history("first")) == 1


def test_no_time_to_wait_is_enough_for_a_known_id() -> None:
    """That a record is no new one is told by a refusal, after which the time may be over: no conflict."""
    with PatternStorage("memory", timeout=0) as storage:
        storage.save(sample())
        storage.save(sample(duration_ms=7))
        assert storage.load("pattern-1") == sample(duration_ms=7)


class Full(MemoryBackend):
    """Takes a number of records and is full then."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, batch: Batch) -> None:
        """Write while there is room."""
        if len(batch.add) > self.room:
            raise StoreError(28, "the disk is full, nothing was written", "/somewhere")
        self.room -= len(batch.add)
        super().write(batch)


def test_a_medium_that_fills_up_amid_a_stream_says_what_is_stored() -> None:
    """The error keeps its number and place, and a note names the batch and what came before it."""
    with PatternStorage(Full(25)) as storage:
        with pytest.raises(StoreError, match="/somewhere") as fault:
            storage.save_many((sample(f"p{n}") for n in range(100)), batch_size=10)
        assert fault.value.errno == 28
        (note,) = fault.value.__notes__
        assert "record 20 on" in note
        assert "first 20 records" in note
        assert storage.count() == 20


def test_a_stream_that_fails_by_itself_keeps_what_is_stored(storage: PatternStorage) -> None:
    """An error of the source is raised as it is; whole batches before it stay."""

    def source() -> Iterator[dict[str, object]]:
        for number in range(25):
            yield sample(f"p{number:02}")
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        storage.save_many(source(), batch_size=10)
    assert storage.count() == 20


def test_a_stream_is_taken_batch_by_batch(storage: PatternStorage) -> None:
    """No more than one batch is drawn from the source before it is stored."""
    stored_when_drawn = []

    def source() -> Iterator[dict[str, object]]:
        for number in range(30):
            stored_when_drawn.append(storage.count())
            yield sample(f"p{number:02}")

    assert storage.save_many(source(), batch_size=10) == 30
    assert stored_when_drawn == [0] * 10 + [10] * 10 + [20] * 10


def test_a_save_keeps_the_time_zone_of_its_moment(
    storage: PatternStorage, time_zone: Callable[[str], None]
) -> None:
    """A naive timestamp means local time when it is saved; moving elsewhere later changes no answer."""
    time_zone("Asia/Tokyo")
    storage.save(sample("naive", "2025-11-29T10:00:00"))
    time_zone("America/New_York")
    storage.save(sample("later", "2025-11-29T10:00:00"))
    storage.save(sample("between", "2025-11-29T05:00:00Z"))

    assert [r["pattern_id"] for r in storage.query(order="oldest")] == ["naive", "between", "later"]
    found = storage.load("naive")
    assert found is not None
    assert found["timestamp"] == "2025-11-29T10:00:00"


def test_a_time_that_the_system_cannot_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where local time does not reach that far, as on Windows before 1970, the refusal says what to add."""

    def refuse(_: object) -> object:
        raise OverflowError("timestamp out of range for platform time_t")

    monkeypatch.setattr(instant, "localtime", refuse)
    with PatternStorage("memory") as storage:
        with pytest.raises(ValidationError, match="no local time there; add a zone"):
            storage.save(sample(timestamp="1901-01-01T00:00"))
        assert storage.save(sample(timestamp="1901-01-01T00:00Z"))


@pytest.mark.parametrize("backend", ["filesystem", "sqlite"])
def test_a_spool_that_cannot_be_drained_harms_no_save(
    backend: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What lies beside the store is not removed, the log says why, and storage and save go on."""
    suffix = ".db.spool" if backend == "sqlite" else ".spool"
    (tmp_path / f"store{suffix}").mkdir()
    with caplog.at_level(logging.WARNING), PatternStorage(backend, tmp_path / "store") as storage:
        storage.save(sample())
        assert storage.count() == 1
    assert "could not be drained" in caplog.text
    assert [path for path in tmp_path.iterdir() if suffix in path.name and path.is_dir()]


@pytest.mark.parametrize("backend", ["filesystem", "sqlite"])
def test_a_save_takes_in_what_waits(backend: str, tmp_path: Path) -> None:
    """What a capture had to leave beside an open store is in it after the next save, and waits no more."""
    base = str(tmp_path / "store")
    with PatternStorage(backend, base) as storage:
        meta = {"instant": 5, "revision": 1, "recorded_at": 5, "operation": "save"}
        place = put((backend, base), [{**sample("waited"), "_meta": meta}], {})
        assert storage.load("waited") is None
        storage.save(sample("later"))
        assert storage.load("waited") == sample("waited")
        assert storage.stats()["spool"]["waiting"] == 0
    assert not Path(place).exists()


class Interrupted(MemoryBackend):
    """Every write is broken off by a signal."""

    def write(self, batch: Batch) -> None:
        """Raise what an interrupted call raises."""
        raise StoreError(4, "interrupted", "/somewhere")


def test_a_session_tries_again_like_a_save() -> None:
    """Passing faults are tried again inside a session too, until the time is up."""
    saver = Saver(Interrupted(), clock=lambda: 0, actor=None, timeout=0.05)
    with pytest.raises(StoreError, match="interrupted"):
        saver.save([sample()], "save", into=Interrupted())


def test_waiting_for_a_lock_is_not_multiplied() -> None:
    """BusyError already waited for as long as was asked; it is not tried again."""

    class Busy(MemoryBackend):
        calls = 0

        def write(self, batch: Batch) -> None:
            self.calls += 1
            raise BusyError("others were writing all the time")

    backend = Busy()
    with PatternStorage(backend, timeout=60.0) as storage, pytest.raises(BusyError):
        storage.save(sample())
    assert backend.calls == 1


@pytest.mark.parametrize("backend", ["filesystem", "sqlite"])
@pytest.mark.parametrize("level", ["os", "group", "record"])
def test_an_equal_record_is_acknowledged_when_it_is_on_the_medium(
    backend: str, level: Durability, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wrote it may not have waited, or in vain; only the level `os` takes that as it is."""
    with PatternStorage(backend, tmp_path / "store") as careless:
        careless.save(sample())
        with PatternStorage(backend, tmp_path / "store", durability=level) as careful:
            careful.save(sample("first"))  # what it waits for when it begins is something else

            def refuse(descriptor: int) -> None:
                raise OSError(5, "Input/output error")

            monkeypatch.setattr(os, "fsync", refuse)
            for save in (careful.save, lambda record: careful.save_batch([record])):
                with nullcontext() if level == "os" else pytest.raises(StoreError, match="Input/output"):
                    save(sample())
            monkeypatch.undo()
            assert careful.save(sample()) is True


def test_what_waits_elsewhere_is_taken_in_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open storage drains what a killed drain left and what lies in a refuge, without being reopened."""
    base = str(tmp_path / "store")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with PatternStorage("sqlite", base) as storage:
        storage.save(sample())
        meta = {"instant": 5, "revision": 1, "recorded_at": 5, "operation": "save"}
        put(("sqlite", base), [{**sample("waited"), "_meta": meta}], {})
        draining = tmp_path / "store.db.spool.draining"
        draining.mkdir()
        (tmp_path / "store.db.spool").rename(draining / "0.jsonl")
        storage.save(sample("soon"))
        assert storage.load("waited") is None
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 61)
        storage.save(sample("later"))
        assert storage.load("waited") == sample("waited")


def test_what_waits_is_validated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A spool is a file that anybody may have changed: what is no valid record ends in the quarantine."""
    base = str(tmp_path / "store")
    meta = {"instant": 5, "revision": 1, "recorded_at": 5, "operation": "save"}
    put(("sqlite", base), [{**sample("bad", duration_ms="long"), "_meta": meta}], {})
    with PatternStorage("sqlite", base) as storage:
        for number in range(5):
            storage.save(sample(f"s{number}"))
        assert storage.load("bad") is None
        assert storage.stats()["spool"]["quarantined"] == 1
    assert "$.data.duration_ms" in (tmp_path / "store.db.quarantine").read_text()


def test_passing_faults_are_tried_again_by_every_writing_verb() -> None:
    """A deletion and a copy wait out what passes by itself, like a save."""

    class Shaky(MemoryBackend):
        faults = 0

        def write(self, batch: Batch) -> None:
            if self.faults:
                self.faults -= 1
                raise StoreError(4, "interrupted")
            super().write(batch)

    backend = Shaky()
    with PatternStorage(backend) as storage, PatternStorage("memory") as other:
        other.save_many([sample("a"), sample("b")])
        backend.faults = 2
        assert other.copy_to(storage) == 2
        backend.faults = 2
        assert storage.delete("a") == 1


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": "2025-11-29T10:00:00.000001Z"},
        {"context": {"tags": ["other"]}},
        {"version": "1.0"},
        {"unknown": None},
    ],
)
def test_any_part_of_a_record_can_change(change: dict[str, object]) -> None:
    """A revision is made of what differs anywhere in the envelope, not in `data` alone."""
    with PatternStorage("memory") as storage:
        storage.save(sample())
        changed = {**sample(), **change}
        storage.save(changed)
        assert storage.load("pattern-1") == changed

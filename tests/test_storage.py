"""The storage over every backend: save, load, query, batches, sessions, copies."""

import errno
import gc
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leaks import descriptors
from moai_patterns import (
    ConflictError,
    PatternError,
    PatternStorage,
    PatternType,
    Query,
    QueryError,
    StoreError,
    ValidationError,
    field,
    open_store,
)
from moai_patterns.backends.base import Batch
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.query import Record
from samples import PAYLOADS, sample

NOON = int(datetime(2025, 12, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000_000


@pytest.fixture(params=["memory", "filesystem", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PatternStorage]:
    """An empty storage on each backend; every byte of it is checked at the end."""
    with PatternStorage(request.param, tmp_path / "patterns", clock=lambda: NOON) as opened:
        yield opened
        assert opened.check(read_data=True) == []


def ids(records: Sequence[Record]) -> list[str]:
    """The ids of records."""
    return [record["pattern_id"] for record in records]


def test_what_was_saved_comes_back_equal(storage: PatternStorage) -> None:
    """Nothing is filled in and nothing dropped; an enum member returns as its value."""
    record = sample(note="unknown keys stay", coverage_percent=None)
    record["pattern_type"] = PatternType.TASK_COMPLETION
    record["extra"] = {"a": [1, 2.5, None, "ü\U0001f600\x00"]}

    assert storage.save(record) is True
    assert storage.load("pattern-1") == {**record, "pattern_type": "task_completion"}
    assert storage.load("another") is None


def test_the_caller_keeps_its_record(storage: PatternStorage) -> None:
    """Saving neither changes the given dict nor keeps a tie to it, and neither does loading."""
    record = sample(tags=["x"])
    before = sample(tags=["x"])
    storage.save(record)
    assert record == before

    record["context"]["tags"].append("later")
    loaded = storage.load("pattern-1")
    assert loaded == before
    loaded["data"]["agent"] = "changed"
    assert storage.load("pattern-1") == before


def test_a_refused_record_leaves_the_store_as_it_was(storage: PatternStorage) -> None:
    """Invalid gives ValidationError, a ValueError, with every violation; nothing is written."""
    storage.save(sample())
    with pytest.raises(ValueError, match="duration_ms") as refusal:
        storage.save(sample(duration_ms=-1, success="yes"))

    assert isinstance(refusal.value, ValidationError)
    assert {violation.path for violation in refusal.value.violations} == {
        "$.data.duration_ms",
        "$.data.success",
    }
    assert storage.load("pattern-1") == sample()
    assert storage.count() == 1


def test_saving_again_makes_a_revision_only_when_something_changed(storage: PatternStorage) -> None:
    """Equal content is no new revision; other content, kind or time is."""
    assert storage.save(sample()) is True
    assert storage.save(sample()) is True
    assert storage.save(sample(duration_ms=1200.0)) is True
    moved = sample(timestamp="2025-11-30T10:00:00+09:00", kind="tool_use")
    assert storage.save(moved) is True

    assert storage.load("pattern-1") == moved
    assert storage.count() == 1
    history = storage.backend.history("pattern-1")  # type: ignore[attr-defined]
    assert [record["_meta"]["revision"] for record in history] == [1, 2]


def test_queries_filter_and_return_the_newest_first(storage: PatternStorage) -> None:
    """Kind, inclusive bounds, any of the tags, conditions and the limit work together."""
    storage.save_many(
        [
            sample("a", "2025-11-29T10:00:00Z", tags=["x"], duration_ms=1),
            sample("b", "2025-11-29T19:30:00+09:00", tags=["y"], duration_ms=2),
            sample("c", "2025-11-29T11:00:00Z", kind="error_occurrence", tags=["x", "z"]),
            sample("d", "2025-11-30T00:00:00Z", duration_ms=4),
        ]
    )

    assert ids(storage.query()) == ["d", "c", "b", "a"]
    assert ids(storage.query(PatternType.ERROR_OCCURRENCE)) == ["c"]
    assert ids(storage.query("task_completion", limit=2)) == ["d", "b"]
    assert ids(storage.query(start_date="2025-11-29T10:30:00Z", end_date="2025-11-29T11:00:00Z")) == [
        "c",
        "b",
    ]
    assert ids(storage.query(tags=["x", "y"])) == ["c", "b", "a"]
    assert ids(storage.query(where=field("data.duration_ms") >= 2)) == ["d", "b"]
    assert ids(storage.query(where={"data.duration_ms": 1})) == ["a"]
    assert ids(storage.query(order="oldest", limit=None)) == ["a", "b", "c", "d"]
    assert ids(storage.query(order="arrival", limit=2)) == ["a", "b"]
    assert ids(storage.query(Query(tags=["z"]))) == ["c"]
    assert storage.query(limit=0) == []


def test_a_cursor_goes_on_where_the_page_ended(storage: PatternStorage) -> None:
    """Pages put together are the whole answer, and the last page has no cursor."""
    storage.save_many(sample(f"p{n}", "2025-11-29T10:00:00Z") for n in range(5))
    first = storage.query(limit=2)
    second = storage.query(limit=2, cursor=first.cursor)
    third = storage.query(limit=2, cursor=second.cursor)

    assert ids(first) + ids(second) + ids(third) == ["p4", "p3", "p2", "p1", "p0"]
    assert third.cursor is None


def test_count_and_iter_take_the_same_question(storage: PatternStorage) -> None:
    """Both are without limit unless one is given, and refuse what is no parameter."""
    storage.save_many(sample(f"p{n:03d}", "2025-11-29T10:00:00Z") for n in range(150))

    assert storage.count() == 150
    assert storage.count(pattern_type="agent_usage") == 0
    assert storage.count(limit=7) == 7
    assert len(list(storage.iter())) == 150
    assert ids(list(storage.iter(Query(limit=1, order="oldest")))) == ["p000"]
    with pytest.raises(QueryError):
        storage.count(colour="red")
    with pytest.raises(QueryError):
        storage.count(Query(), limit=3)


def test_capture_stamps_an_ordered_id_and_the_time(storage: PatternStorage) -> None:
    """Ids made one after another sort in that order, and the time is the clock's."""
    made = [storage.capture("tool_use", {"tool_name": "Bash"}, {"tags": ["t"]}) for _ in range(3)]

    assert made == sorted(made)
    assert storage.load(made[0]) == {
        "pattern_id": made[0],
        "pattern_type": "tool_use",
        "timestamp": "2025-12-01T12:00:00.000000Z",
        "data": {"tool_name": "Bash"},
        "context": {"tags": ["t"]},
    }
    assert storage.load(storage.capture("hook_event", {"event": "Stop"})).get("context") is None  # type: ignore[union-attr]
    with pytest.raises(ValidationError):
        storage.capture("no_such_kind", {})


def test_save_many_stores_whole_batches_and_names_the_refused(storage: PatternStorage) -> None:
    """The batches before the refused record are stored, nothing of its own batch is."""
    stream = [sample(f"p{n}") for n in range(5)] + [sample("bad", duration_ms="long")]
    with pytest.raises(ValidationError, match=r"record 5: .*first 4 records of the stream are stored"):
        storage.save_many(stream, batch_size=4)

    assert storage.count() == 4
    assert storage.save_many(iter(stream[:5]), batch_size=2) == 5
    assert storage.count() == 5
    with pytest.raises(ValueError, match="batch_size"):
        storage.save_many([], batch_size=0)


def test_a_batch_is_all_or_nothing(storage: PatternStorage) -> None:
    """One refused record keeps the whole batch out; what became of the others is told."""
    with pytest.raises(ValidationError, match="record 1: "):
        storage.save_batch([sample("a"), sample("b", success=1)])
    assert storage.count() == 0

    saved = storage.save_batch([sample("a"), sample("b"), sample("a"), sample("a", duration_ms=7)])
    assert saved == (2, 1, 1)
    assert storage.save_batch([sample("a", duration_ms=7), sample("c")]) == (1, 0, 1)
    assert storage.save_batch([]) == (0, 0, 0)
    assert storage.load("a") == sample("a", duration_ms=7)


def test_a_session_saves_like_the_storage(storage: PatternStorage) -> None:
    """Each save of a session is visible at once, revises, refuses and survives its end."""
    with storage.session() as session:
        assert session.save(sample("a")) is True
        assert storage.load("a") == sample("a")
        session.save(sample("a", duration_ms=9))
        captured = session.capture("tool_use", {"tool_name": "Read"})
        with pytest.raises(ValidationError):
            session.save(sample("b", success=None))

    assert storage.load("a") == sample("a", duration_ms=9)
    assert storage.load(captured) is not None
    assert storage.count() == 2


def test_get_many_keeps_the_asked_order(storage: PatternStorage) -> None:
    """Unknown ids are None at their places."""
    storage.save_many([sample("a"), sample("b")])

    assert storage.get_many(["b", "x", "a", "b"]) == [sample("b"), None, sample("a"), sample("b")]
    assert storage.get_many([]) == []


def test_delete_removes_by_id_and_by_question(storage: PatternStorage) -> None:
    """What is gone is counted once; the id can be used again."""
    storage.save_many([sample("a"), sample("b"), sample("c", kind="tool_use")])

    with pytest.raises(QueryError, match="heads"):
        storage.delete(Query(revisions="all"))
    assert storage.delete("a") == 1
    assert storage.delete("a") == 0
    assert storage.delete(Query("task_completion", limit=None)) == 1
    assert ids(storage.query()) == ["c"]
    storage.save(sample("a", duration_ms=3))
    assert storage.load("a") == sample("a", duration_ms=3)


def test_stats_tell_what_is_there(storage: PatternStorage) -> None:
    """Counts per kind and day, the ends, bytes, spool and versions."""
    assert storage.stats()["count"] == 0
    storage.save_many([sample("a"), sample("b", "2025-11-30T10:00:00Z", kind="tool_use")])
    stats = storage.stats()

    assert stats["count"] == 2
    assert stats["kinds"] == {"task_completion": 1, "tool_use": 1}
    assert stats["days"] == {"2025-11-29": {"task_completion": 1}, "2025-11-30": {"tool_use": 1}}
    assert (stats["oldest"], stats["newest"]) == ("2025-11-29T10:00:00Z", "2025-11-30T10:00:00Z")
    assert {"bytes", "spool", "versions"} <= set(stats)


@pytest.mark.parametrize("wrong", [None, 7, ["a"], "\ud800"])
def test_load_refuses_what_is_no_text(storage: PatternStorage, wrong: object) -> None:
    """An id is text."""
    with pytest.raises(QueryError):
        storage.load(wrong)  # type: ignore[arg-type]


def test_ids_that_cannot_exist_are_simply_unknown(storage: PatternStorage) -> None:
    """A path, a NUL or a megabyte as an id finds nothing and harms nothing."""
    for identity in ["", "../../etc/passwd", "a\x00b", "x" * 1_000_000, "a/b"]:
        assert storage.load(identity) is None
        assert storage.delete(identity) == 0


@pytest.mark.parametrize("identity", ["", "a/b", "..", "a\x00b", "x" * 1_000_000, 5, None, "a\nb", "\ud800"])
def test_unsafe_ids_are_refused(storage: PatternStorage, identity: object) -> None:
    """Such ids never reach a backend."""
    with pytest.raises(ValidationError) as refusal:
        storage.save({**sample(), "pattern_id": identity})

    assert len(str(refusal.value)) < 1000
    assert storage.count() == 0


def test_threads_share_one_storage(storage: PatternStorage) -> None:
    """Twelve threads saving and asking lose nothing."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(20):
                storage.save(sample(f"t{number}-{n}"))
                storage.save(sample("shared", duration_ms=number * 100 + n))
                assert storage.load(f"t{number}-{n}") is not None
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert storage.count() == 241


@pytest.mark.parametrize("backend", ["filesystem", "sqlite"])
def test_a_closed_storage_has_nothing_open(backend: str, tmp_path: Path) -> None:
    """After every verb and the close no file of the store is open, without waiting for the collector."""
    gc.disable()
    try:
        with PatternStorage(backend, tmp_path / "store", durability="group") as storage:
            storage.save(sample("a"))
            storage.save_many(sample(f"b{number}") for number in range(5))
            with storage.session() as session:
                session.save(sample("c"))
            storage.save(sample("a", agent="another"))
            assert len(list(storage.iter())) == 7
            assert next(storage.iter(order="oldest"))
            storage.delete("b0")
            storage.compress_old_files()
            assert storage.check(read_data=True) == []
            assert storage.stats()["count"] == 6
        assert descriptors(tmp_path) == []
    finally:
        gc.enable()


def test_all_kinds_can_be_saved(storage: PatternStorage) -> None:
    """Each built-in kind goes in and comes back."""
    for kind in PAYLOADS:
        storage.save(sample(kind, kind=kind))

    assert {record["pattern_type"] for record in storage.query()} == set(PAYLOADS)


@pytest.mark.parametrize("source", ["memory", "filesystem", "sqlite"])
@pytest.mark.parametrize("target", ["memory", "filesystem", "sqlite"])
def test_a_copy_holds_everything(source: str, target: str, tmp_path: Path) -> None:
    """Heads, history and our own facts arrive; a second copy adds nothing; conflicts become revisions."""
    with PatternStorage(source, tmp_path / "from") as old, PatternStorage(target, tmp_path / "to") as new:
        old.save_many([sample(f"p{n}") for n in range(20)])
        old.save(sample("p3", duration_ms=7))
        new.save(sample("p5", duration_ms=1))
        seen: list[int] = []

        assert old.copy_to(new, on_batch=seen.append) == 20
        assert sum(seen) == 20
        assert old.copy_to(new) == 0
        assert list(new.iter()) == list(old.iter())
        kept = [record["_meta"] for record in new.backend.history("p3")]  # type: ignore[attr-defined]
        was = [record["_meta"] for record in old.backend.history("p3")]  # type: ignore[attr-defined]
        assert [(m["revision"], m["recorded_at"]) for m in kept] == [
            (m["revision"], m["recorded_at"]) for m in was
        ]
        assert len(new.backend.history("p5")) == 2  # type: ignore[attr-defined]
        old.copy_to(new, Query(ids=["p1"], limit=None))


def test_the_configuration_can_be_read() -> None:
    """The five fields show what was asked for, defaults included."""
    config = PatternStorage("memory").config

    assert (config.backend, config.base_path) == ("memory", ".moai/patterns")
    assert (config.compression_threshold_days, config.retention_days, config.index_enabled) == (30, 90, True)


def test_a_backend_object_or_three_verbs_will_do() -> None:
    """A backend object is used as it is; an object with only the three verbs gets the derived ones."""

    class Three:
        def __init__(self) -> None:
            self.inner = MemoryBackend()
            self.write, self.scan, self.close = self.inner.write, self.inner.scan, self.inner.close

    for backend in (MemoryBackend(), Three()):
        with PatternStorage(backend) as storage:
            storage.save(sample())
            assert storage.load("pattern-1") == sample()
            assert storage.count() == 1
            assert storage.delete("pattern-1") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"backend": "cassette"},
        {"backend": 7},
        {"backend": "memory", "durability": "granite"},
        {"backend": "memory", "retention_days": -1},
        {"backend": "memory", "compression_threshold_days": 1.5},
    ],
)
def test_wrong_openings_are_refused(arguments: dict[str, object]) -> None:
    """Unknown backends, durabilities and day counts raise ValueError."""
    with pytest.raises(ValueError, match=r"is|there is no"):
        PatternStorage(**arguments)  # type: ignore[arg-type]


def test_stores_have_names(tmp_path: Path) -> None:
    """file:, sqlite: and memory: open what they say; .db is appended unless it is there."""
    with open_store(f"file:{tmp_path / 'tree'}") as tree:
        tree.save(sample())
    with open_store(f"sqlite:{tmp_path / 'base'}") as base:
        base.save(sample())

    assert (tmp_path / "tree" / "index.json").is_file()
    assert (tmp_path / "base.db").is_file()
    with PatternStorage("sqlite", tmp_path / "base.db") as again:
        assert again.count() == 1
    with pytest.raises(PatternError):
        open_store("ftp:somewhere")


class Stubborn(MemoryBackend):
    """Refuses each write a number of times with an error that it is given."""

    def __init__(self, errors: list[Exception]) -> None:
        super().__init__()
        self.errors = errors

    def write(self, batch: Batch) -> None:
        """Raise the next error, or write."""
        if self.errors:
            raise self.errors.pop(0)
        super().write(batch)


def test_passing_faults_are_tried_again() -> None:
    """EAGAIN and the like pass by themselves; the save is acknowledged once it is stored."""
    storage = PatternStorage(Stubborn([BlockingIOErrorOf(11), BlockingIOErrorOf(4)]))

    assert storage.save(sample()) is True
    assert storage.load("pattern-1") == sample()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_faults_of_durability_are_never_tried_again(number: int) -> None:
    """After a failed flush nobody knows what the medium holds, so no later success may acknowledge it."""
    backend = Stubborn([StoreError(number, "the medium refused")])
    storage = PatternStorage(backend)
    with pytest.raises(StoreError, match="refused"):
        storage.save(sample())
    assert storage.count() == 0


def test_lasting_faults_are_raised_with_what_is_stored() -> None:
    """A full disk ends the stream; the error says which part of it is stored."""
    backend = Stubborn([])
    storage = PatternStorage(backend)
    storage.save_many([sample("a")])
    backend.errors.append(BlockingIOErrorOf(28))
    with pytest.raises(StoreError) as fault:
        storage.save_many([sample("b")])

    assert "record 0" in fault.value.__notes__[0]
    assert storage.count() == 1


def test_endless_conflicts_end_at_the_timeout() -> None:
    """Writers that keep changing the same id raise ConflictError when the time is up."""
    storage = PatternStorage(Stubborn([ConflictError("again")] * 1_000_000), timeout=0.05)
    with pytest.raises(ConflictError):
        storage.save(sample())


def test_passing_faults_are_raised_when_they_do_not_pass() -> None:
    """The timeout bounds the retries."""
    storage = PatternStorage(Stubborn([BlockingIOErrorOf(11)] * 1_000_000), timeout=0.05)
    with pytest.raises(StoreError):
        storage.save(sample())


def BlockingIOErrorOf(number: int) -> StoreError:  # noqa: N802
    """A store error with an error number."""
    return StoreError(number, "the medium said so")


def test_the_actor_is_kept() -> None:
    """Who saved stands in the facts about the record."""
    storage = PatternStorage("memory", actor="collector")
    storage.save(sample())

    head = storage.backend.get("pattern-1")  # type: ignore[attr-defined]
    assert head["_meta"]["actor"] == "collector"
    assert head["_meta"]["operation"] == "save"

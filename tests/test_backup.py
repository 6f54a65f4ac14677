"""Copies between backends: whole, repeatable, compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moai_patterns import DamageError, PatternStorage, Query
from moai_patterns.backends.base import Batch
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.backup import BATCH, copy, verify_copy
from moai_patterns.collect.redact import load_key
from moai_patterns.errors import QueryError, StoreError
from moai_patterns.query import Record
from samples import sample

EVERYTHING = Query(limit=None, order="arrival", revisions="all")
BACKENDS = ("memory", "filesystem", "sqlite")


def revised(storage: PatternStorage) -> None:
    """Records over several batches of a copy, some of them changed, moved in time or of another kind."""
    storage.save_many(sample(f"p{n:04}", f"2025-11-{n % 28 + 1:02}T10:00:00Z") for n in range(BATCH + 100))
    for n in range(0, BATCH + 100, 50):
        storage.save(sample(f"p{n:04}", "2025-10-01T10:00:00Z", duration_ms=n))
        storage.save(sample(f"p{n:04}", "2025-12-01T10:00:00+09:00", kind="tool_use"))


def facts(record: Record) -> Record:
    """A stored record without its arrival number, which belongs to each store."""
    return {**record, "_meta": {k: v for k, v in record["_meta"].items() if k != "seq"}}


def everything(storage: PatternStorage) -> list[Record]:
    """All revisions with what is known about them, by id and revision."""
    found = [facts(record) for record in storage.backend.scan(EVERYTHING)]
    return sorted(found, key=lambda record: (record["pattern_id"], record["_meta"]["revision"]))


@pytest.mark.parametrize("target", BACKENDS)
@pytest.mark.parametrize("source", BACKENDS)
def test_a_copy_has_all_revisions_and_facts(source: str, target: str, tmp_path: Path) -> None:
    """From a compacted store and from a hot one: every revision arrives with actor, time and operation."""
    with (
        PatternStorage(source, tmp_path / "from", compression_threshold_days=0, actor="me") as old,
        PatternStorage(target, tmp_path / "to") as new,
    ):
        revised(old)
        old.compress_old_files()
        steps: list[int] = []
        assert old.copy_to(new, on_batch=steps.append) == BATCH + 100
        assert steps == [BATCH, 100]
        assert everything(new) == everything(old)
        assert verify_copy(old.backend, new.backend, Query(limit=None)) == BATCH + 100  # type: ignore[arg-type]
        assert old.copy_to(new) == 0
        assert everything(new) == everything(old)
        assert new.check(read_data=True) == old.check(read_data=True) == []


def test_a_copy_of_a_part_takes_what_answers(tmp_path: Path) -> None:
    """A question chooses the heads; each comes with its whole history."""
    with PatternStorage("memory") as old, PatternStorage("sqlite", tmp_path / "to") as new:
        revised(old)
        assert old.copy_to(new, Query("tool_use", limit=None)) == 12
        assert new.count() == 12
        assert len(everything(new)) == 36


class Breaking(MemoryBackend):
    """Refuses the second batch, once."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0

    def write(self, batch: Batch) -> None:
        """Write, but not the second time."""
        self.batches += 1
        if self.batches == 2:
            raise StoreError(28, "the disk is full")
        super().write(batch)


def test_a_copy_that_broke_off_is_completed_by_the_next() -> None:
    """What the first attempt brought over is whole and is not brought again."""
    source, target = PatternStorage("memory"), Breaking()
    revised(source)
    origin = source.backend
    assert isinstance(origin, MemoryBackend)
    with pytest.raises(StoreError, match="full"):
        copy(origin, target)
    with pytest.raises(DamageError, match="is missing"):
        verify_copy(origin, target, Query(limit=None))
    assert copy(origin, target) == 100
    assert verify_copy(origin, target, Query(limit=None)) == BATCH + 100
    assert [facts(r) for r in target.scan(Query(limit=None, revisions="all"))] == [
        facts(r) for r in origin.scan(Query(limit=None, revisions="all"))
    ]


def test_what_the_target_knows_otherwise_gets_a_further_revision() -> None:
    """Neither side's content is lost; the copy's head is the source's, and repeating changes nothing."""
    with PatternStorage("memory") as old, PatternStorage("memory") as new:
        old.save(sample("a", duration_ms=1))
        old.save(sample("same"))
        new.save(sample("a", duration_ms=2))
        new.save(sample("same"))
        assert old.copy_to(new) == 1
        assert new.load("a") == sample("a", duration_ms=1)
        assert [r["data"]["duration_ms"] for r in new.backend.history("a")] == [2, 1]  # type: ignore[attr-defined]
        assert old.copy_to(new) == 0


@pytest.mark.parametrize("change", [{"duration_ms": 1}, {"note": True}])
def test_a_copy_with_other_content_is_named(change: dict[str, Any]) -> None:
    """Comparing names the first record that is not as it should be, 1 and True told apart."""
    with PatternStorage("memory") as old, PatternStorage("memory") as new:
        old.save_many([sample("a"), sample("b", note=1)])
        new.save_many([sample("a"), sample("b", **{"note": 1, **change})])
        with pytest.raises(DamageError, match="copy of 'b' has other content"):
            verify_copy(old.backend, new.backend, Query(limit=None))  # type: ignore[arg-type]


def test_a_revision_that_comes_during_a_copy_does_not_break_it() -> None:
    """The head that was read is copied with what came before it, numbered without gaps."""
    with PatternStorage("memory") as old, PatternStorage("memory") as new:
        for duration in (1, 2, 3):
            old.save(sample("a", duration_ms=duration))
        old.save(sample("b"))

        class Late(MemoryBackend):
            """Another writer revises a record between the scan and the look at its history."""

            def scan(self, query: Query) -> Iterator[Record]:
                if query.revisions == "heads":
                    return super().scan(query)
                old.save(sample("a", duration_ms=4))
                return old.backend.scan(query)

        source = Late()
        source.write(Batch([facts(record) for record in old.backend.scan(EVERYTHING)]))
        assert copy(source, new.backend) == 2  # type: ignore[arg-type]
        assert [r["data"]["duration_ms"] for r in new.backend.history("a")] == [1, 2, 3]  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", BACKENDS)
def test_revisions_that_the_target_lacks_follow_its_own(target: str, tmp_path: Path) -> None:
    """Oldest first, the source's head last, whatever the two have in common; repeating adds nothing."""
    cases = {
        "apart": ([1, 2, 3], [9], [9, 1, 2, 3]),
        "begun": ([1, 2, 3], [1], [1, 2, 3]),
        "between": ([1, 3], [1, 2], [1, 2, 3]),
        "ahead": ([1], [1, 2], [1, 2, 1]),
        "back": ([1, 2, 1], [1, 2], [1, 2, 1]),
    }
    with PatternStorage("memory") as old, PatternStorage(target, tmp_path / "to") as new:
        for name, (ours, theirs, _) in cases.items():
            for storage, durations in ((old, ours), (new, theirs)):
                for duration in durations:
                    storage.save(sample(name, duration_ms=duration))
        assert old.copy_to(new) == len(cases)
        for name, (_, _, wanted) in cases.items():
            history = new.backend.history(name)  # type: ignore[attr-defined]
            assert [r["data"]["duration_ms"] for r in history] == wanted, name
        assert verify_copy(old.backend, new.backend, Query(limit=None)) == len(cases)  # type: ignore[arg-type]
        assert old.copy_to(new) == 0


def test_a_copy_that_lacks_superseded_revisions_is_named() -> None:
    """Equal heads are not enough."""
    with PatternStorage("memory") as old, PatternStorage("memory") as new:
        for duration in (1, 2):
            old.save(sample("a", duration_ms=duration))
        new.save(sample("a", duration_ms=2))
        with pytest.raises(DamageError, match="copy of 'a' lacks 2 revisions"):
            verify_copy(old.backend, new.backend, Query(limit=None))  # type: ignore[arg-type]


def test_superseded_revisions_cannot_be_copied_without_their_heads() -> None:
    """They come with their heads, so a question for all revisions is refused."""
    with PatternStorage("memory") as old, PatternStorage("memory") as new:
        old.save(sample("a"))
        with pytest.raises(QueryError, match="ask for heads"):
            old.copy_to(new, Query(limit=None, revisions="all"))


@pytest.mark.parametrize("target", ["filesystem", "sqlite"])
def test_the_key_of_redacted_secrets_comes_along(target: str, tmp_path: Path) -> None:
    """Where the target has none; one that it has is its own, and a source without one changes nothing."""
    beside = tmp_path / "new" / ("to.db.key" if target == "sqlite" else "to.key")
    with (
        PatternStorage("sqlite", tmp_path / "from") as old,
        PatternStorage(target, tmp_path / "new" / "to") as new,
    ):
        old.save(sample("a"))
        old.copy_to(new)
        assert not beside.exists()
        key = load_key(str(tmp_path / "from.db.key"))
        old.copy_to(new)
        assert load_key(str(beside)) == key
        beside.write_bytes(bytes(range(32)))
        old.copy_to(new)
        assert load_key(str(beside)) == bytes(range(32))

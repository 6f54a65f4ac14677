"""What a user writes, for type checkers alone: never run, checked strictly, also against the wheel.

Each `type: ignore` is a mistake that a checker must see; one that it does not see is an error itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, assert_type

from moai_patterns import (
    Backend,
    Condition,
    Outcome,
    Page,
    Pattern,
    PatternSchema,
    PatternStorage,
    PatternType,
    Plan,
    Policy,
    Problem,
    Query,
    Session,
    StorageConfig,
    TaskCompletionData,
    ValidationError,
    Violation,
    field,
    open_store,
)

payload: TaskCompletionData = {"task_type": "review", "agent": "reviewer", "duration_ms": 12, "success": True}
incomplete: TaskCompletionData = {"task_type": "review"}  # type: ignore[typeddict-item]
mistyped: TaskCompletionData = {**payload, "duration_ms": "12"}  # type: ignore[typeddict-item]

record: Pattern = {
    "pattern_id": "review-1",
    "pattern_type": PatternType.TASK_COMPLETION,
    "timestamp": "2025-11-29T10:00:00Z",
    "data": dict(payload),
    "context": {"environment": "staging", "tags": ["nightly"]},
}

with PatternStorage("sqlite", "captures", 30, 90, durability="record", timeout=5.0) as storage:
    assert_type(storage.save(record), Literal[True])
    assert_type(storage.capture("task_completion", payload, {"tags": ["nightly"]}), str)
    assert_type(storage.save_many(iter([record])), int)
    assert_type(storage.load("review-1"), dict[str, Any] | None)
    assert_type(storage.get_many(["review-1"]), list[dict[str, Any] | None])
    slow = field("data.duration_ms") >= 1000
    assert_type(slow, Condition)
    found = storage.query(PatternType.TASK_COMPLETION, tags=["nightly"], where=slow, order="oldest")
    assert_type(found, Page)
    assert_type(found.cursor, str | None)
    assert_type(storage.iter(Query(limit=None)), Iterator[dict[str, Any]])
    assert_type(storage.count(), int)
    assert_type(storage.stats(), dict[str, Any])
    assert_type(storage.delete("review-1"), int)
    assert_type(storage.plan(policy=Policy(retain_days=30)), Plan)
    assert_type(storage.apply(storage.plan()), Outcome)
    assert_type(storage.check(read_data=True), list[Problem])
    assert_type(storage.config, StorageConfig)
    with storage.session() as session:
        assert_type(session, Session)
        assert_type(session.save(record), Literal[True])
    storage.copy_to(open_store("memory:"))
    storage.query(order="sideways")  # type: ignore[call-overload]
    storage.query(limit="all")  # type: ignore[call-overload]
    storage.copy_to("captures.db")  # type: ignore[arg-type]

PatternStorage("sqlite", durability="often")  # type: ignore[arg-type]
PatternStorage(object())  # type: ignore[arg-type]


class Nothing:
    """A backend of one's own needs three methods and no base class."""

    def write(self, batch: Any) -> None:
        """Forget the batch."""

    def scan(self, query: Query) -> Iterator[dict[str, Any]]:
        """Find nothing."""
        return iter(())

    def close(self) -> None:
        """Have nothing to close."""


own: Backend = Nothing()
PatternStorage(own).close()

try:
    open_store("memory:").save({})
except ValidationError as refusal:
    assert_type(refusal.violations, tuple[Violation, ...])
    sentences = [f"{violation.path}: {violation.sentence}" for violation in refusal.violations]

assert_type(PatternSchema.validate_task_completion(payload), bool)
assert_type(PatternSchema.errors(record), list[Violation])

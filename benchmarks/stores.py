"""Stores of a given size, filled as captures would fill them: time-ordered ids, one kind after another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moai_patterns import PatternStorage
from moai_patterns.identifiers import new_id
from moai_patterns.instant import DAY, isoformat

PER_DAY = 100_000
NOON = DAY // 2
BACKENDS = ("filesystem", "sqlite")


def record(number: int, moment: int) -> dict[str, Any]:
    """A record of about 490 bytes, as an agent's tool call leaves one behind."""
    return {
        "pattern_id": new_id(moment),
        "pattern_type": "task_completion" if number % 2 else "agent_usage",
        "timestamp": isoformat(moment),
        "data": payload(number),
        "context": context(number),
    }


def payload(number: int) -> dict[str, Any]:
    """The data of the record of this number."""
    shared = {"task_type": "code_generation", "duration_ms": number % 90_000, "success": number % 7 > 0}
    if number % 2:
        return shared | {"agent": "expert-backend", "files_created": number % 3, "tests_passed": number % 50}
    return shared | {"agent_type": "reviewer", "tools_used": ["Read", "Edit"], "tokens_used": number % 9_000}


def context(number: int) -> dict[str, Any]:
    """The context of the record of this number."""
    return {
        "project_name": f"project-{number % 20}",
        "session_id": f"session-{number // 500}",
        "git_branch": "main",
        "tags": ["bench", f"tag-{number % 10}"],
    }


def history(count: int) -> Iterator[dict[str, Any]]:
    """`count` records, 100,000 a day, of which the last day is today."""
    first = (time.time_ns() // 1000 // DAY - (count - 1) // PER_DAY) * DAY
    step = DAY // PER_DAY
    for number in range(count):
        yield record(number, first + number // PER_DAY * DAY + number % PER_DAY * step)


def filled(backend: str, path: Path, count: int) -> PatternStorage:
    """An open storage with `count` records, everything before today compacted."""
    storage = PatternStorage(backend, path, compression_threshold_days=0, maintenance_interval=None)
    storage.save_many(history(count))
    storage.compress_old_files()
    return storage

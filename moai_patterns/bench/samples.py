"""Records of about 490 bytes, as agents leave them behind, with ids as `capture()` makes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moai_patterns.instant import DAY, isoformat
from moai_patterns.query import Record


def record(number: int, moment: int) -> Record:
    """Return the record of this number; `moment` is its time in UTC microseconds."""
    return {
        "pattern_id": identity(number, moment),
        "pattern_type": "task_completion" if number % 2 else "agent_usage",
        "timestamp": isoformat(moment),
        "data": payload(number),
        "context": context(number),
    }


def identity(number: int, moment: int) -> str:
    """Return a UUID of version 7, the same for the same number and time, alike to no other one."""
    when = f"{moment // 1000:012x}"
    chance = f"{number * 0x9E37_79B9_7F4A_7C15 % (1 << 64):016x}"
    return f"{when[:8]}-{when[8:]}-7{chance[:3]}-8{chance[3:6]}-{chance[4:]}"


def payload(number: int) -> dict[str, Any]:
    """Return the data of the record of this number."""
    shared = {
        "task_type": "code_generation",
        "duration_ms": number % 90_000,
        "success": number % 7 > 0,
        "summary": f"Step {number} of the refactoring: moved the parser out of the command line",
    }
    if number % 2:
        return shared | {"agent": "expert-backend", "files_created": number % 3, "tests_passed": number % 50}
    return shared | {"agent_type": "reviewer", "tools_used": ["Read", "Edit"], "tokens_used": number % 9_000}


def context(number: int) -> dict[str, Any]:
    """Return the context of the record of this number."""
    return {
        "project_name": f"project-{number % 20}",
        "session_id": f"session-{number // 500}",
        "git_branch": "main",
        "tags": ["bench", f"tag-{number % 10}"],
    }


def history(count: int, end: int, days: int = 10) -> Iterator[Record]:
    """Yield `count` records, as many on each of some days; the last is that of `end` (UTC microseconds)."""
    per_day = -(-count // days)
    first = (end // DAY - days + 1) * DAY
    for number in range(count):
        yield record(number, first + number // per_day * DAY + number % per_day * (DAY // per_day))

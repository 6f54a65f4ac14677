"""Records for tests, valid unless a test breaks them."""

from typing import Any

PAYLOADS: dict[str, dict[str, Any]] = {
    "task_completion": {"task_type": "fix", "agent": "coder", "duration_ms": 1200, "success": True},
    "error_occurrence": {"error_type": "ValueError", "error_message": "no"},
    "agent_usage": {"agent_type": "Explore", "task_type": "search", "success": True, "duration_ms": 5},
    "user_correction": {
        "original_output": "a",
        "corrected_output": "b",
        "correction_type": "edit",
        "agent": "coder",
    },
    "tool_use": {"tool_name": "Bash"},
    "hook_event": {"event": "Stop"},
}


def sample(
    identity: str = "pattern-1",
    timestamp: str = "2025-11-29T10:00:00Z",
    kind: str = "task_completion",
    tags: list[str] | None = None,
    **data: Any,
) -> dict[str, Any]:
    """A valid record; `data` overrides payload fields, `tags` go into the context."""
    record: dict[str, Any] = {
        "pattern_id": identity,
        "pattern_type": kind,
        "timestamp": timestamp,
        "data": {**PAYLOADS[kind], **data},
    }
    if tags is not None:
        record["context"] = {"tags": tags}
    return record

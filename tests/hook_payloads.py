"""One hand-written payload for each hook event of Claude Code, and the kind that it becomes."""

from __future__ import annotations

from typing import Any

SESSION = "5f0c9a52-4a0e-4a67-9a3f-2f6f0f6c1d11"
FRAME = {
    "session_id": SESSION,
    "transcript_path": f"/home/dev/.claude/projects/-home-dev-shop/{SESSION}.jsonl",
    "cwd": "/home/dev/shop",
    "permission_mode": "acceptEdits",
    "prompt_id": "0b9f7e0e-2c1d-4f4b-8b44-0d4f4a5f7a10",
    "scratchpad_dir": "/tmp/claude/scratch",
}
EFFORT = {"effort": {"level": "high"}}
EDIT = {"file_path": "/home/dev/shop/cart.py", "old_string": "a", "new_string": "b"}
EDITED = {
    "filePath": "/home/dev/shop/cart.py",
    "oldString": "a",
    "newString": "b",
    "originalFile": "a\n",
    "structuredPatch": [{"oldStart": 1, "oldLines": 1, "newStart": 1, "newLines": 1, "lines": ["-a", "+b"]}],
    "userModified": False,
    "replaceAll": False,
}
BASH = {"command": "make test", "description": "Run the tests"}
TASKS = [{"id": "bg1", "type": "bash", "status": "running", "description": "server", "command": "make run"}]
CRONS = [{"id": "c1", "schedule": "0 9 * * *", "recurring": True, "prompt": "stand-up"}]

_EVENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "SessionStart": ("hook_event", {"source": "startup", "model": "claude-x", "session_title": "shop"}),
    "Setup": ("hook_event", {"trigger": "init"}),
    "InstructionsLoaded": (
        "hook_event",
        {"file_path": "/home/dev/shop/CLAUDE.md", "memory_type": "Project", "load_reason": "start"},
    ),
    "UserPromptSubmit": ("hook_event", {"prompt": "fix the total"}),
    "UserPromptExpansion": (
        "hook_event",
        {
            "expansion_type": "slash_command",
            "command_name": "review",
            "command_args": "",
            "command_source": "project",
            "prompt": "/review",
        },
    ),
    "MessageDisplay": (
        "hook_event",
        {"turn_id": "t1", "message_id": "m1", "index": 0, "final": False, "delta": "Let me"},
    ),
    "PreToolUse": (
        "hook_event",
        {"tool_name": "Bash", "tool_input": BASH, "tool_use_id": "toolu_1", **EFFORT},
    ),
    "PermissionRequest": (
        "hook_event",
        {"tool_name": "Bash", "tool_input": BASH, "permission_suggestions": [{"type": "addRules"}]},
    ),
    "PermissionDenied": (
        "hook_event",
        {"tool_name": "Bash", "tool_input": BASH, "tool_use_id": "toolu_1", "reason": "classifier"},
    ),
    "PostToolUse": (
        "tool_use",
        {
            "tool_name": "Edit",
            "tool_input": EDIT,
            "tool_response": EDITED,
            "tool_use_id": "toolu_2",
            "duration_ms": 31,
            **EFFORT,
        },
    ),
    "PostToolUseFailure": (
        "error_occurrence",
        {
            "tool_name": "Read",
            "tool_input": {"file_path": "/home/dev/shop/no.py"},
            "tool_use_id": "toolu_3",
            "error": "File does not exist.",
            "is_interrupt": False,
            "duration_ms": 4,
            **EFFORT,
        },
    ),
    "PostToolBatch": (
        "hook_event",
        {
            "tool_calls": [
                {"tool_name": "Bash", "tool_input": BASH, "tool_use_id": "toolu_1", "tool_response": "ok"}
            ]
        },
    ),
    "Notification": (
        "hook_event",
        {"message": "Claude is waiting", "title": "Claude Code", "notification_type": "idle_prompt"},
    ),
    "SubagentStart": ("hook_event", {"agent_id": "a1b2c3", "agent_type": "Explore"}),
    "SubagentStop": (
        "agent_usage",
        {
            "stop_hook_active": False,
            "agent_id": "a1b2c3",
            "agent_type": "Explore",
            "agent_transcript_path": "/home/dev/.claude/projects/x/subagents/agent-a1b2c3.jsonl",
            "last_assistant_message": "Found it.",
            "background_tasks": TASKS,
            "session_crons": CRONS,
            **EFFORT,
        },
    ),
    "TaskCreated": ("hook_event", {"task_id": "1", "task_subject": "tests", "task_description": "write"}),
    "TaskCompleted": ("hook_event", {"task_id": "1", "task_subject": "tests", "teammate_name": "ada"}),
    "Stop": (
        "task_completion",
        {
            "stop_hook_active": False,
            "last_assistant_message": "Done.",
            "background_tasks": TASKS,
            "session_crons": CRONS,
            **EFFORT,
        },
    ),
    "StopFailure": (
        "error_occurrence",
        {"error": "rate_limit", "error_details": "429 for 3 minutes", "last_assistant_message": "API Error"},
    ),
    "TeammateIdle": ("hook_event", {"teammate_name": "ada", "team_name": "shop"}),
    "ConfigChange": (
        "hook_event",
        {"source": "user_settings", "file_path": "/home/dev/.claude/settings.json"},
    ),
    "CwdChanged": ("hook_event", {"old_cwd": "/home/dev", "new_cwd": "/home/dev/shop"}),
    "DirectoryAdded": ("hook_event", {"directory": "/home/dev/lib", "source": "slash_command"}),
    "FileChanged": ("hook_event", {"file_path": "/home/dev/shop/cart.py", "event": "change"}),
    "WorktreeCreate": ("hook_event", {"name": "fix"}),
    "WorktreeRemove": ("hook_event", {"worktree_path": "/home/dev/shop-fix"}),
    "PreCompact": ("hook_event", {"trigger": "auto", "custom_instructions": ""}),
    "PostCompact": ("hook_event", {"trigger": "auto", "compact_summary": "So far ..."}),
    "SessionEnd": ("task_completion", {"reason": "prompt_input_exit"}),
    "Elicitation": (
        "hook_event",
        {"mcp_server_name": "db", "message": "which?", "requested_schema": {"type": "object"}},
    ),
    "ElicitationResult": ("hook_event", {"mcp_server_name": "db", "action": "accept", "content": {"n": 1}}),
}
KINDS = {event: kind for event, (kind, _) in _EVENTS.items()}
PAYLOADS = {event: {**FRAME, "hook_event_name": event, **own} for event, (_, own) in _EVENTS.items()}

"""What a coding agent's hook does: hand an event to `moai-patterns hook claude-code`, and ask later."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from moai_patterns import open_store

PAYLOADS = [
    {
        "hook_event_name": "PostToolUse",
        "session_id": "example-session",
        "cwd": "/projects/demo",
        "tool_name": "Bash",
        "tool_input": {"command": "make test"},
        "tool_response": {"stdout": "42 passed", "stderr": "", "interrupted": False},
    },
    {
        "hook_event_name": "PostToolUse",
        "session_id": "example-session",
        "cwd": "/projects/demo",
        "tool_name": "Bash",
        "tool_input": {"command": "export GITHUB_TOKEN=ghp_" + "a1B2" * 9},
        "tool_response": {"stdout": "", "stderr": "", "interrupted": False},
    },
    {"hook_event_name": "Stop", "session_id": "example-session", "cwd": "/projects/demo"},
]

with tempfile.TemporaryDirectory() as place:
    store = f"file:{Path(place, 'captures')}"
    for payload in PAYLOADS:
        # The agent starts one such process per event; it prints nothing and always exits with 0.
        subprocess.run(
            [sys.executable, "-m", "moai_patterns", "hook", "claude-code", "--store", store],
            input=json.dumps(payload).encode(),
            check=True,
        )

    with open_store(store) as storage:
        for record in storage.query(order="oldest"):
            print(record["pattern_type"], record["context"]["session_id"], record["context"]["tags"])
        for record in storage.query("tool_use", order="oldest"):
            print("command:", record["data"]["tool_input"]["command"])

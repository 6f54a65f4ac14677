"""Real hook processes for tests: run one, run many, and look at what they left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
START = [sys.executable, "-c", "from moai_patterns.cli import main; main()"]
HOOK = [*START, "hook", "claude-code"]

TOOL_USE: dict[str, Any] = {
    "session_id": "3f1c2b9e-5d1a-4e0b-8f6c-0a1b2c3d4e5f",
    "transcript_path": "/home/who/.claude/projects/p/3f1c2b9e.jsonl",
    "cwd": "/home/who/p",
    "permission_mode": "default",
    "hook_event_name": "PostToolUse",
    "tool_name": "Bash",
    "tool_input": {"command": "ls", "description": "List the files"},
    "tool_response": {"stdout": "a\nb", "stderr": "", "interrupted": False, "isImage": False},
    "tool_use_id": "toolu_01",
    "duration_ms": 12,
}


class Project:
    """A project directory with a store, in which hooks run as an agent starts them."""

    def __init__(self, directory: Path, backend: str) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.location = (
            ("filesystem", str(directory / ".moai/patterns"))
            if backend == "filesystem"
            else ("sqlite", str(directory / ".moai/patterns.db"))
        )
        scheme = "file" if backend == "filesystem" else "sqlite"
        self.store = f"{scheme}:{self.location[1]}"
        self.environ = {
            **{name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ},
            "PYTHONPATH": str(ROOT),
            "HOME": str(directory / "home"),
            "TMPDIR": str(directory / "tmp"),
            "CLAUDE_PROJECT_DIR": str(directory),
            "MOAI_PATTERNS_STORE": self.store,
        }
        if "PYTHONDONTWRITEBYTECODE" in os.environ:
            self.environ["PYTHONDONTWRITEBYTECODE"] = "1"

    def start(self, command: list[str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """Start a hook process with pipes around it."""
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        settings = {"cwd": self.directory, "env": self.environ, **pipes, **options}
        return subprocess.Popen(command or HOOK, **settings)

    def hook(self, payload: Any = TOOL_USE, command: list[str] | None = None, **options: Any) -> None:
        """Run one hook on a payload (bytes, or a value to write as JSON), and see that it says nothing."""
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        with self.start(command, **options) as process:
            told = process.communicate(raw)
        assert (process.returncode, *told) == (0, b"", b"")

    def records(self) -> list[dict[str, Any]]:
        """Everything in the store, in the order of arrival, without what waits in a spool."""
        from moai_patterns.backends.opening import open_backend
        from moai_patterns.query import Query

        if not os.path.exists(self.location[1]):
            return []
        opened = open_backend(*self.location)
        try:
            assert opened.check(read_data=True) == []
            return list(opened.scan(Query(order="arrival", limit=None)))
        finally:
            opened.close()

    def waiting(self) -> int:
        """How many records wait in the spools of the store."""
        from moai_patterns.spool import status

        return int(status(self.location, self.environ)["waiting"])

    def faults(self) -> list[str]:
        """The steps and errors in the log."""
        from moai_patterns.collect.faults import recent

        return [f"{fault['step']}: {fault['error']}" for fault in recent(self.location, self.environ)]

    def everything(self) -> bytes:
        """All bytes below the project, wherever they are."""
        return b"\n".join(path.read_bytes() for path in self.directory.rglob("*") if path.is_file())

"""What a process costs that captures one payload and ends, and what an import does."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from moai_patterns.bench.measuring import OURS, Case, Contest, Contestant

_BARE = "python -c pass"
_PASS = [sys.executable, "-c", "pass"]
_IMPORT = [sys.executable, "-c", "import moai_patterns"]
_CAPTURE = [sys.executable, "-c", "from moai_patterns.cli import main; main()", "hook", "claude-code"]
_STARTS = 10
_OUTPUT = "\n".join(f"tests/test_cart.py::test_total[{number}] PASSED" for number in range(30))
_SECRET = "export GITHUB_TOKEN=ghp_" + "0123456789abcdefghijklmnopqrstuvwxyz"[:36]


def payload(command: str = "make test") -> bytes:
    """Return what an agent hands to its hook after a call of a shell."""
    return json.dumps(
        {
            "session_id": "5f0c9a52-4a0e-4a67-9a3f-2f6f0f6c1d11",
            "transcript_path": "/home/dev/.claude/projects/-home-dev-shop/5f0c9a52.jsonl",
            "cwd": "/home/dev/shop",
            "permission_mode": "acceptEdits",
            "hook_event_name": "PostToolUse",
            "tool_name": "Bash",
            "tool_input": {"command": command, "description": "Run the tests"},
            "tool_response": {"stdout": _OUTPUT, "stderr": "", "interrupted": False, "isImage": False},
            "tool_use_id": "toolu_01A2b3C4d5E6f7G8h9J0k1L2",
            "duration_ms": 5120,
        }
    ).encode()


def cases(given: bytes) -> list[Case]:
    """Return the cases; `given` is the payload that is captured."""
    secret = payload(_SECRET)
    return [
        Case("import moai_patterns", partial(_processes, OURS, _IMPORT, b""), {_BARE: 1.3}),
        Case("capture process, filesystem", partial(_capturing, "file", given), {_BARE: 2.5}),
        Case("capture process, SQLite", partial(_capturing, "sqlite", given), {_BARE: 2.5}),
        Case("capture process that redacts, filesystem", partial(_capturing, "file", secret), {_BARE: 10}),
        Case("capture process that redacts, SQLite", partial(_capturing, "sqlite", secret), {_BARE: 10}),
    ]


def _capturing(scheme: str, given: bytes, directory: Path) -> Contest:
    command = [*_CAPTURE, "--store", f"{scheme}:{directory / 'store'}"]
    return _processes(OURS, command, given, directory)


@contextmanager
def _processes(name: str, command: list[str], given: bytes, directory: Path) -> Iterator[list[Contestant]]:
    """Compare one command with a bare interpreter."""
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(given)
        file.flush()
        yield [
            Contestant(name, lambda _: partial(_start, command, file.fileno()), _STARTS),
            Contestant(_BARE, lambda _: partial(_start, _PASS, file.fileno()), _STARTS),
        ]


def _environment() -> dict[str, str]:
    """Return the environment of an agent: the first start compiles the modules, the others find that."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _start(command: list[str], given: int) -> None:
    for _ in range(_STARTS):
        os.lseek(given, 0, os.SEEK_SET)
        actions = [(os.POSIX_SPAWN_DUP2, given, 0)]
        process = os.posix_spawn(command[0], command, _environment(), file_actions=actions)
        _, status = os.waitpid(process, 0)
        if status:
            raise RuntimeError(f"{command} ended with status {status}")

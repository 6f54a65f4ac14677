"""Hand-written lines of transcripts: a session that tests put together line by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SESSION = "9d3c1f52-0d5e-4d0a-8d57-1c1f0a8f7e21"
Line = dict[str, Any]


class Session:
    """Lines of one session, a second apart; each method adds one and returns it."""

    def __init__(self, session: str = SESSION, start: int = 0, **frame: Any) -> None:
        self.lines: list[Line] = []
        self.session = session
        self._second = start
        self._frame = frame

    def add(self, kind: str, after: int = 1, **members: Any) -> Line:
        self._second += after
        number = len(self.lines)
        line = {
            "parentUuid": self.lines[-1].get("uuid") if self.lines else None,
            "isSidechain": False,
            "userType": "external",
            "cwd": "/home/dev/shop",
            "sessionId": self.session,
            "version": "2.1.39",
            "gitBranch": "main",
            "type": kind,
            "uuid": f"{self.session[:4]}-{kind}-{self._second}-{number}",
            "timestamp": f"2026-01-12T09:{self._second // 60:02d}:{self._second % 60:02d}.250Z",
            **self._frame,
            **members,
        }
        self.lines.append(line)
        return line

    def bare(self, **members: Any) -> Line:
        self.lines.append(members)
        return members

    def prompt(self, text: str = "fix the total", **members: Any) -> Line:
        return self.add("user", message={"role": "user", "content": text}, **members)

    def says(self, *blocks: Line, message_id: str = "msg_1", tokens: int = 10, **members: Any) -> Line:
        usage = {
            "input_tokens": 3,
            "output_tokens": tokens,
            "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 1000,
        }
        message = {
            "id": message_id,
            "model": "claude-x",
            "role": "assistant",
            "type": "message",
            "content": list(blocks),
            "stop_reason": None,
            "usage": usage,
        }
        return self.add("assistant", message=message, requestId="req_1", **members)

    def result(self, identity: str, content: Any, reported: Any = ..., **members: Any) -> Line:
        error = {"is_error": True} if members.pop("is_error", False) else {}
        block = {"tool_use_id": identity, "type": "tool_result", "content": content, **error}
        if reported is not ...:
            members["toolUseResult"] = reported
        return self.add("user", message={"role": "user", "content": [block]}, **members)

    def turn_over(self, milliseconds: int = 5_000) -> Line:
        return self.add("system", subtype="turn_duration", durationMs=milliseconds, isMeta=False)

    def write(self, path: Path, lines: int | None = None) -> Path:
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines[:lines]), encoding="utf-8")
        return path


def text(words: str) -> Line:
    return {"type": "text", "text": words}


def call(name: str, identity: str, **arguments: Any) -> Line:
    return {"type": "tool_use", "id": identity, "name": name, "input": arguments}


def progress(message: Line, agent: str = "a1", call_id: str = "toolu_9") -> dict[str, Any]:
    """The members of an `agent_progress` line."""
    return {
        "data": {"type": "agent_progress", "agentId": agent, "prompt": "look", "message": message},
        "parentToolUseID": call_id,
        "toolUseID": "agent_msg_1",
    }

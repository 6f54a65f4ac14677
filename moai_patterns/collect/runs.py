"""What the lines of one run of an agent add up to: a turn of the main agent, or a subagent's run."""

from __future__ import annotations

from typing import Any

from moai_patterns.collect.tool_results import AGENT, count, place
from moai_patterns.collect.transcript_lines import Stamp
from moai_patterns.query import Record

_TOKENS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_OPEN_MESSAGES = 64  # one API response is written as several lines close to each other
_SYNTHETIC = "<synthetic>"
_EDITS = ("Write", "Edit", "MultiEdit", "NotebookEdit")
# Of two sources of a subagent's run: the call says what it was for, its own lines what it did.
_TOLD_BY_CALL = ("agent_type", "success")
_TOLD_BY_LINES = (
    "duration_ms",
    "tokens_used",
    "tools_used",
    "api_calls",
    "files_accessed",
    "retry_count",
)
_NEUTRAL: Record = {"agent_type": "unknown", "success": True, "duration_ms": 0}


class Usage:
    """Time, tokens, tools and files of a run, line by line."""

    def __init__(self) -> None:
        self.lines = 0
        self.at = ""
        self.began: int | None = None
        self.ended = 0
        self.retries = 0
        self.tokens = dict.fromkeys(_TOKENS, 0)
        self.models: dict[str, None] = {}
        self.tools: dict[str, None] = {}
        self.files: dict[str, None] = {}
        self.api_calls = 0
        self._open: dict[str, dict[str, int]] = {}

    def line(self, stamp: Stamp) -> None:
        """Count a line of the run."""
        self.lines += 1
        if stamp.clock in (None, "snapshot"):
            self.began = stamp.moment if self.began is None else min(self.began, stamp.moment)
            if stamp.moment >= self.ended or not self.at:
                self.ended, self.at = stamp.moment, stamp.text
        self.at = self.at or stamp.text

    def answer(self, message: Record) -> None:
        """Add what a line of an API response reports: per message id, not per line.

        The lines of one response repeat its usage, the first ones with fewer output tokens than the
        last, so the largest number counts.
        """
        identity, usage = message.get("id"), message.get("usage")
        if not isinstance(identity, str) or not isinstance(usage, dict) or is_synthetic(message):
            return
        if isinstance(message.get("model"), str):
            self.models[message["model"]] = None
        known = self._open.pop(identity, None)
        if known is None:
            known = dict.fromkeys(_TOKENS, 0)
            self.api_calls += 1
        for name in _TOKENS:
            more = max((count(usage.get(name)) or 0) - known[name], 0)
            known[name] += more
            self.tokens[name] += more
        self._open[identity] = known
        if len(self._open) > _OPEN_MESSAGES:
            del self._open[next(iter(self._open))]

    def call(self, block: Record) -> None:
        """Add a tool call, given its content block."""
        name = block.get("name")
        if isinstance(name, str) and name:
            self.tools[name] = None
        self.files.update(dict.fromkeys(place(block.get("input")).values()))

    def known(self) -> Record:
        """Return the members of an `agent_usage` that the lines tell."""
        data: Record = {
            "tools_used": list(self.tools),
            "files_accessed": len(self.files),
            "api_calls": self.api_calls,
            "tokens_used": sum(self.tokens.values()),
            "retry_count": self.retries,
        }
        if self.began is not None:
            data["duration_ms"] = max(self.ended - self.began, 0) // 1000
        return data


class Turn(Usage):
    """A run of the main agent: from what the user asked to the last line of the answer.

    `start` is the record of the first line, whose circumstances are those of the turn.
    """

    def __init__(self, start: Record) -> None:
        super().__init__()
        self.start = start
        self.answers = 0
        self.is_over = False
        self.error: str | None = None
        self.reported: int | None = None
        self.created: dict[str, None] = {}
        self.modified: dict[str, None] = {}
        self.lines_added = 0

    def result(self, call: Record) -> None:
        """Add what a tool call that went well did to files, given the data of its `tool_use`."""
        response = call.get("tool_response")
        if call["tool_name"] not in _EDITS or not isinstance(response, dict):
            return
        path = response.get("filePath") or place(call.get("tool_input")).get("file_path")
        if not isinstance(path, str):
            return
        if response.get("type") == "create":
            self.created[path] = None
            self.lines_added += _length(response.get("content"))
            return
        if path not in self.created:
            self.modified[path] = None
        self.lines_added += _added(response.get("structuredPatch"))

    def completion(self) -> Record:
        """Return the data of the turn's `task_completion`."""
        data = {
            "task_type": "turn",
            "agent": AGENT,
            "duration_ms": self._duration(),
            "success": self.error is None,
            "files_created": len(self.created),
            "files_modified": len(self.modified),
            "lines_of_code": self.lines_added,
            "retry_count": self.retries,
        }
        return data if self.error is None else {**data, "error_message": self.error}

    def usage(self) -> Record:
        """Return the data of the turn's `agent_usage`."""
        return {
            "agent_type": AGENT,
            "task_type": "turn",
            "success": self.error is None,
            **self.known(),
            "duration_ms": self._duration(),
        }

    def assumed(self) -> list[str]:
        """Name what nothing told."""
        members = []
        if self.reported is None and self.began is None:
            members.append("data.duration_ms")
        if not self.is_over and self.error is None:
            members.append("data.success")
        return members

    def _duration(self) -> int:
        if self.reported is not None:
            return self.reported
        return int(self.known().get("duration_ms", 0))


class Run(Usage):
    """A run of a subagent; `start` is the record of its first line."""

    def __init__(self, start: Record, session: str) -> None:
        super().__init__()
        self.start = start
        self.session = session
        self.agent_id: str | None = None


def combine(parts: Record) -> tuple[Record, list[str]]:
    """Return data and assumed members of an `agent_usage` from what call and lines tell of a run.

    `parts` holds what the tool call told as `call`, what the run's own lines told as `lines`.
    """
    call, lines = parts.get("call", {}), parts.get("lines", {})
    told = {name: _first(name, call, lines) for name in _TOLD_BY_CALL}
    told.update((name, _first(name, lines, call)) for name in _TOLD_BY_LINES)
    assumed = [f"data.{name}" for name in _NEUTRAL if told[name] is None]
    if told["tokens_used"] is None and "last_request_tokens" in call:
        # What the tool reports as its total is the size of its last request: better than nothing to
        # look at, but nothing to add up.
        told["tokens_used"] = call["last_request_tokens"]
        assumed.append("data.tokens_used")
    data = {name: value for name, value in told.items() if value is not None}
    return {"task_type": "subagent", **_NEUTRAL, **data}, assumed


def is_synthetic(message: Record) -> bool:
    """Tell whether Claude Code wrote a message itself, without asking a model."""
    return message.get("model") == _SYNTHETIC


def _first(name: str, *parts: Record) -> Any:
    return next((part[name] for part in parts if name in part), None)


def _length(content: Any) -> int:
    return len(content.splitlines()) if isinstance(content, str) else 0


def _added(patch: Any) -> int:
    """Count the lines that a structured patch adds."""
    hunks = [hunk for hunk in patch if isinstance(hunk, dict)] if isinstance(patch, list) else []
    return sum(
        isinstance(line, str) and line.startswith("+")
        for hunk in hunks
        if isinstance(hunk.get("lines"), list)
        for line in hunk["lines"]
    )

"""Tool calls of a transcript that wait for their results, and what becomes of the two lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moai_patterns.collect.runs import Turn
from moai_patterns.collect.tool_results import failure, measure, plain_text, reported_duration, tags
from moai_patterns.collect.transcript_lines import Stamp, derived, made, unframe
from moai_patterns.query import Record

_SUBAGENT_TOOLS = ("Task", "Agent")
_WAITING = 1 << 24  # bytes of lines with calls without a result
_ABSENT = object()


def is_call(block: Record) -> bool:
    """Tell whether a content block calls a tool."""
    return block.get("type") == "tool_use" and all(
        isinstance(block.get(key), str) and block[key] for key in ("id", "name")
    )


def is_result(block: Record) -> bool:
    """Tell whether a content block is the result of a tool."""
    return block.get("type") == "tool_result"


class Outcome:
    """What a result block, and the line it stands on, say about a call."""

    def __init__(self, line: Record, block: Record, *, alone: bool) -> None:
        reported = line.get("toolUseResult", _ABSENT) if alone else _ABSENT
        self.block = block
        self.source = "content" if reported is _ABSENT else "toolUseResult"
        self.response = block.get("content", _ABSENT) if reported is _ABSENT else reported
        if block.get("is_error") is True:
            said = plain_text(block.get("content"))
            self.message: str | None = said or (reported if isinstance(reported, str) else "")
        else:
            self.message = failure(self.response)


class Call:
    """A call that waits; `record` is its `tool_use` so far."""

    def __init__(self, record: Record, stamp: Stamp, turn: Turn | None, size: int) -> None:
        self.record = record
        self.turn = turn
        self.size = size
        self._stamp = stamp

    @property
    def data(self) -> Record:
        """The data of the `tool_use`."""
        data: Record = self.record["data"]
        return data

    @property
    def is_for_agent(self) -> bool:
        """Whether a subagent was called."""
        return self.data["tool_name"] in _SUBAGENT_TOOLS

    def complete(self, outcome: Outcome, stamp: Stamp) -> None:
        """Add the result.

        The duration is what the tool reports, else the time between the lines, which includes
        waiting for a permission.
        """
        if outcome.response is not _ABSENT:
            self.data["tool_response"] = outcome.response
        between = None
        if self._stamp.clock is None and stamp.clock is None:
            between = max(stamp.moment - self._stamp.moment, 0) // 1000
        duration = measure(reported_duration(outcome.response), between)
        if duration is not None:
            self.data["duration_ms"] = duration
        self.data["success"] = outcome.message is None
        self.record["context"]["metadata"]["lines"] = 2

    def carry(self, line: Record, outcome: Outcome) -> None:
        """Keep the line of the result, without what stands in the data already."""
        metadata = self.record["context"]["metadata"]
        if outcome.response is not _ABSENT:
            metadata["response"] = outcome.source
            if outcome.source == "toolUseResult":
                line = {key: value for key, value in line.items() if key != "toolUseResult"}
            else:
                line = _with_block(line, {k: v for k, v in outcome.block.items() if k != "content"})
        metadata["result"] = line


class Waiting:
    """The calls without a result, by id, in the order in which they came."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._size = 0

    def put(self, identity: str, call: Call) -> Iterator[Record]:
        """Let a call wait, and yield those that have waited for too long."""
        before = self.take(identity)
        if before is not None:
            yield before.record
        self._calls[identity] = call
        self._size += call.size
        while self._size > _WAITING:
            oldest = self.take(next(iter(self._calls)))
            if oldest is not None:
                yield oldest.record

    def take(self, identity: Any) -> Call | None:
        """Return the call of this id, which waits no longer; None when there is none."""
        call = self._calls.pop(identity, None) if isinstance(identity, str) else None
        if call is not None:
            self._size -= call.size
        return call

    def asking(self, prompt: str) -> str | None:
        """Return the id of the call that asks a subagent this, None when there is none."""
        for identity, call in self._calls.items():
            asked = call.data.get("tool_input")
            if prompt and call.is_for_agent and isinstance(asked, dict) and asked.get("prompt") == prompt:
                return identity
        return None

    def empty(self) -> Iterator[Call]:
        """Yield every call that still waits."""
        for identity in list(self._calls):
            call = self.take(identity)
            if call is not None:
                yield call


def carrying(record: Record, rest: Record, block: Record) -> Record:
    """Return the `tool_use` of a call that is alone on its line, and carries it."""
    call = made(record, "tool_use", _data(block))
    bare = {key: value for key, value in block.items() if key != "input"}
    call["context"]["tags"] = tags(block["name"])
    call["context"]["metadata"].update(lines=1, call=_with_block(rest, bare))
    return call


def beside(record: Record, block: Record) -> Record:
    """Return the `tool_use` of a call whose line is carried by another record."""
    call = derived(record, "tool_use", _data(block), ("call", block["id"], record["pattern_id"]))
    call["context"]["tags"] = tags(block["name"])
    call["context"]["metadata"]["lines"] = 1
    return call


def lines_of(record: Record) -> list[Record]:
    """Return the lines that a `tool_use` carries: that of the call, that of the result, or none."""
    data, metadata = record["data"], record["context"]["metadata"]
    found = []
    if "call" in metadata:
        block = dict(metadata["call"]["message"]["content"][0])
        if "tool_input" in data:
            block["input"] = data["tool_input"]
        found.append(unframe(record, _with_block(metadata["call"], block)))
    if "result" in metadata:
        line = metadata["result"]
        if metadata.get("response") == "toolUseResult":
            line = {**line, "toolUseResult": data["tool_response"]}
        elif metadata.get("response") == "content":
            block = {**line["message"]["content"][0], "content": data["tool_response"]}
            line = _with_block(line, block)
        found.append(line)
    return found


def _data(block: Record) -> Record:
    data = {"tool_name": block["name"], "tool_use_id": block["id"]}
    return {**data, "tool_input": block["input"]} if "input" in block else data


def _with_block(line: Record, block: Record) -> Record:
    return {**line, "message": {**line["message"], "content": [block]}}

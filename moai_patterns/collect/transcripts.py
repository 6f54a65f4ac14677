"""A Claude Code transcript as records, line by line, and the lines back again.

Each line is carried by exactly one record: a call and its result by their `tool_use`, an API error by
its `error_occurrence`, every other line by a `hook_event`. What several lines say together (a turn,
a subagent's run, a failure, a correction) becomes a derived record, which carries no line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moai_patterns.collect.conversation import Conversation
from moai_patterns.collect.identity import derived_id, digest
from moai_patterns.collect.tool_calls import (
    Call,
    Outcome,
    Waiting,
    beside,
    carrying,
    is_call,
    is_result,
    lines_of,
)
from moai_patterns.collect.tool_results import derive, plain_text, tags
from moai_patterns.collect.transcript_lines import (
    UNKNOWN,
    Stamp,
    assume,
    blocks_of,
    derived,
    event_of,
    frame,
    made,
    message_of,
    own_stamp,
    text_of,
    unframe,
)
from moai_patterns.instant import isoformat
from moai_patterns.query import Record

_REMEMBERED = 20_000  # lines after which a repetition is noticed by the store only
_HELD = 1_000  # lines without a time that wait for the first one that has it


class Transcript:
    """One file while it is read: `add` each line in order, then `finish`.

    The ids of the records derive from session, uuid and content of a line, so that a file gives the
    same ones again, also when it has grown or has another name. `sessions` holds when each session
    was first heard of, in UTC microseconds, `repeated` how many lines stood there a second time.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, int] = {}
        self.repeated = 0
        self._session: str | None = None
        self._last: Stamp | None = None
        self._held: list[tuple[Record, str, int, int]] = []
        self._recent: dict[str, None] = {}
        self._equal: dict[str, int] = {}
        self._calls = Waiting()
        self._conversation = Conversation(self._calls.asking)

    def add(self, line: Record, size: int, moment: int) -> Iterator[Record]:
        """Take in a line of `size` bytes and yield the records that are complete with it.

        `moment` stands in for a timestamp (UTC microseconds) where no line of the file has one.
        """
        identity = self._identify(line)
        if identity is None:
            return
        stamp = own_stamp(line)
        own = stamp is not None and stamp.clock is None
        session = text_of(line, "sessionId")
        if session is not None:
            self._session = session
            if stamp is not None and own:
                first = self.sessions.setdefault(session, stamp.moment)
                self.sessions[session] = min(first, stamp.moment)
        if own:
            self._last = stamp
            yield from self._release()
        elif stamp is None and self._last is None:
            self._held.append((line, identity, size, moment))
            if len(self._held) > _HELD:
                yield from self._release()
            return
        yield from self._map(line, identity, size, stamp or self._nearby(moment))

    def raw(self, text: str, reason: str, moment: int) -> Record:
        """Return the record of an entry that no record can hold as JSON: it keeps the text."""
        record, _ = frame({}, self._numbered("", digest([text])), self._nearby(moment), self._session)
        assume(record, "data.event")
        return made(record, "hook_event", {"event": UNKNOWN, "raw": text, "reason": reason})

    def finish(self) -> Iterator[Record]:
        """Yield what still waited for further lines."""
        yield from self._release()
        for call in self._calls.empty():
            yield call.record
            yield from self._conversation.unanswered(call)
        yield from self._conversation.finish()

    def _identify(self, line: Record) -> str | None:
        """Return the id of the record that carries a line, None when the line was there just now."""
        uuid, session = text_of(line, "uuid"), text_of(line, "sessionId") or ""
        content = digest(line)
        if uuid is None:
            return self._numbered(session, content)
        if content in self._recent:
            self.repeated += 1
            return None
        self._recent[content] = None
        if len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]
        return derived_id("line", session, uuid, content)

    def _numbered(self, session: str, content: str) -> str:
        """Return the id of a line without a uuid: its number among the equal ones of the file counts."""
        ordinal = self._equal[content] = self._equal.get(content, 0) + 1
        return derived_id("line", session, content, ordinal)

    def _nearby(self, moment: int) -> Stamp:
        if self._last is None:
            return Stamp(isoformat(moment), moment, "file")
        return Stamp(self._last.text, self._last.moment, "neighbour")

    def _release(self) -> Iterator[Record]:
        held, self._held = self._held, []
        for line, identity, size, moment in held:
            yield from self._map(line, identity, size, self._nearby(moment))

    def _map(self, line: Record, identity: str, size: int, stamp: Stamp) -> Iterator[Record]:
        record, rest = frame(line, identity, stamp, self._session)
        session = text_of(line, "sessionId") or self._session or ""
        yield from self._conversation.follow(line, record, stamp, session)
        blocks, kind = blocks_of(line), line.get("type")
        if kind == "assistant" and any(map(is_call, blocks)):
            alone = len(message_of(line)["content"]) == 1
            if not alone:
                yield _event(line, record, rest)
            turn = self._conversation.turn(line, session)
            for block in filter(is_call, blocks):
                call = carrying(record, rest, block) if alone else beside(record, block)
                yield from self._calls.put(block["id"], Call(call, stamp, turn, size))
        elif kind == "user" and any(map(is_result, blocks)):
            yield from self._results(line, record, rest, stamp)
        elif kind == "assistant" and line.get("isApiErrorMessage") is True:
            yield _api_error(line, record, rest)
        else:
            yield _event(line, record, rest)

    def _results(self, line: Record, record: Record, rest: Record, stamp: Stamp) -> Iterator[Record]:
        """Complete the calls whose results stand on a line; a result alone is carried by its call."""
        results = list(filter(is_result, blocks_of(line)))
        calls = [self._calls.take(block.get("tool_use_id")) for block in results]
        alone = len(message_of(line)["content"]) == 1
        if not alone or calls[0] is None:
            yield _event(line, record, rest)
        for call, block in zip(calls, results, strict=True):
            if call is None:
                continue
            outcome = Outcome(line, block, alone=len(results) == 1)
            call.complete(outcome, stamp)
            if alone:
                call.carry(line, outcome)
            yield from self._outcome(call, outcome, record, stamp)

    def _outcome(self, call: Call, outcome: Outcome, record: Record, stamp: Stamp) -> Iterator[Record]:
        """Yield a completed call and what follows from its result, whose line is framed as `record`."""
        if call.turn is not None and outcome.message is None:
            call.turn.result(call.data)
        yield call.record
        identity = call.record["pattern_id"]
        for kind, data, assumed in derive(call.data, outcome.message):
            found = derived(record, kind, data, (kind, str(data.get("correction_type")), identity))
            found["context"]["metadata"]["primary"] = identity
            found["context"]["tags"] = call.record["context"]["tags"]
            assume(found, *assumed)
            yield found
        if call.is_for_agent:
            yield self._conversation.subagent(call, outcome, stamp)


def rebuild(record: Record) -> list[Any]:
    """Return the lines that a record carries, equal as JSON to those of the transcript.

    A derived record carries none. An entry that is kept as raw text gives that text.
    """
    data, metadata = record["data"], record["context"]["metadata"]
    if "raw" in data:
        return [data["raw"]]
    if record["pattern_type"] == "hook_event":
        rest = data.get("payload", {})
        return [unframe(record, rest) if isinstance(rest, dict) else rest]
    if "line" in metadata:
        return [unframe(record, metadata["line"])]
    return lines_of(record) if record["pattern_type"] == "tool_use" else []


def _event(line: Record, record: Record, rest: Record) -> Record:
    name = event_of(line)
    event = made(record, "hook_event", {"event": name or UNKNOWN, "payload": rest})
    event["context"]["tags"] = tags(name)
    if name is None:
        assume(event, "data.event")
    return event


def _api_error(line: Record, record: Record, rest: Record) -> Record:
    text = plain_text(message_of(line).get("content"))
    data = {"error_type": text_of(line, "error") or "api_error", "error_message": text}
    error = made(record, "error_occurrence", data)
    error["context"]["metadata"]["line"] = rest
    return error

"""The turns of a transcript's main agent and the runs of its subagents, followed line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from moai_patterns.collect.runs import Run, Turn, combine, is_synthetic
from moai_patterns.collect.tool_calls import Call, Outcome, is_call
from moai_patterns.collect.tool_results import EXCERPT, count, plain_text, tags
from moai_patterns.collect.transcript_lines import (
    OPENING,
    Stamp,
    assume,
    blocks_of,
    derived,
    message_of,
    text_of,
    user_part,
)
from moai_patterns.query import Record

Key = tuple[str, str]

_OPEN_TURNS = 64  # sessions written into one file side by side
_OPEN_RUNS = 1_000
_LINKS = 4_096  # sidechain lines that a further one may follow
_SAID_IN_TURN = (*OPENING, "tool_result", "interrupt")
_ASIDE = ("local_command", "away_summary")  # system lines between the turns


class Conversation:
    """What the lines of one file say together.

    `asking` finds the waiting call that gave a subagent its prompt.
    """

    def __init__(self, asking: Callable[[str], str | None]) -> None:
        self._asking = asking
        self._turns: dict[str, Turn] = {}
        self._runs: dict[Key, Run] = {}
        self._links: dict[str, Key] = {}

    def turn(self, line: Record, session: str) -> Turn | None:
        """Return the turn that a line of the main agent belongs to."""
        return None if line.get("isSidechain") is True else self._turns.get(session)

    def follow(self, line: Record, record: Record, stamp: Stamp, session: str) -> Iterator[Record]:
        """Add a line, framed as `record`, to its turn or run, and yield what ends with it."""
        kind = line.get("type")
        if kind == "progress":
            self._progress(line, record, stamp, session)
        elif kind in ("user", "assistant", "system") and line.get("isSidechain") is True:
            self._sidechain(line, record, stamp, session)
        elif kind in ("user", "assistant", "system"):
            yield from self._main(line, record, stamp, session)
        if len(self._runs) > _OPEN_RUNS:
            key = next(iter(self._runs))
            yield from _ended(key, self._runs.pop(key))

    def finish(self) -> Iterator[Record]:
        """Yield the turns and runs that the file leaves open."""
        for turn in self._turns.values():
            yield from _turn_records(turn)
        for key, run in self._runs.items():
            yield from _ended(key, run)

    def _main(self, line: Record, record: Record, stamp: Stamp, session: str) -> Iterator[Record]:
        part = user_part(line) if line["type"] == "user" else None
        if part in OPENING or (line["type"] == "assistant" and session not in self._turns):
            before = self._turns.pop(session, None)
            if before is not None:
                before.is_over = True
                yield from _turn_records(before)
            self._turns[session] = Turn(record)
            if len(self._turns) > _OPEN_TURNS:
                yield from _turn_records(self._turns.pop(next(iter(self._turns))))
        turn = self._turns.get(session)
        if turn is not None and (
            line.get("subtype") not in _ASIDE if part is None else part in _SAID_IN_TURN
        ):
            turn.line(stamp)
            _tell(turn, line, part)

    def _progress(self, line: Record, record: Record, stamp: Stamp, session: str) -> None:
        """Add what a progress line repeats of a subagent's conversation."""
        data, call = line.get("data"), text_of(line, "parentToolUseID")
        if call is None or not isinstance(data, dict) or data.get("type") != "agent_progress":
            return
        run = self._runs.setdefault(("call", call), Run(record, session))
        run.agent_id = text_of(data, "agentId") or run.agent_id
        run.line(stamp)
        said = data.get("message")
        if isinstance(said, dict) and said.get("type") == "assistant":
            _answer(run, said)

    def _sidechain(self, line: Record, record: Record, stamp: Stamp, session: str) -> None:
        """Add a line of a subagent to its run: by its agent, or by the line that it follows."""
        agent, uuid, parent = (text_of(line, key) for key in ("agentId", "uuid", "parentUuid"))
        key: Key = ("agent", agent or "")
        if agent is None:
            asked = self._asking(plain_text(message_of(line).get("content")))
            root = ("root", uuid or record["pattern_id"]) if asked is None else ("call", asked)
            key = self._links.get(parent or "", root)
        if uuid is not None:
            self._links[uuid] = key
            if len(self._links) > _LINKS:
                del self._links[next(iter(self._links))]
        run = self._runs.setdefault(key, Run(record, session))
        run.agent_id = agent
        run.line(stamp)
        if line["type"] == "assistant":
            _answer(run, line)

    def subagent(self, call: Call, outcome: Outcome, stamp: Stamp) -> Record:
        """Return the run of a subagent as far as its call and what stood in between tell of it."""
        run = self._run_of(call)
        response = outcome.response if isinstance(outcome.response, dict) else {}
        run.agent_id = text_of(response, "agentId") or run.agent_id
        part = {**_asked(call, run), "at": stamp.text, "lines": 2 + run.lines}
        if not run.api_calls and (estimate := count(response.get("totalTokens"))) is not None:
            part["last_request_tokens"] = estimate
        if response.get("status") == "async_launched":
            part.pop("duration_ms", None)
        else:
            part["success"] = outcome.message is None
            part["duration_ms"] = count(response.get("totalDurationMs"), call.data.get("duration_ms")) or 0
        return _run_record(_key(call), run, {"call": part})

    def unanswered(self, call: Call) -> Iterator[Record]:
        """Yield the run of a subagent whose call has no result yet, where it was heard of."""
        run = self._runs.get(_key(call))
        if run is not None and run.agent_id is not None:
            part = {**_asked(call, self._run_of(call)), "at": run.at, "lines": 1 + run.lines}
            yield _run_record(_key(call), run, {"call": part})

    def _run_of(self, call: Call) -> Run:
        session = str(call.record["context"].get("session_id", ""))
        run = self._runs.pop(_key(call), None) or Run(call.record, session)
        run.start = call.record
        return run


def _key(call: Call) -> Key:
    return "call", str(call.data["tool_use_id"])


def _asked(call: Call, run: Run) -> Record:
    """Return what a call for a subagent, and what was repeated of its run, tell for certain."""
    part = run.known() if run.api_calls else {}
    asked = call.data.get("tool_input")
    kind = text_of(asked, "subagent_type") if isinstance(asked, dict) else None
    return {**part, "agent_type": kind} if kind is not None else part


def _tell(turn: Turn, line: Record, part: str | None) -> None:
    """Let a line of the main agent tell its turn what it knows."""
    if line["type"] == "assistant":
        text = plain_text(message_of(line).get("content"))
        turn.error = (text[:EXCERPT] or "API error") if line.get("isApiErrorMessage") is True else None
        turn.answers += turn.error is not None or not is_synthetic(message_of(line))
        turn.is_over = bool(text)
        _answer(turn, line)
    elif line["type"] == "user":
        turn.is_over = part == "interrupt"
        if part == "interrupt":
            turn.error = plain_text(message_of(line).get("content")).strip()[:EXCERPT]
    elif line.get("subtype") == "api_error":
        turn.retries += 1
    elif line.get("subtype") in ("turn_duration", "stop_hook_summary"):
        turn.is_over = True
        turn.reported = count(line.get("durationMs"), turn.reported)


def _answer(usage: Run | Turn, line: Record) -> None:
    usage.answer(message_of(line))
    for block in filter(is_call, blocks_of(line)):
        usage.call(block)


def _turn_records(turn: Turn) -> Iterator[Record]:
    """Yield the two records of a turn, none when the agent was never heard in it."""
    if not turn.answers:
        return
    for kind, data in (("task_completion", turn.completion()), ("agent_usage", turn.usage())):
        record = derived(turn.start, kind, data, ("turn", kind, turn.start["pattern_id"]))
        record["timestamp"] = turn.at
        metadata = record["context"]["metadata"]
        metadata.update(lines=turn.lines, tokens=turn.tokens, models=list(turn.models))
        assume(record, *turn.assumed())
        yield record


def _ended(key: Key, run: Run) -> Iterator[Record]:
    """Yield a run whose call is not heard of; one that waits for its call is left to it."""
    if key[0] == "call" and run.agent_id is None:
        return
    yield _run_record(key, run, {"lines": {"at": run.at, "lines": run.lines, **run.known()}})


def _run_record(key: Key, run: Run, parts: Record) -> Record:
    place = key if run.agent_id is None else ("agent", run.agent_id)
    record = derived(run.start, "agent_usage", {}, ("run", run.session, *place))
    record["context"]["tags"] = tags()
    if run.agent_id is not None:
        record["context"]["metadata"]["agent_id"] = run.agent_id
    return settle_parts(record, parts)


def settle_parts(record: Record, parts: Record) -> Record:
    """Return the record of a subagent's run with these parts: the call's, the lines', or both."""
    data, assumed = combine(parts)
    metadata = {key: value for key, value in record["context"]["metadata"].items() if key != "assumed"}
    metadata.update(parts=parts, lines=sum(part["lines"] for part in parts.values()))
    if assumed:
        metadata["assumed"] = assumed
    at = (parts.get("call") or parts["lines"])["at"]
    return {**record, "timestamp": at, "data": data, "context": {**record["context"], "metadata": metadata}}

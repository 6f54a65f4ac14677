"""What Claude Code hands to a hook, as records, and back again.

`records` maps a payload, `from_text` the text that stood on standard input, `rebuild` returns what
came in. Source of the format: "Hooks reference" of the Claude Code documentation (31 events). The
table of the mapping stands in docs/capture.md.

The capture process imports this module, so it stands on other light ones alone.
"""

from __future__ import annotations

from moai_patterns.collect.tool_results import (
    AGENT,
    derive,
    error,
    failure,
    measure,
    place,
    project_name,
    reported_duration,
    tags,
)
from moai_patterns.instant import isoformat
from moai_patterns.lightjson import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, NoReturn

    Record = dict[str, Any]
    Mapped = tuple[str, Record, Iterable[str], list[str]]

SOURCE = "claude-code/hook"
UNKNOWN = "unknown"

# Keys of any payload that stand in `context.metadata` under their own name, whatever their type.
_METADATA = (
    "cwd",
    "transcript_path",
    "permission_mode",
    "prompt_id",
    "agent_id",
    "agent_type",
    "effort",
    "scratchpad_dir",
)
# Where a member of `data` is a member of the payload as it stands; `rebuild` takes it from there.
_MOVES: dict[str, dict[str, str]] = {
    "PostToolUse": {key: key for key in ("tool_name", "tool_input", "tool_response", "tool_use_id")},
    "PostToolUseFailure": {"tool_name": "function_name", "error": "error_message"},
    "StopFailure": {"error": "error_type", "error_details": "error_message"},
    "SubagentStop": {"agent_type": "agent_type"},
}
_ANY_JSON = ("tool_input", "tool_response")
_MAY_BE_EMPTY = ("error_message", "function_name", "tool_use_id")
_CARRIED = ("payload", "assumed")  # of a primary record's metadata, not of one derived from it
_SHORT = 200


def records(payload: Any, *, now: int, new_id: Callable[[], str]) -> list[Record]:
    """Map one hook payload to records: the first one carries the payload, others are derived from it.

    Parameters:
        payload: the parsed JSON, normally an object; any other value becomes a `hook_event`.
        now: UTC microseconds; a payload has no time of its own.
        new_id: gives the next pattern id.

    The records are valid unless the payload holds what no record can (a lone surrogate, NaN, an
    integer beyond 64 bits, more than 100 levels): `from_text` looks after that. Raises `ValueError`
    where such a value would have to become text.

    >>> made = records({"hook_event_name": "Stop", "session_id": "s"}, now=0, new_id=lambda: "a")
    >>> made[0]["pattern_type"], made[0]["context"]["metadata"]["assumed"]
    ('task_completion', ['data.duration_ms', 'data.success'])
    """
    if not isinstance(payload, dict):
        data = {"event": UNKNOWN, "payload": payload}
        metadata = {"source": SOURCE, "assumed": ["data.event"]}
        return [_record(new_id(), now, "hook_event", data, {"tags": [AGENT], "metadata": metadata})]
    event = payload.get("hook_event_name")
    mapping = _MAPPINGS.get(event, _event) if isinstance(event, str) else _event
    kind, data, moved, assumed = mapping(payload)
    context, rest = _context(payload, moved, event if kind == "hook_event" else None)
    if rest and kind == "hook_event":
        data["payload"] = rest
    elif rest:
        context["metadata"]["payload"] = rest
    if assumed:
        context["metadata"]["assumed"] = assumed
    primary = _record(new_id(), now, kind, data, context)
    return [primary, *(_derived(primary, now, new_id) if kind == "tool_use" else ())]


def from_text(
    raw: str | bytes,
    *,
    now: int,
    new_id: Callable[[], str],
    valid: Callable[[Record], bool],
    redact: Callable[[Any], Any] | None = None,
) -> list[Record]:
    """Map the text of one payload to valid records, whatever the text is.

    What is no JSON, or holds what no record can, becomes one `hook_event` with the text in
    `data.raw` and the cause in `data.reason`; `rebuild` returns its bytes. Bytes that are not UTF-8
    are kept as Latin-1, one character per byte (`context.metadata.encoding`).

    Parameters:
        raw: the text as it was read.
        now, new_id: as in `records`.
        valid: tells whether a record may be stored.
        redact: takes secrets out of the parsed payload, or out of the text where that is kept.

    >>> from_text(b'{"a": 1', now=0, new_id=lambda: "x", valid=lambda record: True)[0]["data"]["reason"]
    "no JSON at character 7: Expecting ',' delimiter"
    """
    text, encoding = _decode(raw)
    payload: Any = None
    try:
        if encoding != "utf-8":
            raise ValueError("the bytes are not UTF-8")
        payload = parse(text)
        if redact is not None:
            payload = redact(payload)
        made = records(payload, now=now, new_id=new_id)
        if valid(made[0]):
            return [made[0], *filter(valid, made[1:])]
        reason = "the payload holds a value or a depth that no record can hold"
    except ValueError as error:
        reason = str(error)
    except RecursionError:
        reason = "the payload is nested too deeply"
    kept = _record(new_id(), now, "hook_event", {}, {})
    return [_unmapped(kept, redact(text) if redact else text, encoding, reason, payload)]


def parse(text: str) -> Any:
    """Return the JSON value of `text`.

    Raises `ValueError` with the reason for what is no JSON, for a key that stands twice in one object
    and for NaN and Infinity, and `RecursionError` for endless nesting.
    """
    if not text.strip():
        raise ValueError("the input is empty")
    try:
        return loads(text.removeprefix("\ufeff"), pairs=_unique, constant=_refuse)
    except ValueError as error:
        # A JSONDecodeError, known by its members: its module stays unloaded where all is well.
        if hasattr(error, "pos") and hasattr(error, "msg"):
            raise ValueError(f"no JSON at character {error.pos}: {error.msg}") from None
        raise


def rebuild(record: Record) -> Any:
    """Return the payload that a record of this module carries: equal as JSON to what came in.

    A record that holds raw text gives its bytes. Raises `ValueError` for a derived record; its
    message names the one that carries the payload.
    """
    data, context = record["data"], record["context"]
    metadata = context["metadata"]
    if "primary" in metadata:
        raise ValueError(f"this record was derived; {metadata['primary']} carries the payload")
    if "raw" in data:
        return str(data["raw"]).encode(metadata["encoding"])
    rest = (data if record["pattern_type"] == "hook_event" else metadata).get("payload", {})
    if not isinstance(rest, dict):
        return rest
    payload = {key: metadata[key] for key in _METADATA if key in metadata}
    if "session_id" in context:
        payload["session_id"] = context["session_id"]
    if "event" in metadata:
        payload["hook_event_name"] = metadata["event"]
    assumed = (*metadata.get("assumed", ()), *metadata.get("filled", ()))
    for key, member in _MOVES.get(metadata.get("event"), {}).items():
        if member in data and f"data.{member}" not in assumed:
            payload[key] = data[member]
    return {**payload, **rest}


# One mapping per event with a kind: the kind, its data, the keys that moved there, what it assumed.


def _tool_use(payload: Record) -> Mapped:
    data, moved, assumed = _moved(payload, "PostToolUse", {"tool_name": UNKNOWN})
    response = payload.get("tool_response")
    duration = measure(payload.get("duration_ms"), reported_duration(response))
    if duration is not None:
        data["duration_ms"] = duration
    data["success"] = failure(response) is None
    return "tool_use", data, moved, assumed


def _tool_failure(payload: Record) -> Mapped:
    data, moved, assumed = _moved(payload, "PostToolUseFailure", {"error_message": ""})
    data.update(error(data["error_message"], payload.get("is_interrupt") is True))
    data.update(place(payload.get("tool_input")))
    return "error_occurrence", data, moved, assumed


def _stop_failure(payload: Record) -> Mapped:
    neutral = {"error_type": UNKNOWN, "error_message": ""}
    return ("error_occurrence", *_moved(payload, "StopFailure", neutral))


def _subagent_stop(payload: Record) -> Mapped:
    data, moved, assumed = _moved(payload, "SubagentStop", {"agent_type": UNKNOWN})
    data.update(task_type="subagent", duration_ms=0, success=True)
    return "agent_usage", data, moved, [*assumed, "data.duration_ms", "data.success"]


def _stop(payload: Record) -> Mapped:
    return _completion(payload, "turn")


def _session_end(payload: Record) -> Mapped:
    return _completion(payload, "session")


def _completion(payload: Record, task: str) -> Mapped:
    agent = payload.get("agent_type")
    named = agent if isinstance(agent, str) and agent else AGENT
    data = {"task_type": task, "agent": named, "duration_ms": 0, "success": True}
    return "task_completion", data, (), ["data.duration_ms", "data.success"]


def _event(payload: Record) -> Mapped:
    event = payload.get("hook_event_name")
    if isinstance(event, str) and event:
        return "hook_event", {"event": event}, (), []
    return "hook_event", {"event": UNKNOWN}, (), ["data.event"]


_MAPPINGS: dict[str, Callable[[Record], Mapped]] = {
    "PostToolUse": _tool_use,
    "PostToolUseFailure": _tool_failure,
    "StopFailure": _stop_failure,
    "SubagentStop": _subagent_stop,
    "Stop": _stop,
    "SessionEnd": _session_end,
}


def _moved(payload: Record, event: str, neutral: Record) -> tuple[Record, list[str], list[str]]:
    """Take over what fits into `data`; required members that are missing get their neutral value."""
    data: Record = {}
    moved = []
    for key, member in _MOVES[event].items():
        value = payload.get(key)
        fits = isinstance(value, str) and (value or member in _MAY_BE_EMPTY)
        if fits or (key in _ANY_JSON and key in payload):
            data[member] = value
            moved.append(key)
    assumed = [f"data.{member}" for member in neutral if member not in data]
    return {**neutral, **data}, moved, assumed


def _context(payload: Record, moved: Iterable[str], event: str | None) -> tuple[Record, Record]:
    """Return the context of a payload and what of it stands nowhere yet."""
    rest = {key: value for key, value in payload.items() if key not in moved}
    metadata: Record = {"source": SOURCE}
    if isinstance(rest.get("hook_event_name"), str) and rest["hook_event_name"]:
        metadata["event"] = rest.pop("hook_event_name")
    metadata.update((key, rest.pop(key)) for key in _METADATA if key in rest)
    context: Record = {"tags": tags(event, payload.get("tool_name")), "metadata": metadata}
    if isinstance(rest.get("session_id"), str):
        context["session_id"] = rest.pop("session_id")
    project = project_name(metadata.get("cwd"))
    if project:
        context["project_name"] = project
    return context, rest


def _record(identity: str, now: int, kind: str, data: Record, context: Record) -> Record:
    return {
        "pattern_id": identity,
        "pattern_type": kind,
        "timestamp": isoformat(now),
        "data": data,
        "context": context,
    }


def _derived(primary: Record, now: int, new_id: Callable[[], str]) -> Iterator[Record]:
    """Yield the failure or correction that a tool call's result tells of, under ids of their own."""
    call, context = primary["data"], primary["context"]
    for kind, data, assumed in derive(call, failure(call.get("tool_response"))):
        metadata = {key: value for key, value in context["metadata"].items() if key not in _CARRIED}
        metadata["primary"] = primary["pattern_id"]
        if assumed:
            metadata["assumed"] = assumed
        yield _record(new_id(), now, kind, data, {**context, "metadata": metadata})


def _unmapped(record: Record, text: str, encoding: str, reason: str, payload: Any) -> Record:
    """Fill a record with the text of a payload, and with what can be said of it for certain."""
    metadata: Record = {"source": SOURCE, "encoding": encoding}
    data = {"event": UNKNOWN, "raw": text, "reason": reason}
    context: Record = {"tags": [AGENT], "metadata": metadata}
    if isinstance(payload, dict):
        if _is_plain(payload.get("session_id")):
            context["session_id"] = payload["session_id"]
        if _is_plain(payload.get("hook_event_name")):
            data["event"] = payload["hook_event_name"]
    if data["event"] == UNKNOWN:
        metadata["assumed"] = ["data.event"]
    record.update(data=data, context=context)
    return record


def _is_plain(value: Any) -> bool:
    """Short printable text, which no lone surrogate is."""
    return isinstance(value, str) and 0 < len(value) <= _SHORT and value.isprintable()


def _decode(raw: str | bytes) -> tuple[str, str]:
    octets = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    try:
        return octets.decode(), "utf-8"
    except UnicodeDecodeError:
        return octets.decode("latin-1"), "latin-1"


def _unique(pairs: list[tuple[str, Any]]) -> Record:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")

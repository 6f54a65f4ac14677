"""One line of a Claude Code transcript: what it is, and which parts of it become a record's own.

Source of the format: recordings of versions 2.0.76 to 2.1.39; it is internal to Claude Code and
changes between versions, so nothing is relied upon but that a line is an object.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from moai_patterns.collect.identity import derived_id
from moai_patterns.collect.tool_results import plain_text, project_name, tags
from moai_patterns.instant import instant
from moai_patterns.query import Record

SOURCE = "claude-code/transcript"
UNKNOWN = "unknown"
# User lines with which a run of the agent begins.
OPENING = ("prompt", "command", "notification")
_LONGEST_EVENT = 200
_USER_TEXTS = (
    ("[Request interrupted by user", "interrupt"),
    ("<command-name>", "command"),
    ("<command-message>", "command"),
    ("<local-command-", "command_output"),
    ("<bash-input>", "bash_input"),
    ("<bash-std", "bash_output"),
    ("<task-notification>", "notification"),
)


class Stamp(NamedTuple):
    """When a line was written.

    `clock` is None for the line's own timestamp, `snapshot` for one that stands deeper in the line,
    `neighbour` for that of a line nearby and `file` for the time of the file.
    """

    text: str
    moment: int
    clock: str | None = None


def own_stamp(line: Record) -> Stamp | None:
    """Return the time that a line tells itself, None when it tells none."""
    stamp = _stamp(line.get("timestamp"), None)
    snapshot = line.get("snapshot")
    if stamp is None and isinstance(snapshot, dict):
        stamp = _stamp(snapshot.get("timestamp"), "snapshot")
    return stamp


def _stamp(text: Any, clock: str | None) -> Stamp | None:
    try:
        return Stamp(text, instant(text), clock)
    except ValueError:
        return None


def text_of(line: Record, key: str) -> str | None:
    """Return a member of a line that is a text and not empty."""
    value = line.get(key)
    return value if isinstance(value, str) and value else None


def message_of(line: Record) -> Record:
    """Return the message of a line; empty when it has none."""
    message = line.get("message")
    return message if isinstance(message, dict) else {}


def blocks_of(line: Record) -> list[Record]:
    """Return the content blocks of a line's message."""
    content = message_of(line).get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def user_part(line: Record) -> str:
    """Tell which part a user line has in the conversation; `prompt` for what the user asked."""
    if line.get("isCompactSummary") is True:
        return "compact_summary"
    if line.get("isMeta") is True:
        return "meta"
    if any(block.get("type") == "tool_result" for block in blocks_of(line)):
        return "tool_result"
    text = plain_text(message_of(line).get("content")).lstrip()
    return next((part for start, part in _USER_TEXTS if text.startswith(start)), "prompt")


def event_of(line: Record) -> str | None:
    """Return the name of a line: its type, and its subtype after a slash.

    >>> event_of({"type": "system", "subtype": "turn_duration"})
    'system/turn_duration'
    """
    kind = text_of(line, "type")
    if kind is None:
        return None
    detail: Any = None
    if kind == "user":
        detail = user_part(line)
    elif kind == "assistant":
        types = [str(block.get("type")) for block in blocks_of(line)]
        detail = "api_error" if line.get("isApiErrorMessage") is True else "+".join(dict.fromkeys(types))
    elif kind in _DETAILS:
        holder = line.get(kind if kind == "attachment" else "data") if kind in _NESTED else line
        detail = holder.get(_DETAILS[kind]) if isinstance(holder, dict) else None
    return (f"{kind}/{detail}" if isinstance(detail, str) and detail else kind)[:_LONGEST_EVENT]


_DETAILS = {"system": "subtype", "progress": "type", "attachment": "type", "queue-operation": "operation"}
_NESTED = ("progress", "attachment")


def frame(line: Record, identity: str, stamp: Stamp, session: str | None) -> tuple[Record, Record]:
    """Return a record without kind and data for a line, and what of the line stands nowhere in it.

    `session` is that of the lines around it, for a line that names none.
    """
    rest = dict(line)
    metadata: Record = {"source": SOURCE}
    context: Record = {"tags": tags(), "metadata": metadata}
    assumed = []
    if stamp.clock is None:
        del rest["timestamp"]
    else:
        metadata["clock"] = stamp.clock
        if stamp.clock != "snapshot":
            assumed.append("timestamp")
    if isinstance(rest.get("sessionId"), str):
        context["session_id"] = rest.pop("sessionId")
    elif session is not None:
        context["session_id"] = session
        assumed.append("context.session_id")
    if isinstance(rest.get("gitBranch"), str):
        context["git_branch"] = rest.pop("gitBranch")
    metadata.update((name, rest.pop(key)) for key, name in _METADATA.items() if key in rest)
    project = project_name(metadata.get("cwd"))
    if project:
        context["project_name"] = project
    if assumed:
        metadata["assumed"] = assumed
    return {"pattern_id": identity, "timestamp": stamp.text, "context": context}, rest


_METADATA = {"cwd": "cwd", "uuid": "uuid", "agentId": "agent_id"}


def unframe(record: Record, rest: Record) -> Record:
    """Return the line of which `frame` made a record and a rest."""
    context = record["context"]
    metadata = context["metadata"]
    line = {key: metadata[name] for key, name in _METADATA.items() if name in metadata}
    if "clock" not in metadata:
        line["timestamp"] = record["timestamp"]
    if "session_id" in context and "context.session_id" not in metadata.get("assumed", ()):
        line["sessionId"] = context["session_id"]
    if "git_branch" in context:
        line["gitBranch"] = context["git_branch"]
    return {**line, **rest}


def made(record: Record, kind: str, data: Record) -> Record:
    """Return a framed record with kind and data; the frame stays as it is."""
    context = record["context"]
    metadata = dict(context["metadata"])
    if "assumed" in metadata:
        metadata["assumed"] = list(metadata["assumed"])
    whole = {**context, "metadata": metadata}
    return {**record, "pattern_type": kind, "data": data, "context": whole}


def derived(record: Record, kind: str, data: Record, seed: tuple[str, ...]) -> Record:
    """Return a record in the circumstances of a framed one, under an id of its own."""
    metadata = record["context"]["metadata"]
    shared = {key: metadata[key] for key in _SHARED if key in metadata}
    context = {**record["context"], "tags": tags(), "metadata": shared}
    return made({**record, "pattern_id": derived_id(*seed), "context": context}, kind, data)


_SHARED = ("source", "cwd", "uuid", "agent_id", "clock", "assumed")


def assume(record: Record, *members: str) -> None:
    """Name members of a record that nothing told."""
    if members:
        record["context"]["metadata"].setdefault("assumed", []).extend(members)

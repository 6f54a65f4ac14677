"""JSON texts that break parsers, filled into the shapes that each door expects."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

from samples import PAYLOADS
from torture.hostile_values import PATHS, SQL, STAMPS, text

_LITERALS = (
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "1e-999",
        "-0",
        "-0.0",
        "1.0",
        "0x10",
        "01",
        "+1",
        ".5",
    ),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "1E400"),
    *(
        "null",
        "true",
        "True",
        "undefined",
        "'a'",
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\u0000"',
        '"\\x"',
        '"\t"',
    ),
    *('{"a":1,"a":2}', '{"a":1,}', "[1,]", "[", "{", "]", '"', "", "/*c*/1", '{"__proto__":{}}', "[[],[]]"),
    *('{"\\ud800":1}', '{"":""}', '"\\ufeff"', '"\u2028"', "1 2", "{}{}", "\x00", '"\\u202e"'),
)


@cache
def _large(which: int) -> str:
    return (
        *("9" * 5000, "1." + "9" * 100_000, "[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000),
        *('"' + "a" * 1_000_000 + '"', '"' + "\\u00e9" * 100_000 + '"', "[" + "1," * 100_000 + "1]"),
        "{" + ",".join(f'"k{n}":{n}' for n in range(100_000)) + "}",
        '{"a":' * 90 + "1" + "}" * 90,
        '{"a":' * 500 + "1" + "}" * 500,
    )[which]


def literal(choose: Random) -> str:
    """A JSON value as text, or something like it."""
    if choose.random() < 0.004:
        return _large(choose.randrange(11))
    if choose.random() < 0.3:
        return json.dumps(text(choose), ensure_ascii=choose.random() < 0.5)
    return choose.choice(_LITERALS)


def _filled(value: Any, choose: Random) -> str:
    """Write a value; here and there something else stands in the place of a member."""
    if choose.random() < 0.08:
        return literal(choose)
    if isinstance(value, dict):
        members = [f"{json.dumps(key)}:{_filled(item, choose)}" for key, item in value.items()]
        if choose.random() < 0.1:
            members.append(f"{json.dumps(text(choose))}:{literal(choose)}")
        if members and choose.random() < 0.05:
            members.append(members[0])
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_filled(item, choose) for item in value) + "]"
    return json.dumps(value)


def _spoiled(written: str, choose: Random) -> bytes:
    raw = written.encode("utf-8", "surrogatepass")
    match choose.randrange(30):
        case 0:
            return b"\xef\xbb\xbf" + raw
        case 1:
            return written.encode("utf-16", "surrogatepass")
        case 2:
            return raw[: choose.randrange(len(raw) + 1)]
        case 3 if raw:
            at = choose.randrange(len(raw))
            return raw[:at] + choose.randbytes(choose.randrange(1, 4)) + raw[at:]
        case 4:
            return raw + b"\0" * 10
        case 5:
            return b" " * 70_000 + raw
        case _:
            return raw


def _tool(choose: Random) -> dict[str, Any]:
    return {
        "tool_name": choose.choice(("Bash", "Read", "Edit", "mcp__x__y", text(choose))),
        "tool_input": {"command": text(choose), "file_path": choose.choice(PATHS), "old_string": "a"},
        "tool_response": choose.choice(
            ({"stdout": "a", "interrupted": False}, [{"type": "text", "text": "x"}], "done")
        ),
        "tool_use_id": "toolu_1",
    }


def payload(choose: Random) -> bytes:
    """What a hook may be handed."""
    made = {
        "hook_event_name": choose.choice(
            ("PreToolUse", "PostToolUse", "Stop", "SessionStart", "Notification", "New")
        ),
        "session_id": choose.choice(("s", text(choose))),
        "transcript_path": choose.choice(PATHS),
        "cwd": choose.choice(PATHS),
        "prompt": choose.choice((*SQL, "sk-ant-api03-" + "A" * 93 + "AA")),
        **_tool(choose),
    }
    return _spoiled(_filled(made, choose), choose)


def line(choose: Random) -> bytes:
    """A line of a transcript, which may be no line."""
    block = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": text(choose)}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": text(choose), "is_error": True}
    role, content = choose.choice((("assistant", [block]), ("user", [result]), ("user", text(choose))))
    made = {
        "type": role,
        "uuid": choose.choice(("u-1", "u-2", text(choose))),
        "parentUuid": choose.choice(("u-1", "u-2", None)),
        "sessionId": "s",
        "timestamp": choose.choice(("2025-11-29T10:00:00.000Z", choose.choice(STAMPS))),
        "message": {"role": role, "id": "m", "model": "x", "content": content, "usage": {"input_tokens": 5}},
    }
    return _spoiled(_filled(made, choose), choose)


def record(choose: Random) -> bytes:
    """A line of an export."""
    kind = choose.choice(tuple(PAYLOADS))
    made = {
        "pattern_id": choose.choice(("id", text(choose))),
        "pattern_type": kind,
        "timestamp": choose.choice(("2025-11-29", choose.choice(STAMPS))),
        "data": PAYLOADS[kind],
        "context": {"tags": [text(choose)]},
    }
    return _mostly_spoiled(made, choose)


def _mostly_spoiled(made: Any, choose: Random) -> bytes:
    """Write a value; most of what is filled in makes a line none, and whole ones must meet now and then."""
    return json.dumps(made).encode() if choose.random() < 0.4 else _spoiled(_filled(made, choose), choose)


def waiting(choose: Random) -> bytes:
    """A line of a spool, which anybody may have written."""
    stored = json.loads(
        json.dumps({"pattern_id": "id", "pattern_type": "hook_event", "timestamp": "2025-11-29"})
    )
    stored |= {"data": {"event": text(choose)}, "_meta": {"instant": 5, "revision": 1, "recorded_at": 5}}
    if choose.random() < 0.3:
        stored["pattern_id"] = choose.choice(PATHS)
    return _mostly_spoiled({"attempts": choose.choice((0, 0, 4, 4, -1, 2**70)), "records": [stored]}, choose)


def altered(written: bytes, choose: Random) -> bytes:
    """A file of ours, of which some values are others now."""
    return _spoiled(_filled(json.loads(written), choose), choose)


Make = Callable[[Random], bytes]

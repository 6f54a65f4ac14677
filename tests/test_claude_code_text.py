"""Hook payloads as text: what is no JSON, or more than a record can hold, is kept as it came."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hook_payloads import PAYLOADS
from moai_patterns import PatternSchema
from moai_patterns.collect.claude_code import from_text, rebuild

STOP = json.dumps(PAYLOADS["Stop"]).encode()


def mapped(raw: str | bytes, redact: Any = None) -> list[dict[str, Any]]:
    count = itertools.count(1)
    made = from_text(
        raw, now=0, new_id=lambda: f"id-{next(count)}", valid=PatternSchema.validate_pattern, redact=redact
    )
    for record in made:
        assert PatternSchema().errors(record) == []
    return made


@pytest.mark.parametrize("event", PAYLOADS)
def test_the_text_of_a_payload_is_mapped(event: str) -> None:
    """Each event is mapped from its text, as bytes or as str, with or without a byte order mark."""
    text = json.dumps(PAYLOADS[event])
    for raw in (text, text.encode(), b"\xef\xbb\xbf" + text.encode(), f"\n {text}\n"):
        (record,) = mapped(raw)
        assert rebuild(record) == PAYLOADS[event]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "the input is empty"),
        (b" \n", "the input is empty"),
        (STOP[:-20], "no JSON at character"),
        (STOP + STOP, "no JSON at character"),
        (b"not json", "no JSON at character 0"),
        (b'{"session_id": "\xff\xfe", "hook_event_name": "Stop"}', "the bytes are not UTF-8"),
        (b"\xfe\xff\x00{\x00}", "the bytes are not UTF-8"),
        (b'{"hook_event_name": "Stop", "hook_event_name": "Stop"}', "a key stands twice in one object"),
        (b'{"a": {"b": 1, "b": 2}}', "a key stands twice in one object"),
        (b'{"a": NaN}', "NaN is no JSON value"),
        (b"[-Infinity]", "-Infinity is no JSON value"),
        (b'{"a": 1e999}', "a value or a depth that no record can hold"),
        (b'{"a": 9223372036854775808}', "a value or a depth that no record can hold"),
        (b'{"a": "\\ud83d"}', "a value or a depth that no record can hold"),
        (b'{"\\udc00": 1}', "a value or a depth that no record can hold"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "a value or a depth that no record can hold"),
        (b"[" * 10_000 + b"]" * 10_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_what_no_mapping_can_make_valid_keeps_its_bytes(raw: bytes, reason: str) -> None:
    """Such a payload becomes one hook_event that says why, from which its bytes come back exactly."""
    (record,) = mapped(raw)
    assert record["pattern_type"] == "hook_event"
    assert reason in record["data"]["reason"]
    assert rebuild(record) == raw


def test_what_can_be_said_of_an_unmapped_payload_is_said() -> None:
    """Event and session of a payload that parses are found, though the payload itself is raw text."""
    (record,) = mapped(json.dumps({**PAYLOADS["Stop"], "count": 2**64}))
    assert record["data"]["event"] == "Stop"
    assert record["context"]["session_id"] == PAYLOADS["Stop"]["session_id"]
    assert "assumed" not in record["context"]["metadata"]


def test_text_with_a_lone_surrogate_is_kept() -> None:
    """A str that is no UTF-8 is kept by the bytes that it stands for."""
    (record,) = mapped("\ud83d")
    assert rebuild(record) == "\ud83d".encode("utf-8", "surrogatepass")


def test_a_derived_record_that_is_not_valid_does_not_cost_the_payload() -> None:
    """Where only a derived record is refused, the payload is stored as it was mapped."""
    payload = {**PAYLOADS["PostToolUse"], "tool_response": {"is_error": True, "content": "no"}}
    made = from_text(
        json.dumps(payload),
        now=0,
        new_id=lambda: "x",
        valid=lambda record: record["pattern_type"] == "tool_use",
    )
    assert [record["pattern_type"] for record in made] == ["tool_use"]
    assert rebuild(made[0]) == payload


def test_secrets_are_taken_out_before_anything_is_made_of_a_payload() -> None:
    """The redaction sees the parsed payload, and the text where that is kept; no record has more."""
    seen: list[Any] = []

    def redact(value: Any) -> Any:
        seen.append(value)
        return json.loads(json.dumps(value).replace("hunter2", "[gone]"))

    payload = {**PAYLOADS["PostToolUse"], "tool_response": {"error": "hunter2"}}
    assert "hunter2" not in json.dumps(mapped(json.dumps(payload), redact))
    assert seen == [payload]
    (raw,) = mapped(b'{"password": "hunter2"', redact)
    assert raw["data"]["raw"] == '{"password": "[gone]"'


@given(st.binary(max_size=80) | st.text(max_size=40).map(lambda text: json.dumps({"a": text}).encode()))
def test_any_bytes_are_kept(raw: bytes) -> None:
    """Whatever stands on standard input: one valid record, and the bytes or their JSON come back."""
    (record,) = mapped(raw)
    back = rebuild(record)
    assert back == raw if isinstance(back, bytes) else back == json.loads(raw)

"""What a hook payload becomes, event by event, and that it can be had back."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hook_payloads import EDIT, EDITED, KINDS, PAYLOADS, SESSION
from moai_patterns import PatternSchema
from moai_patterns.collect.claude_code import rebuild, records

NOW = 1_764_378_000_250_000


def numbered() -> Callable[[], str]:
    count = itertools.count(1)
    return lambda: f"id-{next(count)}"


def mapped(payload: Any) -> list[dict[str, Any]]:
    made = records(payload, now=NOW, new_id=numbered())
    for record in made:
        assert PatternSchema().errors(record) == []
    return made


def test_there_is_a_payload_for_each_of_the_31_events() -> None:
    """The table of hand-written payloads has all events that the hooks reference names."""
    assert len(PAYLOADS) == 31


@pytest.mark.parametrize("event", PAYLOADS)
def test_an_event_becomes_one_valid_record_of_its_kind_and_comes_back_equal(event: str) -> None:
    """Each of the 31 events gives one record of the kind that the table names, and loses nothing."""
    payload = copy.deepcopy(PAYLOADS[event])
    (record,) = mapped(payload)
    assert record["pattern_type"] == KINDS[event]
    assert record["timestamp"] == "2025-11-29T01:00:00.250000Z"
    assert rebuild(record) == PAYLOADS[event] == payload


@pytest.mark.parametrize("event", PAYLOADS)
def test_an_event_without_its_optional_keys_is_mapped_too(event: str) -> None:
    """A payload of the first vintage, with four keys, gives a valid record and comes back equal."""
    early = ("session_id", "transcript_path", "cwd", "hook_event_name")
    payload = {key: value for key, value in PAYLOADS[event].items() if key in early}
    (record,) = mapped(payload)
    assert record["pattern_type"] == KINDS[event]
    assert rebuild(record) == payload


def test_the_circumstances_stand_in_the_context() -> None:
    """Session, project, event, directories and mode are found at the same paths in every kind."""
    for payload in PAYLOADS.values():
        context = mapped(payload)[0]["context"]
        assert (context["session_id"], context["project_name"]) == (SESSION, "shop")
        metadata = context["metadata"]
        assert metadata["source"] == "claude-code/hook"
        assert metadata["event"] == payload["hook_event_name"]
        for key in ("cwd", "transcript_path", "permission_mode", "prompt_id", "scratchpad_dir"):
            assert metadata[key] == payload[key]


def test_a_tool_use_takes_over_input_response_and_duration() -> None:
    """The data of a tool_use are those of the payload, and big values stand in the record once."""
    (record,) = mapped(PAYLOADS["PostToolUse"])
    assert record["data"] == {
        "tool_name": "Edit",
        "tool_input": EDIT,
        "tool_response": EDITED,
        "tool_use_id": "toolu_2",
        "duration_ms": 31,
        "success": True,
    }
    assert str(record).count("originalFile") == 1
    assert record["context"]["tags"] == ["claude-code", "Edit"]


@pytest.mark.parametrize(
    ("response", "duration"),
    [({"durationMs": 12}, 12), ({"totalDurationMs": 34.5}, 34.5), ({"durationMs": -1}, None), ("x", None)],
)
def test_a_duration_that_the_response_reports_is_taken(response: Any, duration: float | None) -> None:
    """Without `duration_ms` a tool's own report counts, unless it is no measure; the rest stays."""
    payload = {"hook_event_name": "PostToolUse", "tool_name": "Glob", "tool_response": response}
    (record,) = mapped(payload)
    assert record["data"].get("duration_ms") == duration
    assert rebuild(record) == payload


@pytest.mark.parametrize(
    ("event", "assumed", "neutral"),
    [
        ("PostToolUse", ["data.tool_name"], {"tool_name": "unknown", "success": True}),
        (
            "PostToolUseFailure",
            ["data.error_message"],
            {"error_message": "", "error_type": "tool_error"},
        ),
        (
            "StopFailure",
            ["data.error_type", "data.error_message"],
            {"error_type": "unknown", "error_message": ""},
        ),
        (
            "SubagentStop",
            ["data.agent_type", "data.duration_ms", "data.success"],
            {"agent_type": "unknown", "task_type": "subagent", "duration_ms": 0, "success": True},
        ),
        (
            "Stop",
            ["data.duration_ms", "data.success"],
            {"task_type": "turn", "agent": "claude-code", "duration_ms": 0, "success": True},
        ),
        (
            "SessionEnd",
            ["data.duration_ms", "data.success"],
            {"task_type": "session", "agent": "claude-code", "duration_ms": 0, "success": True},
        ),
        ("", ["data.event"], {"event": "unknown", "payload": {"hook_event_name": ""}}),
    ],
)
def test_a_required_value_that_is_absent_is_neutral_and_named(
    event: str, assumed: list[str], neutral: dict[str, Any]
) -> None:
    """What the kind requires and the payload lacks gets the documented value and stands in `assumed`."""
    (record,) = mapped({"hook_event_name": event})
    assert record["data"] == neutral
    assert record["context"]["metadata"]["assumed"] == assumed


def test_nothing_is_assumed_where_the_payload_tells_it() -> None:
    """A payload with all its keys leaves only what no hook is told: durations and outcomes of runs."""
    assumed = {
        event: record["context"]["metadata"]["assumed"]
        for event, payload in PAYLOADS.items()
        for record in mapped(payload)
        if "assumed" in record["context"]["metadata"]
    }
    unknown = ["data.duration_ms", "data.success"]
    assert assumed == {"SubagentStop": unknown, "Stop": unknown, "SessionEnd": unknown}


@pytest.mark.parametrize(
    ("response", "error_type", "message"),
    [
        ({"is_error": True, "content": [{"type": "text", "text": "no"}]}, "tool_error", "no"),
        (
            {"isError": True, "content": "Exit code 2\nno such target"},
            "exit_code",
            "Exit code 2\nno such target",
        ),
        ({"success": False, "error": "denied"}, "tool_error", "denied"),
        ({"stdout": "", "stderr": "killed", "interrupted": True}, "interrupted", "killed"),
        ("<tool_use_error>File does not exist.</tool_use_error>", "tool_use_error", "File does not exist."),
        ("Error: nothing there", "tool_error", "nothing there"),
    ],
)
def test_a_failed_response_gives_an_error_beside_the_tool_use(
    response: Any, error_type: str, message: str
) -> None:
    """A response that says it failed makes `success` false and gives a derived error_occurrence."""
    payload = {
        **PAYLOADS["PostToolUse"],
        "tool_name": "Bash",
        "tool_input": {"command": "make", "file_path": "/x/y"},
        "tool_response": response,
    }
    use, error = mapped(payload)
    assert (use["pattern_type"], use["data"]["success"]) == ("tool_use", False)
    assert error["pattern_type"] == "error_occurrence"
    assert (error["data"]["error_type"], error["data"]["error_message"]) == (error_type, message)
    assert (error["data"]["function_name"], error["data"]["file_path"]) == ("Bash", "/x/y")
    assert error["context"]["metadata"]["primary"] == use["pattern_id"]
    assert error["pattern_id"] != use["pattern_id"]
    assert rebuild(use) == payload
    with pytest.raises(ValueError, match="id-1 carries the payload"):
        rebuild(error)


@pytest.mark.parametrize(
    "response",
    [
        {"stdout": "", "stderr": "warning: unused", "interrupted": False},
        {"error": None},
        {"error": ""},
        [],
        None,
    ],
)
def test_a_warning_is_no_failure(response: Any) -> None:
    """Text on standard error, or an empty error, does not make a call a failed one."""
    (record,) = mapped({**PAYLOADS["PostToolUse"], "tool_response": response})
    assert record["data"]["success"] is True


@pytest.mark.parametrize(
    ("tool", "proposed", "response", "original", "corrected"),
    [
        ("Edit", EDIT, {**EDITED, "newString": "c", "userModified": True}, "b", "c"),
        ("Write", {"file_path": "/x", "content": "a"}, {"content": "z", "userModified": True}, "a", "z"),
        (
            "MultiEdit",
            {"edits": [{"old_string": "1", "new_string": "2"}, {"old_string": "3", "new_string": "4"}]},
            {"edits": [{"old_string": "1", "new_string": "2"}, {"new_string": "5"}], "userModified": True},
            "2\n4",
            "2\n5",
        ),
        ("Paint", {"brush": 3}, {"userModified": True}, '{"brush":3}', ""),
    ],
)
def test_what_the_user_changed_is_a_correction(
    tool: str, proposed: Any, response: Any, original: str, corrected: str
) -> None:
    """`userModified` gives a user_correction with what the agent wrote and what became of it."""
    payload = {
        **PAYLOADS["PostToolUse"],
        "tool_name": tool,
        "tool_input": proposed,
        "tool_response": response,
    }
    use, correction = mapped(payload)
    data = correction["data"]
    assert correction["pattern_type"] == "user_correction"
    assert (data["original_output"], data["corrected_output"]) == (original, corrected)
    assert (data["correction_type"], data["task_type"]) == ("edit", tool)
    assert ("assumed" in correction["context"]["metadata"]) == (corrected == "")
    assert rebuild(use) == payload


def test_an_interrupt_by_the_user_is_told_from_a_failure() -> None:
    """`is_interrupt` makes the error one that the user caused."""
    (record,) = mapped({**PAYLOADS["PostToolUseFailure"], "is_interrupt": True})
    assert record["data"]["error_type"] == "interrupted"
    assert record["data"]["user_intervention"] is True


def test_an_unknown_event_and_unknown_keys_are_kept() -> None:
    """An event of a later version becomes a hook_event under its own name."""
    payload = {**PAYLOADS["Stop"], "hook_event_name": "DreamStarted", "dream": {"depth": [1, 2]}}
    (record,) = mapped(payload)
    assert (record["pattern_type"], record["data"]["event"]) == ("hook_event", "DreamStarted")
    assert rebuild(record) == payload


# Dense pools: the keys that a mapping looks at, with values that do not fit there.
KEYS = st.sampled_from(
    [
        *PAYLOADS["PostToolUse"],
        *PAYLOADS["SubagentStop"],
        "error",
        "error_details",
        "assumed",
        "payload",
        "event",
    ]
)
LEAVES = st.sampled_from(
    ["", "x", "a/b", "\x00", "..", "é", None, True, False, 0, -1, 1.5, 2**63 - 1, "Error: no", "PostToolUse"]
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)


@given(
    payload=VALUES
    | st.builds(
        lambda event, rest: {**rest, "hook_event_name": event},
        st.sampled_from([*PAYLOADS, "", "Later"]) | VALUES,
        st.dictionaries(KEYS, VALUES, max_size=8),
    )
)
@example(
    payload={"hook_event_name": "PostToolUse", "tool_response": {"userModified": True, "is_error": True}}
)
@example(payload={"hook_event_name": "PostToolUse", "tool_name": "a" * 300})
@example(payload={"session_id": ["no", "text"], "cwd": 7})
@example(payload=[])
@example(payload=None)
def test_any_json_is_mapped_to_valid_records_and_comes_back(payload: Any) -> None:
    """Whatever value stands under whatever key: the records are valid and nothing is lost."""
    made = mapped(copy.deepcopy(payload))
    assert rebuild(made[0]) == payload

"""What the lines of a transcript become, and that they can be had back."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from moai_patterns.collect.transcripts import Transcript, rebuild
from moai_patterns.schema import errors
from transcript_lines import SESSION, Line, Session, call, progress, text

Record = dict[str, Any]
REFUSED = "The user doesn't want to proceed with this tool use. The tool use was rejected."


def read(lines: list[Line]) -> list[Record]:
    """The records of a transcript, each valid, from which every line came back."""
    transcript = Transcript()
    made = [record for line in lines for record in transcript.add(line, 100, 0)]
    made += transcript.finish()
    for record in made:
        assert errors(record) == []
    back = [line for record in made for line in rebuild(record)]
    assert counted(back) == counted(lines)
    return made


def counted(lines: list[Any]) -> Counter[str]:
    return Counter(json.dumps(line, sort_keys=True) for line in lines)


def of(kind: str, records: list[Record]) -> list[Record]:
    return [record for record in records if record["pattern_type"] == kind]


def one(kind: str, records: list[Record]) -> Record:
    (record,) = of(kind, records)
    return record


def assumed(record: Record) -> list[str]:
    found: list[str] = record["context"]["metadata"].get("assumed", [])
    return found


def test_a_call_and_its_result_become_one_tool_use() -> None:
    """The tool_use has input, response, both lines and the time between them; nothing stands twice."""
    session = Session()
    session.prompt()
    first = session.says(call("Bash", "toolu_1", command="make " + "x" * 500))
    session.result("toolu_1", "ok", {"stdout": "y" * 500, "stderr": ""}, after=3)
    use = one("tool_use", read(session.lines))
    assert use["data"] == {
        "tool_name": "Bash",
        "tool_use_id": "toolu_1",
        "tool_input": {"command": "make " + "x" * 500},
        "tool_response": {"stdout": "y" * 500, "stderr": ""},
        "duration_ms": 3000,
        "success": True,
    }
    assert use["timestamp"] == first["timestamp"]
    assert use["context"]["session_id"] == SESSION
    assert (use["context"]["git_branch"], use["context"]["project_name"]) == ("main", "shop")
    assert use["context"]["tags"] == ["claude-code", "Bash"]
    stored = json.dumps(use)
    assert (stored.count("x" * 500), stored.count("y" * 500)) == (1, 1)


def test_a_duration_that_the_tool_reports_wins() -> None:
    """What the tool measured counts before the time between the lines, which includes permissions."""
    session = Session()
    session.says(call("Glob", "toolu_1", pattern="*"))
    session.result("toolu_1", "a.py", {"filenames": ["a.py"], "durationMs": 7}, after=60)
    assert one("tool_use", read(session.lines))["data"]["duration_ms"] == 7


def test_a_call_without_a_result_is_kept_as_far_as_it_is_known() -> None:
    """At the end of a file an unanswered call is a tool_use without response, duration and outcome."""
    session = Session()
    session.says(call("Bash", "toolu_1", command="sleep"))
    assert one("tool_use", read(session.lines))["data"] == {
        "tool_name": "Bash",
        "tool_use_id": "toolu_1",
        "tool_input": {"command": "sleep"},
    }


def test_calls_side_by_side_find_their_results_in_any_order() -> None:
    """Two calls of one response are paired by their ids."""
    session = Session()
    session.says(call("Read", "toolu_1", file_path="/a"))
    session.says(call("Read", "toolu_2", file_path="/b"))
    session.result("toolu_2", "b", {"file": "b"})
    session.result("toolu_1", "a", {"file": "a"})
    found = {use["data"]["tool_use_id"]: use["data"] for use in of("tool_use", read(session.lines))}
    assert found["toolu_1"]["tool_response"] == {"file": "a"}
    assert found["toolu_2"]["tool_response"] == {"file": "b"}


def test_several_calls_and_results_on_one_line_are_told_apart() -> None:
    """A line with more than one block stays whole, and each call has its own tool_use besides."""
    session = Session()
    session.says(
        text("both"), call("Read", "toolu_1", file_path="/a"), call("Read", "toolu_2", file_path="/b")
    )
    results = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a"},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no", "is_error": True},
    ]
    session.add("user", message={"role": "user", "content": results}, toolUseResult={"mixed": True})
    records = read(session.lines)
    found = {use["data"]["tool_use_id"]: use["data"] for use in of("tool_use", records)}
    assert (found["toolu_1"]["tool_response"], found["toolu_1"]["success"]) == ("a", True)
    assert (found["toolu_2"]["tool_response"], found["toolu_2"]["success"]) == ("no", False)
    assert len({record["pattern_id"] for record in records}) == len(records)


def test_a_result_on_a_line_of_its_own_goes_with_a_call_among_others() -> None:
    """A call from a line with several blocks carries its result's line, and not its own."""
    session = Session()
    session.says(text("look"), call("Read", "toolu_1", file_path="/a"))
    session.result("toolu_1", "a")
    use = one("tool_use", read(session.lines))
    assert use["data"]["tool_response"] == "a"


def test_a_result_without_a_call_is_kept_as_an_event() -> None:
    """A result whose call stands in no line before it loses nothing and pairs with nothing."""
    session = Session()
    session.result("toolu_0", "late", {"x": 1})
    assert one("hook_event", read(session.lines))["data"]["event"] == "user/tool_result"


@pytest.mark.parametrize(
    ("content", "error_type", "message"),
    [
        ("Exit code 1\nmake: no target", "exit_code", "Exit code 1\nmake: no target"),
        ("<tool_use_error>File does not exist.</tool_use_error>", "tool_use_error", "File does not exist."),
        ([{"type": "text", "text": "MCP says no"}], "tool_error", "MCP says no"),
        (REFUSED + " STOP what you are doing.", "rejected", REFUSED + " STOP what you are doing."),
        ("[Request interrupted by user for tool use]", "rejected", None),
    ],
)
def test_a_failed_result_becomes_an_error(content: Any, error_type: str, message: str | None) -> None:
    """`is_error` makes the tool_use a failed one and gives an error_occurrence that names it."""
    session = Session()
    session.says(call("Read", "toolu_1", file_path="/a"))
    session.result("toolu_1", content, "Error: whatever", is_error=True)
    records = read(session.lines)
    use, error = one("tool_use", records), one("error_occurrence", records)
    assert use["data"]["success"] is False
    assert error["data"]["error_type"] == error_type
    assert error["data"]["error_message"] == (content if message is None else message)
    assert (error["data"]["function_name"], error["data"]["file_path"]) == ("Read", "/a")
    assert error["context"]["metadata"]["primary"] == use["pattern_id"]
    assert of("user_correction", records) == []


def test_a_refusal_with_feedback_becomes_a_correction() -> None:
    """What the user said when refusing stands beside what the agent wanted; it is no error."""
    session = Session()
    session.says(call("Bash", "toolu_1", command="make ci"))
    session.result("toolu_1", f"{REFUSED} the user said:\ntoo slow\n", "Error: ...", is_error=True)
    records = read(session.lines)
    correction = one("user_correction", records)
    assert correction["data"] == {
        "original_output": "make ci",
        "corrected_output": "",
        "correction_type": "refusal",
        "agent": "claude-code",
        "task_type": "Bash",
        "user_feedback": "too slow",
    }
    assert assumed(correction) == ["data.corrected_output"]
    assert of("error_occurrence", records) == []
    assert one("tool_use", records)["data"]["success"] is False


def test_an_output_that_the_user_changed_becomes_a_correction() -> None:
    """`userModified` gives what the agent wrote and what stands in the file."""
    session = Session()
    session.says(call("Edit", "toolu_1", file_path="/a", old_string="1", new_string="2"))
    session.result("toolu_1", "updated", {"filePath": "/a", "newString": "3", "userModified": True})
    correction = one("user_correction", read(session.lines))
    assert correction["data"]["original_output"] == "2"
    assert correction["data"]["corrected_output"] == "3"
    assert assumed(correction) == []


def test_tokens_are_summed_per_message_and_not_per_line() -> None:
    """The lines of one API response repeat its usage; the last word of each response counts once."""
    session = Session()
    session.prompt()
    session.says(text("a"), message_id="msg_1", tokens=1)
    session.says(call("Bash", "toolu_1", command="x"), message_id="msg_1", tokens=40)
    session.result("toolu_1", "ok")
    session.says(text("b"), message_id="msg_2", tokens=5)
    usage = one("agent_usage", read(session.lines))
    assert usage["context"]["metadata"]["tokens"] == {
        "input_tokens": 6,
        "output_tokens": 45,
        "cache_creation_input_tokens": 200,
        "cache_read_input_tokens": 2000,
    }
    assert usage["data"]["tokens_used"] == 6 + 45 + 200 + 2000
    assert usage["data"]["api_calls"] == 2
    assert usage["data"]["tools_used"] == ["Bash"]


def test_a_turn_becomes_a_task_completion_with_real_numbers() -> None:
    """Duration, files, added lines and retries of a turn are those of its lines; nothing is assumed."""
    session = Session()
    session.prompt()
    session.says(call("Write", "toolu_1", file_path="/new.py", content="a\nb\n"))
    session.result("toolu_1", "created", {"type": "create", "filePath": "/new.py", "content": "a\nb\n"})
    patch = [{"lines": [" a", "-b", "+c", "+d"]}]
    for number in (2, 3):
        session.says(call("Edit", f"toolu_{number}", file_path="/old.py", old_string="b", new_string="c\nd"))
        session.result(f"toolu_{number}", "ok", {"filePath": "/old.py", "structuredPatch": patch})
    session.says(call("Edit", "toolu_4", file_path="/no.py", old_string="b", new_string="c"))
    session.result("toolu_4", "no such text", "Error: no such text", is_error=True)
    session.add("system", subtype="api_error", retryAttempt=1, maxRetries=10)
    session.says(text("done"))
    session.turn_over(12_345)
    done = one("task_completion", read(session.lines))
    assert done["data"] == {
        "task_type": "turn",
        "agent": "claude-code",
        "duration_ms": 12_345,
        "success": True,
        "files_created": 1,
        "files_modified": 1,
        "lines_of_code": 6,
        "retry_count": 1,
    }
    assert assumed(done) == []
    assert done["timestamp"] == session.lines[-1]["timestamp"]


def test_a_session_has_as_many_completions_as_answered_prompts() -> None:
    """A turn goes from a prompt to the last word of the answer; what stands between turns is in none."""
    session = Session()
    session.prompt("one")
    last = session.says(text("1"), message_id="msg_1")
    session.add("system", subtype="local_command", content="/skills", after=40)
    session.add("user", isMeta=True, message={"role": "user", "content": "Caveat: ..."}, after=40)
    session.prompt("<command-name>/ide</command-name>")
    session.prompt("<local-command-stdout>Connected</local-command-stdout>")
    session.prompt("two")
    session.says(text("2"), message_id="msg_2", after=7)
    done = of("task_completion", read(session.lines))
    assert [record["data"]["duration_ms"] for record in done] == [1000, 7000]
    assert done[0]["timestamp"] == last["timestamp"]


def test_an_interrupted_turn_did_not_succeed() -> None:
    """A turn that the user broke off is no success, and says so."""
    session = Session()
    session.prompt()
    session.says(text("working"))
    session.prompt("[Request interrupted by user]")
    done = one("task_completion", read(session.lines))
    assert (done["data"]["success"], assumed(done)) == (False, [])
    assert done["data"]["error_message"] == "[Request interrupted by user]"


def test_a_turn_without_an_end_assumes_its_success() -> None:
    """A file that stops while a tool runs leaves the outcome open: it is assumed and named."""
    session = Session()
    session.prompt()
    session.says(call("Bash", "toolu_1", command="sleep"), after=9)
    done = one("task_completion", read(session.lines))
    assert (done["data"]["success"], done["data"]["duration_ms"]) == (True, 9000)
    assert assumed(done) == ["data.success"]


def test_an_api_error_is_an_error_and_ends_the_turn_badly() -> None:
    """What Claude Code writes in place of an answer becomes an error_occurrence that carries the line."""
    session = Session()
    session.prompt()
    line = session.says(text("API Error: 429"), isApiErrorMessage=True, error="rate_limit")
    line["message"]["model"] = "<synthetic>"
    records = read(session.lines)
    error = one("error_occurrence", records)
    assert error["data"] == {"error_type": "rate_limit", "error_message": "API Error: 429"}
    done = one("task_completion", records)
    assert (done["data"]["success"], done["data"]["error_message"]) == (False, "API Error: 429")
    assert one("agent_usage", records)["data"]["api_calls"] == 0


def test_a_subagent_is_told_by_its_call_and_by_what_is_repeated_of_it() -> None:
    """Type, duration and outcome come from the call, tokens and tools from the repeated messages."""
    session = Session()
    session.says(call("Task", "toolu_9", subagent_type="Explore", prompt="look", description="d"))
    inner = Session(start=30)
    for message in (
        inner.says(call("Grep", "toolu_a", pattern="x"), message_id="msg_a"),
        inner.says(call("Read", "toolu_b", file_path="/a"), message_id="msg_a", tokens=20),
        inner.says(text("found"), message_id="msg_b"),
    ):
        session.add("progress", **progress(message))
    reported = {"status": "completed", "agentId": "a1", "totalDurationMs": 4321, "totalTokens": 99}
    session.result("toolu_9", [text("found")], reported)
    records = read(session.lines)
    (run,) = [r for r in of("agent_usage", records) if r["data"]["task_type"] == "subagent"]
    assert run["data"] == {
        "agent_type": "Explore",
        "task_type": "subagent",
        "success": True,
        "duration_ms": 4321,
        "tokens_used": 3 + 20 + 1100 + 3 + 10 + 1100,
        "tools_used": ["Grep", "Read"],
        "files_accessed": 1,
        "api_calls": 2,
        "retry_count": 0,
    }
    assert assumed(run) == []
    assert run["context"]["metadata"]["agent_id"] == "a1"


def test_the_size_of_the_last_request_is_not_passed_off_as_tokens_used() -> None:
    """A subagent of which only the call is known has the reported number, named as assumed."""
    session = Session()
    session.says(call("Agent", "toolu_9", subagent_type="Plan", prompt="plan"))
    session.result("toolu_9", "planned", {"totalDurationMs": 10, "totalTokens": 777})
    (run,) = [r for r in read(session.lines) if r["data"].get("task_type") == "subagent"]
    assert (run["data"]["agent_type"], run["data"]["tokens_used"]) == ("Plan", 777)
    assert assumed(run) == ["data.tokens_used"]


def test_a_launched_subagent_has_no_outcome_yet() -> None:
    """The result of a call that only started a subagent tells neither how long it took nor how it ended."""
    session = Session()
    session.says(call("Agent", "toolu_9", subagent_type="Plan", prompt="plan"))
    session.result("toolu_9", "started", {"status": "async_launched", "agentId": "a7"})
    (run,) = [r for r in read(session.lines) if r["data"].get("task_type") == "subagent"]
    assert assumed(run) == ["data.success", "data.duration_ms"]


def test_a_sidechain_without_an_agent_id_belongs_to_the_call_with_its_prompt() -> None:
    """Lines of a subagent within the file of its session are its run, and no turn of the main agent."""
    session = Session()
    session.prompt()
    asking = session.says(call("Task", "toolu_9", subagent_type="Explore", prompt="look around"))
    root = session.prompt("look around", isSidechain=True, parentUuid=None)
    inner = session.says(
        call("Bash", "toolu_a", command="ls"),
        isSidechain=True,
        parentUuid=root["uuid"],
        message_id="msg_side",
    )
    session.result("toolu_a", "a.py", isSidechain=True, parentUuid=inner["uuid"])
    session.result("toolu_9", "found", {"totalDurationMs": 50}, parentUuid=asking["uuid"])
    session.says(text("done"), message_id="msg_2")
    usages = of("agent_usage", read(session.lines))
    (run,) = [r for r in usages if r["data"]["task_type"] == "subagent"]
    (turn,) = [r for r in usages if r["data"]["task_type"] == "turn"]
    assert (run["data"]["tools_used"], run["data"]["api_calls"]) == (["Bash"], 1)
    assert (turn["data"]["tools_used"], turn["data"]["api_calls"]) == (["Task"], 2)


def test_the_file_of_a_subagent_gives_one_run() -> None:
    """A file of sidechain lines becomes one agent_usage; what only its call knows is assumed."""
    session = Session(isSidechain=True, agentId="a1")
    session.prompt("look")
    session.says(call("Grep", "toolu_a", pattern="x"), message_id="msg_a")
    session.result("toolu_a", "hit", {"numFiles": 1}, after=2)
    session.says(text("found"), message_id="msg_b")
    records = read(session.lines)
    run = one("agent_usage", records)
    assert (run["data"]["tokens_used"], run["data"]["duration_ms"]) == (2 * (3 + 10 + 1100), 4000)
    assert assumed(run) == ["data.agent_type", "data.success"]
    assert of("task_completion", records) == []
    assert one("tool_use", records)["context"]["metadata"]["agent_id"] == "a1"


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ({"type": "summary", "summary": "s", "leafUuid": "u"}, "summary"),
        ({"type": "file-history-snapshot", "messageId": "m", "snapshot": {}}, "file-history-snapshot"),
        ({"type": "queue-operation", "operation": "enqueue", "content": None}, "queue-operation/enqueue"),
        ({"type": "mode", "mode": "plan", "sessionId": SESSION}, "mode"),
        ({"type": "ai-title", "aiTitle": "t", "sessionId": SESSION}, "ai-title"),
        ({"type": "attachment", "attachment": {"type": "file"}, "uuid": "u"}, "attachment/file"),
        ({"type": "system", "subtype": "compact_boundary", "uuid": "u"}, "system/compact_boundary"),
        ({"type": "progress", "data": {"type": "hook_progress"}}, "progress/hook_progress"),
        ({"type": "from-the-future", "x": [1]}, "from-the-future"),
        ({"type": 7}, "unknown"),
        ({"type": "user", "message": "odd"}, "user/prompt"),
        ({"type": "assistant", "message": {"content": "odd"}}, "assistant"),
        ({"type": "assistant", "message": {"content": [{"type": "tool_use"}, 7]}}, "assistant/tool_use"),
        ({"type": "assistant", "message": {"content": [text("a")]}}, "assistant/text"),
        ({}, "unknown"),
    ],
)
def test_every_other_line_becomes_an_event(line: Line, event: str) -> None:
    """Lines of any type, with or without uuid, session and time, become one hook_event each."""
    session = Session()
    session.prompt()
    session.bare(**line)
    record = read(session.lines)[1]
    assert (record["pattern_type"], record["data"]["event"]) == ("hook_event", event)


def test_a_line_without_a_time_has_that_of_its_neighbour() -> None:
    """The time before counts, at the head of a file the first one after; both are named as assumed."""
    session = Session()
    session.bare(type="summary", summary="s", leafUuid="u")
    prompt = session.prompt()
    session.bare(type="mode", mode="plan", sessionId=SESSION)
    head, _, mode = read(session.lines)
    assert (head["timestamp"], mode["timestamp"]) == (prompt["timestamp"], prompt["timestamp"])
    assert assumed(head) == ["timestamp", "context.session_id"]
    assert assumed(mode) == ["timestamp"]
    assert head["context"]["session_id"] == SESSION


def test_a_file_without_any_time_has_the_one_that_is_given() -> None:
    """Where no line has a time, the moment that the caller gives stands in, named as assumed."""
    session = Session()
    session.bare(type="summary", summary="s", leafUuid="u")
    session.bare(type="user", timestamp="yesterday", sessionId=SESSION)
    first, second = read(session.lines)
    assert first["timestamp"] == second["timestamp"] == "1970-01-01T00:00:00.000000Z"
    assert assumed(second) == ["timestamp"]


def test_a_snapshot_has_a_time_of_its_own() -> None:
    """The time within a file-history-snapshot is its time; it is not assumed."""
    stamp = "2026-01-12T09:00:00.000Z"
    line = {"type": "file-history-snapshot", "messageId": "m", "snapshot": {"timestamp": stamp}}
    (record,) = read([line])
    assert (record["timestamp"], assumed(record)) == (stamp, [])


def test_a_line_that_stands_twice_counts_once() -> None:
    """A repeated line with a uuid gives no second record, no second call and no tokens twice."""
    session = Session()
    session.prompt()
    session.says(call("Bash", "toolu_1", command="x"))
    session.result("toolu_1", "ok")
    transcript = Transcript()
    made = [r for line in session.lines * 2 for r in transcript.add(line, 100, 0)] + list(transcript.finish())
    assert Counter(r["pattern_type"] for r in made) == {
        "hook_event": 1,
        "tool_use": 1,
        "task_completion": 1,
        "agent_usage": 1,
    }
    assert transcript.repeated == 3


def test_equal_lines_without_a_uuid_are_all_kept() -> None:
    """Their number among equal ones is part of the id, so that each is a record and stays the same one."""
    lines = [{"type": "mode", "mode": "plan", "sessionId": SESSION}] * 3
    first = [record["pattern_id"] for record in read(lines)]
    assert len(set(first)) == 3
    assert [record["pattern_id"] for record in read(lines)] == first


def test_two_sessions_in_one_file_keep_their_turns_apart() -> None:
    """Interleaved lines of two sessions are two turns, each with its own tokens."""
    one_session, other = Session(), Session("0ther000-0000-4000-8000-000000000000")
    one_session.prompt()
    one_session.says(text("1"), message_id="msg_1", tokens=1)
    other.prompt()
    other.says(text("2"), message_id="msg_2", tokens=2)
    lines = [line for pair in zip(one_session.lines, other.lines, strict=True) for line in pair]
    found = {
        record["context"]["session_id"]: record["context"]["metadata"]["tokens"]["output_tokens"]
        for record in of("agent_usage", read(lines))
    }
    assert found == {one_session.session: 1, other.session: 2}

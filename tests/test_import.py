"""Import runs: what goes in, what a second one finds, and what is named instead."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from hook_payloads import PAYLOADS
from moai_patterns import PatternStorage, StoreError
from moai_patterns.cli.import_command import show
from moai_patterns.collect import claude_code, entries, transcripts
from moai_patterns.collect.importing import Skipped, Summary, import_paths
from moai_patterns.collect.intake import Tally
from moai_patterns.instant import SECOND, instant
from transcript_lines import SESSION, Session, call, progress, text

Record = dict[str, Any]
NOW = 1_790_000_000 * 10**9


def imported(storage: PatternStorage, *paths: str | Path, **options: Any) -> Summary:
    return import_paths(paths, storage, **{"key": None, "clock": lambda: NOW, **options})


def records(storage: PatternStorage) -> dict[str, Record]:
    return {record["pattern_id"]: record for record in storage.iter()}


def texts(lines: list[Any]) -> list[str]:
    return sorted(json.dumps(line, sort_keys=True) for line in lines)


def session() -> Session:
    """A session with a head of bare lines, a failed call, a subagent and two turns."""
    made = Session()
    made.bare(type="summary", summary="earlier", leafUuid="u0")
    made.bare(type="mode", mode="plan", sessionId=SESSION)
    made.prompt()
    made.says(call("Bash", "toolu_1", command="make"))
    made.result("toolu_1", "Exit code 1", "Error: Exit code 1", is_error=True)
    made.says(call("Task", "toolu_9", subagent_type="Explore", prompt="look"), message_id="msg_2")
    made.add("progress", **progress(Session(start=9).says(text("hm"), message_id="msg_a")))
    made.result("toolu_9", "found", {"agentId": "a1", "totalDurationMs": 5, "status": "completed"})
    made.says(text("done"), message_id="msg_3")
    made.turn_over()
    made.bare(type="mode", mode="plan", sessionId=SESSION)
    made.prompt("more")
    made.says(text("done again"), message_id="msg_4")
    return made


@pytest.fixture
def storage() -> PatternStorage:
    return PatternStorage("memory", maintenance_interval=None)


def log(path: Path, *payloads: Any, **options: Any) -> Path:
    path.write_text(json.dumps(list(payloads), **options), encoding="utf-8")
    return path


def test_a_log_of_payloads_goes_in_and_comes_back(storage: PatternStorage, tmp_path: Path) -> None:
    """Each payload of an array becomes the record that a hook would have made of it."""
    summary = imported(storage, log(tmp_path / "all.json", *PAYLOADS.values(), indent=2))
    assert (summary.payloads, summary.added, summary.damaged) == (31, 31, 0)
    back = [claude_code.rebuild(record) for record in records(storage).values()]
    assert {payload["hook_event_name"]: payload for payload in back} == PAYLOADS


@pytest.mark.parametrize("form", ["array", "lines", "indented"])
def test_payloads_are_told_by_content_in_any_form(storage: PatternStorage, tmp_path: Path, form: str) -> None:
    """An array, one object per line, or indented objects: the name of the file does not matter."""
    payloads = list(PAYLOADS.values())
    written = {
        "array": json.dumps(payloads),
        "lines": "\n".join(map(json.dumps, payloads)),
        "indented": "\n".join(json.dumps(payload, indent=1) for payload in payloads),
    }
    path = tmp_path / "notes.txt"
    path.write_text(written[form], encoding="utf-8")
    assert imported(storage, path).added == 31
    assert imported(storage, log(tmp_path / "again", *payloads)).added == 0


def test_equal_payloads_are_counted_one_by_one(storage: PatternStorage, tmp_path: Path) -> None:
    """Three equal payloads are three records; a longer log later adds only what is new."""
    stop = PAYLOADS["Stop"]
    path = tmp_path / "stop.json"
    assert imported(storage, log(path, stop, stop, stop)).added == 3
    assert imported(storage, log(path, stop, stop, stop, stop)).added == 1
    assert imported(storage, log(path, stop, stop)).added == 0


def test_payloads_keep_their_order_and_the_time_of_their_file(
    storage: PatternStorage, tmp_path: Path
) -> None:
    """Without a time of their own payloads have that of the file, earlier ones before later ones."""
    payloads = [{**PAYLOADS["Stop"], "n": number} for number in range(20)]
    path = log(tmp_path / "stop.json", *payloads)
    os.utime(path, ns=(0, 1_780_000_000 * 10**9))
    imported(storage, path)
    found = list(storage.iter(order="oldest"))
    assert [claude_code.rebuild(record)["n"] for record in found] == list(range(20))
    assert all(record["timestamp"].startswith("2026-05-28T20:26:39.9") for record in found)
    assert all(record["context"]["metadata"]["assumed"][0] == "timestamp" for record in found)


def test_an_assumed_time_stays_the_first_one(storage: PatternStorage, tmp_path: Path) -> None:
    """A copy with another time adds nothing and changes nothing."""
    path = log(tmp_path / "stop.json", *PAYLOADS.values())
    imported(storage, path)
    before = records(storage)
    os.utime(path, ns=(0, 0))
    copy = shutil.copy(path, tmp_path / "copy.json")
    summary = imported(storage, path, Path(copy))
    assert (summary.added, summary.revised) == (0, 0)
    assert records(storage) == before


def test_a_file_from_the_future_is_not_believed(storage: PatternStorage, tmp_path: Path) -> None:
    """No assumed time lies beyond the clock, or retention would refuse to work until then."""
    path = log(tmp_path / "stop.json", PAYLOADS["Stop"])
    os.utime(path, ns=(0, NOW * 2))
    imported(storage, path)
    (record,) = storage.iter()
    assert record["timestamp"] < "2026-09-21T15"


def test_payloads_take_the_time_of_their_session(storage: PatternStorage, tmp_path: Path) -> None:
    """Where the transcript of a session is imported too, its payloads have their time from there."""
    payload = {**PAYLOADS["Stop"], "session_id": SESSION}
    path = log(tmp_path / "a-stop.json", payload)
    imported(storage, path)
    lines = session().write(tmp_path / "transcript.jsonl")
    summary = imported(storage, path, lines)
    assert summary.records["task_completion"].revised == 1
    (stop,) = (r for r in storage.iter() if r["context"]["metadata"]["source"] == claude_code.SOURCE)
    assert stop["timestamp"].startswith("2026-01-12T09:00:01")
    before = records(storage)
    assert (imported(storage, path).revised, imported(storage, lines, path).revised) == (0, 0)
    assert records(storage) == before


def test_a_payload_that_tells_its_time_has_it(storage: PatternStorage, tmp_path: Path) -> None:
    """A logger that added a timestamp is believed; nothing is assumed then."""
    imported(storage, log(tmp_path / "x", {**PAYLOADS["PreCompact"], "timestamp": "2026-03-04T05:06:07Z"}))
    (record,) = storage.iter()
    assert record["timestamp"] == "2026-03-04T05:06:07.000000Z"
    assert "assumed" not in record["context"]["metadata"]


def test_what_follows_from_a_payload_is_imported_with_it(storage: PatternStorage, tmp_path: Path) -> None:
    """Errors and corrections are derived under ids that stay the same."""
    response = {"isError": True, "content": "no", "userModified": True, "newString": "z"}
    path = log(tmp_path / "x", {**PAYLOADS["PostToolUse"], "tool_response": response})
    assert imported(storage, path).added == 3
    assert imported(storage, path).added == 0
    (use,) = storage.query("tool_use")
    for kind in ("error_occurrence", "user_correction"):
        (derived,) = storage.query(kind)
        assert derived["context"]["metadata"]["primary"] == use["pattern_id"]


def test_a_transcript_goes_in_whole_and_a_second_time_adds_nothing(
    storage: PatternStorage, tmp_path: Path
) -> None:
    """Every line is carried by a record, and the same file, renamed or twice, changes nothing."""
    lines = session().lines
    path = session().write(tmp_path / "a.jsonl")
    summary = imported(storage, path)
    assert (summary.lines, summary.damaged, summary.revised, summary.unchanged) == (len(lines), 0, 0, 0)
    before = records(storage)
    back = [line for record in before.values() for line in transcripts.rebuild(record)]
    assert texts(back) == texts(lines)
    again = imported(storage, path, Path(shutil.copy(path, tmp_path / "renamed.txt")))
    assert (again.added, again.revised) == (0, 0)
    assert records(storage) == before


@pytest.mark.parametrize("known", range(1, 13))
def test_a_transcript_that_grew_comes_to_the_same_records(
    storage: PatternStorage, tmp_path: Path, known: int
) -> None:
    """Imported after any of its lines and then whole, a file ends as if imported once."""
    made = session()
    whole = made.write(tmp_path / "whole.jsonl")
    part = made.write(tmp_path / "part.jsonl", known)
    imported(storage, part)
    imported(storage, whole)
    with PatternStorage("memory", maintenance_interval=None) as other:
        imported(other, whole)
        assert records(storage) == records(other)
    for paths in ((part,), (whole, part), (part, whole)):
        again = imported(storage, *paths)
        assert (again.added, again.revised) == (0, 0)


def test_a_subagent_is_one_run_whichever_file_comes_first(storage: PatternStorage, tmp_path: Path) -> None:
    """The call in the session's file and the subagent's own file make one record together."""
    inner = Session(isSidechain=True, agentId="a1", start=30)
    inner.prompt("look")
    inner.says(call("Grep", "toolu_x", pattern="x"), message_id="msg_x", tokens=7)
    inner.result("toolu_x", "hit", {"n": 1})
    outer_path = session().write(tmp_path / "outer.jsonl")
    inner_path = inner.write(tmp_path / "agent-a1.jsonl")
    imported(storage, outer_path)
    imported(storage, inner_path)
    with PatternStorage("memory", maintenance_interval=None) as other:
        imported(other, inner_path)
        imported(other, outer_path)
        assert records(storage) == records(other)
    (run,) = (r for r in storage.query("agent_usage") if r["data"]["task_type"] == "subagent")
    assert run["data"]["agent_type"] == "Explore"
    assert (run["data"]["tools_used"], run["data"]["tokens_used"]) == (["Grep"], 3 + 7 + 1100)
    assert "assumed" not in run["context"]["metadata"]
    again = imported(storage, inner_path, outer_path)
    assert (again.added, again.revised) == (0, 0)


def test_directories_are_read_recursively_and_other_files_are_named(
    storage: PatternStorage, tmp_path: Path
) -> None:
    """What holds no recording is named with the reason; pipes and links in a circle hold nobody up."""
    project = tmp_path / "projects" / "-home-dev-shop"
    project.mkdir(parents=True)
    session().write(project / f"{SESSION}.jsonl")
    (project / "sessions-index.json").write_text('{"version": 1, "entries": []}')
    (project / "notes.md").write_text("# notes")
    (project / "other.json").write_text('[{"type": "object"}, {"$ref": "#"}]')
    (project / "empty").write_text("")
    (project / "loop").symlink_to(project)
    (project / "gone").symlink_to(project / "nowhere")
    os.mkfifo(project / "pipe")
    summary = imported(storage, tmp_path, project / "notes.md")
    assert (summary.files, summary.lines) == (1, len(session().lines))
    named = {os.path.basename(skipped.file): skipped.reason for skipped in summary.ignored}
    none = "no transcript and no log of hook payloads"
    assert named == {
        "sessions-index.json": none,
        "notes.md": none,
        "other.json": none,
        "empty": none,
        "pipe": "no regular file",
    }
    assert [(skipped.line, skipped.reason) for skipped in summary.skipped] == [
        (0, "No such file or directory")
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that is there and cannot be read")
def test_a_file_that_cannot_be_read_is_told_as_skipped(storage: PatternStorage, tmp_path: Path) -> None:
    """Whether it holds a recording nobody knows, so it is not among those that hold none."""
    unreadable = "/proc/self/mem"
    summary = imported(storage, session().write(tmp_path / "a.jsonl"), unreadable)
    assert summary.skipped == [Skipped(unreadable, 0, "Input/output error")]
    assert (summary.files, summary.damaged, summary.ignored) == (1, 1, [])


def test_a_file_that_fails_on_the_way_is_read_up_to_there() -> None:
    """A failing disk ends that file, and is named with the line at which it did."""

    class FailingFile(io.BytesIO):
        """Two lines, then a bad block."""

        def readline(self, size: int | None = -1) -> bytes:
            if self.tell() == len(self.getvalue()):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().readline(size)

    *whole, last = entries.read(FailingFile(b'{"type": "user"}\n{"type": "user"}\n'))
    assert [type(entry) for entry in whole] == [entries.Entry, entries.Entry]
    assert last == entries.Damage(3, "the file cannot be read from here on: Input/output error")


def test_a_path_that_does_not_exist_is_refused_before_anything_is_read(
    storage: PatternStorage, tmp_path: Path
) -> None:
    """A mistyped name is an error, not an empty import."""
    path = session().write(tmp_path / "a.jsonl")
    with pytest.raises(StoreError, match="does not exist"):
        imported(storage, path, tmp_path / "b.jsonl")
    assert storage.count() == 0


def test_damaged_lines_are_named_and_the_rest_goes_in(storage: PatternStorage, tmp_path: Path) -> None:
    """Torn, glued, NUL-filled and undecodable lines are counted by file and line."""
    lines = [json.dumps(line).encode() for line in session().lines]
    lines[3:3] = [lines[3][:40] + lines[2], b"\0" * 100, b'{"type": "\xff"}', b"}"]
    path = tmp_path / "torn.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n" + lines[-1][:-30])
    summary = imported(storage, path)
    assert [(skipped.file, skipped.line) for skipped in summary.skipped] == [
        (str(path), line) for line in (4, 5, 6, 7, len(lines) + 1)
    ]
    assert summary.damaged == 5
    assert summary.repeated == 1
    with PatternStorage("memory", maintenance_interval=None) as other:
        imported(other, session().write(tmp_path / "whole.jsonl"))
        assert records(storage) == records(other)


def test_what_no_record_can_hold_is_kept_as_text(storage: PatternStorage, tmp_path: Path) -> None:
    """Lines and payloads with NaN, double keys, big integers or endless depth are stored raw, once."""
    kept = [
        '{"type": "user", "sessionId": "s", "n": NaN}',
        '{"type": "user", "sessionId": "s", "type": "user"}',
        '{"type": "user", "sessionId": "s", "n": 18446744073709551616}',
        '{"type": "user", "sessionId": "s", "n": "\\ud83d"}',
        '{"type": "user", "sessionId": "s", "n": ' + "[" * 99 + "]" * 99 + "}",
        '{"hook_event_name": "Stop", "n": 1e999}',
        '{"hook_event_name": "Stop", "hook_event_name": "Stop"}',
        '{"hook_event_name": "Stop", "n": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"type": "user", "sessionId": "s", "n": ' + "[" * 5000 + "]" * 5000 + "}",
        "[1, 2]",
        '"a word"',
    ]
    path = tmp_path / "odd.jsonl"
    path.write_text("\n".join(['{"type": "mode", "sessionId": "s"}', *kept]), encoding="utf-8")
    summary = imported(storage, path)
    assert (summary.damaged, summary.added) == (0, len(kept) + 1)
    texts = {record["data"].get("raw") for record in storage.query("hook_event", limit=None)}
    assert texts == {None, *kept[:9]}
    again = imported(storage, path)
    assert (again.added, again.revised) == (0, 0)


def test_secrets_are_taken_out_and_ids_do_not_depend_on_them(storage: PatternStorage, tmp_path: Path) -> None:
    """No stored byte has the credential, and the file still adds nothing a second time."""
    secret = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6"
    made = session()
    made.says(call("Bash", "toolu_s", command=f"curl -H 'token {secret}'"))
    made.result("toolu_s", secret, {"stdout": f"x {secret} y"})
    path = made.write(tmp_path / "s.jsonl")
    raw = tmp_path / "p.jsonl"
    raw.write_text(f'{{"hook_event_name": "Stop", "n": NaN, "s": "{secret}"}}')
    imported(storage, path, raw, key=b"k" * 32)
    assert secret not in json.dumps(list(storage.iter()))
    again = imported(storage, path, raw, key=b"k" * 32)
    assert (again.added, again.revised) == (0, 0)


def test_progress_is_told_in_bytes(storage: PatternStorage, tmp_path: Path) -> None:
    """The bytes read so far grow to the bytes in all."""
    path = session().write(tmp_path / "s.jsonl")
    other = log(tmp_path / "p.json", *PAYLOADS.values())
    told: list[tuple[int, int]] = []
    imported(storage, other, path, progress=lambda done, total: told.append((done, total)))
    total = path.stat().st_size + other.stat().st_size
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (total, total)


def test_a_summary_says_how_much_and_names_a_bounded_number_of_places(
    storage: PatternStorage, tmp_path: Path
) -> None:
    """Of very many damaged lines the first ten thousand are named, and all are counted."""
    path = tmp_path / "x.jsonl"
    path.write_text('{"type": "mode", "sessionId": "s"}\n' + "{\n" * 10_500)
    summary = imported(storage, path)
    assert (summary.damaged, len(summary.skipped)) == (10_500, 10_000)
    assert summary.skipped[0] == Skipped(
        str(path),
        2,
        "1 characters of a torn entry: no JSON at character 1: "
        "Expecting property name enclosed in double quotes",
    )


def captured(storage: PatternStorage, after: int, **payload: Any) -> Record:
    """Store what a hook makes of a payload so many seconds after the session's first; return the payload."""
    moment = instant("2026-01-12T09:00:00.250Z") + after * SECOND
    made = claude_code.records({"session_id": SESSION, **payload}, now=moment, new_id=lambda: f"live-{after}")
    storage.save_batch(made)
    return {"session_id": SESSION, **payload}


@pytest.mark.parametrize(
    ("filled", "told"),
    [
        (0, "3 known,\n"),
        (1, "3 known, 1 record of hooks filled in,\n"),
        (2, "3 known, 2 records of hooks filled in,\n"),
    ],
)
def test_the_summary_tells_how_many_records_of_hooks_were_filled_in(
    filled: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With how many there are, and not a word when there are none."""
    show(Summary(files=1, filled=filled, records={"tool_use": Tally(1, 2, 3)}), as_json=False)

    shown = capsys.readouterr().out
    assert told in shown
    assert ("filled" in shown) == (filled > 0)


def test_a_transcript_fills_in_what_hooks_had_to_assume(storage: PatternStorage, tmp_path: Path) -> None:
    """Duration and outcome of a turn and of a subagent's run are known from the lines that led to them."""
    lines = session()
    turns = [line for line in lines.lines if line.get("subtype") == "turn_duration"]
    ended = int(turns[0]["timestamp"][17:19])
    stop = captured(storage, ended + 1, hook_event_name="Stop", stop_hook_active=False)
    other = captured(storage, ended + 2, hook_event_name="Stop", session_id="another", stop_hook_active=False)
    agent = captured(storage, ended - 1, hook_event_name="SubagentStop", agent_id="a1")
    path = lines.write(tmp_path / "t.jsonl")

    summary = imported(storage, path)

    assert summary.filled == 2
    found = records(storage)
    turn, run = found[f"live-{ended + 1}"], found[f"live-{ended - 1}"]
    (told,) = [
        r
        for r in found.values()
        if r["data"].get("duration_ms") == 5_000 and r is not turn and "agent" in r["data"]
    ]
    assert turn["data"]["duration_ms"] == 5_000
    assert "data.duration_ms" not in turn["context"]["metadata"].get("assumed", ())
    assert turn["context"]["metadata"]["filled"]["data.duration_ms"] == told["pattern_id"]
    assert (run["data"]["agent_type"], run["data"]["duration_ms"]) == ("Explore", 5)
    assert [claude_code.rebuild(record) for record in (turn, run)] == [stop, agent]
    untouched = found[f"live-{ended + 2}"]
    assert untouched["data"]["duration_ms"] == 0
    assert claude_code.rebuild(untouched) == other
    again = imported(storage, path)
    assert (again.added, again.revised, again.filled) == (0, 0, 0)
    assert records(storage) == found


def test_what_a_transcript_filled_in_stays_when_the_payload_is_read_again(
    storage: PatternStorage, tmp_path: Path
) -> None:
    """A log of payloads that is imported once more changes nothing, although it knows less by itself."""
    transcript = session().write(tmp_path / "t.jsonl")
    stop = {"hook_event_name": "Stop", "session_id": SESSION, "stop_hook_active": False}
    agent = {"hook_event_name": "SubagentStop", "session_id": SESSION, "agent_id": "a1"}
    payloads = log(tmp_path / "log.json", stop, agent)
    first = imported(storage, transcript, payloads)
    found = records(storage)
    again = imported(storage, payloads)
    assert (first.filled, again.added, again.revised) == (1, 0, 0)
    assert records(storage) == found


@pytest.mark.parametrize(
    "line", ['{"type": "user", "n": NaN, "s": "%s"}', '{"type": "user", "s": "%s", "n": 1e999}']
)
def test_a_line_that_is_kept_as_text_keeps_no_secret(
    storage: PatternStorage, tmp_path: Path, line: str
) -> None:
    """What no record can hold as a value is redacted like everything else."""
    secret = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6"
    path = tmp_path / "t.jsonl"
    path.write_text('{"type": "mode", "sessionId": "s"}\n' + line % secret + "\n")
    imported(storage, path, key=b"k" * 32)
    text = json.dumps(list(storage.iter()))
    assert secret not in text
    assert "[REDACTED:github:" in text

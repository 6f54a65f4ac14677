"""`--json`, before or behind the command: one object on standard output, or one a line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from samples import sample
from test_cli import lines, run

RECORDS = lines([sample("a", "2025-11-28T10:00:00Z"), sample("b", "2025-11-29T10:00:00Z", kind="tool_use")])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a store of two records."""
    run("save", "--store", "file:tree", cwd=tmp_path, stdin=RECORDS)
    return tmp_path


OUTCOMES: list[tuple[str, Any]] = [
    ("count", 2),
    ("compact", {"compacted": 2}),
    ("compact --dry-run", {"compact": ["2025-11-28", "2025-11-29"], "expire": {}}),
    ("retain", {"removed": 2}),
    ("retain --archive file:old", {"archived": 2}),
    (
        "retain --dry-run",
        {"compact": [], "expire": {"2025-11-28": {"task_completion": 1}, "2025-11-29": {"tool_use": 1}}},
    ),
    ("maintain", {"compacted": 2, "removed": 0}),
    ("copy file:other", {"copied": 2, "left_out": 0}),
    ("save records.jsonl", {"saved": 2, "added": 0, "revised": 0, "unchanged": 2}),
    ("import jsonl records.jsonl", {"imported": 2, "added": 0, "revised": 0, "unchanged": 2}),
    ("delete a", {"removed": 1}),
    ("delete --kind tool_use --dry-run", {"would_be_removed": 1}),
    ("export all.jsonl", {"exported": 2}),
]


@pytest.mark.parametrize(("words", "outcome"), OUTCOMES)
@pytest.mark.parametrize("behind", [True, False])
def test_every_command_tells_its_outcome_as_json(place: Path, words: str, outcome: Any, behind: bool) -> None:
    """One object (of count a number) with what the sentence says, wherever --json stands."""
    (place / "records.jsonl").write_text(RECORDS)
    words = f"{words} --json --store file:tree" if behind else f"--json --store file:tree {words}"
    told = run(*words.split(), cwd=place)
    assert (told.returncode, json.loads(told.stdout)) == (0, outcome)


def test_a_capture_tells_its_id(place: Path) -> None:
    """The record can be loaded by it."""
    words = ["capture", "tool_use", '{"tool_name": "Read"}', "--store", "file:tree"]
    told = json.loads(run("--json", *words, cwd=place).stdout)
    assert run("load", told["pattern_id"], "--store", "file:tree", cwd=place).returncode == 0


def test_an_export_to_standard_output_stays_what_it_is(place: Path) -> None:
    """There --json adds nothing to the records, so that they can be imported."""
    assert run("export", "--json", "--store", "file:tree", cwd=place).stdout.count("\n") == 2


def test_schemas_are_told_as_json(tmp_path: Path) -> None:
    """The kinds with their versions in one object, a schema on one line, a violation a line."""
    assert json.loads(run("schema", "list", "--json", cwd=tmp_path).stdout)["tool_use"] == ["1.0"]
    assert run("schema", "show", "tool_use", "--json", cwd=tmp_path).stdout.count("\n") == 1
    judged = run("schema", "validate", "--json", cwd=tmp_path, stdin=lines([sample(duration_ms=-1)]))
    told = json.loads(judged.stdout)
    assert told["place"] == "standard input, line 1"
    assert (told["path"], told["rule"]) == ("$.data.duration_ms", "minimum")


def test_an_install_tells_what_it_changed(tmp_path: Path) -> None:
    """The file and whether it changed; a dry run the difference."""
    words = ["hook", "install", "--settings", "s.json"]
    assert "+++ s.json" in json.loads(run(*words, "--dry-run", "--json", cwd=tmp_path).stdout)["diff"]
    assert json.loads(run("--json", *words, cwd=tmp_path).stdout) == {"settings": "s.json", "changed": True}
    assert json.loads(run(*words, "--json", cwd=tmp_path).stdout) == {"settings": "s.json", "changed": False}


def test_the_store_before_the_command_is_registered(tmp_path: Path) -> None:
    """As it would be behind it, where it goes first."""
    words = ["--store", "file:before", "hook", "install", "--settings", "s.json", "--event", "Stop"]
    run(*words, cwd=tmp_path)
    assert "claude-code --store file:before >" in (tmp_path / "s.json").read_text()
    run(*words, "--store", "file:behind", cwd=tmp_path)
    assert "claude-code --store file:behind >" in (tmp_path / "s.json").read_text()


def test_a_capture_by_a_hook_says_nothing_with_json_either(tmp_path: Path) -> None:
    """Wherever --json stands, it is stored, silently."""
    for words in (["--json", "hook", "claude-code"], ["hook", "claude-code", "--json"]):
        told = run(*words, "--store", "file:tree", cwd=tmp_path, stdin='{"hook_event_name": "Stop"}')
        assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    assert run("count", "--store", "file:tree", cwd=tmp_path).stdout == "2\n"


def test_the_demo_tells_how_it_came_out(tmp_path: Path) -> None:
    """One object on standard output; what it shows goes to standard error."""
    told = run("demo", "--out", "out", "--json", cwd=tmp_path)
    outcome = json.loads(told.stdout)
    assert (outcome["records"], outcome["equal"], outcome["findings"]) == (33, True, 0)
    assert "check: 0 findings" in told.stderr


def test_an_import_names_and_counts_what_did_not_go_in(tmp_path: Path) -> None:
    """Ignored files with their reason, torn lines all counted though only 10,000 are named."""
    (tmp_path / "picture.txt").write_text("no recording")
    whole = '{"hook_event_name": "Stop", "session_id": "s"}\n'
    (tmp_path / "torn.jsonl").write_text(whole + '{"hook_event_name": \n' * 12_000 + whole)
    words = ["import", "claude-code", "picture.txt", "torn.jsonl", "--store", "file:tree"]
    shown = run(*words, cwd=tmp_path)
    assert "ignored picture.txt: no transcript and no log of hook payloads\n" in shown.stderr
    assert "skipped 2000 more that are not named\n" in shown.stderr
    assert re.search(r"\b12000 places skipped, 1 file ignored$", shown.stdout.strip())

    told = json.loads(run(*words, "--json", cwd=tmp_path).stdout)
    assert (told["damaged"], len(told["skipped"]), told["unchanged"]) == (12_000, 10_000, 2)
    assert [ignored["file"] for ignored in told["ignored"]] == ["picture.txt"]

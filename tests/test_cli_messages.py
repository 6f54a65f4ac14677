"""What the command line says: whole ids, the place of what is refused, the words that were typed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from samples import sample
from test_cli import lines, run

IDENTITY = "353742d4-839c-85a0-8262-22c1ac21a93b"


def on_a_terminal(*words: str, cwd: Path, columns: int = 80) -> str:
    """Return what `moai-patterns` with these words prints on a terminal."""
    master, slave = pty.openpty()
    environ = {**os.environ, "COLUMNS": str(columns), "TERM": "dumb"}
    command = [sys.executable, "-m", "moai_patterns", *words]
    subprocess.run(command, cwd=cwd, stdout=slave, stderr=slave, env=environ, check=False)
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 1 << 16):
            shown += part
    except OSError:
        pass  # the end of it, on Linux
    os.close(master)
    return shown.decode().replace("\r\n", "\n")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a store of one record, with a long id and a long time."""
    record = sample(IDENTITY, "2026-01-12T09:59:59.999734+09:00", agent="a" * 90)
    run("save", "--store", "file:tree", cwd=tmp_path, stdin=lines([record]))
    return tmp_path


def test_a_terminal_of_80_columns_shows_ids_whole(place: Path) -> None:
    """Time, kind and id stand on a line, the rest below; none is longer than the terminal."""
    shown = on_a_terminal("query", "--store", "file:tree", cwd=place)
    rows = [line.split() for line in shown.splitlines()]
    assert ["2026-01-12T09:59:59+09:00", "task_completion", IDENTITY] in rows
    assert max(map(len, shown.splitlines())) <= 80
    assert "  task_type=fix agent=aaa" in shown
    wide = on_a_terminal("query", "--store", "file:tree", cwd=place, columns=150)
    assert f"{IDENTITY}  task_type=fix" in wide


def test_a_pipe_gets_a_record_a_line(place: Path) -> None:
    """Of at most 120 columns, without blanks at the end."""
    shown = run("query", "--store", "file:tree", cwd=place).stdout.splitlines()
    assert f"{IDENTITY}  task_type=fix" in shown[1]
    assert all(line == line.rstrip() and len(line) <= 120 for line in shown)


def test_nothing_of_python_is_shown(place: Path) -> None:
    """Neither None, nor an empty list, nor a heading over nothing; in an empty store too."""
    shown = ""
    for _ in range(2):
        shown = run("stats", "--store", "file:tree", cwd=place).stdout
        shown += run("doctor", "--store", "file:tree", cwd=place).stdout
        assert "None" not in shown
        assert "[]" not in shown
        assert "last capture" in shown
        run("delete", IDENTITY, "--store", "file:tree", cwd=place)
    assert shown.startswith("0 records\n")
    assert run("query", "--store", "file:tree", cwd=place).stdout == "no records\n"


def test_doctor_says_when_no_capture_can_be_stored(tmp_path: Path) -> None:
    """In a store that is only read, and where a file stands in the way."""
    folder = tmp_path / "plain/2025/11/29"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text(json.dumps(sample("a")))
    for store in ("file:plain", "file:plain/2025/11/29/a.json/x"):
        told = run("doctor", "--json", "--store", store, cwd=tmp_path)
        assert told.returncode == 1
        assert "captures cannot be stored" in json.loads(told.stdout)["problem"]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ('data.x == "a', "character 11 of the condition: expected a value; found '\"a'; the text has no end"),
        ("data.x == 'a'", 'a text stands in "double quotes"'),
        ("data.x => 1", "character 8 of the condition: expected == != < <="),
        ("data.a = = 1", "character 10 of the condition: expected a value"),
        ("data.x == [1,", "character 14 of the condition: expected a value; found the end"),
        ("nonsense", "character 9 of the condition: expected == != < <="),
    ],
)
def test_a_condition_that_means_nothing_is_refused(place: Path, condition: str, said: str) -> None:
    """With the place of what cannot be read."""
    refused = run("count", "--where", condition, "--store", "file:tree", cwd=place)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert said in refused.stderr


@pytest.mark.parametrize("words", [["save"], ["import", "jsonl"]])
def test_a_refused_line_is_named_and_the_stored_ones_counted(tmp_path: Path, words: list[str]) -> None:
    """File and line of the first, and how many before it are stored."""
    good = [sample(f"r{number}") for number in range(1000)]
    (tmp_path / "r.jsonl").write_text(lines(good) + "\n" + lines([sample("x"), sample("y", success=1)]))
    refused = run(*words, "r.jsonl", "--store", "file:tree", cwd=tmp_path)
    assert refused.returncode == 3
    assert refused.stderr.startswith("Error: r.jsonl, line 1003: refused: $.data.success")
    assert "stored: 1000 records before r.jsonl, line 1002, none from there on" in refused.stderr
    assert run("count", "--store", "file:tree", cwd=tmp_path).stdout == "1000\n"


def test_a_save_tells_new_from_revised_and_unchanged(place: Path) -> None:
    """Each with its number."""
    words = ["save", "--store", "file:tree"]
    run(*words, cwd=place, stdin=lines([sample("a"), sample("b")]))
    told = run(*words, cwd=place, stdin=lines([sample("a"), sample("b", agent="z"), sample("c")]))
    assert told.stdout == "3 records: 1 new, 1 revised, 1 unchanged\n"


def test_every_violation_of_a_file_is_listed(tmp_path: Path) -> None:
    """Also behind a line that is no JSON, and one that is no object; the exit code is 1."""
    text = '{"a": \n[1]\n' + lines([sample(), sample(duration_ms=-1)])
    (tmp_path / "r.jsonl").write_text(text)
    judged = run("schema", "validate", "r.jsonl", cwd=tmp_path)
    assert judged.returncode == 1
    first, second, third = judged.stdout.splitlines()
    assert first.startswith("r.jsonl, line 1: $: json: no JSON at character")
    assert second == "r.jsonl, line 2: $: json: a record is a JSON object, not an array of 1 item"
    assert third.startswith("r.jsonl, line 4: $.data.duration_ms: minimum")


def test_messages_name_what_was_typed(place: Path) -> None:
    """The option and not the parameter, kinds as a list, numbers as numbers."""
    assert "Error: --since: " in run("count", "--since", "foo", "--store", "file:tree", cwd=place).stderr
    assert "Error: --until: " in run("count", "--until", "foo", "--store", "file:tree", cwd=place).stderr
    unknown = run("schema", "show", "nonsense", cwd=place).stderr
    assert "known are task_completion 1.0, " in unknown
    assert "is not a valid whole number" in run("query", "--limit", "x", cwd=place).stderr


def test_the_list_of_commands_is_not_cut(tmp_path: Path) -> None:
    """Each has a sentence that fits 80 columns."""
    shown = run("--help", cwd=tmp_path, COLUMNS="80").stdout
    assert "..." not in shown.partition("Commands:")[2]


def test_an_unknown_event_can_be_forced(tmp_path: Path) -> None:
    """For versions of Claude Code that are newer than this program."""
    words = ["hook", "install", "--settings", "s.json", "--event", "Bogus"]
    assert "Bogus: no known event" in run(*words, cwd=tmp_path).stderr
    assert run(*words, "--force", cwd=tmp_path).returncode == 0
    assert "Bogus" in (tmp_path / "s.json").read_text()


def test_ids_and_options_of_a_deletion_narrow_each_other(tmp_path: Path) -> None:
    """What is removed has one of the ids and answers the options."""
    run("save", "--store", "file:t", cwd=tmp_path, stdin=lines([sample("a"), sample("b", kind="tool_use")]))
    assert run("delete", "a", "--kind", "tool_use", "--store", "file:t", cwd=tmp_path).stdout == "0 removed\n"


def test_an_import_of_nothing_says_so(tmp_path: Path) -> None:
    """With exit code 3; what hooks have stored and a transcript completes is counted."""
    (tmp_path / "notes.txt").write_text("no recording")
    told = run("import", "claude-code", "notes.txt", "--store", "file:tree", cwd=tmp_path)
    assert told.returncode == 3
    assert told.stdout == "nothing was taken, no file holds a recording: 0 places skipped, 1 file ignored\n"
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_what_the_demo_says_at_its_end_can_be_run(tmp_path: Path) -> None:
    """Word for word, with a PATH that does not have the program, and blanks in the place."""
    shown = run("demo", "--out", "out of it", cwd=tmp_path, PATH="/usr/bin:/bin").stdout
    commands = shown.partition("Go on\n")[2].splitlines()
    assert len(commands) == 3
    for command in commands[:2]:
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("query --kind tool", "plain,tool_use"),
        ("query --store sq", "plain,sqlite:"),
        ("query --store file:tr", "plain,file:tree"),
    ],
)
def test_values_are_completed(place: Path, words: str, expected: str) -> None:
    """Kinds, and the names of stores."""
    asked = {"COMP_WORDS": f"moai-patterns {words}", "COMP_CWORD": str(words.count(" ") + 1)}
    assert expected in run(cwd=place, _MOAI_PATTERNS_COMPLETE="bash_complete", **asked).stdout.split()

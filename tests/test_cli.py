"""The command line as a person or a script uses it: the real program in processes of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click import Group

from moai_patterns.cli.commands import COMMANDS, root
from samples import sample
from sources import ROOT

PAGE = ROOT / "docs" / "command-line.md"


def run(*words: str, cwd: Path, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `moai-patterns` with these words."""
    return subprocess.run(
        [sys.executable, "-m", "moai_patterns", *words],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100", **environ},
    )


def lines(records: list[dict[str, object]]) -> str:
    """Records as JSON Lines."""
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture(params=["file:tree", "sqlite:base"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of each kind with three records."""
    name = str(request.param)
    saved = run(
        "save",
        "--store",
        name,
        cwd=tmp_path,
        stdin=lines(
            [
                sample("a", "2025-11-28T10:00:00Z", duration_ms=1),
                sample("b", "2025-11-29T10:00:00Z", tags=["x"], duration_ms=2),
                sample("c", "2025-11-30T10:00:00Z", kind="tool_use"),
            ]
        ),
    )
    assert (saved.returncode, saved.stdout) == (0, "3 records: 3 new, 0 revised, 0 unchanged\n"), saved.stderr
    return name


def test_the_store_is_named_in_three_ways(store: str, tmp_path: Path) -> None:
    """--store before the command, behind it, or the environment."""
    assert run("--store", store, "count", cwd=tmp_path).stdout == "3\n"
    assert run("count", "--store", store, cwd=tmp_path).stdout == "3\n"
    assert run("count", cwd=tmp_path, MOAI_PATTERNS_STORE=store).stdout == "3\n"


def test_query_prints_json_lines_or_a_table(store: str, tmp_path: Path) -> None:
    """--json gives one record a line, newest first; without it a table with the ids."""
    found = run("query", "--json", "--store", store, cwd=tmp_path)
    assert [json.loads(line)["pattern_id"] for line in found.stdout.splitlines()] == ["c", "b", "a"]

    table = run("query", "--store", store, cwd=tmp_path).stdout
    assert re.search(r"2025-11-29T10:00:00Z\s+task_completion\s+b\s+task_type=fix", table)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--kind", "tool_use"], 1),
        (["--since", "2025-11-29"], 2),
        (["--until", "2025-11-28T10:00:00Z"], 1),
        (["--tag", "x", "--tag", "y"], 1),
        (["--where", "data.duration_ms >= 2"], 1),
        (["--where", "data.agent=coder", "--where", "data.duration_ms!=2"], 1),
        (["--where", 'data.agent == "nobody"'], 0),
    ],
)
def test_count_takes_the_options_of_a_question(
    store: str, tmp_path: Path, options: list[str], expected: int
) -> None:
    """The bare number is printed."""
    assert run("count", *options, "--store", store, cwd=tmp_path).stdout == f"{expected}\n"


def test_pages_go_on_with_the_cursor(store: str, tmp_path: Path) -> None:
    """The cursor stands on standard error and continues the same question."""
    first = run("query", "--json", "--limit", "2", "--store", store, cwd=tmp_path)
    cursor = first.stderr.split()[-1]
    rest = run("query", "--json", "--limit", "2", "--cursor", cursor, "--store", store, cwd=tmp_path)

    assert [json.loads(line)["pattern_id"] for line in rest.stdout.splitlines()] == ["a"]
    whole = run("query", "--json", "--all", "--order", "oldest", "--store", store, cwd=tmp_path)
    assert len(whole.stdout.splitlines()) == 3


def test_load_prints_the_record_or_says_no(store: str, tmp_path: Path) -> None:
    """An unknown id is exit code 1."""
    loaded = run("load", "a", "--store", store, cwd=tmp_path)
    assert json.loads(loaded.stdout) == sample("a", "2025-11-28T10:00:00Z", duration_ms=1)
    assert json.loads(run("load", "a", "--json", "--store", store, cwd=tmp_path).stdout)["pattern_id"] == "a"

    missing = run("load", "nobody", "--store", store, cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "nobody" in missing.stderr


def test_capture_prints_the_new_id(store: str, tmp_path: Path) -> None:
    """The id can be loaded at once."""
    words = ["capture", "tool_use", '{"tool_name": "Read"}', "--context", '{"tags": ["t"]}']
    made = run(*words, "--store", store, cwd=tmp_path)
    loaded = json.loads(run("load", made.stdout.strip(), "--store", store, cwd=tmp_path).stdout)

    assert loaded["data"] == {"tool_name": "Read"}
    assert loaded["context"] == {"tags": ["t"]}


def test_stats_and_doctor_tell_what_is_there(store: str, tmp_path: Path) -> None:
    """Both have a form for people and one for programs."""
    assert json.loads(run("stats", "--json", "--store", store, cwd=tmp_path).stdout)["count"] == 3
    assert "task_completion" in run("stats", "--store", store, cwd=tmp_path).stdout

    told = run("doctor", "--json", "--store", store, cwd=tmp_path)
    assert told.returncode == 0
    assert json.loads(told.stdout)["newest record"].endswith(" tool_use c")
    assert "last capture" in run("doctor", "--store", store, cwd=tmp_path).stdout


def test_doctor_says_what_waits_and_what_cannot_be_opened(tmp_path: Path) -> None:
    """Exit code 1 when something is wrong; the spool is shown also when there is no store to open."""
    (tmp_path / "taken").write_text("no store")
    run("hook", "claude-code", "--store", "file:taken", cwd=tmp_path, stdin='{"hook_event_name": "Stop"}')
    broken = run("doctor", "--json", "--store", "file:taken", cwd=tmp_path)

    assert broken.returncode == 1
    assert "taken" in json.loads(broken.stdout)["problem"]
    assert json.loads(broken.stdout)["spool"]["waiting"] == 1
    assert "waiting: 1" in run("doctor", "--store", "file:taken", cwd=tmp_path).stdout


def test_the_last_capture_is_that_of_a_hook(store: str, tmp_path: Path) -> None:
    """Neither a save nor an import of what a hook captured elsewhere counts."""

    def told() -> dict[str, object]:
        found = json.loads(run("doctor", "--json", "--store", store, cwd=tmp_path).stdout)
        return {name: found[name] for name in ("last capture", "records")}

    elsewhere = ["--store", "file:elsewhere"]
    run("hook", "claude-code", *elsewhere, cwd=tmp_path, stdin='{"hook_event_name": "SessionStart"}')
    run("export", "captured.jsonl", *elsewhere, cwd=tmp_path)
    run("import", "jsonl", "captured.jsonl", "--store", store, cwd=tmp_path)
    (tmp_path / "log.json").write_text('[{"hook_event_name": "Setup"}]')
    run("import", "claude-code", "log.json", "--store", store, cwd=tmp_path)
    assert told() == {"last capture": None, "records": 5}

    run("hook", "claude-code", "--store", store, cwd=tmp_path, stdin='{"hook_event_name": "Stop"}')
    run("save", "--store", store, cwd=tmp_path, stdin=lines([sample("late", "2036-11-30T10:00:00Z")]))
    (stop,) = map(
        json.loads,
        run(
            "query", "--where", "data.task_type=turn", "--json", "--store", store, cwd=tmp_path
        ).stdout.splitlines(),
    )
    named = f"{stop['timestamp']} task_completion {stop['pattern_id']}"
    assert told() == {"last capture": named, "records": 7}


def test_delete_needs_to_be_told_what(store: str, tmp_path: Path) -> None:
    """By id or by options, with a dry run; without either it is wrong usage."""
    assert run("delete", "--store", store, cwd=tmp_path).returncode == 2
    assert (
        run("delete", "--kind", "task_completion", "--dry-run", "--store", store, cwd=tmp_path).stdout
        == "2 would be removed\n"
    )
    assert run("delete", "a", "nobody", "--store", store, cwd=tmp_path).stdout == "1 removed\n"
    assert run("count", "--store", store, cwd=tmp_path).stdout == "2\n"


def test_compact_and_retain_show_their_plan_first(store: str, tmp_path: Path) -> None:
    """--dry-run prints days and counts and changes nothing; then they do it."""
    dry = run("retain", "--days", "30", "--dry-run", "--store", store, cwd=tmp_path).stdout
    assert "would expire 2025-11-28: 1 task_completion" in dry
    assert "3 records to expire" in dry
    if store.startswith("file:"):
        assert "3 days to compact" in run("compact", "--dry-run", "--store", store, cwd=tmp_path).stdout
        assert run("compact", "--store", store, cwd=tmp_path).stdout == "3 records compacted\n"
    assert run("count", "--store", store, cwd=tmp_path).stdout == "3\n"
    archived = run("retain", "--days", "30", "--archive", "file:old", "--store", store, cwd=tmp_path)
    assert archived.stdout == "3 records archived\n"
    assert run("count", "--store", "file:old", cwd=tmp_path).stdout == "3\n"
    assert run("retain", "--store", store, cwd=tmp_path).stdout == "0 records removed\n"


def test_maintain_is_for_timers(store: str, tmp_path: Path) -> None:
    """It compacts, expires only when told, and prints nothing for a mail when it did nothing."""
    tree = store.startswith("file:")
    done = run("maintain", "--store", store, cwd=tmp_path)
    assert done.stdout == ("3 records compacted, 0 removed\n" if tree else "")
    assert "3 removed" in run("maintain", "--retain", "30", "--store", store, cwd=tmp_path).stdout
    assert run("maintain", "--retain", "30", "--store", store, cwd=tmp_path).stdout == ""
    told = run("maintain", "--json", "--store", store, cwd=tmp_path).stdout
    assert json.loads(told) == {"compacted": 0, "removed": 0}


def test_copy_and_export_and_import_bring_records_elsewhere(store: str, tmp_path: Path) -> None:
    """All three keep every record equal, and a second time adds nothing."""
    assert run("copy", "sqlite:copied", "--store", store, cwd=tmp_path).stdout == "3 records copied\n"
    assert run("copy", "sqlite:copied", "--store", store, cwd=tmp_path).stdout == "0 records copied\n"
    assert run("export", "all.jsonl", "--store", store, cwd=tmp_path).returncode == 0
    assert run("import", "jsonl", "all.jsonl", "--store", "file:again", cwd=tmp_path).stdout.startswith(
        "3 records: 3 new,"
    )

    here = run("export", "--store", store, cwd=tmp_path).stdout
    assert run("export", "--store", "sqlite:copied", cwd=tmp_path).stdout == here
    assert run("export", "--store", "file:again", cwd=tmp_path).stdout == here


def test_check_is_silent_about_nothing_and_loud_about_damage(store: str, tmp_path: Path) -> None:
    """Exit code 1 and the place of each finding."""
    assert run("check", "--read-data", "--store", store, cwd=tmp_path).stdout == "no findings\n"
    if store.startswith("file:"):
        run("compact", "--store", store, cwd=tmp_path)
        segment = next((tmp_path / "tree").glob("2025/11/28/*.jsonl.gz"))
        segment.write_bytes(segment.read_bytes()[:-9])
        found = run("check", "--store", store, cwd=tmp_path)
        assert found.returncode == 1
        assert segment.name in found.stdout
        told = run("check", "--json", "--store", store, cwd=tmp_path)
        assert all("place" in json.loads(line) for line in told.stdout.splitlines())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "a": 2}\n', "twice"),
        ('{"pattern_id": "x", \n', "line 1"),
        ("[1]\n", "object"),
        ('{"a": NaN}\n', "NaN"),
        ("[" * 100_000, "deep"),
        (lines([sample("z"), sample("y", success=1)]), "standard input, line 2: refused: $.data.success"),
    ],
)
def test_bad_input_is_refused_with_its_place(tmp_path: Path, text: str, reason: str) -> None:
    """Exit code 3, the reason on standard error, nothing stored."""
    refused = run("save", "--store", "file:tree", cwd=tmp_path, stdin=text)

    assert refused.returncode == 3
    assert reason in refused.stderr
    assert "Traceback" not in refused.stderr
    assert run("count", "--store", "file:tree", cwd=tmp_path).returncode == 4


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["count", "--store", "ftp:there"], 4),
        (["count", "--store", ""], 4),
        (["--store", "", "count"], 4),
        (["count", "--where", "nonsense"], 3),
        (["count", "--where", "data.x =="], 3),
        (["query", "--limit", "2", "--all"], 2),
        (["hook", "install", "--settings", "new.json", "--event", "Bogus"], 2),
        (["hook", "install", "--settings", "new.json", "--scope", "project"], 2),
        (["hook", "uninstall", "--settings", "new.json", "--scope", "user"], 2),
        (["count", "--where", "data.x == " + "[" * 100_000], 3),
        (["count", "--where", "data.x == " + "[" * 900 + "]" * 900], 3),
        (["demo", "--out", "broken.json"], 4),
        (["demo", "--out", "broken.json/deeper"], 4),
        (["demo", "--out", ""], 2),
        (["count", "--since", "yesterday"], 3),
        (["query", "--limit", "-1"], 2),
        (["nonsense"], 2),
        (["import", "claude-code", "nowhere"], 2),
        (["schema", "show", "nonsense"], 3),
        (["hook", "install", "--settings", "broken.json"], 3),
        (["hook", "install", "--settings", ""], 2),
        (["hook", "install", "--settings", "."], 2),
        (["hook", "install", "--settings", "pipe"], 2),
        (["hook", "uninstall", "--settings", "pipe"], 2),
        (["hook", "install", "--settings", "new.json", "--store", "postgres:x"], 2),
        (["hook", "install", "--settings", "new.json", "--store", ""], 2),
        (["hook", "install", "--settings", "new.json", "--store", "memory:"], 2),
        (["hook", "install", "--settings", "new.json", "--store", "file:broken.json"], 2),
        (["--store", "postgres:x", "hook", "install", "--settings", "new.json"], 2),
    ],
)
def test_exit_codes_tell_what_was_wrong(tmp_path: Path, words: list[str], code: int) -> None:
    """2 wrong usage, 3 refused, 4 the store; never a traceback."""
    (tmp_path / "broken.json").write_text("{")
    os.mkfifo(tmp_path / "pipe")
    failed = run(*words, cwd=tmp_path, HOME=str(tmp_path / "home"))

    assert failed.returncode == code, failed.stderr
    assert failed.stderr
    assert "Traceback" not in failed.stderr
    assert sorted(os.listdir(tmp_path)) == ["broken.json", "pipe"]


def test_a_value_that_is_missing_is_pointed_at(tmp_path: Path) -> None:
    """The place stands in the message, and how the empty text is written."""
    refused = run("count", "--where", "data.x ==", cwd=tmp_path).stderr
    assert 'character 10 of the condition: expected a value; found the end; "" is the empty text' in refused
    assert refused.splitlines()[-2:] == ["    data.x ==", "             ^"]
    assert run("count", "--where", 'data.x == ""', cwd=tmp_path).returncode == 4  # no store


def test_the_help_says_what_the_exit_codes_mean(tmp_path: Path) -> None:
    """All six, in a table, which so stands on the page too."""
    shown = run("--help", cwd=tmp_path).stdout
    assert re.findall(r"^ *(\d)  \S", shown.partition("Exit codes:")[2], re.MULTILINE) == list("012345")


def test_what_the_output_cannot_show_is_written_as_an_escape(tmp_path: Path) -> None:
    """An encoding without the letters of a record ends no command."""
    run("save", "--store", "file:tree", cwd=tmp_path, stdin=lines([sample(agent="Jörg…")]))
    shown = run("query", "--store", "file:tree", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "J\\xf6rg\\u2026" in shown.stdout


@pytest.mark.parametrize("words", ["query --json --all", "query --all", "export", "export /dev/stdout"])
def test_a_closed_pipe_is_no_error(tmp_path: Path, words: str) -> None:
    """Whoever reads one line only, of more than a pipe holds, gets it; the exit code is 0."""
    many = [sample(f"r{number}", "2025-11-28", agent="x" * 200) for number in range(3000)]
    run("save", "--store", "file:tree", cwd=tmp_path, stdin=lines(many))
    command = [sys.executable, "-m", "moai_patterns", *words.split(), "--store", "file:tree"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as piped:
        assert piped.stdout
        assert piped.stderr
        piped.stdout.readline()
        piped.stdout.close()
        assert piped.stderr.read() == ""
    assert piped.returncode == 0


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.15, 0.2, 0.3])
def test_an_interrupt_is_told_without_a_traceback(tmp_path: Path, seconds: float) -> None:
    """Also while modules are still being loaded."""
    waiting = "import time; from moai_patterns.cli import main; print(flush=True); raise SystemExit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", waiting, "save", "--store", "file:tree"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "interrupted\n"
    assert process.returncode == 5


def test_terminal_escapes_of_records_do_not_reach_the_terminal(tmp_path: Path) -> None:
    """Control characters are shown as escapes in tables."""
    record = sample("evil", agent="\x1b[31mred\x07")
    run("save", "--store", "file:tree", cwd=tmp_path, stdin=lines([record]))
    shown = run("query", "--store", "file:tree", cwd=tmp_path).stdout

    assert "\x1b" not in shown
    assert "\\x1b[31mred" in shown


def test_schemas_can_be_listed_shown_and_used(tmp_path: Path) -> None:
    """The six kinds, a JSON Schema, and a verdict on records."""
    assert "tool_use 1.0" in run("schema", "list", cwd=tmp_path).stdout
    assert "$schema" in json.loads(run("schema", "show", "task_completion", cwd=tmp_path).stdout)
    judged = run("schema", "validate", cwd=tmp_path, stdin=lines([sample(), sample(duration_ms=-1)]))
    assert judged.returncode == 1
    assert "standard input, line 2: $.data.duration_ms: minimum" in judged.stdout


def test_shells_get_their_completion(tmp_path: Path) -> None:
    """The script is printed, and asking it completes command names."""
    assert "_MOAI_PATTERNS_COMPLETE" in run("completion", "bash", cwd=tmp_path).stdout
    asked = run(
        cwd=tmp_path,
        _MOAI_PATTERNS_COMPLETE="bash_complete",
        COMP_WORDS="moai-patterns co",
        COMP_CWORD="1",
    )
    assert {"plain,compact", "plain,copy", "plain,count"} <= set(asked.stdout.split())


def test_the_demo_shows_everything_and_ends_well(tmp_path: Path) -> None:
    """Two sessions, both backends, equal answers, no findings, and the token is gone from every file."""
    shown = run("demo", "--out", str(tmp_path / "out"), cwd=tmp_path)
    token = next(
        word
        for word in (tmp_path / "out/recordings/hooks.json").read_text().replace("\\n", '"').split('"')
        if word.startswith("HOSTING_TOKEN=")
    ).removeprefix("HOSTING_TOKEN=")

    assert shown.returncode == 0, shown.stderr
    assert "33 records from the tree, equal to the table's" in shown.stdout
    assert shown.stdout.count("check: 0 findings") == 2
    for name in ("tree", "table.db"):
        place = tmp_path / "out" / name
        files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
        assert not any(token.encode() in path.read_bytes() for path in files)
    again = run("demo", str(tmp_path / "out/recordings"), "--out", str(tmp_path / "out"), cwd=tmp_path)
    assert again.returncode == 0
    assert " 0 records added" in again.stdout


def test_install_and_uninstall_leave_the_settings_as_they_were(tmp_path: Path) -> None:
    """--dry-run prints the difference; uninstall restores the bytes."""
    settings = tmp_path / "settings.json"
    settings.write_text('{\n    "model": "opus"\n}\n')
    before = settings.read_bytes()
    words = ["--settings", str(settings)]

    dry = run("hook", "install", "--dry-run", *words, cwd=tmp_path)
    assert "+" in dry.stdout
    assert settings.read_bytes() == before
    assert run("hook", "install", "--store", "file:here", *words, cwd=tmp_path).returncode == 0
    assert "hook claude-code" in settings.read_text()
    assert "nothing to change" in run("hook", "install", "--store", "file:here", *words, cwd=tmp_path).stdout
    assert run("hook", "uninstall", *words, cwd=tmp_path).returncode == 0
    assert settings.read_bytes() == before
    assert "nothing would change" in run("hook", "uninstall", "--dry-run", *words, cwd=tmp_path).stdout


def help_page() -> str:
    """Every command's help, as docs/command-line.md holds it."""
    parts = ["# Command line", "", "What `--help` says, for the program and each command.", ""]
    for words in [[], *sorted(_commands())]:
        shown = run(*words, "--help", cwd=ROOT).stdout
        parts += [f"## `{' '.join(['moai-patterns', *words])}`", "", "```text", shown.rstrip(), "```", ""]
    return "\n".join(parts)


def _commands() -> list[list[str]]:
    found = []
    context = root.make_context("moai-patterns", ["--store", "memory:", "demo"], resilient_parsing=True)
    for name in COMMANDS:
        command = root.get_command(context, name)
        found.append([name])
        if isinstance(command, Group):
            found += [[name, inner] for inner in command.list_commands(context)]
    return found


def test_the_page_on_the_command_line_is_what_help_prints() -> None:
    """docs/command-line.md is generated by running this file as a program."""
    assert PAGE.read_text(encoding="utf-8") == help_page()


if __name__ == "__main__":
    PAGE.write_text(help_page(), encoding="utf-8")

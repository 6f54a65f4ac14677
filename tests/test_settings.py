"""Registering the hook in a settings file: only our entries come and go, and nothing else moves."""

from __future__ import annotations

import copy
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moai_patterns.collect.settings import (
    EVENTS,
    NEVER,
    SettingsError,
    Shell,
    capture_command,
    events_for,
    install,
    settings_path,
    uninstall,
)
from moai_patterns.errors import StoreError

COMMAND = capture_command("/opt/py/bin/python")
OTHER = {
    "hooks": [{"type": "command", "command": "echo moai-patterns", "timeout": 3}],
    "matcher": "Bash|Edit",
}

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(0, 9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
groups = st.lists(st.just(OTHER), max_size=2)
documents = st.builds(
    lambda rest, hooks, place: {
        **dict(list(rest.items())[:place]),
        **hooks,
        **dict(list(rest.items())[place:]),
    },
    st.dictionaries(texts.filter(lambda key: key != "hooks"), values, max_size=4),
    st.just({})
    | st.dictionaries(st.sampled_from([*EVENTS[:4], "PreToolUse"]), groups, max_size=3).map(
        lambda hooks: {"hooks": hooks}
    ),
    st.integers(0, 4),
)
layouts = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 0, 1, 2, 4, "\t"]),
        "ensure_ascii": st.booleans(),
        "separators": st.sampled_from([(",", ": "), (",", ":"), (", ", " : "), (" ,", ": ")]),
    }
)
frames = st.tuples(
    st.sampled_from(["", "\ufeff", "\n"]), st.sampled_from(["", "\n", "\r\n  "]), st.booleans()
)


def written(document: Any, layout: dict[str, Any], frame: tuple[str, str, bool]) -> str:
    text = frame[0] + json.dumps(document, **layout) + frame[1]
    return text.replace("\n", "\r\n") if frame[2] else text


def ours(event: str) -> dict[str, Any]:
    timeout = 15 if event == "SessionEnd" else 10
    return {"hooks": [{"type": "command", "command": COMMAND, "timeout": timeout}]}


@settings(max_examples=60)
@given(documents, layouts, frames)
def test_an_install_adds_our_entries_and_an_uninstall_restores_every_byte(
    tmp_path_factory: pytest.TempPathFactory,
    document: Any,
    layout: dict[str, Any],
    frame: tuple[str, str, bool],
) -> None:
    """Whatever is in the file and however it is laid out; a second install changes nothing."""
    path = tmp_path_factory.mktemp("settings") / "settings.json"
    before = written(document, layout, frame).encode()
    path.write_bytes(before)
    events = [*EVENTS[:3], "SessionEnd"]
    expected = copy.deepcopy(document)
    for event in events:
        expected.setdefault("hooks", {}).setdefault(event, []).append(ours(event))

    change = install(str(path), events=events, command=COMMAND)
    after = path.read_bytes()
    assert json.loads(after.decode().removeprefix("\ufeff")) == expected
    assert after.partition(b"{")[0] == before.partition(b"{")[0]
    assert (change.after or "").encode() == after
    if frame[2] and b"\r\n" in before:
        assert b"\n" not in after.replace(b"\r\n", b"")

    assert install(str(path), events=events, command=COMMAND).diff == ""
    uninstall(str(path))
    assert path.read_bytes() == before


def test_a_missing_file_and_its_directory_are_made(tmp_path: Path) -> None:
    """A first install needs nothing to be there; what it writes ends with a line end."""
    path = tmp_path / "new/.claude/settings.json"
    change = install(str(path), command=COMMAND)

    assert change.before is None
    assert list(json.loads(path.read_text())["hooks"]) == list(EVENTS)
    assert path.read_text().endswith("\n}\n")
    assert uninstall(str(tmp_path / "none.json")).diff == ""
    assert not (tmp_path / "none.json").exists()


@pytest.mark.parametrize("before", [None, "", "\n", " \t\r\n", "\ufeff", "\ufeff\n\n", "{}", "{}\n", "{ }"])
def test_a_file_without_settings_becomes_again_what_it_was(tmp_path: Path, before: str | None) -> None:
    """Missing, empty, blank and with a BOM alone; also after a second install for other events."""
    path = tmp_path / "settings.json"
    if before is not None:
        path.write_bytes(before.encode())
    install(str(path), events=["Stop", "Setup"], command=COMMAND)
    install(str(path), events=["SessionStart"], command=COMMAND)
    assert json.loads(path.read_text(encoding="utf-8-sig")) == {
        "hooks": {"SessionStart": [ours("SessionStart")]}
    }
    assert path.read_text(encoding="utf-8").startswith("\ufeff") == (before or "").startswith("\ufeff")

    dry = uninstall(str(path), dry_run=True)
    assert (dry.after, path.exists()) == (before, True)
    assert uninstall(str(path)).after == before
    assert (path.read_bytes().decode() if path.exists() else None) == before


def test_a_file_that_got_settings_in_between_stays(tmp_path: Path) -> None:
    """What somebody else wrote into a file that an install made is no reason to lose it."""
    path = tmp_path / "settings.json"
    install(str(path), events=["Stop"], command=COMMAND)
    path.write_text(path.read_text().replace('"hooks"', '"model": "x", "hooks"'))
    uninstall(str(path))
    assert json.loads(path.read_text()) == {"model": "x"}

    path.write_text(json.dumps({"hooks": {"Stop": [ours("Stop")]}}, indent=2))
    assert uninstall(str(path)).after == "{}"


def test_a_dry_run_shows_the_difference_and_writes_nothing(tmp_path: Path) -> None:
    """The unified difference names the file and holds the new lines."""
    path = tmp_path / "deep/settings.json"
    change = install(str(path), events=["Stop"], command=COMMAND, dry_run=True)
    assert not path.parent.exists()
    assert change.diff.startswith(f"--- {path}\n+++ {path}\n@@")
    assert '+    "Stop": [\n' in change.diff

    install(str(path), events=["Stop"], command=COMMAND)
    before = path.read_bytes()
    assert '-    "Stop": [\n' in uninstall(str(path), dry_run=True).diff
    assert path.read_bytes() == before


def test_an_entry_of_ours_gets_the_new_command_and_keeps_what_its_user_changed(tmp_path: Path) -> None:
    """A moved interpreter is registered anew in place; a timeout or matcher that somebody set stays."""
    path = tmp_path / "settings.json"
    mine = {"type": "command", "command": "/old/bin/moai-patterns hook claude-code", "timeout": 99}
    path.write_text(json.dumps({"hooks": {"Stop": [{"matcher": "x", "hooks": [mine]}]}}, indent=4))
    before = path.read_text()
    install(str(path), events=["Stop"], command=COMMAND)

    assert path.read_text() == before.replace(json.dumps(mine["command"]), json.dumps(COMMAND))


def test_an_entry_in_exec_form_is_recognised_and_replaced(tmp_path: Path) -> None:
    """The form with `args` runs without a shell, so nothing would catch its failure."""
    path = tmp_path / "settings.json"
    mine = {"type": "command", "command": "moai-patterns", "args": ["hook", "claude-code"], "async": True}
    path.write_text(json.dumps({"hooks": {"Stop": [{"hooks": [mine]}]}}))
    install(str(path), events=["Stop"], command=COMMAND)

    assert json.loads(path.read_text()) == {"hooks": {"Stop": [ours("Stop")]}}


@pytest.mark.parametrize(
    "command",
    [
        "tee log | moai-patterns hook claude-code; my-own-thing",
        "echo see moai-patterns docs: hook claude-code",
        "moai-patterns hook claude-code && say done",
        "moai-patterns hook claude-code\nsay done",
        "moai-patterns hook claude-code > $HOME/seen",
        f"{COMMAND}; say done",
        f"say done; {COMMAND}",
        f"my-{capture_command(None)}",
        "sh -c moai-patterns hook claude-code",
        capture_command("/opt/python", shell="powershell") + "; say done",
        "moai-patterns hook claude-code 'not closed",
    ],
)
def test_a_command_of_somebody_that_only_speaks_of_ours_is_not_ours(tmp_path: Path, command: str) -> None:
    """Neither an install nor an uninstall touches what does more than capture."""
    path = tmp_path / "settings.json"
    theirs = {"hooks": [{"type": "command", "command": command}]}
    path.write_text(json.dumps({"hooks": {"Stop": [theirs]}}))
    before = path.read_bytes()

    install(str(path), events=["Stop"], command=COMMAND)
    assert json.loads(path.read_text()) == {"hooks": {"Stop": [theirs, ours("Stop")]}}
    uninstall(str(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize("python", [None, "/opt/py/bin/python", "/it's/a python", "C:\\it's\\python.exe"])
@pytest.mark.parametrize("store", [None, "file:/tmp/a; b 'c'", "sqlite:here"])
@pytest.mark.parametrize("shell", ["sh", "powershell"])
def test_every_command_that_an_install_can_write_is_ours(
    tmp_path: Path, python: str | None, store: str | None, shell: Shell
) -> None:
    """Whatever interpreter, store and shell it names: it goes with an uninstall."""
    path = tmp_path / "settings.json"
    path.write_text("{}")
    command = capture_command(python, store=store, shell=shell)
    install(str(path), events=["Stop"], command=command, shell=shell)
    assert command in json.loads(path.read_text())["hooks"]["Stop"][0]["hooks"][0].values()
    uninstall(str(path))
    assert path.read_text() == "{}"


def test_entries_of_ours_that_are_too_many_go(tmp_path: Path) -> None:
    """Twice for one event, or for an event not wanted any more: an install leaves what was asked for."""
    path = tmp_path / "settings.json"
    mine, theirs = ours("Stop")["hooks"][0], OTHER["hooks"][0]
    stops = [{"hooks": [mine, theirs, mine]}, {"hooks": [mine, mine]}, OTHER, {"hooks": [theirs, mine]}]
    path.write_text(json.dumps({"hooks": {"PreCompact": [ours("PreCompact")], "Stop": stops}}, indent=2))
    install(str(path), events=["Stop"], command=COMMAND)
    kept = [{"hooks": [mine, theirs]}, OTHER, {"hooks": [theirs]}]
    assert json.loads(path.read_text()) == {"hooks": {"Stop": kept}}

    uninstall(str(path))
    assert json.loads(path.read_text()) == {
        "hooks": {"Stop": [{"hooks": [theirs]}, OTHER, {"hooks": [theirs]}]}
    }


def test_a_group_that_holds_only_ours_goes_as_a_whole(tmp_path: Path) -> None:
    """A group without hooks would make the agent drop the file, so its matcher goes too."""
    path = tmp_path / "settings.json"
    path.write_text(
        json.dumps({"model": "x", "hooks": {"Stop": [{"matcher": "*", **ours("Stop")}]}}, indent=2)
    )
    uninstall(str(path))

    assert json.loads(path.read_text()) == {"model": "x"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"hooks": {}', "no JSON"),
        ('// a comment\n{"hooks": {}}', "no JSON"),
        ('{"hooks": {"Stop": []},}', "no JSON"),
        ('{"a": 1, "a": 2}', "'a' occurs twice"),
        ("[]", "the whole should be an object"),
        ('{"hooks": []}', "hooks should be an object"),
        ('{"hooks": {"Stop": {}}}', "hooks.Stop should be an array"),
        ('{"hooks": null}', "hooks should be an object"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
    ],
)
def test_what_cannot_be_edited_is_refused_and_left_as_it_is(
    tmp_path: Path, text: str | bytes, reason: str
) -> None:
    """Broken JSON and another shape are named with the file; not a byte changes."""
    path = tmp_path / "settings.json"
    raw = text.encode() if isinstance(text, str) else text
    path.write_bytes(raw)

    with pytest.raises(SettingsError, match=r"settings\.json.*" + reason):
        install(str(path), events=["Stop"], command=COMMAND)
    assert path.read_bytes() == raw
    assert os.listdir(tmp_path) == ["settings.json"]


def test_an_uninstall_does_not_mind_what_it_does_not_know(tmp_path: Path) -> None:
    """Notes and future shapes among the hooks stay where they are."""
    path = tmp_path / "settings.json"
    odd = {"_note": "text", "Stop": [3, {"hooks": 4}, {"hooks": [5, {"command": ["moai-patterns"]}]}]}
    path.write_text(json.dumps({"hooks": {**odd, "SessionEnd": [ours("SessionEnd")]}}))
    uninstall(str(path))

    assert json.loads(path.read_text()) == {"hooks": odd}


def test_the_mode_stays_and_a_link_is_followed(tmp_path: Path) -> None:
    """A file in a directory of dotfiles stays there, with its mode; the link to it stays a link."""
    real, link = tmp_path / "dotfiles/claude.json", tmp_path / "settings.json"
    real.parent.mkdir()
    real.write_text("{}")
    real.chmod(0o640)
    link.symlink_to(real)
    install(str(link), events=["Stop"], command=COMMAND)

    assert link.is_symlink()
    assert "Stop" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert os.listdir(real.parent) == ["claude.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX modes")
def test_settings_are_open_to_nobody_else_while_they_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hold tokens, so the file that takes their place is private from its first moment."""
    path = tmp_path / "settings.json"
    path.write_text('{"env": {"TOKEN": "secret"}}')
    path.chmod(0o600)
    modes = []
    monkeypatch.setattr(os, "fsync", lambda file: modes.append(stat.S_IMODE(os.fstat(file).st_mode)))
    before = os.umask(0)
    try:
        install(str(path), events=["Stop"], command=COMMAND)
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    """An installation run by root does not take a user's settings away from them."""
    path = tmp_path / "settings.json"
    path.write_text("{}")
    os.chown(path, 12345, 12346)
    install(str(path), events=["Stop"], command=COMMAND)

    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A directory, a pipe (which would hang) and a device (which would be replaced) stay what they are."""
    pipe, directory = tmp_path / "pipe", tmp_path / "directory"
    os.mkfifo(pipe)
    directory.mkdir()
    for path in (pipe, directory):
        for edit in (lambda place: install(place, command=COMMAND), uninstall):
            with pytest.raises(SettingsError, match="is no file"):
                edit(str(path))
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["directory", "pipe"]


def test_a_refusal_of_the_system_is_a_store_error(tmp_path: Path) -> None:
    """It is told with the path."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be read"):
        install(str(tmp_path / "file/settings.json"), command=COMMAND)


def test_events_that_a_capture_would_harm_are_refused(tmp_path: Path) -> None:
    """A hook for WorktreeCreate must print a path, MessageDisplay fires for each piece of a message."""
    assert not NEVER & set(EVENTS)
    for event in NEVER:
        with pytest.raises(SettingsError, match=event):
            install(str(tmp_path / "settings.json"), events=["Stop", event], command=COMMAND)
    assert os.listdir(tmp_path) == []


def test_an_old_agent_gets_no_event_that_would_cost_it_its_settings() -> None:
    """Before 2.1.101 one unknown event made the agent ignore the whole file."""
    assert events_for((2, 1, 101)) == events_for(None) == EVENTS
    old = "Notification PostToolUse PreCompact SessionEnd SessionStart Stop SubagentStop UserPromptSubmit"
    assert " ".join(sorted(events_for((2, 1, 100)))) == old


def test_the_scopes_have_their_files() -> None:
    """User, project and local settings stand where the agent looks for them."""
    environ = {"CLAUDE_PROJECT_DIR": "/p", "CLAUDE_CONFIG_DIR": "/c"}

    assert settings_path("user", environ) == "/c/settings.json"
    assert settings_path("project", environ) == "/p/.claude/settings.json"
    assert settings_path("local", environ) == "/p/.claude/settings.local.json"

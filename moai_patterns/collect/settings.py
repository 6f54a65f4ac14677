"""Register the hook in a settings file of Claude Code, and take it out again.

Source of the format: "Hooks reference" of the Claude Code documentation. Nothing else in the file is
touched (see `jsonedit`), and the file is replaced in one step.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from moai_patterns.collect.jsonedit import Node, parse, put_in, put_instead, style, take_out
from moai_patterns.errors import PatternError, StoreError, ValidationError

Shell = Literal["sh", "powershell"]
Path = list[str | int]

# Left out: MessageDisplay fires for every streamed piece of a message. WorktreeCreate must print a
# path. PreToolUse and PostToolBatch say again what PostToolUse, PostToolUseFailure and
# PermissionDenied say, the first of them before every call, while the agent waits. FileChanged needs
# the names of the files to watch.
EVENTS = (
    "SessionStart",
    "Setup",
    "InstructionsLoaded",
    "UserPromptSubmit",
    "UserPromptExpansion",
    "PermissionRequest",
    "PermissionDenied",
    "PostToolUse",
    "PostToolUseFailure",
    "Notification",
    "SubagentStart",
    "SubagentStop",
    "TaskCreated",
    "TaskCompleted",
    "Stop",
    "StopFailure",
    "TeammateIdle",
    "ConfigChange",
    "CwdChanged",
    "DirectoryAdded",
    "WorktreeRemove",
    "PreCompact",
    "PostCompact",
    "Elicitation",
    "ElicitationResult",
    "SessionEnd",
)
NEVER = frozenset({"MessageDisplay", "WorktreeCreate"})
KNOWN = frozenset(EVENTS) | NEVER | {"PreToolUse", "PostToolBatch", "FileChanged"}
# Before this version Claude Code dropped a whole settings file for one event that it did not know.
_TOLERANT = (2, 1, 101)
_OLD = frozenset(
    {
        "SessionStart",
        "UserPromptSubmit",
        "PostToolUse",
        "Notification",
        "SubagentStop",
        "Stop",
        "PreCompact",
        "SessionEnd",
    }
)
# Seconds. A capture takes some hundredths of one; this is for a machine that is out of breath.
_TIMEOUT = 10
# All hooks of SessionEnd share 1.5 s, unless one of them asks for more in a settings file.
_TIMEOUTS = {"SessionEnd": 15}
# -c and not -m: a module run by name costs 4 ms more, and finds a file of that name in the agent's
# directory first. -I keeps out what PYTHONPATH and the directory would put before it.
_START = ["-I", "-c", "from moai_patterns.cli import main; main()"]
_CAPTURE = ["hook", "claude-code"]
_AND_THEN = " >/dev/null 2>&1 || cat >/dev/null 2>&1 || exit 0"
_PROGRAM = re.compile(r"(?:.*[/\\])?moai-patterns(?:\.exe)?", re.DOTALL)
_QUOTED = re.compile(r"'((?:[^']|'')*)'")
_POWERSHELL = re.compile(r"try \{ & ('(?:[^']|'')*'(?: '(?:[^']|'')*')*) \*> \$null \} catch \{ \}; exit 0")
_BOM = "\ufeff"
_BLANKS = " \t\r\n"
# How a file begins that `install` made, or filled because it was blank; see `uninstall`.
_FROM_NOTHING, _FROM_BLANK = "{ ", "{  "


class SettingsError(PatternError, ValueError):
    """A settings file that cannot be edited; it is as it was."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit does to a settings file: its text `before` and `after`; None where there is no file."""

    path: str
    before: str | None
    after: str | None

    @property
    def diff(self) -> str:
        """The unified difference; empty when nothing changes."""
        old, new = ((text or "").splitlines(keepends=True) for text in (self.before, self.after))
        lines = difflib.unified_diff(old, new, self.path, self.path)
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def install(
    path: str,
    *,
    events: Sequence[str] = EVENTS,
    command: str,
    shell: Shell = "sh",
    dry_run: bool = False,
) -> Change:
    """Register `command` for these events, and no others, in the settings file at `path`.

    An entry of ours that is there is kept, and gets the command; a file or directory that is missing
    is made. A second call changes nothing.

    Parameters:
        path: the file; a link is followed.
        events: names of events. Default `EVENTS`.
        command: what `capture_command` returned.
        shell: the shell that the command is written for.
        dry_run: only say what would change.

    Raises `SettingsError` for a file that is no JSON or has another shape, and for events that must
    not be captured; `StoreError` when the file cannot be read or replaced.
    """
    refused = sorted(NEVER.intersection(events))
    if refused:
        raise SettingsError(f"{', '.join(refused)}: a hook for this event does harm when it only captures")
    before = _read(path)
    bom, text = _without_bom(before or "")
    blank = not text.strip(_BLANKS)
    edited = "{}\n" if blank else text
    for event in dict.fromkeys(events):
        edited = _registered(edited, path, event, _hook(event, command, shell))
    for entry in reversed(_entries(edited, path)):
        if entry[1] not in events:
            edited = take_out(edited, entry)
    if blank:
        mark = _FROM_NOTHING if before is None else _FROM_BLANK
        edited = edited.replace("{", mark, 1) + text
    return _apply(Change(path, before, bom + edited), dry_run=dry_run)


def uninstall(path: str, *, dry_run: bool = False) -> Change:
    """Take every entry of ours out of a settings file, and what held nothing else.

    A file that has been changed by `install` alone becomes again what it was, byte for byte, and one
    that was not there is removed; a directory made for it stays. A blank behind its first brace tells
    a file that `install` filled, so if another program wrote it anew in between, `{}` is left of it.
    Raises what `install` raises; a missing file is fine.
    """
    before = _read(path)
    bom, text = _without_bom(before or "")
    edited = text
    if text.strip(_BLANKS):
        for entry in reversed(_entries(text, path)):
            edited = take_out(edited, entry)
    if before is None or (edited == "{}\n" and text.startswith(_FROM_NOTHING + "\n")):
        return _apply(Change(path, before, None), dry_run=dry_run)
    if edited.startswith("{}\n") and text.startswith(_FROM_BLANK + "\n"):
        edited = edited.removeprefix("{}\n")
    return _apply(Change(path, before, bom + edited), dry_run=dry_run)


def capture_command(python: str | None, *, store: str | None = None, shell: Shell = "sh") -> str:
    """Return the command to register: it ends with 0 and prints nothing, even when nothing of it is there.

    Parameters:
        python: the interpreter that has the package (see `interpreter`); None for `moai-patterns`
            wherever the PATH has it, which suits a settings file that others share.
        store: the name of a store; by default the hook goes by its environment.
        shell: what Claude Code runs it with: `sh`, on Windows too if Git Bash is there, or
            `powershell`.

    In `sh`, `cat` reads what a command that could not start has left unread, because an agent that
    writes into a closed pipe reports an error.

    >>> capture_command("/opt/py/bin/python")
    "/opt/py/bin/python -I -c 'from moai_patterns.cli import main; main()' hook claude-code \
>/dev/null 2>&1 || cat >/dev/null 2>&1 || exit 0"
    """
    words = ["moai-patterns"] if python is None else [python, *_START]
    words += _CAPTURE
    if store is not None:
        words += ["--store", store]
    if shell == "powershell":
        quoted = " ".join("'" + word.replace("'", "''") + "'" for word in words)
        return f"try {{ & {quoted} *> $null }} catch {{ }}; exit 0"
    quoted = shlex.join(
        word.replace("\\", "/") if word == python and os.name == "nt" else word for word in words
    )
    return quoted + _AND_THEN


def interpreter() -> str | None:
    """Return this interpreter, if it finds the package in isolated mode; else None.

    It does not when the package comes from PYTHONPATH or the user's own site directory; then only
    `moai-patterns` on the PATH can be registered.
    """
    if not sys.executable:
        return None
    probe = [sys.executable, "-I", "-c", "import moai_patterns.cli"]
    found = subprocess.run(probe, capture_output=True, check=False)  # noqa: S603  this very interpreter
    return sys.executable if found.returncode == 0 else None


def default_shell(environ: Mapping[str, str]) -> Shell:
    """Return what Claude Code runs commands with here: `sh`, but PowerShell on Windows without Git Bash."""
    if os.name != "nt" or environ.get("CLAUDE_CODE_GIT_BASH_PATH") or shutil.which("bash"):
        return "sh"
    return "powershell"


def claude_code_version(*, timeout: float = 10.0) -> tuple[int, ...] | None:
    """Return the version that `claude --version` names, or None without an answer in `timeout` s."""
    program = shutil.which("claude")
    if program is None:
        return None
    try:
        told = subprocess.run(  # noqa: S603  the agent itself, as the PATH names it
            [program, "--version"], capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", told.stdout)
    return tuple(map(int, found.groups())) if found else None


def events_for(version: tuple[int, ...] | None) -> tuple[str, ...]:
    """Return the events to register for a version of Claude Code; None stands for a current one.

    Versions before 2.1.101 drop a whole settings file that names an event they do not know, so they
    get only those that have been there since 2.0.

    >>> len(events_for(None)), len(events_for((2, 0, 76)))
    (26, 8)
    """
    if version is None or version >= _TOLERANT:
        return EVENTS
    return tuple(event for event in EVENTS if event in _OLD)


def settings_path(scope: Literal["user", "project", "local"], environ: Mapping[str, str]) -> str:
    """Return the settings file of a scope: of the user, of the project (shared), or of the user in it.

    >>> settings_path("user", {"CLAUDE_CONFIG_DIR": "/home/who/.claude"})
    '/home/who/.claude/settings.json'
    """
    if scope == "user":
        home = environ.get("CLAUDE_CONFIG_DIR") or os.path.join(os.path.expanduser("~"), ".claude")
        return os.path.join(home, "settings.json")
    name = "settings.json" if scope == "project" else "settings.local.json"
    return os.path.join(environ.get("CLAUDE_PROJECT_DIR") or ".", ".claude", name)


def _hook(event: str, command: str, shell: Shell) -> dict[str, Any]:
    hook = {"type": "command", "command": command, "timeout": _TIMEOUTS.get(event, _TIMEOUT)}
    return hook if shell == "sh" else {**hook, "shell": shell}


def _registered(text: str, path: str, event: str, hook: dict[str, Any]) -> str:
    """Return the text with exactly one entry of ours for an event."""
    root, layout = _tree(text, path), style(text)
    group = {"hooks": [hook]}
    hooks = root.children.get("hooks")
    if hooks is None:
        return put_in(text, [], {event: [group]}, layout, key="hooks")
    groups = _expected(hooks, dict, path, "hooks").children.get(event)
    if groups is None:
        return put_in(text, ["hooks"], [group], layout, key=event)
    _expected(groups, list, path, f"hooks.{event}")
    ours = [place for place in _places(root) if place[1] == event]
    if not ours:
        return put_in(text, ["hooks", event], group, layout)
    first = ours[0]
    # A second entry in the same group goes by itself, for the group has to stay.
    more = [place if place[:3] == first[:3] else _whole(root, place) for place in ours[1:]]
    for place in reversed(_distinct(more)):
        text = take_out(text, place)
    old = root.at(first).value
    if "args" in old or old.get("shell") != hook.get("shell"):
        return put_instead(text, first, hook, layout)
    if old["command"] != hook["command"]:
        return put_instead(text, [*first, "command"], hook["command"], layout)
    return text


def _entries(text: str, path: str) -> list[Path]:
    """Return the paths of what is ours in the file: whole groups, or hooks in a group with others."""
    root = _tree(text, path)
    return _distinct([_whole(root, place) for place in _places(root)])


def _distinct(paths: list[Path]) -> list[Path]:
    return [path for number, path in enumerate(paths) if path not in paths[:number]]


def _places(root: Node) -> Iterator[Path]:
    """Yield the path of every hook of ours; what has another shape is none of ours."""
    hooks = root.children.get("hooks")
    for event, groups in hooks.children.items() if hooks else ():
        for number, group in groups.children.items():
            listed = group.children.get("hooks")
            for place, hook in listed.children.items() if listed else ():
                if _is_ours(hook.value):
                    yield ["hooks", event, number, "hooks", place]


def _whole(root: Node, place: Path) -> Path:
    """Return the path of the group if all its hooks are ours: one without hooks would not be valid."""
    listed = root.at(place[:-1])
    return place[:3] if all(_is_ours(hook.value) for hook in listed.children.values()) else place


def _is_ours(hook: Any) -> bool:
    if not isinstance(hook, dict) or not isinstance(hook.get("command"), str):
        return False
    arguments = hook.get("args")
    if arguments is None:
        return _captures(_words(hook["command"]))
    return isinstance(arguments, list) and _captures([hook["command"], *arguments])


def _words(command: str) -> list[str]:
    """Return the words of a command that is one call in a form of ours; none for any other."""
    if found := _POWERSHELL.fullmatch(command):
        return [word.replace("''", "'") for word in _QUOTED.findall(found[1])]
    call = command.removesuffix(_AND_THEN)
    try:
        words = shlex.split(call)
    except ValueError:
        return []
    # What the shell would read as more than words is quoted by the one and not by the other.
    return words if shlex.join(words) == call else []


def _captures(words: list[Any]) -> bool:
    """Tell whether a call is a capture and nothing else: by whatever interpreter, into whatever store."""
    call = words[:-2] if words[-2:-1] == ["--store"] else words
    if call[-2:] != _CAPTURE:
        return False
    start = call[:-2]
    return start[1:] == _START or (len(start) == 1 and _PROGRAM.fullmatch(str(start[0])) is not None)


def _tree(text: str, path: str) -> Node:
    try:
        root = parse(text, path)
    except ValidationError as error:
        raise SettingsError(f"{error}; the file is unchanged") from None
    return _expected(root, dict, path, "the whole")


def _expected(node: Node, kind: type, path: str, name: str) -> Node:
    if not isinstance(node.value, kind):
        wanted = "an object" if kind is dict else "an array"
        found = type(node.value).__name__
        raise SettingsError(f"{path}: {name} should be {wanted}, and is {found}; the file is unchanged")
    return node


def _without_bom(text: str) -> tuple[str, str]:
    return text[: text.startswith(_BOM)], text.removeprefix(_BOM)


def _read(path: str) -> str | None:
    if os.path.exists(path) and not os.path.isfile(path):
        raise SettingsError(f"{path} is no file: settings stand in a regular one; it is unchanged")
    try:
        with open(path, "rb") as file:
            return file.read().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: byte {error.start} is not UTF-8; the file is unchanged") from None
    except OSError as error:
        raise StoreError(error.errno, f"the settings cannot be read: {error.strerror}", path) from error


def _apply(change: Change, *, dry_run: bool) -> Change:
    if not dry_run and change.after != change.before:
        try:
            _replace(os.path.realpath(change.path), change)
        except OSError as error:
            raise StoreError(
                error.errno, f"the settings cannot be replaced: {error.strerror}", change.path
            ) from error
    return change


def _replace(target: str, change: Change) -> None:
    """Replace a file in one step; its mode and owner stay, and what somebody wrote meanwhile too."""
    if change.after is None:
        _still(target, change)
        os.unlink(target)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    temporary = f"{target}.{os.getpid()}.tmp"
    # Settings hold tokens: what has a mode of its own must not be open to others until it gets that.
    mode = 0o666 if change.before is None else 0o600
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(change.after.encode())
            file.flush()
            os.fsync(file.fileno())
        if change.before is not None:
            facts = os.stat(target)
            os.chmod(temporary, facts.st_mode & 0o7777)
            own = os.stat(temporary)
            if (own.st_uid, own.st_gid) != (facts.st_uid, facts.st_gid):
                os.chown(temporary, facts.st_uid, facts.st_gid)
        _still(target, change)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _still(target: str, change: Change) -> None:
    if _read(target) != change.before:
        raise OSError(errno.EBUSY, "somebody else is writing it; try again")

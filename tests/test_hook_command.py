"""The command that stands in the settings: run by real shells, it cannot break the agent."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hooks import ROOT, TOOL_USE, Project
from moai_patterns.collect.settings import (
    EVENTS,
    capture_command,
    claude_code_version,
    default_shell,
    install,
    interpreter,
)

SHELLS = [shell for shell in ("sh", "bash", "dash", "zsh") if shutil.which(shell)]
LARGE = {**TOOL_USE, "tool_response": {"stdout": "x" * 300_000}}  # more than a pipe holds


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with an interpreter and the package, in a directory with a blank and a quote."""
    directory = tmp_path_factory.mktemp("envs") / "it's an environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    (site,) = directory.glob("lib/python*/site-packages")
    shutil.copytree(ROOT / "moai_patterns", site / "moai_patterns")
    return directory


@pytest.fixture
def project(tmp_store_dir: Path) -> Project:
    made = Project(tmp_store_dir, "sqlite")
    del made.environ["PYTHONPATH"]
    return made


def python_of(environment: Path) -> str:
    return str(environment / "bin/python")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_registered_command_captures(project: Project, environment: Path, shell: str) -> None:
    """As the agent runs it: a shell, the payload on standard input."""
    project.hook(command=[shell, "-c", capture_command(python_of(environment))])
    project.hook(LARGE, command=[shell, "-c", capture_command(python_of(environment))])

    assert len(project.records()) == 2


def test_a_store_named_in_the_command_is_quoted(project: Project, environment: Path) -> None:
    """Blanks and quotes in a path stay what they are."""
    command = capture_command(python_of(environment), store="sqlite:it's here")
    project.hook(command=["sh", "-c", command])

    assert (project.directory / "it's here.db").exists()


def test_the_command_ignores_what_the_directory_and_the_environment_put_before_the_package(
    project: Project, environment: Path
) -> None:
    """A file of the project that is called like a module, or a PYTHONPATH, is not what runs."""
    for name in ("moai_patterns.py", "json.py", "select.py", "os.py"):
        (project.directory / name).write_text("print('not me'); raise SystemExit(2)")
    project.environ["PYTHONPATH"] = str(project.directory)
    project.hook(command=["sh", "-c", capture_command(python_of(environment))])

    assert len(project.records()) == 1


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("loss", ["package", "interpreter", "library", "everything", "not executable"])
def test_what_is_gone_never_breaks_the_agent(
    project: Project, environment: Path, tmp_path: Path, shell: str, loss: str
) -> None:
    """Whatever is missing, the command reads its input to the end, exits 0 and is silent."""
    moved = tmp_path / "moved"
    shutil.copytree(environment, moved, symlinks=True)
    (site,) = moved.glob("lib/python*/site-packages")
    if loss == "package":
        shutil.rmtree(site / "moai_patterns")
    elif loss == "interpreter":
        for path in (moved / "bin").iterdir():
            path.unlink()
    elif loss == "library":
        (moved / "pyvenv.cfg").write_text("home = /nowhere\n")
    elif loss == "everything":
        shutil.rmtree(moved)
    else:
        (moved / "bin/python").unlink()
        (moved / "bin/python").write_text("no program")
    assert written_whole(project, [shell, "-c", capture_command(str(moved / "bin/python"))]) == (0, b"", b"")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_missing_console_script_never_breaks_the_agent(project: Project, shell: str) -> None:
    """The form for a shared settings file goes by the PATH; somebody may not have the package."""
    project.environ["PATH"] = os.pathsep.join(["/nowhere", "/usr/bin", "/bin"])

    assert written_whole(project, [shutil.which(shell) or shell, "-c", capture_command(None)]) == (
        0,
        b"",
        b"",
    )


def test_the_console_script_on_the_path_captures(project: Project, environment: Path, tmp_path: Path) -> None:
    """The form for a shared settings file runs whatever `moai-patterns` the PATH has."""
    script = tmp_path / "bin/moai-patterns"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\nexec "{python_of(environment)}" -c '
        '"import sys; from moai_patterns.cli import main; sys.exit(main())" "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    project.environ["PATH"] = f"{script.parent}{os.pathsep}{project.environ['PATH']}"
    project.hook(command=["sh", "-c", capture_command(None)])

    assert len(project.records()) == 1


def test_what_an_install_registers_is_what_runs(project: Project, environment: Path, tmp_path: Path) -> None:
    """Read back from the settings file as the agent reads it, every entry captures."""
    settings = tmp_path / "settings.json"
    install(str(settings), command=capture_command(python_of(environment)))
    hooks = json.loads(settings.read_text())["hooks"]
    assert set(hooks) == set(EVENTS)
    for event in ("PostToolUse", "SessionEnd"):
        ((entry,),) = (group["hooks"] for group in hooks[event])
        assert (entry["type"], entry["timeout"]) == ("command", 15 if event == "SessionEnd" else 10)
        project.hook({**TOOL_USE, "hook_event_name": event}, command=["sh", "-c", entry["command"]])

    assert len(project.records()) == 2


def test_an_interpreter_counts_only_with_the_package_in_isolated_mode(environment: Path) -> None:
    """What a PYTHONPATH lends is not there when the agent starts the command."""
    told = "from moai_patterns.collect.settings import interpreter; print(interpreter())"
    package = {**os.environ, "PYTHONPATH": str(ROOT)}
    inside = subprocess.run([python_of(environment), "-c", told], capture_output=True, text=True, check=True)
    bare = environment.parent / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    lent = subprocess.run(
        [python_of(bare), "-c", told], capture_output=True, text=True, check=True, env=package
    )

    assert inside.stdout == f"{python_of(environment)}\n"
    assert lent.stdout == "None\n"
    assert interpreter() in (None, sys.executable)


def test_the_command_for_powershell_swallows_everything() -> None:
    """On Windows without Git Bash the agent runs PowerShell, which quotes and redirects in its own way."""
    command = capture_command("C:\\it's\\python.exe", store="file:C:\\a", shell="powershell")

    assert command == (
        "try { & 'C:\\it''s\\python.exe' '-I' '-c' 'from moai_patterns.cli import main; main()' 'hook' "
        "'claude-code' '--store' 'file:C:\\a' *> $null } catch { }; exit 0"
    )


def test_an_entry_for_powershell_says_so(tmp_path: Path) -> None:
    """Without the key the agent would hand the command to another shell."""
    path = tmp_path / "settings.json"
    command = capture_command("C:\\python.exe", shell="powershell")
    install(str(path), events=["Stop"], command=command, shell="powershell")
    entry: Any = json.loads(path.read_text())["hooks"]["Stop"][0]["hooks"][0]

    assert (entry["command"], entry["shell"]) == (command, "powershell")
    assert install(str(path), events=["Stop"], command=command, shell="powershell").diff == ""
    install(str(path), events=["Stop"], command=capture_command(None))
    assert "shell" not in json.loads(path.read_text())["hooks"]["Stop"][0]["hooks"][0]
    assert default_shell({}) == "sh"


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo '2.1.240 (Claude Code)'", (2, 1, 240)),
        ("echo 'no number'", None),
        ("exit 3", None),
        ("sleep 60", None),
        (None, None),
    ],
)
def test_the_version_of_the_agent_is_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, version: Any
) -> None:
    """An agent that is not there, says something else or hangs has no version."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), "/usr/bin", "/bin"]))
    if script is not None:
        program = tmp_path / "claude"
        program.write_text(
            f"#!/bin/sh\nexec {script}\n" if script.startswith("sleep") else f"#!/bin/sh\n{script}\n"
        )
        program.chmod(0o755)

    assert claude_code_version(timeout=0.5 if script == "sleep 60" else 30.0) == version


def written_whole(project: Project, command: list[str]) -> tuple[int, bytes, bytes]:
    """Run a command on a large payload and see that it takes all of it, however it ends."""
    with project.start(command) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(json.dumps(LARGE).encode())  # BrokenPipeError if nobody reads it
        process.stdin.close()
        told = process.stdout.read(), process.stderr.read()
    return process.returncode, *told

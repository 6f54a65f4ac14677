"""Runs a page of documentation: `python tests/pages.py README.md` in an empty directory.

Blocks run from top to bottom. Python blocks share one namespace, and with `>>>` they are compared as
doctests are; in console blocks the lines after `$ ` are commands that must succeed, and what follows
them is their output, where `...` stands for anything.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<language>[\w-]*) *$")
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class PageError(Exception):
    """A block does not do what the page says."""


class Block(NamedTuple):
    """A fenced block; `line` is that of its first line of text, from 1 on."""

    language: str
    line: int
    text: str

    @property
    def runs(self) -> bool:
        """Whether the block is executed: python, and shell with prompts."""
        prompted = self.language in ("console", "sh") and re.search(r"^\$ ", self.text, re.MULTILINE)
        return self.language == "python" or bool(prompted)


class Command(NamedTuple):
    """One command of a console block and the output that the page shows."""

    line: int
    text: str
    output: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page in their order."""
    found: list[Block] = []
    opened: re.Match[str] | None = None
    text: list[str] = []
    for number, line in enumerate(page.splitlines(), start=1):
        fence = FENCE.match(line)
        if opened is None:
            opened, text = fence, []
        elif fence and not fence["language"] and len(fence["fence"]) >= len(opened["fence"]):
            indent = len(opened["indent"])
            body = "".join(f"{each[indent:]}\n" for each in text)
            found.append(Block(opened["language"], number - len(text), body))
            opened = None
        else:
            text.append(line)
    if opened is not None:
        raise PageError(f"the last block, {opened['language']!r}, is not closed")
    return found


def commands(block: Block) -> list[Command]:
    """The commands of a console block; a command goes on after a backslash or a line with `> `."""
    found: list[Command] = []
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        if line.startswith("$ "):
            found.append(Command(number, line[2:], ""))
        elif not found:
            raise PageError(f"line {number}: output before the first command")
        elif not found[-1].output and (found[-1].text.endswith("\\") or line.startswith("> ")):
            last = found.pop()
            found.append(last._replace(text=f"{last.text}\n{line.removeprefix('> ')}"))
        else:
            last = found.pop()
            found.append(last._replace(output=f"{last.output}{line}\n"))
    return found


def run(page: str, name: str) -> int:
    """Run every block of a page in the working directory and return how many there were."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    runnable = [block for block in blocks(page) if block.runs]
    for block in runnable:
        if block.language != "python":
            for command in commands(block):
                _run_command(command, name)
        elif ">>> " in block.text:
            _run_doctest(block, name, namespace)
        else:
            source = "\n" * (block.line - 1) + block.text
            exec(compile(source, name, "exec", dont_inherit=True), namespace)
    return len(runnable)


def _run_doctest(block: Block, name: str, namespace: dict[str, Any]) -> None:
    example = doctest.DocTestParser().get_doctest(block.text, namespace, name, name, block.line - 1)
    result = doctest.DocTestRunner(optionflags=OPTIONS).run(example, clear_globs=False)
    namespace.update(example.globs)
    if result.failed:
        raise PageError(f"{name}, line {block.line}: {result.failed} examples differ, see above")


def _run_command(command: Command, name: str) -> None:
    place = f"{name}, line {command.line}: $ {command.text}"
    done = subprocess.run(
        ["sh", "-c", command.text],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PageError(f"{place}\nexit code {done.returncode}:\n{done.stdout}")
    if command.output and not doctest.OutputChecker().check_output(command.output, done.stdout, OPTIONS):
        raise PageError(f"{place}\nprints:\n{done.stdout}\nbut the page shows:\n{command.output}")


def surroundings(home: Path) -> dict[str, str]:
    """The environment of a newcomer: an empty home, UTC, the package's commands on the path."""
    own = ("MOAI_PATTERNS_", "COV_", "COVERAGE_", "PYTEST_", "FORCE_COLOR", "CLAUDE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return kept | {"HOME": str(home), "PATH": path, "TZ": "UTC", "COLUMNS": "100", "NO_COLOR": "1"}


if __name__ == "__main__":
    source = Path(sys.argv[1])
    try:
        print(run(source.read_text(encoding="utf-8"), source.name), "blocks")
    except PageError as difference:
        sys.exit(str(difference))

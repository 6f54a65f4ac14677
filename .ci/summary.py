"""Write IMPLEMENTATION_SUMMARY.md from .ci/summary.md; with --check only say whether it is up to date.

The template is written by hand. In it `{{name}}` stands for a number that a function below computes,
and `{{name arguments}}` passes it paths or a word, as in `{{lines moai_patterns/cli tests/test_cli_*.py}}`.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / ".ci" / "summary.md"
SUMMARY = ROOT / "IMPLEMENTATION_SUMMARY.md"
PLACEHOLDER = re.compile(r"\{\{(\w+)(?: ([^{}]+))?\}\}")

NUMBERS: dict[str, Callable[[str], int]] = {}


def number(compute: Callable[[str], int]) -> Callable[[str], int]:
    """Make a function's result available to the template under its name."""
    NUMBERS[compute.__name__] = compute
    return compute


def python_files(place: str) -> list[Path]:
    """The Python files at paths below the root, each a file, a folder or a pattern."""
    found: list[Path] = []
    for name in place.split():
        path = ROOT / name
        files = sorted(path.rglob("*.py")) if path.is_dir() else sorted(ROOT.glob(name))
        if not files:
            raise SystemExit(f"{TEMPLATE.name}: there is no Python file at {name!r}")
        found += files
    return found


@number
def modules(place: str) -> int:
    """How many Python files with content there are at a path."""
    return sum(1 for path in python_files(place or "moai_patterns") if path.stat().st_size)


@number
def lines(place: str) -> int:
    """How many lines the Python files at a path have."""
    return sum(path.read_bytes().count(b"\n") for path in python_files(place or "moai_patterns"))


@number
def tests(place: str) -> int:
    """How many test functions there are at a path; parametrised ones run more than once."""
    return sum(
        isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        for path in python_files(place or "tests")
        for node in ast.walk(ast.parse(path.read_bytes()))
    )


@number
def public_names(_: str) -> int:
    """How many names `moai_patterns` offers."""
    import moai_patterns

    return len(moai_patterns.__all__)


@number
def kinds(_: str) -> int:
    """How many kinds of records are built in."""
    import moai_patterns

    return len(moai_patterns.kinds())


@number
def fields(kind: str) -> int:
    """How many documented fields the payload of a kind has, or the `context`."""
    folder = ROOT / "schemas"
    files = [path for path in sorted(folder.rglob("*.json")) if kind in (path.stem, path.parent.name)]
    if len(files) != 1:
        raise SystemExit(f"{TEMPLATE.name}: {len(files)} schemas for {kind!r} in {folder.name}/")
    return len(json.loads(files[0].read_text(encoding="utf-8"))["properties"])


@number
def schemas(_: str) -> int:
    """How many schemas are published."""
    return len(list((ROOT / "schemas").rglob("*.json")))


@number
def commands(_: str) -> int:
    """How many commands the command line has."""
    from moai_patterns.cli.commands import COMMANDS

    return len(COMMANDS)


def render() -> str:
    """The summary as it should be now."""

    def computed(found: re.Match[str]) -> str:
        if found[1] not in NUMBERS:
            raise SystemExit(f"{TEMPLATE.name}: no function of {Path(__file__).name} computes {found[1]!r}")
        return f"{NUMBERS[found[1]](found[2] or ''):,}"

    return PLACEHOLDER.sub(computed, TEMPLATE.read_text(encoding="utf-8"))


def main(arguments: list[str]) -> int:
    """Write the summary, or compare it; 1 when it differs."""
    wanted = render()
    if arguments != ["--check"]:
        SUMMARY.write_text(wanted, encoding="utf-8")
        return 0
    there = SUMMARY.read_text(encoding="utf-8")
    if there == wanted:
        return 0
    changes = difflib.unified_diff(
        there.splitlines(), wanted.splitlines(), "committed", "computed", lineterm=""
    )
    print(*changes, "run `make summary` and commit the result", sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

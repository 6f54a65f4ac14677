"""docs/reliability.md says what was run, and names only what is there."""

from __future__ import annotations

import re
import subprocess
import sys

from sources import ROOT
from torture import page
from torture.promises import found
from torture.sabotages import themes


def test_the_generated_parts_are_up_to_date() -> None:
    """The tables say what `figures.json`, the promises and the planted bugs say; `python -m torture page`."""
    text = page.PAGE.read_text()
    assert page.written(text, found(), themes()) == text


def test_every_promise_has_figures_of_a_whole_run() -> None:
    """Each row of the first table was measured, not promised."""
    assert "not run whole yet" not in page.PAGE.read_text()


def test_each_named_promise_exists() -> None:
    """The parts and cases that the page names can be run."""
    promises = found()
    for name, numbers in re.findall(r"torture (?:case|slice) ([\w-]+)((?: \d+)*)", page.PAGE.read_text()):
        assert name in promises
        assert all(int(number) < promises[name].cases() for number in numbers.split())


def test_each_named_test_exists() -> None:
    """A command that the page gives for a bug runs at least one test, and each named file is there."""
    text = page.PAGE.read_text()
    commands = re.findall(r"`pytest (tests/[\w/]+\.py)(?: -k (?:\"([^\"]+)\"|(\w+)))?`", text)
    assert len(commands) > 30
    files = sorted({path for path, _, _ in commands})
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for path, several, one in commands:
        words = (several or one).split(" or ")
        named = [line for line in collected if line.startswith(f"{path}::")]
        assert any(word in line for word in words for line in named), (path, words)


def test_no_group_of_promises_is_left_out() -> None:
    """Each module in `promises` is among those that are run."""
    names = {path.stem for path in (ROOT / "tests/torture/promises").glob("*.py")} - {"__init__"}
    run = {getattr(one.run, "func", one.run).__module__.rpartition(".")[2] for one in found().values()}
    assert run == names

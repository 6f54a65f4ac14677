"""Planted bugs: each is caught by the test that is named for it, and that test passes without it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from torture.planting import CHOSEN, IMPORTED, RAISED
from torture.promise import BrokenPromiseError, Promise, Tally
from torture.running import CHECKOUT
from torture.sabotages import SABOTAGES, Sabotage

PATIENCE = 120.0  # seconds; a test that takes longer with a bug in place has not caught it
_COPIED = ("moai_patterns", "tests", "schemas", "docs", "examples")
# What a patch does that could not even be loaded, or names what is not there: no reviewer overlooks that.
_NO_BUG = {"SyntaxError", "IndentationError", "ImportError", "ModuleNotFoundError", "NameError"}


class Outcome(NamedTuple):
    """How a run of one test ended: pytest's exit code, None after the patience, and what was raised."""

    code: int | None
    raised: str
    output: str


class Copy:
    """A copy of the package with its tests, to plant bugs in.

    Parameters:
        place: an empty directory.
    """

    def __init__(self, place: Path) -> None:
        self.path = place / "checkout"
        for name in _COPIED:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(CHECKOUT / name, self.path / name, ignore=ignored)
        for name in ("pyproject.toml", "README.md"):
            shutil.copy2(CHECKOUT / name, self.path / name)

    def test(self, *nodes: str) -> Outcome:
        """Run tests on the copy as it is."""
        command = [sys.executable, "-m", "pytest", "-p", "torture.planting", *CHOSEN, *nodes]
        run = subprocess.Popen(
            command,
            cwd=self.path,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = run.communicate(timeout=PATIENCE * len(nodes))
        except BaseException as error:
            # With all that the test has started: the session is its own.
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return Outcome(None, "", "")
        raised = [line.removeprefix(RAISED) for line in output.splitlines() if line.startswith(RAISED)]
        return Outcome(run.returncode, raised[0] if raised else "", output)

    def must_pass(self, nodes: Sequence[str]) -> None:
        """Raise `BrokenPromiseError` unless each of these tests runs, and passes without any bug."""
        outcome = self.test(*nodes)
        if outcome.code != 0 or not outcome.output.splitlines()[-1].startswith(f"{len(nodes)} passed"):
            raise BrokenPromiseError(f"not all pass without any bug:\n{outcome.output[-3000:]}")

    def _environment(self) -> dict[str, str]:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(self.path), str(self.path / "tests"))),
            "HYPOTHESIS_PROFILE": "ci",
            IMPORTED: str(self.path / "moai_patterns"),
        }
        for name in ("PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "COV_CORE_SOURCE"):
            environment.pop(name, None)
        return environment

    @contextmanager
    def planted(self, bug: Sabotage, number: int) -> Iterator[None]:
        """Plant a bug, and take it out again."""
        path = self.path / "moai_patterns" / bug.file
        before, facts = path.read_text(), path.stat()
        if before.count(bug.old) != 1 or bug.old == bug.new:
            found = f"{before.count(bug.old)} times"
            raise BrokenPromiseError(f"{bug.name}: its old text stands {found} in {bug.file}, not once")
        path.write_text(before.replace(bug.old, bug.new))
        # Bytecode is told by whole seconds: each version of the file has one of its own.
        os.utime(path, (facts.st_mtime, int(facts.st_mtime) + 1 + number))
        try:
            yield
        finally:
            path.write_text(before)
            os.utime(path, (facts.st_mtime, facts.st_mtime))


def is_caught(outcome: Outcome) -> bool:
    """Tell whether the test failed, by what the bug does."""
    return outcome.code == 1 and bool(outcome.raised) and outcome.raised not in _NO_BUG


def _run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    copy = Copy(place)
    copy.must_pass(sorted({SABOTAGES[number].test for number in numbers}))
    survivors = []
    for number in numbers:
        bug = SABOTAGES[number]
        with copy.planted(bug, number):
            outcome = copy.test(bug.test)
            for _ in range(1, bug.tries):
                if not is_caught(outcome):
                    outcome = copy.test(bug.test)
        if is_caught(outcome):
            tally.fired()
        else:
            ended = "hung" if outcome.code is None else f"exit {outcome.code} {outcome.raised}"
            survivors.append(f"case {number}, {bug.name}: not caught by {bug.test} ({ended})")
    if survivors:
        raise BrokenPromiseError("\n".join(survivors))


PROMISES = [
    Promise(
        name="sabotage",
        sentence="each planted bug is caught by the test that is named for it",
        cases=lambda: len(SABOTAGES),
        run=_run,
        fast=10,
        chunk=16,
        shards=2,
        about=("**/test_*.py", "torture/sabotages/*.py"),
    )
]

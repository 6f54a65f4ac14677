"""`make bench` and `moai-patterns bench` measure what they say; how fast this machine is decides no test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import page
from sources import ROOT

# Those of the issue that sets them, each with the targets of its rows.
TARGETS = {
    "save, SQLite": [1.2],
    "save_many, SQLite": [1.25],
    "save, filesystem": [1.8],
    "save_many, filesystem": [1.5],
    "session, filesystem": [1.5],
    "load by id, SQLite": [1.8],
    "load by id, hot file": [3],
    "load by id, compacted tree": [12],
    "newest 100 of a kind in a day, SQLite": [2],
    "newest 100 of a kind in a day, tree": [0.1],
    "a condition over one day, tree": [1],
    "count per kind, tree": [0.1],
    "compaction of a day, per record": [2],
    "import moai_patterns": [1.3],
    "capture process, filesystem": [2.5],
    "capture process, SQLite": [2.5],
    "capture process that redacts, filesystem": [10],
    "capture process that redacts, SQLite": [10],
    "capture with 2,000 records, filesystem": [1.3],
    "capture with 2,000 records, SQLite": [1.3],
    "memory, streaming 2,000 records, filesystem": [1],
    "memory, streaming 2,000 records, SQLite": [1],
    "memory, compacting a day of 2,000 records": [1],
}
LINE = re.compile(
    r"(?P<case>.{46}) (?P<against>.{32}) .* (?P<ratio>[0-9.e+-]+)  <= (?P<target>[0-9.]+) (met|MISSED)$"
)


def ran(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a run of the benchmarks ends with."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_case_is_measured_and_has_its_target(tmp_path: Path) -> None:
    """A run over small stores prints a ratio, a target and a verdict per case, and leaves nothing behind."""
    done = ran(N="2000", ROUNDS="1", TMPDIR=str(tmp_path))
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, list[float]] = {}
    for line in done.stdout.splitlines():
        if row := LINE.match(line):
            assert float(row["ratio"]) > 0
            found.setdefault(row["case"].rstrip(), []).append(float(row["target"]))
    # What is installed of the others decides how many are compared with.
    assert {case: targets[:1] for case, targets in found.items()} == TARGETS
    assert list(tmp_path.iterdir()) == []


def test_the_page_says_what_was_measured() -> None:
    """Its tables are those of the figures that were kept, with every case."""
    text = page.PAGE.read_text()
    assert page.written(text) == text
    assert all(f"| {case.replace('2,000', '1,000,000')} |" in text for case in TARGETS)


def test_some_cases_can_be_named(tmp_path: Path) -> None:
    """Words choose cases; the large stores are filled for those alone that ask them."""
    done = ran("save_many", ROUNDS="1", TMPDIR=str(tmp_path))
    assert [line[:46].rstrip() for line in done.stdout.splitlines()[1:]] == [
        "save_many, SQLite",
        "save_many, filesystem",
    ]


def test_another_revision_is_measured_by_the_rules_of_today(tmp_path: Path) -> None:
    """`BASE` prints what either revision takes, and leaves no worktree behind."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs the history of the checkout")
    done = ran("save_many, f", ROUNDS="1", BASE="HEAD", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert re.search(r"^save_many, filesystem +[0-9.]+ us +[0-9.]+ us +[0-9.]+$", done.stdout, re.MULTILINE)
    listed = subprocess.run(["git", "worktree", "list"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "moai-base-" not in listed.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_command_measures_on_the_own_machine(tmp_path: Path) -> None:
    """`moai-patterns bench` needs nothing but the package."""
    program = [
        sys.executable,
        "-m",
        "moai_patterns",
        "bench",
        "--json",
        "--rounds",
        "1",
        "--directory",
        str(tmp_path),
    ]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"save, SQLite", "save, filesystem", "import moai_patterns"} <= {row["case"] for row in rows}
    assert all(row["ours"] > 0 and row["ratio"] == row["ours"] / row["other"] for row in rows)
    assert list(tmp_path.iterdir()) == []

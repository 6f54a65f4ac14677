"""The planted bugs as data: that there are enough of each sort, and that each still fits the sources."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from conftest import ROOT
from torture.sabotages import SABOTAGES, Sabotage, themes

ENOUGH = 40
WANTED = ("durability", "order", "locking", "query", "validation", "redaction", "retention")


def test_there_are_enough_of_each_sort() -> None:
    """At least forty bugs under names of their own, three and more of each theme."""
    assert len(SABOTAGES) >= ENOUGH
    assert len({bug.name for bug in SABOTAGES}) == len(SABOTAGES)
    assert all(len(themes()[name]) >= 3 for name in WANTED)


@pytest.mark.parametrize("bug", SABOTAGES, ids=[bug.name for bug in SABOTAGES])
def test_a_bug_fits_the_sources(bug: Sabotage) -> None:
    """Its place is there once, what it becomes can be compiled, and the test that is named for it exists."""
    source = (ROOT / "moai_patterns" / bug.file).read_text()
    assert source.count(bug.old) == 1, (
        f"what {bug.name!r} changes stands no longer in {bug.file}: write it anew"
    )
    compile(source.replace(bug.old, bug.new), bug.file, "exec")
    file, *_, name = bug.test.partition("[")[0].split("::")
    found = [ROOT / file, *(ROOT / "moai_patterns/testing").glob("*.py")]
    assert any(re.search(rf"^ *def {name}\(", path.read_text(), re.MULTILINE) for path in found), bug.test


def test_each_bug_names_one_test() -> None:
    """A name that stands for several tests would let one of them be blind."""
    named = {bug.test for bug in SABOTAGES}
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *sorted(named)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert {line for line in collected if "::" in line} == named

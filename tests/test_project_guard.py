"""The guard around every test sees what a test leaves behind, and the fixtures clean up."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from leaks import Surroundings, children
from moai_patterns.backends.base import BackendBase
from sources import ROOT

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to see processes")


@needs_proc
def test_a_process_left_behind_is_seen_until_it_is_waited_for() -> None:
    """A child that runs is named with its command, one that ended counts until somebody waits."""
    before = Surroundings.now()
    program = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()  # before that the kernel may still be putting its command line in place
        assert [str(child.pid) in change and "input()" in change for change in before.changes()] == [True]
        child.terminate()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert before.changes() == [f"process {child.pid} (ended)"]
    assert before.changes() == []


@needs_proc
def test_the_process_that_multiprocessing_keeps_is_no_leak() -> None:
    """Spawning starts a resource tracker that stays for good; the test did not leave it behind."""
    before = children()
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    process.join()
    process.close()
    assert children() == before


def test_a_changed_environment_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A new, a changed and a missing variable, another directory and another time zone are named."""
    monkeypatch.setenv("MOAI_TEST_CHANGED", "1")
    monkeypatch.setenv("MOAI_TEST_GONE", "1")
    before = Surroundings.now()
    monkeypatch.setenv("MOAI_TEST_NEW", "1")
    monkeypatch.setenv("MOAI_TEST_CHANGED", "2")
    monkeypatch.delenv("MOAI_TEST_GONE")
    monkeypatch.chdir(tmp_path)
    assert before.changes() == [
        *(f"the variable MOAI_TEST_{name}" for name in ("CHANGED", "GONE", "NEW")),
        f"the working directory {tmp_path}",
    ]
    monkeypatch.undo()


def test_a_time_zone_left_behind_is_seen(time_zone: Callable[[str], None]) -> None:
    """Setting TZ back is not enough: the C library keeps the zone until it is told."""
    before = Surroundings.now()
    time_zone("NPT-5:45")
    assert time.timezone == -20_700
    assert [change for change in before.changes() if "time zone" in change] != []


def test_the_backend_fixture_gives_an_empty_backend(backend: BackendBase) -> None:
    """Each backend starts empty, and a check finds nothing to complain of."""
    assert backend.days() == {}
    assert backend.check(read_data=True) == []


def test_the_makefile_explains_each_target() -> None:
    """`make` alone lists every target that a person would call."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY:"))
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = {line.split()[1] for line in shown.splitlines() if line.startswith("make ")}
    assert listed == set(phony.split()[1:]) - {"help", "again", "coverage"}

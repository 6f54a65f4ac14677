"""Fixtures that any test may ask for, and the guard that runs around every one."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

from leaks import Surroundings
from moai_patterns.backends.base import BackendBase
from moai_patterns.backends.opening import open_backend
from moai_patterns.backends.sqlite import write

# Started in the background, a runner ignores Ctrl-C, and so would every process that a test interrupts.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent

# `ci` repeats the same examples on every machine and never fails because a machine is slow.
settings.register_profile(
    "ci", derandomize=True, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "search"))
set_hypothesis_home_dir(ROOT / ".venv/.cache/hypothesis")


@pytest.fixture(autouse=True)
def leaves_nothing_behind() -> Iterator[None]:
    """Fail the test that leaves a process, a variable, a time zone or a working directory behind."""
    before = Surroundings.now()
    yield
    if left := before.changes():
        pytest.fail("the test leaves behind: " + "; ".join(left), pytrace=False)


@pytest.fixture(autouse=True)
def indexes_early(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a database bring its indexes up to date after every third save, not after every 64th.

    Else a store of few records would never be asked by its indexes. Not where a test is marked `as_shipped`.
    """
    with pytest.MonkeyPatch.context() as patching:
        if request.node.get_closest_marker("as_shipped") is None:
            patching.setattr(write, "_INDEXED_EVERY", 3)
        yield


@pytest.fixture
def root() -> Path:
    """The directory of the checkout."""
    return ROOT


@pytest.fixture
def shared_data() -> Path:
    """The recordings beside the checkout; a test that needs them is skipped by name without them."""
    recordings = ROOT.parent / "shared" / "data"
    if not recordings.is_dir():
        pytest.skip("needs the recordings in ../shared/data")
    return recordings


@pytest.fixture
def tmp_store_dir(tmp_path: Path) -> Path:
    """A directory for stores: not there yet, with a blank and a letter beyond ASCII in its name."""
    return tmp_path / "a störe"


@pytest.fixture(params=["memory", "filesystem", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_store_dir: Path) -> Iterator[BackendBase]:
    """Each backend in turn, empty; at the end of the test every byte of it is checked."""
    opened = open_backend(request.param, str(tmp_store_dir), durability="os", timeout=30.0)
    yield opened
    found = opened.check(read_data=True)
    opened.close()
    assert found == []


@pytest.fixture
def time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A function that sets the local time zone of this process until the test ends."""

    def become(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield become
    monkeypatch.undo()
    time.tzset()


# What takes long starts first, so that no process is left alone with it at the end.
LONG = ("test_state_machine", "test_teeth", "test_contract", "test_verdict_engines")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long tests first; the others stay in their order."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what ran of the promises, and what did not for want of something: nothing shrinks in silence."""
    skipped = terminalreporter.stats.get("skipped", [])
    missing = sum("../shared/data" in str(report.longrepr) for report in skipped)
    if missing:
        terminalreporter.write_line(f"tests on real recordings: {missing} skipped, no ../shared/data here")
    ran: dict[str, list[int]] = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, cases, full in (value for key, value in report.user_properties if key == "torture"):
            ran.setdefault(name, [0, full])[0] += cases
    for name, (cases, full) in sorted(ran.items()):
        terminalreporter.write_line(f"{name} tests: {cases:,} of {full:,}")
    for report in skipped:
        _, _, without = str(report.longrepr).partition("torture: ")
        if without:
            terminalreporter.write_line(without.rstrip("')"))

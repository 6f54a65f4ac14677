"""What a test must leave as it found it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

# Set by the test runner itself while a test runs.
RUNNER = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "COV_CORE_DATAFILE")


@dataclass(frozen=True)
class Surroundings:
    """The processes, variables, time zone and working directory at one moment."""

    children: frozenset[int]
    environment: dict[str, str]
    zone: tuple[tuple[str, str], int]
    directory: str

    @classmethod
    def now(cls) -> Surroundings:
        environment = {name: value for name, value in os.environ.items() if name not in RUNNER}
        return cls(children(), environment, (time.tzname, time.timezone), os.getcwd())

    def changes(self) -> list[str]:
        """Say in a sentence each what is different now."""
        now = Surroundings.now()
        found = [f"process {pid} ({command(pid)})" for pid in sorted(now.children - self.children)]
        names = sorted(self.environment.keys() | now.environment.keys())
        changed = [name for name in names if self.environment.get(name) != now.environment.get(name)]
        found += [f"the variable {name}" for name in changed]
        if self.zone != now.zone:
            found.append(f"the time zone {now.zone[0][0]} (call time.tzset() after restoring TZ)")
        if self.directory != now.directory:
            found.append(f"the working directory {now.directory}")
        return found


def children() -> frozenset[int]:
    """The child processes of this one, ended ones that nobody waited for included.

    Empty where there is no /proc. The two that multiprocessing keeps for its own use do not count.
    """
    own = {
        getattr(resource_tracker._resource_tracker, "_pid", None),
        getattr(forkserver._forkserver, "_forkserver_pid", None),
    }
    found: set[int] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(map(int, listing.read_text().split()))
        except FileNotFoundError:  # the thread has ended since
            continue
    return frozenset(found - own)


def command(pid: int) -> str:
    """The command line of a process, for the report."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip() or "ended"
    except OSError:
        return "ended"


def descriptors(place: Path) -> list[str]:
    """What this process has open below a directory; empty where there is no /proc."""
    found = []
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            target = os.readlink(entry)
        except FileNotFoundError:  # the listing's own
            continue
        if target.startswith(f"{place}/"):
            found.append(target)
    return sorted(found)

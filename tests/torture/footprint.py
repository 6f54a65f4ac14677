"""What a process has open and holds at one moment, and what may not have grown since."""

from __future__ import annotations

import gc
import os
import re
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from leaks import children
from torture.promise import BrokenPromiseError

# What a run may add once it has seen every verb: room for caches and counters, not for one thing per act.
MOST_OBJECTS = 1500
MOST_BYTES = 24 << 20
MOST_OPEN = 6  # of idle connections and mapped segments it may be more at one time than at another
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TEMPORARY = re.compile(r"\.tmp$|-new$|/tmp/[^/]+$")


@dataclass(frozen=True)
class Footprint:
    """Descriptors by what they are open on, threads, child processes, temporary files, objects and bytes."""

    descriptors: Counter[str]
    threads: int
    children: frozenset[int]
    temporary: frozenset[str]
    objects: int
    resident: int

    @classmethod
    def now(cls, place: Path) -> Footprint:
        """Look at this process, and for temporary files below a directory."""
        gc.collect()
        return cls(
            _descriptors(),
            max(threading.active_count(), len(os.listdir("/proc/self/task"))),
            children(),
            frozenset(str(path) for path in place.rglob("*") if _TEMPORARY.search(str(path))),
            len(gc.get_objects()),
            int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE,
        )

    def must_not_have_left(self, before: Footprint) -> None:
        """Raise `BrokenPromiseError` with everything that was not open or there before."""
        left = [*(self.descriptors - before.descriptors).elements()]
        left += [f"{self.threads - before.threads} threads"] if self.threads > before.threads else []
        left += [f"process {pid}" for pid in self.children - before.children]
        left += sorted(self.temporary - before.temporary)
        if left:
            raise BrokenPromiseError(f"left behind: {', '.join(left)}")

    def must_not_have_grown(self, before: Footprint) -> None:
        """Raise `BrokenPromiseError` when more than a little was taken meanwhile."""
        objects, resident = self.objects - before.objects, self.resident - before.resident
        opened = self.descriptors.total() - before.descriptors.total()
        if objects > MOST_OBJECTS or resident > MOST_BYTES or opened > MOST_OPEN:
            grown = f"{objects} objects, {resident >> 10} KiB and {opened} descriptors"
            raise BrokenPromiseError(f"grown by {grown}")


def _descriptors() -> Counter[str]:
    found: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        try:
            found[os.readlink(f"/proc/self/fd/{name}")] += 1
        except FileNotFoundError:  # the listing's own
            continue
    return found

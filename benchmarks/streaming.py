"""Streams every record of a store and prints how many there were and the memory that took.

A process of its own: `python -m benchmarks.streaming file:PATH`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from moai_patterns import open_store


def peak_megabytes() -> float:
    """The highest resident size of this process; of the program alone where /proc tells it.

    `ru_maxrss` starts from the size of the process that started this one.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        unit = 1_000_000 if sys.platform == "darwin" else 1_000
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1_000_000


def main() -> None:
    """Read the store that the first argument names from its newest record to its oldest."""
    begin = time.perf_counter()
    with open_store(sys.argv[1], maintenance_interval=None) as storage:
        count = sum(1 for _ in storage.iter())
    print(json.dumps({"count": count, "megabytes": peak_megabytes(), "seconds": time.perf_counter() - begin}))


if __name__ == "__main__":
    main()

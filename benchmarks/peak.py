"""Peak memory of a process that streams all records of a store, or compacts it.

A process of its own, so that nothing else is counted: `python -m benchmarks.peak stream|compact STORE`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from moai_patterns import open_store
from moai_patterns.bench.cases import opened
from moai_patterns.bench.measuring import Row
from moai_patterns.bench.samples import record
from moai_patterns.instant import DAY

_LIMIT = 150.0  # megabytes


def rows(filled: Path, count: int) -> Iterator[Row]:
    """Yield a row for streaming out of either store, and for the compaction of a day of as many records."""
    for name, store in (
        ("filesystem", f"file:{filled / 'tree'}"),
        ("SQLite", f"sqlite:{filled / 'database'}"),
    ):
        yield _row(f"memory, streaming {count:,} records, {name}", "stream", store, count)
    with tempfile.TemporaryDirectory(dir=filled) as place:
        tree = Path(place) / "day"
        yesterday = (time.time_ns() // 1000 // DAY - 1) * DAY
        with opened("filesystem", tree) as storage:
            storage.save_many(record(number, yesterday + number * (DAY // count)) for number in range(count))
        yield _row(f"memory, compacting a day of {count:,} records", "compact", f"file:{tree}", count)


def _row(case: str, verb: str, store: str, count: int) -> Row:
    command = [sys.executable, "-m", "benchmarks.peak", verb, store]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    if told["count"] < count:  # what other cases have saved since comes with them
        raise RuntimeError(f"{case}: {told['count']:,} records, not {count:,}")
    return Row(case, "limit", told["megabytes"], _LIMIT, 1.0, "MB")


def _peak_megabytes() -> float:
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


def main(verb: str, store: str) -> None:
    """Do it, and print how many records it was about and the peak."""
    with open_store(store, compression_threshold_days=0, maintenance_interval=None) as storage:
        count = sum(1 for _ in storage.iter()) if verb == "stream" else storage.compress_old_files()
    print(json.dumps({"count": count, "megabytes": _peak_megabytes()}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

"""`make bench`: each case measured against its floor in the same run, printed as a ratio with its target.

`N` sets the size of the large stores (default 1,000,000; 10,000,000 with `FULL=1`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.save_cost import compare
from benchmarks.stores import BACKENDS, filled

LARGE = int(os.environ.get("N") or (10_000_000 if os.environ.get("FULL") else 1_000_000))
SMALL = min(10_000, LARGE // 10)
ROUNDS = 51 if LARGE >= 10_000 else 1
MEGABYTES = 150


def report(case: str, backend: str, ratio: float, target: float, remark: str) -> bool:
    """Print one row; whether the target is met."""
    met = ratio <= target
    print(
        f"{case:44} {backend:10} {ratio:6.2f}  <= {target:<4} {'yes' if met else 'NO ':3}  {remark}",
        flush=True,
    )
    return met


def measure(backend: str, directory: Path) -> bool:
    """Run all cases on one backend; whether every target is met."""
    directory.mkdir()
    begin = time.perf_counter()
    small = filled(backend, directory / "small", SMALL)
    large = filled(backend, directory / "large", LARGE)
    print(f"# {backend}: {LARGE:,} records saved and compacted in {time.perf_counter() - begin:.0f} s")
    with small, large:
        few, many = compare(small, large, ROUNDS)
        count = large.count()
    remark = f"{many * 1e6:.1f} us over {few * 1e6:.1f} us"
    met = report(f"save at {LARGE:,} over {SMALL:,} records", backend, many / few, 1.3, remark)
    store = f"{'file' if backend == 'filesystem' else backend}:{directory / 'large'}"
    program = [sys.executable, "-m", "benchmarks.streaming", store]
    streamed = json.loads(subprocess.run(program, capture_output=True, check=True).stdout)
    if streamed["count"] != count:
        raise SystemExit(f"{backend}: {streamed['count']:,} of {count:,} records came out")
    remark = f"peak {streamed['megabytes']:.0f} MB, {streamed['seconds'] / count * 1e6:.1f} us a record"
    case = f"streaming {count:,} records, of {MEGABYTES} MB"
    return report(case, backend, streamed["megabytes"] / MEGABYTES, 1.0, remark) and met


def main() -> int:
    """Run everything in a directory that is removed afterwards; 1 when a target is missed."""
    print(f"{'case':44} {'backend':10} {'ratio':>6}  {'target':7} {'met':3}")
    with tempfile.TemporaryDirectory(prefix="moai-bench-") as directory:
        results = [measure(backend, Path(directory) / backend) for backend in BACKENDS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

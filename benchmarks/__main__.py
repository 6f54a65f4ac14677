"""`make bench`: floors, peers and this store measured in turns within one run, as ratios with their targets.

python -m benchmarks [WORD ...]     the cases with one of the words in their names, or all
python -m benchmarks parts          where the time of a save goes
python -m benchmarks --keep         all, and docs/benchmarks.md with what they found

`N` sets the size of the large stores (default 1,000,000; 10,000,000 with `FULL=1`), `ROUNDS` how often each
has its turn, and `BASE` a revision that the short cases are run on as well, in turns with this one.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from benchmarks import asking, base, growth, keeping, page, parts, peak, recorded
from benchmarks.stores import Filled
from moai_patterns.bench import cases, processes
from moai_patterns.bench.measuring import Row, fresh, measure
from moai_patterns.bench.table import HEAD, shown

LARGE = int(os.environ.get("N") or (10_000_000 if os.environ.get("FULL") else 1_000_000))
ROUNDS = int(os.environ.get("ROUNDS") or 0)


def main(arguments: Sequence[str]) -> int:
    """Run everything in a directory that is removed afterwards; 1 when a target is missed."""
    words = [argument for argument in arguments if argument != "--keep"]
    if revision := os.environ.get("BASE"):
        return base.compare(revision, words, ROUNDS)
    rows = []
    print(HEAD)
    with tempfile.TemporaryDirectory(prefix="moai-bench-") as directory:
        for row in _rows(Path(directory), words):
            print(shown(row), flush=True)
            rows.append(row)
        profiles = {}
        if "--keep" in arguments or "parts" in words:
            profiles = parts.profiles(fresh(Path(directory)))
            print(f"\n{parts.table(profiles)}")
    if "--keep" in arguments:
        page.keep(rows, profiles)
    return 0 if all(row.is_met for row in rows) else 1


def _rows(directory: Path, words: Sequence[str]) -> Iterator[Row]:
    large = directory / "filled"
    large.mkdir()
    with closing(Filled(large, LARGE)) as filled:
        every = (
            *cases.CASES,
            *keeping.CASES,
            *processes.cases(recorded.payload()),
            *asking.cases(filled),
            *growth.cases(filled),
        )
        for case in every:
            if not words or any(word in case.name for word in words):
                yield from measure(case, fresh(directory), ROUNDS)
    if not words:
        yield from peak.rows(large, LARGE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

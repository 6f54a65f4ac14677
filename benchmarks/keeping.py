"""What compaction costs over the work that cannot be spared: parsing each record, and compressing them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson
from isal import isal_zlib

from moai_patterns import PatternStorage
from moai_patterns.bench.cases import opened
from moai_patterns.bench.measuring import OURS, Act, Case, Contestant
from moai_patterns.bench.samples import history
from moai_patterns.instant import DAY

_RECORDS = 50_000
_LEVEL = 2  # the codec and level of a segment, docs/layout-filesystem.md
_FLOOR = "orjson parse, isal compress"


@contextmanager
def _contest(directory: Path) -> Iterator[Sequence[Contestant]]:
    yesterday = (time.time_ns() // 1000 // DAY - 1) * DAY
    records = list(history(_RECORDS, yesterday, days=1))
    lines = [orjson.dumps(record) for record in records]
    tree = directory / "tree"
    storage: list[PatternStorage] = []

    def compacting(_: int) -> Act:
        for last in storage:
            last.close()
        shutil.rmtree(tree, ignore_errors=True)
        storage[:] = [opened("filesystem", tree)]
        storage[0].save_many(records)
        return storage[0].compress_old_files

    def raw() -> int:
        codec = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, 31)
        size = 0
        for line in lines:
            orjson.loads(line)
            size += len(codec.compress(line + b"\n"))
        return size + len(codec.flush())

    try:
        yield [Contestant(OURS, compacting, _RECORDS), Contestant(_FLOOR, lambda _: raw, _RECORDS)]
    finally:
        for last in storage:
            last.close()


CASES = (Case("compaction of a day, per record", _contest, {_FLOOR: 2}, rounds=5),)

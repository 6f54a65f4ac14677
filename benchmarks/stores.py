"""Two stores of many records, filled once for all cases that ask them."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from moai_patterns import PatternStorage
from moai_patterns.bench.cases import opened
from moai_patterns.bench.samples import history, record
from moai_patterns.instant import DAY, isoformat
from moai_patterns.query import Record

_HOT = 2_000  # of the records of today are saved one by one, so that each is a file of its own
_LOOSE = 100_000
_CHOSEN = 5_000


@dataclass(frozen=True)
class Stores:
    """A tree that is compacted but for the records of today, and a database, with the same in both.

    Attributes: `root` and `file`, where they lie; `cold` and `hot`, ids of records in segments and in files
    of their own; `day`, a compacted one; `rest`, records of today that nobody has saved yet.
    """

    tree: PatternStorage
    database: PatternStorage
    root: Path
    file: Path
    cold: list[str]
    hot: list[str]
    day: str
    rest: list[Record]


class Filled:
    """The stores, filled when the first case needs them: what asks for other cases does not wait.

    Parameters:
        directory: where they lie; it must exist.
        count: how many records they hold with what is of today: a tenth, or the last 100,000 of more than a
            million; nearly all of these are `rest`.
    """

    def __init__(self, directory: Path, count: int) -> None:
        self.directory = directory
        self.count = count
        self._stack = ExitStack()

    @cached_property
    def stores(self) -> Stores:
        """Both, open."""
        begin = time.perf_counter()
        end = time.time_ns() // 1000
        count = self.count - min(self.count // 10, _LOOSE)
        chosen = set(random.Random(0).sample(range(count), min(_CHOSEN, count // 2)))
        past = history(count, end - DAY)
        cold = [one["pattern_id"] for number, one in enumerate(past) if number in chosen]
        random.Random(1).shuffle(cold)
        today = [record(number, end + number - self.count) for number in range(count, self.count)]
        tree = self._stack.enter_context(opened("filesystem", self.directory / "tree"))
        database = self._stack.enter_context(opened("sqlite", self.directory / "database"))
        for storage in (tree, database):
            storage.save_many(history(count, end - DAY))
            for one in today[:_HOT]:
                storage.save(one)
        tree.compress_old_files()
        print(
            f"# two stores of {self.count:,} records filled in {time.perf_counter() - begin:.0f} s",
            flush=True,
        )
        return Stores(
            tree,
            database,
            self.directory / "tree",
            self.directory / "database.db",
            cold,
            [one["pattern_id"] for one in today[:_HOT]],
            isoformat(end - 5 * DAY)[:10],
            today[_HOT:],
        )

    def close(self) -> None:
        """Close the stores; their files stay."""
        self._stack.close()

"""Groups as SQL engines hand them out: with an array of all values at a path, each as the text of its JSON.

So no engine calculates, and all figures have one definition: that of `aggregates`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson

from moai_patterns.aggregates import Cell, Tally, cell


def count(rows: Iterable[tuple[Any, ...]], tally: Tally, grid: tuple[int, int]) -> None:
    """Add groups to a tally.

    A row has the step of the grid, where there are periods, the texts of the keys, how many records there
    are, and for each path an array of texts, in which null stands for what is missing; of no record none.
    """
    asked = tally.asked
    first = int(asked.periods is not None)
    end = first + len(asked.keys)
    read = _Reader()
    for row in rows:
        key: list[Any] = [read(text) for text in row[first:end]]
        if asked.periods is not None:
            key.insert(0, asked.periods.begin(grid[0] + row[0] * grid[1]))
        tally.count(tuple(key), row[end])
        counters = tally.values(tuple(key)) if asked.paths else ()
        for counter, texts in zip(counters, row[end + 1 :], strict=True):
            for text, times in Counter(orjson.loads(texts or b"[]")).items():
                value = read(text)
                counter[value] = counter.get(value, 0) + times  # half the time of +=


class _Reader:
    """Reads JSON texts, each different one once."""

    def __init__(self) -> None:
        self._known: dict[str | None, Cell] = {None: None}

    def __call__(self, text: str | None) -> Cell:
        try:
            return self._known[text]
        except KeyError:
            found = self._known[text] = cell(orjson.loads(text or ""))
            return found

"""What SQLite hands out for groups and figures: for each group the values at some paths, as JSON texts.

SQLite reads some floats a digit off, and knows no bools, so it does not calculate with values itself. Of all
that gets texts into this process `json_group_array` is the fastest: a tenth to a fifth above `avg`.
"""

from __future__ import annotations

import sqlite3

from moai_patterns.aggregates import Aggregation
from moai_patterns.backends.sqlite.pushdown import Bind, place

_ARROW = (3, 38)  # `->`, which returns a number with all its digits
_JSON = ("data", "context")


def statement(asked: Aggregation, grid: tuple[int, int], rows: str, bind: Bind) -> str | None:
    """Return the statement over rows with the columns of the envelope and `instant`.

    Its columns are the step of the grid, where there are periods, the keys, how many rows, and for each path
    an array of texts. None where this SQLite cannot tell them exactly.
    """
    keys = [_column(path, bind) for path in asked.keys]
    values = [_column(path, bind) for path in asked.paths]
    if asked.periods is not None:
        keys.insert(0, f"(instant - {bind(grid[0])}) / {bind(grid[1])}")
    if sqlite3.sqlite_version_info < _ARROW or None in (*keys, *values):
        return None
    # As text, for what is JSON would be taken into the array by its value, and lose what it was.
    arrays = [f"json_group_array({value} || '')" for value in values]
    groups = f" GROUP BY {', '.join(map(str, range(1, len(keys) + 1)))}" if keys else ""
    return f"SELECT {', '.join([*map(str, keys), 'count(*)', *arrays])} FROM ({rows}){groups}"


def _column(path: tuple[str, ...], bind: Bind) -> str | None:
    root, *steps = path
    if root not in _JSON:
        return f"json_quote({root})"
    if not steps:
        return root
    bound = place(path, bind)
    return None if bound is None else f"({root} -> {bound})"

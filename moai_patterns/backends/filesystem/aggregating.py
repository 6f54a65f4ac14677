"""Groups and figures out of a tree: compacted days by DuckDB, where it is installed, all else by record.

DuckDB reads the segments as they are. It does not look at checksums, so that of each file is compared before.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from glob import escape
from importlib.util import find_spec
from typing import Any

from moai_patterns.aggregates import Aggregation, Tally
from moai_patterns.backends import grouped
from moai_patterns.backends.filesystem import counting
from moai_patterns.backends.filesystem.reading import Snapshot
from moai_patterns.backends.filesystem.segment import Segment
from moai_patterns.backends.filesystem.segment_writer import DATA
from moai_patterns.instant import DAY
from moai_patterns.query import Query

# To import DuckDB and to start it takes as long as to read so many records.
_WORTH = 20_000
_STEP = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAMES = ("pattern_id", "pattern_type", "version", "data", "context", "_meta")
_FILES = (
    "read_json(?, format = 'newline_delimited', compression = 'gzip', maximum_object_size = 1073741824, "
    "columns = {" + ", ".join(f"{name}: 'JSON'" for name in _NAMES) + "})"
)
_BLOCK = 1 << 20


def aggregate(snapshot: Snapshot, query: Query, asked: Aggregation) -> Tally:
    """Return the figures of what answers a countable question."""
    tally = Tally(asked)
    low, high = counting.span_of_days(query)
    days = [day for day in sorted(snapshot.days()) if low <= day <= high]
    done = _by_duckdb(counting.untouched(snapshot, query), query, tally)
    for day in days:
        if day not in done:
            for record in snapshot.day(day, query.but(order="oldest"), newest=False):
                if query.matches(record):
                    tally.add(record)
    return tally


def _by_duckdb(segments: Sequence[tuple[int, Segment]], query: Query, tally: Tally) -> set[int]:
    """Count the records of whole days; return which: none where that is not possible or not worth it."""
    asked = tally.asked
    many = sum(segment.facts.count for _, segment in segments)
    if not has_engine(asked) or many < (1 if "duckdb" in sys.modules else _WORTH):
        return set()
    sound = [(day, segment) for day, segment in segments if _is_whole(segment)]
    if not sound:
        return set()
    grid = (0, 1)
    if asked.periods is not None:
        grid = asked.periods.grid(sound[0][0] * DAY, (sound[-1][0] + 1) * DAY - 1)
    statement = _Statement(asked, grid, [escape(segment.path + DATA) for _, segment in sound], query.kinds)
    if (rows := _answer(statement)) is None:
        return set()
    grouped.count(rows, tally, grid)
    return {day for day, _ in sound}


def _answer(statement: _Statement) -> list[Any] | None:
    """Return the rows of a statement; None for what DuckDB cannot read, or has no memory for."""
    import duckdb

    try:
        with duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"}) as connection:
            return connection.execute(statement.sql, statement.parameters).fetchall()
    except duckdb.Error:
        return None


def has_engine(asked: Aggregation) -> bool:
    """Tell whether DuckDB is there, and reads all paths as this package does: others are patterns to it."""
    if "duckdb" not in sys.modules and find_spec("duckdb") is None:
        return False
    return all(_STEP.fullmatch(step) for _, *steps in (*asked.keys, *asked.paths) for step in steps)


class _Statement:
    """SQL with its parameters, in the order in which they stand in it."""

    def __init__(
        self, asked: Aggregation, grid: tuple[int, int], files: list[str], kinds: Sequence[str] | None
    ) -> None:
        self.parameters: list[Any] = []
        columns = []
        if asked.periods is not None:
            columns.append("(CAST(_meta -> '$.instant' AS BIGINT) - ?) // ?")
            self.parameters += grid
        columns += [f"CAST({self._value(path)} AS VARCHAR)" for path in asked.keys]
        by = f" GROUP BY {', '.join(map(str, range(1, len(columns) + 1)))}" if columns else ""
        columns.append("count(*)")
        for path in asked.paths:
            columns.append(f"CAST(to_json(list(CAST({self._value(path)} AS VARCHAR))) AS VARCHAR)")
        self.parameters.append(files)
        where = ""
        if kinds is not None:
            among = ", ".join("?" * len(kinds))
            where = f" WHERE pattern_type ->> '$' IN ({among})" if kinds else " WHERE false"
            self.parameters += kinds
        self.sql = f"SELECT {', '.join(columns)} FROM {_FILES}{where}{by}"  # noqa: S608  values are bound

    def _value(self, path: Sequence[str]) -> str:
        root, *steps = path
        if not steps:
            return root
        self.parameters.append("$" + "".join(f'."{step}"' for step in steps))
        return f"{root} -> ?"


def _is_whole(segment: Segment) -> bool:
    """Tell whether a segment's file has the bytes that were written."""
    digest = hashlib.sha256()
    try:
        with open(segment.path + DATA, "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return False  # whoever reads its records says what is wrong
    return digest.hexdigest() == segment.facts.data_sha256

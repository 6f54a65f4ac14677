"""Records and rows as Arrow tables, which pandas, Polars, DuckDB and pyarrow take as they are.

Needs the extra `arrow`, and `pandas` or `polars` for theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson

from moai_patterns.conditions import field
from moai_patterns.errors import MissingExtraError
from moai_patterns.moments import moment_of
from moai_patterns.query import Record
from moai_patterns.values import MISSING, reach

if TYPE_CHECKING:
    import pyarrow

_BATCH = 1000
_EXACT = 2**53  # beyond, a float has not all digits of an integer
WHOLE = ("pattern_id", "pattern_type", "timestamp", "version", "data", "context")


def arrow() -> Any:
    """Return the module `pyarrow`. Raises `MissingExtraError` where it is not installed."""
    try:
        import pyarrow
    except ImportError:
        raise MissingExtraError("tables", "pyarrow", "arrow") from None
    return pyarrow


def reader(records: Iterable[Record], columns: Sequence[str] = WHOLE) -> pyarrow.RecordBatchReader:
    """Return stored records in batches of a thousand: the envelope, with data and context as JSON texts."""
    pa = arrow()
    types = [pa.timestamp("us", "UTC") if name == "timestamp" else pa.string() for name in columns]
    schema = pa.schema(list(zip(columns, types, strict=True)))
    values = [_VALUES[name] for name in columns]

    def batches() -> Iterator[Any]:
        stream = iter(records)
        while some := list(islice(stream, _BATCH)):
            arrays = [
                pa.array(list(map(value, some)), kind) for value, kind in zip(values, types, strict=True)
            ]
            yield pa.record_batch(arrays, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


_VALUES: Mapping[str, Callable[[Record], Any]] = {
    "pattern_id": itemgetter("pattern_id"),
    "pattern_type": itemgetter("pattern_type"),
    "timestamp": moment_of,
    "version": lambda record: record.get("version"),
    "data": lambda record: _json(record["data"]),
    "context": lambda record: _json(record["context"]) if "context" in record else None,
}


def chosen(records: Iterable[Record], columns: Sequence[str]) -> pyarrow.Table:
    """Return a table of the values at some paths. Raises `QueryError` for what is no path."""
    paths = [field(column).path for column in columns]
    values: list[list[Any]] = [[] for _ in paths]
    for record in records:
        for path, column in zip(paths, values, strict=True):
            found = moment_of(record) if path == ("timestamp",) else reach(record, path)
            column.append(None if found is MISSING else found)
    pa = arrow()
    utc = pa.timestamp("us", "UTC")
    arrays = [
        pa.array(column, utc) if path == ("timestamp",) else typed(column)
        for path, column in zip(paths, values, strict=True)
    ]
    return pa.table(dict(zip(columns, arrays, strict=True)))


def flat(records: Iterable[Record]) -> pyarrow.Table:
    """Return a table with a column for each path that leads to a value in any of the records."""
    rows = [dict(_leaves(record)) for record in records]
    names = dict.fromkeys(("pattern_id", "pattern_type", "timestamp", "version"))
    for row in rows:
        names.update(dict.fromkeys(row))
    return table(rows, list(names), utc=("timestamp",))


def _leaves(record: Record) -> Iterator[tuple[str, Any]]:
    yield "pattern_id", record["pattern_id"]
    yield "pattern_type", record["pattern_type"]
    yield "timestamp", moment_of(record)
    if "version" in record:
        yield "version", record["version"]
    for root in ("data", "context"):
        if isinstance(record.get(root), dict):
            yield from _inside(root, record[root])


def _inside(place: str, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in found.items():
        if isinstance(value, dict) and value:
            yield from _inside(f"{place}.{key}", value)
        else:
            yield f"{place}.{key}", value


def table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], utc: Sequence[str] = ()
) -> pyarrow.Table:
    """Return rows as a table; `utc` names the columns with UTC microseconds."""
    pa = arrow()
    arrays = {}
    for name in columns:
        values = [row.get(name) for row in rows]
        arrays[name] = pa.array(values, pa.timestamp("us", "UTC")) if name in utc else typed(values)
    return pa.table(arrays)


def typed(values: Sequence[Any]) -> pyarrow.Array:
    """Return values as an array of the one type that they have; of several, or nested ones, as JSON texts."""
    pa = arrow()
    kinds = set(map(kind_of, values))
    if kinds - {type(None)} == {datetime}:
        zone = next(value for value in values if value is not None).tzinfo
        return pa.array(values, pa.timestamp("us", str(zone)))
    return column(values, type_of(kinds))


class _Large(int):
    """Stands for integers of which a float has not all digits."""


def kind_of(value: Any) -> type:
    """Return what `type_of` has to know of a value."""
    return _Large if type(value) is int and abs(value) > _EXACT else type(value)


def type_of(kinds: set[type]) -> pyarrow.DataType:
    """Return the type of a column for values of these kinds, null aside."""
    pa = arrow()
    known = {bool: pa.bool_(), int: pa.int64(), _Large: pa.int64(), float: pa.float64(), str: pa.string()}
    types = {known.get(kind, pa.large_string()) for kind in kinds - {type(None)}}
    if kinds - {type(None)} == {int, float}:
        return pa.float64()
    if len(types) == 1:
        return types.pop()
    return pa.large_string() if types else pa.null()


def column(values: Sequence[Any], kind: pyarrow.DataType) -> pyarrow.Array:
    """Return values as an array of a type of `type_of`: of several types, or nested, they are JSON texts."""
    pa = arrow()
    if kind == pa.large_string():
        return pa.array([None if value is None else _json(value) for value in values], kind)
    if kind == pa.float64():
        return pa.array([None if value is None else float(value) for value in values], kind)
    return pa.array(values, kind)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()

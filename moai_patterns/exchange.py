"""Records as files that other programs read, and back: JSON Lines, CSV and Parquet.

A whole record comes back as it was from each of them. In CSV and Parquet it has the columns `pattern_id`,
`pattern_type`, `timestamp` (as it was written), `version`, and as JSON texts `data`, `context` and `extra`,
which holds further members of the envelope. Parquet adds `instant`, a UTC timestamp. What is absent is empty
or null.

Parquet needs the extra `arrow`.
"""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO, Literal, NamedTuple

import orjson

from moai_patterns import jsonlines, tables
from moai_patterns.conditions import field
from moai_patterns.errors import QueryError, ValidationError
from moai_patterns.query import Record, content
from moai_patterns.validation.faults import describe
from moai_patterns.values import MISSING, reach, shortened

Format = Literal["jsonl", "csv", "parquet"]
Known = Literal["overwrite", "merge", "skip"]
Paths = Sequence[tuple[str, ...]]
_SUFFIXES: Mapping[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}
_COLUMNS = (*tables.WHOLE, "extra")
_NEEDED = ("pattern_id", "pattern_type", "timestamp", "data")
_JSON = ("data", "context", "extra")
_BATCH = 1000
_GROUP = 20_000  # rows of Parquet that are held until they are written
_LONGEST = 1 << 27  # characters of a cell


def format_of(path: str, given: str | None = None) -> Format:
    """Return the format of a file, by its ending unless it is given. Raises `QueryError` for another."""
    known = ", ".join(dict.fromkeys(_SUFFIXES.values()))
    if given is not None:
        if given not in _SUFFIXES.values():
            raise QueryError(f"the format is one of {known}, not {shortened(given)}")
        return given  # type: ignore[return-value]
    found = ending(path)
    if found is None:
        raise QueryError(f"the ending of {shortened(path)} names no format; give one of {known}")
    return found


def ending(path: str) -> Format | None:
    """Return the format that the ending of a file names, None for another.

    >>> ending("calls.CSV"), ending("/dev/stdout")
    ('csv', None)
    """
    return _SUFFIXES.get(os.path.splitext(path)[1].lower())


def write(
    file: BinaryIO, records: Iterable[Record], form: Format, fields: Sequence[str] | None = None
) -> Iterator[Record]:
    """Write stored records, and yield each when it is about to be written.

    Parameters:
        file: takes the bytes.
        records: with `_meta`.
        form: the format.
        fields: paths of which the values are written under their names, instead of the whole record.

    Raises `QueryError` for what is no path, `MissingExtraError` where Parquet cannot be written.
    """
    paths = None if fields is None else [field(name).path for name in fields]
    names = () if fields is None else tuple(fields)
    if form == "jsonl":
        return _write_lines(file, records, names, paths)
    if form == "csv":
        return _write_csv(file, records, names, paths)
    return _write_parquet(file, records) if paths is None else _write_columns(file, records, names, paths)


def _write_lines(
    file: BinaryIO, records: Iterable[Record], names: Sequence[str], paths: Paths | None
) -> Iterator[Record]:
    for record in records:
        yield record
        told = content(record) if paths is None else _chosen(record, names, paths)
        file.write(orjson.dumps(told) + b"\n")


def _write_csv(
    file: BinaryIO, records: Iterable[Record], names: Sequence[str], paths: Paths | None
) -> Iterator[Record]:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        rows = csv.writer(text)
        rows.writerow(_COLUMNS if paths is None else names)
        for record in records:
            yield record
            if paths is None:
                cells = _cells(record)
                rows.writerow([cells[name] for name in _COLUMNS])
            else:
                values = _chosen(record, names, paths)
                rows.writerow([_cell(values.get(name)) for name in names])
    finally:
        text.detach()  # the file stays open for whoever opened it


def _write_parquet(file: BinaryIO, records: Iterable[Record]) -> Iterator[Record]:
    pa = tables.arrow()
    from pyarrow import parquet

    text = pa.string()
    schema = pa.schema([*((name, text) for name in _COLUMNS), ("instant", pa.timestamp("us", "UTC"))])
    stream = iter(records)
    with parquet.ParquetWriter(file, schema) as writer:
        while some := list(islice(stream, _GROUP)):
            yield from some
            rows = [{**_cells(record), "instant": record["_meta"]["instant"]} for record in some]
            writer.write_table(pa.Table.from_pylist(rows, schema))


def _write_columns(
    file: BinaryIO, records: Iterable[Record], names: Sequence[str], paths: Paths
) -> Iterator[Record]:
    """Write chosen values: until all types are known they wait in a file."""
    pa = tables.arrow()
    from pyarrow import parquet

    kinds: dict[str, set[type]] = {name: set() for name in names}
    with tempfile.TemporaryFile() as waiting:
        for record in records:
            yield record
            values = _chosen(record, names, paths)
            for name, value in values.items():
                kinds[name].add(tables.kind_of(value))
            waiting.write(orjson.dumps(values) + b"\n")
        waiting.seek(0)
        types = {name: tables.type_of(kinds[name]) for name in names}
        schema = pa.schema(list(types.items()))
        with parquet.ParquetWriter(file, schema) as writer:
            while some := list(islice(waiting, _GROUP)):
                rows = list(map(orjson.loads, some))
                columns = [tables.column([row.get(name) for row in rows], types[name]) for name in names]
                writer.write_table(pa.table(columns, schema=schema))


def _chosen(record: Record, names: Sequence[str], paths: Paths) -> dict[str, Any]:
    found = ((name, reach(record, path)) for name, path in zip(names, paths, strict=True))
    return {name: value for name, value in found if value is not MISSING}


def _cells(record: Record) -> dict[str, Any]:
    extra = {name: value for name, value in record.items() if name not in (*tables.WHOLE, "_meta")}
    parts = {"data": record["data"], "context": record.get("context"), "extra": extra or None}
    texts = {name: None if value is None else orjson.dumps(value).decode() for name, value in parts.items()}
    return {**{name: record.get(name) for name in tables.WHOLE[:4]}, **texts}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def read(file: BinaryIO, form: Format, name: str) -> Generator[tuple[str, Record], None, None]:
    """Yield the records of a file, each behind its place. Raises `ValidationError` with a place."""
    if form == "jsonl":
        return ((place, jsonlines.record(line, place)) for place, line in jsonlines.numbered(file, name))
    return _read_csv(file, name) if form == "csv" else _read_parquet(file, name)


def _read_csv(file: BinaryIO, name: str) -> Generator[tuple[str, Record], None, None]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    before = csv.field_size_limit(_LONGEST)  # of all readers of this process
    rows = csv.reader(text, strict=True)
    try:
        columns = next(rows, [])
        _must_be_whole(columns, name)
        for row in filter(None, rows):  # a line may be blank
            place = f"{name}, line {rows.line_num}"
            if len(row) != len(columns):
                raise ValidationError(f"{place}: {len(row)} cells under {len(columns)} columns")
            cells = {key: cell or None for key, cell in zip(columns, row, strict=True)}
            yield place, _record(cells, place)
    except csv.Error as error:
        raise ValidationError(f"{name}, line {rows.line_num}: no CSV: {error}") from None
    except UnicodeDecodeError as error:
        place = f"{name}, behind line {rows.line_num}"
        raise ValidationError(f"{place}: byte {error.start} is not UTF-8") from None
    finally:
        csv.field_size_limit(before)
        text.detach()


def _read_parquet(file: BinaryIO, name: str) -> Generator[tuple[str, Record], None, None]:
    pa = tables.arrow()
    from pyarrow import parquet

    try:
        source = parquet.ParquetFile(file)
        _must_be_whole(source.schema_arrow.names, name)
        number = 0
        columns = [name for name in _COLUMNS if name in source.schema_arrow.names]
        for batch in source.iter_batches(_BATCH, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield f"{name}, row {number}", _record(row, f"{name}, row {number}")
    except (pa.ArrowException, OSError) as error:
        raise ValidationError(f"{name}: no Parquet that can be read: {error}") from None


def _must_be_whole(columns: Sequence[str], name: str) -> None:
    missing = [column for column in _NEEDED if column not in columns]
    if missing:
        raise ValidationError(f"{name}: a record needs the columns {', '.join(missing)}, which are not there")


def _record(cells: Mapping[str, Any], place: str) -> Record:
    record: Record = {}
    for name in tables.WHOLE:
        value = cells.get(name)
        if value is not None:
            record[name] = _json(value, f"{place}, {name}") if name in _JSON else value
    extra = cells.get("extra")
    if extra is not None:
        further = _json(extra, f"{place}, extra")
        if not isinstance(further, dict) or not further.keys().isdisjoint(tables.WHOLE):
            raise ValidationError(f"{place}, extra: it holds an object with other members of the envelope")
        record.update(further)
    return record


def _json(cell: Any, place: str) -> Any:
    if not isinstance(cell, str):
        raise ValidationError(f"{place}: a JSON text stands here, not {describe(cell)}")
    return jsonlines.parse(cell, place)


class Exported(NamedTuple):
    """How many records were written, and the cursor behind the last of them."""

    records: int
    cursor: str | None


class Imported(NamedTuple):
    """What became of the records of a file: new, a further revision, known already, or left out as known."""

    added: int = 0
    revised: int = 0
    unchanged: int = 0
    skipped: int = 0

    def plus(self, other: Imported) -> Imported:
        """Return the sum."""
        return Imported(*map(sum, zip(self, other, strict=True)))


def resolved(
    batch: Iterable[tuple[str, Record]], stored: Mapping[str, Record], known: Known
) -> Iterator[tuple[str, Record]]:
    """Yield what is to be saved of a batch, where records with some ids are stored already.

    >>> old = {"a": {"pattern_id": "a", "data": {"x": 1, "y": 2}}}
    >>> list(resolved([("line 1", {"pattern_id": "a", "data": {"y": 3}})], old, "merge"))
    [('line 1', {'pattern_id': 'a', 'data': {'x': 1, 'y': 3}})]
    """
    latest = dict(stored)
    for place, given in batch:
        identity = given.get("pattern_id")
        old = latest.get(identity) if isinstance(identity, str) else None
        if old is not None and known == "skip":
            continue
        record = _merged(old, given) if old is not None and known == "merge" else given
        if isinstance(identity, str):
            latest[identity] = record
        yield place, record


def _merged(stored: Any, given: Any) -> Any:
    """Return what is stored with all that is given, member by member; of two values the given one counts."""
    if not isinstance(stored, dict) or not isinstance(given, dict):
        return given
    both = {key: _merged(stored[key], value) if key in stored else value for key, value in given.items()}
    return {**stored, **both}

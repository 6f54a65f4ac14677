"""SQL over a store by DuckDB, which asks for the columns, days and kinds that it needs.

Needs the extra `sql`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from moai_patterns import schema
from moai_patterns.backends.base import BackendBase
from moai_patterns.errors import MissingExtraError, PatternError, QueryError
from moai_patterns.instant import DAY
from moai_patterns.query import Query, Record
from moai_patterns.results import Rows
from moai_patterns.tables import WHOLE, arrow, reader

if TYPE_CHECKING:
    import duckdb
    import pyarrow

_ENVELOPE = ("pattern_id", "timestamp", "version", "data", "context")
_TYPES = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "string": "VARCHAR"}
_TEXT = "'"
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATTERNS = """CREATE VIEW patterns AS
    SELECT pattern_id, pattern_type, timestamp, version,
        CAST(data AS JSON) AS data, CAST(context AS JSON) AS context
    FROM captures"""


def sql(backend: BackendBase, statement: str, parameters: Sequence[Any] | Mapping[str, Any] | None) -> Rows:
    """Return what one SELECT finds: see `PatternStorage.sql`."""
    try:
        import duckdb
    except ImportError:
        raise MissingExtraError("sql()", "duckdb", "sql") from None
    arrow()
    captures = _captures(backend)
    with duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("captures", captures)
        connection.execute(_PATTERNS)
        for kind in schema.kinds():
            connection.execute(_view(kind))
        # What only reads may not read or write files either.
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        try:
            _must_read(connection, statement)
            return Rows(connection.sql(statement, params=parameters).to_arrow_table())
        except PatternError:
            raise
        except (duckdb.Error, TypeError, ValueError) as error:
            if captures.fault is not None:
                raise captures.fault from None
            sentence = _mistake(connection, statement, parameters, error)
            raise QueryError(f"the statement cannot be answered: {sentence}") from None


def _mistake(connection: Any, statement: str, parameters: Any, error: Exception) -> str:
    """Return what DuckDB says, with the place of a wrong name, which it tells in this way alone."""
    import duckdb

    if isinstance(error, duckdb.BinderException):
        try:
            connection.execute(statement, parameters)
        except duckdb.Error as again:
            return str(again)
    return str(error)


def _must_read(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    import duckdb

    if not isinstance(statement, str):
        raise QueryError(f"a statement is text, not {type(statement).__name__}")
    found = connection.extract_statements(statement)
    if len(found) != 1:
        raise QueryError(f"one statement at a time, not {len(found)}")
    if found[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        kind = str(found[0].type).rpartition(".")[2]
        raise QueryError(
            f"only SELECT and EXPLAIN are answered, not {kind}: a store is written by save() alone"
        )


def _view(kind: str) -> str:
    """Return the statement for a kind's view: a column for each member of the payload in its schema."""
    properties = schema.json_schema(kind).get("properties", {})
    columns = [name for name in _ENVELOPE if name not in properties]
    for name, rule in properties.items():
        if _WORD.fullmatch(name):
            columns.append(f"{_typed(name, _type(rule))} AS {_quoted(name)}")
    rows = f"patterns WHERE pattern_type = {_quoted(kind, by=_TEXT)}"
    return f"CREATE VIEW {_quoted(kind)} AS SELECT {', '.join(columns)} FROM {rows}"  # noqa: S608


def _typed(name: str, wanted: str) -> str:
    if wanted == "JSON":
        return f"data -> '$.{name}'"
    return f"TRY_CAST(data ->> '$.{name}' AS {wanted})"


def _type(rule: Any) -> str:
    stated = rule.get("type") if isinstance(rule, dict) else None
    kinds = [each for each in ([stated] if isinstance(stated, str) else stated or []) if each != "null"]
    return _TYPES.get(kinds[0], "JSON") if len(kinds) == 1 else "JSON"


def _quoted(name: str, by: str = '"') -> str:
    return by + name.replace(by, by * 2) + by


def _captures(backend: BackendBase) -> Any:
    """Return a store as a dataset of Arrow, which hears what columns are read, and which rows count."""
    import pyarrow.dataset

    class Captures(pyarrow.dataset.Dataset):  # type: ignore[misc]
        fault: BaseException | None = None

        def __init__(self) -> None:
            """Be nothing but an answer to `scanner`."""

        @property
        def schema(self) -> pyarrow.Schema:
            return reader(()).schema

        def scanner(self, columns: Sequence[str] | None = None, **options: Any) -> Any:
            filter = options.get("filter")  # noqa: A001  Arrow's name for it
            read = WHOLE if columns is None else _needed(columns, filter)
            source = reader(self._records(filter), read)
            return pyarrow.dataset.Scanner.from_batches(source, columns=columns, filter=filter)

        def _records(self, wanted: Any) -> Iterator[Record]:
            try:
                for query in _queries(backend, wanted):
                    yield from backend.scan(query)
            except PatternError as error:
                self.fault = error
                raise

    return Captures()


def _needed(columns: Sequence[str], wanted: Any) -> tuple[str, ...]:
    """Return what must be read: a filter may be about more than is asked for, and its text says what."""
    written = "" if wanted is None else str(wanted)
    return tuple(name for name in WHOLE if name in columns or name in written)


def _queries(backend: BackendBase, wanted: Any) -> Iterator[Query]:
    """Yield the questions for all that a filter of Arrow can let through: days in a row, and their kinds."""
    if wanted is None:
        yield Query(order="oldest")
        return
    possible = _possible(backend.days(), wanted)
    numbered = enumerate(sorted(possible))
    for _, group in groupby(numbered, key=lambda pair: pair[1] - pair[0]):
        days = [day for _, day in group]
        kinds = sorted({kind for day in days for kind in possible[day]})
        yield Query(kinds, days[0] * DAY, (days[-1] + 1) * DAY - 1, order="oldest")


def _possible(days: Mapping[int, Mapping[str, int]], wanted: Any) -> dict[int, set[str]]:
    """Return the kinds, day by day, of which records can pass a filter: to Arrow these are partitions."""
    pa = arrow()
    import pyarrow.fs
    from pyarrow import dataset

    utc = pa.timestamp("us", "UTC")
    pairs = [(day, kind) for day, kinds in days.items() for kind in kinds]
    if not pairs:
        return {}
    moment, of_kind = dataset.field("timestamp"), dataset.field("pattern_type")
    parts = [
        (moment >= pa.scalar(day * DAY, utc)) & (moment < pa.scalar((day + 1) * DAY, utc)) & (of_kind == kind)
        for day, kind in pairs
    ]
    listed = dataset.FileSystemDataset.from_paths(
        [str(number) for number in range(len(pairs))],
        schema=reader(()).schema,
        format=dataset.IpcFileFormat(),
        filesystem=pyarrow.fs.LocalFileSystem(),
        partitions=parts,
    )
    found: dict[int, set[str]] = {}
    for fragment in listed.get_fragments(filter=wanted):
        day, kind = pairs[int(fragment.path)]
        found.setdefault(day, set()).add(kind)
    return found

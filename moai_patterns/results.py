"""What questions return: records and figures as lists, as tables, and as notebooks show them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, overload

from moai_patterns import shown
from moai_patterns.errors import MissingExtraError
from moai_patterns.query import Query, Record, content

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

_SHOWN = 20
_BATCH = 1000


class Table(Sequence[Record]):
    """Rows that become a table of Arrow, pandas or Polars, or one in a notebook."""

    @abstractmethod
    def to_arrow(self, columns: Sequence[str] | None = None, *, flatten: bool = False) -> pyarrow.Table:
        """Return an Arrow table."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand the table out by the Arrow PyCapsule interface, to whatever takes Arrow."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_pandas(self, columns: Sequence[str] | None = None, *, flatten: bool = False) -> pandas.DataFrame:
        """Return a DataFrame of pandas; the parameters are those of `to_arrow`. Needs the extra `pandas`."""
        try:
            import pandas  # noqa: F401  pyarrow says less about what is missing
        except ImportError:
            raise MissingExtraError("to_pandas()", "pandas", "pandas") from None
        frame: pandas.DataFrame = self.to_arrow(columns, flatten=flatten).to_pandas()
        return frame

    def to_polars(self, columns: Sequence[str] | None = None, *, flatten: bool = False) -> polars.DataFrame:
        """Return a DataFrame of Polars; the parameters are those of `to_arrow`. Needs the extra `polars`."""
        try:
            import polars
        except ImportError:
            raise MissingExtraError("to_polars()", "polars", "polars") from None
        return polars.DataFrame(self.to_arrow(columns, flatten=flatten))

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """A list, for `isinstance`: what the document returns is one.

        Not by inheritance, for pyarrow takes any list for one of columns before it asks for Arrow.
        """
        return list

    def __eq__(self, other: object) -> bool:
        """Compare with any list, record by record."""
        return isinstance(other, list) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Iterable[Record]) -> list[Record]:
        return [*self, *other]

    def __radd__(self, other: Iterable[Record]) -> list[Record]:
        return [*other, *self]


class _Held(Table):
    """Rows that have been read."""

    def __init__(self, rows: Iterable[Record]) -> None:
        self._rows = list(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._rows)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        return self._rows[place]

    def __repr__(self) -> str:
        return repr(self._rows)


class Results(Table):
    """The records that answer a query.

    With a limit they are a list, read when they were asked for, and `cursor` continues behind the last of
    them when it is given to the same query; it is None at the end. Without a limit they are read while one
    iterates, anew each time; then `len` counts them without reading, and `[a:b]` reads no more than `b`.

    >>> from moai_patterns import PatternStorage
    >>> with PatternStorage("memory") as storage:
    ...     name = storage.capture("tool_use", {"tool_name": "Bash"})
    ...     found = storage.query("tool_use", limit=None)
    ...     len(found), found[0]["data"], storage.query() == found
    (1, {'tool_name': 'Bash'}, True)
    """

    cursor: str | None = None

    @abstractmethod
    def _stored(self) -> Iterator[Record]:
        """Yield the records as they are stored, with `_meta`."""

    def to_arrow(self, columns: Sequence[str] | None = None, *, flatten: bool = False) -> pyarrow.Table:
        """Return an Arrow table; `timestamp` is the instant in UTC.

        Parameters:
            columns: paths, like `data.duration_ms`: a column of the values at each of them. Default: the
                envelope, with `data` and `context` as JSON texts.
            flatten: a column for each path that leads to a value in any of the records, instead.

        A column has the type that all its values have; where they have several, or are nested, they stand
        in it as JSON texts. Needs the extra `arrow`. Raises `QueryError` for what is no path.
        """
        from moai_patterns import tables

        if columns is not None:
            return tables.chosen(self._stored(), columns)
        return tables.flat(self._stored()) if flatten else tables.reader(self._stored()).read_all()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand the records out by the Arrow PyCapsule interface, a thousand at a time."""
        from moai_patterns import tables

        return tables.reader(self._stored()).__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        first = list(islice(self, _SHOWN + 1))
        more = f"the first {_SHOWN} of {len(self):,}" if len(first) > _SHOWN else f"{len(first)}"
        return shown.records(first[:_SHOWN], f"{more} records")


class Page(_Held, Results):
    """The records that answer a query with a limit."""

    def __init__(self, stored: Iterable[Record] = (), cursor: str | None = None) -> None:
        self._as_stored = list(stored)
        super().__init__(map(content, self._as_stored))
        self.cursor = cursor

    def _stored(self) -> Iterator[Record]:
        return iter(self._as_stored)


class LazyResults(Results):
    """The records that answer a query without a limit, read while one iterates."""

    def __init__(
        self, scan: Callable[[Query], Iterator[Record]], count: Callable[[Query], int], query: Query
    ) -> None:
        self._scan = scan
        self._count = count
        self.query = query

    def _stored(self) -> Iterator[Record]:
        return self._scan(self.query)

    def __iter__(self) -> Iterator[Record]:
        return map(content, self._scan(self.query))

    def __len__(self) -> int:
        return self._count(self.query)

    def __bool__(self) -> bool:
        return next(self._scan(self.query.but(limit=1)), None) is not None

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Results | list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | Results | list[Record]:
        if isinstance(place, slice):
            return self._part(place)
        at = place if place >= 0 else place + len(self)
        found = next(islice(self._scan(self.query.but(limit=at + 1)), at, None), None) if at >= 0 else None
        if found is None:
            raise IndexError("there are fewer records")
        return content(found)

    def _part(self, place: slice) -> Results | list[Record]:
        start, stop = place.start or 0, place.stop
        if place.step not in (None, 1) or start < 0 or (stop or 0) < 0:
            return list(self)[place]
        if stop is not None:
            found = list(islice(self._scan(self.query.but(limit=stop)), start, None))
            more = len(found) == stop - start and found
            return Page(found, self.query.cursor_after(found[-1]) if more else None)
        if not start:
            return self
        before = next(islice(self._scan(self.query.but(limit=start)), start - 1, None), None)
        if before is None:
            return Page()
        return LazyResults(self._scan, self._count, self.query.but(cursor=self.query.cursor_after(before)))

    def __repr__(self) -> str:
        return f"<LazyResults of {self.query!r}>"


class Groups(_Held):
    """The groups of an aggregation, each a dict of its keys and figures."""

    def __init__(self, rows: Iterable[Record], columns: Sequence[str]) -> None:
        super().__init__(rows)
        self.columns = tuple(columns)

    def to_arrow(self, columns: Sequence[str] | None = None, *, flatten: bool = False) -> pyarrow.Table:
        """Return an Arrow table; `columns` names some of them, and there is nothing to flatten."""
        from moai_patterns import tables

        return tables.table(self, self.columns if columns is None else columns)

    def _repr_html_(self) -> str:
        return shown.rows(self, self.columns, f"{len(self)} groups")


class Rows(Table):
    """What a statement in SQL returns, each row a dict of its columns."""

    def __init__(self, table: pyarrow.Table) -> None:
        self._table = table

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self._table.column_names)

    def to_arrow(self, columns: Sequence[str] | None = None, *, flatten: bool = False) -> pyarrow.Table:
        """Return the Arrow table; `columns` names some of its columns, and there is nothing to flatten."""
        return self._table if columns is None else self._table.select(list(columns))

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[Record]:
        for batch in self._table.to_batches(max_chunksize=_BATCH):
            yield from batch.to_pylist()

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        at = range(len(self))[place]
        (row,) = self._table.slice(at, 1).to_pylist()
        return dict(row)

    def __repr__(self) -> str:
        return repr(list(self))

    def _repr_html_(self) -> str:
        first = self[:_SHOWN]
        more = f"the first {_SHOWN} of {len(self):,}" if len(self) > _SHOWN else f"{len(self)}"
        return shown.rows(first, self.columns, f"{more} rows")

"""The half of a storage that asks: records, pages, figures, SQL; the same on every backend."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack, overload

from moai_patterns import exchange
from moai_patterns.aggregates import Aggregation, Metric
from moai_patterns.backends.base import BackendBase
from moai_patterns.errors import QueryError
from moai_patterns.exchange import Exported, Format
from moai_patterns.moments import Bound
from moai_patterns.query import Further, Query, Record, content
from moai_patterns.results import Groups, LazyResults, Page, Results, Rows
from moai_patterns.target import written
from moai_patterns.values import shortened, text

if TYPE_CHECKING:
    from moai_patterns.notebook.plot import Plots


BATCH = 1000  # records that are told of at once


class Questions:
    """Asks a backend: what `PatternStorage` inherits."""

    _backend: BackendBase

    def load(self, pattern_id: str) -> Record | None:
        """Return the record of this id as it was saved, or None when there is none."""
        if not isinstance(pattern_id, str):
            raise QueryError(f"an id is text, not {type(pattern_id).__name__}")
        found = self._backend.get(text(pattern_id))
        return None if found is None else content(found)

    def get_many(self, ids: Iterable[str]) -> list[Record | None]:
        """Return the records of these ids in their order, None where there is none."""
        if isinstance(ids, str) or not isinstance(ids, Iterable):
            raise QueryError(f"ids takes several ids, not {shortened(ids)}")
        wanted = list(ids)
        found = {r["pattern_id"]: content(r) for r in self._backend.scan(Query(ids=wanted, limit=None))}
        return [found.get(identity) for identity in wanted]

    @overload
    def query(
        self,
        pattern_type: str | Sequence[str] | None = None,
        start_date: Bound = None,
        end_date: Bound = None,
        limit: int = 100,
        tags: Sequence[str] | None = None,
        **more: Unpack[Further],
    ) -> Page: ...
    @overload
    def query(
        self,
        pattern_type: str | Sequence[str] | Query | None = None,
        start_date: Bound = None,
        end_date: Bound = None,
        limit: int | None = 100,
        tags: Sequence[str] | None = None,
        **more: Unpack[Further],
    ) -> Results: ...
    def query(
        self,
        pattern_type: str | Sequence[str] | Query | None = None,
        start_date: Bound = None,
        end_date: Bound = None,
        limit: int | None = 100,
        tags: Sequence[str] | None = None,
        **more: Unpack[Further],
    ) -> Results:
        """Return the records that answer, newest first; both date bounds are inclusive.

        The parameters are those of `Query`, and a `Query`, with the limit that it says, may stand in the
        place of them all. With a limit they are read at once and returned as a list, without one while one
        iterates. Raises `QueryError` for a value without meaning.
        """
        if isinstance(pattern_type, Query):
            question = pattern_type
            if more or (start_date, end_date, limit, tags) != (None, None, 100, None):
                raise QueryError("give a Query or its parameters, not both")
        else:
            question = Query(pattern_type, start_date, end_date, limit, tags, **more)
        if question.limit is None:
            return LazyResults(self._backend.scan, self._backend.count, question)
        found = list(self._backend.scan(question))
        full = bool(found) and len(found) == question.limit
        return Page(found, question.cursor_after(found[-1]) if full else None)

    def iter(self, query: Query | None = None, **parameters: Any) -> Iterator[Record]:
        """Yield the records that answer, one by one in constant memory; no limit unless given.

        Takes the parameters of `query`, or a `Query`.
        """
        return map(content, self._backend.scan(_unlimited(query, parameters)))

    def count(self, query: Query | None = None, **parameters: Any) -> int:
        """Return how many records answer; takes what `iter` takes."""
        return self._backend.count(_unlimited(query, parameters))

    def aggregate(
        self,
        query: Query | None = None,
        *,
        group_by: Sequence[str] = (),
        every: str | None = None,
        tz: str = "UTC",
        metrics: Mapping[str, Metric] | None = None,
        **parameters: Any,
    ) -> Groups:
        """Return figures about the records that answer, for each group a dict, in the order of the groups.

        Takes what `iter` takes, and what `Aggregation` says. The same on every backend, to the last digit.
        Raises `QueryError` for what has no meaning.

        >>> from moai_patterns import PatternStorage
        >>> with PatternStorage("memory") as storage:
        ...     for tool in ("Bash", "Read", "Bash"):
        ...         _ = storage.capture("tool_use", {"tool_name": tool})
        ...     storage.aggregate(group_by=["data.tool_name"])
        [{'data.tool_name': 'Bash', 'n': 2}, {'data.tool_name': 'Read', 'n': 1}]
        """
        asked = Aggregation(group_by, every, tz, metrics)
        rows = self._backend.aggregate(_unlimited(query, parameters), asked).rows()
        return Groups(rows, asked.columns)

    def explain(
        self, query: Query | None = None, figures: Aggregation | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """Return what a question, or figures about its answer, would read, without asking it.

        `reads` says it in words; `pushed_down` names the parts of the question that are decided before a
        record is read, `per_record` those that are decided by reading it. A tree adds how much lies in the
        days, SQLite its statement and plan. Takes what `iter` takes.
        """
        return self._backend.explain(_unlimited(query, parameters), figures)

    def export_to(
        self,
        path: str | os.PathLike[str],
        query: Query | None = None,
        *,
        form: Format | None = None,
        fields: Sequence[str] | None = None,
        on_batch: Callable[[int], None] = lambda records: None,
        **parameters: Any,
    ) -> Exported:
        """Write the records that answer into a file, and return how many, and the cursor behind the last.

        Parameters:
            path: the file; replaced when all is written, readable by its owner alone.
            form: `jsonl`, `csv` or `parquet` (which needs the extra `arrow`). Default: by the file's ending.
            fields: paths of which the values are written, instead of whole records, which alone can be
                imported again.
            on_batch: hears how many records each step has written.

        Takes what `iter` takes. In the order `arrival` the cursor, given as `cursor=`, leads to what came
        since. Raises `QueryError` for what has no meaning, `StoreError` where the file cannot be written.
        """
        asked = _unlimited(query, parameters)
        name = os.fspath(path)
        chosen = exchange.format_of(name, form)
        records, last = 0, None
        with written(name) as file:
            for record in exchange.write(file, self._backend.scan(asked), chosen, fields):
                last = record
                records += 1
                if records % BATCH == 0:
                    on_batch(BATCH)
        on_batch(records % BATCH)
        return Exported(records, asked.cursor if last is None else asked.cursor_after(last))

    @property
    def plot(self) -> Plots:
        """Charts of Altair: `timeline`, `durations`, `errors` and `heatmap`. Needs the extra `plot`."""
        from moai_patterns.notebook.plot import Plots

        return Plots(self._backend)

    def sql(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> Rows:
        """Return what a SELECT of DuckDB finds in the table `patterns`, or in the view of a kind.

        `patterns` has the columns `pattern_id`, `pattern_type`, `timestamp` (in UTC), `version`, and as JSON
        `data` and `context`. The view of a kind has its name, and a typed column for each member of the
        payload in its schema. Only days and kinds that the statement can be about are read. `parameters`
        stand for `?` or `$name` in it. Needs the extra `sql`.
        Raises `QueryError` for a statement that is wrong, or that would write.
        """
        from moai_patterns.notebook.sql import sql

        return sql(self._backend, statement, parameters)


def _unlimited(query: Query | None, parameters: dict[str, Any]) -> Query:
    if query is not None and parameters:
        raise QueryError("give a Query or its parameters, not both")
    if query is not None and not isinstance(query, Query):
        raise QueryError(f"query is a Query, not {shortened(query)}; a kind is given as pattern_type=...")
    try:
        return query or Query(**parameters)
    except TypeError as error:
        raise QueryError(str(error).replace("Query.__init__() ", "")) from None

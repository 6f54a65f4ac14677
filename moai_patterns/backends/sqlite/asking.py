"""From a query to SQL: exact in everything but `where`, of which a superset is let through.

Every branch of a statement reads one index in the order of the answer, and several branches are merged:
SQLite neither sorts the answer nor holds it. What is asked for never becomes part of the text, but for
the number of branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple

import orjson

from moai_patterns.aggregates import Aggregation
from moai_patterns.backends.sqlite import aggregating, layout
from moai_patterns.backends.sqlite.indexing import UP_TO, WAITING, WAITING_TAGS
from moai_patterns.backends.sqlite.pushdown import superset
from moai_patterns.conditions import condition
from moai_patterns.query import Query

# Each branch is one more cursor in the merge; beyond, one walk over all kinds by time is cheaper.
_MOST_BRANCHES = 8
_MOST_BOUND = 100
_ORDERS = {
    "newest": "instant DESC, pattern_id DESC, revision DESC",
    "oldest": "instant, pattern_id, revision",
    "arrival": "seq",
}
_INT64 = 2**63 - 1


# A writer of an older layout, which has the file open yet, adds the tags of rows that wait.
_IN_TAGS = f"t.seq <= {UP_TO}"


class Statement(NamedTuple):
    """SQL with its parameters.

    `exact`: it is the answer, limit included, and not a superset of it without one.
    `repeats`: a record may come several times in a row, and the limit is still to be applied.
    `waiting`: the statement for what may belong to the answer and is not in the indexes that this one goes by
    (`rows.waiting` reads it); empty for none. To be asked at the same moment.
    """

    sql: str
    parameters: dict[str, Any]
    exact: bool
    repeats: bool = False
    waiting: str = ""


def select(query: Query) -> Statement | None:
    """Return the statement for whole rows in the query's order, or None when nothing can match."""
    asked = _Asked(query)
    if asked.empty:
        return None
    # A record with several of the tags comes once for each: leaving it out of all branches but one would
    # make those walk over every record that they leave out.
    times = asked.tag_branches
    sql = " UNION ALL ".join(asked.branches(layout.NAMES)) + _order(query)
    if asked.exact and query.limit is not None:
        sql += f" LIMIT {asked.bind(min(query.limit * times, _INT64))}"
    return Statement(sql, asked.parameters, asked.exact, times > 1, asked.waiting)


def select_numbers(query: Query) -> Statement | None:
    """Return the statement for the arrival numbers of the answer, each once and in no order."""
    asked = _Asked(query)
    if asked.empty:
        return None
    return Statement(_numbers(asked), asked.parameters, asked.exact, waiting=asked.waiting)


def select_values(query: Query, asked: Aggregation, grid: tuple[int, int]) -> Statement | None:
    """Return the statement that groups what answers, as `grouped.count` reads it.

    None where nothing can match, and where SQL does not know exactly what does, or what it is.
    """
    found = _Asked(query)
    whole = query.limit is None and query.after is None and query.revisions == "heads"
    if found.empty or not whole or not found.exact or found.tag_branches > 1:
        return None
    rows = " UNION ALL ".join(found.branches((*layout.NAMES[:6], "instant")))
    sql = aggregating.statement(asked, grid, rows, found.bind)
    return None if sql is None else Statement(sql, found.parameters, True, waiting=found.waiting)


def delete(query: Query) -> Statement | None:
    """Return the statement that removes the answer, where it is exact; None when nothing can match.

    It goes by the rows once more: a damaged entry of an index must not cost a record that was not meant.
    What waits for the indexes must be in them before.
    """
    asked = _Asked(query)
    if asked.empty:
        return None
    every = [f"seq IN ({_numbers(asked)})", *asked.of_rows()]
    sql = f"DELETE FROM patterns WHERE {' AND '.join(every)}"
    return Statement(sql, asked.parameters, asked.exact, waiting=asked.waiting)


def _numbers(asked: _Asked) -> str:
    query = asked.query
    union = " UNION " if asked.tag_branches > 1 else " UNION ALL "
    if asked.exact and query.limit is not None:
        sql = union.join(asked.branches(("seq", "instant", "pattern_id", "revision")))
        sql += f"{_order(query)} LIMIT {asked.bind(min(query.limit, _INT64))}"
    else:
        sql = union.join(asked.branches(("seq",)))
    return f"SELECT seq FROM ({sql})"


def _order(query: Query) -> str:
    order = _ORDERS[query.order]
    if query.revisions == "heads":
        # Among heads an id has one row, and naming the revision would make SQLite sort.
        order = order.split(", revision")[0]
    return f" ORDER BY {order}"


class _Asked:
    """A query on its way into SQL: parameters, and the conditions that every branch shares."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.tables = _tables(query)
        self.parameters: dict[str, Any] = {}
        self.kinds = None if query.kinds is None else _distinct(query.kinds)
        self.ids = None if query.ids is None else _distinct(query.ids)
        # One of those that a record must have all keeps most others away.
        sought = query.tags or (query.tags_all or ())[:1]
        tags = _distinct(sought) if sought else None
        # The index leaves out tags with NUL, so a query for one has to look at every record; and so many
        # looks into the index per record take longer than the record itself.
        unsure = tags is not None and (len(tags) > _MOST_BOUND or any("\0" in tag for tag in tags))
        self.tags = None if unsure else tags
        self.empty = () in (self.kinds, self.ids, self.tags) or query.limit == 0
        self.exact = query.where is None and not (query.tags_all or query.tags_none or unsure)
        walked = self.tags is not None and self.ids is None and query.order != "arrival"
        self.tag_branches = len(self.tags) if self.tags and walked and len(self.tags) <= _MOST_BRANCHES else 1

    def bind(self, value: Any) -> str:
        name = f"v{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    @property
    def waiting(self) -> str:
        """The statement for the rows that the indexes of the branches do not have yet; empty for none."""
        if self.tags is None and (self.ids is not None or self.query.order == "arrival"):
            return ""  # an id is in its index at once
        return WAITING if self.tags is None or "history" not in self.tables else WAITING_TAGS

    def branches(self, columns: Sequence[str]) -> list[str]:
        """Return a SELECT for each index range whose merge is the answer."""
        return [
            self._branch(columns, source, conditions)
            for table in self.tables
            for source, conditions in self._sources(table)
        ]

    def _branch(self, columns: Sequence[str], source: str, conditions: list[str]) -> str:
        # In a walk over the tags the instant is theirs, as the index has it.
        indexed = "t" if source.startswith("tags") else "p"
        names = [f"{indexed if name == 'instant' else 'p'}.{name} AS {name}" for name in columns]
        every = [*conditions, *self._after(indexed), *self._passing()]
        where = f" WHERE {' AND '.join(every)}" if every else ""
        return f"SELECT {', '.join(names)} FROM {source}{where}"

    def _sources(self, table: str) -> list[tuple[str, list[str]]]:
        """Return the ways into a table, each with its own conditions."""
        if self.ids is not None:
            rest = [*self._range("+p"), *self._kinds("+p"), *self._tagged()]
            return [
                (f"{listed} CROSS JOIN {table} AS p ON p.pattern_id = {value}", rest)
                for listed, value in (self._listed(self.ids),)
            ]
        if self.query.order == "arrival":
            # Else SQLite may take an index of another order, and sort.
            return [(f"{table} AS p NOT INDEXED", [*self._range("+p"), *self._kinds("+p"), *self._tagged()])]
        if self.tags is not None and len(self.tags) <= _MOST_BRANCHES:
            return [self._by_tag(table, tag) for tag in self.tags]
        limits = [*self._range("p"), *self._tagged()]
        if table == "patterns":
            # What these indexes say that they have; the bound lets SQLite prefer them, even where ANALYZE saw
            # a database in which all rows were waiting.
            limits += ["p.indexed = 1", f"p.instant > {-_INT64}"]
        if self.kinds is not None and len(self.kinds) <= _MOST_BRANCHES:
            return [
                (f"{table} AS p", [f"p.pattern_type = {self.bind(kind)}", *limits]) for kind in self.kinds
            ]
        return [(f"{table} AS p", [*limits, *self._kinds("+p")])]

    def of_rows(self) -> list[str]:
        """Return the conditions on a row of `patterns`, for a statement that finds it by its number."""
        conditions = [*self._range("+patterns"), *self._kinds("+patterns")]
        if self.ids is not None:
            conditions.append(self._among("+patterns.pattern_id", self.ids))
        if self.tags is not None:
            context = "CASE WHEN json_valid(patterns.context) THEN patterns.context END"
            among = self._among("tag.value", self.tags)
            conditions.append(f"EXISTS (SELECT 1 FROM json_each({context}, '$.tags') AS tag WHERE {among})")
        return conditions

    def _listed(self, texts: Sequence[str]) -> tuple[str, str]:
        """Return any number of texts as a table in one parameter, and the expression for its texts."""
        if not any("\0" in text for text in texts):
            return f"json_each({self.bind(orjson.dumps(texts).decode())}) AS listed", "listed.value"
        # In older versions SQLite's JSON ends a text at NUL, so a mark stands for it that no text has. The
        # mark begins with what it has nowhere else, so no two of its places in a text overlap.
        marks = (f"\1{n}\2" for n in count())
        mark = next(mark for mark in marks if not any(mark in text for text in texts))
        listed = orjson.dumps([text.replace("\0", mark) for text in texts]).decode()
        value = f"replace(listed.value, {self.bind(mark)}, {self.bind(chr(0))})"
        return f"json_each({self.bind(listed)}) AS listed", value

    def _by_tag(self, table: str, tag: str) -> tuple[str, list[str]]:
        conditions = [f"t.tag = {self.bind(tag)}", _IN_TAGS, *self._range("t"), *self._kinds("p")]
        return f"tags AS t CROSS JOIN {table} AS p ON p.seq = t.seq", conditions

    def _passing(self) -> list[str]:
        passing = None if self.query.where is None else superset(condition(self.query.where), self.bind)
        return [passing] if passing else []

    def _range(self, table: str) -> list[str]:
        since, until = self.query.since, self.query.until
        return [
            f"{table}.instant {relation} {self.bind(max(-_INT64, min(_INT64, bound)))}"
            for relation, bound in ((">=", since), ("<=", until))
            if bound is not None
        ]

    def _kinds(self, table: str) -> list[str]:
        return [] if self.kinds is None else [self._among(f"{table}.pattern_type", self.kinds)]

    def _tagged(self) -> list[str]:
        """Any of the tags, asked of the tag index for each row."""
        if self.tags is None:
            return []
        among = self._among("t.tag", self.tags)
        place = "t.instant = p.instant AND t.seq = p.seq"
        return [f"EXISTS (SELECT 1 FROM tags AS t WHERE {among} AND {place} AND {_IN_TAGS})"]

    def _after(self, indexed: str) -> list[str]:
        if self.query.after is None:
            return []
        first, identity, revision = self.query.after
        order = "p.seq" if self.query.order == "arrival" else f"{indexed}.instant"
        relation = "<" if self.query.order == "newest" else ">"
        bound = self.bind(max(-_INT64, min(_INT64, first)))
        last = f"{bound}, {self.bind(identity)}, {self.bind(revision)}"
        key = f"({order}, p.pattern_id, p.revision) {relation} ({last})"
        # Implied by the key, and what SQLite finds the place in the index by.
        return [f"{order} {relation}= {bound}", key]

    def _among(self, column: str, values: Sequence[str]) -> str:
        if len(values) <= _MOST_BOUND:
            return f"{column} IN ({', '.join(map(self.bind, values))})"
        listed, value = self._listed(values)
        return f"{column} IN (SELECT {value} FROM {listed})"


def _tables(query: Query) -> tuple[str, ...]:
    return ("patterns",) if query.revisions == "heads" else ("patterns", "history")


def _distinct(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))

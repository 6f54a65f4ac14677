"""Random queries over the dense pools, and the answer by definition."""

from __future__ import annotations

import base64
import json
import operator
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from moai_patterns.aggregates import (
    Aggregation,
    Metric,
    count,
    distinct,
    max_,
    mean,
    min_,
    quantile,
    success_rate,
    sum_,
)
from moai_patterns.conditions import Condition, field
from moai_patterns.instant import FIRST, LAST
from moai_patterns.moments import Bound
from moai_patterns.query import Order, Query, Record
from moai_patterns.testing.pools import (
    IDS,
    KINDS,
    MOMENTS,
    NUMBERS,
    SPELLINGS,
    TAGS,
    WORDS,
    Choose,
    spelling,
)

ORDERS: tuple[Order, ...] = ("newest", "oldest", "arrival")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZONED = SPELLINGS[:-1]
_RELATIONS: dict[str, Callable[[Any, Any], Condition]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMERIC = tuple(value for value in NUMBERS if value is not None and not isinstance(value, bool))
_ODD: tuple[Any, ...] = ([], ["a"], {}, {"x": 1}, {"x": 1, "list": [1, "a"]}, *WORDS, *NUMBERS)
# What is asked about with the values that it has: a random pair of path and value hardly ever matches.
_ASKED: tuple[tuple[tuple[str, ...], tuple[Any, ...]], ...] = (
    *(((("data.n",), NUMBERS),) * 4),
    *(((("data.word",), WORDS),) * 3),
    *((("data.deep.x",), NUMBERS), (("data.deep.list.0",), NUMBERS), (("data.deep.list.1",), WORDS)),
    *((("data", "a.b"), NUMBERS), (("context.agent",), WORDS), (("context.tags.0",), TAGS)),
    *((("data.a.b",), NUMBERS), (("data.n.x",), NUMBERS), (("data.missing",), WORDS)),
    *((("data.deep",), _ODD), (("context.tags",), _ODD), (("data.n",), _ODD), (("data.word",), NUMBERS)),
)
# Of the envelope, where paths are columns and bounds rather than JSON.
_ENVELOPE: tuple[tuple[tuple[str, ...], tuple[Any, ...]], ...] = (
    *((("pattern_type",), KINDS), (("pattern_id",), IDS), (("version",), ("1.0", "2"))),
)
# Of texts that are there, with what ends a text in some versions of SQLite.
PARTS = ("a", "", "A", "1", "nul", "nul\0", "\0end", "end", "\U0001f600", "0198", "task", '"', "%")
_PATTERNS = ("^a$", "", "(?i)^A", "[0-9]+$", "end$", "nul.end", r"\x00", "^$", "task|own", "\U0001f600")


def question(choose: Choose) -> Query:
    """Return a query out of the dense pools: up to three filters, for more leave hardly any answer."""
    order = choose(ORDERS)
    filters: dict[str, Callable[[], Any]] = {
        "where": lambda: _where(choose, 3),
        "pattern_type": lambda: choose((*KINDS, KINDS[:2], KINDS[1:], ("none",), (KINDS[0],) * 2, ())),
        "start_date": lambda: _bound(choose),
        "end_date": lambda: _bound(choose),
        "tags": lambda: choose((*((tag,) for tag in TAGS), TAGS, TAGS[:3], ("a", "a"), ("b", "none"), ())),
        "tags_all": lambda: choose((*((tag,) for tag in TAGS), ("a", "a"), TAGS[:2], ("a", "none"), ())),
        "tags_none": lambda: choose((*((tag,) for tag in TAGS), TAGS, ("a", "a"), ("none",), ())),
        "ids": lambda: choose((IDS[:3], IDS, *((each,) for each in IDS), (IDS[0],) * 2, ("none",), ())),
        "cursor": lambda: _cursor(choose, order),
    }
    asked = {
        name: filters[name]()
        for name in {choose(("where", *filters)): None for _ in range(choose((1, 2, 0, 3)))}
    }
    limit = choose((None, None, None, 100, 1, 2, 3, 0, 10**6))
    return Query(limit=limit, order=order, revisions=choose(("heads", "heads", "all")), **asked)


def aggregation(choose: Choose) -> Aggregation:
    """Return groups and figures over the dense pools."""
    paths = ("data.n", "data.word", "data.deep.x", "data.deep.list.1", "data.missing", "data.deep")
    keys = (*paths, "context.agent", "pattern_type", "version", "context.tags", "data.a.b")
    group_by = tuple({choose(keys): None for _ in range(choose((0, 1, 1, 2)))})
    makers: tuple[Callable[[], Metric], ...] = (
        count,
        lambda: count(choose(paths)),
        lambda: distinct(choose(paths)),
        lambda: sum_(choose(paths)),
        lambda: mean(choose(paths)),
        lambda: min_(choose(paths)),
        lambda: max_(choose(paths)),
        lambda: quantile(choose(paths), choose((0.5, 0.0, 1.0, 0.95, 0.1))),
        lambda: success_rate(choose(paths)),
    )
    metrics = {f"m{at}": choose(makers)() for at in range(choose((1, 2, 0, 3)))}
    every = choose((None, None, "1d", "1h", "15m", "1w", "1mo", "1y", "3d", "7s"))
    tz = "UTC" if every is None else choose(("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"))
    return Aggregation(group_by, every, tz, metrics)


def _bound(choose: Choose) -> Bound:
    form = choose(("int", "int", "text", "text", "datetime", "date", "wide"))
    moment = choose(MOMENTS)
    if form == "int":
        return moment + choose((0, 0, 1, -1))
    if form == "text":
        return spelling(moment, *choose(_ZONED))
    if form == "datetime":
        return _EPOCH + timedelta(microseconds=moment)
    if form == "date":
        return date(2025, 11, choose((29, 28, 30)))
    return choose((FIRST, LAST, -(10**30), 10**30, 0))


def _cursor(choose: Choose, order: Order) -> str | None:
    # Arrival numbers differ between backends, so those cursors come from a backend's own answers.
    if order == "arrival":
        return None
    key = [order, choose(MOMENTS) + choose((0, 0, 1)), choose((*IDS, "")), choose((1, 2, 0))]
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _where(choose: Choose, depth: int) -> Condition:
    form = choose(("one", "one", "not", "and", "or")) if depth else "one"
    if form == "not":
        return ~_where(choose, depth - 1)
    if form == "and":
        return _where(choose, depth - 1) & _where(choose, depth - 1)
    if form == "or":
        return _where(choose, depth - 1) | _where(choose, depth - 1)
    return _comparison(choose)


def _comparison(choose: Choose) -> Condition:
    path, values = choose((*_ASKED, *_ENVELOPE, (("timestamp",), ())))
    here = field(*path)
    if path == ("timestamp",):
        return _RELATIONS[choose(tuple(_RELATIONS))](here, spelling(choose(MOMENTS), *choose(_ZONED)))
    relation = choose(("==", "==", *_RELATIONS, "in", "exists", "null", "contains", "startswith", "matches"))
    if relation == "contains":
        return here.contains(choose((*values, *PARTS)))
    if relation == "startswith":
        return here.startswith(choose(PARTS))
    if relation == "matches":
        return here.matches(choose(_PATTERNS))
    if relation == "exists":
        return here.exists()
    if relation == "null":
        return here.is_null()
    if relation == "in":
        return here.in_([choose(values) for _ in range(choose((1, 2, 0)))])
    if relation not in ("==", "!="):
        values = WORDS if values in (WORDS, TAGS) else _NUMERIC
    return _RELATIONS[relation](here, choose(values))


def answer(records: Iterable[Record], query: Query) -> list[Record]:
    """Return the answer by definition: match everything, sort, go on after the cursor, cut."""
    fitting = sorted(filter(query.matches, records), key=query.key, reverse=query.order == "newest")
    rest = [record for record in fitting if not query.passed(query.key(record))]
    return rest if query.limit is None else rest[: query.limit]

"""The one meaning of a query: what matches, in which order, from where on, how many.

A backend may read more than a query asks for, never less, and ends in `Query.select`.
"""

from __future__ import annotations

import base64
import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from dataclasses import field as slot
from itertools import islice
from sys import maxsize
from typing import Any, Literal, TypedDict

from moai_patterns.conditions import Between, Compare, Condition, Every, condition
from moai_patterns.errors import QueryError
from moai_patterns.moments import Bound, bound
from moai_patterns.values import shortened, text

Order = Literal["newest", "oldest", "arrival"]
Key = tuple[int, str, int]
Record = dict[str, Any]


class Further(TypedDict, total=False):
    """The parameters of `Query` that stand behind the documented ones of `PatternStorage.query`."""

    tags_all: Sequence[str] | None
    tags_none: Sequence[str] | None
    where: Condition | Mapping[str, Any] | None
    order: Order
    cursor: str | None


@dataclass(frozen=True)
class Query:
    """A question to a store, as a value.

    Parameters:
        pattern_type: one kind, several, or None for all.
        start_date, end_date: inclusive bounds of the record's instant: a timestamp by the grammar of
            `instant`, a `datetime` (naive: local time), a `date` or a date alone (the whole local
            day, so an `end_date` of that form includes it to its last microsecond), or an int of UTC
            microseconds.
        limit: the most records to return; None, the default, for no limit.
        tags: records with any of these in `context.tags`; None or empty for all.
        tags_all, tags_none: records with every one of these, and with not one of these.
        where: a condition made with `field()`, or a mapping of paths to the values they equal.
        order: `newest` first by (instant, id, revision), `oldest` first, or `arrival`: the order in
            which the store took them in.
        cursor: the `cursor` of an earlier result of the same question: go on after it.
        ids: only these ids.
        revisions: `heads`, or `all` for superseded revisions too.

    Raises `QueryError` for a bound, limit, order or cursor without meaning.

    >>> Query(pattern_type="task_completion", start_date="2025-11-29", limit=10).limit
    10
    """

    pattern_type: str | Sequence[str] | None = None
    start_date: Bound = None
    end_date: Bound = None
    limit: int | None = None
    tags: Sequence[str] | None = None
    _: KW_ONLY
    tags_all: Sequence[str] | None = None
    tags_none: Sequence[str] | None = None
    where: Condition | Mapping[str, Any] | None = None
    order: Order = "newest"
    cursor: str | None = None
    ids: Sequence[str] | None = None
    revisions: Literal["heads", "all"] = "heads"
    kinds: tuple[str, ...] | None = slot(init=False, compare=False, repr=False, default=None)
    id_set: frozenset[str] = slot(init=False, compare=False, repr=False, default=frozenset())
    tag_set: frozenset[str] = slot(init=False, compare=False, repr=False, default=frozenset())
    since: int | None = slot(init=False, compare=False, repr=False, default=None)
    until: int | None = slot(init=False, compare=False, repr=False, default=None)
    after: Key | None = slot(init=False, compare=False, repr=False, default=None)

    def __post_init__(self) -> None:
        def fix(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        if self.order not in ("newest", "oldest", "arrival"):
            raise QueryError(f"order is newest, oldest or arrival, not {shortened(self.order)}")
        if self.revisions not in ("heads", "all"):
            raise QueryError(f"revisions is heads or all, not {shortened(self.revisions)}")
        if self.limit is not None and (not isinstance(self.limit, int) or isinstance(self.limit, bool)):
            raise QueryError(f"limit is a whole number or None, not {shortened(self.limit)}")
        if self.limit is not None and self.limit < 0:
            raise QueryError(f"limit must not be negative, not {shortened(self.limit)}")
        kinds = self.pattern_type
        # What was handed in may be an iterator, or change later; a query is a value.
        fix("kinds", None if kinds is None else _texts("pattern_type", kinds, alone=True))
        fix("pattern_type", self.kinds)
        for name in ("tags", "tags_all", "tags_none"):
            given = getattr(self, name)
            fix(name, _texts(name, given) or None if given else None)
        fix("ids", None if self.ids is None else _texts("ids", self.ids))
        fix("tag_set", frozenset(self.tags or ()))
        fix("id_set", frozenset(self.ids or ()))
        fix("where", None if self.where is None else condition(self.where))
        fix("since", None if self.start_date is None else bound("start_date", self.start_date))
        fix("until", None if self.end_date is None else bound("end_date", self.end_date, end=True))
        self._narrow(fix)
        fix("after", None if self.cursor is None else self._read(self.cursor))

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Tell whether a stored record answers; the only definition of a match there is.

        Order, cursor and limit come after it; which revisions are heads only the backend knows.
        """
        moment = record["_meta"]["instant"]
        if self.since is not None and moment < self.since:
            return False
        if self.until is not None and moment > self.until:
            return False
        if self.kinds is not None and record["pattern_type"] not in self.kinds:
            return False
        if self.ids is not None and record["pattern_id"] not in self.id_set:
            return False
        if self.asks_tags and not self._tagged(set(tags_of(record))):
            return False
        return self.where is None or self.where.matches(record)  # type: ignore[union-attr]

    @property
    def asks_tags(self) -> bool:
        """Whether tags decide what answers."""
        return bool(self.tags or self.tags_all or self.tags_none)

    def _tagged(self, tags: set[str]) -> bool:
        return (
            (self.tags is None or not self.tag_set.isdisjoint(tags))
            and (self.tags_all is None or tags.issuperset(self.tags_all))
            and (self.tags_none is None or tags.isdisjoint(self.tags_none))
        )

    def _narrow(self, fix: Callable[[str, object], None]) -> None:
        """Take bounds and kinds out of what must hold by `where`, so that no backend reads beyond them."""
        where = self.where
        for part in where.parts if isinstance(where, Every) else (where,):
            if isinstance(part, Between):
                fix("since", _of_both(max, self.since, part.low))
                fix("until", _of_both(min, self.until, part.high))
            elif isinstance(part, Compare) and part.path == ("pattern_type",):
                self._narrow_kinds(part, fix)

    def _narrow_kinds(self, part: Compare, fix: Callable[[str, object], None]) -> None:
        if part.relation in ("==", "in"):
            among = part.value if part.relation == "in" else (part.value,)
            kinds = among if self.kinds is None else self.kinds
            fix("kinds", tuple(kind for kind in kinds if isinstance(kind, str) and kind in among))

    def key(self, record: Mapping[str, Any]) -> Key:
        """Return what this query sorts by: (instant, id, revision), or the arrival number."""
        meta = record["_meta"]
        if self.order == "arrival":
            return (meta["seq"], record["pattern_id"], meta["revision"])
        return (meta["instant"], record["pattern_id"], meta["revision"])

    def passed(self, key: Key) -> bool:
        """Tell whether a sort key lies before or at the cursor."""
        if self.after is None:
            return False
        return key >= self.after if self.order == "newest" else key <= self.after

    def select(self, records: Iterable[Record], *, ordered: bool = False) -> Iterator[Record]:
        """Yield the answer out of a superset: match, order, cursor, limit, in this sequence.

        `ordered` says that the records come in this query's order already; then nothing is held.
        """
        fitting = (record for record in records if self.matches(record) and not self.passed(self.key(record)))
        if ordered:
            return islice(fitting, None if self.limit is None else min(self.limit, maxsize))
        newest = self.order == "newest"
        if self.limit is not None:
            first = heapq.nlargest if newest else heapq.nsmallest
            return iter(first(self.limit, fitting, key=self.key))
        return iter(sorted(fitting, key=self.key, reverse=newest))

    def cursor_after(self, record: Mapping[str, Any]) -> str:
        """Return the cursor that goes on after this stored record."""
        text = json.dumps([self.order, *self.key(record)], ensure_ascii=False, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode()

    def but(self, **changes: Any) -> Query:
        """Return the same question with other values."""
        return replace(self, **changes)

    def _read(self, cursor: str) -> Key:
        try:
            order, first, identity, revision = json.loads(base64.urlsafe_b64decode(text(cursor).encode()))
            if order != self.order:
                raise QueryError(f"the cursor belongs to a query in the order {order}, not {self.order}")
            if type(first) is not int or type(revision) is not int or abs(revision) >= 2**63:
                raise ValueError("not the numbers of a record")
            if self.revisions == "heads" and self.order != "arrival":
                # An id has one head: a newer revision at the same time is no further record of the answer.
                revision = 0 if self.order == "newest" else 2**63 - 1
            key = (first, text(identity + ""), revision)
        except QueryError:
            raise
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise QueryError(f"{shortened(cursor)} is no cursor that a query returned") from None
        return key


def content(record: Record) -> Record:
    """Return a record as its user knows it: without what the store added.

    >>> content({"pattern_id": "a", "_meta": {"revision": 2}})
    {'pattern_id': 'a'}
    """
    return {key: value for key, value in record.items() if key != "_meta"}


def tags_of(record: Mapping[str, Any]) -> list[str]:
    """Return the texts in `context.tags` of a record; none when that is no list.

    >>> tags_of({"context": {"tags": ["x", 5]}}), tags_of({"context": {"tags": "x"}})
    (['x'], [])
    """
    context = record.get("context")
    tags = context.get("tags") if isinstance(context, dict) else None
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _texts(name: str, value: object, *, alone: bool = False) -> tuple[str, ...]:
    """Return texts as a tuple of plain `str`; an enum member counts as its value."""
    if isinstance(value, str):
        if not alone:
            raise QueryError(f"{name} takes a list of texts, not one text: [{shortened(value)}]")
        return (text(value),)
    if not isinstance(value, Iterable):
        raise QueryError(f"{name} takes texts, not {shortened(value)}")
    items = tuple(value)
    if not all(isinstance(item, str) for item in items):
        raise QueryError(f"{name} takes texts, not {shortened(items)}")
    return tuple(map(text, items))


def _of_both(choose: Callable[[Iterable[int]], int], *bounds: int | None) -> int | None:
    stated = [each for each in bounds if each is not None]
    return choose(stated) if stated else None

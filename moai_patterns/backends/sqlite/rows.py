"""From a row to the record that was stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import orjson

from moai_patterns.backends.sqlite.faults import damage
from moai_patterns.backends.sqlite.indexing import must_fit
from moai_patterns.backends.sqlite.layout import NAMES
from moai_patterns.backends.sqlite.write import must_be_whole
from moai_patterns.query import Query, Record

SEQ = NAMES.index("seq")
_KIND, _INSTANT = NAMES.index("pattern_type"), NAMES.index("instant")


def records(rows: Iterable[tuple[Any, ...]], path: str) -> Iterator[Record]:
    """Yield the records of rows with the columns `layout.NAMES`.

    Raises `DamageError` naming the row that is not as it was written.
    """
    for row in rows:
        yield record(row, path)


def answering(found: Iterable[Record], matches: Callable[[Record], bool], path: str) -> Iterator[Record]:
    """Yield records that an index has named, none of them that does not answer.

    Raises `DamageError` for a record that it names wrongly: indexes have no checksums, and rows have.
    """
    for one in found:
        if not matches(one):
            seq = one["_meta"]["seq"]
            raise damage(path, f"an index names a record that does not answer the question (seq {seq})")
        yield one


def waiting(rows: Iterable[tuple[Any, ...]], query: Query, path: str) -> list[Record]:
    """Return what answers, limit aside, of the rows of `indexing.WAITING`, in the order of the query.

    Raises `DamageError` for a row that is not as it was written, whether it answers or not: nobody knows; and
    where row and `arrival` do not agree on whether it waits.
    """
    found = []
    for *row, indexed, up_to in rows:
        try:
            must_fit(row[SEQ], indexed, up_to)
            if indexed == 1:
                continue
            must_be_whole(row)
        except ValueError as fault:
            raise damage(path, f"the row with seq {row[SEQ]} (id {row[0]!r}) {fault}") from None
        if _may_answer(row, query):  # half of the time goes into parsing
            one = record(row, path)
            if query.matches(one) and not query.passed(query.key(one)):
                found.append(one)
    return sorted(found, key=query.key, reverse=query.order == "newest")


def _may_answer(row: Sequence[Any], query: Query) -> bool:
    moment = row[_INSTANT]
    return (
        (query.since is None or query.since <= moment)
        and (query.until is None or moment <= query.until)
        and (query.kinds is None or row[_KIND] in query.kinds)
    )


def in_order(found: Iterable[Record], query: Query, path: str) -> Iterator[Record]:
    """Yield records in the order in which an index has named them, which must be that of the query.

    Raises `DamageError` for one that it names twice, or in another place.
    """
    newest, last = query.order == "newest", None
    for one in found:
        key = query.key(one)
        if last is not None and (key >= last if newest else key <= last):
            seq = one["_meta"]["seq"]
            raise damage(path, f"an index names a record twice, or out of its order (seq {seq})")
        last = key
        yield one


def distinct(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield each of several equal rows in a row once, told apart by their arrival number."""
    last = None
    for row in rows:
        if row[SEQ] != last:
            last = row[SEQ]
            yield row


def record(row: Sequence[Any], path: str) -> Record:
    """Return the record of a row with the columns `layout.NAMES`.

    Raises `DamageError` naming the row, by an arrival number that no other table has.
    """
    try:
        return read(row)
    except ValueError as fault:
        raise damage(path, f"the row with seq {row[SEQ]} (id {row[0]!r}) {fault}") from None


def read(row: Sequence[Any]) -> Record:
    """Return the record of a row. Raises `ValueError` with what the row is or has instead."""
    (
        identity,
        kind,
        timestamp,
        data,
        context,
        version,
        _,
        seq,
        instant,
        revision,
        recorded,
        operation,
        actor,
        extra,
        _,
    ) = row
    must_be_whole(row)
    try:
        found: Record = {
            "pattern_id": identity,
            "pattern_type": kind,
            "timestamp": timestamp,
            "data": orjson.loads(data),
        }
        if context is not None:
            found["context"] = orjson.loads(context)
        if version is not None:
            found["version"] = version
        meta: Record = {"instant": instant, "revision": revision}
        if recorded is not None:
            meta["recorded_at"] = recorded
        if operation is not None:
            meta["operation"] = operation
        if actor is not None:
            meta["actor"] = actor
        if extra is not None:
            found.update(orjson.loads(extra))
            meta.update(found.pop("_meta", ()))
        meta["seq"] = seq
    except (ValueError, TypeError) as error:
        raise ValueError(f"holds a text that is no JSON: {error}") from None
    found["_meta"] = meta
    return found

"""From a row to the record that was stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from moai_patterns.backends.sqlite.faults import damage
from moai_patterns.backends.sqlite.layout import NAMES
from moai_patterns.backends.sqlite.write import checksum
from moai_patterns.query import Query, Record

SEQ = NAMES.index("seq")


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


def record(row: tuple[Any, ...], path: str) -> Record:
    """Return the record of a row with the columns `layout.NAMES`.

    Raises `DamageError` naming the row, by an arrival number that no other table has.
    """
    try:
        return read(row)
    except ValueError as fault:
        raise damage(path, f"the row with seq {row[SEQ]} (id {row[0]!r}) {fault}") from None


def read(row: tuple[Any, ...]) -> Record:
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
        written,
    ) = row
    try:
        whole = checksum(row) == written
    except UnicodeEncodeError:
        raise ValueError("holds a text that is no UTF-8") from None
    if not whole:
        raise ValueError("is not as it was written")
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

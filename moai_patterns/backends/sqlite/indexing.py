"""The indexes by time, by kind and by tag, brought up to date some dozens of records at a time.

Each is a page of its own to be written: a save that kept them all up to date would write three times as
much, and take twice as long. So a save writes its row and the index of ids alone, one in 64 brings the
others up to date, and a question takes what they do not have yet from the rows themselves (`rows.waiting`).
"""

from __future__ import annotations

import orjson

from moai_patterns.backends.sqlite.layout import NAMES
from moai_patterns.backends.sqlite.write import Transaction, must_be_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from typing import Any

    from moai_patterns.query import Record

    # tag, instant, seq
    Entry = tuple[str, int, int]

_NAMES = ", ".join(NAMES)
_CONTEXT, _SEQ, _INSTANT = NAMES.index("context"), NAMES.index("seq"), NAMES.index("instant")
_AT_ONCE = 4096  # rows
UP_TO = "(SELECT indexed FROM arrival)"
# Whole rows that are not in the indexes yet, after the last one that is; with what they and `arrival` say of
# that (`must_fit`), for either may be damaged.
WAITING = f"""
    SELECT {_NAMES}, indexed, {UP_TO} FROM patterns NOT INDEXED
    WHERE seq >= ifnull((SELECT max(seq) FROM patterns NOT INDEXED WHERE seq <= {UP_TO}), 0)"""
WAITING_TAGS = (
    f"{WAITING} UNION ALL SELECT {_NAMES}, NULL, {UP_TO} FROM history NOT INDEXED WHERE seq > {UP_TO}"
)
_NEXT = f"{WAITING_TAGS} ORDER BY seq LIMIT {_AT_ONCE}"
_LIST = f"UPDATE patterns SET indexed = 1 WHERE seq > {UP_TO} AND seq <= ?1 AND indexed IS NULL"


def index(connection: sqlite3.Connection) -> int:
    """Bring the indexes up to date, as far as the rows are sound, in a transaction of its own; return 0."""
    with Transaction(connection):
        catch_up(connection)
    return 0


def catch_up(connection: sqlite3.Connection) -> str:
    """Index the rows that wait for it, inside a transaction that the caller began.

    Ends before a row that is not as it was written, and returns what it is: nobody knows which of its tags
    are right, so it stays among those that every question looks at.
    """
    while True:
        sound, fault = [], ""
        for *row, indexed, up_to in connection.execute(_NEXT).fetchall():
            fault = _fault(row, indexed, up_to)
            if fault:
                break
            if indexed != 1:
                sound.append(row)
        if not sound:
            return fault
        last = sound[-1][_SEQ]
        connection.execute(_LIST, (last,))
        add_tags(connection, (entry for row in sound for entry in _entries(row)), last)


def _fault(row: list[Any], indexed: object, up_to: object) -> str:
    try:
        must_fit(row[_SEQ], indexed, up_to)
        if indexed != 1:
            must_be_whole(row)
    except ValueError as error:
        return f"the row with seq {row[_SEQ]} (id {row[0]!r}) {error}"
    return ""


def must_fit(seq: object, indexed: object, up_to: object) -> None:
    """Raise `ValueError` where a row and `arrival` do not agree on whether the indexes have it."""
    if type(seq) is not int or type(up_to) is not int or (indexed == 1) != (seq <= up_to):
        raise ValueError("does not say whether it is indexed as table arrival does")


def add_tags(connection: sqlite3.Connection, entries: Iterable[Entry], last: int) -> None:
    """Index the tags of rows that the other indexes have, up to the number `last`, inside a transaction."""
    # In the order of the index: a page is written once, and not found anew for each entry. A writer of an
    # older layout, which has the file open yet, has added its own.
    connection.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?, ?)", sorted(entries))
    connection.execute("UPDATE arrival SET indexed = ?", (last,))


def tag_entries(found: Record) -> list[Entry]:
    """Return what the index must hold for a record: its distinct tags, each with its instant and number."""
    meta = found["_meta"]
    return listed(found.get("context"), meta["instant"], meta["seq"])


def _entries(row: Sequence[Any]) -> list[Entry]:
    context = row[_CONTEXT]
    return [] if context is None else listed(orjson.loads(context), row[_INSTANT], row[_SEQ])


def listed(context: object, instant: int, seq: int) -> list[Entry]:
    """Return what the index of tags must hold for a context, or for None."""
    tags = context.get("tags") if isinstance(context, dict) else None
    if not isinstance(tags, list):
        return []
    # SQLite's JSON functions, by which a removal finds the entries, end at NUL in older versions.
    return [
        (tag, instant, seq)
        for tag in dict.fromkeys(tag for tag in tags if isinstance(tag, str))
        if "\0" not in tag
    ]

"""What else people keep such records in, each used as its own documentation shows.

Those on SQLite get a write-ahead log with `synchronous` at NORMAL, unless they are measured as they come:
then they keep what is acknowledged like this store at the level `os`, and do not wait for the disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from moai_patterns.bench.samples import record
from moai_patterns.query import Record

_BEFORE = 1000
Save = Callable[[Record], object]


@contextmanager
def langgraph(path: Path) -> Iterator[Save]:
    """LangGraph's store on SQLite: no validation, a namespace and a key."""
    from langgraph.store.sqlite import SqliteStore

    with SqliteStore.from_conn_string(str(path)) as store:
        store.setup()
        store.conn.execute("PRAGMA journal_mode = WAL")
        store.conn.execute("PRAGMA synchronous = NORMAL")
        yield lambda one: store.put((one["pattern_type"],), one["pattern_id"], one)


@contextmanager
def upserts(path: Path, *, wal: bool) -> Iterator[Save]:
    """The upsert of sqlite-utils, which writes nested values as JSON."""
    from sqlite_utils import Database

    database = Database(path)
    if wal:
        database.enable_wal()
        database.execute("PRAGMA synchronous = NORMAL")
    table = database.table("patterns")
    try:
        yield lambda one: table.upsert(one, pk="pattern_id")
    finally:
        database.close()


@contextmanager
def diskcache(path: Path) -> Iterator[Save]:
    """diskcache, which pickles."""
    from diskcache import Cache

    with Cache(str(path)) as cache:
        yield lambda one: cache.set(one["pattern_id"], one)


@contextmanager
def sqlitedict(path: Path) -> Iterator[Save]:
    """Sqlitedict with JSON, committing each time."""
    from sqlitedict import SqliteDict

    options = {"autocommit": True, "journal_mode": "WAL", "encode": json.dumps, "decode": json.loads}
    with SqliteDict(str(path), **options) as table:
        table.conn.execute("PRAGMA synchronous = NORMAL")
        yield lambda one: table.__setitem__(one["pattern_id"], one)


@contextmanager
def tinydb(path: Path) -> Iterator[Save]:
    """TinyDB, which writes its whole file each time: a thousand records are there before."""
    from tinydb import TinyDB

    with TinyDB(path) as database:
        database.insert_multiple(record(number, number) for number in range(_BEFORE))
        yield database.insert


PEERS: Mapping[str, Callable[[Path], AbstractContextManager[Save]]] = {
    "LangGraph SqliteStore.put": langgraph,
    "sqlite-utils upsert, as it comes": partial(upserts, wal=False),
    "sqlite-utils upsert": partial(upserts, wal=True),
    "diskcache set": diskcache,
    "sqlitedict set": sqlitedict,
    "TinyDB insert": tinydb,
}

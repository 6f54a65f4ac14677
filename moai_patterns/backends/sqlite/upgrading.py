"""Older layouts brought to the current one with sqlite-utils, which keeps the record of applied steps.

Loaded only for a file that needs it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from sqlite_utils import Database as Tables
from sqlite_utils import Migrations

from moai_patterns.backends.sqlite import layout
from moai_patterns.backends.sqlite.database import Database


def steps() -> Migrations:
    """Return the steps of this layout for sqlite-utils.

    >>> tables = Tables(memory=True)
    >>> steps().apply(tables)
    >>> sorted(tables.table_names())
    ['_sqlite_migrations', 'arrival', 'history', 'patterns', 'tags']
    """
    migrations = Migrations(layout.STEP_SET)
    for name, statements in layout.STEPS:
        migrations(name=name)(_step(statements))
    return migrations


def _step(statements: tuple[str, ...]) -> Callable[[Tables], None]:
    def apply(tables: Tables) -> None:
        for statement in statements:
            tables.conn.execute(statement)

    return apply


def upgrade(store: Database, connection: sqlite3.Connection) -> None:
    """Apply the steps that the file has not seen, one process at a time, each whole or not at all."""
    with store.lock.held(timeout=store.timeout):
        if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            # Both are facts of the whole file, and only one without tables takes them up in place.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("VACUUM")
            connection.execute("PRAGMA journal_mode = WAL")
        steps().apply(Tables(connection, execute_plugins=False))

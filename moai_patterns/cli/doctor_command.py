"""`doctor`: is anything captured, is anything waiting, what runs underneath."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

import click

from moai_patterns import __version__, spool
from moai_patterns.cli import output
from moai_patterns.cli.options import opened, takes_json, takes_store
from moai_patterns.collect import faults
from moai_patterns.collect.redact import enabled
from moai_patterns.conditions import field
from moai_patterns.errors import PatternError
from moai_patterns.location import parse_store
from moai_patterns.query import Query, Record
from moai_patterns.storage import PatternStorage

_FROM_HOOKS = field("context.metadata.source") == "claude-code/hook"


@click.command("doctor")
@takes_store
@takes_json
def command(store: str, as_json: bool) -> int:
    """Show the last record of a hook, what waits in the spool, recent faults and versions.

    Exit code 1 when something waits, was quarantined, or the store cannot be opened.
    """
    told, healthy = _examine(store)
    if as_json:
        output.line(told)
    else:
        output.table(("", ""), ((name, _short(value)) for name, value in told.items()))
    return 0 if healthy else 1


def _examine(store: str) -> tuple[dict[str, Any], bool]:
    location = parse_store(store)
    told: dict[str, Any] = {
        "store": store,
        "moai_patterns": __version__,
        "python": f"{platform.python_version()} at {sys.executable}",
        "redaction": "on" if enabled(os.environ) else "OFF",
    }
    problem = None
    try:
        with opened(store) as storage:
            told |= _contents(storage)
    except PatternError as error:
        told["problem"] = problem = str(error)
    # After a look into the store, which takes in what waits, and also when there was none.
    told["spool"] = waiting = spool.status(location)
    told["recent faults"] = faults.recent(location)[-5:]
    return told, problem is None and not (waiting["waiting"] or waiting["quarantined"])


def _contents(storage: PatternStorage) -> dict[str, Any]:
    stats = storage.stats()
    newest = next(storage.backend.scan(Query(limit=1)), None)
    captured = next(filter(_by_a_hook, storage.backend.scan(Query(limit=None, where=_FROM_HOOKS))), None)
    return {
        "records": stats["count"],
        "newest record": newest and _named(newest),
        "last capture": captured and _named(captured),
        "backend": stats["versions"],
    }


def _by_a_hook(record: Record) -> bool:
    """A capture is stamped once; what is saved or imported again gets a later time of its own."""
    return bool(record["_meta"]["recorded_at"] == record["_meta"]["instant"])


def _named(record: Record) -> str:
    return f"{record['timestamp']} {record['pattern_type']} {record['pattern_id']}"


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {item}" for name, item in value.items())
    if isinstance(value, list):
        return "; ".join(_short(item) for item in value) or "none"
    return str(value)

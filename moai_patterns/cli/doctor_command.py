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


@click.command("doctor", short_help="Show the last capture, what waits, faults and versions.")
@takes_store
@takes_json
def command(store: str, as_json: bool) -> int:
    """Show the last record of a hook, what waits in the spool, recent faults and versions.

    Exit code 1 when something waits or was quarantined, and when there is a problem: the store is
    not there, cannot be opened or cannot be written, so that no capture is stored.
    """
    told, healthy = _examine(store)
    if as_json:
        output.line(told)
    else:
        output.facts(told)
    return 0 if healthy else 1


def _examine(store: str) -> tuple[dict[str, Any], bool]:
    location = parse_store(store)
    told: dict[str, Any] = {
        "store": store,
        "moai_patterns": __version__,
        "python": f"{platform.python_version()} at {sys.executable}",
        "redaction": "on" if enabled(os.environ) else "OFF",
    }
    problems = []
    try:
        with opened(store) as storage:
            told |= _contents(storage)
    except PatternError as error:
        problems.append(str(error))
    if unwritable := _unwritable(location, told.get("backend", {})):
        problems.append(f"captures cannot be stored: {unwritable}")
    if problems:
        told["problem"] = "; ".join(problems)
    # After a look into the store, which takes in what waits, and also when there was none.
    told["spool"] = waiting = spool.status(location)
    told["recent faults"] = faults.recent(location)[-5:]
    return told, not (problems or waiting["waiting"] or waiting["quarantined"])


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


def _unwritable(location: tuple[str, str], facts: dict[str, Any]) -> str | None:
    """Return what keeps a capture out of a store, as far as it can be told without writing."""
    backend, path = location
    if facts.get("layout") == "plain":
        return f"{path} has the plain layout, which is only read; moai-patterns copy brings it over"
    place = os.path.abspath(path)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    places = [place]
    if backend == "sqlite" and os.path.isfile(place):
        places.append(os.path.dirname(place))  # where the write-ahead log goes
    elif not os.path.isdir(place):
        return f"{place} is no directory"
    refused = [place for place in places if not os.access(place, os.W_OK)]
    return f"{refused[0]} cannot be written by this user" if refused else None

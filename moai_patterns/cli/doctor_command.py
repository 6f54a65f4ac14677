"""`doctor`: is anything captured, is anything waiting, what runs underneath."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

import click

from moai_patterns import __version__
from moai_patterns.cli import output
from moai_patterns.cli.options import opened, takes_json, takes_store
from moai_patterns.collect import faults
from moai_patterns.collect.redact import enabled
from moai_patterns.errors import PatternError
from moai_patterns.instant import isoformat
from moai_patterns.location import parse_store
from moai_patterns.query import Query


@click.command("doctor")
@takes_store
@takes_json
def command(store: str, as_json: bool) -> int:
    """Show the last capture, what waits in the spool, recent faults and versions.

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
    healthy = True
    try:
        with opened(store) as storage:
            newest = list(storage.backend.scan(Query(limit=100)))
            stats = storage.stats()
    except PatternError as error:
        told["problem"] = str(error)
        healthy = False
    else:
        told["records"] = stats["count"]
        saved = [record["_meta"]["recorded_at"] for record in newest]
        told["newest record"] = (
            f"{newest[0]['timestamp']} {newest[0]['pattern_type']} {newest[0]['pattern_id']}"
            if newest
            else None
        )
        told["last capture"] = isoformat(max(saved)) if saved else None
        told["spool"] = stats["spool"]
        told["backend"] = stats["versions"]
        waiting = stats["spool"].get("waiting", 0) or stats["spool"].get("quarantined", 0)
        healthy = not waiting
    told["recent faults"] = faults.recent(location)[-5:]
    return told, healthy


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {item}" for name, item in value.items())
    if isinstance(value, list):
        return "; ".join(_short(item) for item in value) or "none"
    return str(value)

"""`capture`: store one new record, stamped with an id and the time."""

from __future__ import annotations

import click

from moai_patterns import jsonlines
from moai_patterns.cli import output
from moai_patterns.cli.options import opened, takes_json, takes_store


@click.command("capture", short_help="Store a JSON object as a new record of a kind.")
@click.argument("kind")
@click.argument("data")
@click.option("--context", metavar="JSON", help="The context, as a JSON object.")
@takes_store
@takes_json
def command(kind: str, data: str, context: str | None, store: str, as_json: bool) -> None:
    """Store DATA, a JSON object, as a new record of KIND and print its id."""
    payload = jsonlines.parse(data, "DATA")
    surroundings = None if context is None else jsonlines.parse(context, "--context")
    with opened(store, create=True) as storage:
        identity = storage.capture(kind, payload, surroundings)
    output.outcome(identity, as_json=as_json, pattern_id=identity)

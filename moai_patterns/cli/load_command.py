"""`load`: one record by its id."""

from __future__ import annotations

import click
import orjson

from moai_patterns.cli import output
from moai_patterns.cli.options import opened, takes_json, takes_store


@click.command("load", short_help="Print the record with an id.")
@click.argument("pattern_id")
@takes_store
@takes_json
def command(pattern_id: str, store: str, as_json: bool) -> int:
    """Print the record with this id; exit code 1 when there is none."""
    with opened(store) as storage:
        record = storage.load(pattern_id)
    if record is None:
        click.echo(f"no record has the id {pattern_id!r}", err=True)
        return 1
    if as_json:
        output.line(record)
    else:
        click.echo(orjson.dumps(record, option=orjson.OPT_INDENT_2))
    return 0

"""`export`: records as JSON Lines."""

from __future__ import annotations

from typing import Any

import click
import orjson

from moai_patterns.cli import output
from moai_patterns.cli.options import not_empty, opened, question, takes_json, takes_query, takes_store
from moai_patterns.cli.target import written


@click.command("export", short_help="Write the records that answer as JSON Lines.")
@click.argument("target", default="-", callback=not_empty)
@takes_query
@click.option(
    "--order", type=click.Choice(["newest", "oldest", "arrival"]), default="oldest", show_default=True
)
@takes_store
@takes_json
def command(target: str, store: str, as_json: bool, **asked: Any) -> None:
    """Write the records that answer to TARGET, one JSON object a line; - is standard output.

    A file is replaced when all of them are written, not before, and only its owner can read it. How
    many they were stands on standard error; with --json and a file on standard output.
    """
    exported = 0
    wanted = question(**asked)
    with opened(store) as storage, written(target) as file:
        for record in storage.iter(wanted):
            file.write(orjson.dumps(record) + b"\n")
            exported += 1
    if as_json and target != "-":
        output.line({"exported": exported})
    else:
        click.echo(f"{exported} exported", err=True)

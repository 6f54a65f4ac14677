"""`export`: records as JSON Lines."""

from __future__ import annotations

from typing import Any, BinaryIO

import click
import orjson

from moai_patterns.cli.options import opened, question, takes_query, takes_store


@click.command("export")
@click.argument("target", type=click.File("wb", atomic=True), default="-")
@takes_query
@click.option(
    "--order", type=click.Choice(["newest", "oldest", "arrival"]), default="oldest", show_default=True
)
@takes_store
def command(target: BinaryIO, store: str, **asked: Any) -> None:
    """Write the records that answer to TARGET, one JSON object a line; - is standard output."""
    written = 0
    with opened(store) as storage:
        for record in storage.iter(question(**asked)):
            target.write(orjson.dumps(record) + b"\n")
            written += 1
    click.echo(f"{written} exported", err=True)

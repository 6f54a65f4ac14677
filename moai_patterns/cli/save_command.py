"""`save`: store records given as JSON Lines."""

from __future__ import annotations

from typing import BinaryIO

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import opened, takes_json, takes_store
from moai_patterns.cli.storing import store_lines, told


@click.command("save", short_help="Store records given as JSON Lines.")
@click.argument("source", type=click.File("rb"), default="-")
@click.option(
    "--durability",
    type=click.Choice(["os", "group", "record"]),
    default="record",
    show_default=True,
    help="What is waited for: os survives a kill, record survives a power cut, group does per batch.",
)
@takes_store
@takes_json
def command(source: BinaryIO, durability: str, store: str, as_json: bool) -> None:
    """Store the records of SOURCE, one JSON object a line; - reads standard input."""
    with opened(store, create=True, durability=durability) as storage:
        saved = store_lines(storage, source)
    output.outcome(told(saved), as_json=as_json, saved=sum(saved), **saved._asdict())

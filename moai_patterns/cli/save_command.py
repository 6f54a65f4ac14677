"""`save`: store records given as JSON Lines."""

from __future__ import annotations

from typing import BinaryIO

import click

from moai_patterns import jsonlines
from moai_patterns.cli import output
from moai_patterns.cli.options import opened, takes_json, takes_store


@click.command("save")
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
        stored = storage.save_many(jsonlines.read(source, source.name))
    output.outcome(f"{stored} saved", as_json=as_json, saved=stored)

"""`copy`: bring records into another store."""

from __future__ import annotations

from typing import Any

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import opened, question, takes_query, takes_store
from moai_patterns.storage import open_store


@click.command("copy")
@click.argument("target", metavar="TARGET-STORE")
@takes_query
@takes_store
def command(target: str, store: str, **asked: Any) -> None:
    """Copy records with their history into TARGET-STORE. Can be interrupted and run again."""
    wanted = question(order="oldest", **asked)
    with (
        opened(store) as source,
        open_store(target, maintenance_interval=None, durability="group") as other,
        output.progress() as progress,
    ):
        task = progress.add_task("copying", total=source.count(wanted))
        copied = source.copy_to(other, wanted, on_batch=lambda records: progress.advance(task, records))
    click.echo(f"{copied} records copied")

"""`delete`: remove records by id or by question."""

from __future__ import annotations

from typing import Any

import click

from moai_patterns.cli.options import opened, question, takes_query, takes_store


@click.command("delete")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@takes_query
@click.option("--dry-run", is_flag=True, help="Only print how many records would go.")
@takes_store
def command(ids: tuple[str, ...], dry_run: bool, store: str, **asked: Any) -> None:
    """Remove the records with these ids, or all that answer the options, with their history."""
    if not ids and not any(asked.values()):
        raise click.UsageError("name ids or options; nothing is removed without either")
    wanted = question(ids=ids or None, **asked)
    with opened(store) as storage:
        if dry_run:
            click.echo(f"{storage.count(wanted)} would be removed")
        else:
            click.echo(f"{storage.delete(wanted)} removed")

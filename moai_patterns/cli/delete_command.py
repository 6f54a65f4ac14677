"""`delete`: remove records by id or by question."""

from __future__ import annotations

from typing import Any

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import opened, question, takes_json, takes_query, takes_store


@click.command("delete", short_help="Remove records by id or by question.")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@takes_query
@click.option("--dry-run", is_flag=True, help="Only print how many records would go.")
@takes_store
@takes_json
def command(ids: tuple[str, ...], dry_run: bool, store: str, as_json: bool, **asked: Any) -> None:
    """Remove the records that answer, with their history.

    ID and options narrow each other down: what goes has one of the ids and answers every option.
    Without ids all that answer the options go.
    """
    if not ids and not any(asked.values()):
        raise click.UsageError("name ids or options; nothing is removed without either")
    wanted = question(ids=ids or None, **asked)
    with opened(store) as storage:
        if dry_run:
            found = storage.count(wanted)
            output.outcome(f"{found} would be removed", as_json=as_json, would_be_removed=found)
        else:
            removed = storage.delete(wanted)
            output.outcome(f"{removed} removed", as_json=as_json, removed=removed)

"""`query`: records that answer a question."""

from __future__ import annotations

from typing import Any

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import (
    WholeNumber,
    opened,
    question,
    takes_json,
    takes_query,
    takes_store,
)

_PAGE = 100


@click.command("query")
@takes_query
@click.option("--limit", type=WholeNumber(), metavar="NUMBER", help="The most to print; default 100.")
@click.option("--all", "everything", is_flag=True, help="No limit.")
@click.option(
    "--order", type=click.Choice(["newest", "oldest", "arrival"]), default="newest", show_default=True
)
@click.option("--cursor", help="Go on after this cursor, printed at the end of the page before.")
@takes_store
@takes_json
def command(store: str, as_json: bool, limit: int | None, everything: bool, **asked: Any) -> None:
    """Print the records that answer, newest first."""
    if everything and limit is not None:
        raise click.UsageError("--limit and --all contradict each other; give one of them")
    most = _PAGE if limit is None else limit
    wanted = question(limit=None if everything else most, **asked)
    with opened(store) as storage:
        if wanted.limit is None:
            output.records(storage.iter(wanted), as_json=as_json)
            return
        found = storage.query(wanted)
    output.records(found, as_json=as_json)
    if found.cursor:
        click.echo(f"more with --cursor {found.cursor}", err=True)

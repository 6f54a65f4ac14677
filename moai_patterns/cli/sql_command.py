"""`sql`: what a SELECT finds."""

from __future__ import annotations

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import opened, takes_json, takes_store


@click.command("sql", short_help="Print what a SELECT of DuckDB finds.")
@click.argument("statement")
@takes_store
@takes_json
def command(store: str, as_json: bool, statement: str) -> None:
    """Print what a SELECT finds in the table patterns, or in the view of a kind.

    Needs the extra sql. Nothing is written, and no file is read but the store.
    """
    with opened(store) as storage:
        found = storage.sql(statement)
    output.rows(found, found.columns, as_json=as_json)

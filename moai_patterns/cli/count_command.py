"""`count`: how many records answer a question."""

from __future__ import annotations

from typing import Any

import click

from moai_patterns.cli.options import opened, question, takes_json, takes_query, takes_store


@click.command("count", short_help="Print how many records answer.")
@takes_query
@takes_store
@takes_json
def command(store: str, as_json: bool, **asked: Any) -> None:
    """Print how many records answer, as a bare number, which is JSON as it is."""
    wanted = question(**asked)
    with opened(store) as storage:
        click.echo(storage.count(wanted))

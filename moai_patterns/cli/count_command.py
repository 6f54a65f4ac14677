"""`count`: how many records answer a question."""

from __future__ import annotations

from typing import Any

import click

from moai_patterns.cli.options import opened, question, takes_query, takes_store


@click.command("count")
@takes_query
@takes_store
def command(store: str, **asked: Any) -> None:
    """Print how many records answer, as a bare number."""
    with opened(store) as storage:
        click.echo(storage.count(question(**asked)))

"""`aggregate`: figures about the records that answer, group by group."""

from __future__ import annotations

from typing import Any

import click

from moai_patterns.cli import output
from moai_patterns.cli.figures import metrics
from moai_patterns.cli.options import opened, question, takes_figures, takes_json, takes_query, takes_store


@click.command("aggregate", short_help="Print figures about what answers, in groups.")
@takes_query
@takes_figures
@takes_store
@takes_json
def command(
    store: str, as_json: bool, group_by: tuple[str, ...], every: str | None, tz: str, **asked: Any
) -> None:
    """Print figures about the records that answer: a row for each group, by default how many there are."""
    figures = metrics(asked.pop("figures"))
    wanted = question(**asked)
    with opened(store) as storage:
        found = storage.aggregate(wanted, group_by=group_by, every=every, tz=tz, metrics=figures)
    output.rows(found, found.columns, as_json=as_json)

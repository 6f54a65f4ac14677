"""`aggregate`: figures about the records that answer, group by group."""

from __future__ import annotations

from typing import Any

import click

from moai_patterns.aggregates import Aggregation
from moai_patterns.cli import output
from moai_patterns.cli.figures import figures
from moai_patterns.cli.options import opened, question, takes_figures, takes_json, takes_query, takes_store


@click.command("aggregate", short_help="Print figures about what answers, in groups.")
@takes_query
@takes_figures
@takes_store
@takes_json
def command(store: str, as_json: bool, **asked: Any) -> None:
    """Print figures about the records that answer: a row for each group, by default how many there are."""
    about = figures(asked) or Aggregation()
    wanted = question(**asked)
    with opened(store) as storage:
        found = storage.aggregate(
            wanted, group_by=about.group_by, every=about.every, tz=about.tz, metrics=about.metrics
        )
    output.rows(found, found.columns, as_json=as_json)

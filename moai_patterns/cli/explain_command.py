"""`explain`: what a question would read."""

from __future__ import annotations

from typing import Any

import click

from moai_patterns.aggregates import Aggregation
from moai_patterns.cli import output
from moai_patterns.cli.figures import metrics
from moai_patterns.cli.options import opened, question, takes_figures, takes_json, takes_query, takes_store


@click.command("explain", short_help="Print what a question would read.")
@takes_query
@takes_figures
@takes_store
@takes_json
def command(
    store: str, as_json: bool, group_by: tuple[str, ...], every: str | None, tz: str, **asked: Any
) -> None:
    """Print what a question, or figures about its answer, would read, without asking it."""
    figures = metrics(asked.pop("figures"))
    about = None
    if group_by or every or figures:
        about = Aggregation(group_by, every, tz, figures)
    wanted = question(**asked)
    with opened(store) as storage:
        told = storage.explain(wanted, about)
    if as_json:
        output.line(told)
    else:
        output.facts(told)

"""`explain`: what a question would read."""

from __future__ import annotations

from typing import Any

import click

from moai_patterns.cli import output
from moai_patterns.cli.figures import figures
from moai_patterns.cli.options import opened, question, takes_figures, takes_json, takes_query, takes_store


@click.command("explain", short_help="Print what a question would read.")
@takes_query
@takes_figures
@takes_store
@takes_json
def command(store: str, as_json: bool, **asked: Any) -> None:
    """Print what a question, or figures about its answer, would read, without asking it."""
    about = figures(asked)
    wanted = question(**asked)
    with opened(store) as storage:
        told = storage.explain(wanted, about)
    if as_json:
        output.line(told)
    else:
        output.facts(told)

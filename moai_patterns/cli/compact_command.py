"""`compact`: bring closed days into their dense form."""

from __future__ import annotations

import click

from moai_patterns.cli import lifecycle_output, output
from moai_patterns.cli.options import WholeNumber, opened, takes_json, takes_store
from moai_patterns.lifecycle import Policy


@click.command("compact")
@click.option("--older-than", "days", type=WholeNumber(), default=30, show_default=True, metavar="DAYS")
@click.option("--dry-run", is_flag=True, help="Only print the plan.")
@takes_store
@takes_json
def command(days: int, dry_run: bool, store: str, as_json: bool) -> None:
    """Compact the closed UTC days older than DAYS. Can be interrupted and run again."""
    with opened(store) as storage:
        plan = storage.plan(policy=Policy(days))
        if dry_run:
            lifecycle_output.show(plan, as_json=as_json)
            return
        with output.progress() as progress:
            task = progress.add_task("compacting days", total=len(plan.compact))
            outcome = storage.apply(plan, on_day=lambda day: progress.advance(task))
    output.outcome(
        f"{output.counted(outcome.compacted, 'record')} compacted",
        as_json=as_json,
        compacted=outcome.compacted,
    )

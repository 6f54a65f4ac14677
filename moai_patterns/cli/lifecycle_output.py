"""How a lifecycle plan is shown."""

from __future__ import annotations

import click

from moai_patterns.instant import DAY, isoformat
from moai_patterns.lifecycle import Plan


def show(plan: Plan) -> None:
    """Print what a plan would do, day by day."""
    for day in plan.compact:
        click.echo(f"would compact {isoformat(day * DAY)[:10]}")
    for day, kinds in plan.expired.items():
        counts = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
        click.echo(f"would expire {isoformat(day * DAY)[:10]}: {counts}")
    click.echo(f"{len(plan.compact)} days to compact, {plan.expired_count} records to expire")

"""How a lifecycle plan is shown."""

from __future__ import annotations

import click

from moai_patterns.cli import output
from moai_patterns.instant import DAY, isoformat
from moai_patterns.lifecycle import Plan


def show(plan: Plan, *, as_json: bool) -> None:
    """Print what a plan would do, day by day."""
    if as_json:
        expired = {_date(day): dict(sorted(kinds.items())) for day, kinds in plan.expired.items()}
        output.line({"compact": [_date(day) for day in plan.compact], "expire": expired})
        return
    for day in plan.compact:
        click.echo(f"would compact {_date(day)}")
    for day, kinds in plan.expired.items():
        counts = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
        click.echo(f"would expire {_date(day)}: {counts}")
    click.echo(
        f"{output.counted(len(plan.compact), 'day')} to compact, "
        f"{output.counted(plan.expired_count, 'record')} to expire"
    )


def _date(day: int) -> str:
    return isoformat(day * DAY)[:10]

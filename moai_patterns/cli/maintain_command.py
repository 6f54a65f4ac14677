"""`maintain`: what a timer runs."""

from __future__ import annotations

from typing import Any

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import WholeNumber, opened, takes_json, takes_store


@click.command("maintain")
@click.option("--compact-after", type=WholeNumber(), default=30, show_default=True, metavar="DAYS")
@click.option(
    "--retain",
    type=WholeNumber(),
    default=None,
    metavar="DAYS",
    help="Let older records expire; without this option nothing does.",
)
@takes_store
@takes_json
def command(compact_after: int, retain: int | None, store: str, as_json: bool) -> None:
    """Compact and, when told, expire, one process at a time. For cron or a systemd timer.

    Prints nothing when there was nothing to do, or another process is at it, unless --json is given.
    """
    days: dict[str, Any] = {} if retain is None else {"retention_days": retain}
    with opened(store, compression_threshold_days=compact_after, **days) as storage:
        outcome = storage.maintain()
    if as_json:
        done = outcome and {"compacted": outcome.compacted, "removed": outcome.expired}
        output.line(done or {"busy": True})
    elif outcome is not None and (outcome.compacted or outcome.expired):
        click.echo(f"{output.counted(outcome.compacted, 'record')} compacted, {outcome.expired} removed")

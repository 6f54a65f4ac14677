"""`maintain`: what a timer runs."""

from __future__ import annotations

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import opened, takes_json, takes_store


@click.command("maintain")
@click.option("--compact-after", type=click.IntRange(min=0), default=30, show_default=True, metavar="DAYS")
@click.option(
    "--retain",
    type=click.IntRange(min=0),
    default=None,
    metavar="DAYS",
    help="Let older records expire; without this option nothing does.",
)
@takes_store
@takes_json
def command(compact_after: int, retain: int | None, store: str, as_json: bool) -> None:
    """Compact and, when told, expire, one process at a time. For cron or a systemd timer."""
    days = {} if retain is None else {"retention_days": retain}
    with opened(store, compression_threshold_days=compact_after, **days) as storage:
        outcome = storage.maintain()
    if outcome is None:
        output.outcome("another process is at it", as_json=as_json, busy=True)
        return
    sentence = f"{outcome.compacted} records compacted, {outcome.expired} removed"
    output.outcome(sentence, as_json=as_json, compacted=outcome.compacted, removed=outcome.expired)

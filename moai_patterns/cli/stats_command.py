"""`stats`: what the store holds."""

from __future__ import annotations

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import opened, takes_json, takes_store


@click.command("stats")
@takes_store
@takes_json
def command(store: str, as_json: bool) -> None:
    """Print counts per kind and day, bytes, the oldest and the newest record."""
    with opened(store) as storage:
        stats = storage.stats()
    if as_json:
        output.line(stats)
        return
    click.echo(f"{stats['count']} records, from {stats['oldest']} to {stats['newest']}")
    output.table(("kind", "records"), stats["kinds"].items())
    days = ((day, sum(kinds.values())) for day, kinds in stats["days"].items())
    output.table(("day (UTC)", "records"), days)
    output.table(("bytes", ""), stats["bytes"].items())
    output.table(("spool", ""), stats["spool"].items())
    output.table(("backend", ""), stats["versions"].items())

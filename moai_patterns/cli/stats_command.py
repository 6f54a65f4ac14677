"""`stats`: what the store holds."""

from __future__ import annotations

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import opened, takes_json, takes_store


@click.command("stats", short_help="Print counts, sizes, the oldest and newest record.")
@takes_store
@takes_json
def command(store: str, as_json: bool) -> None:
    """Print counts per kind and day, bytes, the oldest and the newest record."""
    with opened(store) as storage:
        stats = storage.stats()
    if as_json:
        output.line(stats)
        return
    between = f", from {stats['oldest']} to {stats['newest']}" if stats["count"] else ""
    click.echo(output.counted(stats["count"], "record") + between)
    days = {day: sum(kinds.values()) for day, kinds in stats["days"].items()}
    facts = {name: output.plain(fact) for name, fact in stats["versions"].items()}
    spool = {name: output.plain(fact) for name, fact in stats["spool"].items() if fact}
    for heads, rows in (
        (("kind", "records"), stats["kinds"]),
        (("day (UTC)", "records"), days),
        (("part", "bytes"), stats["bytes"]),
        (("spool", ""), spool),
        (("backend", ""), facts),
    ):
        if rows:
            click.echo()
        output.table(heads, rows.items())

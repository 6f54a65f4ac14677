"""`export`: records as JSON Lines, CSV or Parquet."""

from __future__ import annotations

from typing import Any

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import (
    not_empty,
    opened,
    question,
    takes_format,
    takes_json,
    takes_query,
    takes_store,
)
from moai_patterns.exchange import Format, ending


@click.command("export", short_help="Write the records that answer as JSON Lines, CSV or Parquet.")
@click.argument("target", default="-", callback=not_empty)
@takes_query
@click.option(
    "--order", type=click.Choice(["newest", "oldest", "arrival"]), default="oldest", show_default=True
)
@click.option("--cursor", help="Go on after this cursor, printed at the end of an earlier export.")
@takes_format
@click.option("--field", "fields", multiple=True, metavar="PATH", help="Only the value here; repeatable.")
@takes_store
@takes_json
def command(
    target: str, store: str, as_json: bool, form: Format | None, fields: tuple[str, ...], **asked: Any
) -> None:
    """Write the records that answer to TARGET; - is standard output.

    They are JSON Lines unless the ending of TARGET, or --format, says otherwise.

    A file is replaced when all of them are written, not before, and only its owner can read it. How
    many they were stands on standard error, and with --order arrival the cursor behind which the next
    export goes on; with --json and a file both on standard output.
    """
    wanted = question(**asked)
    with opened(store) as storage, output.progress() as progress:
        task = progress.add_task("exporting", total=None)
        done = storage.export_to(
            target,
            wanted,
            form=form or ending(target) or "jsonl",
            fields=fields or None,
            on_batch=lambda records: progress.advance(task, records),
        )
    cursor = done.cursor if wanted.order == "arrival" else None
    if as_json and target != "-":
        output.line({"exported": done.records, **({"cursor": cursor} if cursor else {})})
        return
    click.echo(f"{done.records} exported", err=True)
    if cursor:
        click.echo(f"go on with --order arrival --cursor {cursor}", err=True)

"""`check`: look for damage."""

from __future__ import annotations

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import opened, takes_json, takes_store


@click.command("check", short_help="Look for damage and change nothing.")
@click.option("--read-data", is_flag=True, help="Read every stored byte.")
@takes_store
@takes_json
def command(read_data: bool, store: str, as_json: bool) -> int:
    """Look for damage, change nothing; exit code 1 when there is a finding."""
    with opened(store) as storage:
        problems = storage.check(read_data=read_data)
    if as_json:
        for problem in problems:
            output.line({"place": problem.place, "sentence": problem.sentence, "records": problem.records})
    elif problems:
        for problem in problems:
            click.echo(f"{problem.place}: {problem.sentence}")
    else:
        click.echo("no findings")
    return 1 if problems else 0

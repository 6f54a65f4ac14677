"""`bench`: what this store costs on this machine, beside the same work done raw."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import takes_json


@click.command("bench", short_help="Measure this store on this machine, beside the same work done raw.")
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, writable=True),
    help="Where to measure: on the disk that a store would lie on. Default: that for temporary files.",
)
@click.option("--rounds", type=click.IntRange(1), help="How often each has its turn. Default: nine times.")
@takes_json
def command(directory: str | None, rounds: int | None, as_json: bool) -> int:
    """Measure in half a minute what saves, batches, sessions and captures cost, and what an import costs.

    Floors, other libraries that are installed and this store take turns; the medians of several rounds
    count. Everything is written into a temporary directory and removed.
    """
    from moai_patterns.bench import cases, processes
    from moai_patterns.bench.measuring import fresh, measure
    from moai_patterns.bench.table import HEAD, shown

    every = (*cases.CASES, *processes.cases(processes.payload()))
    if not as_json:
        click.echo(HEAD)
    with tempfile.TemporaryDirectory(prefix="moai-bench-", dir=directory) as place:
        for case in every:
            for row in measure(case, fresh(Path(place)), rounds or 0):
                if as_json:
                    output.line({**asdict(row), "ratio": row.ratio})
                else:
                    click.echo(shown(row))
    return 0

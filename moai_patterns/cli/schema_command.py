"""`schema`: the kinds and what a record of each is."""

from __future__ import annotations

import sys

import click
import orjson

from moai_patterns import jsonlines
from moai_patterns.cli import output
from moai_patterns.cli.options import takes_json
from moai_patterns.schema import PatternSchema, json_schema, kinds


@click.group("schema")
def command() -> None:
    """Show the registered kinds, print a schema, judge records."""


@command.command("list")
@takes_json
def listing(as_json: bool) -> None:
    """Print each kind with its versions."""
    if as_json:
        output.line(kinds())
        return
    for kind, versions in kinds().items():
        click.echo(f"{kind} {' '.join(versions)}")


@command.command("show")
@click.argument("kind")
@click.option("--version", "version", default="1.0", show_default=True)
@takes_json
def show(kind: str, version: str, as_json: bool) -> None:
    """Print the JSON Schema of a kind's payload."""
    schema = json_schema(kind, version)
    if as_json:
        output.line(schema)
    else:
        click.echo(orjson.dumps(schema, option=orjson.OPT_INDENT_2))


@command.command("validate")
@takes_json
def validate(as_json: bool) -> int:
    """Read records as JSON Lines from standard input and print every violation; exit code 1 if any."""
    broken = 0
    for number, record in enumerate(jsonlines.read(sys.stdin.buffer, "standard input"), start=1):
        for violation in PatternSchema.errors(record):
            told = {"path": violation.path, "rule": violation.rule, "sentence": violation.sentence}
            output.outcome(
                f"record {number}: {': '.join(told.values())}", as_json=as_json, record=number, **told
            )
            broken += 1
    return 1 if broken else 0

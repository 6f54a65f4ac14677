"""`schema`: the kinds and what a record of each is."""

from __future__ import annotations

import sys

import click
import orjson

from moai_patterns import jsonlines
from moai_patterns.schema import PatternSchema, json_schema, kinds


@click.group("schema")
def command() -> None:
    """Show the registered kinds, print a schema, judge records."""


@command.command("list")
def listing() -> None:
    """Print each kind with its versions."""
    for kind, versions in kinds().items():
        click.echo(f"{kind} {' '.join(versions)}")


@command.command("show")
@click.argument("kind")
@click.option("--version", "version", default="1.0", show_default=True)
def show(kind: str, version: str) -> None:
    """Print the JSON Schema of a kind's payload."""
    click.echo(orjson.dumps(json_schema(kind, version), option=orjson.OPT_INDENT_2))


@command.command("validate")
def validate() -> int:
    """Read records as JSON Lines from standard input and print every violation; exit code 1 if any."""
    broken = 0
    for number, record in enumerate(jsonlines.read(sys.stdin.buffer, "standard input"), start=1):
        for violation in PatternSchema.errors(record):
            click.echo(f"record {number}: {violation.path}: {violation.rule}: {violation.sentence}")
            broken += 1
    return 1 if broken else 0

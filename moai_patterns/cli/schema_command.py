"""`schema`: the kinds and what a record of each is."""

from __future__ import annotations

from typing import BinaryIO

import click
import orjson

from moai_patterns import jsonlines
from moai_patterns.cli import output
from moai_patterns.cli.options import takes_json
from moai_patterns.cli.storing import name_of
from moai_patterns.errors import ValidationError
from moai_patterns.schema import PatternSchema, Violation, json_schema, kinds


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
@click.argument("source", type=click.File("rb"), default="-")
@takes_json
def validate(source: BinaryIO, as_json: bool) -> int:
    """Judge the records of SOURCE, one JSON object a line, and print every violation with its line.

    - is standard input. Exit code 1 if there is any violation.
    """
    broken = 0
    for place, line in jsonlines.numbered(source, name_of(source)):
        for violation in _violations(line):
            told = {"path": violation.path, "rule": violation.rule, "sentence": violation.sentence}
            output.outcome(f"{place}: {': '.join(told.values())}", as_json=as_json, place=place, **told)
            broken += 1
    return 1 if broken else 0


def _violations(line: bytes) -> list[Violation]:
    try:
        return PatternSchema.errors(jsonlines.record(line, "$"))
    except ValidationError as error:
        return [Violation("$", "json", str(error).removeprefix("$: "))]

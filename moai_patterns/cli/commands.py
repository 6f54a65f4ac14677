"""The command line: one file per command, loaded when it is called for. `EXIT_CODES` says how it ends."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import TextIO

import click
from click.shell_completion import shell_complete

from moai_patterns import __version__
from moai_patterns.cli import load
from moai_patterns.cli.options import stores_beginning
from moai_patterns.errors import PatternError

COMMANDS = (
    "aggregate",
    "bench",
    "capture",
    "check",
    "compact",
    "completion",
    "copy",
    "count",
    "delete",
    "demo",
    "doctor",
    "explain",
    "export",
    "hook",
    "import",
    "load",
    "maintain",
    "query",
    "repair",
    "retain",
    "save",
    "schema",
    "sql",
    "stats",
)
EXIT_CODES = """\b
Exit codes:
  0  done, also when whoever reads the output has enough and closes the pipe
  1  the answer is no: an unknown id, damage, a violation, something that waits
  2  wrong usage: the words of the command line
  3  refused: a record, a query, a schema, the content of a file
  4  a store or file cannot be used: missing, not permitted, busy, disk full
  5  interrupted; what was acknowledged is stored
"""
_REFUSED, _UNUSABLE = 3, 4
_COMPLETE = "_MOAI_PATTERNS_COMPLETE"


class Commands(click.Group):
    """A group whose commands live in modules of their names."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = load(f"{cmd_name}_command").command
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(__version__, prog_name="moai-patterns")
@click.option(
    "--store",
    metavar="STORE",
    shell_complete=stores_beginning,
    help="file:PATH or sqlite:PATH; default $MOAI_PATTERNS_STORE, else file:.moai/patterns. "
    "May also stand behind the command.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON, one object a line. May also stand behind the command.",
)
def root(store: str | None, as_json: bool) -> None:
    """Keep, query and look after the records that coding agents leave behind."""


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; a `KeyboardInterrupt` is left to the caller."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what a terminal cannot show must not end us
    try:
        return _run(arguments)
    except BrokenPipeError:
        _write_nowhere(sys.stdout, sys.stderr)
        return 0


def _run(arguments: list[str]) -> int:
    # Not `root.main`, which ends the process with 1 when a pipe is closed.
    if asked := os.environ.get(_COMPLETE):
        return shell_complete(root, {}, "moai-patterns", _COMPLETE, asked)
    try:
        with root.make_context("moai-patterns", list(arguments)) as ctx:
            result = root.invoke(ctx)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except BrokenPipeError:
        raise
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (PatternError, OSError) as error:
        if not isinstance(error, PatternError):  # the output, perhaps: a full disk
            _write_nowhere(sys.stdout)
        click.echo(f"Error: {error}", err=True)
        for note in getattr(error, "__notes__", ()):
            click.echo(f"  {note}", err=True)
        return _UNUSABLE if isinstance(error, OSError) else _REFUSED
    return result if isinstance(result, int) else 0


def _write_nowhere(*streams: TextIO | None) -> None:
    """Let what is still buffered go nowhere: the interpreter would complain about it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, streams):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)

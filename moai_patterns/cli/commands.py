"""The command line: one file per command, loaded when it is called for.

Exit codes: 0 done; 1 the answer is no (an unknown id, a store with findings); 2 wrong usage; 3 a
record, query or schema was refused; 4 the store cannot be used; 5 interrupted.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from moai_patterns import __version__
from moai_patterns.errors import PatternError, StoreError

COMMANDS = (
    "capture",
    "check",
    "compact",
    "completion",
    "copy",
    "count",
    "delete",
    "demo",
    "doctor",
    "export",
    "hook",
    "import",
    "load",
    "maintain",
    "query",
    "retain",
    "save",
    "schema",
    "stats",
)
_REFUSED, _STORE, _INTERRUPTED = 3, 4, 5


class Commands(click.Group):
    """A group whose commands live in modules of their names."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"moai_patterns.cli.{cmd_name}_command")
        command: click.Command = module.command
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="moai-patterns")
@click.option(
    "--store",
    metavar="STORE",
    help="file:PATH or sqlite:PATH; default $MOAI_PATTERNS_STORE, else file:.moai/patterns. "
    "May also stand behind the command.",
)
@click.pass_context
def root(ctx: click.Context, store: str | None) -> None:
    """Keep, query and look after the records that coding agents leave behind."""
    ctx.obj = store


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code; `arguments` default to the process's own."""
    try:
        result = root.main(arguments, prog_name="moai-patterns", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted; what was acknowledged is stored", err=True)
        return _INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except PatternError as error:
        click.echo(f"error: {error}", err=True)
        for note in getattr(error, "__notes__", ()):
            click.echo(f"  {note}", err=True)
        return _STORE if isinstance(error, StoreError) else _REFUSED
    except BrokenPipeError:
        # Whoever read our output has enough; the interpreter must not complain about it at exit.
        sys.stdout = None
        return 0
    return result if isinstance(result, int) else 0

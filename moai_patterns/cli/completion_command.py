"""`completion`: what a shell needs to complete command lines."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion", short_help="Print a shell's completion script.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL; load it with: eval "$(moai-patterns completion bash)"."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click cannot complete for {shell}")
    script = kind(ctx.find_root().command, {}, "moai-patterns", "_MOAI_PATTERNS_COMPLETE")
    click.echo(script.source())

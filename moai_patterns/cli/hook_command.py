"""`hook`: let an agent hand over what it does."""

from __future__ import annotations

import os
from typing import Literal

import click

from moai_patterns.collect import settings

Scope = Literal["user", "project", "local"]


@click.group("hook")
def command() -> None:
    """Capture hook events, and register the capture with an agent."""


@command.command("claude-code")
def claude_code() -> None:
    """Store the hook payload on standard input as records; print nothing, exit with 0."""
    # Only the help gets here: the entry point sends captures down their own light path.
    from moai_patterns.collect.hook import run

    run([])


def _settings_options(command: click.decorators.FC) -> click.decorators.FC:
    command = click.option("--dry-run", is_flag=True, help="Only print the difference.")(command)
    command = click.option("--settings", "path", metavar="FILE", help="This settings file.")(command)
    return click.option(
        "--scope",
        type=click.Choice(["user", "project", "local"]),
        default="user",
        show_default=True,
        help="Whose settings: the user's, the project's (shared), or the user's in the project.",
    )(command)


@command.command("install")
@_settings_options
@click.option(
    "--store", metavar="STORE", help="Capture into this store; else the hook goes by its environment."
)
@click.option("--event", "events", multiple=True, metavar="EVENT", help="Only this event; repeatable.")
def install(
    scope: Scope, path: str | None, dry_run: bool, store: str | None, events: tuple[str, ...]
) -> None:
    """Register the capture in a Claude Code settings file; whatever else is in it stays as it is."""
    shell = settings.default_shell(os.environ)
    # A file that others share must not name an interpreter of this machine.
    python = None if scope == "project" and path is None else settings.interpreter()
    change = settings.install(
        path or settings.settings_path(scope, os.environ),
        events=events or settings.events_for(settings.claude_code_version()),
        command=settings.capture_command(python, store=store, shell=shell),
        shell=shell,
        dry_run=dry_run,
    )
    _show(change, dry_run=dry_run)


@command.command("uninstall")
@_settings_options
def uninstall(scope: Scope, path: str | None, dry_run: bool) -> None:
    """Take the capture out of a Claude Code settings file again."""
    change = settings.uninstall(path or settings.settings_path(scope, os.environ), dry_run=dry_run)
    _show(change, dry_run=dry_run)


def _show(change: settings.Change, *, dry_run: bool) -> None:
    if dry_run:
        click.echo(change.diff or "nothing would change", nl=not change.diff)
    else:
        click.echo(f"{change.path}: {'changed' if change.diff else 'nothing to change'}")

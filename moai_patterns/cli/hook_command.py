"""`hook`: let an agent hand over what it does."""

from __future__ import annotations

import os
from typing import Any, Literal

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import before_the_command, not_empty, takes_json
from moai_patterns.collect import settings
from moai_patterns.location import StoreNameError, parse_store

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
    command = takes_json(command)
    command = click.option("--dry-run", is_flag=True, help="Only print the difference.")(command)
    command = click.option(
        "--settings", "path", metavar="FILE", callback=not_empty, help="This settings file."
    )(command)
    return click.option(
        "--scope",
        type=click.Choice(["user", "project", "local"]),
        help="Whose settings: the user's (default), the project's (shared), or the user's in the project.",
    )(command)


def _captured_into(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse a store that every capture would fail on; they could not say so."""
    named = before_the_command(ctx, "store") if value is None else value
    if named is None:
        return None
    try:
        backend, path = parse_store(named)
    except StoreNameError as error:
        raise click.BadParameter(str(error), ctx, parameter) from None
    if backend == "memory":
        raise click.BadParameter("a store in memory would end with each hook", ctx, parameter)
    if os.path.exists(path) and os.path.isdir(path) != (backend == "filesystem"):
        wanted = "directory" if backend == "filesystem" else "database"
        raise click.BadParameter(f"{path} is there and no {wanted}", ctx, parameter)
    return str(named)


@command.command("install")
@_settings_options
@click.option(
    "--store",
    metavar="STORE",
    callback=_captured_into,
    help="Capture into this store; else the hook goes by its environment.",
)
@click.option("--event", "events", multiple=True, metavar="EVENT", help="Only this event; repeatable.")
@click.option("--force", is_flag=True, help="Also register events that this program does not know.")
def install(path: str | None, store: str | None, events: tuple[str, ...], force: bool, **given: Any) -> None:
    """Register the capture in a Claude Code settings file; whatever else is in it stays as it is."""
    unknown = sorted(set(events) - settings.KNOWN)
    if unknown and not force:
        raise click.UsageError(
            f"{', '.join(unknown)}: no known event, and for one such some versions of Claude Code ignore "
            f"the whole file; known are {', '.join(sorted(settings.KNOWN - settings.NEVER))}. "
            "--force registers it all the same."
        )
    shell = settings.default_shell(os.environ)
    # A file that others share must not name an interpreter of this machine.
    python = None if given["scope"] == "project" else settings.interpreter()
    change = settings.install(
        _file(given["scope"], path),
        events=events or settings.events_for(settings.claude_code_version()),
        command=settings.capture_command(python, store=store, shell=shell),
        shell=shell,
        dry_run=given["dry_run"],
    )
    _show(change, dry_run=given["dry_run"], as_json=given["as_json"])


@command.command("uninstall")
@_settings_options
def uninstall(scope: Scope | None, path: str | None, dry_run: bool, as_json: bool) -> None:
    """Take the capture out of a Claude Code settings file again."""
    change = settings.uninstall(_file(scope, path), dry_run=dry_run)
    _show(change, dry_run=dry_run, as_json=as_json)


def _file(scope: Scope | None, path: str | None) -> str:
    if scope is not None and path is not None:
        raise click.UsageError("--scope and --settings both say which file; give one of them")
    found = settings.settings_path(scope or "user", os.environ) if path is None else path
    if os.path.exists(found) and not os.path.isfile(found):
        raise click.UsageError(f"{found} is no file: settings stand in a regular one")
    return found


def _show(change: settings.Change, *, dry_run: bool, as_json: bool) -> None:
    changed = change.before != change.after
    if as_json and dry_run:
        output.line({"settings": change.path, "would_change": changed, "diff": change.diff})
    elif dry_run:
        click.echo(change.diff or "nothing would change", nl=not change.diff)
    else:
        sentence = f"{change.path}: {'changed' if changed else 'nothing to change'}"
        output.outcome(sentence, as_json=as_json, settings=change.path, changed=changed)

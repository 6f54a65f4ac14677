"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape, glob
from typing import Any, TypeVar

import click

from moai_patterns import schema
from moai_patterns.conditions import Condition, Every
from moai_patterns.errors import LayoutError, QueryError, StoreError
from moai_patterns.location import default_store, parse_store, spools
from moai_patterns.query import Query
from moai_patterns.storage import PatternStorage, open_store

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = {"start_date": "--since", "end_date": "--until"}


def takes_store(command: F) -> F:
    """Add `--store` behind the command; the call gets the store's name as `store`."""

    def chosen(ctx: click.Context, _: click.Parameter, value: str | None) -> str:
        named = before_the_command(ctx, "store") if value is None else value
        return lasting(default_store() if named is None else str(named))

    option = click.option(
        "--store",
        metavar="STORE",
        callback=chosen,
        shell_complete=stores_beginning,
        help="file:PATH or sqlite:PATH.",
    )
    return option(command)


def stores_beginning(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return what a store's name that begins so may go on with: directories and databases."""
    scheme, colon, path = incomplete.partition(":")
    if not colon:
        return [name for name in ("file:", "sqlite:") if name.startswith(incomplete)]
    found = sorted(name for name in glob(escape(path) + "*") if not name.endswith((".spool", "-wal", "-shm")))
    directories = [f"{scheme}:{name}" for name in found if os.path.isdir(name)]
    databases = [f"{scheme}:{name}" for name in found if scheme == "sqlite" and name.endswith(".db")]
    return directories + databases


def _kinds_beginning(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [kind for kind in schema.kinds() if kind.startswith(incomplete)]


class WholeNumber(click.IntRange):
    """A number from 0 on, under a name that fits into a sentence."""

    name = "whole number"

    def __init__(self) -> None:
        super().__init__(min=0)


def lasting(store: str) -> str:
    """Return the name of a store as it is; refuse one in memory, which would end with the command."""
    if parse_store(store)[0] == "memory":
        raise click.UsageError(f"{store} would be gone with this command; name file:PATH or sqlite:PATH")
    return store


def before_the_command(ctx: click.Context, option: str) -> Any:
    """Return what an option of the program, which stands before the command, was given; None for nothing."""
    return ctx.find_root().params.get(option)


def takes_json(command: F) -> F:
    """Add `--json` behind the command; the call gets `as_json`, true also for one before the command."""

    def chosen(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        return value or bool(before_the_command(ctx, "as_json"))

    option = click.option(
        "--json", "as_json", is_flag=True, callback=chosen, help="Print JSON, one object a line."
    )
    return option(command)


def takes_format(command: F) -> F:
    """Add `--format`; the call gets it as `form`, None where the ending of the file decides."""
    forms = click.Choice(["jsonl", "csv", "parquet"])
    return click.option("--format", "form", type=forms, help="Default: by the ending, else jsonl.")(command)


def not_empty(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse the empty text, which a script passes whose variable is not set."""
    if value == "":
        raise click.BadParameter("the name is empty", ctx, parameter)
    return value


def takes_query(command: F) -> F:
    """Add the options of a question; the call gets a `Query` as `question`."""
    options = (
        click.option(
            "--kind",
            "kinds",
            multiple=True,
            metavar="KIND",
            shell_complete=_kinds_beginning,
            help="Only this kind; repeatable.",
        ),
        click.option("--since", metavar="TIME", help="Not before this timestamp or date (inclusive)."),
        click.option("--until", metavar="TIME", help="Not after this timestamp or date (inclusive)."),
        click.option("--tag", "tags", multiple=True, metavar="TAG", help="Any of these tags; repeatable."),
        click.option("--tag-all", "tags_all", multiple=True, metavar="TAG", help="Every one of these tags."),
        click.option("--tag-none", "tags_none", multiple=True, metavar="TAG", help="Not one of these tags."),
        click.option(
            "--where",
            "conditions",
            multiple=True,
            metavar="CONDITION",
            help="Like 'data.duration_ms >= 1000 and context.git_branch == \"main\"'; all must hold.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def takes_figures(command: F) -> F:
    """Add the options of figures; the call gets `group_by`, `every`, `tz` and, as texts, `figures`."""
    options = (
        click.option(
            "--group-by", multiple=True, metavar="PATH", help="A group for each value here; repeatable."
        ),
        click.option("--every", metavar="PERIOD", help="A group for each period, like 1d, 15m, 1w or 1mo."),
        click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="Whose clocks count."),
        click.option(
            "--figure",
            "figures",
            multiple=True,
            metavar="FIGURE",
            help="Like count, m=mean(data.duration_ms) or p95=quantile(data.duration_ms, 0.95); repeatable.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def question(
    kinds: tuple[str, ...],
    since: str | None,
    until: str | None,
    tags: tuple[str, ...],
    conditions: tuple[str, ...],
    **more: Any,
) -> Query:
    """Return the `Query` that the options of `takes_query` describe."""
    try:
        limit, where = more.pop("limit", None), _where(conditions)
        return Query(kinds or None, since, until, limit, tags or None, where=where, **more)
    except QueryError as error:
        name, colon, reason = str(error).partition(":")
        raise QueryError(_OPTIONS.get(name, name) + colon + reason) from None


def _where(conditions: tuple[str, ...]) -> Condition | None:
    if not conditions:
        return None
    from moai_patterns.where import parse_condition

    return Every(tuple(map(parse_condition, conditions)))


@contextmanager
def opened(store: str, *, create: bool = False, **options: Any) -> Iterator[PatternStorage]:
    """Open a store for one command; it is closed at the end, and no maintenance starts by itself.

    Only with `create` may there be none yet: a name with a typing error must not pass for an empty
    store. Raises `StoreError`.
    """
    backend, path = parse_store(store)
    if backend == "filesystem" and os.path.exists(path) and not os.path.isdir(path):
        raise LayoutError(f"{path} is a file and no store; a tree of files stands in a directory")
    if not create and not _is_there(backend, path):
        raise StoreError(f"there is no store at {path}; name one that is there with --store")
    with open_store(store, maintenance_interval=None, **options) as storage:
        yield storage


def _is_there(backend: str, path: str) -> bool:
    """Tell whether a place holds a store, or records that wait for one to be made."""
    if spools((backend, path), os.environ):
        return True
    try:
        if backend == "filesystem":
            return bool(os.listdir(path))
        return os.stat(path).st_size > 0 or os.path.lexists(path + ".reserve")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # opening it says what is in the way

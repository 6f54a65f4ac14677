"""`copy`: bring records into another store."""

from __future__ import annotations

from typing import Any

import click

from moai_patterns.backends.base import Problem
from moai_patterns.cli import output
from moai_patterns.cli.options import lasting, opened, question, takes_json, takes_query, takes_store
from moai_patterns.errors import DamageError
from moai_patterns.query import Query
from moai_patterns.storage import PatternStorage

_REFUSED = 3


@click.command("copy")
@click.argument("target", metavar="TARGET-STORE")
@takes_query
@takes_store
@takes_json
def command(target: str, store: str, as_json: bool, **asked: Any) -> int:
    """Copy records with their history into TARGET-STORE. Can be interrupted and run again.

    Of a store in the plain layout, what is damaged or no valid record is named and left out; the
    exit code is 3 then.
    """
    refused: list[Problem] = []
    wanted = question(order="oldest", **asked)
    with (
        opened(store) as source,
        opened(lasting(target), create=True, durability="group") as other,
        output.progress() as progress,
    ):
        task = progress.add_task("copying", total=_total(source, wanted))
        copied = source.copy_to(
            other,
            wanted,
            on_batch=lambda records: progress.advance(task, records),
            on_refused=refused.append,
        )
    for problem in refused:
        click.echo(f"left out: {problem.place}: {problem.sentence}", err=True)
    left = f", {len(refused)} left out" if refused else ""
    output.outcome(
        f"{output.counted(copied, 'record')} copied{left}",
        as_json=as_json,
        copied=copied,
        left_out=len(refused),
    )
    return _REFUSED if refused else 0


def _total(source: PatternStorage, wanted: Query) -> int | None:
    try:
        return source.count(wanted)
    except DamageError:  # the copy itself says where
        return None

"""`retain`: let old records expire."""

from __future__ import annotations

import click

from moai_patterns.cli import lifecycle_output, output
from moai_patterns.cli.options import WholeNumber, lasting, opened, takes_json, takes_store
from moai_patterns.lifecycle import Policy


@click.command("retain")
@click.option(
    "--days",
    type=WholeNumber(),
    default=90,
    show_default=True,
    metavar="DAYS",
    help="What lies before the UTC midnight this many days ago expires.",
)
@click.option("--archive", metavar="STORE", help="Move there instead: copied, compared, then removed.")
@click.option("--dry-run", is_flag=True, help="Only print the plan.")
@takes_store
@takes_json
def command(days: int, archive: str | None, dry_run: bool, store: str, as_json: bool) -> None:
    """Remove the records older than DAYS and give the disk back.

    Nothing expires unless somebody asks; running this command is asking, also without --days.
    """
    if archive is not None:
        lasting(archive)
    with opened(store) as storage:
        plan = storage.plan(policy=Policy(None, days))
        if dry_run:
            lifecycle_output.show(plan, as_json=as_json)
            return
        if archive is None:
            outcome = storage.apply(plan)
        else:
            with opened(archive, create=True, durability="group") as target:
                outcome = storage.apply(plan, archive=target)
    done = "removed" if archive is None else "archived"
    output.outcome(
        f"{output.counted(outcome.expired, 'record')} {done}", as_json=as_json, **{done: outcome.expired}
    )

"""`repair`: mend what `check` finds."""

from __future__ import annotations

import click

from moai_patterns.backends.base import Repair
from moai_patterns.cli import output
from moai_patterns.cli.options import opened, takes_json, takes_store

_NAMED = 20  # ids that are printed for people; a program gets them all


@click.command("repair", short_help="Mend damage; keep damaged originals.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@takes_store
@takes_json
def command(dry_run: bool, store: str, as_json: bool) -> int:
    """Mend what `check` finds and say what is left; exit code 1 when there is anything.

    What is whole goes on as it is. A damaged original is moved to a quarantine beside the data and stays
    a finding until somebody removes it there. Can be interrupted and run again.
    """
    with opened(store) as storage:
        done = storage.repair(dry_run=dry_run)
        left = [] if dry_run else storage.check(read_data=True)
    for repair in done:
        _show(repair, as_json=as_json)
    for problem in left:
        if as_json:
            output.line({"place": problem.place, "left": problem.sentence, "records": problem.records})
        else:
            click.echo(f"left: {problem.place}: {problem.sentence}")
    if not (done or left or as_json):
        click.echo("nothing to repair")
    return 1 if left or (dry_run and done) else 0


def _show(repair: Repair, *, as_json: bool) -> None:
    if as_json:
        told = {"place": repair.place, "sentence": repair.sentence, "lost": repair.lost}
        output.line({**told, "lost_ids": repair.lost_ids, "quarantined": repair.quarantined or None})
        return
    click.echo(f"{repair.place}: {repair.sentence}")
    if repair.lost != 0:
        number = "an unknown number of records"
        if repair.lost is not None:
            number = output.counted(repair.lost, "record")
        names = ", ".join(repair.lost_ids[:_NAMED]) + (", ..." * (len(repair.lost_ids) > _NAMED))
        click.echo(f"  lost: {number}{names and ': '}{names}")
    if repair.quarantined:
        click.echo(f"  the original: {repair.quarantined}")

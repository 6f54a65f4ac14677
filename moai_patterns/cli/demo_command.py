"""`demo`: two sessions captured, stored in both backends, queried, compacted and checked."""

from __future__ import annotations

import os
import shlex
import string
import sys
import tempfile
from contextlib import nullcontext, redirect_stdout
from importlib.resources import files
from pathlib import Path
from shutil import which
from typing import Any

import click

from moai_patterns.cli import output
from moai_patterns.cli.import_command import redaction_key, show
from moai_patterns.cli.options import not_empty, takes_json
from moai_patterns.collect.importing import import_paths
from moai_patterns.conditions import field
from moai_patterns.errors import StoreError
from moai_patterns.lifecycle import Policy
from moai_patterns.storage import PatternStorage, open_store

_RECORDED = 1_768_212_000  # 2026-01-12T10:00Z
# A made-up credential in the form of a real one, put together here so that no file holds it.
_TOKEN = "ghp_" + (string.ascii_letters + string.digits)[5:41]


@click.command("demo", short_help="Show what the store does, on bundled sessions.")
@click.argument("paths", nargs=-1, type=click.Path(exists=True))
@click.option(
    "--out",
    metavar="DIRECTORY",
    callback=not_empty,
    help="Where the stores go; default a new temporary directory.",
)
@takes_json
def command(paths: tuple[str, ...], out: str | None, as_json: bool) -> int:
    """Show what the store does, on two bundled sessions and on your own transcripts at PATHS.

    With --json what is shown goes to standard error, and how it came out to standard output.
    """
    place = Path(out or tempfile.mkdtemp(prefix="moai-patterns-demo-"))
    sources: list[str | Path] = [*_bundled(place), *paths]
    stores = {name: f"{scheme}:{place / name}" for name, scheme in (("tree", "file"), ("table", "sqlite"))}
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        outcome = _shown(sources, stores)
    if as_json:
        output.line({"stores": stores, **outcome})
    return 0 if outcome["equal"] and not outcome["findings"] else 1


def _shown(sources: list[str | Path], stores: dict[str, str]) -> dict[str, Any]:
    """Go through the whole of it and return how it came out."""
    key = redaction_key(stores["tree"])  # one key for both, so that equal secrets stay equal
    answers, findings = [], 0
    for name, store in stores.items():
        _headline(f"{name}: capture {len(sources)} recordings into {store}")
        with open_store(store, maintenance_interval=None) as storage:
            show(import_paths(sources, storage, key=key), as_json=False)
            output.table(("kind", "records"), storage.stats()["kinds"].items())
            if name == "tree":
                _questions(storage)
            _compact(storage)
            problems = storage.check(read_data=True)
            click.echo(f"check: {output.counted(len(problems), 'finding')}")
            findings += len(problems)
            answers.append(list(storage.iter()))
    _headline("Both stores, asked for everything")
    same = answers[0] == answers[1]
    click.echo(f"{len(answers[0])} records from the tree, {'equal' if same else 'NOT EQUAL'} to the table's")
    _headline("Go on")
    for words in (
        ["stats", "--store", stores["tree"]],
        ["query", "--kind", "error_occurrence", "--json", "--store", stores["table"]],
        ["hook", "install", "--dry-run"],
    ):
        click.echo(shlex.join([*_program(), *words]))
    return {"records": len(answers[0]), "equal": same, "findings": findings}


def _program() -> list[str]:
    """Return the words that start this program from where the demo was started."""
    if which("moai-patterns"):
        return ["moai-patterns"]
    started = sys.argv[0]
    return [started] if Path(started).stem == "moai-patterns" else [sys.executable, "-m", "moai_patterns"]


def _bundled(place: Path) -> list[Path]:
    """Write the two sessions of the package where an importer can read them."""
    recordings = place / "recordings"
    try:
        recordings.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"the demo cannot make its directory here: {error.strerror}; name another with --out"
        raise StoreError(error.errno, reason, str(place)) from error
    written = []
    for resource in files("moai_patterns.cli").joinpath("demo_sessions").iterdir():
        target = recordings / resource.name
        text = resource.read_text(encoding="utf-8").replace("@TOKEN@", _TOKEN)
        target.write_text(text, encoding="utf-8")
        os.utime(target, (_RECORDED, _RECORDED))  # hook payloads have no time of their own
        written.append(target)
    return sorted(written)


def _questions(storage: PatternStorage) -> None:
    click.echo("the newest five:")
    output.records(storage.query(limit=5), as_json=False)
    click.echo("what went wrong:")
    output.records(storage.query("error_occurrence"), as_json=False)
    click.echo("what the user corrected:")
    output.records(storage.query("user_correction"), as_json=False)
    click.echo('where data.tool_name == "Bash" and data.duration_ms >= 10:')
    slow = (field("data.tool_name") == "Bash") & (field("data.duration_ms") >= 10)
    output.records(storage.query("tool_use", where=slow), as_json=False)
    held = sum("[REDACTED:" in str(record) for record in storage.iter())
    leaked = sum(_TOKEN in str(record) for record in storage.iter())
    click.echo(f"credentials: redacted in {held} records, left in {leaked}")


def _compact(storage: PatternStorage) -> None:
    before = sum(storage.stats()["bytes"].values())
    moved = storage.apply(storage.plan(policy=Policy(0))).compacted
    after = sum(storage.stats()["bytes"].values())
    if moved:
        click.echo(f"compact: {output.counted(moved, 'record')}, {before:,} bytes before, {after:,} after")


def _headline(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)

"""`import`: bring in what was recorded elsewhere."""

from __future__ import annotations

import os
from functools import partial
from typing import BinaryIO

import click

from moai_patterns.cli import output
from moai_patterns.cli.options import opened, takes_format, takes_json, takes_store
from moai_patterns.cli.output import counted
from moai_patterns.cli.storing import store_lines, told
from moai_patterns.collect.importing import Summary, import_paths
from moai_patterns.collect.redact import enabled, load_key
from moai_patterns.exchange import Format, Known
from moai_patterns.location import beside, parse_store
from moai_patterns.saving import Saved

_REFUSED = 3


@click.group("import")
def command() -> None:
    """Import transcripts, logged hook payloads, or exported records."""


@command.command("claude-code")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True))
@takes_store
@takes_json
def claude_code(paths: tuple[str, ...], store: str, as_json: bool) -> int:
    """Import Claude Code transcripts and logged arrays of hook payloads; a second time adds nothing.

    Directories are read recursively. Lines that cannot be read are named, the rest goes in. Exit code
    3 when none of the files holds a recording, so that nothing was taken.
    """
    with opened(store, create=True, durability="group") as storage, output.progress() as progress:
        task = progress.add_task("importing", total=None)
        summary = import_paths(
            paths,
            storage,
            key=partial(redaction_key, store),
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    show(summary, as_json=as_json)
    return 0 if summary.files else _REFUSED


@command.command("jsonl")
@click.argument("source", type=click.File("rb"), default="-")
@takes_store
@takes_json
def jsonl(source: BinaryIO, store: str, as_json: bool) -> None:
    """Import records as `export` writes them, one JSON object a line; a second time adds nothing."""
    with opened(store, create=True, durability="group") as storage:
        saved = store_lines(storage, source)
    output.outcome(told(saved), as_json=as_json, imported=sum(saved), **saved._asdict())


@command.command("file")
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
@takes_format
@click.option(
    "--known",
    type=click.Choice(["overwrite", "merge", "skip"]),
    default="overwrite",
    show_default=True,
    help="A record whose id is known: its next revision, joined with what is stored, or left out.",
)
@takes_store
@takes_json
def file(path: str, form: Format | None, known: Known, store: str, as_json: bool) -> None:
    """Import whole records from JSON Lines, CSV or Parquet, as `export` writes them."""
    with opened(store, create=True, durability="group") as storage, output.progress() as progress:
        task = progress.add_task("importing", total=None)
        done = storage.import_from(
            path, form=form, known=known, on_batch=lambda records: progress.advance(task, records)
        )
    sentence = f"{told(Saved(*done[:3]))}, {done.skipped} known and left out"
    output.outcome(sentence, as_json=as_json, imported=sum(done[:3]), **done._asdict())


def redaction_key(store: str) -> bytes | None:
    """Return the key of a store's placeholders, None when redaction is switched off."""
    if not enabled(os.environ):
        return None
    return load_key(beside(parse_store(store), ".key"))


def show(summary: Summary, *, as_json: bool) -> None:
    """Print what went in and what did not."""
    if as_json:
        output.line(_plain(summary))
        return
    for skipped in summary.skipped:
        place = f", line {skipped.line}" if skipped.line else ""
        click.echo(f"skipped {skipped.file}{place}: {skipped.reason}", err=True)
    if more := summary.damaged - len(summary.skipped):
        click.echo(f"skipped {more} more that are not named", err=True)
    for ignored in summary.ignored:
        click.echo(f"ignored {ignored.file}: {ignored.reason}", err=True)
    left_out = f"{counted(summary.damaged, 'place')} skipped, {counted(len(summary.ignored), 'file')} ignored"
    if not summary.files:
        click.echo(f"nothing was taken, no file holds a recording: {left_out}")
        return
    click.echo(
        f"{counted(summary.files, 'file')}, {counted(summary.lines, 'transcript line')}, "
        f"{counted(summary.payloads, 'hook payload')}:"
    )
    filled = f", {counted(summary.filled, 'record')} of hooks filled in" if summary.filled else ""
    click.echo(
        f"  {counted(summary.added, 'record')} added, {summary.revised} revised, {summary.unchanged} known"
        f"{filled},\n  {left_out}"
    )


def _plain(summary: Summary) -> dict[str, object]:
    return {
        "files": summary.files,
        "lines": summary.lines,
        "payloads": summary.payloads,
        "repeated": summary.repeated,
        "added": summary.added,
        "revised": summary.revised,
        "unchanged": summary.unchanged,
        "filled": summary.filled,
        "damaged": summary.damaged,
        "skipped": [{"file": s.file, "line": s.line, "reason": s.reason} for s in summary.skipped],
        "ignored": [{"file": ignored.file, "reason": ignored.reason} for ignored in summary.ignored],
    }

"""What is printed: tables and sentences for people, JSON for programs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

import click
import orjson
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import Progress

_TELLING = {
    "task_completion": ("task_type", "agent", "success", "duration_ms"),
    "error_occurrence": ("error_type", "error_message"),
    "agent_usage": ("agent_type", "task_type", "success", "tokens_used"),
    "user_correction": ("correction_type", "agent", "user_feedback"),
    "tool_use": ("tool_name", "success", "duration_ms", "tool_input"),
    "hook_event": ("event", "payload"),
}
_WIDTH = 60  # characters of one value in the gist of a record
_LEAST = 30  # columns for the gist; with less it stands below
_PIPED = 120  # columns where no terminal says how many it has
_ENDLESS = 1 << 30
_GAP = "  "  # between columns
_FRACTION = re.compile(r"\.\d+")


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would end the process with exit code 1


def line(value: Any) -> None:
    """Print a value as one line of JSON in UTF-8."""
    click.echo(orjson.dumps(value))


def outcome(sentence: str, /, *, as_json: bool, **facts: Any) -> None:
    """Print what a command did: the sentence, or the facts as one JSON object."""
    if as_json:
        line(facts)
    else:
        click.echo(sentence)


def counted(number: int, noun: str) -> str:
    """Return a number with what it counts.

    >>> counted(1, "record"), counted(2, "day")
    ('1 record', '2 days')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def records(found: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print records: as JSON Lines one by one, or as a table with what tells them apart."""
    if as_json:
        for record in found:
            line(record)
        return
    rows = [(_FRACTION.sub("", r["timestamp"]), r["pattern_type"], r["pattern_id"], _gist(r)) for r in found]
    if rows:
        table(("timestamp", "kind", "id", "what"), rows, _width())
    else:
        click.echo("no records")


def rows(found: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows: as JSON Lines, or as a table under the names of their columns."""
    if as_json:
        for row in found:
            click.echo(orjson.dumps(row, default=str))
        return
    cells = [[_shown(row[column]) for column in columns] for row in found]
    if cells:
        table(columns, cells)
    else:
        click.echo("no rows")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def table(heads: Sequence[str], rows: Iterable[Iterable[object]], width: int | None = None) -> None:
    """Print rows under their heads, control characters made visible; nothing when there are no rows.

    Every cell is whole. With a `width` the last column is cut to what the others leave of it, and
    where that is too little it gets lines of its own.
    """
    cells = [[_plain(str(cell)) for cell in row] for row in rows]
    if not cells:
        return
    widths = [max(map(cell_len, column)) for column in zip(heads, *cells, strict=True)]
    left = _ENDLESS if width is None else width - sum(widths[:-1]) - len(_GAP) * (len(heads) - 1)
    below = left < _LEAST and width is not None
    if below:
        left = max(width or 0, _LEAST) - len(_GAP)
    head = _row([*heads[:-1], ""] if below else heads, widths, left, below=False)
    lines = [_row(row, widths, left, below=below) for row in cells]
    # Not `click.echo`, which does not ask the encoding of the output where that is ASCII.
    print(click.style(head, bold=True) if sys.stdout.isatty() else head, *lines, sep="\n", flush=True)


def _row(row: Sequence[str], widths: Sequence[int], left: int, *, below: bool) -> str:
    aligned = [cell + " " * (width - cell_len(cell)) for cell, width in zip(row[:-1], widths, strict=False)]
    last = _cut(row[-1], left)
    if below:
        return _GAP.join(aligned).rstrip() + (f"\n{_GAP}{last}" if last else "")
    return _GAP.join([*aligned, last]).rstrip()


def facts(told: Mapping[str, Any]) -> None:
    """Print named facts, a line each; on a terminal those that are too long go on below, between words."""
    indent = max(map(len, told)) + len(_GAP)
    for name, fact in told.items():
        shown = _plain(plain(fact))
        if sys.stdout.isatty():
            room = max(_width() - indent, _LEAST)
            shown = f"\n{' ' * indent}".join(
                wrap(shown, room, break_long_words=False, break_on_hyphens=False)
            )
        click.echo(f"{name:{indent}}{shown}")


def _width() -> int:
    return get_terminal_size().columns if sys.stdout.isatty() else _PIPED


def progress() -> Progress:
    """Return a progress bar on standard error, gone when it ends; nothing where nobody looks."""
    console = _Terminal(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def plain(fact: object) -> str:
    """Return a fact as a person reads it.

    >>> plain(None), plain(True), plain(["a", "b"]), plain({"waiting": 0, "oldest": None})
    ('none', 'yes', 'a; b', 'waiting: 0')
    """
    if isinstance(fact, Mapping):
        known = ((name, item) for name, item in fact.items() if item is not None and item != [])
        return ", ".join(f"{name}: {plain(item)}" for name, item in known) or "none"
    if isinstance(fact, list):
        return "; ".join(map(plain, fact)) or "none"
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    return "none" if fact is None else str(fact)


def _gist(record: Mapping[str, Any]) -> str:
    data = record["data"]
    if not isinstance(data, Mapping):
        return _short(data)
    names = _TELLING.get(record["pattern_type"], tuple(data))
    return " ".join(f"{name}={_short(data[name])}" for name in names if name in data)


def _short(value: object) -> str:
    return _cut(value if isinstance(value, str) else orjson.dumps(value).decode(), _WIDTH)


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def _plain(text: str) -> str:
    """Records may hold terminal escapes; they must not reach the terminal as such."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

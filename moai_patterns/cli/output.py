"""What is printed: tables and sentences for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click
import orjson
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

_TELLING = {
    "task_completion": ("task_type", "agent", "success", "duration_ms"),
    "error_occurrence": ("error_type", "error_message"),
    "agent_usage": ("agent_type", "task_type", "success", "tokens_used"),
    "user_correction": ("correction_type", "agent", "user_feedback"),
    "tool_use": ("tool_name", "success", "duration_ms", "tool_input"),
    "hook_event": ("event", "payload"),
}
_WIDTH = 60  # characters of one value in the gist of a record
_LEAST = 20  # of the last column, however narrow the terminal
_GAP = 3  # between columns


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


def records(found: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print records: as JSON Lines one by one, or as a table with what tells them apart."""
    if as_json:
        for record in found:
            line(record)
        return
    rows = [(r["timestamp"], r["pattern_type"], r["pattern_id"], _gist(r)) for r in found]
    table(("timestamp", "kind", "id", "what"), rows)


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print rows under their heads, each cell on one line, control characters made visible.

    The last column is cut to what the terminal has left; an id that is cut would be of no use.
    """
    titles = list(heads)
    cells = [[_plain(str(cell)) for cell in row] for row in rows]
    terminal = _Terminal(highlight=False)
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    if not terminal.is_terminal:  # a file or a pipe takes lines of any length
        terminal = _Terminal(highlight=False, width=sum(widths) + _GAP * len(titles))
    width = max(_LEAST, terminal.width - sum(widths[:-1]) - _GAP * len(titles))
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        drawn.add_column(title, no_wrap=True)
    for row in cells:
        drawn.add_row(*map(Text, row[:-1]), Text(_cut(row[-1], width)))
    terminal.print(drawn)


def progress() -> Progress:
    """Return a progress bar on standard error, gone when it ends; nothing where nobody looks."""
    console = _Terminal(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def _gist(record: Mapping[str, Any]) -> str:
    data = record["data"]
    if not isinstance(data, Mapping):
        return _short(data)
    names = _TELLING.get(record["pattern_type"], tuple(data))
    return " ".join(f"{name}={_short(data[name])}" for name in names if name in data)


def _short(value: object) -> str:
    return _cut(value if isinstance(value, str) else orjson.dumps(value).decode(), _WIDTH)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _plain(text: str) -> str:
    """Records may hold terminal escapes; they must not reach the terminal as such."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

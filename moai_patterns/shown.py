"""Records and rows as a notebook shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_LONGEST = 20_000  # characters of one record
_SUMMARY = 120
_CELL = "text-align:left;vertical-align:top"


def records(found: Sequence[Mapping[str, Any]], title: str) -> str:
    """Return a table of records in HTML, each with its JSON in what opens at a click."""
    rows = [
        (one["timestamp"], one["pattern_type"], one["pattern_id"], _Opening(_summary(one), _pretty(one)))
        for one in found
    ]
    return _table(title, ("timestamp", "pattern_type", "pattern_id", "record"), rows)


def rows(found: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str) -> str:
    """Return a table of rows in HTML."""
    return _table(title, columns, [[row.get(column) for column in columns] for row in found])


class _Opening:
    def __init__(self, summary: str, whole: str) -> None:
        self.html = (
            f"<details><summary>{escape(summary)}</summary>"
            f'<pre style="text-align:left;white-space:pre-wrap">{escape(whole)}</pre></details>'
        )


def _summary(record: Mapping[str, Any]) -> str:
    return _cut(json.dumps(record["data"], ensure_ascii=False), _SUMMARY)


def _pretty(record: Mapping[str, Any]) -> str:
    return _cut(json.dumps(record, ensure_ascii=False, indent=2), _LONGEST)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _table(title: str, columns: Sequence[str], found: Sequence[Sequence[Any]]) -> str:
    head = "".join(f'<th style="{_CELL}">{escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in found)
    inside = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f"<table><caption>{escape(title)}</caption>{inside}</table>"


def _cell(value: Any) -> str:
    inside = value.html if isinstance(value, _Opening) else escape(_plain(value))
    return f'<td style="{_CELL}">{inside}</td>'


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _cut(str(value), _LONGEST)

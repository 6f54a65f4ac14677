"""Conditions as SQL that lets through at least every record that matches, or nothing at all.

`Query.select` decides; this only spares the decoding of rows that cannot match. Paths and values are
bound, never part of the text. What SQLite reads differently in some version is left out:

- path steps other than plain ASCII words (older versions compare keys as they are written in the
  JSON, escapes and all), and numbers, which name an element here and a member there;
- texts with NUL, where older versions end;
- numbers are compared within a margin, since SQLite's reading of a float may be off in its last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from moai_patterns.conditions import Compare, Condition, Either, Every

_MARGIN = 1e-9
_FLOOR = 1e-300  # below, the smallest floats lose their digits
_EDGE = 1e308
_MOST_VALUES = 50
# SQLite's parser takes 100 things within each other, and expressions of 1000 levels: one for each AND and OR.
_LEVELS = 10
_TERMS = 250

Bind = Callable[[Any], str]


def superset(condition: Condition, bind: Bind) -> str | None:
    """Return an SQL expression over the columns of a row, or None when nothing is known.

    `bind` takes a parameter and returns its name in the statement.
    """
    return _Pushed(bind).part(condition, _LEVELS)


class _Pushed:
    """Parts of a condition as SQL, as many and as deep as SQLite takes: of the rest nothing is known."""

    def __init__(self, bind: Bind) -> None:
        self.bind = bind
        self.left = _TERMS

    def part(self, condition: Condition, levels: int) -> str | None:
        if isinstance(condition, Compare):
            several = condition.relation == "in" and len(condition.value) <= _MOST_VALUES
            self.left -= len(condition.value) if several else 1
            return _compare(condition, self.bind) if self.left >= 0 else None
        if not levels or not isinstance(condition, (Every, Either)):
            return None
        parts = [self.part(each, levels - 1) for each in condition.parts]
        known = [part for part in parts if part]
        if isinstance(condition, Every):
            return "(" + " AND ".join(known) + ")" if known else None
        return "(" + " OR ".join(known) + ")" if known and len(known) == len(parts) else None


def place(path: Sequence[str], bind: Bind) -> str | None:
    """Return the bound path of a value in its column, or None for one that SQLite may read differently."""
    _, *steps = path
    return bind("$" + "".join(f'."{step}"' for step in steps)) if steps and all(map(_plain, steps)) else None


def _compare(compare: Compare, bind: Bind) -> str | None:
    root, path = compare.path[0], place(compare.path, bind)
    if path is None:
        return None
    there = f"json_type({root}, {path})"
    found = f"json_extract({root}, {path})"
    relation, value = compare.relation, compare.value
    if relation in ("==", "in"):
        values = value if relation == "in" else (value,)
        if len(values) > _MOST_VALUES:
            return f"{there} IS NOT NULL"
        return "(" + " OR ".join([_equal(there, found, each, bind) for each in values] or ["0"]) + ")"
    if relation in ("exists", "!="):
        return f"{there} IS NOT NULL"
    if relation == "contains":
        return _contains(there, found, root, value, bind)
    if relation == "startswith":
        return f"instr({found}, {bind(value)}) = 1" if value and "\0" not in value else f"{there} = 'text'"
    if relation == "matches":
        return f"{there} = 'text'"
    if isinstance(value, str):
        # A text that goes on after NUL is cut there, so it may look equal where it is greater.
        wider = {">": ">="}.get(relation, relation)
        return f"{found} {wider} {bind(value)}" if "\0" not in value else f"{there} = 'text'"
    low, high = _around(value)
    return f"{found} {relation} {bind(low if relation in ('>', '>=') else high)}"


def _contains(there: str, found: str, root: str, value: Any, bind: Bind) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        return f"{there} IN ('array', 'text')"
    # What stands behind a NUL is not seen in older versions; its escape in the row's JSON is.
    cut = f"instr({root}, '\\u0000')"
    return f"({there} = 'array' OR ({there} = 'text' AND (instr({found}, {bind(value)}) OR {cut})))"


def _equal(there: str, found: str, value: Any, bind: Bind) -> str:
    if value is None:
        return f"{there} = 'null'"
    if isinstance(value, bool):
        return f"{there} = '{'true' if value else 'false'}'"
    if isinstance(value, str):
        return f"{found} = {bind(value)}" if "\0" not in value else f"{there} = 'text'"
    if isinstance(value, (int, float)):
        low, high = _around(value)
        return f"{found} BETWEEN {bind(low)} AND {bind(high)}"
    return f"{there} = '{'array' if isinstance(value, list) else 'object'}'"


def _around(value: float) -> tuple[float, float]:
    """Return bounds that hold every reading of this number."""
    near = float(max(-_EDGE, min(_EDGE, value)))
    margin = abs(near) * _MARGIN + _FLOOR
    low = near - margin if near > -_EDGE else float("-inf")
    return low, near + margin if near < _EDGE else float("inf")


def _plain(step: str) -> bool:
    return step.isascii() and step.isprintable() and not step.isdecimal() and not set(step) & {'"', "\\"}

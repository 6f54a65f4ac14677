"""docs/benchmarks.md: the table and the chart of the last whole run."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from benchmarks.parts import Profile, table
from moai_patterns.bench.measuring import Row
from moai_patterns.bench.table import amount, verdict

_CHECKOUT = Path(__file__).resolve().parents[1]
FIGURES = Path(__file__).with_name("figures.json")
PAGE = _CHECKOUT / "docs/benchmarks.md"
CHART = _CHECKOUT / "docs/benchmarks.svg"
_PEERS = ("langgraph-checkpoint-sqlite", "sqlite-utils", "diskcache", "sqlitedict", "tinydb", "duckdb")
_LIBRARIES = ("orjson", "jsonschema-rs", "isal")


def keep(rows: Sequence[Row], profiles: Mapping[str, Profile]) -> None:
    """Keep the figures of a whole run, and write page and chart."""
    told = {"where": _where(), "rows": [asdict(row) for row in rows], "parts": profiles}
    FIGURES.write_text(json.dumps(told, indent=1) + "\n")
    PAGE.write_text(written(PAGE.read_text()))
    _draw(rows)


def written(text: str) -> str:
    """Return the page with its tables made anew from the figures that are kept."""
    told = json.loads(FIGURES.read_text())
    head = "| case | against | this store | the other | ratio | target |\n|---|---|---|---|---|---|\n"
    lines = [_line(Row(**row)) for row in told["rows"]]
    for name, made in (
        ("figures", f"{head}{''.join(lines)}\n{told['where']}\n"),
        ("parts", table(told["parts"])),
    ):
        begin, end = (f"<!-- {edge} -->\n" for edge in (f"{name}: written by make bench", f"end of {name}"))
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"{PAGE.name}: there is no place for the {name}")
        text = f"{before}{begin}{made}{end}{after}"
    return text


def _line(row: Row) -> str:
    ours, other = amount(row.ours, row.unit), amount(row.other, row.unit)
    return f"| {row.case} | {row.against} | {ours} | {other} | {row.ratio:.3g} | {verdict(row)} |\n"


def _where() -> str:
    commit = subprocess.run(
        ["git", "-C", str(_CHECKOUT), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    versions = ", ".join(f"{name} {version(name)}" for name in (*_LIBRARIES, *_PEERS))
    return (
        f"Measured at {commit} on {platform.system()} {platform.release()}, {os.cpu_count()} cores, "
        f"with Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}."
    )


def _draw(rows: Sequence[Row]) -> None:
    """Draw a bar for each ratio with a target, from the target to what was measured."""
    import altair as alt

    values = [
        {
            "case": f"{row.case} / {row.against}",
            "share": row.ratio / row.target,
            "target": "met" if row.is_met else "missed",
        }
        for row in rows
        if row.target is not None
    ]
    colours = alt.Scale(domain=["met", "missed"], range=["#2a7f62", "#c8553d"])
    bars = (
        alt.Chart(alt.InlineData(values=values), width=560, title="Measured ratio as a share of its target")
        .mark_bar()
        .encode(
            x=alt.X("share:Q", scale=alt.Scale(type="log"), title="left of 1: faster than the target asks"),
            x2=alt.datum(1),
            y=alt.Y("case:N", sort=None, title=None, axis=alt.Axis(labelLimit=480)),
            color=alt.Color("target:N", scale=colours),
        )
    )
    bars.save(str(CHART))
    CHART.write_text(CHART.read_text().rstrip() + "\n")

"""The figures of the whole runs: kept in `figures.json`, shown in docs/reliability.md."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torture.promise import FIRED, Promise, Tally
from torture.running import CHECKOUT, Journal, versions
from torture.sabotages import Sabotage

FIGURES = Path(__file__).with_name("figures.json")
PAGE = CHECKOUT / "docs/reliability.md"
_REGION = "<!-- {name}: written by {by} -->\n{text}<!-- end of {name} -->"


def keep(promise: Promise, journal: Journal) -> None:
    """Keep the figures of a promise all of whose cases were run, and bring the page up to date."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    figures[promise.name] = {
        "commit": _said("git", "-C", str(CHECKOUT), "rev-parse", "--short", "HEAD"),
        "machine": f"{platform.system()} {platform.release()}, {_cores()} cores",
        "versions": versions(),
        "seconds": round(journal.seconds),
        **journal.tally.as_json(),
    }
    FIGURES.write_text(json.dumps(dict(sorted(figures.items())), indent=1) + "\n")


def written(text: str, promises: dict[str, Promise], sabotages: Mapping[str, Sequence[Sabotage]]) -> str:
    """Return the page with its generated parts made anew."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    rows = [_row(promise, figures.get(name)) for name, promise in promises.items()]
    head = "| part | promise | cases | counted | minutes | commit |\n|---|---|---|---|---|---|\n"
    text = _replaced(text, "figures", "make torture", head + "".join(rows) + _where(figures))
    planted = [
        f"| {theme} | {bug.name}: {bug.breaks} | `{bug.test}` |\n"
        for theme, bugs in sabotages.items()
        for bug in bugs
    ]
    head = "| theme | planted bug | caught by |\n|---|---|---|\n"
    return _replaced(text, "planted bugs", "make torture", head + "".join(planted))


def _row(promise: Promise, known: dict[str, Any] | None) -> str:
    if known is None:
        return f"| `{promise.name}` | {promise.sentence} | not run whole yet | | | |\n"
    tally = Tally.of_json(known)
    cases = tally.counts.pop("cases")
    said = [f"{number:,} {name}" for name, number in sorted(tally.counts.items()) if name != FIRED]
    said += [
        f"{name} {figure:{',.0f' if figure >= 1000 else '.4g'}}"
        for name, figure in sorted(tally.worst.items())
    ]
    counted = "; ".join([f"{tally.counts[FIRED]:,} {FIRED}", *said])
    minutes = f"{known['seconds'] / 60:.1f}"
    told = f"{cases:,} | {counted} | {minutes} | {known['commit']}"
    return f"| `{promise.name}` | {promise.sentence} | {told} |\n"


def _where(figures: Mapping[str, Any]) -> str:
    """Say on what the figures were measured."""
    places = sorted({f"{known['machine']}; {known['versions']}" for known in figures.values()})
    return f"\nMeasured on {', and on '.join(places)}.\n" if places else ""


def _replaced(text: str, name: str, by: str, new: str) -> str:
    pattern = _REGION.format(name=name, by=by, text="(?:.*?)")
    whole = _REGION.format(name=name, by=by, text=new)
    found, times = re.subn(pattern, lambda _: whole, text, flags=re.DOTALL)
    if times != 1:
        raise ValueError(f"{PAGE.name}: there is no part {name!r} to replace")
    return found


def _cores() -> int:
    return int(_said("nproc"))


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

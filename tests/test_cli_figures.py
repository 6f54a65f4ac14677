"""`aggregate`, `sql` and `explain` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moai_patterns import PatternStorage, QueryError
from moai_patterns.cli.figures import metrics
from test_cli import run


@pytest.fixture(params=["file:store", "sqlite:store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    scheme, path = request.param.split(":")
    backend = {"file": "filesystem", "sqlite": "sqlite"}[scheme]
    with PatternStorage(backend, tmp_path / path) as storage:
        storage.save_many(
            {
                "pattern_id": f"r{number}",
                "pattern_type": "tool_use",
                "timestamp": f"2025-11-29T1{number}:30:00Z",
                "data": {
                    "tool_name": ("Bash", "Read")[number % 2],
                    "duration_ms": number,
                    "success": number > 2,
                },
            }
            for number in range(6)
        )
    return str(request.param)


def test_figures_are_printed_in_groups(store: str, tmp_path: Path) -> None:
    """A table for people, JSON Lines for programs."""
    asked = ("aggregate", "--group-by", "data.tool_name", "--figure", "n=count", "--store", store)
    figures = ("--figure", "m=mean(data.duration_ms)", "--figure", "quantile(data.duration_ms, 0.5)")
    shown = run(*asked, *figures, "--where", "data.duration_ms > 0", cwd=tmp_path)
    assert shown.stdout.splitlines() == [
        "data.tool_name  n  m  quantile(data.duration_ms, 0.5)",
        "Bash            2  3  3",
        "Read            3  3  3",
    ]
    lines = run(*asked, "--every", "2h", "--tz", "Europe/Berlin", "--json", cwd=tmp_path).stdout.splitlines()
    assert json.loads(lines[0]) == {
        "period": "2025-11-29T10:00:00+01:00",
        "data.tool_name": "Bash",
        "n": 1,
    }
    assert len(lines) == 6
    assert run("aggregate", "--store", store, cwd=tmp_path).stdout.splitlines() == ["n", "6"]
    nothing = run("aggregate", "--kind", "x", "--group-by", "data.x", "--store", store, cwd=tmp_path)
    assert nothing.stdout == "no rows\n"


def test_a_statement_is_answered(store: str, tmp_path: Path) -> None:
    """With types and times as they are; what writes is refused."""
    statement = (
        "SELECT tool_name, max(timestamp) AS last, count(*) AS n FROM tool_use GROUP BY ALL ORDER BY ALL"
    )
    shown = run("sql", statement, "--store", store, cwd=tmp_path).stdout.splitlines()
    assert shown[1:] == [
        "Bash       2025-11-29 14:30:00+00:00  3",
        "Read       2025-11-29 15:30:00+00:00  3",
    ]
    (line, _) = run("sql", statement, "--json", "--store", store, cwd=tmp_path).stdout.splitlines()
    assert json.loads(line) == {"tool_name": "Bash", "last": "2025-11-29T14:30:00+00:00", "n": 3}
    refused = run("sql", "DROP VIEW patterns", "--store", store, cwd=tmp_path)
    assert refused.returncode == 3
    assert "only SELECT" in refused.stderr


def test_what_would_be_read_is_told(store: str, tmp_path: Path) -> None:
    """As facts, and as one JSON object."""
    asked = ("explain", "--kind", "tool_use", "--where", "data.success == true", "--store", store)
    shown = run(*asked, cwd=tmp_path).stdout
    assert "per_record" in shown
    assert "where" in shown
    told = json.loads(run(*asked, "--group-by", "data.tool_name", "--json", cwd=tmp_path).stdout)
    assert told["per_record"] == ["where", "groups"]


@pytest.mark.parametrize(
    "written",
    [
        "",
        "median(data.x)",
        "mean",
        "mean(data.x, 0.5)",
        "quantile(data.x)",
        "quantile(data.x, 1..2)",
        "x=y=count",
    ],
)
def test_what_is_no_figure_is_refused(written: str) -> None:
    """The error shows how one is written."""
    with pytest.raises(QueryError):
        metrics([written])
    with pytest.raises(QueryError, match="twice"):
        metrics(["n=count", "n=count"])


def test_wrong_words_end_with_what_is_wrong(store: str, tmp_path: Path) -> None:
    """A wrong zone, period or path is refused, and says so."""
    for asked in (
        ("--every", "1x"),
        ("--every", "1d", "--tz", "Mars"),
        ("--group-by", "x"),
        ("--figure", "x"),
    ):
        failed = run("aggregate", *asked, "--store", store, cwd=tmp_path)
        assert failed.returncode == 3, asked
        assert len(failed.stderr.splitlines()) == 1

"""What a question would read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moai_patterns import Aggregation, PatternStorage, Query, field
from moai_patterns.instant import DAY, instant, isoformat

FIRST = instant("2025-11-01T00:00Z")
SLOW = field("data.duration_ms") > 5


def record(number: int) -> dict[str, Any]:
    return {
        "pattern_id": f"r{number:02}",
        "pattern_type": "tool_use",
        "timestamp": isoformat(FIRST + number * DAY // 4),
        "data": {"tool_name": "Bash", "duration_ms": number},
        "context": {"tags": ["x"]},
    }


def test_a_tree_tells_its_days_and_bytes(tmp_path: Path) -> None:
    """Only the days that are asked for count, with what lies in them."""
    with PatternStorage("filesystem", tmp_path / "store", compression_threshold_days=0) as storage:
        storage.save_many(map(record, range(40)))
        storage.compress_old_files()
        storage.save(dict(record(40), timestamp="2025-11-03T00:00:00Z"))
        told = storage.explain(Query("tool_use", "2025-11-02T00:00Z", "2025-11-03T23:59Z", tags=["x"]))
        sizes = [path.stat().st_size for path in sorted((tmp_path / "store").glob("2025/*/*/*.gz"))]
        assert told == {
            "reads": "2 days",
            "segments": 2,
            "segment_bytes": sum(sizes[1:3]),
            "hot_files": 1,
            "journals": 0,
            "pushed_down": ["kinds", "since", "until"],
            "per_record": ["tags"],
        }
        figures = Aggregation(["data.tool_name"])
        assert storage.explain(figures=figures)["pushed_down"] == ["groups"]
        assert storage.explain(figures=figures, where=SLOW)["per_record"] == ["where", "groups"]
        assert storage.explain(Query(ids=["r01", "r02"], where=SLOW)) == {
            "reads": "2 ids, each by its place",
            "pushed_down": ["ids"],
            "per_record": ["where"],
        }


def test_sqlite_tells_its_statement_and_plan(tmp_path: Path) -> None:
    """The plan names the index; a condition is decided by reading, but for what SQL keeps away."""
    with PatternStorage("sqlite", tmp_path / "store") as storage:
        storage.save_many(map(record, range(40)))
        told = storage.explain(pattern_type="tool_use", start_date="2025-11-02", where=SLOW)
        assert told["reads"] == "rows"
        assert told["pushed_down"] == ["kinds", "since"]
        assert told["per_record"] == ["where"]
        assert any("patterns_by_kind" in step for step in told["plan"])
        assert "json_extract" in told["sql"]
        grouped = storage.explain(Query("tool_use"), Aggregation(["data.tool_name"], "1d"))
        assert grouped["reads"] == "values of the rows"
        assert grouped["pushed_down"] == ["kinds", "groups"]
        assert storage.explain(where=SLOW, figures=Aggregation())["per_record"] == ["where", "groups"]
        assert storage.explain(Query(ids=[]))["reads"] == "nothing: no record can match"


def test_what_reads_everything_says_so() -> None:
    """A store in memory, and a backend that says nothing else."""
    with PatternStorage("memory") as storage:
        assert storage.explain(pattern_type="tool_use", tags=["x"]) == {
            "reads": "every record",
            "pushed_down": [],
            "per_record": ["kinds", "tags"],
        }

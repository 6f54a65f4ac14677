"""Groups and figures, and how little is read for them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from moai_patterns import (
    Aggregation,
    DamageError,
    Groups,
    PatternStorage,
    Query,
    QueryError,
    count,
    distinct,
    field,
    max_,
    mean,
    min_,
    quantile,
    success_rate,
    sum_,
)
from moai_patterns.backends.base import BackendBase
from moai_patterns.backends.filesystem import aggregating
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.instant import DAY, instant, isoformat
from moai_patterns.testing.questions import aggregation

BACKENDS = ("memory", "filesystem", "sqlite")


def records() -> Iterator[dict[str, Any]]:
    for number in range(600):
        yield {
            "pattern_id": f"r{number:03}",
            "pattern_type": "task_completion" if number % 3 else "tool_use",
            "timestamp": isoformat(instant("2025-01-01T00:00Z") + number * DAY // 15),
            "data": {"task_type": "x", "agent": "a", "duration_ms": number, "success": number % 4 > 0}
            if number % 3
            else {"tool_name": "Bash", "deep": {"n": number / 7}},
            "context": {"git_branch": ("main", "fix/cart", "a\0b")[number % 3], "tags": ["x"]},
        }


@pytest.fixture(params=BACKENDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PatternStorage]:
    with PatternStorage(request.param, tmp_path / "store", compression_threshold_days=0) as opened:
        opened.save_many(records())
        yield opened


def test_figures_are_asked_for_by_name(storage: PatternStorage) -> None:
    """Each figure says what it is about; without any group there is one row."""
    found = storage.aggregate(
        metrics={
            "n": count(),
            "timed": count("data.duration_ms"),
            "total": sum_("data.duration_ms"),
            "mean": mean("data.duration_ms"),
            "least": min_("data.duration_ms"),
            "most": max_("data.duration_ms"),
            "p95": quantile("data.duration_ms", 0.95),
            "branches": distinct("context.git_branch"),
            "first": min_("context.git_branch"),
            "rate": success_rate(),
        }
    )
    timed = [number for number in range(600) if number % 3]
    assert found == [
        {
            "n": 600,
            "timed": 400,
            "total": sum(timed),
            "mean": sum(timed) / 400,
            "least": 1,
            "most": 599,
            "p95": timed[379] + (timed[380] - timed[379]) * 0.05,
            "branches": 3,
            "first": "a\0b",
            "rate": sum(number % 4 > 0 for number in timed) / 400,
        }
    ]
    assert isinstance(found, Groups)


def test_groups_come_in_order_with_their_keys(storage: PatternStorage) -> None:
    """A row for each combination of values that occurs, in the order of periods and keys."""
    found = storage.aggregate(
        start_date="2025-01-03T00:00Z",
        end_date="2025-01-04T23:59Z",
        group_by=["pattern_type", "context.git_branch"],
        every="1d",
        tz="Europe/Berlin",
    )
    assert [row["period"] for row in found[:1]] == [datetime(2025, 1, 3, tzinfo=ZoneInfo("Europe/Berlin"))]
    assert sum(row["n"] for row in found) == 30
    keys = [(row["period"], row["pattern_type"], row["context.git_branch"]) for row in found]
    assert keys == sorted(set(keys))
    assert list(found[0]) == ["period", "pattern_type", "context.git_branch", "n"]


def test_a_question_and_its_figures_are_about_the_same(storage: PatternStorage) -> None:
    """Kinds, tags, conditions and limits narrow what is counted, as a value or as parameters."""
    asked = Query("task_completion", where=field("data.duration_ms") >= 300, limit=50)
    (row,) = storage.aggregate(asked, metrics={"least": min_("data.duration_ms"), "n": count()})
    assert row == {"least": storage.query(asked)[-1]["data"]["duration_ms"], "n": 50}
    assert storage.aggregate(Query("tool_use")) == [{"n": 200}]
    assert storage.aggregate(tags=["y"], group_by=["pattern_type"]) == []
    assert storage.aggregate(pattern_type="tool_use", tags=["x"]) == [{"n": 200}]


@pytest.mark.parametrize(
    "asked",
    [
        {"group_by": "pattern_type"},
        {"group_by": ["timestamp"]},
        {"group_by": ["source.x"]},
        {"group_by": ["data.x", "data.x"]},
        {"group_by": ["data.n"], "metrics": {"data.n": count()}},
        {"every": "1d", "metrics": {"period": count()}},
        {"every": "1 fortnight"},
        {"every": "1d", "tz": "Mars/Olympus"},
        {"tz": "Europe/Berlin"},
        {"metrics": [count()]},
        {"metrics": {"n": "count"}},
        {"metrics": {5: count()}},
        {"order": "sideways"},
        {"sort": "n"},
    ],
)
def test_what_has_no_meaning_is_refused(asked: dict[str, Any]) -> None:
    """A wrong path, name, interval, zone or figure raises QueryError."""
    with PatternStorage("memory") as storage, pytest.raises(QueryError):
        storage.aggregate(**asked)


@pytest.mark.parametrize(
    "make",
    [
        lambda: quantile("data.x", 1.5),
        lambda: quantile("data.x", True),
        lambda: quantile("data.x", "0.5"),  # type: ignore[arg-type]
        lambda: sum_("timestamp"),
        lambda: mean(""),
        lambda: count("x"),
    ],
)
def test_a_figure_about_nothing_is_refused(make: Any) -> None:
    """A share beyond 0 and 1, and what is no path."""
    with pytest.raises(QueryError):
        make()


def test_a_sum_beyond_every_float_is_whole() -> None:
    """It is exact as long as it fits, and then the integer next to it."""
    with PatternStorage("memory") as storage:
        for number, value in enumerate((1.7e308, 1.7e308, 0.5)):
            storage.save(dict(next(records()), pattern_id=f"x{number}", data={"tool_name": "a", "v": value}))
        (row,) = storage.aggregate(metrics={"s": sum_("data.v"), "m": mean("data.v")})
        assert row["s"] == 2 * int(1.7e308)
        assert row["m"] == pytest.approx(1.7e308 / 1.5)


def test_a_figure_is_written_as_it_is_asked_for() -> None:
    """For errors and tables."""
    assert str(quantile("data.x", 0.95)) == "quantile(data.x, 0.95)"
    assert (str(count()), str(sum_("data", "a.b"))) == ("count()", 'sum(data."a.b")')


def test_sqlite_answers_without_reading_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no condition is grouped by SQLite; only records that wait for their index are read."""
    with PatternStorage("sqlite", tmp_path / "store") as storage:
        storage.save_many(records())
        asked: dict[str, Any] = {
            "every": "1d",
            "group_by": ["data.deep.n"],
            "metrics": {"m": mean("data.duration_ms")},
        }
        wanted = storage.aggregate(**asked)
        assert len(wanted) > 200
        monkeypatch.setattr(SqliteBackend, "scan", lambda *_: pytest.fail("a record was read"))
        assert storage.aggregate(**asked) == wanted


def test_a_record_that_waits_for_its_index_is_in_its_period(tmp_path: Path) -> None:
    """Before all others in time, and asked for by its id or in the order of arrival."""
    with PatternStorage("sqlite", tmp_path / "store") as storage, PatternStorage("memory") as oracle:
        for one in (storage, oracle):
            one.save_many(records())
            one.save(dict(next(records()), pattern_id="early", timestamp="2020-02-01T12:00:00Z"))
        for query in (Query(order="arrival"), Query(ids=["early", "r001"]), Query(end_date="2020-02-02")):
            wanted = oracle.aggregate(query, every="3d")
            assert wanted[0]["period"] < datetime(2020, 2, 2, tzinfo=ZoneInfo("UTC"))
            assert storage.aggregate(query, every="3d") == wanted


def test_a_damaged_row_is_named_when_its_text_is_no_json(tmp_path: Path) -> None:
    """SQLite cannot group it, and the scan that is asked instead says which row it is."""
    with PatternStorage("sqlite", tmp_path / "store") as storage:
        storage.save_many(records())
        with sqlite3.connect(tmp_path / "store.db") as connection:
            connection.execute("UPDATE patterns SET data = '{\"x\":' WHERE pattern_id = 'r007'")
        connection.close()
        with pytest.raises(DamageError, match="r007"):
            storage.aggregate(group_by=["data.deep.n"])


@pytest.fixture
def by_duckdb(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many statements DuckDB was asked, which is asked for however few records."""
    asked: list[int] = []
    answer = aggregating._answer

    def counted(statement: Any) -> Any:
        rows = answer(statement)
        asked.append(0 if rows is None else len(rows))
        return rows

    monkeypatch.setattr(aggregating, "_answer", counted)
    monkeypatch.setattr(aggregating, "_WORTH", 0)
    return asked


def test_duckdb_counts_compacted_days_to_the_same_figures(tmp_path: Path, by_duckdb: list[int]) -> None:
    """Days that are wholly in a segment are counted by DuckDB, others beside them record by record."""
    choose = random.Random(9)
    with (
        PatternStorage("filesystem", tmp_path / "store", compression_threshold_days=0) as tree,
        PatternStorage("memory") as oracle,
    ):
        for storage in (tree, oracle):
            storage.save_many(records())
            storage.compress_old_files()
            changed = [one for one in records() if one["pattern_id"] == "r300"]
            changed[0]["data"] = {"tool_name": "Read"}
            storage.save_many(changed)
        assert isinstance(oracle.backend, BackendBase)
        assert isinstance(tree.backend, FilesystemBackend)
        names = ("duration_ms", "deep.n", "success", "deep")
        keys = ("context.git_branch", "context.tags", *(f"data.{name}" for name in names))
        for number in range(150):
            asked = aggregation(choose.choice)
            swap = {path: choose.choice(keys) for path in (*asked.group_by, "data.n")}
            group_by = tuple(dict.fromkeys(swap[path] for path in asked.group_by))
            metrics = {"n": count(), "a": mean(choose.choice(keys)), "b": distinct(choose.choice(keys))}
            asked = Aggregation(group_by, asked.every, asked.tz, metrics)
            kinds = choose.choice((None, None, ("tool_use",), ("none", "task_completion"), ()))
            first = choose.choice((None, "2025-01-05T00:00:00Z", "2025-01-05T06:00:00Z"))
            query = Query(kinds, first, choose.choice((None, "2025-01-30T00:00Z")))
            wanted = oracle.backend.aggregate(query, asked).rows()
            assert tree.backend.aggregate(query, asked).rows() == wanted, f"{number}: {asked} of {query}"
    assert len(by_duckdb) > 100
    assert sum(by_duckdb) > 1000


def test_a_damaged_segment_is_named_and_not_counted(tmp_path: Path, by_duckdb: list[int]) -> None:
    """DuckDB looks at no checksum, so a segment whose bytes changed is read record by record, and named."""
    with PatternStorage("filesystem", tmp_path / "store", compression_threshold_days=0) as storage:
        storage.save_many(records())
        storage.compress_old_files()
        segment = sorted((tmp_path / "store").glob("2025/*/*/*.gz"))[7]
        data = bytearray(segment.read_bytes())
        data[len(data) // 2] ^= 1
        segment.write_bytes(bytes(data))
        with pytest.raises(DamageError, match=segment.name):
            storage.aggregate(group_by=["data.deep.n"])
        assert len(by_duckdb) == 1


def test_a_path_that_duckdb_reads_otherwise_is_left_alone(tmp_path: Path, by_duckdb: list[int]) -> None:
    """Numbers, blanks and signs in a path mean something else there."""
    with PatternStorage("filesystem", tmp_path / "store", compression_threshold_days=0) as storage:
        storage.save_many(records())
        storage.compress_old_files()
        assert storage.aggregate(group_by=["context.tags.0"]) == [{"context.tags.0": "x", "n": 600}]
        assert storage.aggregate(metrics={"n": count("data", "*")}) == [{"n": 0}]
        assert by_duckdb == []


def _read() -> int:
    """Bytes that this process has read so far, by any thread."""
    facts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(facts["rchar"])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs /proc/self/io to count what is read")
@pytest.mark.parametrize("worth", [0, 10**9], ids=["DuckDB", "record by record"])
def test_a_question_about_one_day_reads_that_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worth: int
) -> None:
    """Of a compacted year a question about a day reads its segment, and next to nothing besides."""
    monkeypatch.setattr(aggregating, "_WORTH", worth)
    first = instant("2024-01-01T00:00Z")
    with PatternStorage("filesystem", tmp_path / "store", compression_threshold_days=0) as storage:
        storage.save_many(
            {
                "pattern_id": f"r{number:05}-{number * 7919 % 104729}",
                "pattern_type": "tool_use",
                "timestamp": isoformat(first + number * DAY // 60),
                "data": {"tool_name": "Bash", "noise": [number * at % 9973 for at in range(60)]},
            }
            for number in range(365 * 60)
        )
        storage.compress_old_files()
        segments = {path.name[:8]: path.stat().st_size for path in (tmp_path / "store").glob("*/*/*/*.gz")}
        assert len(segments) == 365
        asked = Query(None, "2024-06-01T00:00:00Z", "2024-06-01T23:59:59.999999Z")
        figures = {"n": count(), "mean": mean("data.noise.1")}
        storage.aggregate(asked, metrics=figures)  # what is read once: the manifest, and the engine
        before = _read()
        assert storage.aggregate(asked, group_by=["data.tool_name"])[0]["n"] == 60
        assert len(storage.query(asked)) == 60
        spent = _read() - before
    day, year = segments["20240601"], sum(segments.values())
    assert day <= spent < 12 * day + 30_000
    assert spent < year / 8

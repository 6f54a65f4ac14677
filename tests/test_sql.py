"""SQL over a store."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars  # noqa: F401  sets a variable of the environment when it is imported
import pyarrow as pa
import pytest

from moai_patterns import DamageError, MissingExtraError, PatternStorage, Query, QueryError, Rows
from moai_patterns.backends.base import BackendBase
from moai_patterns.instant import DAY, instant, isoformat
from moai_patterns.notebook import sql as asked

BACKENDS = ("memory", "filesystem", "sqlite")
FIRST = instant("2025-11-01T00:00Z")


def record(number: int) -> dict[str, Any]:
    """Ten records a day: nine calls of tools, and an error."""
    kind = "tool_use"
    data: dict[str, Any] = {"tool_name": ("Bash", "Read")[number % 2], "duration_ms": number, "extra": [1]}
    if number % 10 == 9:
        kind, data = "error_occurrence", {"error_type": "E501", "error_message": 'it\'s "long"'}
    return {
        "pattern_id": f"r{number:03}",
        "pattern_type": kind,
        "timestamp": isoformat(FIRST + number * DAY // 10),
        "data": data,
        "context": {"git_branch": "main"},
    }


@pytest.fixture(params=BACKENDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PatternStorage]:
    with PatternStorage(request.param, tmp_path / "store", compression_threshold_days=0) as opened:
        opened.save_many(map(record, range(200)))
        opened.compress_old_files()
        opened.save(dict(record(3), data={"tool_name": "Edit", "duration_ms": None}))
        yield opened


def test_patterns_are_a_table(storage: PatternStorage) -> None:
    """All heads stand in it, with times in UTC, and payload and context as JSON."""
    found = storage.sql("SELECT * FROM patterns WHERE pattern_id = 'r003'")
    assert isinstance(found, Rows)
    assert found.columns == ("pattern_id", "pattern_type", "timestamp", "version", "data", "context")
    (row,) = found
    assert row["timestamp"] == datetime(2025, 11, 1, 7, 12, tzinfo=UTC)
    assert json.loads(row["data"]) == {"tool_name": "Edit", "duration_ms": None}
    assert storage.sql("SELECT count(*) AS n FROM patterns") == [{"n": 200}]
    error = "FROM patterns WHERE data ->> '$.error_type' = 'E501'"
    assert storage.sql(f"SELECT data ->> '$.error_message' AS m {error}")[-1] == {"m": 'it\'s "long"'}


def test_each_kind_is_a_view_with_types(storage: PatternStorage) -> None:
    """The members that a schema names are columns of their type; the rest is in data."""
    found = storage.sql(
        """
        SELECT tool_name, count(*) AS n, count(duration_ms) AS timed, max(duration_ms) AS longest
        FROM tool_use WHERE success IS NULL GROUP BY ALL ORDER BY tool_name
        """
    )
    assert found == [
        {"tool_name": "Bash", "n": 100, "timed": 100, "longest": 198.0},
        {"tool_name": "Edit", "n": 1, "timed": 0, "longest": None},
        {"tool_name": "Read", "n": 79, "timed": 79, "longest": 197.0},
    ]
    types = "any_value(typeof(duration_ms)) AS d, any_value(typeof(success)) AS s"
    (row,) = storage.sql(f"SELECT {types} FROM tool_use")
    assert row == {"d": "DOUBLE", "s": "BOOLEAN"}


def test_parameters_are_values(storage: PatternStorage) -> None:
    """They stand for question marks or names, whatever is in them."""
    evil = "x'; DROP TABLE patterns; --"
    assert storage.sql("SELECT ? AS a, count(*) AS n FROM patterns WHERE pattern_id = ?", [evil, evil]) == [
        {"a": evil, "n": 0}
    ]
    statement = "SELECT $low AS low FROM tool_use WHERE duration_ms > $low LIMIT 1"
    assert storage.sql(statement, {"low": 5}) == [{"low": 5}]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO patterns VALUES ('x')",
        "DELETE FROM captures",
        "UPDATE patterns SET version = '2'",
        "DROP VIEW patterns",
        "CREATE TABLE x AS SELECT 1",
        "COPY patterns TO 'stolen.csv'",
        "EXPORT DATABASE 'stolen'",
        "ATTACH 'other.db'",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "INSTALL httpfs",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "SELECT 1; SELECT 2",
        "SELECT * FROM nowhere",
        "SELECT nothing FROM patterns",
        "SELECT CAST('x' AS INTEGER)",
        "SELECT ?",
        "SELEC 1",
        "",
        5,
    ],
)
def test_what_writes_or_is_wrong_is_refused(
    statement: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one SELECT is answered, and it reads nothing but the store; the error says what is wrong."""
    monkeypatch.chdir(tmp_path)
    with PatternStorage("memory") as storage:
        storage.save(record(0))
        with pytest.raises(QueryError):
            storage.sql(statement)
        assert storage.count() == 1
    assert list(tmp_path.iterdir()) == []


def test_the_place_of_a_mistake_is_shown() -> None:
    """As DuckDB points at it."""
    with PatternStorage("memory") as storage, pytest.raises(QueryError, match=r"LINE 1: SELECT nope FROM"):
        storage.sql("SELECT nope FROM patterns")


def test_only_days_and_kinds_that_count_are_read(
    storage: PatternStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement about some days reads these, one about a kind the days that it occurs on."""
    read: list[dict[str, Any]] = []
    backend = storage.backend
    assert isinstance(backend, BackendBase)
    scan = backend.scan

    def counted(query: Query) -> Iterator[dict[str, Any]]:
        for one in scan(query):
            if query.order == "oldest":
                read.append(one)
            yield one

    monkeypatch.setattr(backend, "scan", counted)
    for statement, days, kinds in (
        ("FROM tool_use WHERE timestamp >= '2025-11-03' AND timestamp < '2025-11-05'", 3, 1),
        ("FROM patterns WHERE timestamp BETWEEN '2025-11-03T05:00Z' AND '2025-11-03T06:00Z'", 1, 2),
        ("FROM error_occurrence", 20, 1),
        (
            "FROM patterns WHERE pattern_type IN ('error_occurrence', 'none') AND timestamp > '2025-11-19'",
            2,
            1,
        ),
        ("FROM agent_usage", 0, 0),
        ("FROM patterns", 20, 2),
    ):
        read.clear()
        storage.sql(f"SELECT count(*) {statement}")
        assert len({one["_meta"]["instant"] // DAY for one in read}) <= days, statement
        assert len({one["pattern_type"] for one in read}) == kinds, statement


def test_rows_are_a_list_and_a_table(storage: PatternStorage) -> None:
    """Like every other answer."""
    found = storage.sql("SELECT pattern_id, data FROM patterns ORDER BY pattern_id")
    assert isinstance(found, list)
    assert len(found) == 200
    assert found[-1]["pattern_id"] == "r199"
    assert [row["pattern_id"] for row in found[1:3]] == ["r001", "r002"]
    assert pa.table(found).num_rows == 200
    assert found.to_pandas(["pattern_id"]).shape == (200, 1)
    assert found.to_polars().height == 200
    assert "the first 20 of 200 rows" in found._repr_html_()
    assert "1 rows" in storage.sql("SELECT 1 AS one")._repr_html_()
    with pytest.raises(IndexError):
        found[200]
    assert str(storage.sql("SELECT 1 AS one")) == "[{'one': 1}]"


def test_damage_is_named(tmp_path: Path) -> None:
    """A statement over a damaged segment raises what any question does."""
    with PatternStorage("filesystem", tmp_path / "store", compression_threshold_days=0) as storage:
        storage.save_many(map(record, range(200)))
        storage.compress_old_files()
        segment = sorted((tmp_path / "store").glob("2025/*/*/*.gz"))[7]
        segment.write_bytes(segment.read_bytes()[:-100])
        with pytest.raises(DamageError, match=segment.name):
            storage.sql("SELECT max(data) FROM patterns")
        assert storage.sql("SELECT count(*) AS n FROM patterns WHERE timestamp < '2025-11-02'") == [{"n": 10}]


def test_an_own_kind_is_a_view_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is quoted; members that are no words, or of several types, stay in data."""
    from moai_patterns import schema

    monkeypatch.setattr(schema, "kinds", lambda: ("own.kind", "odd\"name's"))
    types = {"a b": {"type": "string"}, "n": {"type": ["integer", "null"]}, "version": {}, "x": True}
    shape = {"properties": types}
    monkeypatch.setattr(schema, "json_schema", lambda kind: shape)
    with PatternStorage("memory") as storage:
        backend = storage.backend
        assert isinstance(backend, BackendBase)
        found = asked.sql(backend, 'SELECT * FROM "own.kind"', None)
        assert found.columns == ("pattern_id", "timestamp", "data", "context", "n", "version", "x")
        assert found.to_arrow().schema.field("n").type == pa.int64()
        assert asked.sql(backend, 'SELECT * FROM "odd""name\'s"', None) == []


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which extra brings it."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with PatternStorage("memory") as storage, pytest.raises(MissingExtraError, match=r"moai-patterns\[sql\]"):
        storage.sql("SELECT 1")

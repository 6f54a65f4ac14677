"""What a question returns: a list, a lazy sequence, a table, a view in a notebook."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow as pa
import pytest

from moai_patterns import (
    LazyResults,
    MissingExtraError,
    Page,
    PatternStorage,
    Query,
    QueryError,
    Results,
    mean,
)
from moai_patterns.backends.memory import MemoryBackend

BACKENDS = ("memory", "filesystem", "sqlite")


def record(number: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "pattern_id": f"r{number:02}",
        "pattern_type": "tool_use",
        "timestamp": f"2025-11-29T11:{number:02}:00+01:00",
        "data": {"tool_name": "Bash", "duration_ms": number, "tool_input": {"command": f"<b>{number}</b>"}},
    }
    if number % 2:
        made["context"] = {"git_branch": "main", "tags": ["a", "b"]}
    return made


@pytest.fixture(params=BACKENDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PatternStorage]:
    with PatternStorage(request.param, tmp_path / "store") as opened:
        opened.save_many(map(record, range(30)))
        yield opened


def test_a_page_is_a_list(storage: PatternStorage) -> None:
    """With a limit the answer is read at once, and a list to whom asks and compares."""
    found = storage.query(limit=3)
    assert isinstance(found, list)
    assert isinstance(found, Results)
    assert type(found) is Page
    assert json.loads(json.dumps(found, indent=2)) == [record(29), record(28), record(27)]
    assert found == [record(29), record(28), record(27)] == found
    assert found != [record(29)]
    assert [record(30)] + found + found[:1] == [record(number) for number in (30, 29, 28, 27, 29)]  # noqa: RUF005
    assert str(found[1:2]) == str([record(28)])
    assert repr(found) == repr([record(29), record(28), record(27)])
    storage.save(dict(record(29), drift=1))
    assert found[0] == record(29)
    assert storage.query(limit=3, cursor=found.cursor) == [record(26), record(25), record(24)]


def test_without_a_limit_nothing_is_held(storage: PatternStorage) -> None:
    """Records are read while one iterates, anew each time, and counted without being read."""
    found = storage.query(limit=None, order="oldest")
    assert type(found) is LazyResults
    assert len(found) == 30
    assert found
    assert found == [record(number) for number in range(30)]
    assert found == storage.query(order="oldest")
    assert found[0] == record(0)
    assert found[-1] == record(29)
    assert record(7) in found
    storage.save(record(30))
    assert (len(found), found[30]) == (31, record(30))
    assert found + [record(0)] == [*found, record(0)]  # noqa: RUF005
    assert not storage.query("error_occurrence", limit=None)
    assert repr(found).startswith("<LazyResults of Query(")
    for place in (31, -32, 10**9):
        with pytest.raises(IndexError):
            found[place]


def test_a_part_is_asked_for_by_cursor(storage: PatternStorage) -> None:
    """`[a:b]` is a page that goes on, `[a:]` what comes behind; other parts are lists."""
    found = storage.query(limit=None)
    page = found[10:13]
    assert isinstance(page, Page)
    assert page == [record(19), record(18), record(17)]
    assert storage.query(limit=1, cursor=page.cursor) == [record(16)]
    rest = found[27:]
    assert isinstance(rest, LazyResults)
    assert rest == [record(2), record(1), record(0)]
    assert (len(rest), len(rest[2:]), len(found[30:]), len(found[90:])) == (3, 1, 0, 0)
    assert rest[1:9] == [record(1), record(0)]
    assert rest[1:9].cursor is None  # type: ignore[union-attr]
    assert found[-2:] == [record(1), record(0)]
    assert found[::-10] == [record(0), record(10), record(20)]
    assert found[:0] == []
    assert found[:] == found


def test_a_slice_reads_no_more_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page out of many records does not read them all."""
    read = 0
    scan = MemoryBackend.scan

    def counted(self: MemoryBackend, query: Query) -> Iterator[dict[str, Any]]:
        nonlocal read
        for one in scan(self, query):
            read += 1
            yield one

    with PatternStorage("memory") as storage:
        storage.save_many(map(record, range(30)))
        monkeypatch.setattr(MemoryBackend, "scan", counted)
        found = storage.query(limit=None)
        assert read == 0
        assert len(found[3:5]) == 2
        assert read == 5
        assert next(iter(found)) == record(29)
        assert read == 6


def test_a_table_has_the_envelope(storage: PatternStorage) -> None:
    """Times are instants in UTC, data and context JSON texts."""
    for found in (storage.query(order="oldest"), storage.query(limit=None, order="oldest")):
        table = found.to_arrow()
        assert table.column_names == ["pattern_id", "pattern_type", "timestamp", "version", "data", "context"]
        assert table.schema.field("timestamp").type == pa.timestamp("us", "UTC")
        first = table.to_pylist()[1]
        assert first["timestamp"] == datetime(2025, 11, 29, 10, 1, tzinfo=UTC)
        assert json.loads(first["data"]) == record(1)["data"]
        assert json.loads(first["context"]) == record(1)["context"]
        assert table.to_pylist()[0]["context"] is None


def test_chosen_columns_have_types(storage: PatternStorage) -> None:
    """Only what is asked for stands in the table, each path under its name."""
    table = storage.query(order="oldest", limit=2).to_arrow(
        ["timestamp", "data.duration_ms", "context.git_branch", "context.tags", "data.none", "context.tags.0"]
    )
    assert [str(each.type) for each in table.schema] == [
        "timestamp[us, tz=UTC]",
        "int64",
        "string",
        "large_string",
        "null",
        "string",
    ]
    assert table.to_pylist()[1]["context.tags"] == '["a","b"]'
    with pytest.raises(QueryError):
        storage.query().to_arrow(["source.x"])


def test_a_flat_table_has_every_path(storage: PatternStorage) -> None:
    """Objects become columns, arrays stay in one."""
    table = storage.query(limit=None).to_arrow(flatten=True)
    assert set(table.column_names) == {
        *("pattern_id", "pattern_type", "timestamp", "version", "data.tool_name", "data.duration_ms"),
        *("data.tool_input.command", "context.git_branch", "context.tags"),
    }
    assert table.num_rows == 30


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5, None], "double"),
        ([1, 2**60, 2.5], "large_string"),
        ([True, None], "bool"),
        ([True, 1], "large_string"),
        (["a", 1], "large_string"),
        (["a", None], "string"),
        ([[1], None], "large_string"),
        ([{}], "large_string"),
        ([None, None], "null"),
        ([2**63 - 1], "int64"),
    ],
)
def test_a_column_has_the_type_of_its_values(values: list[Any], kind: str) -> None:
    """Values of one type stay what they are; of several they become JSON texts, so that none changes."""
    with PatternStorage("memory") as storage:
        for number, value in enumerate(values):
            storage.save(dict(record(number), data={"tool_name": "x", "v": value}))
        column = storage.query(order="oldest").to_arrow(["data.v"])["data.v"]
        assert str(column.type) == kind
        if kind == "large_string":
            assert [None if text is None else json.loads(text) for text in column.to_pylist()] == values
        else:
            assert column.to_pylist() == values


def test_others_take_the_records_as_they_are(storage: PatternStorage) -> None:
    """pyarrow, Polars, pandas and DuckDB read an answer by the Arrow interface, without glue."""
    for found in (storage.query(), storage.query(limit=None)):
        assert pa.table(found).num_rows == 30
        assert polars.DataFrame(found).height == 30
        frame = pandas.DataFrame.from_arrow(found)  # type: ignore[attr-defined]
        assert frame["timestamp"].dt.minute.tolist() == list(range(29, -1, -1))
        table = pa.RecordBatchReader.from_stream(found)
        with duckdb.connect() as connection:
            connection.register("found", table)
            query = "SELECT sum(CAST(data ->> '$.duration_ms' AS INTEGER)) FROM found"
            assert connection.execute(query).fetchall() == [(sum(range(30)),)]
            connection.register("found_itself", found)
            assert connection.execute("SELECT count(*) FROM found_itself").fetchall() == [(30,)]


def test_frames_are_made_of_what_is_asked_for(storage: PatternStorage) -> None:
    """to_pandas and to_polars take the columns of to_arrow."""
    frame = storage.query(limit=None).to_pandas(["timestamp", "data.duration_ms"])
    assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"
    assert frame["data.duration_ms"].sum() == sum(range(30))
    assert storage.query(limit=4).to_polars(flatten=True)["data.tool_name"].to_list() == ["Bash"] * 4
    groups = storage.aggregate(every="1h", metrics={"m": mean("data.duration_ms")})
    assert groups.to_polars()["m"].to_list() == [14.5]
    assert groups.to_pandas()["period"][0] == datetime(2025, 11, 29, 10, tzinfo=UTC)
    assert groups.to_arrow(["m"]).column_names == ["m"]
    assert pa.table(groups).num_rows == 1


def test_an_empty_answer_is_an_empty_table(storage: PatternStorage) -> None:
    """No records, no groups: the columns are there."""
    for found in (storage.query("error_occurrence"), storage.query("error_occurrence", limit=None)):
        assert found.to_arrow().num_rows == 0
        assert found.to_arrow(["data.x"]).column_names == ["data.x"]
        assert found.to_pandas(flatten=True).empty
    assert storage.aggregate(tags=["none"], group_by=["data.x"]).to_arrow().column_names == ["data.x", "n"]


def test_a_naive_time_keeps_its_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """The instant that was fixed when a record was saved stands in the table, wherever it is read."""
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        with PatternStorage("memory") as storage:
            storage.save(dict(record(0), timestamp="2025-11-29T11:00:00"))
            monkeypatch.setenv("TZ", "UTC")
            time.tzset()
            for found in (storage.query(), storage.query(limit=None)):
                (moment,) = found.to_arrow(["timestamp"])["timestamp"].to_pylist()
                assert moment == datetime(2025, 11, 29, 2, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_notebook_shows_records_that_open(storage: PatternStorage) -> None:
    """A row for each, with its JSON behind a click; nothing of a record is taken for HTML."""
    for found in (storage.query(), storage.query(limit=None)):
        html = found._repr_html_()
        assert html.count("<details>") == 20
        assert "the first 20 of 30 records" in html
        assert "&lt;b&gt;29&lt;/b&gt;" in html
        assert "<b>" not in html
    assert "3 records" in storage.query(limit=3)._repr_html_()
    groups = storage.aggregate(group_by=["data.tool_input.command"])._repr_html_()
    assert "30 groups" in groups
    assert "<b>" not in groups


@pytest.mark.parametrize(
    ("package", "ask"),
    [
        ("pyarrow", lambda found: found.to_arrow()),
        ("pandas", lambda found: found.to_pandas()),
        ("polars", lambda found: found.to_polars()),
    ],
)
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, package: str, ask: Any) -> None:
    """The error says which extra brings it."""
    monkeypatch.setitem(sys.modules, package, None)
    with PatternStorage("memory") as storage:
        extra = "arrow" if package == "pyarrow" else package
        for found in (storage.query(), storage.query(limit=None), storage.aggregate()):
            with pytest.raises(MissingExtraError, match=rf"pip install 'moai-patterns\[{extra}\]'"):
                ask(found)

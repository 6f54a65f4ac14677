"""Real recordings: how small a compacted tree is, and who reads its segments and the database."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import orjson
import pyarrow as pa
import pyarrow.json as pa_json
import pytest

from moai_patterns import PatternStorage
from recordings import imported, opened

COLUMNS = ["pattern_id", "pattern_type", "timestamp", "data", "context", "version", "created_at"]
# What data and context hold differs from record to record, so pyarrow must not infer it from the first.
ARROW = pa.schema([(name, pa.string()) for name in ("pattern_id", "pattern_type", "timestamp", "version")])


def bytes_of(root: Path) -> tuple[int, int]:
    """The apparent bytes of all files below a directory, and the bytes that everything there takes."""
    status = [path.lstat() for path in (root, *root.rglob("*"))]
    allocated = sum(entry.st_blocks for entry in status) * 512
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file()), allocated


@pytest.fixture
def compacted(tmp_path: Path, shared_data: Path) -> Iterator[tuple[PatternStorage, Path]]:
    """A tree with all recordings in segments."""
    path = tmp_path / "tree"
    with imported("filesystem", path, shared_data) as storage:
        storage.compress_old_files()
        yield storage, path
        assert storage.check(read_data=True) == []


def test_a_compacted_tree_takes_a_sixth_of_the_hot_one(tmp_path: Path, shared_data: Path) -> None:
    """All recordings saved one by one, the whole tree with manifest and indexes before and after."""
    path = tmp_path / "tree"
    with imported("memory", path, shared_data) as oracle, opened("filesystem", path) as storage:
        for record in oracle.iter(order="arrival"):
            storage.save(record)
        hot, hot_blocks = bytes_of(path)
        files = sum(1 for _ in path.glob("*/*/*/*.json"))
        assert files == oracle.count()

        assert storage.compress_old_files() == files
        cold, cold_blocks = bytes_of(path)
        assert list(storage.iter()) == list(oracle.iter())
        assert storage.check(read_data=True) == []

    print(
        f"\n{files} records: {hot:,} bytes hot, {cold:,} compacted, {hot / cold:.2f} times smaller; "
        f"allocated {hot_blocks:,} and {cold_blocks:,}, {hot_blocks / cold_blocks:.2f} times smaller"
    )
    assert cold * 6 <= hot


def test_segments_of_recordings_are_read_by_other_tools(compacted: tuple[PatternStorage, Path]) -> None:
    """zcat, DuckDB's read_json and pyarrow read every segment as it lies there."""
    storage, path = compacted
    expected = {record["pattern_id"]: record for record in storage.iter()}
    segments = sorted(map(str, path.glob("*/*/*/*.jsonl.gz")))
    assert len(segments) == len(storage.stats()["days"])

    shown = subprocess.run(["zcat", *segments], check=True, capture_output=True).stdout
    lines = [orjson.loads(line) for line in shown.splitlines()]
    assert {line["pattern_id"]: {k: line[k] for k in line if k != "_meta"} for line in lines} == expected

    rows = duckdb.execute(
        "SELECT pattern_id, pattern_type, timestamp, data::JSON FROM read_json(?, columns = {"
        "pattern_id: 'VARCHAR', pattern_type: 'VARCHAR', timestamp: 'VARCHAR', data: 'JSON'})",
        [segments],
    ).fetchall()
    assert {row[0]: (*row[1:3], json.loads(row[3])) for row in rows} == {
        identity: (record["pattern_type"], record["timestamp"], record["data"])
        for identity, record in expected.items()
    }
    inferred = duckdb.execute("SELECT count(*), count(pattern_id) FROM read_json(?)", [segments])
    assert inferred.fetchone() == (len(expected), len(expected))

    options = pa_json.ParseOptions(explicit_schema=ARROW, unexpected_field_behavior="ignore")
    tables = [pa_json.read_json(segment, parse_options=options) for segment in segments]
    found = pa.concat_tables(tables).to_pylist()
    assert {row["pattern_id"]: row["timestamp"] for row in found} == {
        identity: record["timestamp"] for identity, record in expected.items()
    }
    print(f"\n{len(segments)} segments, {len(lines)} lines: zcat, DuckDB and pyarrow read all of them")


def test_a_database_of_recordings_is_usable_as_it_stands(tmp_path: Path, shared_data: Path) -> None:
    """`sqlite3`, `sqlite-utils rows` and Datasette show the document's columns, JSON as readable text."""
    path = tmp_path / "patterns.db"
    with imported("sqlite", path, shared_data) as storage:
        expected = {record["pattern_id"]: record for record in storage.iter(pattern_type="user_correction")}
        count = storage.count()
        assert storage.check(read_data=True) == []
    question = "SELECT * FROM patterns WHERE pattern_type = 'user_correction' ORDER BY pattern_id"
    bin_ = Path(sys.executable).parent

    program = shutil.which("sqlite3")
    if program is None:
        with closing(sqlite3.connect(path)) as database:
            database.row_factory = sqlite3.Row
            plain = [dict(row) for row in database.execute(question)]
    else:
        shown = subprocess.run([program, "-json", path, question], capture_output=True, check=True)
        plain = json.loads(shown.stdout)
    rows = subprocess.run(
        [bin_ / "sqlite-utils", "rows", path, "patterns", "--where", "pattern_type = 'user_correction'"],
        capture_output=True,
        check=True,
    )
    page = subprocess.run(
        [
            bin_ / "datasette",
            path,
            "--get",
            "/patterns/patterns.json?_shape=array&pattern_type=user_correction",
        ],
        capture_output=True,
        check=True,
    )
    html = subprocess.run(
        [bin_ / "datasette", path, "--get", "/patterns/patterns?pattern_type=user_correction"],
        capture_output=True,
        check=True,
    )
    for shown_rows in (plain, json.loads(rows.stdout), json.loads(page.stdout)):
        assert len(shown_rows) == len(expected) == 6
        for row in shown_rows:
            assert list(row)[:7] == COLUMNS
            record = expected[row["pattern_id"]]
            assert row["timestamp"] == record["timestamp"]
            assert json.loads(row["data"]) == record["data"]
            assert json.loads(row["context"]) == record["context"]
    assert b"user_correction" in html.stdout
    assert b"original_output" in html.stdout
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM patterns").fetchone() == (count,)
        durations = database.execute(
            "SELECT avg(data ->> '$.duration_ms') FROM patterns WHERE pattern_type = 'agent_usage'"
        )
        assert durations.fetchone()[0] > 0
    by = "the sqlite3 program" if program else "the sqlite3 module"
    print(f"\n{count} rows, columns {', '.join(COLUMNS)}: read by {by}, sqlite-utils and Datasette")

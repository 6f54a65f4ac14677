"""`copy` out of a store that others write: the good goes over, the rest is named."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from samples import sample
from test_cli import run


def test_a_bad_file_does_not_stop_a_copy(tmp_path: Path) -> None:
    """A damaged file and an invalid record are named on standard error; the exit code is 3."""
    folder = tmp_path / "plain/2025/11/29"
    folder.mkdir(parents=True)
    for name, pattern in (("a", sample("a")), ("b", sample("b")), ("c", sample("c/d")), ("e", None)):
        (folder / f"{name}.json").write_text("{" if pattern is None else json.dumps(pattern))
    for copied in (2, 0):
        done = run("copy", "sqlite:native", "--store", "file:plain", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (3, f"{copied} records copied, 2 left out\n")
        assert [line.partition(".json")[0][-1] for line in done.stderr.splitlines()] == ["e", "c"]


def test_a_bad_row_does_not_stop_a_copy(tmp_path: Path) -> None:
    """The row of a table whose timestamp is none is named; what the refusal of a write advises works."""
    with closing(sqlite3.connect(tmp_path / "plain.db")) as database, database:
        columns = "pattern_id, pattern_type, timestamp, data, context, version, created_at"
        database.execute(f"CREATE TABLE patterns ({columns})")
        for name, second in (("a", 1764378000), ("b", 10**17)):
            row = (name, "hook_event", second, '{"event": "Stop"}', None, None, None)
            database.execute("INSERT INTO patterns VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    refused = run("save", "--store", "sqlite:plain", cwd=tmp_path, stdin=json.dumps(sample()))
    assert f"moai-patterns copy --store sqlite:{tmp_path}/plain.db sqlite:NEW" in refused.stderr
    done = run("copy", "--store", f"sqlite:{tmp_path}/plain.db", "sqlite:NEW", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "1 record copied, 1 left out\n")
    assert "patterns row 2: timestamp 100000000000000000 is no second" in done.stderr

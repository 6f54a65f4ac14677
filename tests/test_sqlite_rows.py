"""Rows that were changed from outside, and conditions of which SQL knows only a part."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from moai_patterns.backends.base import Batch
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.conditions import Condition, field
from moai_patterns.errors import DamageError
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "patterns.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteBackend]:
    """A store with ten records, `n` from 0 to 9."""
    with closing(SqliteBackend(str(path), timeout=10.0)) as opened:
        context = {"tags": ["x"], "git_branch": "main"}
        opened.write(
            Batch([stored(f"r{n}", MIDNIGHT + n, data={"n": n, "3": n}, context=context) for n in range(10)])
        )
        yield opened


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("pattern_type", "tool_use"),
        ("timestamp", "2025-11-29T00:00:01Z"),
        ("data", '{"n":7}'),
        ("context", '{"tags":["y"]}'),
        ("context", None),
        ("version", "2.0"),
        ("instant", MIDNIGHT + 1),
        ("revision", 2),
        ("recorded_at", 5),
        ("operation", "other"),
        ("actor", "somebody"),
        ("extra", '{"more":1}'),
    ],
)
def test_a_change_of_any_column_is_damage(
    store: SqliteBackend, path: Path, column: str, value: object
) -> None:
    """The checksum covers all that comes back: no value that somebody put there is returned."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TRIGGER patterns_superseded")
        other.execute(f"UPDATE patterns SET {column} = ? WHERE pattern_id = 'r5'", (value,))
        other.commit()
    with pytest.raises(DamageError, match="r5"):
        store.get("r5")
    assert any("r5" in problem.place for problem in store.check(read_data=True))


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        (~(field("data.n") < 7), [9, 8, 7]),
        ((field("data.n") < 1) | (field("data.3") >= 8), [9, 8, 0]),
        ((field("data.n") > 2) & ~(field("data.n") > 4), [4, 3]),
        ((field("data.n") < 1) | ~(field("data.n") < 9), [9, 0]),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, None])
def test_what_sql_does_not_know_is_left_to_the_condition(
    store: SqliteBackend, where: Condition, numbers: list[int], limit: int | None
) -> None:
    """Negations and steps that are numbers are decided here, in alternatives too, and before the limit."""
    found = store.scan(Query(where=where, limit=limit))
    assert [record["data"]["n"] for record in found] == numbers[:limit]


def test_a_change_of_data_alone_supersedes_a_revision(store: SqliteBackend) -> None:
    """Whatever changes, the revision before is in the history as it was."""
    store.write(Batch([stored("r5", MIDNIGHT + 5, 2, data={"n": 50})]))
    assert [record["data"]["n"] for record in store.history("r5")] == [5, 50]

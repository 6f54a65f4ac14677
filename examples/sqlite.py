"""One database: batches, pages, revisions, and plain SQL beside the package's own questions."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from moai_patterns import PatternStorage, Query

with tempfile.TemporaryDirectory() as place:
    base = Path(place, "patterns")  # `.db` is appended
    with PatternStorage("sqlite", base) as storage:
        records: list[dict[str, Any]] = [
            {
                "pattern_id": f"run-{number:03}",
                "pattern_type": "agent_usage",
                "timestamp": f"2025-11-29T10:{number // 60:02}:{number % 60:02}Z",
                "data": {
                    "agent_type": ("reviewer", "explorer")[number % 2],
                    "task_type": "search",
                    "success": number % 5 != 0,
                    "duration_ms": number * 10,
                },
            }
            for number in range(250)
        ]
        print("saved:", storage.save_many(records))
        print("failed:", storage.count(where={"data.success": False}))

        # A cursor names a place in the order, so pages fit together while others keep saving.
        page = storage.query(limit=100)
        sizes = [len(page)]
        while page.cursor:
            page = storage.query(limit=100, cursor=page.cursor)
            sizes.append(len(page))
        print("pages:", sizes)

        storage.save({**records[7], "data": {**records[7]["data"], "duration_ms": 71}})
        print("run-007 is now", storage.load("run-007"))
        print("removed:", storage.delete(Query(where={"data.success": False}, limit=None)))

    with closing(sqlite3.connect(f"{base}.db")) as database:
        rows = database.execute(
            "SELECT data ->> '$.agent_type', count(*), avg(data ->> '$.duration_ms') FROM patterns GROUP BY 1"
        )
        for agent, count, mean in rows:
            print(f"{agent}: {count} runs of {mean:.0f} ms on average")

"""A tree of readable files: save, ask, compact, and look at what lies on the disk."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from moai_patterns import PatternStorage, PatternType, field

with tempfile.TemporaryDirectory() as place:
    root = Path(place, "patterns")
    with PatternStorage("filesystem", root, compression_threshold_days=30) as storage:
        now = datetime.now(UTC)
        for age, seconds in ((0, 2.5), (1, 40), (45, 9), (46, 70)):
            storage.save(
                {
                    "pattern_id": f"task-{age}-days-ago",
                    "pattern_type": PatternType.TASK_COMPLETION,
                    "timestamp": (now - timedelta(days=age)).isoformat(),
                    "data": {
                        "task_type": "code_generation",
                        "agent": "expert-backend",
                        "duration_ms": int(seconds * 1000),
                        "success": True,
                    },
                    "context": {"project_name": "demo", "tags": ["old" if age > 30 else "new"]},
                }
            )

        slow = storage.query(where=field("data.duration_ms") >= 10_000)
        print("slow tasks, newest first:", [record["pattern_id"] for record in slow])

        first = min(root.glob("*/*/*/*.json"))
        print(
            f"{first.relative_to(root).parent.as_posix()} holds JSON:", json.loads(first.read_text())["data"]
        )

        # Whole days older than the threshold become one gzip file each; answers stay the same.
        print("compacted:", storage.compress_old_files(), "records")
        print("still there:", [record["pattern_id"] for record in storage.query(tags=["old"])])
        print("findings of a check:", storage.check(read_data=True))

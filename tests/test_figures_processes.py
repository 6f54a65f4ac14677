"""Many processes on one store at once, through the public door."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from moai_patterns import PatternStorage

PROCESSES, SAVES = 64, 100
PROGRAM = """
import sys
from moai_patterns import PatternStorage
backend, path, process, saves = sys.argv[1:]
print("ready", flush=True)
sys.stdin.read()  # until all of the others are there
with PatternStorage(backend, path, timeout=120.0) as storage:
    for number in range(int(saves)):
        storage.save({
            "pattern_id": f"process-{process}-{number}",
            "pattern_type": "error_occurrence",
            "timestamp": "2025-11-29T10:00:00Z",
            "data": {"error_type": "E501", "error_message": f"{process}/{number}"},
            "context": {"tags": [f"process-{process}"]},
        })
"""


@pytest.mark.parametrize("backend", ["filesystem", "sqlite"])
def test_sixty_four_processes_save_6400_records(backend: str, tmp_path: Path) -> None:
    """64 processes open an absent store at once and save 100 records each: all are there, no error."""
    path = tmp_path / "store"
    begin = time.perf_counter()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, backend, path, str(number), str(SAVES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    started = time.perf_counter()
    for process in running:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    errors = [process.communicate()[1] for process in running]
    ended = time.perf_counter()

    assert [process.returncode for process in running] == [0] * PROCESSES, "\n".join(filter(None, errors))
    assert set(errors) == {""}
    expected = {f"process-{process}-{number}" for process in range(PROCESSES) for number in range(SAVES)}
    with PatternStorage(backend, path) as storage:
        found = {record["pattern_id"]: record["data"]["error_message"] for record in storage.iter()}
        assert set(found) == expected
        assert all(f"process-{said.replace('/', '-')}" == identity for identity, said in found.items())
        assert storage.count(tags=["process-7"]) == SAVES
        assert storage.check(read_data=True) == []
    print(
        f"\n{backend}: {len(found)} records of {PROCESSES} processes in {ended - started:.1f} s, "
        f"after {started - begin:.1f} s to start them; no error"
    )

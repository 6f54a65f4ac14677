"""Files larger than memory should have to hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hook_payloads import PAYLOADS
from transcript_lines import Session, call, text

MEGABYTES = 100
# In a process of its own: the peak of the test process is that of all tests before.
PROGRAM = """
import resource, sys
from moai_patterns import PatternStorage
from moai_patterns.backends.base import BackendBase
from moai_patterns.collect.importing import import_paths

class Forgetful(BackendBase):
    def write(self, batch): pass
    def scan(self, query): return iter(())
    def close(self): pass

UNIT = 1 << 20 if sys.platform == "darwin" else 1 << 10

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT >> 20

with PatternStorage(Forgetful(), maintenance_interval=None) as storage:
    import_paths([sys.argv[1]], storage, key=None)
    before = peak()
    summary = import_paths([sys.argv[2]], storage, key=None)
    print(summary.lines + summary.payloads, summary.damaged, peak() - before)
"""


def transcript(path: Path, megabytes: int) -> int:
    """Write a transcript with calls of 20 kB and a few of 2 MB; return the number of its lines."""
    count = number = 0
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < megabytes << 20:
            number += 1
            session = Session(start=number % 3000, session=f"{number // 100:08d}-0000-4000-8000-000000000000")
            size = 2_000_000 if number % 200 == 0 else 20_000
            session.prompt(f"prompt {number}")
            session.says(call("Bash", f"toolu_{number}", command="x" * size), message_id=f"msg_{number}")
            if number % 50:
                session.result(f"toolu_{number}", "ok", {"stdout": "y" * size})
            session.bare(type="mode", mode="plan", sessionId=session.session)
            session.says(text("done"), message_id=f"msg_{number}b")
            for line in session.lines:
                file.write(json.dumps({**line, "n": number}) + "\n")
                count += 1
    return count


def log(path: Path, megabytes: int) -> int:
    """Write one array of payloads, and return how many they are."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        while file.tell() < megabytes << 20:
            payload = {**PAYLOADS["PostToolUse"], "n": count, "tool_response": "y" * 50_000}
            file.write((",\n" if count else "") + json.dumps(payload))
            count += 1
        file.write("]")
    return count


@pytest.mark.parametrize("write", [transcript, log])
def test_a_large_file_is_imported_in_constant_memory(write: object, tmp_path: Path) -> None:
    """100 MB need at most 80 MB more than 4 MB do, also with calls of 2 MB that are never answered."""
    assert callable(write)
    small, large = tmp_path / "small", tmp_path / "large"
    write(small, 4)
    count = write(large, MEGABYTES)
    program = [sys.executable, "-c", PROGRAM, str(small), str(large)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=600, check=True)
    entries, damaged, growth = map(int, done.stdout.split())
    assert (entries, damaged) == (count, 0)
    assert growth < 80

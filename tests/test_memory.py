"""The store in memory: what it does besides being the oracle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# In an interpreter of its own: a fork while another thread runs can hang in the lock of coverage.
PROGRAM = """
import sys, threading
sys.path.append(sys.argv[1])
from forks import child, succeed
from moai_patterns.backends.base import Batch
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.query import Query
from moai_patterns.testing.pools import stored

stop = threading.Event()
store = MemoryBackend()

def write():
    number = 0
    while not stop.is_set():
        ids = [f"{number % 100}-{part}" for part in range(50)]
        store.write(Batch([stored(identity, number, number // 100 + 1) for identity in ids]))
        number += 1

def look():
    assert store.count(Query()) % 50 == 0
    store.write(Batch([stored("child", 1)]))
    assert store.get("child") is not None

thread = threading.Thread(target=write, daemon=True)
thread.start()
succeed([child(look) for _ in range(20)])
stop.set()
thread.join()
"""


def test_a_child_forked_amid_writes_goes_on_with_whole_batches() -> None:
    """However a fork meets another thread's write, the child does not hang and sees no part of a batch."""
    subprocess.run([sys.executable, "-c", PROGRAM, str(Path(__file__).parent)], check=True, timeout=120)

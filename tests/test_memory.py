"""The store in memory: what it does besides being the oracle."""

from __future__ import annotations

import threading
from contextlib import closing

from forks import child, succeed
from moai_patterns.backends.base import Batch
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.query import Query
from moai_patterns.testing.pools import stored


def test_a_child_forked_amid_writes_goes_on_with_whole_batches() -> None:
    """However a fork meets another thread's write, the child does not hang and sees no part of a batch."""
    stop = threading.Event()
    with closing(MemoryBackend()) as store:

        def write() -> None:
            number = 0
            while not stop.is_set():
                store.write(Batch([stored(f"{number}-{part}", number) for part in range(50)]))
                number += 1

        def look() -> None:
            assert store.count(Query(limit=None)) % 50 == 0
            store.write(Batch([stored("child", 1)]))
            assert store.get("child") is not None

        thread = threading.Thread(target=write)
        thread.start()
        try:
            succeed([child(look) for _ in range(20)])
        finally:
            stop.set()
            thread.join()

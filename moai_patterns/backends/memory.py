"""The oracle: everything in a dict, every answer straight from the definition."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator

from moai_patterns.backends import forking
from moai_patterns.backends.base import BackendBase, Batch, ConflictError
from moai_patterns.errors import StoreError
from moai_patterns.query import Query, Record


class MemoryBackend(BackendBase):
    """Records in this process only; gone with `close()`.

    >>> MemoryBackend().get("unknown") is None
    True
    """

    def __init__(self) -> None:
        self._revisions: dict[str, list[Record]] = {}
        self._seq = 0
        self._closed = False
        # Reentrant, for a signal may fork a process in the middle of a write.
        self._lock = threading.RLock()
        forking.tell(self)

    def write(self, batch: Batch) -> int | None:
        """Write a batch: all of it or nothing. Raises `ConflictError` for a stale revision."""
        with self._lock:
            self._must_be_open()
            changed: dict[str, list[Record]] = {}
            removed = 0
            for identity, revision in batch.remove:
                kept = changed.get(identity, self._revisions.get(identity, []))
                if kept and revision in (None, kept[-1]["_meta"]["revision"]):
                    changed[identity] = []
                    removed += 1
            seq = self._seq
            for record in batch.add:
                identity = record["pattern_id"]
                known = changed.get(identity, self._revisions.get(identity, []))
                head = known[-1]["_meta"]["revision"] if known else 0
                if record["_meta"]["revision"] != head + 1:
                    raise ConflictError(
                        f"{identity!r} is at revision {head}, so the next is {head + 1}, "
                        f"not {record['_meta']['revision']}"
                    )
                seq += 1
                stored = copy.deepcopy(record)
                stored["_meta"]["seq"] = seq
                changed[identity] = [*known, stored]
            self._seq = seq
            for identity, revisions in changed.items():
                if revisions:
                    self._revisions[identity] = revisions
                else:
                    self._revisions.pop(identity, None)
            return removed

    def scan(self, query: Query) -> Iterator[Record]:
        """Yield the exact answer in the query's order, limit and cursor applied last."""
        with self._lock:
            self._must_be_open()
            stored = list(self._revisions.values())
        if query.revisions == "heads":
            superset = (revisions[-1] for revisions in stored)
        else:
            superset = (record for revisions in stored for record in revisions)
        return (copy.deepcopy(record) for record in query.select(superset))

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._revisions.clear()
            self._closed = True

    def before_fork(self) -> None:
        """Wait for writes under way: a child has no thread that would end them."""
        self._lock.acquire()

    def after_fork(self, in_child: bool) -> None:
        """Go on; the child has a copy of its own."""
        self._lock.release()

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreError("this store in memory was closed, and what it held went with it; make a new one")

"""From admitted records to one batch: stamp, number the revisions, write, and settle conflicts.

The hot path guesses that every id is new, which costs no look at the store: the backend refuses the
batch with `ConflictError` when the guess was wrong, and only then are the heads read.
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from moai_patterns.backends.base import BackendBase, Batch
from moai_patterns.errors import ConflictError, StoreError
from moai_patterns.instant import instant
from moai_patterns.query import Query, Record, content
from moai_patterns.values import same

_TRANSIENT = frozenset({errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.EDEADLK, errno.ETXTBSY})
T = TypeVar("T")


class Saved(NamedTuple):
    """How many records of a batch were new, became a further revision, or were known already."""

    added: int = 0
    revised: int = 0
    unchanged: int = 0


_ONE = Saved(1)


class Writes(Protocol):
    """Whatever takes a batch: a backend, or its writer for one session."""

    def write(self, batch: Batch) -> None:
        """Write a batch: all of it or nothing."""


class Saver:
    """Saves admitted records into one backend.

    Parameters:
        backend: where heads are looked up.
        clock: returns the time in nanoseconds since 1970-01-01 UTC.
        actor: who saves, for the audit; None when unknown.
        timeout: seconds for which conflicts and passing faults are tried again.
    """

    def __init__(
        self, backend: BackendBase, *, clock: Callable[[], int], actor: str | None, timeout: float
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._actor = actor
        self._timeout = timeout

    def save(
        self, records: Sequence[Record], operation: str, *, into: Writes | None = None, fresh: bool = False
    ) -> Saved:
        """Write the records as one batch, all or nothing, and say what became of them.

        A record equal to its head is left out. The records become stored ones: they get `_meta`.
        `fresh` promises that all ids were generated just now. Raises `ConflictError` when other
        writers kept changing the same ids until the timeout, and what the backend raises.
        """
        target = into or self._backend
        for record in records:
            self._stamp(record, operation)
        heads: dict[str, Record] | None = None
        deadline = time.monotonic() + self._timeout
        while True:
            if heads is None and len(records) == 1:
                add, saved = records, _ONE  # nothing is known of it, so it is taken for a first revision
            else:
                add, saved = _number(records, heads or {})
            try:
                if add:
                    batch = Batch(add, fresh=fresh)
                    retried(lambda batch=batch: target.write(batch), deadline - time.monotonic())  # type: ignore[misc]
                if saved.unchanged and self._backend.durability != "os":
                    # Whoever wrote the heads that are equal may have waited for less, or in vain.
                    self._backend.flush([record["pattern_id"] for record in records])
                return saved
            except ConflictError:
                # The first one only says that the guess was wrong, however long that took.
                if heads is not None and time.monotonic() > deadline:
                    raise
                fresh = False
                heads = self._heads(records)

    def _stamp(self, record: Record, operation: str) -> None:
        meta: dict[str, Any] = {
            "instant": instant(record["timestamp"]),
            "revision": 1,
            "recorded_at": self._clock() // 1000,
            "operation": operation,
        }
        if self._actor is not None:
            meta["actor"] = self._actor
        record["_meta"] = meta

    def _heads(self, records: Sequence[Record]) -> dict[str, Record]:
        ids = tuple({record["pattern_id"] for record in records})
        return {head["pattern_id"]: head for head in self._backend.scan(Query(ids=ids, limit=None))}


def retried(action: Callable[[], T], timeout: float) -> T:
    """Return what `action` returns; try again for `timeout` seconds what passes by itself.

    A fault that may be one of durability is never tried again.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return action()
        except StoreError as fault:
            if fault.errno not in _TRANSIENT or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.001, 0.02))


def _number(records: Sequence[Record], known: Mapping[str, Record]) -> tuple[list[Record], Saved]:
    """Give each record its revision after `known` heads; leave out those that change nothing."""
    heads = dict(known)
    add: list[Record] = []
    revised = 0
    for record in records:
        head = heads.get(record["pattern_id"])
        if head is None:
            revision = 1
        elif same(content(head), content(record)):
            continue
        else:
            revision = head["_meta"]["revision"] + 1
            revised += 1
        record["_meta"]["revision"] = revision
        heads[record["pattern_id"]] = record
        add.append(record)
    return add, Saved(len(add) - revised, revised, len(records) - len(add))

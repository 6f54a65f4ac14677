"""Imported records into a storage, in batches: what is new, what says more than what is stored, what not.

An id derives from what was read, so a second import meets its own records. Two rules keep them still:
what more lines tell is not replaced by what fewer told (an older copy of a file), and a time that had
to be assumed stays the first one that was assumed as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from moai_patterns.collect.conversation import settle_parts
from moai_patterns.query import Record
from moai_patterns.storage import PatternStorage
from moai_patterns.values import same

_BATCH = 500
_BATCH_BYTES = 1 << 22
# How good an assumed time is. A record's own time has no entry and is never replaced.
_CLOCKS = {"file": 1, "neighbour": 2, "session": 2}

_SESSION = "context.session_id"


@dataclass(slots=True)
class Tally:
    """What became of the records of one kind."""

    added: int = 0
    revised: int = 0
    unchanged: int = 0


class Intake:
    """Records on their way into a storage: `add` each, then `flush`.

    `tallies` counts per kind what became of them.
    """

    def __init__(self, storage: PatternStorage, valid: Callable[[Record], bool]) -> None:
        self.tallies: dict[str, Tally] = {}
        self._storage = storage
        self._valid = valid
        self._batch: list[Record] = []
        self._size = 0

    def add(self, record: Record, size: int) -> bool:
        """Take a record that was made of `size` bytes; False for one that the schema refuses."""
        if not self._valid(record):
            return False
        self._batch.append(record)
        self._size += size
        if len(self._batch) >= _BATCH or self._size >= _BATCH_BYTES:
            self.flush()
        return True

    def flush(self) -> None:
        """Write what was taken, all or nothing. Raises what the storage raises."""
        batch, self._batch, self._size = self._batch, [], 0
        ids = list({record["pattern_id"]: None for record in batch})
        stored = dict(zip(ids, self._storage.get_many(ids), strict=True)) if ids else {}
        heads = dict(stored)
        for record in batch:
            head = heads[record["pattern_id"]]
            heads[record["pattern_id"]] = record if head is None else settle(head, record)
            if head is not None and head is not stored[record["pattern_id"]]:
                self._tally(record).unchanged += 1  # the same record twice in one batch
        changed = []
        for identity, record in heads.items():
            before = stored[identity]
            if record is None or (before is not None and same(before, record)):
                self._tally(before or {}).unchanged += 1
            else:
                changed.append(record)
                tally = self._tally(record)
                tally.added += before is None
                tally.revised += before is not None
        if changed:
            self._storage.save_batch(changed, operation="import")

    def _tally(self, record: Record) -> Tally:
        return self.tallies.setdefault(record["pattern_type"], Tally())


def settle(stored: Record, record: Record) -> Record:
    """Return what is to stand in the store after `record` was read where `stored` stands."""
    known, told = stored["context"]["metadata"], record["context"]["metadata"]
    if "filled" in known:  # a transcript has told since what this payload had left open
        return stored
    if "parts" in known and "parts" in told:
        return _merged(stored, record)
    if known.get("lines", 0) > told.get("lines", 0):
        return stored
    clock = _CLOCKS.get(told.get("clock"), 9)
    if clock == 9 or clock > _CLOCKS.get(known.get("clock"), 9):
        return record
    metadata = {**told, "clock": known.get("clock")}
    context = {**record["context"], "metadata": metadata}
    if _SESSION in known.get("assumed", ()):
        context["session_id"] = stored["context"]["session_id"]
        if _SESSION not in told["assumed"]:
            metadata["assumed"] = [*told["assumed"], _SESSION]
    return {**record, "timestamp": stored["timestamp"], "context": context}


def _merged(stored: Record, record: Record) -> Record:
    """Put together what the call and the lines of a subagent's run tell, in whatever order they came."""
    known, told = stored["context"]["metadata"]["parts"], record["context"]["metadata"]["parts"]
    more = {
        name: part
        for name, part in told.items()
        if name not in known or part["lines"] >= known[name]["lines"]
    }
    # The circumstances are those of the call where it is known: of the two it is told once.
    return settle_parts(record if "call" in told or "call" not in known else stored, {**known, **more})

"""What the journals change about all other records: which are gone, which have a newer revision."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from moai_patterns.backends.filesystem.journal import Journal
from moai_patterns.backends.filesystem.names import digest
from moai_patterns.query import Record

# The arrival number to ask with for a hot file: an id that was removed comes back through a journal only,
# so every removal is later than its hot file.
HOT = -1


class Overlay:
    """The removals and the further revisions in a set of journals.

    First revisions change nothing about others, so a journal of a million new records costs nothing.
    """

    def __init__(self, journals: Iterable[Journal], read: Callable[[Journal, int], Record]) -> None:
        self._read = read
        self.removed: dict[str, int] = {}
        self._removed_hashes: set[int] | None = None
        self._newer: dict[int, list[tuple[int, int, Journal, int]]] = {}
        for found in journals:
            for identity, _, seq in found.removals:
                self.removed[identity] = max(seq, self.removed.get(identity, seq))
            if max(found.revisions, default=1) > 1:
                for position, revision in enumerate(found.revisions):
                    if revision > 1:
                        entry = (revision, found.seqs[position], found, position)
                        self._newer.setdefault(found.hashes[position], []).append(entry)
        for entries in self._newer.values():  # the newest first: of thousands of revisions one is looked at
            entries.sort(key=lambda entry: entry[0], reverse=True)

    def ids(self) -> set[str]:
        """Return the ids that something is changed about."""
        newer = (entries[0] for entries in self._newer.values())
        ids = {str(self._read(found, position)["pattern_id"]) for _, _, found, position in newer}
        return ids | self.removed.keys()

    def is_gone(self, identity: str, seq: int) -> bool:
        """Tell whether a revision that arrived with this number was removed later."""
        return bool(self.removed) and seq < self.removed.get(identity, HOT)

    def may_remove(self, hashed: int) -> bool:
        """Tell whether an id with this hash was removed."""
        if self._removed_hashes is None:
            self._removed_hashes = set(map(digest, self.removed))
        return hashed in self._removed_hashes

    def is_superseded(self, identity: str, revision: int) -> bool:
        """Tell whether a journal holds a newer revision of an id that was not removed."""
        if not self._newer:
            return False
        return any(
            newer > revision
            and not self.is_gone(identity, arrived)
            and self._read(found, position)["pattern_id"] == identity
            for newer, arrived, found, position in self._newer.get(digest(identity), ())
        )

    def is_head(self, record: Record, seq: int) -> bool:
        """Tell whether a record that arrived with this number is neither gone nor superseded."""
        identity = record["pattern_id"]
        return not (self.is_gone(identity, seq) or self.is_superseded(identity, record["_meta"]["revision"]))

    def __bool__(self) -> bool:
        return bool(self.removed or self._newer)

"""Finds records by id: the change log first, then the segments."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import orjson

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem import journal
from moai_patterns.backends.filesystem.cold import Cold, ColdView
from moai_patterns.backends.filesystem.hotlog import HotLog, StaleLogError
from moai_patterns.backends.filesystem.journal import Journal, JournalDamageError
from moai_patterns.backends.filesystem.names import digest
from moai_patterns.backends.filesystem.sealed import open_file, open_line
from moai_patterns.backends.filesystem.tree import Tree
from moai_patterns.errors import DamageError
from moai_patterns.query import Record

if TYPE_CHECKING:
    from moai_patterns.backends.filesystem.hotlog import Found

HEADS: Sequence[str] = ("heads",)
EVERYTHING: Sequence[str] = ("heads", "history")


class Journals:
    """The journals of a tree; what has been read once is kept while it stays the same."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._known: dict[str, Journal] = {}

    def adopt(self, others: Journals) -> None:
        """Take over what others have read: fifty bytes a record need not be in memory twice."""
        self._known.update(dict(others._known))  # a copy in one step: another thread may be reading

    def living(self, dead: Collection[str]) -> list[Journal]:
        """Return the journals that there are now but the dead ones, the earliest first.

        Raises `DamageError`.
        """
        names = [name for name in journal.listed(self._tree.journals) if name not in dead]
        for name in self._known.keys() - set(names):
            del self._known[name]
        return [found for found in map(self.get, names) if found is not None]

    def get(self, name: str) -> Journal | None:
        """Return one journal, None when it is gone. Raises `DamageError`."""
        path = os.path.join(self._tree.journals, name)
        known = self._known.get(name)
        try:
            same = known is not None and (known.closed or os.stat(path).st_size == known.size)
            if known is not None and same and not known.damage:
                return known
            found = self.read(path)
        except FileNotFoundError:
            return None
        except JournalDamageError as damage:
            raise DamageError(f"{path}: {damage}") from None
        self._known[name] = found
        return found

    def read(self, path: str) -> Journal:
        """Read a journal; one of a session that is not over must reach as far as the change log knows.

        Raises what `Journal` raises.
        """
        log, settled = self._tree.current_log(), 0
        try:
            # Before the journal is read: meanwhile it may grow.
            settled = 0 if log is None else log.settled
            found = Journal(path, orjson.loads)
            end = log.end_of(found.name, settled) if log and not (found.closed or found.damage) else 0
        except StaleLogError:  # who asks the log itself makes it anew
            return Journal(path, orjson.loads)
        if end >= found.end:
            found.damage = f"it ends at byte {found.end}, and was stored up to byte {end}"
        return found


class Lookup:
    """Finds what a tree knows of an id: under the lock of the tree, or by `settled` without it."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._view = ColdView(tree)
        self._missed = False
        self.journals = Journals(tree)
        self.cold: Cold = self._view.now()

    def refresh(self) -> None:
        """Look at the manifest again."""
        self.cold = self._view.now()

    def trace(self, log: HotLog, identity: str, hashed: int) -> list[Found] | None:
        """Return what the log knows of an id, None where no index has any trace of it.

        Under the lock of the tree, after `refresh`; `hashed` is the digest of the id.
        """
        found = log.find_all((hashed,)).get(hashed, [])
        return found if found or self.cold.may_hold(identity, hashed) else None

    def traces(self, log: HotLog, identities: Sequence[str], hashes: Sequence[int]) -> dict[str, list[Found]]:
        """Return what `trace` knows of many ids at once, without those that no index has any trace of."""
        found = log.find_all(hashes)
        return {
            identity: found.get(hashed, [])
            for identity, hashed in zip(identities, hashes, strict=True)
            if hashed in found or self.cold.may_hold(identity, hashed)
        }

    def head(self, trace: list[Found], identity: str) -> Record | None:
        """Return the head of an id, or None; under the lock of the tree, after `refresh`.

        What is lost does not count, so that saving it again brings it back.
        """
        return next(iter(self._revisions(trace, identity, HEADS)[0]), None)

    def settled(
        self, changes_of: Callable[[int], list[Found]], identity: str, parts: Sequence[str]
    ) -> list[Record]:
        """Return the head of an id, or its history from the head on, without any lock.

        `changes_of` asks the log of a hash. It is asked before the manifest is looked at: what a
        compaction drops from the log is in the segments by then. What the log announces and is not
        there was moved meanwhile, or is not settled yet, or is lost: that it is lost is known when log
        and manifest are still the same after it was looked for. Raises `DamageError` for what is lost.
        """
        hashed = digest(identity)
        before: tuple[list[Found], Cold] | None = None
        found: list[Record] = []
        fault: DamageError | None = None
        while True:
            changes = changes_of(hashed)
            self.refresh()
            if before is not None and before[0] == changes and before[1] is self.cold:
                break
            before, fault, self._missed = (changes, self.cold), None, False
            try:
                found, lost = self._revisions(changes, identity, parts)
            except DamageError as damage:
                if damage.errno != errno.ENOENT:
                    raise
                fault = damage
            else:
                if lost:
                    fault = DamageError(errno.ENOENT, f"{self._file(lost)} is missing: it held {identity!r}")
                elif not self._missed:
                    break
        self._must_be_certain()
        if fault is not None:
            raise fault
        return found

    def close(self) -> None:
        """Close what is open."""
        self._view.close()

    def _must_be_certain(self) -> None:
        """Raise `DamageError` where a damaged journal may have held what the log was never told."""
        log = self._tree.opened_log
        if log is not None and log.is_doubtful:
            for found in self.journals.living(self.cold.manifest.dead):
                if found.damage:
                    raise DamageError(f"{found.path}: {found.damage}")

    def _revisions(
        self, changes: list[Found], identity: str, parts: Sequence[str]
    ) -> tuple[list[Record], str]:
        """Return the revisions of an id, newest first, and the place of one that is lost, or nothing.

        Of the heads, only the newest is looked for.
        """
        gone = [seq for seq, _, place, _ in changes if self._is_removal(place, identity, seq)]
        removed = max(gone, default=-1)
        found: dict[int, Record] = {}
        missing: list[Found] = []
        for change in _living(changes, removed):
            seq, revision, place, _ = change
            if revision in found:
                continue
            try:
                record = self._at(place, identity, seq)
            except FileNotFoundError:
                self._missed = True
                missing.append(change)
                continue
            if record is not None:
                found[revision] = record
                if parts == HEADS:
                    break
        if missing or not found or parts != HEADS:
            for part in parts:
                for record in self.cold.find(identity, part):
                    if record["_meta"]["seq"] > removed:
                        found.setdefault(record["_meta"]["revision"], record)
        newest = [found[revision] for revision in sorted(found, reverse=True)]
        return newest, _lost(missing, changes, newest, parts)

    def _file(self, place: str) -> str:
        name, colon, _ = place.partition(":")
        return os.path.join(self._tree.journals, name) if colon else self._tree.path(name)

    def _is_removal(self, place: str, identity: str, seq: int) -> bool:
        if not place.endswith(":-"):
            return False
        name = place[:-2]
        found = None if name in self.cold.manifest.dead else self.journals.get(name)
        self._missed |= found is None
        if found is not None and found.damage:
            raise DamageError(f"{found.path}: {found.damage}")
        return found is not None and any(gone[0] == identity and gone[2] == seq for gone in found.removals)

    def _at(self, place: str, identity: str, seq: int) -> Record | None:
        """Return the record at a place of the log; None when it was moved, or is another id's.

        Raises `FileNotFoundError` when it is not there, and `DamageError` for one that did come there
        and is not what was written.
        """
        name, colon, span = place.partition(":")
        path = self._file(place)
        try:
            if name in self.cold.manifest.dead:
                return None
            if not colon:
                record = read_hot(path)
            else:
                offset, length = map(int, span.split(":"))
                raw = read_span(path, offset, length + 1)
                if len(raw) <= length:
                    raise FileNotFoundError(errno.ENOENT, "the file ends before", path)
                record = open_line(raw[:length], orjson.loads)
                record["_meta"].setdefault("seq", seq)
            return record if record["pattern_id"] == identity else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamageError(f"{path}{colon}{span}: this is no stored record: {error}") from None


def _living(changes: list[Found], removed: int) -> list[Found]:
    """Return what no removal has ended, the newest revision first.

    Not by arrival: a tree that was copied without its times has other ones. An id that was removed comes
    back through a journal, so what its hot file holds is gone.
    """
    living = [
        change
        for change in changes
        if not change[2].endswith(":-") and (change[0] > removed if ":" in change[2] else removed < 0)
    ]
    return sorted(living, key=lambda change: (change[1], change[0]), reverse=True)


def _lost(missing: list[Found], changes: list[Found], newest: list[Record], parts: Sequence[str]) -> str:
    """Return the place of a revision that was settled, is nowhere, and would have been part of the answer."""
    # A removal that is physical has taken its journal along, so it cannot be looked up any more.
    ended = max((seq for seq, _, place, _ in changes if place.endswith(":-")), default=-1)
    revisions = {record["_meta"]["revision"] for record in newest}
    head, arrived = max(revisions, default=0), newest[0]["_meta"]["seq"] if newest else -1
    for seq, revision, place, settled in missing:
        wanted = revision > head if parts == HEADS else revision not in revisions
        saved_again = revision > head and seq < arrived
        removed = seq < ended if ":" in place else ended >= 0
        if wanted and settled and not (removed or saved_again):
            return place
    return ""


def read_hot(path: str) -> Record:
    """Return the record of a hot file; the file is dated by its arrival number.

    Raises `DamageError` for a file that is not what was written, and `OSError`.
    """
    raw, arrived = fileops.read_dated(path)
    try:
        record = open_file(raw, orjson.loads)
        meta = record["_meta"]
        if type(meta["instant"]) is not int or type(meta["revision"]) is not int:
            raise TypeError("the facts about it are no numbers")
        meta["seq"] = arrived
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamageError(f"{path}: this is no stored record: {error}") from None
    return record


def read_span(path: str, offset: int, length: int) -> bytes:
    """Return bytes of a file. Raises `OSError`."""
    descriptor = fileops.open_read(path)
    try:
        return fileops.read_at(descriptor, length, offset)
    finally:
        os.close(descriptor)

"""Upkeep of a tree, one run at a time: build, commit, sweep. The caller holds the maintenance lock."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem import compaction, counting, manifest, sweeping
from moai_patterns.backends.filesystem.cold import Cold
from moai_patterns.backends.filesystem.compaction import Folding
from moai_patterns.backends.filesystem.reading import Snapshot
from moai_patterns.backends.filesystem.write import TreeWriter
from moai_patterns.backends.locking import Lock
from moai_patterns.backends.reserve import Reserve
from moai_patterns.errors import BusyError, DamageError
from moai_patterns.query import Query

_REMEDY = "; all other days are compacted; `moai-patterns repair` mends what is damaged"
_PATIENCE = 2.0  # seconds that the removal of compacted sources waits for readers


class Maintenance:
    """One run over a tree.

    Parameters:
        writer: a reading and writing side that nobody else uses meanwhile.
        reserve: what is given up on a full disk, as much as it takes.

    Raises what a backend raises, `OSError` not translated.
    """

    def __init__(self, writer: TreeWriter, reserve: Reserve) -> None:
        self._writer = writer
        self._tree = writer.tree
        self._reserve = reserve
        # What fails for want of space is done again: these have lost names, and that is not flushed yet.
        self._unflushed: set[str] = set()

    def compact(self, days: Sequence[int]) -> int:
        """Bring closed UTC days into segments and sweep; return how many heads were moved.

        Days with something damaged stay as they are. Raises `DamageError` for them, after the others.
        """
        try:
            folding, moved, damaged = self._reserve.freeing(lambda: self._fold(days))
        except OSError as error:
            if error.errno not in fileops.FULL:
                raise
            self._rewrite_singly()
            folding, moved, damaged = self._fold(days)
        applied = True
        if damaged:
            # Journals say of a segment that could not be rewritten what is gone or superseded in it.
            applied = folding.stale.isdisjoint(damaged)
            folding = Folding(folding.snapshot, folding.days - damaged.keys())
        self._reserve.freeing(lambda: self._sweep(folding, with_journals=applied))
        if damaged:
            raise DamageError("; ".join(damaged.values()) + _REMEDY)
        return moved

    def _rewrite_singly(self) -> None:
        """Rewrite the days that hold what is gone or superseded one by one, each making room for the next."""
        for day in sorted(Folding(self._snapshot(), ()).stale):
            folding, _, _ = self._fold((), only=day)
            folding.snapshot.cold.close()  # what is removed and open takes up its space
            # The journals still say of the other days what is gone in them.
            self._sweep(folding, with_journals=False)

    def _fold(self, days: Sequence[int], only: int | None = None) -> tuple[Folding, int, dict[int, str]]:
        """Build segments and commit them; return what went in, how many heads, and what is damaged.

        With `only` no other day is rewritten.
        """
        self._mend()
        folding = Folding(self._snapshot(), days)
        if only is not None:
            folding.rewritten &= {only}
        moved, damaged = 0, dict[int, str]()
        if folding.rewritten:
            content, moved, damaged = compaction.build(self._tree, folding)
            compaction.flush_journals(folding, folding.days - set(damaged))
            with self._writer.locked() as log:
                compaction.commit(self._tree, content, log)
        return folding, moved, damaged

    def drop_days(self, query: Query, counts: Mapping[int, int] | None = None) -> int:
        """Take segments out of the manifest that hold nothing but answers; return how many those are.

        With `counts` only those of days with exactly so many heads.
        """
        return self._reserve.freeing(lambda: self._drop_days(query, counts))

    def _drop_days(self, query: Query, counts: Mapping[int, int] | None) -> int:
        self._mend()
        if not self._droppable(query, counts):
            return 0
        # It may still speak of what these days were made of, and then that would seem to be lost.
        sweeping.renew_log(self._writer)
        with self._writer.locked() as log:
            content, gone = self._snapshot().cold.manifest, self._droppable(query, counts)
            if not gone:
                return 0
            heads = content.heads.changed(dict.fromkeys(gone))
            after = replace(content, generation=content.generation + 1, heads=heads)
            compaction.commit(self._tree, after, log)
        return sum(content.heads[day].count for day in gone)

    def _mend(self) -> None:
        """Make two sound manifests that say the same, so that what goes stays gone by either."""
        content = manifest.load(self._tree)
        if not content.damage:
            manifest.renew_copy(self._tree)
        elif not content.guessed:
            with self._writer.locked() as log:
                compaction.commit(self._tree, content, log)

    def _droppable(self, query: Query, counts: Mapping[int, int] | None) -> list[int]:
        snapshot = self._snapshot()
        content = snapshot.cold.manifest
        days = [] if content.history else [day for day, _ in counting.untouched(snapshot, query)]
        return [day for day in days if counts is None or content.heads[day].count == counts.get(day)]

    def _snapshot(self) -> Snapshot:
        self._writer.recover()
        lookup = self._writer.lookup()
        lookup.refresh()
        snapshot = Snapshot(self._tree, lookup.journals.living(lookup.cold.manifest.dead), lookup.cold)
        snapshot.must_be_whole()
        return snapshot

    def _sweep(self, folding: Folding, *, with_journals: bool) -> None:
        sweeping.temporary_files(self._tree, time.time())
        cold = Cold(self._tree, manifest.load(self._tree))
        try:
            # Whoever put it there, this run before its disk was full or another, may have failed at this.
            fileops.sync_dir(self._tree.root)
            # Whoever reads by the manifest before this one is waited for. Later readers find in the
            # segments what goes, so hot files, of which there may be many, keep nobody waiting.
            with self._pin().held(timeout=_PATIENCE):
                pass
            whole = sweeping.hot_files(self._tree, folding, cold, self._unflushed)
            with self._pin().held(timeout=_PATIENCE):
                if whole and with_journals:
                    sweeping.journals(self._writer, folding, cold)
                sweeping.segments(self._tree, cold)
            sweeping.log_lines(self._writer)
        except BusyError:
            return  # a reader is at it; what is superfluous goes with the next run
        finally:
            cold.close()

    def _pin(self) -> Lock:
        return Lock(self._tree.path(".pin"))

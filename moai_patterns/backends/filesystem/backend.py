"""The tree as a backend: the light writer, the scans and the compaction put together."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson

from moai_patterns.aggregates import Aggregation, Tally
from moai_patterns.backends import fileops
from moai_patterns.backends.base import BackendBase, Batch, Problem, Repair, SingleWriter
from moai_patterns.backends.filesystem import aggregating, checking, counting, explaining, manifest
from moai_patterns.backends.filesystem.arrival import by_arrival
from moai_patterns.backends.filesystem.compaction import Folding
from moai_patterns.backends.filesystem.lookup import EVERYTHING, HEADS
from moai_patterns.backends.filesystem.maintaining import Maintenance
from moai_patterns.backends.filesystem.plain import PlainTree, is_plain
from moai_patterns.backends.filesystem.reading import Snapshot
from moai_patterns.backends.filesystem.repairing import repair_tree
from moai_patterns.backends.filesystem.session import JournalWriter
from moai_patterns.backends.filesystem.tree import LAYOUT, MANIFEST
from moai_patterns.backends.filesystem.write import TreeWriter
from moai_patterns.backends.locking import Lock
from moai_patterns.backends.reserve import Reserve
from moai_patterns.errors import BusyError, DamageError, PatternError, ReadOnlyError, StoreError
from moai_patterns.instant import DAY
from moai_patterns.query import Query, Record

if TYPE_CHECKING:
    from types import TracebackType

    from moai_patterns.backends.filesystem.hotlog import Found


def open_tree(path: str, *, durability: str = "os", timeout: float = 30.0) -> BackendBase:
    """Return the backend for the tree at `path`: ours, or the document's plain layout, read-only."""
    with translated(path):
        fileops.refuse_unsafe_root(os.path.abspath(path))
        if not _begins_as_ours(path) and is_plain(path):
            return PlainTree(path)
    return FilesystemBackend(path, durability=durability, timeout=timeout)


_MOST_IDS = 1000  # beyond, all days are read at once


class FilesystemBackend(BackendBase):
    """Hot records as readable files by day, batches as journals, closed days as gzip segments.

    Parameters:
        path: the root, made at the first write.
        durability: `os`, `group` or `record`; the last two both flush file and directory per batch.
        timeout: seconds to wait for other writers before `BusyError`.

    Raises `LayoutError` for a path that is no tree of this layout and `StoreError` for one that
    cannot be used.
    """

    def __init__(self, path: str, *, durability: str = "os", timeout: float = 30.0) -> None:
        self._timeout = timeout
        self._closed = False
        self._mutex = threading.RLock()
        self._pid = os.getpid()
        with translated(path):
            self._writer = _writer(path, durability, timeout)
        self._tree = self._writer.tree
        self._reserve = Reserve(self._tree.reserve)
        self.path: str = self._tree.root
        self.durability = durability

    def write(self, batch: Batch) -> int | None:
        """Write a batch: all of it or nothing; return how many removals had something to remove.

        Raises `ConflictError` for a stale revision.
        """
        if batch.add or not batch.remove:
            return self._write(batch)
        removed = self._reserve.freeing(lambda: self._write(batch))
        if self._reserve.is_low:
            with suppress(StoreError):  # these are removed; what follows would only have made room for more
                self.reclaim()
        return removed

    def _write(self, batch: Batch) -> int:
        with self._working(writing=True):
            return self._writer.write(batch.add, batch.remove, batch.fresh)

    def single_writer(self) -> SingleWriter:
        """Return a writer that spares the file per record."""
        return _Translated(self, JournalWriter(self._writer))

    def scan(self, query: Query) -> Iterator[Record]:
        """Yield the exact answer in the query's order, limit and cursor applied last."""
        self._must_be_open()
        if query.limit == 0:
            return
        if query.ids is not None and len(query.ids) <= _MOST_IDS:
            yield from query.select(self._by_ids(query))
            return
        with self._pinned() as snapshot:
            snapshot.must_be_whole()
            arrival = query.order == "arrival"
            records = by_arrival(snapshot, query) if arrival else snapshot.stream(query)
            yield from query.select(records, ordered=True)

    def get(self, pattern_id: str) -> Record | None:
        """Return the head of an id, or None."""
        if not _is_text(pattern_id):
            return None
        with self._working():
            return next(iter(self._writer.lookup().settled(self._changes, pattern_id, HEADS)), None)

    def history(self, pattern_id: str) -> list[Record]:
        """Return all revisions of an id, oldest first, the head last; empty when unknown."""
        if not _is_text(pattern_id):
            return []
        with self._pin(), self._working():
            return self._writer.lookup().settled(self._changes, pattern_id, EVERYTHING)[::-1]

    def count(self, query: Query) -> int:
        """Return how many records `scan` would yield; whole days are counted by the manifest."""
        if not counting.is_countable(query):
            return sum(1 for _ in self.scan(query))
        with self._pinned() as snapshot:
            snapshot.must_be_whole()
            total = sum(sum(kinds.values()) for kinds in counting.days(snapshot, query).values())
        return total if query.limit is None else min(total, query.limit)

    def aggregate(self, query: Query, asked: Aggregation) -> Tally:
        """Return the figures of what `scan` would yield, group by group."""
        if not counting.is_countable(query) or query.limit is not None:
            return super().aggregate(query, asked)
        with self._pinned() as snapshot:
            snapshot.must_be_whole()
            return aggregating.aggregate(snapshot, query, asked)

    def explain(self, query: Query, asked: Aggregation | None = None) -> dict[str, Any]:
        """Return which days are read, and how many bytes of segments, files and journals lie in them."""
        if query.ids is not None and len(query.ids) <= _MOST_IDS:
            return explaining.by_ids(query, asked)
        with self._pinned() as snapshot:
            snapshot.must_be_whole()
            return explaining.by_days(snapshot, query, asked)

    def delete(self, query: Query) -> int:
        """Remove exactly what `scan` yields and return how many that were.

        Days that lie whole in a question of the form "everything until" go without being read.
        """
        dropped = 0
        if counting.is_everything_until(query):
            with self._maintained(or_none=True) as maintenance:
                dropped = maintenance.drop_days(query) if maintenance else 0
        return dropped + super().delete(query)

    def drop_days(self, counts: Mapping[int, int]) -> int:
        """Take days out of the manifest that lie whole in segments of so many heads; return how many went.

        None go where a compaction keeps this one waiting beyond the timeout, as one of a large day may.
        """
        if not counts:
            return 0
        until = Query(end_date=(max(counts) + 1) * DAY - 1, limit=None)
        try:
            with self._maintained(or_none=True) as maintenance:
                return maintenance.drop_days(until, counts) if maintenance else 0
        except StoreError as error:
            if error.errno not in fileops.FULL:
                raise
            return 0  # one by one they need no new change log

    def flush(self, pattern_ids: Sequence[str]) -> None:
        """Wait until all that was written of these ids is on the medium, where segments are already."""
        with self._working(writing=True):
            self._writer.flush(pattern_ids)

    def days(self) -> dict[int, dict[str, int]]:
        """Return the number of heads per UTC day (days since 1970-01-01) and kind."""
        with self._pinned() as snapshot:
            snapshot.must_be_whole()
            return counting.days(snapshot, Query(limit=None))

    def uncompacted_days(self) -> Sequence[int]:
        """Return the UTC days that have anything outside their segments."""
        with self._pinned() as snapshot:
            snapshot.must_be_whole()
            folding = Folding(snapshot, ())
            days = set(folding.rewritten)
            for day in snapshot.days():
                if any(snapshot.hot_names(day)) or folding.has_loose(day):
                    days.add(day)
            return sorted(days)

    def compact(self, days: Sequence[int]) -> int:
        """Bring closed UTC days into segments; return how many heads were moved.

        Removals and superseded revisions become physical wherever that is possible, whatever the
        days. A second compaction at the same time waits. On a full disk the days go one after the
        other, each making room for the next. Raises `BusyError` after the timeout, and `DamageError`
        when all is done but the days in which something is damaged.
        """
        try:
            with self._maintained() as maintenance:
                moved = maintenance.compact(days) if maintenance else 0
        except StoreError as error:
            if error.errno not in fileops.FULL or len(days) < 2:
                raise
            moved = self._compact_singly(days)
        if self._tree.exists:
            # Whatever removes something writes the manifest twice, and that of many years is large.
            _, _, size = manifest.seen(self._tree)
            self._reserve.renew(4 * size)
        return moved

    def _compact_singly(self, days: Sequence[int]) -> int:
        moved = 0
        damage: DamageError | None = None
        for day in days:
            try:
                moved += self.compact([day])
            except DamageError as error:
                damage = damage or error
        if damage is not None:
            raise damage
        return moved

    def reclaim(self) -> None:
        """Make removals physical; where other maintenance goes on beyond the timeout, the next one does."""
        with suppress(BusyError):
            self.compact(())

    def check(self, *, read_data: bool = False) -> list[Problem]:
        """Look for damage without changing anything; `read_data` reads every stored byte."""
        self._must_be_open()
        with translated(self.path):
            return checking.check(self.path, read_data=read_data)

    def repair(self, *, dry_run: bool = False) -> list[Repair]:
        """Mend what is damaged, the originals kept in `quarantine/`; return what was done, or would be.

        Waits for other maintenance and for readers. Raises `BusyError` when they take too long.
        """
        self._must_be_open()
        with translated(self.path, writing=not dry_run):
            return repair_tree(self.path, self._timeout, dry_run=dry_run)

    def sizes(self) -> dict[str, int]:
        """Return apparent bytes: `hot`, `cold` (segments, indexes), `other` (log, manifest), `reserve`."""
        return {**counting.sizes(self._tree), "reserve": self._reserve.size()}

    def facts(self) -> dict[str, Any]:
        """Return layout, generation and number of journals."""
        with self._pinned() as snapshot:
            return {
                "layout": LAYOUT,
                "generation": snapshot.cold.manifest.generation,
                "segments": len(snapshot.cold.manifest.heads) + len(snapshot.cold.manifest.history),
                "journals": len(snapshot.journals),
            }

    def close(self) -> None:
        """Release files, locks and connections; a second call does nothing."""
        with translated(self.path), self._working().mutex:  # after what other threads are doing
            if not self._closed:
                self._closed = True
                self._writer.close()

    def _by_ids(self, query: Query) -> Iterator[Record]:
        identities = [identity for identity in dict.fromkeys(query.ids or ()) if _is_text(identity)]
        if query.revisions == "heads":
            found = self._together(identities, HEADS)
        else:
            with self._pin():
                found = self._together(identities, EVERYTHING)
        return chain.from_iterable(found)

    def _together(self, identities: Sequence[str], parts: Sequence[str]) -> list[list[Record]]:
        """Return the revisions of each id as they were at one moment.

        That is so when nothing was committed while they were read, or when reading them again gives
        the same: a revision never comes back once it is superseded or removed.
        """
        before: list[list[Record]] | None = None
        while True:
            with self._working():
                start = self._progress() if len(identities) > 1 else None
                lookup = self._writer.lookup()
                found = [lookup.settled(self._changes, identity, parts) for identity in identities]
                if len(identities) < 2 or found == before or (start and start == self._progress()):
                    return found
            before = found

    def _progress(self) -> tuple[object, ...] | None:
        """Return what is another value after each commit; None where nobody can tell."""
        log = self._tree.current_log()
        if log is None or not log.is_settled:
            return None
        return log, log.lines, log.seq

    def _snapshot(self, *, pinned: bool) -> Snapshot:
        self._writer.recover()
        lookup = self._writer.lookup()
        while True:
            lookup.refresh()
            cold = lookup.cold
            journals = lookup.journals.living(cold.manifest.dead)
            if pinned or cold.is_current():
                return Snapshot(self._tree, journals, cold, pinned=pinned)

    def _changes(self, hashed: int) -> list[Found]:
        """Return what is loose of the ids with this hash, the newest arrival first."""
        return self._writer.changes(hashed)

    @contextmanager
    def _pinned(self) -> Iterator[Snapshot]:
        """A snapshot whose files stay where they are.

        Where the pin cannot be had, `BusyError` says that they did not.
        """
        with self._pin() as held:
            with self._working():
                snapshot = self._snapshot(pinned=held or not self._tree.exists)
            try:
                yield snapshot
            except DamageError as damage:
                if damage.errno == errno.ENOENT:
                    snapshot.must_be_in_place()
                raise

    @contextmanager
    def _pin(self) -> Iterator[bool]:
        """The shared lock that compactions wait for; tells whether it is held."""
        self._must_be_open()
        pin = Lock(self._tree.path(".pin"))
        with translated(self.path):
            held = self._tree.exists and _acquire_shared(pin, self._timeout)
            owner = os.getpid()
            try:
                yield held
            finally:
                if held and owner == os.getpid():  # a forked child holds nothing
                    pin.release()
                pin.close()

    @contextmanager
    def _maintained(self, *, or_none: bool = False) -> Iterator[Maintenance | None]:
        """The only maintenance of the tree, over a reading and writing side of its own.

        So the other threads of this process go on meanwhile. None where there is no tree yet, and if asked
        where another one goes on beyond the timeout.
        """
        self._must_be_open()
        with translated(self.path, writing=True):
            if not self._tree.exists:
                yield None
                return
            lock = Lock(self._tree.path(".maintenance"))
            busy = False
            try:
                self._reserve.freeing(lambda: lock.acquire(timeout=self._timeout))
            except BusyError:
                if not or_none:
                    raise
                busy = True
            if busy:
                yield None
                return
            try:
                writer = _writer(self.path, "os", self._timeout)
                writer.lookup().journals.adopt(self._writer.lookup().journals)
                try:
                    yield Maintenance(writer, self._reserve)
                finally:
                    writer.close()
            finally:
                lock.release()

    def _working(self, *, writing: bool = False) -> _Working:
        """One thread at a time, none after the end, faults of the medium as our own."""
        if self._pid != os.getpid():  # the parent's lock may have been held by a thread that is not here
            self._pid = os.getpid()
            self._mutex = threading.RLock()
        return _Working(self, writing)

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.path}: this store was closed; open it again")


class _Translated(SingleWriter):
    """A session's writer, one thread at a time and with faults translated."""

    def __init__(self, backend: FilesystemBackend, inner: SingleWriter) -> None:
        self._working = backend._working
        self._inner = inner

    def write(self, batch: Batch) -> None:
        """Write a batch: all of it or nothing; acknowledged as `Backend.write` acknowledges."""
        with self._working(writing=True):
            self._inner.write(batch)

    def close(self) -> None:
        """End the session."""
        with self._working(writing=True):
            self._inner.close()


class _Working:
    """What `FilesystemBackend._working` gives; a class, because a generator costs a load a tenth more."""

    def __init__(self, backend: FilesystemBackend, writing: bool) -> None:
        self._backend = backend
        self.mutex = backend._mutex
        self._writing = writing

    def __enter__(self) -> None:
        self.mutex.acquire()
        try:
            self._backend._must_be_open()
        except BaseException:
            self.mutex.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.mutex.release()
        if isinstance(error, OSError) and not isinstance(error, PatternError):
            raise _as_ours(error, self._backend.path, self._writing) from error


@contextmanager
def translated(path: str, *, writing: bool = False) -> Iterator[None]:
    """Turn what the system raises into a `StoreError` that names the place."""
    try:
        yield
    except PatternError:
        raise
    except OSError as error:
        raise _as_ours(error, path, writing) from error


def _as_ours(error: OSError, path: str, writing: bool) -> StoreError:
    place = error.filename or path
    sentence = f"{place}: {error.strerror or error}"
    if error.errno in fileops.FULL:
        sentence += "; make room there, or let old records go with `moai-patterns retain`"
    if writing and error.errno in fileops.DENIED:
        return ReadOnlyError(error.errno, f"{sentence}; it may still be readable")
    return StoreError(error.errno, sentence)


def _acquire_shared(pin: Lock, timeout: float) -> bool:
    try:
        pin.acquire(shared=True, timeout=timeout)
    except BusyError:
        raise
    except OSError:
        return False  # missing where nothing can be made, or not ours to open
    return True


def _writer(path: str, durability: str, timeout: float) -> TreeWriter:
    return TreeWriter(path, durability=durability, timeout=timeout, readable=_readable, line=orjson.dumps)


def _readable(record: Record) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _begins_as_ours(path: str) -> bool:
    """Tell by the first bytes of the manifest; to read all of it takes longer than to open the store."""
    opening = b'{"layout":%d,' % LAYOUT
    try:
        descriptor = fileops.open_read(os.path.join(path, MANIFEST))
    except OSError:
        return False
    try:
        return os.read(descriptor, len(opening)) == opening
    finally:
        os.close(descriptor)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

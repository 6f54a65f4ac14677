"""The light write side of the tree: one batch, one rename.

A single new record becomes one readable file in the directory of its day; any other batch becomes one
journal. A new hot file costs, in system calls at level `os`: open, stat, write, close of a temporary
file; lock; look at log and manifest; date it, write one line of the log, rename; unlock.
"""

from __future__ import annotations

import os
import time
from _weakref import ref

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem.hotlog import StaleLogError
from moai_patterns.backends.filesystem.names import digest, hot_path
from moai_patterns.backends.filesystem.sealed import seal_file, seal_line
from moai_patterns.backends.filesystem.tree import Tree
from moai_patterns.errors import ConflictError
from moai_patterns.lightjson import dumps, readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType, TracebackType
    from typing import TypeVar

    from moai_patterns.backends.base import SingleWriter
    from moai_patterns.backends.filesystem.hotlog import Found, HotLog
    from moai_patterns.backends.filesystem.lookup import Lookup
    from moai_patterns.backends.filesystem.rebuilding import LooseChanges
    from moai_patterns.query import Record

    T = TypeVar("T")
    Encode = Callable[[Record], bytes]
    # id, revision or None for whatever the head is
    Removed = tuple[str, int | None]

# Where nothing can be written for one of these reasons, reading goes on without a change log.
_UNWRITABLE = (*fileops.DENIED, *fileops.FULL)
# Nanoseconds within which a file system may date two changes of a directory alike.
_TICK = 20_000_000


def encode_readable(record: Record) -> bytes:
    """Return a record as the JSON of a hot file: indented by two, UTF-8, a line end at the end."""
    return readable(record).encode() + b"\n"


def encode_line(record: Record) -> bytes:
    """Return a record as the JSON of one line."""
    return dumps(record).encode()


class TreeWriter:
    """Writes batches into a tree.

    Parameters:
        path: the root, made when missing.
        durability: `os`: nothing is waited for. `record`, `group`: file and directories are on the
            medium before `write` returns.
        timeout: seconds to wait for other writers before `BusyError`.
        readable, line: how a record becomes a hot file and a journal line.
        most: hot files up to which a change log that cannot be trusted is made anew, which takes about
            10 us each; `BusyError` beyond. None for any number.

    Raises `LayoutError`, `BusyError`, `ConflictError` and `OSError`.
    """

    def __init__(
        self,
        path: str,
        *,
        durability: str = "os",
        timeout: float = 0.5,
        readable: Encode = encode_readable,
        line: Encode = encode_line,
        most: int | None = None,
    ) -> None:
        self.tree = Tree(path)
        self.durability = durability
        self._sync = durability != "os"
        self._durable: dict[str, tuple[int, int]] = {}
        self._sessions: set[ref[SingleWriter]] = set()
        self._loose: LooseChanges | None = None
        self._most = most
        self._recovered = False
        self.timeout = timeout
        self._readable = readable
        self._line = line
        self._lookup: Lookup | None = None

    def write(self, add: Sequence[Record], remove: Sequence[Removed] = (), fresh: bool = False) -> int:
        """Write a batch: removals, then additions; all or nothing. Return how many removals had an effect.

        `fresh` promises that the ids were generated just now, which saves the look whether they are known.
        """
        self.tree.prepare(self.timeout)
        if len(add) == 1 and not remove and add[0]["_meta"]["revision"] == 1:
            self.renewing(lambda: self._write_file(add[0], fresh))
            return 0
        if any(record["_meta"]["revision"] < 1 for record in add):
            raise ConflictError("revisions count from 1")
        return self.renewing(lambda: self._write_journal(add, remove, fresh)) if add or remove else 0

    def renewing(self, act: Callable[[], T]) -> T:
        """Do what uses the change log; once more, with a new log, when it turns out to be damaged.

        Once more, too, when its draft is gone: after a leap of the clock a compaction takes it for left over.
        """
        try:
            return act()
        except StaleLogError:
            with self.tree.lock.held(timeout=self.timeout):
                self.tree.renew_log(self._rebuild)
        except FileNotFoundError as error:
            # `utime` says no name.
            if error.filename is not None and os.path.dirname(error.filename) != self.tree.temporary:
                raise
        return act()

    def locked(self) -> Locked:
        """Return what a `with` statement needs to hold the tree's lock; it gives the change log."""
        self.tree.prepare(self.timeout)
        return Locked(self)

    def recover(self) -> None:
        """Bring in order what a crash of the machine left, if nobody has yet; not under the tree's lock."""
        if not self._recovered and self.tree.exists:
            self._recovered = True
            try:
                if self.tree.current_log() is None:
                    with self.locked():
                        pass
            except OSError as error:
                if error.errno not in _UNWRITABLE:
                    raise

    def changes(self, hashed: int) -> list[Found]:
        """Return what is loose of the ids with this hash, newest arrival first, without the tree's lock.

        From the log, or from the tree itself where no log can be had: one that can only be read.
        """
        try:
            log = self.tree.current_log()
            if log is None and self.tree.exists:
                with self.locked() as made:
                    log = made
            return [] if log is None else log.find(hashed)
        except StaleLogError:
            return self._changes_anew(hashed)
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
        return self._find_loose(hashed)

    def check(self, log: HotLog, add: Sequence[Record]) -> None:
        """Raise `ConflictError` unless each record follows its head."""
        self._check(log, add, {})

    def encode_line(self, record: Record) -> bytes:
        """Return a record as a line of a journal, without the line end."""
        return seal_line(record, self._line)

    def create(self, path: str, data: bytes) -> None:
        """Write a new file, in a directory that may be missing."""
        try:
            fileops.create(path, data, sync=self._sync)
        except FileNotFoundError:
            fileops.make_dirs(os.path.dirname(path))
            fileops.create(path, data, sync=self._sync)

    def flush(self, identities: Sequence[str]) -> None:
        """Wait until the files that hold anything loose of these ids, and their names, are on the medium."""
        changed = [found for identity in identities for found in self.changes(digest(identity))]
        files = {self.tree.file_of(place) for _, _, place, *_ in changed}
        for path in sorted(files):
            try:
                fileops.sync_file(path)
            except FileNotFoundError:
                pass  # compacted meanwhile: a segment is on the medium before it counts
        for directory in sorted({os.path.dirname(path) for path in files}):
            if os.path.isdir(directory):
                self.sync_directory(directory)

    def sync_directory(self, directory: str) -> None:
        """Wait for a directory's entries, and once for its own and for those of the directories above it.

        Another process may have made these and not waited yet, up to the first that was there before. Once
        means as long as nothing came into the directory above, or went: a compaction removes what is
        empty, and what is made anew may even have its inode again.
        """
        fileops.sync_dir(directory)
        while (parent := os.path.dirname(directory)) != directory:
            # Only in the tree: what comes and goes above it is no business of ours.
            changed = os.stat(parent).st_mtime_ns if len(parent) >= len(self.tree.root) else 0
            known = os.stat(directory).st_ino, changed
            if self._durable.get(directory) == known:
                return
            try:
                fileops.sync_dir(parent)
            except OSError:
                if len(directory) >= len(self.tree.root):
                    raise
                return  # far above, where we may not look, nobody made anything for this tree
            if time.time_ns() - changed > _TICK:
                self._durable[directory] = known
            directory = parent

    def open_log(self) -> HotLog:
        """Return the change log, made anew if need be, with nothing in it that was never committed.

        Call it under the tree's lock.
        """
        log = self.tree.log(self._rebuild)
        if not log.is_settled:
            self._resolve(log)
        return log

    def close(self) -> None:
        """Release files, those of sessions under way too."""
        for session in [reference() for reference in list(self._sessions)]:
            if session is not None:
                session.close()
        if self._lookup is not None:
            self._lookup.close()
        self.tree.close()

    def begin(self, session: SingleWriter) -> None:
        """Close this session with the writer, unless it ends, or nobody has it any more, before."""
        self._sessions.add(ref(session, self._sessions.discard))

    def end(self, session: SingleWriter) -> None:
        """Take it that this session is over."""
        self._sessions.discard(ref(session))

    def lookup(self) -> Lookup:
        """Return what finds records by id; loads the reading side."""
        if self._lookup is None:
            from moai_patterns.backends.filesystem.lookup import Lookup

            self._lookup = Lookup(self.tree)
        return self._lookup

    def _resolve(self, log: HotLog) -> None:
        """Settle what a writer announced that was killed, or failed, before it could say how it ended."""
        announced = log.announced()
        if announced and self.tree.holds(announced[-1][2]):
            log.settle()
        else:
            log.take_back()

    def _changes_anew(self, hashed: int) -> list[Found]:
        try:
            with self.tree.lock.held(timeout=self.timeout):
                return self.tree.renew_log(self._rebuild).find(hashed)
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
        return self._find_loose(hashed)

    def _find_loose(self, hashed: int) -> list[Found]:
        """Find changes in a tree that can only be read and has no log to be trusted."""
        if self._loose is None:
            from moai_patterns.backends.filesystem.rebuilding import LooseChanges

            self._loose = LooseChanges(self.tree)
        return self._loose.find(hashed)

    def _rebuild(self, tree: Tree) -> None:
        from moai_patterns.backends.filesystem.rebuilding import rebuild

        rebuild(tree, self._most)

    def _write_file(self, record: Record, fresh: bool) -> None:
        identity = record["pattern_id"]
        hashed = digest(identity)
        relative = hot_path(record["pattern_type"], record["_meta"]["instant"], identity, hashed)
        target = self.tree.path(relative)
        directory = os.path.dirname(target)
        temporary = self.tree.temporary_path()
        self.create(temporary, seal_file(record, self._readable))
        try:
            with self.tree.lock.held(timeout=self.timeout):
                log = self.open_log()
                # A known hash is nearly always the id itself; if not, two ids must not share a file name.
                if not fresh and self._is_known(log, identity, hashed, target):
                    self._publish_journal(log, [record], ())
                    fileops.remove(temporary)
                    directory = self.tree.journals
                else:
                    seq = next_seq(log)
                    fileops.date(temporary, seq)
                    log.append([hashed], [(seq, 1, relative)])
                    self.publish(temporary, target)
                    log.settle()
        except BaseException:
            fileops.remove(temporary)
            raise
        if self._sync:
            self.sync_directory(directory)

    def _is_known(self, log: HotLog, identity: str, hashed: int, target: str) -> bool:
        """Tell whether the tree has any trace of this hash; raise `ConflictError` if it is the id's head."""
        lookup = self.lookup()
        lookup.refresh()
        trace = lookup.trace(log, identity, hashed)
        if trace is None:
            return os.access(target, os.F_OK)
        head = lookup.head(trace, identity)
        if head is not None:
            raise ConflictError(f"{identity!r} is at revision {head['_meta']['revision']} already")
        self._flush_removals(trace)
        return True

    def _write_journal(self, add: Sequence[Record], remove: Sequence[Removed], fresh: bool) -> int:
        removed = 0
        lines = [self.encode_line(record) for record in add]
        if remove:  # which of them apply is known under the lock only
            with self.tree.lock.held(timeout=self.timeout):
                removed = self._publish_journal(self.open_log(), add, remove, lines)
        else:
            data, spans = _journal().build(lines, add)
            temporary = self.tree.temporary_path()
            self.create(temporary, data)
            try:
                with self.tree.lock.held(timeout=self.timeout):
                    log = self.open_log()
                    if not fresh:  # the look loads the reading side: six times what a capture loads
                        self._check(log, add, {})
                    self._announce(log, _Draft(add, spans, temporary))
            except BaseException:
                fileops.remove(temporary)
                raise
        if self._sync:
            self.sync_directory(self.tree.journals)
        return removed

    def _publish_journal(
        self, log: HotLog, add: Sequence[Record], remove: Sequence[Removed], lines: Sequence[bytes] = ()
    ) -> int:
        gone = self._effective(log, remove)
        self._check(log, add, dict.fromkeys(gone, 0))
        if not add and not gone:
            return 0
        seq = next_seq(log)
        removals = [(identity, revision, seq) for identity, revision in gone.items()]
        data, spans = _journal().build(lines or [self.encode_line(record) for record in add], add, removals)
        temporary = self.tree.temporary_path()
        self.create(temporary, data)
        try:
            self._announce(log, _Draft(add, spans, temporary, gone), seq)
        except BaseException:
            fileops.remove(temporary)
            raise
        return len(gone)

    def _effective(self, log: HotLog, remove: Sequence[Removed]) -> dict[str, int]:
        """Return those removals that have something to remove, with the revision of the head."""
        gone: dict[str, int] = {}
        if not remove:
            return gone
        lookup = self.lookup()
        lookup.refresh()
        for identity, revision in remove:
            trace = lookup.trace(log, identity, digest(identity))
            head = None if trace is None else lookup.head(trace, identity)
            if head is not None and revision in (None, head["_meta"]["revision"]):
                gone[identity] = head["_meta"]["revision"]
        return gone

    def _check(self, log: HotLog, add: Sequence[Record], heads: dict[str, int]) -> None:
        """Raise `ConflictError` unless each record follows its head; `heads` are known from this batch."""
        lookup = self.lookup()
        lookup.refresh()
        before: list[Found] = []
        for record in add:
            identity, revision = record["pattern_id"], record["_meta"]["revision"]
            known = heads.get(identity)
            if known is None:
                trace = lookup.trace(log, identity, digest(identity))
                head = None if trace is None else lookup.head(trace, identity)
                known = 0 if head is None else head["_meta"]["revision"]
                before += trace or () if head is None else ()
            if revision != known + 1:
                raise ConflictError(f"{identity!r} is at revision {known}, not {revision - 1}")
            heads[identity] = revision
        self._flush_removals(before)

    def _flush_removals(self, trace: Sequence[Found]) -> None:
        """Bring to the medium what removed an id that comes back, whatever the level.

        Its revisions count from 1 again: if a power cut took the removal alone, it would have two of each.
        """
        files = {self.tree.file_of(place) for _, _, place, _ in trace if place.endswith(":-")}
        for path in sorted(files):
            try:
                fileops.sync_file(path)
            except FileNotFoundError:
                pass  # compacted: what it removed is gone from the medium
        if files:
            fileops.sync_dir(self.tree.journals)

    def _announce(self, log: HotLog, draft: _Draft, seq: int | None = None) -> None:
        """Write the change log, then give the journal its name: the commit."""
        first = next_seq(log) if seq is None else seq
        name = _journal().name(first)
        hashes = [digest(identity) for identity in draft.gone]
        changes = [(first, revision, f"{name}:-") for revision in draft.gone.values()]
        for number, (record, span) in enumerate(zip(draft.add, draft.spans, strict=True), start=first + 1):
            hashes.append(digest(record["pattern_id"]))
            changes.append((number, record["_meta"]["revision"], f"{name}:{span[0]}:{span[1]}"))
        log.append(hashes, changes)
        self.publish(draft.path, os.path.join(self.tree.journals, name))
        log.settle()

    def publish(self, temporary: str, target: str) -> None:
        """Give a file its name, in a directory that may be missing, or be removed as empty just now."""
        fileops.must_not_lead_away(self.tree.root, os.path.dirname(target))
        while True:
            try:
                return fileops.rename(temporary, target)
            except FileNotFoundError:
                if not os.path.lexists(temporary):
                    raise
                fileops.make_dirs(os.path.dirname(target))


class _Draft:
    """A journal that is written and has no name yet."""

    def __init__(
        self,
        add: Sequence[Record],
        spans: Sequence[tuple[int, int]],
        path: str,
        gone: dict[str, int] | None = None,
    ) -> None:
        self.add, self.spans, self.path, self.gone = add, spans, path, gone or {}


class Locked:
    """The lock of a tree for a `with` statement that works on its change log."""

    def __init__(self, writer: TreeWriter) -> None:
        self._writer = writer

    def __enter__(self) -> HotLog:
        tree, timeout = self._writer.tree, self._writer.timeout
        try:
            tree.lock.acquire(timeout=timeout)
        except FileNotFoundError:  # somebody has removed the whole tree
            tree.make(timeout)
            tree.lock.acquire(timeout=timeout)
        try:
            try:
                return self._writer.open_log()
            except StaleLogError:
                tree.renew_log(self._writer._rebuild)
                return self._writer.open_log()
        except BaseException:
            tree.lock.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.tree.lock.release()


def next_seq(log: HotLog) -> int:
    """Return the next arrival number; further ones may follow it directly.

    Numbers follow the clock in microseconds, so that a log made anew after a power cut repeats none.
    """
    return max(log.seq + 1, time.time_ns() // 1000)


def _journal() -> ModuleType:
    """Return the module of journals: a single record needs none, and its arrays load `collections`."""
    from moai_patterns.backends.filesystem import journal

    return journal

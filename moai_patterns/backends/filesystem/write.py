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
    from collections.abc import Callable, Iterable, Sequence
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
        self._inside: tuple[str, int, int] | None = None
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
        if not log.look():
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
        temporary = self.tree.temporary_path()
        self.create(temporary, seal_file(record, self._readable))
        try:
            with self.tree.lock.held(timeout=self.timeout):
                log = self.open_log()
                # A known hash is nearly always the id itself; if not, two ids must not share a file name.
                if not fresh and self._is_known(log, identity, hashed, target):
                    self._publish_journal(log, _Draft([record], self.encode_line), ())
                    fileops.remove(temporary)
                    target = self.tree.journals + os.sep
                else:
                    seq = log.next_seq()
                    fileops.date(temporary, seq)
                    log.append([hashed], [(seq, 1, relative)])
                    self.publish(temporary, target)
                    log.settle()
        except BaseException:
            fileops.remove(temporary)
            raise
        if self._sync:
            self.sync_directory(os.path.dirname(target))

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
        draft = _Draft(add, self.encode_line)
        if remove:  # which of them apply is known under the lock only
            with self.tree.lock.held(timeout=self.timeout):
                removed = self._publish_journal(self.open_log(), draft, remove)
        else:
            temporary = self._written(draft)
            try:
                with self.tree.lock.held(timeout=self.timeout):
                    log = self.open_log()
                    if not fresh:  # the look loads the reading side: six times what a capture loads
                        self.check(log, add, draft.hashes)
                    self._announce(log, draft, temporary, log.next_seq())
            except BaseException:
                fileops.remove(temporary)
                raise
        if self._sync:
            self.sync_directory(self.tree.journals)
        return removed

    def _publish_journal(self, log: HotLog, draft: _Draft, remove: Sequence[Removed]) -> int:
        draft.gone = self._effective(log, remove)
        self.check(log, draft.add, draft.hashes, draft.gone)
        if not draft.add and not draft.gone:
            return 0
        seq = log.next_seq()
        temporary = self._written(draft, seq)
        try:
            self._announce(log, draft, temporary, seq)
        except BaseException:
            fileops.remove(temporary)
            raise
        return len(draft.gone)

    def _written(self, draft: _Draft, seq: int = 0) -> str:
        """Write a journal, which has no name yet, and return its path; `seq` is that of its removals."""
        removals = [(identity, revision, seq) for identity, revision in draft.gone.items()]
        data, draft.spans = _journal().build(draft.lines, draft.add, draft.hashes, removals=removals)
        temporary = self.tree.temporary_path()
        self.create(temporary, data)
        return temporary

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

    def check(
        self, log: HotLog, add: Sequence[Record], hashes: Sequence[int], removed: Iterable[str] = ()
    ) -> None:
        """Raise `ConflictError` unless each record follows its head.

        `hashes` are the digests of their ids; ids that this batch has `removed` have no head any more.
        """
        heads = dict.fromkeys(removed, 0)
        lookup = self.lookup()
        lookup.refresh()
        traces = lookup.traces(log, [record["pattern_id"] for record in add], hashes)
        before: list[Found] = []
        for record in add:
            identity, revision = record["pattern_id"], record["_meta"]["revision"]
            known = heads.get(identity)
            if known is None:
                trace = traces.get(identity)
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

    def _announce(self, log: HotLog, draft: _Draft, path: str, seq: int) -> None:
        """Write the change log, then give the journal at `path` its name: the commit."""
        name = _journal().name(seq)
        hashes = [*map(digest, draft.gone), *draft.hashes]
        changes = [(seq, revision, f"{name}:-") for revision in draft.gone.values()]
        for record, (offset, length) in zip(draft.add, draft.spans, strict=True):
            seq += 1
            changes.append((seq, record["_meta"]["revision"], f"{name}:{offset}:{length}"))
        log.append(hashes, changes)
        self.publish(path, os.path.join(self.tree.journals, name))
        log.settle()

    def publish(self, temporary: str, target: str) -> None:
        """Give a file its name, in a directory that may be missing, or be removed as empty just now."""
        directory = target[: target.rindex(os.sep)]
        self._must_not_lead_away(directory)
        while True:
            try:
                return fileops.rename(temporary, target)
            except FileNotFoundError:
                if not os.path.lexists(temporary):
                    raise
                fileops.make_dirs(directory)

    def _must_not_lead_away(self, directory: str) -> None:
        """Raise `OSError` for a directory that a link stands in the way to.

        None has come since where it leads to the same directory as before: one look for three.
        """
        try:
            facts = os.stat(directory)
        except OSError:
            self._inside = None
        else:
            if self._inside == (directory, facts.st_ino, facts.st_dev):
                return
            self._inside = (directory, facts.st_ino, facts.st_dev)
        try:
            fileops.must_not_lead_away(self.tree.root, directory)
        except BaseException:
            self._inside = None
            raise


class _Draft:
    """A journal in the making: its records with their hashes and lines, what it removes, where they lie."""

    def __init__(self, add: Sequence[Record], encode: Encode) -> None:
        self.add = add
        self.hashes = [digest(record["pattern_id"]) for record in add]
        self.lines = [encode(record) for record in add]
        self.gone: dict[str, int] = {}
        self.spans: Sequence[tuple[int, int]] = ()


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


def _journal() -> ModuleType:
    """Return the module of journals: a single record needs none, and its arrays load `collections`."""
    from moai_patterns.backends.filesystem import journal

    return journal

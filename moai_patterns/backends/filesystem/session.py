"""The writer of one session: a journal of its own that grows by one line per save.

Announcing a line and writing it happen under the lock of the tree like any other save, so the order
of arrival is one and a known id is seen; what is spared is the file per record. A kill loses nothing
that was acknowledged: a session's journal without an end line counts up to its last whole line.
"""

from __future__ import annotations

import os
from binascii import crc32

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Batch, SingleWriter
from moai_patterns.backends.filesystem import journal
from moai_patterns.backends.filesystem.journal import Columns
from moai_patterns.backends.filesystem.names import digest
from moai_patterns.backends.filesystem.write import TreeWriter
from moai_patterns.backends.locking import Lock
from moai_patterns.query import Record

# A journal is read whole by whoever scans, so a long session writes several.
_MOST_BYTES = 8 << 20


class JournalWriter(SingleWriter):
    """Writes single records of one session into its journals; any other batch goes the usual way."""

    def __init__(self, writer: TreeWriter) -> None:
        self._writer = writer
        self._open: _Growing | None = None
        writer.begin(self)

    def write(self, batch: Batch) -> None:
        """Write a batch. Raises what the backend raises."""
        if len(batch.add) != 1 or batch.remove:
            self._writer.write(batch.add, batch.remove, batch.fresh)
        else:
            self._writer.renewing(lambda: self._append(batch.add[0], batch.fresh))

    def close(self) -> None:
        """End the session: its journal is on the medium if the store's level asks for that."""
        self._writer.end(self)
        self._end_journal()

    def __del__(self) -> None:
        # Whoever drops a session ends it: else its files stayed open, and no compaction took its journal.
        try:
            self._end_journal()
        except OSError:
            pass  # all lines count without an end; that the medium holds them was never said

    def _end_journal(self) -> None:
        growing, self._open = self._open, None
        if growing is not None:
            growing.close(sync=self._writer.durability != "os")

    def _append(self, record: Record, fresh: bool) -> None:
        writer = self._writer
        hashed = digest(record["pattern_id"])
        with writer.locked() as log:
            if not fresh:
                writer.check(log, [record], [hashed])
            seq = log.next_seq()
            line = writer.encode_line(_numbered(record, seq))
            growing = self._open
            if growing is None or growing.is_full():
                growing = self._begin(seq)
            place = f"{growing.name}:{growing.offset}:{len(line)}"
            log.append([hashed], [(seq, record["_meta"]["revision"], place)])
            try:
                growing.append(line)
            except BaseException:
                self._open = None  # behind a torn line nothing more may be written; the next save begins anew
                growing.abandon()
                raise
            # Before anything else can fail: the line is there, and the end line must tell of it.
            growing.columns.add(record, hashed, len(line), seq)
            log.settle()
        if writer.durability == "record":
            try:
                growing.sync()
            except BaseException:  # nobody knows what of it the medium holds, so nothing more is added to it
                self._open = None
                growing.abandon()
                raise

    def _begin(self, seq: int) -> _Growing:
        self._end_journal()
        self._open = growing = _Growing(self._writer, journal.name(seq))
        if self._writer.durability != "os":
            self._writer.sync_directory(self._writer.tree.journals)
        return growing


class _Growing:
    """A journal that grows: its lock tells a compaction that its session is not over."""

    def __init__(self, writer: TreeWriter, name: str) -> None:
        self.name = name
        self.columns = Columns()
        self.offset = len(journal.SESSION)
        self._crc = crc32(journal.SESSION)
        self._pid = os.getpid()
        fresh = writer.tree.temporary_path()
        writer.create(fresh, journal.SESSION)
        # Who removes it meanwhile, for a file that was left, must not get an empty one in its place.
        self._owned = Lock(fresh, create=False)
        self._owned.acquire(timeout=1.0)  # before it has its name, or a compaction could take it for left
        self._descriptor = fileops.open_shared(fresh, append=True, create=False)
        try:
            writer.publish(fresh, os.path.join(writer.tree.journals, name))
        except BaseException:
            self.abandon()
            fileops.remove(fresh)
            raise

    def is_full(self) -> bool:
        """Tell whether the next line belongs into another journal: so it does in a forked child, too.

        And when somebody has removed the file, with the whole tree perhaps.
        """
        if self.offset > _MOST_BYTES or self._pid != os.getpid():
            return True
        return os.fstat(self._descriptor).st_nlink == 0

    def append(self, line: bytes) -> None:
        line += b"\n"
        fileops.write(self._descriptor, line)
        self.offset += len(line)
        self._crc = crc32(line, self._crc)

    def sync(self) -> None:
        fileops.sync(self._descriptor)

    def close(self, *, sync: bool) -> None:
        """Write the end line and give the journal up; in a forked child it stays the parent's."""
        try:
            if self._pid == os.getpid():
                try:
                    fileops.write(self._descriptor, self.columns.end_line(self._crc))
                except OSError:
                    pass  # the disk is full: all lines count without it, they are only slower to open
                if sync:
                    self.sync()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Give the journal up as it is."""
        os.close(self._descriptor)
        if self._pid == os.getpid():
            self._owned.release()
        self._owned.close()


def _numbered(record: Record, seq: int) -> Record:
    return {**record, "_meta": {**record["_meta"], "seq": seq}}

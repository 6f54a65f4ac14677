"""One database file: how it is opened, locked, tried again, checkpointed and closed.

SQLite 3.7.0 to 3.51.2 (but 3.44.6 and 3.50.7) can corrupt a database when a checkpoint runs while
another connection checkpoints or starts the log anew (https://www.sqlite.org/wal.html#walresetbug).
So no connection checkpoints by itself here: a write transaction holds a lock file shared, and a
checkpoint, also that of a closing connection, holds it alone. The rule stands for every version: what
it costs is 3 us a save, and processes with different libraries share a file.
"""

from __future__ import annotations

import errno
import os
import time

from moai_patterns.backends import fileops
from moai_patterns.backends.locking import Lock, Waiting
from moai_patterns.backends.sqlite import faults, layout
from moai_patterns.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from typing import BinaryIO, TypeVar

    T = TypeVar("T")
    Identity = tuple[int, int] | None  # device and inode
else:
    try:  # the package around it imports datetime too: 3 ms of a process that lives 20
        import _sqlite3 as sqlite3
    except ImportError:
        import sqlite3

# A process that opens a log which nobody has open reads it whole: 0.7 ms per MiB.
FIRST_BOUND = 1 << 20
# While it stays open the log costs nothing. A checkpoint of this size takes 4 ms; of four times the size
# as much per save, and it is waited for four times as long.
LATER_BOUND = 4 << 20
_LOOK_EVERY = 16  # commits
_MANY = 64  # rows
# A log of that size has to find room in the file before it gives up its own, and a removal to be logged.
RESERVE = LATER_BOUND + (1 << 20)
_CLOSING_WAIT = 0.1
DRAFT = "-new"  # what the name of a new database ends with until it takes the place
_LOG_HEADER, _FRAME = 32, 24 + 4096


class Database:
    """A database file and the rules for its connections.

    Parameters:
        path: the file.
        durability: `os`: a commit is in the log file, which survives the process. `group`,
            `record`: a commit is on the medium.
        timeout: seconds to wait for other processes before `BusyError`.
    """

    def __init__(self, path: str, *, durability: str, timeout: float) -> None:
        if durability not in ("os", "group", "record"):
            raise ValueError(f"durability is os, group or record, not {durability!r}")
        self.path = os.path.abspath(path)
        self.durability = durability
        self.timeout = timeout
        self._changes = 0
        self.lock = Lock(self.path + "-lock")
        self._commits = 0
        # Whether there was a log before this process that nobody has looked at; None before the first open.
        self._inherits: bool | None = None

    def open(self, end: float) -> tuple[sqlite3.Connection, Identity]:
        """Return a new connection with this store's settings, and the identity of the file that it is on.

        The file is made or upgraded if need be. `end` is the time, by `time.monotonic`, until which to wait
        for other processes. Raises `StoreError` for a path that is no regular file, `LayoutError` for a file
        that is no store of this layout, `ReadOnlyError` for a table in the document's plain layout.
        """
        try:
            if identity(self.path) is None:
                from moai_patterns.backends.sqlite.creation import create_file

                create_file(self, end)
            return self.attempt(lambda: self._connect(end), end)
        except StoreError:
            raise
        except OSError as error:
            raise faults.from_system(error, self.path) from error

    def _connect(self, end: float) -> tuple[sqlite3.Connection, Identity]:
        refuse_planted(self.path)
        if self._inherits is None:
            self._inherits = log_size(self.path) > 0
        while True:
            waits = os.path.lexists(self.path + DRAFT)
            locked = waits and self._lock_names(end)
            file, connection = None, None
            try:
                try:
                    file = identity(self.path)
                    connection = connect(self.path)
                    known = self._attach(connection)
                finally:
                    if locked:
                        self.lock.release()
                if waits or not self._is_replaced(file):
                    break
                leave_open(connection, beyond_exit=True)
            except BaseException:
                self._give_up(connection, file)
                raise
        if known != (layout.APPLICATION_ID, layout.LAYOUT):
            from moai_patterns.backends.sqlite.creation import settle

            try:
                settle(self, connection)
            except BaseException:
                self._give_up(connection, file)
                raise
        return connection, file

    def _is_replaced(self, file: Identity) -> bool:
        """Tell whether a repair has put a new database in the place of a file, or is about to.

        SQLite opens the log by its name, at the first look, so a connection could have an old file and a new
        log. The lock alone would make each that opens wait for checkpoints.
        """
        return os.path.lexists(self.path + DRAFT) or identity(self.path) != file

    def _give_up(self, connection: sqlite3.Connection | None, file: Identity) -> None:
        if connection is None:
            return
        if self._is_replaced(file):
            leave_open(connection, beyond_exit=True)
        elif os.path.lexists(self.lock.path):
            self.close(connection)
        else:  # this is no store, or nobody has written to it: there is nobody to race with
            connection.close()

    def _lock_names(self, end: float) -> bool:
        """Wait for a repair; tell whether the lock is held, which whoever may only read may not find."""
        try:
            self.lock.acquire(shared=True, timeout=max(0.0, end - time.monotonic()))
        except OSError as error:
            if error.errno not in (*fileops.DENIED, errno.ENOENT):
                raise
            return False
        return True

    def _attach(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """Give a connection its settings, and return what program and layout the file says it is of."""
        level = "NORMAL" if self.durability == "os" else "FULL"
        connection.execute(f"PRAGMA synchronous = {level}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {4 * LATER_BOUND}")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return application, version

    def attempt(self, action: Callable[[], T], end: float) -> T:
        """Return what `action` returns; try again while other processes are in the way, then translate."""
        waiting: Waiting | None = None
        while True:
            try:
                return action()
            except UnicodeDecodeError:  # SQLite quotes the schema in its message
                raise faults.damage(self.path, "the schema is damaged: it is no UTF-8") from None
            except sqlite3.Error as error:
                waiting = waiting or Waiting(end)
                if not faults.passing(error) or not waiting.goes_on():
                    raise faults.translate(error, self.path) from error

    def committed(self, connection: sqlite3.Connection) -> None:
        """Checkpoint now and then, after a commit, so that the log stays bounded.

        What is committed stays so whatever fails here; a later commit tries again.
        """
        self._commits += 1
        changes = connection.total_changes
        if self._commits % _LOOK_EVERY == 1 or changes - self._changes >= _MANY:
            self._changes = changes
            try:
                self._bound(connection)
            except OSError:
                self._commits -= 1

    def _bound(self, connection: sqlite3.Connection) -> None:
        # What a checkpoint has brought over is known only as long as some process has the file open: after
        # that the log counts as new again, so a process that may be alone has to empty it.
        bound, mode = (FIRST_BOUND, "TRUNCATE") if self._commits == 1 else (LATER_BOUND, "PASSIVE")
        # What is new in the log has to find room in the file before the disk is full.
        bound = min(bound, fileops.free(os.path.dirname(self.path)) // 4)
        if log_reaches(self.path, bound):
            # Writers that never leave a gap would keep the lock from being had alone, so wait for it
            # once the log is long.
            long = log_reaches(self.path, 8 * bound)
            self.checkpoint(connection, mode, wait=min(self.timeout, 0.2) if long else 0.0)

    def checkpoint(self, connection: sqlite3.Connection, mode: str, *, wait: float) -> bool:
        """Bring the log into the database; tell whether that was possible.

        After `PASSIVE` the next writer starts the log anew in the same file, `TRUNCATE` empties the
        file (which costs later saves: the file system has to find the space again, 1.4 times the time
        of all). Readers that are in an older state keep either from being complete. What a failing
        checkpoint leaves in the log is as safe as before, and the next one tries again.
        """
        try:
            with self.lock.held(timeout=wait):
                if log := self._inherited_log():
                    self._keep_damaged(log)
                (busy, _, _) = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        except (OSError, sqlite3.Error):
            return False
        return not busy

    def flush(self) -> None:
        """Wait until everything committed so far is on the medium. Raises `StoreError`."""
        try:
            descriptor = fileops.open_shared(self.path + "-wal")
            try:
                fileops.sync(descriptor)
            finally:
                os.close(descriptor)
            fileops.sync_dir(os.path.dirname(self.path))
        except OSError as error:
            raise faults.from_system(error, self.path) from error

    def close(self, *connections: sqlite3.Connection) -> None:
        """Close connections; the last one of all processes checkpoints, so the lock is held alone.

        When it cannot be had soon, others are writing, so this one is not the last. Should it become the
        last while it closes, SQLite itself holds the file alone, and nobody is there to race with.
        """
        log = self._inherited_log()
        try:
            self.lock.acquire(timeout=min(self.timeout, _CLOSING_WAIT))
        except OSError:
            _close_all(connections)
        else:
            try:
                _close_all(connections)
            finally:
                self.lock.release()
        if log and os.fstat(log.fileno()).st_nlink:
            log.close()  # it has its name yet: this was not the last connection
        elif log:
            self._keep_damaged(log)

    def keep_damaged_log(self) -> None:
        """Put the log into the quarantine if it was there before this process and is damaged.

        Raises `BusyError` when others keep it from being looked at alone.
        """
        if self._inherits:
            with self.lock.held(timeout=self.timeout):
                if log := self._inherited_log():
                    self._keep_damaged(log)

    def _inherited_log(self) -> BinaryIO | None:
        """Open the log if it was there before this process and has not been looked at."""
        if not self._inherits or os.name != "posix":  # elsewhere nobody could remove it while it is open
            return None
        try:
            return open(fileops.open_read(self.path + "-wal"), "rb")
        except OSError:
            return None

    def _keep_damaged(self, log: BinaryIO) -> None:
        """Put a log into the quarantine if commits in it are behind damage: SQLite drops them in silence.

        Before it is emptied, not when it is opened, because the sums of a MiB take Python 18 ms, and most
        processes end before. By then new commits may stand in the place of the first that were lost.
        """
        from moai_patterns.backends.sqlite import logfile

        self._inherits = False
        try:
            with log:
                if logfile.fault(log):
                    from moai_patterns.backends.sqlite import quarantine

                    log.seek(0)
                    quarantine.keep_log(self.path, log.read())
        except OSError:
            return  # the store goes on without it: there may be no room


def _close_all(connections: tuple[sqlite3.Connection, ...]) -> None:
    for connection in connections:
        try:
            connection.close()
        except sqlite3.Error:
            # The medium is failing; what was acknowledged is in the log, and nothing else is at stake.
            continue


def connect(path: str, mode: str = "rw") -> sqlite3.Connection:
    """Open an existing database; `mode` is that of SQLite's file URIs (`rw`, `ro`, `ro&immutable=1`)."""
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    if os.name == "nt":
        quoted = "/" + quoted.replace("\\", "/")
    # No busy timeout: SQLite's own waits in fixed steps of up to 100 ms, `attempt` with jitter.
    return sqlite3.connect(
        f"file:{quoted}?mode={mode}", timeout=0.0, isolation_level=None, check_same_thread=False, uri=True
    )


def identity(path: str) -> Identity:
    """Return device and inode of a regular file; None when there is none, or one that is empty to SQLite.

    So is a file of one byte: a work-around in its layer for Unix, `unixFileSize` in os_unix.c.

    Raises `StoreError` for anything else: a link could lead a writer out of the store, a FIFO would
    hang it, and what others own or may write to is theirs.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise faults.from_system(error, path) from error
    kind = found.st_mode & 0o170000
    if kind != 0o100000:
        names = {0o040000: "a directory", 0o120000: "a symbolic link: name the file itself"}
        raise StoreError(errno.EINVAL, f"this is {names.get(kind, 'no regular file')}, not a database", path)
    fileops.refuse_unsafe(found, path)
    return (found.st_dev, found.st_ino) if found.st_size > 1 else None


def refuse_planted(path: str) -> None:
    """Raise `UnsafeStoreError` for a log or journal beside a database that somebody else may have put there.

    SQLite would replay it. Where others cannot make files nobody can, which one look at the directory tells.
    """
    directory = os.stat(os.path.dirname(path))
    if os.name != "posix" or (directory.st_uid in (os.geteuid(), 0) and not directory.st_mode & 0o002):
        return
    for suffix in ("-wal", "-shm", "-journal"):
        fileops.refuse_unsafe_root(path + suffix)


def leave_open(connection: object, *, beyond_exit: bool = False) -> None:
    """Keep a connection from being closed: closing reads, deletes and writes files by their name.

    `beyond_exit` keeps it even when the interpreter ends in the usual way, when another file has the
    name and would lose its log.
    """
    _left_open.append(connection)
    if beyond_exit:
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


_left_open: list[object] = []


def log_size(path: str) -> int:
    """Return the bytes of the write-ahead log file."""
    try:
        return os.stat(path + "-wal").st_size
    except OSError:
        return 0


def log_reaches(path: str, size: int) -> bool:
    """Tell whether the log file holds at least `size` bytes written since it was last started anew.

    Frames of an earlier round have other salts than the header (https://www.sqlite.org/fileformat2.html
    #walformat). SQLite keeps no locks on this file, so closing it again does no harm.
    """
    place = _LOG_HEADER + size // _FRAME * _FRAME
    if log_size(path) < place + _FRAME:
        return False
    try:
        descriptor = fileops.open_read(path + "-wal")
    except OSError:
        return False
    try:
        return fileops.read_at(descriptor, 8, place + 8) == fileops.read_at(descriptor, 8, 16)
    finally:
        os.close(descriptor)

"""How a database comes into being, and what becomes of one that is not of this layout."""

from __future__ import annotations

import errno
import os
import time

from moai_patterns.backends import fileops
from moai_patterns.backends.reserve import Reserve
from moai_patterns.backends.sqlite import database, faults, layout
from moai_patterns.errors import BusyError, LayoutError, ReadOnlyError, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from moai_patterns.backends.sqlite.database import Database
else:
    sqlite3 = database.sqlite3

_PLAIN = ("pattern_id", "pattern_type", "timestamp", "data", "context", "version", "created_at")
# File systems on which processes of several machines would share the log's index through memory maps.
_REMOTE = frozenset(("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "fuse.sshfs", "ncpfs"))

_TURN = 0.05  # seconds


class PlainLayoutError(ReadOnlyError):
    """The table has the seven columns of the plain layout: it can be read, not written."""


def create_file(store: Database, end: float) -> None:
    """Make the database under another name and publish it whole, unless there is one by now.

    So no process ever sees half a schema, or meets another in the switch to the log. Raises
    `StoreError`, also for a place where SQLite cannot keep a write-ahead log, and `DamageError` for a store
    that was cut off to nothing.
    """
    _refuse_cut_off(store.path)
    directory = os.path.dirname(store.path)
    made = _missing(directory)
    fileops.make_dirs(directory)
    refuse_remote(directory)
    while database.identity(store.path) is None:
        if not _locked(store, end):
            continue
        try:
            if database.identity(store.path) is None:
                draft = make_draft(store.path)
                _set_aside(store.path)
                fileops.rename(draft, store.path)
                for entered in (directory, *map(os.path.dirname, made)):
                    fileops.sync_dir(entered)
                Reserve(store.path + ".reserve", database.RESERVE).make()
        finally:
            store.lock.release()


def _refuse_cut_off(path: str) -> None:
    """Raise `DamageError` for a file that was cut off to nothing, or to the byte that SQLite takes for it."""
    # In this order, for whoever makes a store makes its reserve last.
    is_known = os.path.lexists(path + ".reserve")
    try:
        size = os.lstat(path).st_size
    except FileNotFoundError:
        return
    if is_known and size <= 1:
        sentence = (
            "the file is cut off, and what lies beside it says that a store was there; bring it back from a "
            f"backup, or remove it and {path}.reserve to begin anew"
        )
        raise faults.damage(path, sentence)
    if size == 1:
        raise faults.damage(path, "the file holds one byte, so it is no database; name another path")


def _locked(store: Database, end: float) -> bool:
    """Wait a moment for the lock alone; tell whether it was had. Raises `BusyError` at the end of the time.

    Once there is a file others write into it, so many perhaps that nobody has the lock alone any more.
    """
    left = max(0.0, end - time.monotonic())
    try:
        store.lock.acquire(timeout=min(left, _TURN))
    except BusyError:
        if left > _TURN:
            return False
        raise BusyError(f"{store.path}: other processes kept it from being made; try again") from None
    return True


def make_draft(path: str) -> str:
    """Make an empty store under another name and return that; the caller holds the lock of the store."""
    draft = path + database.DRAFT
    for remains in (draft, draft + "-wal", draft + "-shm"):
        fileops.remove(remains)
    fileops.create(draft, b"")
    try:
        _build(draft)
    except sqlite3.Error as error:
        raise faults.translate(error, path) from error
    return draft


def _missing(directory: str) -> list[str]:
    """Return the directories on the way that are not there yet, the deepest first."""
    found = []
    while not os.path.lexists(directory):
        found.append(directory)
        directory = os.path.dirname(directory)
    return found


def _set_aside(path: str) -> None:
    """Rename the log of a database that was removed: SQLite would replay it into the new one."""
    if os.path.lexists(path + "-wal"):
        fileops.rename(path + "-wal", path + "-wal-orphaned")
    fileops.remove(path + "-shm")


def _build(path: str) -> None:
    connection = database.connect(path)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("BEGIN")
        for statement in layout.STEPS_TABLE:
            connection.execute(statement)
        for name, statements in layout.STEPS:
            for statement in statements:
                connection.execute(statement)
            connection.execute(
                'INSERT INTO "_sqlite_migrations" (migration_set, name, applied_at)'
                " VALUES (?, ?, strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now'))",
                (layout.STEP_SET, name),
            )
        connection.execute("COMMIT")
        _log_ahead(connection, path)
    finally:
        connection.close()


def _log_ahead(connection: sqlite3.Connection, path: str) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreError(
            errno.EOPNOTSUPP,
            f"SQLite cannot keep a write-ahead log here (journal mode {mode}); use a local disk, or a tree",
            path,
        )


def settle(store: Database, connection: sqlite3.Connection) -> None:
    """Bring an empty or older database to this layout; raise for one that is something else."""
    connection.execute("BEGIN")  # one state of it, for another process may be upgrading it now
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = sorted(name for (name,) in connection.execute("SELECT name FROM sqlite_master"))
    is_plain = "patterns" in tables and plain(connection)
    connection.execute("COMMIT")
    if application not in (0, layout.APPLICATION_ID):
        raise LayoutError(f"{store.path}: another program's database (application id {application:#x})")
    if application and version > layout.LAYOUT:
        raise LayoutError(
            f"{store.path}: layout {version}, but this version knows up to {layout.LAYOUT}; "
            "use a newer moai-patterns"
        )
    if application == 0 and is_plain:
        raise PlainLayoutError(
            errno.EROFS,
            "a table in the plain layout can only be read; bring it over with "
            f"`moai-patterns copy --store sqlite:{store.path} sqlite:NEW`",
            store.path,
        )
    if application == 0 and tables:
        some = ", ".join(tables[:5])
        raise LayoutError(f"{store.path}: a database of something else, with {some}; name another path")
    if version < layout.LAYOUT:
        from moai_patterns.backends.sqlite.upgrading import upgrade

        upgrade(store, connection)


def plain(connection: sqlite3.Connection) -> bool:
    """Tell whether table `patterns` has exactly the seven columns of the document's plain layout."""
    columns = connection.execute("SELECT name FROM pragma_table_info('patterns')")
    return tuple(name for (name,) in columns) == _PLAIN


def refuse_remote(directory: str, mounts: str = "/proc/self/mounts") -> None:
    """Raise `StoreError` when the directory is on a network file system, as far as the system tells."""
    try:
        with open(mounts, encoding="utf-8", errors="replace") as listing:
            lines = [line.split(" ") for line in listing]
    except OSError:
        return  # no such listing outside Linux
    place = os.path.realpath(directory)
    best, kind = "", ""
    for _, mount, found, *_ in lines:
        point = mount.replace("\\040", " ").rstrip("/")
        if len(point) >= len(best) and (place == point or place.startswith(point + "/")):
            best, kind = point, found
    if kind in _REMOTE:
        raise StoreError(
            errno.EOPNOTSUPP,
            f"SQLite's write-ahead log does not work on a network file system ({kind}); "
            "use a local disk, or a tree (file:PATH)",
            directory,
        )

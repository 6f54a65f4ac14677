"""The spool: where records wait that the store could not take, already redacted, until the next save.

Beside a store stand, when there is something in them:

| file | what |
|---|---|
| `<store>.spool` | JSON Lines: `{"attempts": n, "records": [...], "crc32": n}`, stored records in batches |
| `<store>.spool.draining/<offset>.jsonl` | a spool that is being drained; all before the offset is done |
| `<store>.quarantine` | JSON Lines: what was refused five times or cannot be read, with the reason |

Where nothing can be written beside the store, the spool stands in a refuge (see `location.refuges`),
and is drained from there. Nothing is removed before the store has it: a drain that is killed is
repeated, and a batch that is there already is known by its ids.
"""

from __future__ import annotations

import errno
import os
from binascii import crc32

from moai_patterns.backends.fileops import (
    append,
    make_dirs,
    open_own,
    read,
    refuse_unsafe_root,
    remove,
    remove_dir,
    rename,
)
from moai_patterns.backends.filesystem.sealed import is_stored
from moai_patterns.backends.locking import Lock
from moai_patterns.errors import (
    BusyError,
    ConflictError,
    DamageError,
    LayoutError,
    ReadOnlyError,
    StoreError,
)
from moai_patterns.instant import isoformat
from moai_patterns.lightjson import dumps, loads
from moai_patterns.location import SPOOL, beside, draining_of, in_refuge, is_private, refuges, spools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from io import BufferedReader
    from typing import Any

    from moai_patterns.location import Location

    Record = dict[str, Any]

ATTEMPTS = 5
_LOCK = ".lock"
_MARK = b',"crc32":'
_CLAIMED = ".jsonl"
_WAIT = 0.25  # seconds for a lock that is held for the time of one append or rename
_PASSING = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES",
        "EAGAIN",
        "EBUSY",
        "EDQUOT",
        "EINTR",
        "EMFILE",
        "ENFILE",
        "ENOSPC",
        "EPERM",
        "EROFS",
    )
    if hasattr(errno, name)  # Windows has no quotas
)
_PORTION = 4 << 20  # bytes after which a drain with a limit stops


def put(location: Location, records: list[Record], environ: Mapping[str, str]) -> str:
    """Keep a batch of stored records until the next save and return the file it waits in.

    Raises `OSError` when it can be written neither beside the store nor in a refuge.
    """
    line = _line(0, records)
    path = beside(location, SPOOL)
    try:
        make_dirs(os.path.dirname(path) or ".")
        _append(path, line)
    except OSError as error:
        return _put_in_refuge(location, line, environ, error)
    return path


def _put_in_refuge(location: Location, line: bytes, environ: Mapping[str, str], error: OSError) -> str:
    for directory in refuges(environ):
        path = in_refuge(location, directory) + SPOOL
        try:
            make_dirs(directory)
            if is_private(directory):
                _append(path, line)
                return path
        except OSError as fault:
            error = fault
    raise error


def drain(
    location: Location,
    write: Callable[[list[Record]], object],
    *,
    limit: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Write what waits into the store, oldest first, and return how many records were written.

    Parameters:
        location: the store.
        write: writes a batch of stored records, all or nothing; raises `ConflictError` when an id is
            there already, which makes the batch done if its content is, too.
        limit: at most so many batches (and about 4 MB) of each spool; all by default.
        environ: the environment, for the refuges; the process's own by default.

    Stops at the first fault of the medium and leaves the rest where it is. What the store refuses
    goes to the end of the spool, after five attempts into the quarantine; at once, when the store has
    one of its ids with other content. One process drains at a
    time, others return 0. Raises `OSError` when the spool itself cannot be read or moved.
    """
    known = os.environ if environ is None else environ
    return sum(_Drain(path, location, write, limit).run() for path in spools(location, known))


def status(location: Location, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what `doctor` shows: records `waiting`, their `bytes`, the `oldest`, lines `quarantined`.

    >>> status(("filesystem", "nowhere/patterns"), {})
    {'waiting': 0, 'bytes': 0, 'oldest': None, 'quarantined': 0, 'files': []}
    """
    count = size = 0
    moments: list[int] = []
    files = []
    for spool in spools(location, os.environ if environ is None else environ):
        for path, offset in (_claimed(spool), (spool, 0)):
            lines = _lines(path, offset) if path else []
            files += [path] if lines else []
            size += sum(len(line) + 1 for line in lines)
            entries = [_parsed(line) for line in lines]
            count += sum(len(entry["records"]) if entry else 1 for entry in entries)
            moments += [
                record["_meta"]["instant"] for entry in entries if entry for record in entry["records"]
            ]
    return {
        "waiting": count,
        "bytes": size,
        "oldest": isoformat(min(moments)) if moments else None,
        "quarantined": len(_lines(beside(location, ".quarantine"), 0)),
        "files": files,
    }


class _Drain:
    """One pass over one spool."""

    def __init__(
        self, spool: str, location: Location, write: Callable[[list[Record]], object], limit: int | None
    ) -> None:
        self._spool = spool
        self._location = location
        self._quarantine = beside(location, ".quarantine")
        self._write = write
        self._limit = limit
        self._taken = 0
        self._written = 0

    def run(self) -> int:
        folder = draining_of(self._spool)
        make_dirs(folder)
        refuse_unsafe_root(folder)
        lock = Lock(os.path.join(folder, "lock"))
        try:
            lock.acquire(timeout=0.0)
        except (BusyError, FileNotFoundError):
            return 0  # another process drains, or has just finished and cleared away
        done = False
        try:
            done = self._work_through()
            if done and os.name == "posix":
                _clear(self._spool, lock)  # while it is held: the next holder must not lose its file
        except BusyError:
            pass  # somebody is appending for longer than a moment: the spool waits for the next drain
        finally:
            lock.release()
            lock.close()
        if done and os.name != "posix":
            _clear(self._spool, lock)  # once it is closed: an open file cannot be removed there
        return self._written

    def _work_through(self) -> bool:
        """Go through what a killed drain left, which is older, and then the spool; tell if all is done."""
        for find in (_claimed, _claim):
            path, offset = find(self._spool)
            if path and not self._work(path, offset):
                return False
        return True

    def _work(self, path: str, offset: int) -> bool:
        """Go through one claimed file and tell whether it is done; its name says how far it is."""
        with open(open_own(path), "rb") as file:
            file.seek(offset)
            end, done = self._portion(file, offset)
        if done:
            remove(path)
        elif end != offset:
            rename(path, os.path.join(os.path.dirname(path), f"{end}{_CLAIMED}"))
        return done

    def _portion(self, file: BufferedReader, start: int) -> tuple[int, bool]:
        end = start
        while line := file.readline():
            enough = self._limit is not None and (self._taken >= self._limit or end - start > _PORTION)
            if enough or not self._take(line):
                return end, False
            end += len(line)
            self._taken += 1
        return end, True

    def _take(self, line: bytes) -> bool:
        """Find a place for one line; False when the medium refuses, and then the rest must wait."""
        if not line.strip():
            return True
        entry = _parsed(line)
        try:
            if entry is None:
                self._set_aside({"reason": "torn or damaged", "line": line.decode("utf-8", "replace")})
            else:
                self._offer(entry)
        except Exception as error:
            if _is_of_the_medium(error):
                return False
            raise
        return True

    def _offer(self, entry: Record) -> None:
        records = entry["records"]
        try:
            self._write(records)
        except ConflictError:
            if not _has(self._location, records):
                reason = "the store has one of these ids with other content"
                self._set_aside({"reason": reason, "records": records})
            return  # else written before, by a drain that was killed before it could say so
        except Exception as error:
            if _is_of_the_medium(error):
                raise
            attempts = entry["attempts"] + 1
            if attempts < ATTEMPTS:
                _append(self._spool, _line(attempts, records))
            else:
                reason = f"{type(error).__name__}: {error}"
                self._set_aside({"reason": reason, "attempts": attempts, "records": records})
            return
        self._written += len(records)

    def _set_aside(self, entry: Record) -> None:
        _append(self._quarantine, dumps(entry).encode() + b"\n")


def _clear(spool: str, lock: Lock) -> None:
    """Remove what only a drain needs; whoever waits for a lock sees that its file is gone and makes one."""
    try:
        remove(lock.path)
        remove_dir(draining_of(spool))
        appending = Lock(spool + _LOCK)
        with appending.held(timeout=0.0):
            if not os.path.exists(spool):
                remove(appending.path)
        appending.close()
    except OSError:
        return  # somebody is spooling again, and needs it


def _has(location: Location, records: list[Record]) -> bool:
    """Tell whether a store has these records, as they are, as one of their revisions."""
    # Rare, so what a capture usually does without is loaded here and not above.
    from moai_patterns.backends.opening import open_backend
    from moai_patterns.query import content
    from moai_patterns.values import same

    backend = open_backend(*location)
    try:
        return all(
            any(same(content(known), content(record)) for known in backend.history(record["pattern_id"]))
            for record in records
        )
    finally:
        backend.close()


def _is_of_the_medium(error: Exception) -> bool:
    """Tell a fault that passes, or that hits every record alike, from the refusal of this record.

    Only the former may make the rest wait, or one record that is too large would hold up all others.
    """
    if isinstance(error, (BusyError, ReadOnlyError, LayoutError, DamageError, ImportError)):
        return True
    return isinstance(error, OSError) and error.errno in _PASSING


def _claimed(spool: str) -> tuple[str, int]:
    """Return the file that a drain has begun and how far it came; an empty name when there is none."""
    folder = draining_of(spool)
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return "", 0
    for name in names:
        offset = name.removesuffix(_CLAIMED)
        if offset != name and offset.isascii() and offset.isdigit():
            return os.path.join(folder, name), int(offset)
    return "", 0


def _claim(spool: str) -> tuple[str, int]:
    """Move the spool away from those who append to it; none of them is in the middle of it then."""
    path = os.path.join(draining_of(spool), f"0{_CLAIMED}")
    lock = Lock(spool + _LOCK)
    try:
        with lock.held(timeout=_WAIT):
            refuse_unsafe_root(spool)
            rename(spool, path)
    except FileNotFoundError:
        return "", 0
    finally:
        lock.close()
    return path, 0


def _append(path: str, line: bytes) -> None:
    lock = Lock(path + _LOCK)
    try:
        with lock.held(timeout=_WAIT):
            append(path, line if _ends_whole(path) else b"\n" + line)
    finally:
        lock.close()


def _ends_whole(path: str) -> bool:
    """Tell whether the last line is complete: a kill or a full disk leaves a torn one."""
    try:
        with open(open_own(path), "rb") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
            return file.read(1) in (b"\n", b"")
    except FileNotFoundError:
        return True


def _line(attempts: int, records: list[Record]) -> bytes:
    text = dumps({"attempts": attempts, "records": records}).encode()[:-1]
    return b"%b%b%d}\n" % (text, _MARK, crc32(text))


def _is_changed(line: bytes) -> bool:
    """Tell whether the checksum of a line, if it has one, does not fit its bytes."""
    text, mark, rest = line.rpartition(_MARK)
    return bool(mark) and rest.rstrip() != b"%d}" % crc32(text)


def _parsed(line: bytes) -> Record | None:
    """Return what a line holds, or None when it is torn, damaged, or was not written by this module."""
    if _is_changed(line):
        return None
    try:
        entry = loads(line.decode())
        sound = isinstance(entry["attempts"], int) and 0 <= entry["attempts"] < ATTEMPTS
        sound = sound and bool(entry["records"]) and all(map(is_stored, entry["records"]))
        dumps(entry).encode()  # a line that cannot be written again could not be put off either
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return entry if sound else None


def _lines(path: str, offset: int) -> list[bytes]:
    try:
        return [line for line in read(path)[offset:].split(b"\n") if line.strip()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(error.errno, f"it cannot be read: {error.strerror}", path) from None

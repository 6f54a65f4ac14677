"""A store in one file: a header, then one line per batch with its checksum in front."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from zlib import crc32

from moai_patterns.backends import fileops
from moai_patterns.backends.base import BackendBase, Batch, Problem, Removal
from moai_patterns.backends.locking import Lock
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.errors import DamageError, LayoutError, StoreError
from moai_patterns.query import Query, Record

HEADER = b"journal 1\n"


class JournalBackend(BackendBase):
    """Answers from memory, after reading what the journal at `path` has gained since the last time."""

    def __init__(
        self, path: str | os.PathLike[str], *, durability: str = "os", timeout: float = 30.0
    ) -> None:
        self._path = os.fspath(path)
        self._sync = durability != "os"
        self._timeout = timeout
        self._mutex = threading.Lock()  # between threads
        self._lock = Lock(self._path + ".lock")  # between processes
        self._closed = False
        self._forget()

    def _forget(self) -> None:
        self._state, self._read, self._line = MemoryBackend(), 0, 0

    def write(self, batch: Batch) -> None:
        try:
            with self._mutex, self._lock.held(timeout=self._timeout):
                self._catch_up()
                self._state.write(batch)  # ConflictError before anything is on the disk
                self._append(json.dumps([list(batch.add), list(batch.remove)]).encode())
        except OSError as error:
            self._forget()  # the state may be ahead of the file
            raise _translated(error, self._path) from error

    def _append(self, body: bytes) -> None:
        line = b"%08x %s\n" % (crc32(body), body)
        if self._read == 0:
            line = HEADER + line
        if os.path.exists(self._path) and os.path.getsize(self._path) > self._read:
            os.truncate(self._path, self._read)  # a line that a killed process left unfinished
        fileops.append(self._path, line, sync=self._sync)
        self._read += len(line)
        self._line += line.count(b"\n")

    def _catch_up(self) -> None:
        if self._closed:
            raise StoreError(f"{self._path} was closed; open it again")
        if not os.path.exists(self._path):
            return
        with open(self._path, "rb") as file:
            file.seek(self._read)
            for line in file:
                self._take(line)

    def _take(self, line: bytes) -> None:
        if self._line == 0 and not HEADER.startswith(line):
            raise LayoutError(f"{self._path} is no journal")
        if not line.endswith(b"\n"):
            return  # still being written, or torn: never acknowledged
        if self._line > 0:
            body = line[9:-1]
            if line[:9] != b"%08x " % crc32(body):
                raise DamageError(f"{self._path}:{self._line + 1}: the line is not the one that was written")
            add, remove = json.loads(body)
            self._state.write(Batch(add, [Removal(*removal) for removal in remove]))
        self._read += len(line)
        self._line += 1

    def scan(self, query: Query) -> Iterator[Record]:
        try:
            with self._mutex:
                self._catch_up()
                return self._state.scan(query)
        except OSError as error:
            raise _translated(error, self._path) from error

    def check(self, *, read_data: bool = False) -> list[Problem]:
        fresh = JournalBackend(self._path)
        try:
            fresh.count(Query())
        except (DamageError, LayoutError) as error:
            return [Problem(f"{self._path}:{fresh._line + 1}", str(error))]
        finally:
            fresh.close()
        return []

    def close(self) -> None:
        self._closed = True
        self._lock.close()


def _translated(error: OSError, path: str) -> StoreError:
    return error if isinstance(error, StoreError) else StoreError(f"{path}: {error.strerror}")

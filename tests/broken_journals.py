"""Journals that keep their records wrongly in one way each: clauses 2, 3, 7 and 9."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from broken_backends import caught_by
from journal_backend import HEADER, JournalBackend
from moai_patterns.backends import fileops
from moai_patterns.backends.base import BackendBase, Batch, Problem, SingleWriter
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.errors import DamageError

# 2, 7 and 9, in a file


@caught_by("test_7_reopening_shows_everything")
class ArrivalReversedAfterReopening(JournalBackend):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._catch_up()
        everything = [it for kept in self._state._revisions.values() for it in kept]
        numbers = sorted((it["_meta"]["seq"] for it in everything), reverse=True)
        for record, number in zip(
            sorted(everything, key=lambda it: int(it["_meta"]["seq"])), numbers, strict=True
        ):
            record["_meta"]["seq"] = number


@caught_by("test_7_reopening_shows_everything")
class HistoryOnlyInMemory(JournalBackend):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._catch_up()
        for identity, kept in self._state._revisions.items():
            self._state._revisions[identity] = kept[-1:]


@caught_by("test_3_arrival_numbers_are_never_given_twice")
class ArrivalStartsAgain(JournalBackend):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._catch_up()
        kept = self._state._revisions.values()
        self._state._seq = max((one["_meta"]["seq"] for many in kept for one in many), default=0)


@caught_by("test_7_an_abandoned_opening_loses_nothing", machine=False)
class WrittenAtClose(JournalBackend):
    def _append(self, body: bytes) -> None:
        self._kept = [*getattr(self, "_kept", []), body]
        if len(self._kept) >= 10:
            self._flush()

    def _flush(self) -> None:
        for body in getattr(self, "_kept", []):
            super()._append(body)
        self._kept = []

    def close(self) -> None:
        self._flush()
        super().close()


@caught_by("test_7_a_kill_inside_write", machine=False)
class BatchInTwoParts(JournalBackend):
    def _append(self, body: bytes) -> None:
        add, remove = json.loads(body)
        half = len(add) // 2
        for part in ([add[:half], remove], [add[half:], []]):
            super()._append(json.dumps(part).encode())
            time.sleep(0.001)


@caught_by("test_7_a_kill_inside_write", machine=False)
class UnfinishedLineStays(JournalBackend):
    """Writes on after the torn line of a killed process."""

    def _append(self, body: bytes) -> None:
        line = b"%08x %s\n" % (crc32(body), body)
        line = line if self._read else HEADER + line
        cut = len(line) // 2
        fileops.append(self._path, line[:cut])
        time.sleep(0.002)
        fileops.append(self._path, line[cut:])
        self._read += len(line)
        self._line += line.count(b"\n")


@caught_by("test_7_a_kill_inside_compact", machine=False)
class CompactsInPlace(JournalBackend):
    """Empties the journal before it has written the dense one."""

    def compact(self, days: Sequence[int]) -> int:
        with self._mutex, self._lock.held():
            self._catch_up()
            with open(self._path, "rb") as file:
                lines = file.read()
            if lines:
                os.truncate(self._path, 0)
                time.sleep(0.002)
                fileops.append(self._path, lines)
        return 0


@caught_by("test_2_no_update_of_racing_processes_is_lost", machine=False)
class NoLockBetweenProcesses(JournalBackend):
    def write(self, batch: Batch) -> None:
        with self._mutex:
            self._catch_up()
            self._state.write(batch)
            time.sleep(0.001)
            self._append(json.dumps([list(batch.add), list(batch.remove)]).encode())


@caught_by("test_2_two_openings_see_each_other", machine=False)
class ReadsOnlyOnce(JournalBackend):
    def _catch_up(self) -> None:
        if not self._line:
            super()._catch_up()


@caught_by("test_9_damage_is_reported_with_its_place", machine=False)
class DamageSkipped(JournalBackend):
    def _take(self, line: bytes) -> None:
        try:
            super()._take(line)
        except DamageError:
            self._read += len(line)
            self._line += 1


@caught_by("test_9_damage_is_reported_with_its_place", machine=False)
class DamageWithoutPlace(JournalBackend):
    def _take(self, line: bytes) -> None:
        try:
            super()._take(line)
        except DamageError:
            raise DamageError("a line is damaged") from None

    def check(self, *, read_data: bool = False) -> list[Problem]:
        return [Problem("", problem.sentence) for problem in super().check(read_data=read_data)]


@caught_by("test_9_damage_is_reported_with_its_place", machine=False)
class ForeignExceptionOut(JournalBackend):
    def _take(self, line: bytes) -> None:
        try:
            super()._take(line)
        except DamageError:
            json.loads(line)


@caught_by("test_9_a_path_that_is_no_store", machine=False)
class ForeignFileOverwritten(JournalBackend):
    def _take(self, line: bytes) -> None:
        if line.startswith(HEADER) or self._line:
            super()._take(line)


@caught_by("test_9_a_closed_store_refuses", machine=False)
class WorksAfterClose(MemoryBackend):
    def close(self) -> None:
        self._revisions.clear()


@caught_by("test_9_a_closed_store_refuses", machine=False)
class SecondCloseRefused(MemoryBackend):
    def close(self) -> None:
        self._must_be_open()
        super().close()


class SessionBuffer(SingleWriter):
    def __init__(self, backend: BackendBase) -> None:
        super().__init__(backend)
        self._kept: list[Batch] = []

    def close(self) -> None:
        for batch in self._kept:
            super().write(batch)


class BufferedAfterTwo(SessionBuffer):
    """Writes the first batches through, as a buffer that is flushed by size does now and then."""

    def write(self, batch: Batch) -> None:
        self._kept.append(batch)
        if len(self._kept) == 3:
            for kept in self._kept:
                self._backend.write(kept)
            self._kept.clear()


@caught_by("test_7_a_kill_inside_a_session", machine=False)
class SessionsFlushNowAndThen(JournalBackend):
    def single_writer(self) -> SingleWriter:
        return BufferedAfterTwo(self)


@caught_by("test_2_processes_open_an_empty_store_at_once", machine=False)
class MadeWithoutALock(JournalBackend):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        if not os.path.exists(path):
            time.sleep(0.05)
            fileops.create(path, HEADER)


@caught_by("test_2_a_forked_child_shares_the_store", machine=False)
class OneDescriptorForAll(JournalBackend):
    """Reads on where the last read ended, but the place belongs to the file that a child shares."""

    _file: Any = None

    def _catch_up(self) -> None:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDONLY | os.O_CREAT)
        for line in os.read(self._file, 1 << 20).splitlines(keepends=True):
            self._take(line)

    def _append(self, body: bytes) -> None:
        super()._append(body)
        os.lseek(self._file, self._read, os.SEEK_SET)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        super().close()

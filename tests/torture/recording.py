"""Every change that a store makes to its files, in order: what `fileops` asks the system for is noted.

`fileops` gets an `os` that does what the real one does and notes what a power cut may undo.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from moai_patterns.backends import fileops
from torture.disk import ROOT, Cut, Dated, Disk, Made, Named, Renamed, Step, Synced, Unnamed, Written


@dataclass(frozen=True)
class Mark:
    """What the program said between two steps."""

    word: str
    number: int


class Recorder:
    """What happened below a directory, which was flushed with all that is in it before.

    Attributes: `first`, the steps that make what was there at the beginning; `log`, all since.
    """

    def __init__(self, place: Path) -> None:
        self.place = str(place)
        self.first: list[Step] = []
        self.log: list[Step | Mark] = []
        self._noted: list[Step | Mark] = self.first  # type: ignore[assignment]
        self._disk = Disk()
        self._nodes = 0
        self._opened: dict[int, tuple[int, int]] = {}  # node, position (or -1 for the end) by descriptor
        self._take_in(place)
        self._noted = self.log

    def mark(self, word: str, number: int) -> None:
        """Note what the program says."""
        self.log.append(Mark(word, number))

    def note(self, step: Step) -> None:
        """Note a step."""
        self._disk.apply(step)
        self._noted.append(step)

    def _take_in(self, place: Path) -> None:
        for path in sorted(place.rglob("*")):
            node = self.make(str(path), is_folder=path.is_dir())
            if not path.is_dir():
                self.note(Written(node, 0, path.read_bytes(), path.stat().st_mtime_ns // 1000))
        for node in (*self._disk.files, *self._disk.folders):
            self.note(Synced(node))

    def make(self, path: str, *, is_folder: bool) -> int:
        """Note a new file or directory and return its number."""
        self._nodes += 1
        folder, name, _ = self._disk.resolve(self.inside(path) or "")
        self.note(Made(self._nodes, is_folder, _now()))
        self.note(Named(folder, name, self._nodes))
        return self._nodes

    def inside(self, path: str) -> str | None:
        """Return a path relative to the place that is looked at, None for one elsewhere."""
        return path[len(self.place) + 1 :] if path.startswith(self.place + "/") else None

    def entry(self, path: str) -> tuple[int, str, int | None] | None:
        """Return directory, name and node of a path, None for one elsewhere."""
        relative = self.inside(path)
        return None if relative is None else self._disk.resolve(relative)

    def opened(self, descriptor: int, path: str, *, new: bool, append: bool) -> None:
        """Note that a file or directory was opened."""
        self._opened.pop(descriptor, None)
        found = (ROOT, "", ROOT) if path == self.place else self.entry(path)
        if found is not None:
            node = self.make(path, is_folder=False) if new else found[2]
            assert node is not None, path
            self._opened[descriptor] = (node, -1 if append else 0)

    def written(self, descriptor: int, data: bytes, offset: int | None = None) -> None:
        """Note bytes that came into an open file, at its position unless given."""
        if descriptor not in self._opened:
            return
        node, position = self._opened[descriptor]
        if offset is None:
            offset = len(self._disk.files[node].contents[-1]) if position < 0 else position
            self._opened[descriptor] = (node, position if position < 0 else offset + len(data))
        self.note(Written(node, offset, data, _now()))

    def node_of(self, descriptor: int) -> int | None:
        """Return the node that is open, None for one elsewhere."""
        return self._opened.get(descriptor, (None,))[0]

    def moved(self, source: str, target: str) -> None:
        """Note that a file has another name now."""
        old, new = self.entry(source), self.entry(target)
        if old is not None and new is not None and old[2] is not None:
            self.note(Renamed(*old[:2], *new[:2]))

    def linked(self, source: str, target: str) -> None:
        """Note that a file has a second name now."""
        old, new = self.entry(source), self.entry(target)
        if old is not None and new is not None and old[2] is not None:
            self.note(Named(*new[:2], old[2]))

    def gone(self, path: str) -> None:
        """Note that a name went."""
        found = self.entry(path)
        if found is not None:
            self.note(Unnamed(*found[:2]))


def _now() -> int:
    return time.time_ns() // 1000


class RecordingOs:
    """`os`, with what changes files noted."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        descriptor = os.open(path, flags, mode)
        self._recorder.opened(descriptor, path, new=new, append=bool(flags & os.O_APPEND))
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        count = os.write(descriptor, data)
        self._recorder.written(descriptor, bytes(data[:count]))
        return count

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        count = os.pwrite(descriptor, data, offset)
        self._recorder.written(descriptor, bytes(data[:count]), offset)
        return count

    def ftruncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)
        node = self._recorder.node_of(descriptor)
        if node is not None:
            self._recorder.note(Cut(node, size))

    def posix_fallocate(self, descriptor: int, offset: int, length: int) -> None:
        os.posix_fallocate(descriptor, offset, length)
        node = self._recorder.node_of(descriptor)
        if node is not None:
            self._recorder.note(Cut(node, os.fstat(descriptor).st_size))

    def fsync(self, descriptor: int) -> None:
        node = self._recorder.node_of(descriptor)
        if node is not None:
            self._recorder.note(Synced(node))

    def unlink(self, path: str) -> None:
        os.unlink(path)
        self._recorder.gone(path)

    def rmdir(self, path: str) -> None:
        os.rmdir(path)
        self._recorder.gone(path)

    def replace(self, source: str, target: str) -> None:
        os.replace(source, target)
        self._recorder.moved(source, target)

    def link(self, source: str, target: str, *, follow_symlinks: bool = True) -> None:
        os.link(source, target, follow_symlinks=follow_symlinks)
        self._recorder.linked(source, target)

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        os.mkdir(path, mode)
        if self._recorder.inside(path) is not None:
            self._recorder.make(path, is_folder=True)

    def utime(self, path: str, ns: tuple[int, int]) -> None:
        os.utime(path, ns=ns)
        found = self._recorder.entry(path)
        if found is not None and found[2] is not None:
            self._recorder.note(Dated(found[2], ns[1] // 1000))


@contextmanager
def recorded(place: Path) -> Iterator[Recorder]:
    """Note all that `fileops` does below a directory meanwhile."""
    recorder = Recorder(place)
    with patch.object(fileops, "os", RecordingOs(recorder)):
        yield recorder

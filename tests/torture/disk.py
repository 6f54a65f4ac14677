"""What a medium may hold after a power cut: files and directories of which only what was flushed is certain.

The model is stricter than most file systems. A flushed file has its bytes, not its name; a flushed
directory has its entries, not their bytes, nor its own name. Everything else may be there or not, each by
itself, in any order; only two things are taken for granted: an entry is one of the files that it has named
since it was flushed, and a file that is renamed keeps its old name until the new one is where it is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType

ROOT = 0


@dataclass(frozen=True)
class Named:
    """An entry of a directory came to name a file or a directory."""

    folder: int
    name: str
    node: int


@dataclass(frozen=True)
class Unnamed:
    """An entry of a directory went."""

    folder: int
    name: str


@dataclass(frozen=True)
class Renamed:
    """A file got another name, in one step."""

    folder: int
    name: str
    to_folder: int
    to_name: str


@dataclass(frozen=True)
class Made:
    """There is a new file, or a new directory; nothing names it yet."""

    node: int
    is_folder: bool
    moment: int


@dataclass(frozen=True)
class Written:
    """Bytes came into a file, at a moment in microseconds."""

    node: int
    offset: int
    data: bytes
    moment: int


@dataclass(frozen=True)
class Cut:
    """A file got another length."""

    node: int
    size: int


@dataclass(frozen=True)
class Dated:
    """A file got a time of modification, in microseconds."""

    node: int
    moment: int


@dataclass(frozen=True)
class Synced:
    """A file's bytes, or a directory's entries, are on the medium."""

    node: int


Step = Named | Unnamed | Renamed | Made | Written | Cut | Dated | Synced


@dataclass
class File:
    """The contents and dates that a file has had since it was flushed; the first of each is certain."""

    contents: list[bytes] = field(default_factory=lambda: [b""])
    dates: list[int] = field(default_factory=list)  # microseconds

    def variants(self) -> list[bytes]:
        """Return every content that it may have after a cut, the certain one first, the whole last.

        A part of the writes; lengthened by zeros; cut in half; its end something else; of its first blocks,
        or its last, nothing.
        """
        certain, whole = self.contents[0], self.contents[-1]
        if len(self.contents) == 1:
            return [whole]
        start = _common(certain, whole)
        half = start + (len(whole) - start) // 2
        behind = len(whole) - half
        zeros = [
            whole[:start] + bytes(len(whole) - start),
            whole[:start] + bytes(half - start) + whole[half:],
        ]
        other = [whole[:half] + _garbage(behind), whole[:half]]
        blocks = [whole[:at] + bytes(_BLOCK) + whole[at + _BLOCK :] for at in _block_starts(start, whole)]
        found = [*self.contents[:-1], *zeros, *other, *blocks, whole]
        return list(dict.fromkeys(found))


_BLOCK = 4096


def _common(one: bytes, other: bytes) -> int:
    """Return how long both begin alike."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length
    return next(at for at in range(length) if one[at] != other[at])


def _garbage(length: int) -> bytes:
    """Return bytes that are neither text nor zeros, line ends among them."""
    return (b"\xfe\x01\n}\x80" * (length // 5 + 1))[:length]


def _block_starts(start: int, whole: bytes) -> Iterator[int]:
    """Yield where whole blocks of the uncertain part lie."""
    yield from range(start + -start % _BLOCK, len(whole) - _BLOCK, _BLOCK)


@dataclass(frozen=True)
class Version:
    """What an entry names, or None, since which step; `moved` is the entry that must hold the file then."""

    node: int | None
    step: int = 0
    moved: tuple[int, str] | None = None


Slot = tuple[int, str]


@dataclass
class Disk:
    """Files and directories, and what of them is certain; built by applying steps."""

    files: dict[int, File] = field(default_factory=dict)
    folders: dict[int, dict[str, list[Version]]] = field(default_factory=lambda: {ROOT: {}})
    places: dict[int, tuple[int, str]] = field(default_factory=dict)  # the entry of each directory
    steps: int = 0

    def apply(self, step: Step) -> None:
        """Take in the next step."""
        self.steps += 1
        match step:
            case Made(node, is_folder, moment):
                if is_folder:
                    self.folders[node] = {}
                else:
                    self.files[node] = File(dates=[moment])
            case Named(folder, name, node):
                self.places[node] = folder, name
                self._put(folder, name, Version(node, self.steps))
            case Unnamed(folder, name):
                self._put(folder, name, Version(None, self.steps))
            case Renamed(folder, name, to_folder, to_name):
                self._put(to_folder, to_name, Version(self.node(folder, name), self.steps))
                self._put(folder, name, Version(None, self.steps, (to_folder, to_name)))
            case Synced(node):
                self._sync(node)
            case _:
                self._change(step)

    def _change(self, step: Written | Cut | Dated) -> None:
        file = self.files[step.node]
        now = file.contents[-1]
        match step:
            case Written(_, offset, data, moment):
                file.dates.append(moment)
                now = now.ljust(offset, b"\0")
                file.contents.append(now[:offset] + data + now[offset + len(data) :])
            case Cut(_, size):
                file.contents.append(now[:size].ljust(size, b"\0"))
            case Dated(_, moment):
                file.dates.append(moment)

    def _put(self, folder: int, name: str, version: Version) -> None:
        self.folders[folder].setdefault(name, [Version(None)]).append(version)

    def _sync(self, node: int) -> None:
        if node in self.files:
            self.files[node].contents[:-1] = []
            self.files[node].dates[:-1] = []
            return
        entries = self.folders[node]
        for name, versions in list(entries.items()):
            last = versions[-1]
            entries[name] = [last]
            if last.moved is not None:  # the other half of the same step
                folder, to_name = last.moved
                there = self.folders[folder].get(to_name, [])
                there[:] = [version for version in there if version.step >= last.step] or there[-1:]
            if last.node is None:
                del entries[name]

    def node(self, folder: int, name: str) -> int | None:
        """Return what an entry names now."""
        versions = self.folders[folder].get(name)
        return versions[-1].node if versions else None

    def resolve(self, path: str) -> tuple[int, str, int | None]:
        """Return the directory of a path relative to the root, the name in it, and what it names now."""
        *above, name = PurePosixPath(path).parts
        folder = ROOT
        for part in above:
            found = self.node(folder, part)
            if found is None:
                raise FileNotFoundError(path)
            folder = found
        return folder, name, self.node(folder, name)

    def slots(self) -> dict[Slot, list[Version]]:
        """Return the entries of which it is not certain what they name."""
        return {
            (folder, name): versions
            for folder, entries in self.folders.items()
            for name, versions in entries.items()
            if len(versions) > 1
        }

    def uncertain(self) -> list[int]:
        """Return the files of which the bytes are not certain."""
        return [node for node, file in self.files.items() if len(set(file.contents)) > 1]


class Image:
    """One tree that a medium may hold after a cut.

    Parameters:
        disk: what was done.
        slots: the version that an entry names, of those that `Disk.slots` gives.
        contents: the bytes of a file, of those that `File.variants` gives.
        old_dates: whether files have the times that are certain, not their last.

    What is not mentioned is as it was last.
    """

    def __init__(
        self,
        disk: Disk,
        slots: Mapping[Slot, int] = MappingProxyType({}),
        contents: Mapping[int, bytes] = MappingProxyType({}),
        *,
        old_dates: bool = False,
    ) -> None:
        self._disk, self._slots, self._contents = disk, slots, contents
        self._date = 0 if old_dates else -1
        self.folders: list[str] = []
        self.files: dict[str, tuple[bytes, int]] = {}
        self._walk(ROOT, "")

    def _walk(self, folder: int, path: str) -> None:
        for name in self._disk.folders[folder]:
            node = self._named(folder, name)
            place = f"{path}{name}"
            if node in self._disk.folders:
                self.folders.append(place)
                self._walk(node, place + "/")
            elif node is not None:
                file = self._disk.files[node]
                content = self._contents.get(node, file.contents[-1])
                self.files[place] = (content, file.dates[self._date])

    def _named(self, folder: int, name: str) -> int | None:
        versions = self._disk.folders[folder][name]
        at = self._chosen(folder, name)
        while versions[at].moved is not None and not self._has_arrived(versions[at]) and at > 0:
            at -= 1
        return versions[at].node

    def _has_arrived(self, version: Version) -> bool:
        assert version.moved is not None
        folder, name = version.moved
        target = self._disk.folders[folder].get(name)
        arrived = target is None or target[self._chosen(folder, name)].step >= version.step
        return arrived and self._was_reachable(folder, version.step)

    def _was_reachable(self, folder: int, step: int) -> bool:
        """Tell whether a directory is there, or has gone again after this step."""
        if folder == ROOT:
            return True
        above, name = self._disk.places[folder]
        if name not in self._disk.folders[above]:
            return True
        entry = self._disk.folders[above][name][self._chosen(above, name)]
        return entry.step > step or (entry.node == folder and self._was_reachable(above, step))

    def _chosen(self, folder: int, name: str) -> int:
        return self._slots.get((folder, name), len(self._disk.folders[folder][name]) - 1)

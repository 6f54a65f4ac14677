"""Reads a segment: by id with one seek, by instants and kinds without touching the members outside."""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Iterator, Sequence
from zlib import crc32

import orjson

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Problem
from moai_patterns.backends.filesystem import codec
from moai_patterns.backends.filesystem.names import digest
from moai_patterns.backends.filesystem.segment_check import check, digest_of, read_at, read_from, rebuild
from moai_patterns.backends.filesystem.segment_writer import DATA, INDEX, SegmentFacts
from moai_patterns.backends.filesystem.sideindex import SLOTS, NoIndexError, Read, SideIndex
from moai_patterns.errors import DamageError, StoreError
from moai_patterns.query import Record


class Segment:
    """The two files of a segment, opened at first use; any number of threads may read at once.

    What is open stays readable when the files are removed. `close` gives the descriptor back (to
    iterators under way when they end); the next use opens the files again. A missing or damaged side
    index is rebuilt in memory. Raises `DamageError` naming file, member and offset for a member that
    is damaged, while all others stay readable; its `errno` is `ENOENT` when the data file is missing.
    Other faults of the medium are a `StoreError`.

    Parameters:
        stem_path: the path of its files without their suffixes.
        facts: what `write_segment` returned.

    >>> import tempfile
    >>> from moai_patterns.backends.filesystem.segment_writer import write_segment
    >>> record = {"pattern_id": "a", "pattern_type": "agent_usage", "data": {}}
    >>> record["_meta"] = {"instant": 0, "revision": 1, "seq": 1}
    >>> with tempfile.TemporaryDirectory() as place:
    ...     segment = Segment(place + "/s", write_segment(place + "/s", [record]))
    ...     segment.find("a") == list(segment.scan(since=0)) == [record]
    True
    """

    def __init__(self, stem_path: str, facts: SegmentFacts) -> None:
        self.path = stem_path
        self.facts = facts
        self._opened: list[_Files] = []

    def find(self, pattern_id: str) -> list[Record]:
        """Return all revisions of an id that this segment holds, oldest first."""
        files = self._files()
        found: list[Record] = []
        members: dict[int, bytes] = {}
        for number, slot in files.places(digest(pattern_id)):
            if number not in members:
                members[number] = files.decoded(number)
            record = files.record(number, _line(members[number], slot))
            if record["pattern_id"] == pattern_id:
                found.append(record)
        if not found and files.lost:
            raise DamageError(files.lost)
        return sorted(found, key=_revision)

    def hashed(self, hashed: int) -> list[Record]:
        """Return the records of all ids with this hash."""
        files = self._files()
        return [
            files.record(number, _line(files.decoded(number), slot)) for number, slot in files.places(hashed)
        ]

    def may_hold(self, hashed: int) -> bool:
        """Tell by the side index alone whether an id with this hash may be in here: damage may hide it."""
        files = self._files()
        return bool(files.lost) or bool(files.places(hashed))

    def holds(self, hashed: int) -> bool:
        """Tell by the side index alone whether an id with this hash is in here, whatever damage hides."""
        return bool(self._files().places(hashed))

    def hashes(self) -> array[int]:
        """Return the hashes that `holds` is true of, ascending, eight bytes each."""
        return self._files().hashes()

    def scan(
        self,
        since: int | None = None,
        until: int | None = None,
        kinds: Sequence[str] | None = None,
        *,
        reverse: bool = False,
    ) -> Iterator[Record]:
        """Yield the records between two instants (UTC microseconds, inclusive) and of some kinds.

        They come in the order of instant, id and revision, or in its reverse; one member is held at a
        time. Of other kinds some may come with them; none lies outside the bounds.
        """
        for _, record in self.placed(since, until, kinds, reverse=reverse):
            yield record

    def placed(
        self,
        since: int | None = None,
        until: int | None = None,
        kinds: Sequence[str] | None = None,
        *,
        reverse: bool = False,
    ) -> Iterator[tuple[int, Record]]:
        """Yield what `scan` does, each record with its place: member * 128 + slot."""
        files = self._files()
        if files.lost and not files.local:
            raise DamageError(files.lost)
        marks = None if kinds is None else [b'"pattern_type":' + orjson.dumps(kind) for kind in kinds]
        step = -1 if reverse else 1
        for number in files.index.spanning(since, until, kinds)[::step]:
            first, last = files.index.bounds(number)
            edge = (since is not None and first < since) or (until is not None and last > until)
            for slot, line in list(enumerate(files.lines(number)))[::step]:
                # Parsing is what costs; looking for a few bytes first is an eighth of it.
                if marks is not None and not any(mark in line for mark in marks):
                    continue
                record = files.record(number, line)
                if edge and not _within(record["_meta"]["instant"], since, until):
                    continue
                yield number * SLOTS + slot, record

    def lines(self, number: int) -> list[bytes]:
        """Return the lines of a member. Raises `DamageError`."""
        return self._files().lines(number)

    def record(self, number: int, line: bytes) -> Record:
        """Return the record of a line of a member. Raises `DamageError`."""
        return self._files().record(number, line)

    def check(self, *, read_data: bool) -> list[Problem]:
        """Return what is wrong with the files that have the names now; changes nothing."""
        return check(self.path, self.facts, read_data=read_data)

    def close(self) -> None:
        """Give up the open files; a second call does nothing."""
        self._opened = []

    def _files(self) -> _Files:
        opened = self._opened
        if not opened:
            # Two threads may both open; no lock, because a fork could leave it held for ever.
            opened = [_Files(self.path, self.facts)]
            self._opened = opened
        return opened[0]


class _Files:
    """An open segment; the descriptor goes with the last one who reads."""

    def __init__(self, stem_path: str, facts: SegmentFacts) -> None:
        self._descriptor = -1
        self._facts = facts
        self.path = stem_path + DATA
        self.lost = ""  # what is wrong when there is no index to say which records are missing
        self.local = True  # and whether only the members next to the damage are touched by it
        try:
            self._descriptor = fileops.open_read(self.path)
            self.read = read_at(self._descriptor)
            self.index = self._load(stem_path + INDEX) or self._rebuild()
        except OSError as error:
            raise self._fault(error) from error

    def places(self, hashed: int) -> list[tuple[int, int]]:
        """Return member and slot of every record whose id has this hash."""
        try:
            return self.index.places(hashed)
        except (NoIndexError, OSError):
            self._index_anew()
            return self.index.places(hashed)

    def _index_anew(self) -> None:
        """Do without an index file that was damaged, or removed, after its head was read."""
        try:
            self.index = self._rebuild()
        except OSError as error:
            raise self._fault(error) from error

    def hashes(self) -> array[int]:
        """Return the hashes of all ids, ascending."""
        try:
            return array("Q", self.index.hashes())
        except (NoIndexError, OSError):
            self._index_anew()
            return array("Q", self.index.hashes())

    def lines(self, number: int) -> list[bytes]:
        """Return the lines of a member. Raises `DamageError`."""
        lines = self.decoded(number).split(b"\n")
        lines.pop()
        return lines

    def decoded(self, number: int) -> bytes:
        """Return what a member holds. Raises `DamageError`."""
        member = self.index.member(number)
        if not member.records:
            raise DamageError(self.lost)
        try:
            stored = self.read(member.offset, member.stored)
        except OSError as error:
            raise self._fault(error) from error
        if len(stored) < member.stored:
            raise self._damage(number, "the file ends inside it")
        if crc32(stored) != member.crc:
            raise self._damage(number, "its stored bytes are not the ones that were written")
        try:
            raw = codec.decompress(stored, member.decoded)
        except codec.CodecError as error:
            raise self._damage(number, str(error)) from None
        count = raw.count(b"\n")
        if count != member.records or not raw.endswith(b"\n"):
            raise self._damage(number, f"it holds {count} records, not {member.records}")
        return raw

    def record(self, number: int, line: bytes) -> Record:
        """Return the record of a line. Raises `DamageError`."""
        try:
            record: Record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise self._damage(number, f"a line of it is no JSON: {error}") from None
        return record

    def _load(self, path: str) -> SideIndex | None:
        try:
            index = SideIndex(_by_name(path), os.stat(path).st_size)
        except OSError as error:
            if error.errno == errno.ENOENT and not os.path.exists(self.path):
                raise  # the whole segment was removed meanwhile
            return None
        except NoIndexError:
            return None
        facts = self._facts
        if (index.data_sha256.hex(), index.count) != (facts.data_sha256, facts.count):
            return None
        return index

    def _rebuild(self) -> SideIndex:
        """Index the data in memory: the side index is a cache, and nothing is lost with it."""
        facts = self._facts
        size = os.fstat(self._descriptor).st_size
        sha = digest_of(self.read, size)
        found = rebuild(self.read, size, trusted=sha == facts.data_sha256)
        index = found.tally.index
        if found.damage or index.count != facts.count:
            places = "".join(f"; byte {at}: {reason}" for at, reason in found.damage)
            self.lost = (
                f"{self.path}: {index.count} of {facts.count} records are readable, and the side index "
                f"that says which were there is gone{places}"
            )
            self.local = found.local
        data = b"".join(index.chunks(bytes.fromhex(sha), size))
        return SideIndex(read_from(data), len(data))

    def _damage(self, number: int, reason: str) -> DamageError:
        offset = self.index.member(number).offset
        return DamageError(f"{self.path}, member {number} at byte {offset}: {reason}")

    def _fault(self, error: OSError) -> StoreError:
        if isinstance(error, StoreError):
            return error
        if error.errno == errno.ENOENT:
            return DamageError(errno.ENOENT, "the data file of a segment is missing", self.path)
        kind = DamageError if error.errno == errno.EIO else StoreError
        return kind(error.errno, f"a segment cannot be read: {error.strerror}", self.path)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


def _by_name(path: str) -> Read:
    """Return a function that opens a file for each read: what is removed and open would take up its inode.

    Read, not mapped: whoever touches a page of a map that somebody has cut off is killed.
    """

    def read(offset: int, length: int) -> bytes:
        descriptor = fileops.open_read(path)
        try:
            return fileops.read_at(descriptor, length, offset)
        finally:
            os.close(descriptor)

    return read


def _line(raw: bytes, slot: int) -> bytes:
    """Return one line; to cut all of them apart took a third of a load by id."""
    start = 0
    for _ in range(slot):
        start = raw.index(b"\n", start) + 1
    return raw[start : raw.index(b"\n", start)]


def _within(moment: int, since: int | None, until: int | None) -> bool:
    return (since is None or since <= moment) and (until is None or moment <= until)


def _revision(record: Record) -> int:
    return int(record["_meta"]["revision"])

"""The side index of a segment: which ids it holds and where, and what each member spans.

One file, little endian. The head is read when the file is opened: in columns per member offset, first
and last instant, kinds, stored and decoded length, count and CRC-32; per block its first hash and its
CRC-32; the names of the kinds; a CRC-32 over all of that. The blocks follow: the ids as sorted 64-bit
hashes, 128 to a block, with the member and slot of each. They stay on the disk, so that an open segment
costs half a byte a record: a lookup bisects the head and reads one block (two when its hash begins one).
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

import orjson

from moai_patterns.backends.filesystem.names import digest
from moai_patterns.query import Record

SLOTS = 128  # records in a member, at most
OTHERS = 63  # the bit of all kinds beyond the first 63
Read = Callable[[int, int], bytes]  # offset, length -> the bytes there, fewer at the end of the file
_MAGIC = b"moaiidx\x02"
_HEADER = struct.Struct(
    "<8sII32sQQII"
)  # magic, crc, size of kinds, sha of the data, size of it, records, members, gaps
_CHECKED_FROM = 12  # the checksum of the head covers what follows it
_MEMBER = 48  # bytes in the head
_BLOCK = 12
_ENTRY = 12
_ENTRIES = 128  # to a block: 1.5 KB, read and checked in 2 us
_FIRST_READ = 1 << 12  # all of the head up to nine thousand records
_PARTS = 256
_PIECE = 1 << 18  # written at once: the columns of a small segment are too short for a system call each


class NoIndexError(Exception):
    """These bytes are no index, or not the one that belongs to the data; translated by the reader."""


class Member(NamedTuple):
    """Where a member lies and what it must decode to."""

    number: int
    offset: int
    stored: int
    decoded: int
    records: int
    crc: int


class SideIndex:
    """An index over a file that stays as it is. Every method that reads blocks raises `NoIndexError`, too.

    Parameters:
        read: returns the bytes at an offset, fewer at the end of the file.
        size: of the file, in bytes.

    Raises `NoIndexError`, and what `read` raises.
    """

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        head = read(0, min(size, _FIRST_READ))
        if len(head) < _HEADER.size or head[:8] != _MAGIC:
            raise NoIndexError("it does not begin as a side index of version 2 does")
        _, crc, names, self.data_sha256, self.data_bytes, self.count, self.members, self.gaps = (
            _HEADER.unpack(head[: _HEADER.size])
        )
        self._blocks = -(-self.count // _ENTRIES)
        self._start = _HEADER.size + _MEMBER * self.members + _BLOCK * self._blocks + names
        expected = self._start + _ENTRY * self.count
        if size != expected:
            raise NoIndexError(f"it has {size} bytes, and its header speaks of {expected}")
        head += read(len(head), max(0, self._start - len(head)))
        view = memoryview(head)[: self._start]
        if crc32(view[_CHECKED_FROM:]) != crc:
            raise NoIndexError("its checksum does not fit its bytes")
        self._cut(view)
        self.kinds: list[str] = orjson.loads(view[self._start - names :])

    def _cut(self, view: memoryview) -> None:
        start = _HEADER.size

        def column(letter: str, length: int) -> Sequence[int]:
            nonlocal start
            end = start + length * array(letter).itemsize
            found = _numbers(view[start:end], letter)
            start = end
            return found

        members = self.members
        self._offsets, self._firsts = column("Q", members), column("q", members)
        self._lasts, self._masks = column("q", members), column("Q", members)
        self._block_firsts = column("Q", self._blocks)
        self._stored, self._decoded = column("I", members), column("I", members)
        self._counts, self._crcs = column("I", members), column("I", members)
        self._block_crcs = column("I", self._blocks)

    def _block(self, number: int) -> tuple[Sequence[int], Sequence[int]]:
        """Return hashes and positions of a block."""
        length = min(_ENTRIES, self.count - number * _ENTRIES)
        data = self._read(self._start + number * _ENTRIES * _ENTRY, length * _ENTRY)
        if crc32(data) != self._block_crcs[number]:
            raise NoIndexError(f"the checksum of block {number} does not fit its bytes")
        view = memoryview(data)
        return _numbers(view[: length * 8], "Q"), _numbers(view[length * 8 :], "I")

    def member(self, number: int) -> Member:
        """Return one member by its number, from 0."""
        return Member(
            number,
            self._offsets[number],
            self._stored[number],
            self._decoded[number],
            self._counts[number],
            self._crcs[number],
        )

    def places(self, hashed: int) -> list[tuple[int, int]]:
        """Return member and slot of every record whose id has this hash."""
        found = []
        number = max(0, bisect_left(self._block_firsts, hashed) - 1)
        while number < self._blocks and self._block_firsts[number] <= hashed:
            hashes, positions = self._block(number)
            low, high = bisect_left(hashes, hashed), bisect_right(hashes, hashed)
            found += [divmod(position, SLOTS) for position in positions[low:high]]
            number += 1
        return found

    def spanning(self, since: int | None, until: int | None, kinds: Sequence[str] | None) -> list[int]:
        """Return the members that may hold records between two instants, of any of these kinds."""
        low = 0 if since is None else bisect_left(self._lasts, since)
        high = self.members if until is None else bisect_right(self._firsts, until)
        if kinds is None:
            return list(range(low, high))
        wanted = self._mask(kinds)
        return [number for number in range(low, high) if self._masks[number] & wanted]

    def bounds(self, number: int) -> tuple[int, int]:
        """Return the first and the last instant of a member."""
        return self._firsts[number], self._lasts[number]

    def hashes(self) -> Iterator[int]:
        """Yield the hash of the id of every record, in ascending order."""
        for number in range(self._blocks):
            yield from self._block(number)[0]

    def stored(self) -> set[tuple[int, int]]:
        """Return stored length and CRC-32 of every member."""
        return set(zip(self._stored, self._crcs, strict=True))

    def longest(self) -> int:
        """Return how much the largest member decodes to."""
        return max(self._decoded, default=0)

    def _mask(self, kinds: Sequence[str]) -> int:
        mask = 0
        for kind in kinds:
            mask |= 1 << (self.kinds.index(kind) if kind in self.kinds else OTHERS)
        return mask


class IndexBuilder:
    """Collects what a side index says, member by member; 12 bytes a record until it is written."""

    def __init__(self) -> None:
        self._columns = [array(letter) for letter in "QqqQIIII"]
        # One pair of arrays per first byte: each is sorted by itself, so that a million ids never become
        # a list of Python objects (which took ten times the memory).
        self._hashes = [array("Q") for _ in range(_PARTS)]
        self._positions = [array("I") for _ in range(_PARTS)]
        self._bits: dict[str, int] = {}
        self.count = 0
        self.gaps = 0

    def add(self, records: Sequence[Record], offset: int, stored: bytes, decoded: int) -> None:
        """Take in the records of the next member, in their order, and the bytes that hold them."""
        position = len(self._columns[0]) * SLOTS
        hashes, positions = self._hashes, self._positions
        for record in records:
            hashed = digest(record["pattern_id"])
            hashes[hashed >> 56].append(hashed)
            positions[hashed >> 56].append(position)
            position += 1
        mask = 0
        for kind in dict.fromkeys([record["pattern_type"] for record in records]):
            mask |= 1 << self._bits.setdefault(kind, min(len(self._bits), OTHERS))
        first = records[0]["_meta"]["instant"]
        last = records[-1]["_meta"]["instant"]
        row = (offset, first, last, mask, len(stored), decoded, len(records), crc32(stored))
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)
        self.count += len(records)

    def add_gap(self, offset: int, length: int, first: int, last: int) -> None:
        """Take in a stretch of damaged bytes: a member that may hold anything and reads as damage."""
        row = (offset, first, last, (1 << 64) - 1, min(length, (1 << 32) - 1), 0, 0, 0)
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)
        self.gaps += 1

    def chunks(self, data_sha256: bytes, data_bytes: int) -> Iterator[bytes]:
        """Yield the bytes of the index in pieces, once."""
        hashes, positions = array("Q"), array("I")
        for part in range(_PARTS):
            if len(self._hashes[part]) > 1:
                self._sort(part)
            hashes += self._hashes[part]
            positions += self._positions[part]
            self._hashes[part], self._positions[part] = array("Q"), array("I")  # never all of them twice
        starts = range(0, len(hashes), _ENTRIES)

        def block(start: int) -> bytes:
            end = start + _ENTRIES
            return _native(hashes[start:end]).tobytes() + _native(positions[start:end]).tobytes()

        firsts, crcs = array("Q", hashes[::_ENTRIES]), array("I", [crc32(block(start)) for start in starts])
        columns = [*self._columns[:4], firsts, *self._columns[4:], crcs]
        names = orjson.dumps([kind for kind, bit in self._bits.items() if bit < OTHERS])
        header = _HEADER.pack(
            _MAGIC, 0, len(names), data_sha256, data_bytes, self.count, len(self._columns[0]), self.gaps
        )
        head = b"".join([header[_CHECKED_FROM:], *[_native(column).tobytes() for column in columns], names])
        pending = bytearray(header[:8] + struct.pack("<I", crc32(head)) + head)
        for start in starts:
            pending += block(start)
            if len(pending) >= _PIECE:
                yield bytes(pending)
                pending.clear()
        yield bytes(pending)

    def _sort(self, part: int) -> None:
        pairs = sorted(zip(self._hashes[part], self._positions[part], strict=True))
        self._hashes[part] = array("Q", [hashed for hashed, _ in pairs])
        self._positions[part] = array("I", [position for _, position in pairs])


def _numbers(view: memoryview, letter: str) -> Sequence[int]:
    found = view.cast(letter)  # type: ignore[call-overload]
    return _native(array(letter, found)) if sys.byteorder == "big" else found


def _native(column: array[int]) -> array[int]:
    """Swap a column between the machine's byte order and little endian; on most machines nothing."""
    if sys.byteorder == "big":
        column.byteswap()
    return column

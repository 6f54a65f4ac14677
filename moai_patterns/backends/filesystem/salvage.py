"""What is whole in a damaged file of a tree: what its own checksum, or its member's, vouches for."""

from __future__ import annotations

import errno
import os
import re
from array import array
from binascii import a2b_base64
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import orjson

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem import journal
from moai_patterns.backends.filesystem.names import digest
from moai_patterns.backends.filesystem.sealed import open_file, open_line
from moai_patterns.backends.filesystem.segment_check import UNTRUSTED, Piece, parse, read_at, read_from, walk
from moai_patterns.backends.filesystem.segment_writer import DATA, INDEX, key
from moai_patterns.backends.filesystem.sideindex import NoIndexError, Read, SideIndex
from moai_patterns.instant import DAY
from moai_patterns.query import Key, Record

if TYPE_CHECKING:
    from moai_patterns.backends.filesystem.journal import Gone

_LINE_END = re.compile(rb',"crc32":\d+\}\}')
_FILE_END = re.compile(rb',\n    "crc32": \d+\n  \}\n\}\n')
_HEADER_END = re.compile(rb',"crc32":\d+\}')
_END = b'{"end":'
_PACKED = "L" if array("L").itemsize == 4 else "I"

# What the system says of a name behind which there is no regular file.
NO_FILE = (errno.ENOENT, errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.ENXIO)


class JournalRest(NamedTuple):
    """What is whole in a journal.

    `records` with their arrival numbers in `_meta`; `removals`, None when the header is not whole; how many
    records are `lost`, and the `hashes` of their ids where the end line tells.
    """

    records: list[Record]
    removals: list[Gone] | None
    lost: int
    hashes: list[int]


def journal_rest(path: str) -> JournalRest:
    """Read what is whole in a damaged journal. Raises `OSError`."""
    data = fileops.read(path)
    first = int(os.path.basename(path).partition(".")[0])
    positions, hashes = _columns(data)
    records, lost, number, offset = [], 0, 1, 0
    for piece in data.split(b"\n"):
        found = list(_whole_lines(piece))
        for start, record in found:
            at = positions.get(offset + start)
            record["_meta"].setdefault("seq", first + (number if at is None else at + 1))
            records.append(record)
            if at is not None:
                hashes[at] = -1
            number += 1
        if not found and offset and piece and not piece.startswith(_END):
            number += 1
            lost += 1
        offset += len(piece) + 1
    left = [hashed for hashed in hashes if hashed >= 0]
    return JournalRest(records, _removals(data), len(left) if positions else lost, left)


def _columns(data: bytes) -> tuple[dict[int, int], list[int]]:
    """Return the position of each line by its offset, and the hash of each, by the end line; or nothing.

    Nothing vouches for the end line of a damaged journal, so it is used for numbering and names only.
    """
    at = data.rfind(b"\n", 0, len(data) - 1) + 1
    lengths, hashes = array(_PACKED), array("Q")
    try:
        end = orjson.loads(data[at:])
        lengths.frombytes(a2b_base64(end["lengths"]))
        hashes.frombytes(a2b_base64(end["hashes"]))
    except (ValueError, KeyError, TypeError):
        return {}, []
    offset = at - sum(lengths) - len(lengths)
    if offset <= 0 or len(lengths) != len(hashes):
        return {}, []
    positions = {}
    for position, length in enumerate(lengths):
        positions[offset] = position
        offset += length + 1
    return positions, hashes.tolist()


def _whole_lines(piece: bytes) -> Iterator[tuple[int, Record]]:
    """Yield where in a stretch between two line ends a whole record begins, and the record.

    More than one, when it is the line end between them that is damaged.
    """
    start = 0
    for match in _LINE_END.finditer(piece):
        begins = [start]
        if start == 0 and (header := _HEADER_END.search(piece)):
            begins.append(header.end() + 1)
        for begin in begins:
            try:
                record = open_line(piece[begin : match.end()], orjson.loads)
            except (ValueError, KeyError, TypeError):
                continue
            if is_record(record):
                yield begin, record
                start = match.end() + 1
                break


def _removals(data: bytes) -> list[Gone] | None:
    try:
        return journal.removals(data.partition(b"\n")[0], orjson.loads)
    except ValueError:
        return None


class HotRest(NamedTuple):
    """The record that is whole in a hot file, the bytes that hold it, and its arrival number."""

    record: Record
    data: bytes
    arrived: int


def hot_rest(path: str) -> HotRest | None:
    """Read what is whole in a hot file; None when nothing is. Raises `OSError`."""
    raw, arrived = fileops.read_dated(path)
    for match in _FILE_END.finditer(raw):
        try:
            record = open_file(raw[: match.end()], orjson.loads)
        except (ValueError, KeyError, TypeError):
            continue
        if is_record(record):
            return HotRest(record, raw[: match.end()], arrived)
    return None


def is_record(record: object) -> bool:
    """Tell whether a value has what every stored record has."""
    if not isinstance(record, dict) or not isinstance(record.get("_meta"), dict):
        return False
    numbers = (record["_meta"].get("instant"), record["_meta"].get("revision"))
    texts = (record.get("pattern_id"), record.get("pattern_type"), record.get("timestamp"))
    return all(type(n) is int for n in numbers) and all(type(text) is str for text in texts)


class SegmentRest:
    """What is whole in the files of a segment.

    Parameters:
        stem_path: the path of its files without their suffixes.
        day: the UTC day of all its records.
        index_sha256: of the side index that was written for these data; any that is sound when omitted.

    Raises `OSError` for a medium that refuses; a missing file is one with nothing in it. Attributes:
    `count`, how many records are whole; `expected`, how many there were by the side index, None without;
    `is_whole`, whether the data file is one that could have been written.
    """

    def __init__(self, stem_path: str, day: int, index_sha256: str = "") -> None:
        self.path = stem_path + DATA
        self.day = day
        self._index = _index(stem_path + INDEX, index_sha256)
        self.expected = None if self._index is None else self._index.count
        self.count = 0
        self.is_whole = False
        self._members: list[tuple[Key, Key, int, int]] = []  # first and last key, offset, stored bytes
        self._kept: Counter[int] = Counter()
        try:
            descriptor = fileops.open_read(self.path)
        except OSError as error:
            if error.errno not in NO_FILE:
                raise
            return
        try:
            self._look(read_at(descriptor), os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)

    def records(self) -> Iterator[Record]:
        """Yield the records that are whole, in their order."""
        if not self._members:
            return
        descriptor = fileops.open_read(self.path)
        try:
            read = read_at(descriptor)
            for _, _, offset, stored in self._members:
                yield from parse(next(walk(_within(read, offset, stored), stored, self._limit())).raw)
        finally:
            os.close(descriptor)

    def holds(self, hashed: int) -> bool:
        """Tell whether a record of an id with this hash is whole."""
        return hashed in self._kept

    def lost(self) -> list[int] | None:
        """Return the hashes of the ids whose records are not whole; None where no index tells."""
        if self._index is None:
            return None
        return sorted((Counter(self._index.hashes()) - self._kept).elements())

    def _look(self, read: Read, size: int) -> None:
        vouched = None if self._index is None else self._index.stored()
        whole, ended = True, False
        for piece in walk(read, size, self._limit()):
            records = self._sound(read, piece, vouched)
            if records:
                self._members.append((key(records[0]), key(records[-1]), piece.offset, piece.stored))
            whole = whole and not ended and (bool(records) or not (piece.raw or piece.damage))
            ended = not (piece.raw or piece.damage)
        in_order = self._drop_repeated()
        self.is_whole = whole and ended and in_order and self.expected in (None, self.count)

    def _sound(self, read: Read, piece: Piece, vouched: set[tuple[int, int]] | None) -> list[Record]:
        if piece.damage or not piece.raw:
            return []
        if vouched is not None and (piece.stored, crc32(read(piece.offset, piece.stored))) not in vouched:
            return []
        try:
            records = parse(piece.raw)
        except ValueError:
            return []
        keys = [key(record) for record in records]
        inside = all(record["_meta"]["instant"] // DAY == self.day for record in records)
        return records if inside and keys == sorted(keys) else []

    def _drop_repeated(self) -> bool:
        """Bring the members into their order and take each once; tell whether they stood so."""
        before = list(self._members)
        kept: list[tuple[Key, Key, int, int]] = []
        for member in sorted(before):
            if not kept or member[0] > kept[-1][1]:
                kept.append(member)
        self._members = kept
        for record in self.records():
            self.count += 1
            self._kept[digest(record["pattern_id"])] += 1
        return kept == before

    def _limit(self) -> int:
        return max(UNTRUSTED, 0 if self._index is None else self._index.longest())


def _within(read: Read, offset: int, size: int) -> Read:
    """Return what reads one member as if it were a file."""
    return lambda at, length: read(offset + at, min(length, max(size - at, 0)))


def _index(path: str, digits: str) -> SideIndex | None:
    try:
        data = fileops.read(path)
        if digits and digits != sha256(data).hexdigest():
            return None
        index = SideIndex(read_from(data), len(data))
        list(index.hashes())  # raises where a block is damaged
        return index
    except (OSError, NoIndexError):
        return None

"""Reads a segment's data file member by member, without its side index: to check it or to rebuild one."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import fields
from hashlib import sha256
from typing import NamedTuple

import orjson

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Problem
from moai_patterns.backends.filesystem.segment_writer import DATA, INDEX, SegmentFacts, Tally
from moai_patterns.backends.filesystem.sideindex import SLOTS, NoIndexError, Read, SideIndex
from moai_patterns.query import Record

_GZIP = 31
_BEGIN = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"  # deflate, no name, no time
_CHUNK = 1 << 16
# What a member may decode to while nothing vouches for the bytes: more is taken for a bomb.
UNTRUSTED = 1 << 26
_ANY = 1 << 62
_INT64 = 1 << 63


class Piece(NamedTuple):
    """A stretch of a data file: a member with what it decodes to, or why it does not."""

    offset: int
    stored: int
    raw: bytes
    damage: str = ""


class Rebuilt(NamedTuple):
    """What a pass over a data file found: all about its members, and what is wrong with it.

    `local` says that each damage is a stretch of bytes in its place between the others; otherwise
    members are missing or moved, and nobody knows where between the rest their records belong.
    """

    tally: Tally
    damage: list[tuple[int, str]]  # offset, sentence
    local: bool


def read_at(descriptor: int) -> Read:
    """Return a function that reads a file at given places, from any thread."""
    if hasattr(os, "pread"):
        return lambda offset, length: os.pread(descriptor, length, offset)
    from threading import Lock

    lock = Lock()

    def read(offset: int, length: int) -> bytes:
        with lock:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, length)

    return read


def read_from(data: bytes) -> Read:
    """Return a function that reads bytes as if they were a file."""
    return lambda offset, length: data[offset : offset + length]


def parse(raw: bytes) -> list[Record]:
    """Return the records of a decoded member. Raises `ValueError` with what is wrong with them."""
    lines = raw.split(b"\n")
    if lines.pop() or not 1 <= len(lines) <= SLOTS:
        raise ValueError(f"it holds no 1 to {SLOTS} whole lines")
    records = [orjson.loads(line) for line in lines]
    for slot, record in enumerate(records):
        if not _is_stored(record):
            raise ValueError(f"line {slot + 1} is no stored record")
    return records


def _is_stored(record: object) -> bool:
    if not isinstance(record, dict):
        return False
    meta = record.get("_meta")
    texts = (record.get("pattern_id"), record.get("pattern_type"))
    if not isinstance(meta, dict) or not all(type(text) is str for text in texts):
        return False
    numbers = (meta.get("instant"), meta.get("revision"), meta.get("seq"))
    return all(type(number) is int and -_INT64 <= number < _INT64 for number in numbers)


def walk(read: Read, size: int, limit: int) -> Iterator[Piece]:
    """Yield the members of a data file in their order; after damage it goes on where one begins again."""
    at = 0
    while at < size:
        piece = _member(read, at, limit)
        if piece.damage:
            end = _next(read, at + 1, size, limit)
            piece = piece._replace(stored=end - at)
        yield piece
        at += piece.stored


def _member(read: Read, at: int, limit: int) -> Piece:
    # zlib also where isal is there: what checks a store should not be what wrote it.
    member = zlib.decompressobj(_GZIP)
    parts: list[bytes] = []
    size = taken = 0
    data = b""
    try:
        while not member.eof:
            data = member.unconsumed_tail
            if not data:
                data = read(at + taken, _CHUNK)
                taken += len(data)
            if not data:
                return Piece(at, 0, b"", "the file ends inside it")
            parts.append(member.decompress(data, _CHUNK * 16))
            size += len(parts[-1])
            if size > limit:
                return Piece(at, 0, b"", f"it decodes to more than {limit} bytes")
    except zlib.error as error:
        return Piece(at, 0, b"", f"it is no gzip member: {error}")
    return Piece(at, taken - len(member.unused_data), b"".join(parts))


def _next(read: Read, start: int, size: int, limit: int) -> int:
    """Return where the next intact member begins, or the end of the file."""
    at = start
    while at < size:
        chunk = read(at, _CHUNK + len(_BEGIN))
        found = chunk.find(_BEGIN)
        if found < 0:
            at += _CHUNK
        elif not _member(read, at + found, limit).damage:
            return at + found
        else:
            at += found + 1
    return size


def rebuild(read: Read, size: int, *, trusted: bool) -> Rebuilt:
    """Read a data file once; a damaged stretch becomes a gap in the index.

    `trusted` says that the SHA-256 of the bytes is known to be right.
    """
    tally = Tally()
    damage: list[tuple[int, str]] = []
    gaps: list[Piece] = []
    last, local, ended = -_INT64, True, False
    for piece in walk(read, size, _ANY if trusted else UNTRUSTED):
        records, reason = _records(tally, piece)
        if ended:
            reason = "something follows the end marker"
        elif records:
            _close_gaps(tally, gaps, last, records[0]["_meta"]["instant"])
            tally.add(records, piece.offset, read(piece.offset, piece.stored), len(piece.raw))
            last = records[-1]["_meta"]["instant"]
        if reason:
            damage.append((piece.offset, reason))
            gaps.append(piece)
            local = local and bool(piece.damage)
        ended = ended or not (piece.raw or reason)
    if not ended:
        damage.append((size, "the end marker is missing: the file is cut off"))
        gaps.append(Piece(size, 0, b""))
    _close_gaps(tally, gaps, last, _INT64 - 1)
    return Rebuilt(tally, damage, local and bool(damage))


def _records(tally: Tally, piece: Piece) -> tuple[list[Record], str]:
    """Return the records of a piece, or why it has none; the end marker has neither."""
    if piece.damage or not piece.raw:
        return [], piece.damage
    try:
        records = parse(piece.raw)
        tally.keys(records)
    except ValueError as error:
        return [], str(error)
    return records, ""


def _close_gaps(tally: Tally, gaps: list[Piece], first: int, last: int) -> None:
    for piece in gaps:
        tally.index.add_gap(piece.offset, piece.stored, first, last)
    gaps.clear()


def digest_of(read: Read, size: int) -> str:
    """Return the SHA-256 of the first `size` bytes in hexadecimal digits."""
    found, at = sha256(), 0
    while at < size and (data := read(at, min(1 << 20, size - at))):
        found.update(data)
        at += len(data)
    return found.hexdigest()


def check(stem_path: str, facts: SegmentFacts, *, read_data: bool) -> list[Problem]:
    """Compare the two files of a segment with its facts, without changing anything.

    Looks at sizes and headers, and with `read_data` at every byte: both SHA-256, each member decoded,
    order, counts, the side index against the data, the end marker.
    """
    problems: list[Problem] = []
    index = _check_index(stem_path + INDEX, facts, problems)
    path = stem_path + DATA
    try:
        descriptor = fileops.open_read(path)
    except OSError as error:
        return [*problems, Problem(path, f"it cannot be opened: {error.strerror}", facts.count)]
    try:
        read, size = read_at(descriptor), os.fstat(descriptor).st_size
        if size != facts.data_bytes:
            problems.append(Problem(path, f"it has {size} bytes, not {facts.data_bytes}"))
        if read(0, len(_BEGIN)) != _BEGIN:
            problems.append(Problem(f"{path}, byte 0", "it does not begin as a segment does"))
        if read_data:
            _check_data(read, size, (path, index, facts), problems)
    except OSError as error:
        problems.append(Problem(path, f"it cannot be read: {error.strerror}", facts.count))
    finally:
        os.close(descriptor)
    return problems


def _check_index(path: str, facts: SegmentFacts, problems: list[Problem]) -> bytes:
    """Look at the side index by itself and return its bytes; none when it is of no use."""
    remedy = "; reading makes one in memory, and a compaction that changes this day writes it anew"
    try:
        data = fileops.read(path)
        index = SideIndex(read_from(data), len(data))
    except (OSError, NoIndexError) as error:
        reason = f"it cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
        problems.append(Problem(path, reason + remedy, 0))
        return b""
    if (index.data_sha256.hex(), index.count) != (facts.data_sha256, facts.count):
        problems.append(Problem(path, "it belongs to other data" + remedy, 0))
    elif sha256(data).hexdigest() != facts.index_sha256:
        problems.append(Problem(path, "its SHA-256 is not the recorded one" + remedy, 0))
    else:
        return data
    return b""


def _check_data(
    read: Read, size: int, known: tuple[str, bytes, SegmentFacts], problems: list[Problem]
) -> None:
    path, index, facts = known
    digest = digest_of(read, size)
    trusted = (size, digest) == (facts.data_bytes, facts.data_sha256)
    if not trusted:
        problems.append(Problem(path, "its SHA-256 is not the recorded one"))
    tally, damage, _ = rebuild(read, size, trusted=trusted)
    for at, reason in damage:
        problems.append(Problem(f"{path}, byte {at}", reason))
    lost = facts.count - tally.index.count
    if lost:
        problems.append(Problem(path, f"{tally.index.count} of {facts.count} records are readable", lost))
        return
    made = tally.facts(facts.name, (size, digest), (facts.index_bytes, facts.index_sha256))
    if trusted and made != facts:
        names = [field.name for field in fields(facts)]
        wrong = [name for name in names if getattr(made, name) != getattr(facts, name)]
        problems.append(Problem(path, f"its records do not have the recorded {', '.join(wrong)}"))
    if index and not damage and b"".join(tally.index.chunks(bytes.fromhex(digest), size)) != index:
        problems.append(Problem(path.removesuffix(DATA) + INDEX, "it does not describe the data", 0))

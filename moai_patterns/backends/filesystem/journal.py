"""Journals: batches of more than one new record, published whole by one rename.

`journal/<first seq>.<part>.jsonl` is JSON Lines: a header with the removals and a checksum of its own,
the stored records, and an end line with a packed index of the lines and the CRC-32 of everything before
that number. A session's journal says so in its header and grows line by line; as long as it has no end
line each whole line in it is a batch. The arrival number of a line is its own `_meta.seq`, or else the
first of the file plus its position.
"""

from __future__ import annotations

import os
from array import array
from binascii import a2b_base64, b2a_base64, crc32
from itertools import accumulate

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem.names import digest
from moai_patterns.backends.filesystem.sealed import open_line
from moai_patterns.instant import DAY
from moai_patterns.lightjson import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from moai_patterns.query import Record

    Loads = Callable[[bytes], Any]
    # id, revision of the head that goes, arrival number
    Gone = tuple[str, int, int]

SUFFIX = ".jsonl"
_MARK = b',"crc32":'
_COLUMNS = (("instants", "q"), ("lengths", "L"), ("hashes", "Q"), ("revisions", "L"))
_PACKED = "L" if array("L").itemsize == 4 else "I"


class JournalDamageError(Exception):
    """A file is no journal at all. Translated by the reader."""


def name(seq: int, part: int = 0) -> str:
    """Return the file name of the journal whose first arrival number is `seq`.

    >>> name(1764378000250000)
    '0001764378000250000.0.jsonl'
    """
    return f"{seq:019d}.{part}{SUFFIX}"


def parsed(data: bytes) -> Any:
    """Return the value of a JSON text. Raises `ValueError`, also where it is nested without end."""
    try:
        return loads(data.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None


def header(removals: Sequence[Gone] = ()) -> bytes:
    """Return the first line of a journal."""
    gone = [[identity, revision, seq] for identity, revision, seq in removals]
    return _sealed({"journal": 2, "remove": gone})


def removals(first: bytes, loads: Loads = parsed, *, sealed: bool = False) -> list[Gone]:
    """Return the removals in a header, given without its line end.

    `sealed`: the checksum of the whole file fits, so that a header of version 1, without one, counts.
    Raises `ValueError` when it is not one that was written: a bit more or less could remove another id.

    >>> removals(header([("a", 1, 7)])[:-1])
    [('a', 1, 7)]
    """
    at = first.rfind(_MARK) + len(_MARK)
    known = first == _FIRST_SESSION or (sealed and first.startswith(_FIRST_JOURNAL))
    if not known and first[at:] != b"%d}" % crc32(memoryview(first)[:at]):
        raise ValueError("its checksum does not fit its bytes")
    try:
        found = [(gone[0], gone[1], gone[2]) for gone in loads(first)["remove"]]
        if all(map(_is_removal, found)):
            return found
    except (KeyError, TypeError, IndexError, AttributeError):
        pass
    raise ValueError("its content is no header")


def _sealed(facts: dict[str, Any], crc: int = 0) -> bytes:
    """Return a line with a checksum of what is before it; `crc` is that of the lines before."""
    line = dumps(facts).encode()[:-1] + _MARK
    return b"%b%d}\n" % (line, crc32(line, crc))


# The header of a session's journal, which may lack its end line.
SESSION = _sealed({"session": 2, "remove": []})
# What headers of version 1 are like: journals that were not compacted since may have them.
_FIRST_SESSION = b'{"session":1,"remove":[]}'
_FIRST_JOURNAL = b'{"journal":1,'
SESSIONS = (SESSION, _FIRST_SESSION + b"\n")


class Columns:
    """What an end line says about the records of a journal, collected line by line."""

    def __init__(self) -> None:
        self._columns = {key: array(letter if letter != "L" else _PACKED) for key, letter in _COLUMNS}
        self._seqs = array("q")

    def add(self, record: Record, hashed: int, length: int, seq: int | None = None) -> None:
        """Take in the next line; `seq` where the numbers do not simply follow that of the file."""
        meta = record["_meta"]
        columns = self._columns
        columns["instants"].append(meta["instant"])
        columns["lengths"].append(length)
        columns["hashes"].append(hashed)
        columns["revisions"].append(meta["revision"])
        if seq is not None:
            self._seqs.append(seq)

    def extend(
        self, records: Sequence[Record], hashes: Sequence[int], lengths: Sequence[int], seqs: Sequence[int]
    ) -> None:
        """Take in the next lines; `seqs` may be empty, as for `add`."""
        columns = self._columns
        columns["instants"].extend([record["_meta"]["instant"] for record in records])
        columns["lengths"].extend(lengths)
        columns["hashes"].extend(hashes)
        columns["revisions"].extend([record["_meta"]["revision"] for record in records])
        self._seqs.extend(seqs)

    def end_line(self, crc: int) -> bytes:
        """Return the end line; `crc` is the CRC-32 of everything before it."""
        end: dict[str, Any] = {"end": len(self._columns["lengths"])}
        columns = {**self._columns, "seqs": self._seqs} if self._seqs else self._columns
        for key, column in columns.items():
            end[key] = b2a_base64(column.tobytes(), newline=False).decode()
        return _sealed(end, crc)


def build(
    lines: Sequence[bytes],
    records: Sequence[Record],
    hashes: Sequence[int],
    *,
    removals: Sequence[Gone] = (),
    seqs: Sequence[int] = (),
) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the bytes of a whole journal, and offset and length of each record's line in it.

    `lines` are the encoded records without line ends, `hashes` the digests of their ids; `seqs` their
    arrival numbers, where they do not simply follow that of the file.
    """
    first = header(removals)
    data = b"\n".join((first[:-1], *lines, b""))
    lengths = [len(line) for line in lines]
    offsets = accumulate(lengths, lambda offset, length: offset + length + 1, initial=len(first))
    columns = Columns()
    columns.extend(records, hashes, lengths, seqs)
    return data + columns.end_line(crc32(data)), list(zip(offsets, lengths, strict=False))


class Journal:
    """What a journal says, without its records: one entry per line, in columns.

    Parameters:
        path: the file.
        loads: reads JSON bytes.

    Raises `OSError`, and `JournalDamageError` for a file that is not called like one. Of one that is
    damaged the lines whose own checksums fit count, the header among them.

    Attributes: `removals`, `damage` (what is wrong with it, or nothing), `closed` (it has an end line),
    `size` (bytes that were read), `end` (where the last whole line ends), and one column each of `offsets`,
    `lengths`, `instants`, `hashes`, `revisions`, `seqs`.
    """

    def __init__(self, path: str, loads: Loads = parsed) -> None:
        self.path = path
        self.name = os.path.basename(path)
        data = fileops.read(path)
        first, _, _ = data.partition(b"\n")
        # A record's line ends with the brace of `_meta`, too.
        ended = data.endswith(b"}\n") and not data.endswith(b"}}\n")
        self.closed = ended and data.startswith(b'{"end":', _last_line(data))
        self.damage = "" if self.closed or data.startswith(SESSIONS) else "its end line is missing"
        try:
            start = int(self.name.partition(".")[0])
        except ValueError:
            raise JournalDamageError("its name is not that of a journal") from None
        self._clear()
        if self.closed:
            self._index(data, len(first) + 1, start, loads)
        if self.damage or not self.closed:
            self._clear()
            self._walk(data, len(first) + 1, start, loads)
        self.removals: list[Gone] = []
        try:
            self.removals = removals(first, loads, sealed=self.closed and not self.damage)
        except ValueError:
            self.damage = "line 1: this is not the header of a journal"
        self.size = len(data)
        self.end = data.rfind(b"\n") + 1
        self._by_day: dict[int, array[int]] | None = None

    def _clear(self) -> None:
        self.instants, self.seqs = array("q"), array("q")
        self.offsets, self.hashes = array("Q"), array("Q")
        self.lengths, self.revisions = array(_PACKED), array(_PACKED)

    def by_day(self) -> dict[int, array[int]]:
        """Return the positions of the lines of each UTC day, counted from 1970-01-01."""
        if self._by_day is None:
            days: dict[int, array[int]] = {}
            for position, moment in enumerate(self.instants):
                day = moment // DAY
                if day not in days:
                    days[day] = array(_PACKED)
                days[day].append(position)
            self._by_day = days
        return self._by_day

    def line(self, position: int, read: Callable[[str, int, int], bytes], loads: Loads) -> Record:
        """Return the stored record at a position, its arrival number filled in."""
        raw = read(self.path, self.offsets[position], self.lengths[position])
        record = open_line(raw, loads)
        record["_meta"].setdefault("seq", self.seqs[position])
        return record

    def _index(self, data: bytes, start: int, first: int, loads: Loads) -> None:
        """Take the columns from the end line."""
        at = _last_line(data)
        mark = data.rfind(_MARK)
        try:
            sound = mark > at and data[mark:] == b"%b%d}\n" % (
                _MARK,
                crc32(memoryview(data)[: mark + len(_MARK)]),
            )
            end = loads(data[at:])
            count = end["end"]
            for key, _ in _COLUMNS:
                getattr(self, key).frombytes(a2b_base64(end[key]))
            if count != len(self.lengths):  # before so many numbers are made
                raise ValueError("another number of lines")
            if "seqs" in end:
                self.seqs.frombytes(a2b_base64(end["seqs"]))
            else:
                self.seqs.extend(range(first + 1, first + 1 + count))
        except (ValueError, KeyError, TypeError):
            self.damage = "the end line cannot be read"
            return
        columns = (self.seqs, *(getattr(self, key) for key, _ in _COLUMNS))
        if not sound or any(len(column) != count for column in columns):
            self.damage = "its checksum does not fit its bytes"
            return
        offset = start
        for length in self.lengths:
            self.offsets.append(offset)
            offset += length + 1

    def _walk(self, data: bytes, start: int, first: int, loads: Loads) -> None:
        """Take the columns from the lines; a line that a kill cut off at the end was never acknowledged."""
        offset, number = start, 1
        while (end := data.find(b"\n", offset)) >= 0:
            number += 1
            found = _facts(data[offset:end], loads)
            if found is not None:
                seq, moment, revision, hashed = found
                self.seqs.append(first + number - 1 if seq is None else seq)
                self.instants.append(moment)
                self.revisions.append(revision)
                self.hashes.append(hashed)
                self.offsets.append(offset)
                self.lengths.append(end - offset)
            elif not data.startswith(b'{"end":', offset):
                self.damage = f"line {number}, byte {offset}: this is no record"
            offset = end + 1


def _is_removal(gone: Gone) -> bool:
    gone[0].encode()
    return type(gone[0]) is str and all(type(number) is int and 0 <= number < 1 << 63 for number in gone[1:])


def _facts(line: bytes, loads: Loads) -> tuple[int | None, int, int, int] | None:
    """Return arrival number (None when the file says it), instant, revision and hash; None for no record."""
    try:
        record = open_line(line, loads)
        meta = record["_meta"]
        return meta.get("seq"), meta["instant"], meta["revision"], digest(record["pattern_id"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _last_line(data: bytes) -> int:
    """Return where the last line begins."""
    return data.rfind(b"\n", 0, len(data) - 1) + 1


def listed(directory: str) -> Iterator[str]:
    """Yield the names of the journals of a tree, the earliest first."""
    try:
        found = os.listdir(directory)
    except FileNotFoundError:
        return
    yield from sorted(entry for entry in found if entry.endswith(SUFFIX))

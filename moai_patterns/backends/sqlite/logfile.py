"""The write-ahead log as a file: whether commits lie in it behind something that is damaged.

SQLite takes whatever follows a wrong checksum for the trace of a power cut, and says nothing of it. So a
flipped bit in a log that a killed process left takes all later commits along. See
https://www.sqlite.org/fileformat2.html#walformat.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array

from moai_patterns.backends import fileops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_MAGIC = (0x377F0682, 0x377F0683)
_HEADER, _FRAME = 32, 24
Sums = tuple[int, int]


def lost_commits(path: str) -> str:
    """Return what is wrong with the log of a database, in words, or nothing; call it while nobody writes.

    A last commit that is damaged cannot be told from one that a power cut has torn. Raises `OSError`.

    >>> lost_commits("no.db")
    ''
    """
    try:
        descriptor = fileops.open_read(path + "-wal")
    except FileNotFoundError:
        return ""
    with open(descriptor, "rb") as file:
        return fault(file)


def fault(file: BinaryIO) -> str:
    """Return what is wrong with an open log, in words, or nothing."""
    header = file.read(_HEADER)
    if os.fstat(file.fileno()).st_size < _HEADER + _FRAME:
        return ""
    magic, _, page = struct.unpack(">3I", header[:12])
    order = "big" if magic & 1 else "little"
    sums = _sums(header[:24], (0, 0), order)
    if magic not in _MAGIC or struct.pack(">2I", *sums) != header[24:]:
        return "its header is damaged: nothing in it counts"
    number, broken = 0, 0
    while len(frame := file.read(_FRAME + page)) == _FRAME + page:
        number += 1
        current = frame[8:16] == header[16:24]  # and not of the round before
        if not broken:
            sums = _sums(frame[_FRAME:], _sums(frame[:8], sums, order), order)
            broken = 0 if current and struct.pack(">2I", *sums) == frame[16:24] else number
        elif current and any(frame[4:8]):
            return f"frame {broken} is damaged: the commits behind it do not count"
    return ""


def _sums(data: bytes, sums: Sums, order: str) -> Sums:
    words = array("I", data)
    if order != sys.byteorder:
        words.byteswap()
    first, second = sums
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = first + even + second & 0xFFFF_FFFF
        second = second + odd + first & 0xFFFF_FFFF
    return first, second

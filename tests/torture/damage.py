"""Every damage that one file can take, numbered: what flips.py goes through."""

from __future__ import annotations

import gzip
import random
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

from torture.small_store import SmallStore, Stored

BLOCK = 512
_FOREIGN = gzip.compress(b'{"pattern_id":"foreign","_meta":{"instant":1,"revision":1,"seq":1}}\n', mtime=0)
Make = Callable[[int], bytes]


class Damage(NamedTuple):
    """One damage: to which file, what it is, and the bytes that are there then."""

    file: str
    what: str
    data: bytes

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def _blocks(data: bytes) -> list[bytes]:
    return [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]


def _kinds(stored: Stored) -> list[tuple[str, int, Make]]:
    """Return the kinds of damage to a file, how many there are of each, and how each is made."""
    data, blocks = stored.data, _blocks(stored.data)
    size, count = len(data), len(blocks)
    tails = (
        *(bytes(1), bytes(BLOCK), random.Random(1).randbytes(1), random.Random(2).randbytes(BLOCK)),
        *(_FOREIGN, data, data[data.rfind(b"\n", 0, -1) + 1 :], b"\n", b"{}\n"),
    )

    def flipped(bit: int) -> bytes:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    def swapped(at: int) -> bytes:
        return b"".join([*blocks[:at], blocks[at + 1], blocks[at], *blocks[at + 2 :]])

    return [
        ("bit {} flipped", size * 8, flipped),
        ("cut to {} bytes", size, lambda at: data[:at]),
        (
            "block {} of zeros",
            count,
            lambda at: b"".join([*blocks[:at], bytes(len(blocks[at])), *blocks[at + 1 :]]),
        ),
        ("block {} swapped with the next", max(count - 1, 0), swapped),
        ("block {} twice", count, lambda at: b"".join([*blocks[: at + 1], *blocks[at:]])),
        ("tail {} appended", len(tails), lambda at: data + tails[at]),
        ("version {} put back", len(stored.older), lambda at: stored.older[at]),
    ]


class Damages:
    """The damages of some files of a store, one after the other.

    Parameters:
        store: the store.
        wanted: tells by its name whether a file is to be damaged.
    """

    def __init__(self, store: SmallStore, wanted: Callable[[str], bool] = lambda name: True) -> None:
        self._kinds = [
            (name, *kind)
            for name in sorted(store.files)
            if wanted(name)
            for kind in _kinds(store.files[name])
        ]
        self._ends = list(accumulate(count for _, _, count, _ in self._kinds))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, number: int) -> Damage:
        at = bisect_right(self._ends, number)
        file, what, count, make = self._kinds[at]
        nth = number - self._ends[at] + count
        return Damage(file, what.format(nth), make(nth))

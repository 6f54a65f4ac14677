"""Writes a segment: the records of one closed day, dense, as gzip members any tool can read.

`<stem>.jsonl.gz` holds one stored record a line, 128 to a gzip member, and one empty member as the end
marker; `<stem>.idx` is its side index.
"""

from __future__ import annotations

import operator
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any, TypeVar

import orjson

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem import codec
from moai_patterns.backends.filesystem.sideindex import SLOTS, IndexBuilder
from moai_patterns.errors import DamageError
from moai_patterns.query import Key, Query, Record

DATA = ".jsonl.gz"
INDEX = ".idx"
# A reader holds one member. Records of a megabyte each get one of their own, so that 128 of them never
# stand in memory together.
_MEMBER_BYTES = 1 << 20
_T = TypeVar("_T", int, str)
# What a segment, and all of a tree, is sorted by.
key = Query(order="oldest").key


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What is known of a segment without opening it; sizes and SHA-256 of its stored bytes.

    Instants are UTC microseconds, ids compare by code points, `seq_*` are arrival numbers.
    """

    name: str
    count: int
    kinds: dict[str, int]
    first: int
    last: int
    first_id: str
    last_id: str
    seq_first: int
    seq_last: int
    data_bytes: int
    index_bytes: int
    data_sha256: str
    index_sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a JSON object."""
        return {name: getattr(self, name) for name in _TYPES}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> SegmentFacts:
        """Return the facts that `to_json` gave. Raises `DamageError` for anything else."""
        if not isinstance(value, dict) or not _are_facts(value):
            raise DamageError(f"these are no facts of a segment: {value!r:.200}")
        return cls(**value)


_TYPES = {
    field.name: {"str": str, "int": int, "dict[str, int]": dict}[str(field.type)]
    for field in fields(SegmentFacts)
}


_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[0-9]+)?")


def _are_facts(value: dict[str, Any]) -> bool:
    if {name: type(found) for name, found in value.items()} != _TYPES:
        return False
    if not _NAME.fullmatch(value["name"]):  # it becomes a part of a path
        return False
    return all(type(kind) is str and type(number) is int for kind, number in value["kinds"].items())


class Tally:
    """Everything that is counted about a segment while its members go by."""

    def __init__(self) -> None:
        self.index = IndexBuilder()
        self._kinds: Counter[str] = Counter()
        self._first = 0
        self._before: list[Key] = []  # the key of the last record so far
        self._ids: list[str] = []  # the smallest and the largest so far
        self._seqs: list[int] = []

    def add(self, records: Sequence[Record], offset: int, stored: bytes, decoded: int) -> None:
        """Take in the next member. Raises `ValueError` when its records are not in order."""
        keys = self.keys(records)
        if not self._before:
            self._first = keys[0][0]
        self._before = keys[-1:]
        self._ids = _ends(self._ids, [identity for _, identity, _ in keys])
        self._seqs = _ends(self._seqs, [record["_meta"]["seq"] for record in records])
        self._kinds.update([record["pattern_type"] for record in records])
        self.index.add(records, offset, stored, decoded)

    def keys(self, records: Sequence[Record]) -> list[Key]:
        """Return what the next records are sorted by. Raises `ValueError` when they are not."""
        keys = [key(record) for record in records]
        joined = self._before + keys
        if not all(map(operator.lt, joined, joined[1:])):
            at = next(at for at in range(1, len(joined)) if joined[at - 1] >= joined[at])
            raise ValueError(f"{joined[at]} comes after {joined[at - 1]}: a segment is sorted")
        return keys

    def facts(self, name: str, data: tuple[int, str], index: tuple[int, str]) -> SegmentFacts:
        """Return the facts; `data` and `index` are size and SHA-256 of the two files."""
        return SegmentFacts(
            name=name,
            count=self.index.count,
            kinds=dict(sorted(self._kinds.items())),
            first=self._first,
            last=self._before[0][0],
            first_id=self._ids[0],
            last_id=self._ids[1],
            seq_first=self._seqs[0],
            seq_last=self._seqs[1],
            data_bytes=data[0],
            index_bytes=index[0],
            data_sha256=data[1],
            index_sha256=index[1],
        )


def _ends(known: list[_T], values: list[_T]) -> list[_T]:
    together = known + values
    return [min(together), max(together)]


def write_segment(stem_path: str, records: Iterable[Record]) -> SegmentFacts:
    """Write `<stem_path>.jsonl.gz` and `<stem_path>.idx`, both synced, and return the facts.

    `records` are stored records (with `_meta`, `seq` included) in the order of instant, id, revision;
    one member of them is held at a time. Syncing the directory is left to the caller. Raises
    `ValueError` for records out of order, twice the same, or none at all, and `OSError` from the
    medium (also when a file of this name exists); what was written is removed then.

    >>> import tempfile
    >>> record = {"pattern_id": "a", "pattern_type": "agent_usage", "data": {}}
    >>> record["_meta"] = {"instant": 0, "revision": 1, "seq": 1}
    >>> with tempfile.TemporaryDirectory() as place:
    ...     facts = write_segment(place + "/19700101.1", [record])
    >>> facts.count, facts.kinds
    (1, {'agent_usage': 1})
    """
    tally = Tally()
    data = _File(stem_path + DATA)
    try:
        for block in _blocks(records):
            raw = b"".join([line for _, line in block])
            stored = codec.compress(raw)
            tally.add([record for record, _ in block], data.size, stored, len(raw))
            data.write(stored)
        if not tally.index.count:
            raise ValueError("a segment holds at least one record")
        data.write(codec.compress(b""))
        data.finish()
        index = _File(stem_path + INDEX)
        try:
            for chunk in tally.index.chunks(data.digest.digest(), data.size):
                index.write(chunk)
            index.finish()
        except BaseException:
            index.discard()
            raise
    except BaseException:
        data.discard()
        raise
    name = os.path.basename(stem_path)
    return tally.facts(name, data.facts(), index.facts())


def _blocks(records: Iterable[Record]) -> Iterator[list[tuple[Record, bytes]]]:
    """Yield what goes into each member: records and their lines."""
    block: list[tuple[Record, bytes]] = []
    size = 0
    for record in records:
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        if block and (len(block) == SLOTS or size + len(line) > _MEMBER_BYTES):
            yield block
            block, size = [], 0
        block.append((record, line))
        size += len(line)
    if block:
        yield block


class _File:
    """A new file that counts and digests what is written to it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = 0
        self.digest = sha256()
        self._descriptor = fileops.open_new(path)

    def write(self, data: bytes) -> None:
        fileops.write(self._descriptor, data)
        self.digest.update(data)
        self.size += len(data)

    def finish(self) -> None:
        fileops.sync(self._descriptor)
        self._close()

    def discard(self) -> None:
        self._close()
        fileops.remove(self.path)

    def facts(self) -> tuple[int, str]:
        return self.size, self.digest.hexdigest()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

"""`index.json`: which segments make up the cold part of a tree. Written by compaction only.

One line: `{"layout":1,"generation":n,"seq":n,"days":{"2025-11-28":{"heads":{...},"history":{...}}},
"dead":[...],"checksum":"..."}`, where each entry holds the facts of a segment, `dead` names journals
that count no more, and the checksum is the BLAKE2b-128 of the compact JSON of all other members. A
manifest that cannot be read is replaced, in memory, by what the segments themselves say, and `check`
reports it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem.names import day_path
from moai_patterns.backends.filesystem.recovering import recover_facts
from moai_patterns.backends.filesystem.segment_writer import DATA, SegmentFacts
from moai_patterns.backends.filesystem.tree import LAYOUT, Tree
from moai_patterns.errors import DamageError
from moai_patterns.instant import DAY, isoformat

PARTS = ("heads", "history")
Seen = tuple[int, int, int]
_SEGMENT = re.compile(r"([0-9]{8})\.([0-9]+)" + re.escape(DATA))


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a tree has in segments: per UTC day (counted from 1970-01-01) its heads and its history."""

    generation: int = 0
    seq: int = 0
    heads: dict[int, SegmentFacts] = field(default_factory=dict)
    history: dict[int, SegmentFacts] = field(default_factory=dict)
    dead: tuple[str, ...] = ()  # journals that count no more, whether their files are removed yet or not
    damage: str = ""
    lost: bool = False  # whether segments are missing from it that nobody can tell about

    def part(self, name: str) -> dict[int, SegmentFacts]:
        """Return the segments of `heads` or `history` by day."""
        return self.heads if name == "heads" else self.history

    def encoded(self) -> bytes:
        """Return the bytes of the file."""
        days: dict[str, dict[str, Any]] = {}
        for name in PARTS:
            for day, facts in sorted(self.part(name).items()):
                days.setdefault(isoformat(day * DAY)[:10], {})[name] = facts.to_json()
        body = {"layout": LAYOUT, "generation": self.generation, "seq": self.seq, "days": days}
        if self.dead:
            body["dead"] = self.dead
        return orjson.dumps({**body, "checksum": _checksum(body)}) + b"\n"


def stem(day: int, part: str, name: str) -> str:
    """Return the path of a segment relative to the root, without its suffix."""
    place = day_path(day * DAY) + "/" + name
    return place if part == "heads" else "history/" + place


def seen(tree: Tree) -> Seen:
    """Return what is another value once the manifest has been replaced."""
    try:
        facts = os.stat(tree.manifest)
    except FileNotFoundError:
        return (0, 0, 0)
    return (facts.st_ino, facts.st_mtime_ns, facts.st_size)


def load(tree: Tree) -> Manifest:
    """Return the manifest of a tree, or what its segments say when it is missing or damaged."""
    try:
        raw = fileops.read(tree.manifest)
    except FileNotFoundError:
        return _recover(tree, "it is missing") if any(segment_files(tree)) else Manifest()
    try:
        return _read(raw)
    except (DamageError, ValueError, KeyError, TypeError, AttributeError) as error:
        return _recover(tree, str(error))


def _read(raw: bytes) -> Manifest:
    body = orjson.loads(raw)
    checksum = body.pop("checksum", None)
    if checksum is None and body["days"]:
        raise DamageError("its checksum is missing")
    if checksum is not None and checksum != _checksum(body):
        raise DamageError("its checksum does not fit its content")
    found: dict[str, dict[int, SegmentFacts]] = {name: {} for name in PARTS}
    for text, parts in body["days"].items():
        for name, facts in parts.items():
            found[name][day_number(text)] = SegmentFacts.from_json(facts)
    dead = tuple(body.get("dead", ()))
    return Manifest(body["generation"], body["seq"], found["heads"], found["history"], dead)


def _checksum(body: dict[str, Any]) -> str:
    return blake2b(orjson.dumps(body), digest_size=16).hexdigest()


def day_number(text: str) -> int:
    """Return the UTC day of `YYYY-MM-DD`, counted from 1970-01-01."""
    from moai_patterns.instant import instant

    return instant(text + "T00:00Z") // DAY


def _recover(tree: Tree, reason: str) -> Manifest:
    """Take the newest generation of each day's segments from the files themselves."""
    newest: dict[tuple[str, int], tuple[int, str]] = {}
    for part, day, generation, path in segment_files(tree):
        known = newest.get((part, day))
        if known is None or known[0] < generation:
            newest[part, day] = (generation, path)
    found: dict[str, dict[int, SegmentFacts]] = {name: {} for name in PARTS}
    lost = []
    for (part, day), (_, path) in newest.items():
        try:
            found[part][day] = recover_facts(path)
        except DamageError as error:
            lost.append(str(error))
    generation = max((generation for generation, _ in newest.values()), default=0)
    seq = max((facts.seq_last for part in found.values() for facts in part.values()), default=0)
    sentence = "; ".join((f"{tree.manifest}: {reason}; taken from the segments instead", *lost))
    return Manifest(generation, seq, found["heads"], found["history"], (), sentence, bool(lost))


def segment_files(tree: Tree) -> Iterator[tuple[str, int, int, str]]:
    """Yield part, day, generation and path without suffix of every segment file there is."""
    for part, top in (("heads", tree.root), ("history", tree.path("history"))):
        for day, directory in day_directories(top):
            for entry in os.listdir(directory):
                found = _SEGMENT.fullmatch(entry)
                if found:
                    yield part, day, int(found[2]), os.path.join(directory, entry[: -len(DATA)])


def day_directories(top: str) -> Iterator[tuple[int, str]]:
    """Yield the day and the path of each `YYYY/MM/DD` below a directory, the earliest first."""
    for year in _numbered(top, 4):
        for month in _numbered(year, 2):
            for path in _numbered(month, 2):
                try:
                    yield day_number("-".join(path.split(os.sep)[-3:])), path
                except ValueError:
                    continue


def _numbered(directory: str, digits: int) -> list[str]:
    try:
        found = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [os.path.join(directory, n) for n in sorted(found) if len(n) == digits and n.isdecimal()]

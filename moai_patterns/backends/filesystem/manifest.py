"""`index.json`: which segments make up the cold part of a tree. Written by compaction only.

One line: `{"layout":1,"generation":n,"seq":n,"days":{"2025-11-28":{"heads":{...},"history":{...}}},
"dead":[...],"checksum":"..."}`, where each entry holds the facts of a segment, `dead` names journals
that count no more, and the checksum is the BLAKE2b-128 of the compact JSON of all other members. A
manifest that cannot be read is replaced by its copy, `index.copy.json`, which knows what was removed;
where that cannot be read either, in memory, by what the segments say. `check` reports both.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import blake2b
from typing import Any

import orjson

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem.names import day_path
from moai_patterns.backends.filesystem.recovering import recover_facts
from moai_patterns.backends.filesystem.segment_writer import DATA, SegmentFacts
from moai_patterns.backends.filesystem.tree import LAYOUT, Tree
from moai_patterns.errors import DamageError
from moai_patterns.instant import DAY

PARTS = ("heads", "history")
_FIRST_DAY = date(1970, 1, 1).toordinal()
_MISSING = "it is missing"
Seen = tuple[int, int, int]
_SEGMENT = re.compile(r"([0-9]{8})\.([0-9]+)" + re.escape(DATA))


class Days(Mapping[int, SegmentFacts]):
    """The facts of segments by UTC day, as they came from JSON: each is looked at when it is asked for.

    A store of years has thousands, and a load needs one or two.
    """

    def __init__(self, raw: Mapping[int, Any] | None = None) -> None:
        self._raw: dict[int, Any] = dict(raw or {})
        self._facts: dict[int, SegmentFacts] = {}

    def __getitem__(self, day: int) -> SegmentFacts:
        facts = self._facts.get(day)
        if facts is None:
            facts = self._facts[day] = SegmentFacts.from_json(self._raw[day])
        return facts

    def __iter__(self) -> Iterator[int]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def changed(self, changes: Mapping[int, SegmentFacts | None]) -> Days:
        """Return the days with other segments, or none any more, in their order."""
        raw = {**self._raw, **{day: facts and facts.to_json() for day, facts in changes.items()}}
        return Days({day: raw[day] for day in sorted(raw) if raw[day] is not None})

    def id_ranges(self) -> list[tuple[str, str, int]]:
        """Return smallest id, largest id and day of each segment, sorted."""
        try:
            found = sorted((raw["first_id"], raw["last_id"], day) for day, raw in self._raw.items())
        except (KeyError, TypeError):
            found = [("", 0, 0)]
        if not all(type(first) is type(last) is str for first, last, _ in found):
            raise DamageError("a manifest holds what are no facts of a segment")
        return found

    def raw(self) -> Mapping[int, Any]:
        """Return the JSON objects."""
        return self._raw


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a tree has in segments: per UTC day (counted from 1970-01-01) its heads and its history."""

    generation: int = 0
    seq: int = 0
    heads: Days = field(default_factory=Days)
    history: Days = field(default_factory=Days)
    dead: tuple[str, ...] = ()  # journals that count no more, whether their files are removed yet or not
    damage: str = ""
    guessed: bool = False  # whether it was made up of the segment files that lie there
    lost: bool = False  # whether segments are missing from it that nobody can tell about

    def part(self, name: str) -> Days:
        """Return the segments of `heads` or `history` by day."""
        return self.heads if name == "heads" else self.history

    def encoded(self) -> bytes:
        """Return the bytes of the file."""
        days: dict[str, dict[str, Any]] = {}
        for name in PARTS:
            for day, facts in self.part(name).raw().items():
                days.setdefault(day_path(day * DAY).replace("/", "-"), {})[name] = facts
        body = {"layout": LAYOUT, "generation": self.generation, "seq": self.seq, "days": days}
        if self.dead:
            body["dead"] = self.dead
        content = orjson.dumps(body)
        return b'%b,"checksum":"%b"}\n' % (content[:-1], _checksum(content).encode())


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


def copy_path(tree: Tree) -> str:
    """Return the path of the second manifest, which is written after the first and read in its place."""
    return tree.path("index.copy.json")


def write(tree: Tree, content: Manifest) -> None:
    """Put a manifest in place of the one before, for good, and then its copy."""
    data = content.encoded()
    fileops.make_dirs(tree.temporary)
    # Both are there before either counts: a disk that is full has then changed nothing.
    second = tree.temporary_path()
    fileops.create(second, data, sync=True)
    try:
        _put(tree, tree.manifest, data)
    except BaseException:
        fileops.remove(second)
        raise
    _publish(tree, second, copy_path(tree))


def renew_copy(tree: Tree) -> None:
    """Write the copy anew unless it is what the manifest is: a kill may have come between the two."""
    try:
        data = fileops.read(tree.manifest)
    except FileNotFoundError:
        return  # the tree is being made
    try:
        if fileops.read(copy_path(tree)) == data:
            return
    except FileNotFoundError:
        pass
    _put(tree, copy_path(tree), data)


def _put(tree: Tree, path: str, data: bytes) -> None:
    fresh = tree.temporary_path()
    fileops.create(fresh, data, sync=True)
    _publish(tree, fresh, path)


def _publish(tree: Tree, fresh: str, path: str) -> None:
    try:
        fileops.rename(fresh, path)
    except BaseException:
        fileops.remove(fresh)
        raise
    fileops.sync_dir(tree.root)


def load(tree: Tree) -> Manifest:
    """Return the manifest of a tree, its copy when it is missing, damaged or older, or what segments say."""
    found = _read(tree.manifest)
    if not isinstance(found, str):
        if found.generation >= _claimed_generation(copy_path(tree)):
            return found
        found = _read(tree.manifest)  # another one may have been written meanwhile, and then its copy
    copy = _read(copy_path(tree))
    if not isinstance(found, str):
        if isinstance(copy, str) or copy.generation <= found.generation:
            return found
        found = "it is older than its copy"
    if not isinstance(copy, str):
        remedy = f"taken from {copy_path(tree)} instead, and the next compaction writes it anew"
        return replace(copy, damage=f"{tree.manifest}: {found}; {remedy}")
    if found == _MISSING and not any(segment_files(tree)):
        return Manifest()
    return _recover(tree, found)


def _claimed_generation(path: str) -> int:
    """Return what the first bytes of a manifest say, -1 for none: to read all of it takes longer."""
    try:
        descriptor = fileops.open_read(path)
    except OSError:
        return -1
    try:
        start = os.read(descriptor, 80)
    finally:
        os.close(descriptor)
    number = start.partition(b'"generation":')[2].partition(b",")[0]
    return int(number) if number.isdigit() else -1


def _read(path: str) -> Manifest | str:
    """Return a manifest, or what is wrong with it."""
    try:
        return _parse(fileops.read(path))
    except FileNotFoundError:
        return _MISSING
    except (DamageError, ValueError, KeyError, TypeError, AttributeError) as error:
        return str(error)


def _parse(raw: bytes) -> Manifest:
    content, mark, checksum = raw.rpartition(b',"checksum":"')
    body = orjson.loads(raw)
    if not mark and body["days"]:
        raise DamageError("its checksum is missing")
    if mark and checksum != b'%b"}\n' % _checksum(content + b"}").encode():
        raise DamageError("its checksum does not fit its content")
    found: dict[str, dict[int, Any]] = {name: {} for name in PARTS}
    for text, parts in body["days"].items():
        for name, facts in parts.items():
            found[name][day_number(text)] = facts
    dead = tuple(body.get("dead", ()))
    if not all(type(body[name]) is int for name in ("generation", "seq")) or not all(map(_is_text, dead)):
        raise DamageError("its numbers are none")
    return Manifest(body["generation"], body["seq"], Days(found["heads"]), Days(found["history"]), dead)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _checksum(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def day_number(text: str) -> int:
    """Return the UTC day of `YYYY-MM-DD`, counted from 1970-01-01."""
    return date.fromisoformat(text).toordinal() - _FIRST_DAY


def _recover(tree: Tree, reason: str) -> Manifest:
    """Take the newest generation of each day's segments from the files themselves."""
    newest: dict[tuple[str, int], tuple[int, str]] = {}
    for part, day, generation, path in segment_files(tree):
        known = newest.get((part, day))
        if known is None or known[0] < generation:
            newest[part, day] = (generation, path)
    found: dict[str, dict[int, SegmentFacts | None]] = {name: {} for name in PARTS}
    lost = []
    for (part, day), (_, path) in newest.items():
        try:
            found[part][day] = recover_facts(path)
        except DamageError as error:
            lost.append(str(error))
    generation = max((generation for generation, _ in newest.values()), default=0)
    heads, history = (Days().changed(found[part]) for part in PARTS)
    seq = max((facts.seq_last for part in (heads, history) for facts in part.values()), default=0)
    sentence = "; ".join((f"{tree.manifest}: {reason}; taken from the segments instead", *lost))
    return Manifest(generation, seq, heads, history, (), sentence, guessed=True, lost=bool(lost))


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
    paths = [os.path.join(directory, n) for n in sorted(found) if len(n) == digits and n.isdecimal()]
    for path in paths:
        fileops.must_not_lead_away(directory, path)
    return paths

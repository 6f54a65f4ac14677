"""Mends the cold part of a tree: a manifest for what is there, and segments of what is whole in damaged ones.

What is whole goes into segments of a new generation. The manifest that names them is the commit; the damaged
originals have a second name in the quarantine by then, and lose their own only afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from heapq import merge

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Repair
from moai_patterns.backends.filesystem import manifest, quarantine
from moai_patterns.backends.filesystem.compaction import write_part
from moai_patterns.backends.filesystem.manifest import PARTS, Days
from moai_patterns.backends.filesystem.names import digest
from moai_patterns.backends.filesystem.rebuilding import changes
from moai_patterns.backends.filesystem.recovering import recover_facts
from moai_patterns.backends.filesystem.salvage import SegmentRest
from moai_patterns.backends.filesystem.segment import Segment
from moai_patterns.backends.filesystem.segment_check import digest_of, read_at, rebuild
from moai_patterns.backends.filesystem.segment_writer import DATA, INDEX, SegmentFacts, key
from moai_patterns.backends.filesystem.tree import Tree
from moai_patterns.instant import DAY, isoformat
from moai_patterns.query import Record

_NAMED = 20  # ids that a sentence lists

Part = tuple[str, int]  # heads or history, and the UTC day


class Mending:
    """The manifest and the segments of a tree: what is wrong with them, and what mends it.

    `told` is what has to be done; `build`, then `set_aside`, `commit` and `clear` under the locks, do it.

    Parameters:
        tree: the tree; nobody else maintains it meanwhile.

    Raises `OSError`, and `DamageError` for a manifest that says what no manifest can say.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._known = manifest.load(tree)
        self._sound: dict[Part, SegmentFacts] = {}
        self._rests: dict[Part, list[SegmentRest]] = {}
        self._indexes: dict[str, bytes] = {}
        self._built: dict[Part, SegmentFacts | None] = {}
        self._newest: dict[str, int] = {}
        self._days: dict[int, tuple[str, ...]] = {}
        self.told: list[Repair] = []
        if self._known.guessed:
            self._guess()
        else:
            self._compare()
        for part, day in self._rests:
            self._days[day] = (*self._days.get(day, ()), part)
        if self._known.guessed or any(part == "heads" for part, _ in self._rests):
            self._place_revisions()
        self._tell_manifest()

    @property
    def changes_segments(self) -> bool:
        """Whether other records than before are in the segments, or others in their heads."""
        return bool(self._days) or self._known.guessed

    def build(self) -> None:
        """Write the segments that are to come, and the side indexes of those that stay."""
        generation = self._known.generation + 1
        for day, parts in sorted(self._days.items()):
            for part in parts:
                records = self._records(day, part)
                self._built[part, day] = write_part(self._tree, day, part, generation, records)
        for path, data in self._indexes.items():
            fresh = self._tree.temporary_path()
            fileops.create(fresh, data, sync=True)
            fileops.rename(fresh, path)
            fileops.sync_dir(os.path.dirname(path))

    def set_aside(self) -> None:
        """Give what will be replaced a name in the quarantine."""
        for path in self._replaced():
            quarantine.keep(self._tree, path)

    def commit(self, seq: int) -> None:
        """Publish the manifest; `seq` is the last arrival number."""
        if not self._days and not self._known.damage:
            if self._copy_differs():
                manifest.renew_copy(self._tree)
            return
        parts: list[Days] = []
        for part in PARTS:
            changed: dict[int, SegmentFacts | None] = {}
            if self._known.guessed:
                changed.update(dict.fromkeys(self._known.part(part)))
                changed.update({day: facts for (name, day), facts in self._sound.items() if name == part})
            changed.update({day: facts for (name, day), facts in self._built.items() if name == part})
            parts.append(self._known.part(part).changed(changed))
        generation = self._known.generation + bool(self._days)
        seq = max(seq, self._known.seq)
        manifest.write(
            self._tree,
            replace(self._known, generation=generation, seq=seq, heads=parts[0], history=parts[1]),
        )

    def clear(self) -> None:
        """Take the names of the originals away that are in the quarantine."""
        for path in self._replaced():
            if path.endswith((DATA, INDEX)):
                fileops.remove(path)
        for rests in self._rests.values():
            for directory in {os.path.dirname(rest.path) for rest in rests}:
                if os.path.isdir(directory):
                    fileops.sync_dir(directory)

    def _replaced(self) -> list[str]:
        """Return the paths of what is damaged and there."""
        stems = [rest.path.removesuffix(DATA) for rests in self._rests.values() for rest in rests]
        paths = [stem + suffix for stem in stems for suffix in (DATA, INDEX)]
        if self._known.guessed:
            paths += [self._tree.manifest, manifest.copy_path(self._tree)]
        return [path for path in paths if os.path.lexists(path)]

    def _compare(self) -> None:
        """Compare each segment with what the manifest says of it."""
        for part in PARTS:
            for day, facts in self._known.part(part).items():
                stem = self._tree.path(manifest.stem(day, part, facts.name))
                problems = Segment(stem, facts).check(read_data=True)
                if any(problem.place.startswith(stem + DATA) for problem in problems):
                    rest = SegmentRest(stem, day, facts.index_sha256)
                    self._rests[part, day] = [rest]
                    self._tell(rest, facts.count)
                    continue
                self._sound[part, day] = facts
                if problems:
                    self._renew_index(stem)

    def _guess(self) -> None:
        """Take the newest generation of each segment; where it is not whole, what is whole in any of them."""
        stems: dict[Part, list[tuple[int, str]]] = {}
        for part, day, generation, stem in manifest.segment_files(self._tree):
            stems.setdefault((part, day), []).append((generation, stem))
        for (part, day), found in stems.items():
            found.sort(reverse=True)
            rests = [SegmentRest(stem, day) for _, stem in found]
            if rests[0].is_whole and rests[0].count:
                stem = found[0][1]
                self._renew_index(stem, only_different=True)
                facts = recover_facts(stem)
                if stem + INDEX in self._indexes:
                    data = self._indexes[stem + INDEX]
                    facts = replace(facts, index_bytes=len(data), index_sha256=sha256(data).hexdigest())
                self._sound[part, day] = facts
                continue
            self._rests[part, day] = rests
            self._tell(rests[0], rests[0].expected)

    def _renew_index(self, stem: str, *, only_different: bool = False) -> None:
        data = _index_of(stem)
        if only_different:
            try:
                if fileops.read(stem + INDEX) == data:
                    return
            except OSError:
                pass
        self._indexes[stem + INDEX] = data
        self.told.append(Repair(stem + INDEX, "damaged or missing: made anew from the data"))

    def _tell(self, rest: SegmentRest, expected: int | None) -> None:
        known, lost = ("", None) if expected is None else (f" of {expected}", expected - rest.count)
        ids = tuple(f"hash {hashed:016x}" for hashed in rest.lost() or ())
        aside = quarantine.place_for(self._tree, rest.path) if os.path.lexists(rest.path) else ""
        day = isoformat(rest.day * DAY)[:10]
        sentence = f"damaged: {rest.count}{known} records of {day} are whole and stay"
        self.told.append(Repair(rest.path, sentence, lost, ids, aside))

    def _tell_manifest(self) -> None:
        path = self._tree.manifest
        if self._known.guessed:
            sentence = f"{self._known.damage}; what was removed shortly before may be back"
            there = os.path.lexists(path)
            aside = quarantine.place_for(self._tree, path) if there else ""
            self.told.insert(0, Repair(path, sentence.removeprefix(f"{path}: "), None, (), aside))
        elif self._known.damage:
            self.told.insert(0, Repair(path, "damaged or missing: made anew from its copy"))
        elif self._copy_differs():
            self.told.insert(
                0, Repair(manifest.copy_path(self._tree), "not what the manifest says: made anew")
            )

    def _copy_differs(self) -> bool:
        try:
            data = fileops.read(self._tree.manifest)
        except OSError:
            return False
        try:
            return fileops.read(manifest.copy_path(self._tree)) != data
        except FileNotFoundError:
            return bool(self._known.generation)
        except OSError:
            return True

    def _place_revisions(self) -> None:
        """Find what each id's newest revision is, and the days in which another one stands for it."""
        for part, day in self._parts():
            for record in self._source(part, day):
                revision = record["_meta"]["revision"]
                if part == "history" or revision > 1:
                    identity = record["pattern_id"]
                    self._newest[identity] = max(revision, self._newest.get(identity, revision))
        # Of these the heads are elsewhere.
        loose = {
            hashed for hashed, _, revision, place in changes(self._tree) if revision > 1 and ":-" not in place
        }
        self._newest = {name: newest for name, newest in self._newest.items() if digest(name) not in loose}
        raised: set[str] = set()
        for part, day in self._parts():
            for record in self._source(part, day):
                becomes = self._becomes(record, part)
                if becomes != part:
                    self._days[day] = PARTS
                    if becomes == "heads":
                        raised.add(record["pattern_id"])
        if raised:
            names = ", ".join(map(repr, sorted(raised)[:_NAMED])) + (", ..." if len(raised) > _NAMED else "")
            sentence = f"the newest revision is lost, so the one before it is the head again: {names}"
            self.told.append(Repair(self._tree.root, sentence))

    def _parts(self) -> list[Part]:
        return sorted({*self._sound, *self._rests}, key=lambda part: (part[1], part[0]))

    def _source(self, part: str, day: int) -> Iterator[Record]:
        """Yield the records of a part of a day that are whole, in order, some twice."""
        if (part, day) in self._rests:
            return merge(*(rest.records() for rest in self._rests[part, day]), key=key)
        facts = self._sound.get((part, day))
        if facts is None:
            return iter(())
        return Segment(self._tree.path(manifest.stem(day, part, facts.name)), facts).scan()

    def _becomes(self, record: Record, part: str) -> str:
        newest = self._newest.get(record["pattern_id"])
        if newest is None:
            return part
        return "heads" if record["_meta"]["revision"] == newest else "history"

    def _records(self, day: int, part: str) -> Iterator[Record]:
        """Yield what a part of a day is to hold, each once."""
        last = None
        for record, was in merge(*(self._marked(day, was) for was in PARTS), key=lambda found: key(found[0])):
            if key(record) != last and self._becomes(record, was) == part:
                last = key(record)
                yield record

    def _marked(self, day: int, was: str) -> Iterator[tuple[Record, str]]:
        return ((record, was) for record in self._source(was, day))


def _index_of(stem: str) -> bytes:
    """Return the side index of a data file that is whole."""
    descriptor = fileops.open_read(stem + DATA)
    try:
        read, size = read_at(descriptor), os.fstat(descriptor).st_size
        index = rebuild(read, size, trusted=True).tally.index
        return b"".join(index.chunks(bytes.fromhex(digest_of(read, size)), size))
    finally:
        os.close(descriptor)

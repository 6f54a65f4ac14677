"""Removes what a committed manifest has made superfluous. The caller holds the maintenance lock."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import orjson

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem import journal, manifest
from moai_patterns.backends.filesystem.cold import Cold
from moai_patterns.backends.filesystem.compaction import Folding, commit, is_among
from moai_patterns.backends.filesystem.journal import Journal
from moai_patterns.backends.filesystem.manifest import PARTS, Manifest
from moai_patterns.backends.filesystem.names import digest
from moai_patterns.backends.filesystem.overlay import HOT
from moai_patterns.backends.filesystem.rebuilding import changes, create_log
from moai_patterns.backends.filesystem.sealed import seal_line
from moai_patterns.backends.filesystem.segment_writer import DATA, INDEX
from moai_patterns.backends.filesystem.tree import Tree
from moai_patterns.backends.filesystem.write import TreeWriter
from moai_patterns.backends.locking import Lock
from moai_patterns.errors import BusyError, DamageError

_BLOCK = 4096  # of which a file wastes one at most
_GRACE = 3600.0  # seconds after which a temporary file belongs to nobody any more


def hot_files(tree: Tree, folding: Folding, cold: Cold, unflushed: set[str]) -> bool:
    """Remove the hot files that segments hold now, and those of removed ids.

    Return whether all of these could be told: a damaged file stays, and so must the removal of its id. They
    are gone for good before a journal goes that says what they are: removed, or superseded. `unflushed` are
    the directories in which files were removed by a run that failed before that.
    """
    whole = True
    removed = {digest(identity): identity for identity in folding.overlay.removed}
    for day, directory in manifest.day_directories(tree.root):
        parts = [part for part in (cold.segment(name, day) for name in PARTS) if part is not None]
        for names in folding.snapshot.hot_names(day):
            for _, name, _, hashed in names:
                try:
                    is_cold = any(part.holds(hashed) for part in parts)
                    if is_cold or (hashed in removed and _is_gone(folding, day, name)):
                        unflushed.add(directory)
                        fileops.remove(os.path.join(directory, name))
                except DamageError:
                    whole = False
        if directory in unflushed:
            fileops.sync_dir(directory)
            unflushed.remove(directory)
        _remove_empty(directory, tree.root)
    return whole


def _is_gone(folding: Folding, day: int, name: str) -> bool:
    record = folding.snapshot.read_hot(day, name)
    return record is not None and folding.drops(record, HOT)


def _remove_empty(directory: str, root: str) -> None:
    while directory != root and fileops.remove_dir(directory):
        directory = os.path.dirname(directory)


def journals(writer: TreeWriter, folding: Folding, cold: Cold) -> None:
    """Remove journals whose changes are physical now, and shorten those with some that are not.

    All of them count no more from one rename on, that of a manifest which calls them dead: one after
    the other, a kill would leave a removal without the record it speaks of, or the reverse. Where the
    disk has no room for what is kept of them, the earliest go first and make some.
    """
    content, todo = cold.manifest, _superfluous(folding, cold)
    while True:
        step = len(todo) if _has_room(writer.tree, todo) else _first_apart(todo)
        for found, kept in todo[:step]:
            if kept:
                _shorten(writer, _Remainder(found, kept, folding))
        folding.snapshot.line.close()  # what is removed and open takes up its space
        content = _retire(writer, content, [found.name for found, _ in todo[:step]])
        todo = todo[step:]
        if not todo:
            return


def _has_room(tree: Tree, todo: Sequence[tuple[Journal, list[int]]]) -> bool:
    """Tell whether what is kept of journals fits on the disk, with the manifests that come after it."""
    needed = sum(found.size + _BLOCK for found, kept in todo if kept)
    return fileops.free(tree.root) > needed + 4 * (os.stat(tree.manifest).st_size + _BLOCK)


def _first_apart(todo: Sequence[tuple[Journal, list[int]]]) -> int:
    """Return how many journals, as few as possible, are older in all that they say than the rest.

    These can go by themselves: no removal before what it removes, no revision before an older one.
    """
    spans = [_span(found) for found, _ in todo]
    latest = 0
    for number, (_, last) in enumerate(spans, start=1):
        latest = max(latest, last)
        if latest < min((first for first, _ in spans[number:]), default=latest + 1):
            return number
    return len(todo)


def _span(found: Journal) -> tuple[int, int]:
    numbers = [*found.seqs, *(seq for _, _, seq in found.removals)]
    return min(numbers, default=0), max(numbers, default=0)


def _retire(writer: TreeWriter, before: Manifest, names: Sequence[str]) -> Manifest:
    """Call journals dead, for good, and remove them; return the manifest that says so."""
    tree = writer.tree
    listed = set(journal.listed(tree.journals))
    present = tuple(name for name in (*before.dead, *names) if name in listed)
    after = replace(before, dead=present)
    if present != before.dead:
        fileops.sync_dir(tree.journals)  # those that are called dead no more must not come back
        with writer.locked() as log:
            commit(tree, after, log)
    for name in present:
        fileops.remove(os.path.join(tree.journals, name))
    return after


def _superfluous(folding: Folding, cold: Cold) -> list[tuple[Journal, list[int]]]:
    """Return the journals that can go, each with the positions of the lines that have to be kept.

    One that has to stay, because its session is not over, keeps all that speak of the same ids.
    """
    going: list[tuple[Journal, list[int]]] = []
    staying: set[int] = set()
    left = set(journal.listed(folding.snapshot.tree.journals)).difference(cold.manifest.dead)
    for found in folding.snapshot.journals:
        if found.name not in left:
            continue  # a run before this one, which found no room for the rest, has retired it
        kept = _kept(folding, cold, found)
        if not kept or len(kept) < len(found.hashes) or found.removals:
            if _is_over(found):
                going.append((found, kept))
            else:
                staying |= _about(found)
    while staying:
        bound = [entry for entry in going if not _about(entry[0]).isdisjoint(staying)]
        staying = {hashed for found, _ in bound for hashed in _about(found)}
        going = [entry for entry in going if entry not in bound]
    return going


def _about(found: Journal) -> set[int]:
    return {*found.hashes, *(digest(identity) for identity, _, _ in found.removals)}


def _is_over(found: Journal) -> bool:
    """Tell whether nobody writes to a journal any more, nor has written since it was read."""
    if found.closed:
        return True
    owner = Lock(found.path, create=False)  # a repair may have moved it just now
    try:
        with owner.held(timeout=0.0):
            return os.stat(found.path).st_size == found.size
    except (BusyError, FileNotFoundError):
        return False
    finally:
        owner.close()


def _kept(folding: Folding, cold: Cold, found: Journal) -> list[int]:
    """Return the positions of the lines that are needed yet; all others are in a segment, or gone."""
    kept = []
    for day, positions in found.by_day().items():
        held = folding.hashes(cold, day)
        for position in positions:
            hashed = found.hashes[position]
            if hashed not in folding.changed:
                is_folded = any(is_among(known, hashed) for known in held)
            else:
                is_folded = _is_folded(folding, cold, found, position, day)
            if not is_folded:
                kept.append(position)
    return sorted(kept)


def _is_folded(folding: Folding, cold: Cold, found: Journal, position: int, day: int) -> bool:
    hashed, revision = found.hashes[position], found.revisions[position]
    if not folding.is_anchored(hashed, revision) and folding.is_held(cold, day, hashed, revision):
        return True
    if not folding.overlay.may_remove(hashed):
        return False
    return folding.drops(folding.snapshot.line(found, position), found.seqs[position])


class _Remainder:
    """What is kept of a journal, as the bytes and the changes of its successor."""

    def __init__(self, found: Journal, kept: list[int], folding: Folding) -> None:
        records = [folding.snapshot.line(found, position) for position in kept]
        seqs = [found.seqs[position] for position in kept]
        lines = [seal_line(record, orjson.dumps) for record in records]
        self.hashes = [digest(record["pattern_id"]) for record in records]
        self.data, spans = journal.build(lines, records, self.hashes, seqs=seqs)
        first, part, _ = found.name.split(".")
        self.name = journal.name(int(first), int(part) + 1)
        self.changes = []
        for record, seq, (offset, length) in zip(records, seqs, spans, strict=True):
            self.changes.append((seq, record["_meta"]["revision"], f"{self.name}:{offset}:{length}"))


def _shorten(writer: TreeWriter, rest: _Remainder) -> None:
    """Publish what is kept of a journal under the name behind its own."""
    fresh = writer.tree.temporary_path()
    fileops.create(fresh, rest.data, sync=True)
    try:
        with writer.locked() as log:
            log.append(rest.hashes, rest.changes)
            writer.publish(fresh, os.path.join(writer.tree.journals, rest.name))
            log.settle()
    except BaseException:  # on a full disk it would take up what was freed for the next try
        fileops.remove(fresh)
        raise
    fileops.sync_dir(writer.tree.journals)


def segments(tree: Tree, cold: Cold) -> None:
    """Remove the segment files that the manifest does not name."""
    for part, day, _, path in list(manifest.segment_files(tree)):
        facts = cold.manifest.part(part).get(day)
        if facts is None or facts.name != os.path.basename(path):
            fileops.remove(path + DATA)
            fileops.remove(path + INDEX)
            top = tree.root if part == "heads" else tree.path("history")
            _remove_empty(os.path.dirname(path), top)


def log_lines(writer: TreeWriter) -> None:
    """Make the change log anew once most of it speaks of what is no longer loose."""
    tree = writer.tree
    loose = len(changes(tree))  # without the lock: writers would wait for the listing of the whole tree
    with writer.locked() as log:
        outdated = log.lines > 2 * loose + 64
    if outdated:
        renew_log(writer)


def renew_log(writer: TreeWriter) -> None:
    """Make the change log anew, of what is loose alone; arrival numbers stay."""
    tree = writer.tree
    with writer.locked() as log:
        living = changes(tree)
        # Not line by line: of a day of a million records that was just compacted it has as many.
        known = log.find_all([hashed for hashed, _, _, _ in living])
        arrived = {(h, place): seq for h, found in known.items() for seq, _, place, _ in found}
        kept = [(h, arrived.get((h, place), seq), revision, place) for h, seq, revision, place in living]
        create_log(tree.index, sorted(kept, key=lambda change: change[1]), log.seq)


def temporary_files(tree: Tree, now: float) -> None:
    """Remove the temporary files that nobody will finish."""
    for path in left_over(tree, now):
        fileops.remove(path)


def left_over(tree: Tree, now: float) -> list[str]:
    """Return the temporary files that are older than an hour; `now` in seconds since 1970-01-01."""
    try:
        with os.scandir(tree.temporary) as entries:
            return [e.path for e in entries if now - e.stat(follow_symlinks=False).st_mtime > _GRACE]
    except FileNotFoundError:
        return []  # there is no such directory, or a save has just finished; next time then

"""Mends a tree: the records that are whole go on, what is damaged goes to the quarantine, the rest is told.

Under the locks, in an order that can be interrupted anywhere and begun again:

1. What will be replaced gets a second name in the quarantine.
2. What is whole of journals and hot files is published; their damaged originals still count as well.
3. The change log is removed: from here on nobody goes by what it said of the originals.
4. The manifest of the mended segments is published.
5. The damaged originals lose their names.
6. The change log is made anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import orjson

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Repair
from moai_patterns.backends.filesystem import journal, manifest, quarantine, rebuilding
from moai_patterns.backends.filesystem.checking import hot_fault, log_problems, twice
from moai_patterns.backends.filesystem.cold import Cold
from moai_patterns.backends.filesystem.hotlog import StaleLogError
from moai_patterns.backends.filesystem.journal import Journal, JournalDamageError
from moai_patterns.backends.filesystem.manifest import PARTS
from moai_patterns.backends.filesystem.mending import Mending
from moai_patterns.backends.filesystem.names import digest, hot_path, parse_hot
from moai_patterns.backends.filesystem.overlay import HOT
from moai_patterns.backends.filesystem.salvage import (
    NO_FILE,
    JournalRest,
    hot_rest,
    journal_rest,
)
from moai_patterns.backends.filesystem.sealed import seal_line
from moai_patterns.backends.filesystem.tree import Tree
from moai_patterns.backends.locking import Lock
from moai_patterns.errors import BusyError, StoreError
from moai_patterns.query import Record

if TYPE_CHECKING:
    from moai_patterns.backends.filesystem.journal import Gone

_NOTHING = JournalRest([], None, 0, [])


@dataclass(frozen=True, slots=True)
class _Loose:
    """A damaged hot file or journal, and the file that is to hold what is whole of it, if anything is."""

    path: str
    told: Repair
    target: str = ""
    data: bytes = b""
    arrived: int = 0  # what the new file is dated by; 0 for a journal, which carries its numbers


def repair_tree(path: str, timeout: float, *, dry_run: bool) -> list[Repair]:
    """Mend a tree, or only tell what would be done.

    No compaction goes on meanwhile; beside one that a dry run cannot keep out, since it may only read, it
    looks twice. Raises `BusyError` when others keep the locks for longer than `timeout` seconds, and
    `OSError`.
    """
    tree = Tree(path)  # of its own, so that others go on meanwhile
    try:
        if not tree.exists:
            return []
        if dry_run:
            with _unmaintained(tree, timeout):
                return twice(tree, lambda: _repair(tree, timeout, dry_run=True))
        with Lock(tree.path(".maintenance")).held(timeout=timeout):
            return _repair(tree, timeout, dry_run=False)
    finally:
        tree.close()


@contextmanager
def _unmaintained(tree: Tree, timeout: float) -> Iterator[None]:
    """Keep maintenance out, where that takes no new file: there was none yet, or the medium is read-only."""
    lock = Lock(tree.path(".maintenance"), create=False)
    try:
        lock.acquire(shared=True, timeout=timeout)
    except BusyError:
        raise
    except OSError:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _repair(tree: Tree, timeout: float, *, dry_run: bool) -> list[Repair]:
    log = _Log(tree)
    cold = Mending(tree)
    loose, told = _journals(tree, log)
    loose += _lost_removals(tree, log)
    loose += _hot_files(tree)
    log_told = log.told({entry.path for entry in loose} | {entry.target for entry in loose})
    if (loose or cold.changes_segments) and not log_told:
        log_told = [Repair(tree.index, "the change log is made anew")]
    told = [*log_told, *cold.told, *told, *(entry.told for entry in loose)]
    if dry_run or not (log_told or cold.told or loose):
        return told
    fileops.make_dirs(tree.temporary)
    cold.build()
    with Lock(tree.path(".pin")).held(timeout=timeout), tree.lock.held(timeout=timeout):
        _replace(tree, cold, loose, log if log_told else None)
    return told


def _replace(tree: Tree, cold: Mending, loose: list[_Loose], log: _Log | None) -> None:
    cold.set_aside()
    for entry in loose:
        if entry.target and not _holds(entry.target, entry.data):
            quarantine.keep(tree, entry.target)  # what has this name is damaged, too, or there is nothing
            _publish(tree, entry)
    if log is not None:
        fileops.remove(os.path.join(tree.index, "heads"))
    cold.commit(0 if log is None else log.seq)
    published = {entry.target for entry in loose}
    for entry in loose:
        if entry.path not in published:
            quarantine.move(tree, entry.path)
    cold.clear()
    if log is not None:
        rebuilding.rebuild(tree)


def _publish(tree: Tree, entry: _Loose) -> None:
    fresh = tree.temporary_path()
    fileops.create(fresh, entry.data, sync=True)
    if entry.arrived:
        fileops.date(fresh, entry.arrived)
    fileops.make_dirs(os.path.dirname(entry.target))
    fileops.rename(fresh, entry.target)
    fileops.sync_dir(os.path.dirname(entry.target))


class _Log:
    """What the change log knows, as far as it is there and sound; looked at before anything is mended."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._log = tree.current_log()
        self.seq = 0 if self._log is None else self._log.seq
        # A log that was made of damaged journals only repeats what these say.
        self.vouches = self._log is not None and not self._log.is_doubtful

    def removals(self, *, settled: bool) -> Mapping[str, list[tuple[int, int, int]]]:
        """Return hash, revision and arrival number of the removals in each journal.

        Those that are not `settled` count for a journal that is there: the writer died behind its commit.
        """
        found: dict[str, list[tuple[int, int, int]]] = {}
        if self._log is not None and self.vouches:
            try:
                for hashed, seq, revision, place in self._log.changes(settled=settled):
                    if place.endswith(":-"):
                        found.setdefault(place[:-2], []).append((hashed, revision, seq))
            except StaleLogError:
                self.vouches = False
        return found

    def told(self, damaged: set[str]) -> list[Repair]:
        """Return what is wrong with the log, and what it knows that is nowhere but in the `damaged`."""
        if self._log is None:
            if not (os.path.lexists(os.path.join(self._tree.index, "heads")) or self._anything_loose()):
                return []
            return [Repair(self._tree.index, "the change log is missing or cannot be trusted: made anew")]
        found = []
        for problem in log_problems(self._tree):
            if problem.place == self._tree.index:
                found.append(Repair(problem.place, "the change log does not fit the tree: made anew"))
            elif problem.place not in damaged:
                found.append(Repair(problem.place, problem.sentence, problem.records))
        if not found and self._log.is_doubtful:
            found.append(Repair(self._tree.index, "the change log speaks of damaged journals: made anew"))
        return list(dict.fromkeys(found))

    def _anything_loose(self) -> bool:
        return any(True for _ in rebuilding.changes(self._tree))


def _journals(tree: Tree, log: _Log) -> tuple[list[_Loose], list[Repair]]:
    """Return the damaged journals, and what is to be told of those that are still written to."""
    found: list[_Loose] = []
    open_still: list[Repair] = []
    dead = manifest.load(tree).dead
    removals: Mapping[str, list[tuple[int, int, int]]] | None = None
    for name in journal.listed(tree.journals):
        path = os.path.join(tree.journals, name)
        fault = "" if name in dead else _journal_fault(path)
        if not fault:
            continue
        if not _is_over(path):
            open_still.append(Repair(path, f"{fault}; its session is not over: repair again when it is"))
            continue
        removals = log.removals(settled=False) if removals is None else removals
        found.append(_mended_journal(tree, path, fault, removals.get(name, []) if log.vouches else None))
    return found, open_still


def _journal_fault(path: str) -> str:
    try:
        return Journal(path, orjson.loads).damage
    except FileNotFoundError:
        return ""
    except JournalDamageError as damage:
        return str(damage)
    except OSError as error:
        if error.errno not in NO_FILE:
            raise
        return f"it cannot be read: {error.strerror}"


def _is_over(path: str) -> bool:
    """Tell whether no session writes to a journal any more."""
    owner = Lock(path, create=False)  # a name that has just gone must not become an empty journal
    try:
        with owner.held(timeout=0.0):
            return True
    except BusyError:
        return False
    except OSError:
        return True  # no file that anybody could write to
    finally:
        owner.close()


def _mended_journal(tree: Tree, path: str, fault: str, known: list[tuple[int, int, int]] | None) -> _Loose:
    """Return what becomes of a damaged journal; `known` are its removals by a sound change log."""
    try:
        rest = journal_rest(path)
    except (ValueError, OSError):
        rest = _NOTHING
    kept = f"{len(rest.records)} records of it are whole and stay"
    lost = rest.lost if rest is not _NOTHING else None
    if rest.removals is None and known is None:
        removals = _evident(tree, path, rest.records)
        kept += "; nobody can tell what it removed, which may be back"
        kept += f", but for {len(removals)} ids that were saved again" if removals else ""
        lost = None
    else:
        removals = _removals(tree, rest.removals or [], known or [])
        if removals or known:
            kept += f", and {len(removals)} of its {max(len(removals), len(known or ()))} removals"
    ids = tuple(f"hash {hashed:016x}" for hashed in rest.hashes)
    told = Repair(path, f"{fault}; {kept}", lost, ids, quarantine.place_for(tree, path))
    if not (rest.records or removals):
        return _Loose(path, told)
    lines = [seal_line(record, orjson.dumps) for record in rest.records]
    seqs = [record["_meta"]["seq"] for record in rest.records]
    hashes = [digest(record["pattern_id"]) for record in rest.records]
    data, _ = journal.build(lines, rest.records, hashes, removals=removals, seqs=seqs)
    return _Loose(path, told, _successor(path, data), data)


def _removals(tree: Tree, written: list[Gone], known: list[tuple[int, int, int]]) -> list[Gone]:
    """Return the removals of a whole header, and others that the log knows; the tree tells ids by hash."""
    named = {digest(identity) for identity, _, _ in written}
    return written + _hiding(tree, [entry for entry in known if entry[0] not in named])


def _evident(tree: Tree, path: str, records: Sequence[Record]) -> list[Gone]:
    """Return the removals of a journal that are evident from what is stored; `records` are its own.

    An id with revisions from before it and a first revision from after it was removed in between.
    """
    first = os.path.basename(path).partition(".")[0]
    if not first.isdecimal():
        return []
    seq = int(first)
    again = {digest(record["pattern_id"]) for record in records}
    # It came back through a journal, which stays as long as that of the removal does.
    again.update(
        hashed
        for hashed, number, revision, place in rebuilding.changes(tree)
        if number > seq and revision == 1 and ":" in place and not place.endswith(":-")
    )
    arrived: dict[str, set[tuple[int, int]]] = {}
    for record in chain(records, _stored(tree, again)):
        meta = record["_meta"]
        arrived.setdefault(record["pattern_id"], set()).add((meta.get("seq", HOT), meta["revision"]))
    found = []
    for identity, revisions in sorted(arrived.items()):
        before = [revision for number, revision in revisions if number < seq]
        if before and any(number > seq and revision == 1 for number, revision in revisions):
            found.append((identity, max(before), seq))
    return found


def _hiding(tree: Tree, known: list[tuple[int, int, int]]) -> list[Gone]:
    """Return those of the removals, given by hash, that something in the tree arrived before."""
    if not known:
        return []
    arrived: dict[str, int] = {}
    for record in _stored(tree, {hashed for hashed, _, _ in known}):
        identity, seq = record["pattern_id"], record["_meta"].get("seq", HOT)
        arrived[identity] = min(seq, arrived.get(identity, seq))
    return [
        (identity, revision, seq)
        for hashed, revision, seq in known
        for identity, first in sorted(arrived.items())
        if digest(identity) == hashed and first < seq
    ]


def _stored(tree: Tree, hashes: set[int]) -> Iterator[Record]:
    """Yield what can be read of the ids with these hashes, and some others."""
    loose = {
        place.partition(":")[::2] for hashed, _, _, place in rebuilding.changes(tree) if hashed in hashes
    }
    for name, span in sorted(loose):
        path = tree.file_of(f"{name}:{span}" if span else name)
        try:
            hot = None if span else hot_rest(path)
            yield from journal_rest(path).records if span else [hot.record] if hot else []
        except (ValueError, OSError):
            continue
    cold = Cold(tree, manifest.load(tree))
    for part in PARTS:
        for _, segment in cold.segments(part):
            for hashed in hashes:
                try:
                    yield from segment.hashed(hashed)
                except StoreError:
                    continue  # damaged, and told of by itself
    cold.close()


def _lost_removals(tree: Tree, log: _Log) -> list[_Loose]:
    """Return journals for the removals whose own are missing, although what they removed is still there."""
    found = []
    dead = manifest.load(tree).dead
    for name, known in log.removals(settled=True).items():
        path = os.path.join(tree.journals, name)
        if os.path.lexists(path) or name in dead:
            continue
        if hiding := _hiding(tree, known):
            told = Repair(path, f"it is missing, and {len(hiding)} removals with it: removed again", None)
            data, _ = journal.build([], [], [], removals=hiding)
            found.append(_Loose(path, told, _successor(path, data), data))
    return found


def _successor(path: str, data: bytes) -> str:
    """Return the path of the journal that follows a damaged one: a free name, or its own by now."""
    directory, name = os.path.split(path)
    first = name.partition(".")[0]
    part = 0
    while True:
        part += 1
        target = os.path.join(directory, f"{first}.{part}{journal.SUFFIX}")
        if target != path and (not os.path.lexists(target) or _holds(target, data)):
            return target


def _holds(path: str, data: bytes) -> bool:
    try:
        return fileops.read(path) == data
    except OSError:
        return False


def _hot_files(tree: Tree) -> list[_Loose]:
    """Return the damaged hot files."""
    found = []
    for day, directory in manifest.day_directories(tree.root):
        try:
            names = sorted(os.listdir(directory))
        except FileNotFoundError:
            continue  # a compaction that a dry run could not keep out has removed it as empty
        for name in names:
            parsed = parse_hot(name)
            path = os.path.join(directory, name)
            if parsed is not None and (fault := hot_fault(path, day, parsed)):
                found.append(_mended_hot(tree, path, fault, parsed[2]))
    return found


def _mended_hot(tree: Tree, path: str, fault: str, hashed: int) -> _Loose:
    try:
        rest = hot_rest(path)
    except OSError as error:
        if error.errno not in NO_FILE:
            raise
        rest = None
    aside = quarantine.place_for(tree, path)
    if rest is None or rest.record["_meta"]["revision"] != 1:
        return _Loose(path, Repair(path, fault, 1, (f"hash {hashed:016x}",), aside))
    told = Repair(path, f"{fault}; the record in it is whole and stays", 0, (), aside)
    identity, moment = rest.record["pattern_id"], rest.record["_meta"]["instant"]
    named = hot_path(rest.record["pattern_type"], moment, identity, digest(identity))
    target = tree.path(named)
    if target != path and _is_sound(target):
        return _Loose(path, told)
    return _Loose(path, told, target, rest.data, rest.arrived)


def _is_sound(path: str) -> bool:
    try:
        rest = hot_rest(path)
        return rest is not None and rest.data == fileops.read(path)
    except OSError:
        return False

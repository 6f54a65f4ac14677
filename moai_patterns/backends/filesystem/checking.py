"""Looks for damage in a tree and names its place; changes nothing."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import orjson

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Problem
from moai_patterns.backends.filesystem import journal, manifest, quarantine
from moai_patterns.backends.filesystem.cold import Cold
from moai_patterns.backends.filesystem.hotlog import StaleLogError
from moai_patterns.backends.filesystem.journal import JournalDamageError
from moai_patterns.backends.filesystem.lookup import Journals, read_span
from moai_patterns.backends.filesystem.manifest import PARTS
from moai_patterns.backends.filesystem.names import digest, parse_hot
from moai_patterns.backends.filesystem.rebuilding import changes
from moai_patterns.backends.filesystem.salvage import is_record
from moai_patterns.backends.filesystem.sealed import open_file, open_line
from moai_patterns.backends.filesystem.segment import Segment
from moai_patterns.backends.filesystem.sweeping import left_over
from moai_patterns.backends.filesystem.tree import Tree
from moai_patterns.errors import StoreError
from moai_patterns.instant import DAY

if TYPE_CHECKING:
    from moai_patterns.backends.filesystem.hotlog import HotLog

T = TypeVar("T")

_SET_ASIDE = "torn or damaged, and set aside; remove it when nothing in it is needed any more"


def check(path: str, *, read_data: bool) -> list[Problem]:
    """Return every finding. `read_data` reads every stored byte, else names, sizes and headers count."""
    tree = Tree(path)  # of its own, so that others go on meanwhile
    if not tree.exists:
        return []
    try:
        return twice(tree, lambda: _check(tree, read_data=read_data))
    finally:
        tree.close()


def twice(tree: Tree, look: Callable[[], list[T]]) -> list[T]:
    """Return what a look at a tree finds, at a second one too if a compaction came in between.

    That moves what is looked at; what is damaged is so again.
    """
    before = _state(tree)
    found = look()
    if found and _state(tree) != before:
        again = look()
        found = [finding for finding in found if finding in again]
    return found


def _state(tree: Tree) -> object:
    """What is another value once a compaction has replaced the manifest or renewed the change log."""
    try:
        log = os.stat(os.path.join(tree.index, "heads")).st_ino
    except OSError:
        log = 0
    return manifest.seen(tree), log


def _check(tree: Tree, *, read_data: bool) -> list[Problem]:
    looks: tuple[Callable[[], Iterable[Problem]], ...] = (
        lambda: _segments(tree, read_data=read_data),
        lambda: _hot(tree, read_data=read_data),
        lambda: _journals(tree, read_data=read_data),
        lambda: log_problems(tree),
        lambda: _temporary(tree, time.time()),
        lambda: (Problem(path, _SET_ASIDE) for path in quarantine.held(tree)),
    )
    problems: list[Problem] = []
    for look in looks:
        try:
            problems += look()
        except OSError as error:
            problems.append(_unreadable(error.filename or tree.root, error))
    return problems


def _unreadable(path: str, error: OSError) -> Problem:
    return Problem(path, f"it cannot be read: {error.strerror or error}")


def _segments(tree: Tree, *, read_data: bool) -> Iterator[Problem]:
    content = manifest.load(tree)
    if content.damage:
        yield Problem(tree.manifest, content.damage)
    cold = Cold(tree, content)
    for part in PARTS:
        for _, segment in cold.segments(part):
            yield from segment.check(read_data=read_data)
    cold.close()


def _hot(tree: Tree, *, read_data: bool) -> Iterator[Problem]:
    for day, directory in manifest.day_directories(tree.root):
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    yield from _hot_file(entry, day, read_data=read_data)
        except FileNotFoundError:
            continue  # compaction has removed it as empty
        except OSError as error:
            yield _unreadable(directory, error)


def _hot_file(entry: os.DirEntry[str], day: int, *, read_data: bool) -> Iterator[Problem]:
    parsed = parse_hot(entry.name)
    if parsed is None:
        return
    try:
        size = entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return  # compacted meanwhile
    if size == 0:
        yield Problem(entry.path, "the file of a record is empty", 1)
    elif read_data and (sentence := hot_fault(entry.path, day, parsed)):
        yield Problem(entry.path, sentence, 1)


def hot_fault(path: str, day: int, parsed: tuple[str, int, int]) -> str:
    """Say what is wrong with a hot file; nothing when it fits its name, or is gone meanwhile."""
    try:
        record = open_file(fileops.read(path), orjson.loads)
        if not is_record(record):
            return "this is no stored record"
    except FileNotFoundError:
        return ""  # compacted meanwhile
    except ValueError as error:
        return f"this is not what was written: {error}"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    meta = record["_meta"]
    second = (meta["instant"] - day * DAY) // 1_000_000
    if (record["pattern_type"], second, digest(record["pattern_id"])) != parsed or meta["revision"] != 1:
        return "its content does not fit its name"
    return ""


def _journals(tree: Tree, *, read_data: bool) -> Iterator[Problem]:
    journals = Journals(tree)
    for name in journal.listed(tree.journals):
        path = os.path.join(tree.journals, name)
        try:
            found = journals.read(path)
            if read_data:
                for position in range(len(found.seqs)):
                    raw = read_span(path, found.offsets[position], found.lengths[position])
                    record = open_line(raw, orjson.loads)
                    if not is_record(record) or digest(record["pattern_id"]) != found.hashes[position]:
                        place = f"{path}, byte {found.offsets[position]}"
                        yield Problem(place, "this is no stored record", 1)
            if found.damage:
                yield Problem(path, found.damage)
        except FileNotFoundError:
            continue
        except JournalDamageError as damage:
            yield Problem(path, str(damage))
        except (ValueError, OSError) as error:
            yield Problem(path, f"it cannot be read: {error}")


def log_problems(tree: Tree) -> Iterator[Problem]:
    """A log that is trusted must know everything that is loose; one that is not is made anew at need."""
    log = tree.current_log()
    if log is None:
        return
    try:
        for hashed, _, _, place in changes(tree):
            if all(place != known for _, _, known, _ in log.find(hashed)) and tree.holds(place):
                sentence = f"the change log does not know {place}; remove the directory to have it renewed"
                yield Problem(tree.index, sentence)
        suspects = list(_missing(tree, log))
        now = tree.current_log() if suspects else None  # a compaction may have moved them meanwhile
        lost = Counter(place for _, place in _missing(tree, now, suspects)) if now else {}
        for path, records in lost.items():
            yield Problem(path, "it was stored and is missing", records)
    except StaleLogError as damage:
        yield Problem(tree.index, f"{damage}; the change log is made anew from the tree when it is used", 0)


def _missing(
    tree: Tree, log: HotLog, among: Collection[tuple[int, str]] | None = None
) -> Iterator[tuple[int, str]]:
    """Yield hash and path of what the log knows as stored and neither its place nor a segment holds."""
    content = manifest.load(tree)
    cold = Cold(tree, content)
    ended: dict[int, int] = {}
    absent: list[tuple[int, int, int, str]] = []
    for hashed, seq, revision, place in log.changes(settled=True):
        name, colon, span = place.partition(":")
        if span == "-":
            ended[hashed] = seq
        elif name not in content.dead and not tree.holds(place):
            path = os.path.join(tree.journals, name) if colon else tree.path(name)
            if among is None or (hashed, path) in among:
                absent.append((hashed, seq, revision, path))
    for hashed, seq, revision, path in absent:
        moved = any(same == revision and tree.holds(place) for _, same, place, _ in log.find(hashed))
        is_cold = any(_may_hold(segment, hashed) for part in PARTS for _, segment in cold.segments(part))
        # A removed id comes back through a journal only, so what its hot file held has ended, too.
        removed = seq < ended.get(hashed, -1) if path.startswith(tree.journals) else hashed in ended
        if not (removed or moved or is_cold):
            yield hashed, path
    cold.close()


def _may_hold(segment: Segment, hashed: int) -> bool:
    try:
        return segment.may_hold(hashed)
    except StoreError:
        return True  # damaged, which is a finding of its own, or moved meanwhile


def _temporary(tree: Tree, now: float) -> Iterator[Problem]:
    for path in left_over(tree, now):
        yield Problem(path, "a temporary file that nobody finished; compaction removes it", 0)

"""Makes the change log anew from the tree: file names say nearly all of it."""

from __future__ import annotations

import os

from moai_patterns.backends.filesystem import hotlog, journal
from moai_patterns.backends.filesystem.journal import Journal, JournalDamageError
from moai_patterns.backends.filesystem.names import digest, parse_hot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from moai_patterns.backends.filesystem.tree import Tree

    # hash, seq, revision, place
    Announced = tuple[int, int, int, str]


def rebuild(tree: Tree) -> None:
    """Replace the log of a tree; to be called under its exclusive lock.

    A hot file is dated by its arrival number, journals carry theirs; what was compacted before is known
    to the manifest.
    """
    found = sorted(changes(tree), key=lambda change: change[1])
    hotlog.create(tree.index, found, max([tree.last_compacted(), *(seq for _, seq, _, _ in found)]))


def changes(tree: Tree) -> list[Announced]:
    """Return every change that hot files and journals tell of."""
    return [*_hot(tree), *_journals(tree)]


def _hot(tree: Tree) -> list[Announced]:
    found: list[Announced] = []
    for year in _entries(tree.root, 4):
        for month in _entries(tree.path(year), 2):
            for day in _entries(tree.path(f"{year}/{month}"), 2):
                found += _of_day(tree, f"{year}/{month}/{day}")
    return found


def _of_day(tree: Tree, relative: str) -> Iterator[Announced]:
    try:
        with os.scandir(tree.path(relative)) as entries:
            for entry in entries:
                parsed = parse_hot(entry.name)
                if parsed is not None:
                    arrived = entry.stat(follow_symlinks=False).st_mtime_ns // 1000
                    yield parsed[2], arrived, 1, f"{relative}/{entry.name}"
    except (FileNotFoundError, NotADirectoryError):
        return  # compaction has removed what lay there: it is in a segment


def _journals(tree: Tree) -> list[Announced]:
    found: list[Announced] = []
    for name in journal.listed(tree.journals):
        try:
            opened = Journal(os.path.join(tree.journals, name))
        except (JournalDamageError, FileNotFoundError):
            continue  # check() names it, and a scan refuses it; what else there is stays findable
        found += (
            (digest(identity), seq, revision, f"{name}:-") for identity, revision, seq in opened.removals
        )
        for position, hashed in enumerate(opened.hashes):
            place = f"{name}:{opened.offsets[position]}:{opened.lengths[position]}"
            found.append((hashed, opened.seqs[position], opened.revisions[position], place))
    return found


def _entries(directory: str, digits: int) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if len(name) == digits and name.isdecimal()]
    except (FileNotFoundError, NotADirectoryError):
        return []

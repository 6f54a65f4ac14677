"""Makes the change log anew from the tree: file names say nearly all of it."""

from __future__ import annotations

import os
from itertools import islice

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem import hotlog, journal, torn
from moai_patterns.backends.filesystem.hotlog import HotLog
from moai_patterns.backends.filesystem.journal import Journal, JournalDamageError
from moai_patterns.backends.filesystem.names import digest, parse_hot
from moai_patterns.errors import BusyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moai_patterns.backends.filesystem.hotlog import Change, Found
    from moai_patterns.backends.filesystem.tree import Tree

    # hash, seq, revision, place
    Announced = tuple[int, int, int, str]


def rebuild(tree: Tree, most: int | None = None) -> None:
    """Replace the log of a tree; to be called under its exclusive lock.

    A hot file is dated by its arrival number, journals carry theirs; what was compacted before is known
    to the manifest. What a power cut left torn is set aside. Raises `BusyError` for a tree with more
    than `most` hot files.
    """
    hot = list(islice(_hot(tree), None if most is None else most + 1))
    if most is not None and len(hot) > most:
        raise BusyError(
            f"{tree.index} has to be made anew, which takes a while; any command that opens the store does it"
        )
    if torn.set_aside(tree, [(seq, place) for _, seq, _, place in hot]):
        hot = list(_hot(tree))
    found, damaged = _journals(tree)
    found += hot
    found.sort(key=lambda change: change[1])
    last = max([tree.last_compacted(), *(seq for _, seq, _, _ in found)])
    try:
        create_log(tree.index, found, last, damaged=damaged)
    except OSError as error:
        if error.errno not in fileops.FULL:
            raise
        discard_log(tree.index)
        create_log(tree.index, found, last, damaged=damaged)


def changes(tree: Tree) -> list[Announced]:
    """Return every change that hot files and journals tell of."""
    return [*_hot(tree), *_journals(tree)[0]]


class LooseChanges:
    """Finds changes by listing the tree, anew whenever something in it has changed."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._seen: list[tuple[str, int, int]] | None = None
        self._by_hash: dict[int, list[Found]] = {}

    def find(self, hashed: int) -> list[Found]:
        """Return the changes of the ids with this hash, newest arrival first."""
        now = self._state()
        if now != self._seen:
            self._by_hash = {}
            for known, seq, revision, place in changes(self._tree):
                self._by_hash.setdefault(known, []).append((seq, revision, place, True))
            self._seen = now
        return sorted(self._by_hash.get(hashed, ()), reverse=True)

    def _state(self) -> list[tuple[str, int, int]]:
        """What changes when a file comes or goes, or a session's journal grows."""
        tree = self._tree
        places = [os.path.join(tree.journals, name) for name in journal.listed(tree.journals)]
        places += [tree.journals, *(tree.path(day) for day in _days(tree))]
        state = []
        for place in places:
            try:
                facts = os.stat(place)
            except FileNotFoundError:
                continue
            state.append((place, facts.st_mtime_ns, facts.st_size))
        return state


def _hot(tree: Tree) -> Iterator[Announced]:
    for day in _days(tree):
        yield from _of_day(tree, day)


def _days(tree: Tree) -> Iterator[str]:
    for year in _entries(tree.root, 4):
        for month in _entries(tree.path(year), 2):
            yield from (f"{year}/{month}/{day}" for day in _entries(tree.path(f"{year}/{month}"), 2))


def _of_day(tree: Tree, relative: str) -> Iterator[Announced]:
    try:
        with os.scandir(tree.path(relative)) as entries:
            for entry in entries:
                parsed = parse_hot(entry.name)
                if parsed is None:
                    continue
                try:
                    arrived = entry.stat(follow_symlinks=False).st_mtime_ns // 1000
                except FileNotFoundError:
                    continue  # compaction has removed it: it is in a segment
                yield parsed[2], arrived, 1, f"{relative}/{entry.name}"
    except (FileNotFoundError, NotADirectoryError):
        return


def _journals(tree: Tree) -> tuple[list[Announced], int]:
    """Return what the journals tell, and how many of them are damaged."""
    found: list[Announced] = []
    damaged = 0
    for name in journal.listed(tree.journals):
        try:
            opened = Journal(os.path.join(tree.journals, name))
        except FileNotFoundError:
            continue
        except JournalDamageError:
            damaged += 1
            continue  # check() names it, and a scan refuses it; what else there is stays findable
        damaged += bool(opened.damage)
        found += (
            (digest(identity), seq, revision, f"{name}:-") for identity, revision, seq in opened.removals
        )
        for position, hashed in enumerate(opened.hashes):
            place = f"{name}:{opened.offsets[position]}:{opened.lengths[position]}"
            found.append((hashed, opened.seqs[position], opened.revisions[position], place))
    return found, damaged


def _entries(directory: str, digits: int) -> list[str]:
    try:
        found = [name for name in os.listdir(directory) if len(name) == digits and name.isdecimal()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    for name in found:
        fileops.must_not_lead_away(directory, os.path.join(directory, name))
    return found


def create_log(
    directory: str, changes: Iterable[tuple[int, int, int, str]], seq: int, *, damaged: int = 0
) -> None:
    """Write a log of these (hash, seq, revision, place) and put it in the place of any other.

    `seq` is the last arrival number given so far, `damaged` the number of journals that were not whole.
    """
    fileops.make_dirs(directory)
    old = [name for name in os.listdir(directory) if name.startswith(("log.", "heads."))]
    numbers = [name.rpartition(".")[2] for name in old]
    number = 1 + max((int(found) for found in numbers if found.isdecimal()), default=0)
    log, fresh = (os.path.join(directory, f"{name}.{number}") for name in ("log", "heads"))
    try:
        fileops.create(log, b"")
        fileops.create(fresh, hotlog.blank(number, seq, damaged))
        _fill(HotLog(directory, f"heads.{number}"), changes)
        fileops.rename(fresh, os.path.join(directory, "heads"))
    except BaseException:  # on a full disk it must not take up what is left of it
        fileops.remove(fresh)
        fileops.remove(log)
        raise
    for name in old:
        fileops.remove(os.path.join(directory, name))


def _fill(staging: HotLog, changes: Iterable[tuple[int, int, int, str]]) -> None:
    hashes: list[int] = []
    found: list[Change] = []
    try:
        for hashed, arrived, revision, place in changes:
            hashes.append(hashed)
            found.append((arrived, revision, place))
            if len(hashes) == 10_000:
                staging.append(hashes, found)
                hashes, found = [], []
        if hashes:
            staging.append(hashes, found)
        staging.settle()
    finally:
        staging.close()


def discard_log(directory: str) -> None:
    """Remove a log that cannot be trusted: it may take up the space that a new one needs."""
    for name in os.listdir(directory):
        if name == "heads" or name.startswith(("log.", "heads.")):
            fileops.remove(os.path.join(directory, name))

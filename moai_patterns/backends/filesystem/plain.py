"""A tree in the plain layout of the document, for reading: one file per pattern, an id map at the root."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from moai_patterns.backends.base import Batch, ForeignStore, Problem, unfit
from moai_patterns.backends.filesystem import plain_files
from moai_patterns.backends.filesystem.plain_files import Place, PlainFile
from moai_patterns.errors import DamageError, ReadOnlyError, StoreError
from moai_patterns.instant import DAY, instant
from moai_patterns.query import Query, Record


def is_plain(root: str) -> bool:
    """Tell whether a directory is a tree in the plain layout.

    It is when `index.json` maps ids to paths, when it is an empty map and nothing else is there, or when
    dated folders hold a pattern file without `_meta` and `index.json` is absent, empty or unreadable. An
    empty directory is none, nor is one of ours,
    whose `index.json` says `layout`. Raises `OSError`.

    >>> is_plain("nowhere")
    False
    """
    if not os.path.isdir(root):
        return False
    content = plain_files.index(root)
    if content:
        return bool(plain_files.entries(content))
    if content == {} and os.listdir(root) == ["index.json"]:
        return True
    found = plain_files.sample(root)
    return found is not None and "_meta" not in found


class PlainTree(ForeignStore):
    """A tree in the plain layout.

    Nobody has numbered its patterns, so each is revision 1, recorded at its own instant, and arrives in
    the order of paths. Where several files hold one id, the one with the latest instant (then path) is
    the pattern; the others are not shown. A file that cannot be read stops with `DamageError` every
    question that it could belong to: by the day of its folder, and the id that `index.json` gives it.

    Parameters:
        root: the directory, which must exist.

    Each question raises `StoreError` when the directory cannot be read.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     os.makedirs(root + "/2025/11/29")
    ...     with open(root + "/2025/11/29/task_20251129_100000_a.json", "w") as file:
    ...         _ = file.write(
    ...             '{"pattern_id": "a", "pattern_type": "task_completion", '
    ...             '"timestamp": "2025-11-29T10:00:00Z", "data": {}}'
    ...         )
    ...     is_plain(root), PlainTree(root).get("a")["timestamp"]
    (True, '2025-11-29T10:00:00Z')
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._seen: dict[Place, PlainFile] = {}
        self._closed = False

    def write(self, batch: Batch) -> NoReturn:
        """Refuse, naming the command that brings the patterns into a store that can be written."""
        raise ReadOnlyError(
            errno.EROFS,
            "a tree in the plain layout can only be read; bring it over with "
            f"`moai-patterns copy --store file:{self._root} file:NEW`",
            self._root,
        )

    def scan(self, query: Query) -> Iterator[Record]:
        """Yield the exact answer in the query's order, limit and cursor applied last."""
        files = self._files()
        if broken := self._broken(files, query):
            others = f" ({len(broken) - 1} other files are damaged, too)" if len(broken) > 1 else ""
            raise DamageError(
                f"{self._path(broken[0].path)}: {broken[0].damage}{others}; "
                "mend it or move it out of the tree, or ask for other days or for single ids"
            )
        return self._answer(files, query)

    def sift(self, query: Query, refused: Callable[[Problem], None]) -> Iterator[Record]:
        """Yield what of the answer is a valid record; `refused` is told of the rest, damage included."""
        files = self._files()
        for file in self._broken(files, query):
            refused(Problem(self._path(file.path), file.damage, 1))
        for record in self._answer(files, query):
            if fault := unfit(record):
                refused(Problem(self._path(files[record["_meta"]["seq"] - 1].path), fault, 1))
            else:
                yield record

    def _answer(self, files: list[PlainFile], query: Query) -> Iterator[Record]:
        number = {file.path: seq for seq, file in enumerate(files, start=1)}
        chosen = [file for file in _newest(files) if _may_answer(file, query)]
        if query.order == "arrival":
            chosen.sort(key=lambda file: file.path)
        else:
            chosen.sort(key=lambda file: (file.moment, file.identity), reverse=query.order == "newest")
        return query.select((self._record(file, number[file.path]) for file in chosen), ordered=True)

    def close(self) -> None:
        """Forget what was read of the tree; a second call does nothing."""
        self._seen = {}
        self._closed = True

    def check(self, *, read_data: bool = False) -> list[Problem]:
        """Return a finding for each file without a valid pattern, and for each id that only the index knows.

        `read_data` makes no difference: every file is read in any case.
        """
        files = self._files()
        found = [Problem(self._path(file.path), file.damage, 1) for file in files if file.damage]
        found += self._unfit(files)
        place = self._path("index.json")
        try:
            content = plain_files.index(self._root)
        except OSError as error:
            return [*found, Problem(place, f"it cannot be read: {error.strerror}", 0)]
        entries = plain_files.entries(content)
        if not entries and content != {} and os.path.lexists(place):
            found.append(Problem(place, "it is no map of ids; reading goes without it", 0))
        known = {file.identity for file in files}
        at = {_stem(file.path): file for file in sorted(files, key=lambda file: not file.damage)}
        for identity, path in entries.items():
            holder = at.get(_stem(path))
            if identity not in known and (holder is None or not holder.damage):
                instead = "is not there" if holder is None else f"holds {holder.identity!r}"
                found.append(Problem(place, f"{identity!r} should be in {path}, which {instead}", 1))
        return found

    def _unfit(self, files: list[PlainFile]) -> list[Problem]:
        records = self._answer(files, Query(limit=None, order="arrival"))
        faults = [(record["_meta"]["seq"], fault) for record in records if (fault := unfit(record))]
        return [Problem(self._path(files[number - 1].path), fault, 1) for number, fault in faults]

    def sizes(self) -> dict[str, int]:
        """Return the apparent bytes of the pattern files."""
        sizes = {"hot": 0, "cold": 0}
        for place in self._look():
            sizes["cold" if place.path.endswith(".gz") else "hot"] += place.size
        return sizes

    def facts(self) -> dict[str, Any]:
        """Return what `doctor` shows of this tree."""
        return {"layout": "plain", "files": len(self._files())}

    def _path(self, path: str) -> str:
        return os.path.join(self._root, *path.split("/"))

    def _files(self) -> list[PlainFile]:
        """Return all files by path."""
        return list(self._look().values())

    def _look(self) -> dict[Place, PlainFile]:
        """Read the files that are not as they were at the last look."""
        if self._closed:
            raise StoreError(errno.EBADF, "this store is closed", self._root)
        # A file that could not be read is tried again: the reason may have been a full table of descriptors.
        known = {place: file for place, file in self._seen.items() if not file.damage}
        try:
            self._seen = seen = {
                place: known.get(place) or plain_files.describe(self._root, place.path)
                for place in plain_files.places(self._root)
            }
        except OSError as error:
            raise StoreError(error.errno, f"the tree cannot be read: {error.strerror}", self._root) from error
        return seen

    def _broken(self, files: Iterable[PlainFile], query: Query) -> list[PlainFile]:
        """Return the damaged files in which an answer could lie."""
        broken = [file for file in files if file.damage and _overlaps(file, query)]
        if broken and query.ids is not None:
            owners = self._owners()
            broken = [file for file in broken if owners.get(_stem(file.path)) in (None, *query.ids)]
        return broken

    def _owners(self) -> dict[str, str]:
        """Return the id that `index.json` gives to each file."""
        try:
            entries = plain_files.entries(plain_files.index(self._root))
        except OSError:  # then any id may be in a damaged file
            return {}
        return {_stem(path): identity for identity, path in entries.items()}

    def _record(self, file: PlainFile, number: int) -> Record:
        try:
            record = plain_files.read(self._root, file.path)
            if (record["pattern_id"], instant(record["timestamp"])) != (file.identity, file.moment):
                raise ValueError("it holds another pattern")
        except (OSError, ValueError) as error:
            self._seen = {}
            raise StoreError(
                f"{self._path(file.path)} changed while the tree was read ({error}); ask again"
            ) from error
        record["_meta"] = {
            "instant": file.moment,
            "revision": 1,
            "recorded_at": file.moment,
            "operation": "import",
            "seq": number,
        }
        return record


def _newest(files: Iterable[PlainFile]) -> Iterable[PlainFile]:
    """Return for each id the file that holds its pattern."""
    heads: dict[str, PlainFile] = {}
    for file in files:
        head = heads.get(file.identity)
        if not file.damage and (head is None or (file.moment, file.path) > (head.moment, head.path)):
            heads[file.identity] = file
    return heads.values()


def _may_answer(file: PlainFile, query: Query) -> bool:
    return (
        (query.since is None or file.moment >= query.since)
        and (query.until is None or file.moment <= query.until)
        and (query.kinds is None or file.kind in query.kinds)
        and (query.ids is None or file.identity in query.id_set)
    )


def _overlaps(file: PlainFile, query: Query) -> bool:
    """Tell whether the day of a file's folder, in whatever zone it was meant, meets the query's bounds."""
    day = plain_files.day_of(file.path)
    if day is None:
        return True
    since, until = query.since, query.until
    return (since is None or (day + 2) * DAY > since) and (until is None or (day - 1) * DAY <= until)


def _stem(path: str) -> str:
    """The index keeps the name that a file had before it was compressed."""
    return path.removesuffix(".gz")

"""`repair` on a tree: what is whole goes on, what is not is kept in the quarantine, nothing else moves."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.errors import LayoutError
from moai_patterns.instant import DAY
from moai_patterns.query import Query, Record
from moai_patterns.testing.pools import MIDNIGHT, stored
from stores import contents
from wounds import flip

EVERYTHING = Query(limit=None, order="oldest", revisions="all")
HEADS = Query(limit=None, order="oldest")
FIRST = MIDNIGHT // DAY
IDS = [*(f"c{n}" for n in range(140)), "h0", "h1", "h2", "j0", "j1", "j2", "j3", "s0", "s1"]


def fill(path: Path) -> None:
    """A tree with all kinds of files: two compacted days with history, hot files, batches, a session."""
    with closing(FilesystemBackend(str(path))) as store:
        store.write(Batch([stored(f"c{n}", MIDNIGHT + n % 2 * DAY + n, data={"n": n}) for n in range(140)]))
        store.write(Batch([stored(f"c{n}", MIDNIGHT + n % 2 * DAY + n, 2, data={"n": n}) for n in range(4)]))
        store.compact([FIRST, FIRST + 1])
        for n in range(3):
            store.write(Batch([stored(f"h{n}", MIDNIGHT + 2 * DAY + n, data={"text": "x" * 90})]))
        store.write(Batch([stored(f"j{n}", MIDNIGHT + 2 * DAY + n) for n in range(4)]))
        store.write(Batch([stored("c7", MIDNIGHT + DAY + 7, 2), stored("j1", MIDNIGHT + 2 * DAY + 1, 2)]))
        store.write(Batch(remove=[Removal("c11"), Removal("h2")]))
        session = store.single_writer()
        for n in range(2):
            session.write(Batch([stored(f"s{n}", MIDNIGHT + 2 * DAY + n)]))
        session.close()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree before anything happened to it."""
    path = tmp_path_factory.mktemp("pristine") / "tree"
    fill(path)
    return path


@pytest.fixture
def tree(pristine: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(pristine, tmp_path / "tree"))


def revisions(store: FilesystemBackend, query: Query = EVERYTHING) -> dict[tuple[str, int], Record]:
    """What a scan yields, each revision once."""
    found: dict[tuple[str, int], Record] = {}
    for record in store.scan(query):
        key = (record["pattern_id"], record["_meta"]["revision"])
        assert key not in found
        found[key] = record
    return found


def flipped(share: float) -> Callable[[Path], None]:
    """Flip a bit of the byte so far into a file."""
    return lambda path: flip(path, int((path.stat().st_size - 1) * share))


def cut(share: float) -> Callable[[Path], None]:
    """Cut a file so far into it."""
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def scrambled(path: Path) -> None:
    """Put something else into a file of the same size."""
    path.write_bytes((b"scramble" * (path.stat().st_size // 8 + 1))[: path.stat().st_size])


def lengthened(path: Path) -> None:
    """Put zeros behind a file."""
    with path.open("ab") as file:
        file.write(bytes(100))


WOUNDS: dict[str, Callable[[Path], None]] = {
    **{f"flip at {part}/9": flipped(part / 9) for part in (0, 2, 5, 9)},
    **{f"cut at {part}/4": cut(part / 4) for part in (0, 3)},
    "gone": Path.unlink,
    "scrambled": scrambled,
    "longer": lengthened,
}
FILES = (
    "2*/*/*/*_h0_*.json",
    "2*/*/*/*.jsonl.gz",
    "2*/*/*/*.idx",
    "history/*/*/*/*.jsonl.gz",
    "history/*/*/*/*.idx",
    "journal/*.jsonl",
    "index.json",
    "index.copy.json",
    "index/heads",
    "index/log.*",
)


def held(path: Path, pristine: Path) -> set[tuple[str, int]]:
    """The revisions that a file of the whole tree holds; all of them for a manifest or an index."""
    with closing(FilesystemBackend(str(pristine))) as store:
        everything = revisions(store)
    inside = path.name
    if "_h0_" in inside:
        return {("h0", 1)}
    if ".jsonl" not in inside:
        return set()
    raw = path.read_bytes()
    text = gzip.decompress(raw).decode() if inside.endswith(".gz") else raw.decode()
    return {key for key in everything if f'"pattern_id":"{key[0]}"' in text}


def check_repaired(tree: Path, pristine: Path, inside: set[tuple[str, int]]) -> None:
    """What is there is right, only what was in the damaged file may be gone, and the tree works again."""
    with closing(FilesystemBackend(str(pristine))) as store:
        right = revisions(store)
    with closing(FilesystemBackend(str(tree))) as store:
        found = revisions(store)
        assert {key: found[key] for key in found if found[key] != right.get(key)} == {}
        assert right.keys() - found.keys() <= inside
        newest = {identity: max(r for i, r in found if i == identity) for identity, _ in found}
        assert revisions(store, HEADS).keys() == set(newest.items())
        assert sorted(revisions(store, Query(limit=None, order="arrival", revisions="all"))) == sorted(found)
        for identity in IDS:
            head = store.get(identity)
            assert (head and head["_meta"]["revision"]) == newest.get(identity)
        assert all("quarantine" in problem.place for problem in store.check(read_data=True))
        before = contents(tree)
        assert store.repair() == []
        assert contents(tree) == before
        store.compact([FIRST, FIRST + 1, FIRST + 2])
        for identity in IDS:
            store.write(Batch([stored(identity, MIDNIGHT + 3 * DAY, newest.get(identity, 0) + 1)]))
        store.compact(range(FIRST, FIRST + 4))
        assert len(list(store.scan(HEADS))) == len(IDS)
        assert store.delete(Query(end_date=MIDNIGHT + 4 * DAY)) == len(IDS)
        assert all("quarantine" in problem.place for problem in store.check(read_data=True))


@pytest.mark.parametrize("wound", WOUNDS)
@pytest.mark.parametrize("pattern", FILES)
def test_a_damaged_file_is_mended(tree: Path, pristine: Path, pattern: str, wound: str) -> None:
    """Each kind of damage to each kind of file: what is whole stays, what was in that file may be lost."""
    for number, whole in enumerate(sorted(pristine.glob(pattern))):
        if number:
            shutil.rmtree(tree)
            shutil.copytree(pristine, tree)
        path = tree / whole.relative_to(pristine)
        times = path.stat()
        WOUNDS[wound](path)
        if path.exists():
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        try:
            store = FilesystemBackend(str(tree))
        except LayoutError:
            assert path.name == "index.json"  # the number of the layout
            continue
        with closing(store):
            told = store.repair()
        harmless = wound in ("flip at 9/9", "longer", "cut at 3/4") and b'"session"' in whole.read_bytes()
        assert told or harmless or not pattern.startswith("journal")
        check_repaired(tree, pristine, held(whole, pristine))

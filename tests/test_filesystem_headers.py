"""The header of a journal has a checksum of its own: no flipped bit removes another id, or nothing."""

from __future__ import annotations

import json
import shutil
from binascii import crc32
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from moai_patterns.backends.base import Batch, Removal, Repair
from moai_patterns.backends.filesystem import hotlog
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.filesystem.hotlog import HotLog
from moai_patterns.errors import DamageError
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored
from wounds import flip

EVERYTHING = Query(limit=None, order="oldest", revisions="all")
Found = list[tuple[str, int, int]]


@contextmanager
def opened(path: Path) -> Iterator[FilesystemBackend]:
    with closing(FilesystemBackend(str(path))) as store:
        yield store


@pytest.fixture(params=[True, False], ids=["after a start", "with the log"])
def restart(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Let the machine seem to have been started, or not, and tell whether it was: no log vouches then."""

    def started() -> bool:
        if request.param:
            monkeypatch.setattr(hotlog, "_boot", [hotlog.boot() ^ 1])
        return bool(request.param)

    return started


def numbered(identity: str, number: int, revision: int = 1, day: int = 0) -> dict[str, object]:
    return stored(identity, MIDNIGHT + day * DAY, revision, data={"n": number})


def found(store: FilesystemBackend) -> Found:
    """Id, revision and number of what there is; each id's head is what is loaded."""
    records = list(store.scan(EVERYTHING))
    for record in store.scan(Query(limit=None)):
        assert store.get(record["pattern_id"]) == record
    return sorted((r["pattern_id"], r["_meta"]["revision"], r["data"]["n"]) for r in records)


def mend(tree: Path) -> tuple[list[Repair], Found]:
    """Repair a tree; return what was told and what there is now, also behind a compaction."""
    with opened(tree) as store:
        planned = store.repair(dry_run=True)
        told = store.repair()
        assert told == planned
        there = found(store)
        assert all("quarantine" in problem.place for problem in store.check(read_data=True))
        store.compact([MIDNIGHT // DAY, MIDNIGHT // DAY + 1])
        assert found(store) == there
        return told, there


def removing(tree: Path) -> Path:
    """The journal that removes something."""
    (path,) = (path for path in (tree / "journal").iterdir() if b'"remove":[[' in path.read_bytes())
    return path


def test_another_id_in_a_header_is_not_believed(tmp_path: Path, restart: Callable[[], bool]) -> None:
    """What was never removed stays; that the removal may be undone is told where nobody knows of it."""
    with opened(tmp_path / "tree") as store:
        store.write(Batch([numbered("rec-1", 1)]))
        store.write(Batch([numbered("rec-3", 3)]))
        store.write(Batch(remove=[Removal("rec-1")]))
    path = removing(tmp_path / "tree")
    flip(path, path.read_bytes().index(b"rec-1") + 4)  # 1 becomes 0
    path.write_bytes(path.read_bytes().replace(b"rec-0", b"rec-3"))
    unknown = restart()
    with opened(tmp_path / "tree") as store, pytest.raises(DamageError, match=path.name):
        list(store.scan(EVERYTHING))
    told, there = mend(tmp_path / "tree")
    (repair,) = (repair for repair in told if repair.place == str(path))
    assert repair.lost == (None if unknown else 0)
    assert ("may be back" in repair.sentence) == unknown
    assert there == [("rec-1", 1, 1)] * unknown + [("rec-3", 1, 3)]


@pytest.mark.parametrize("first", ["hot", "cold", "in a session"])
@pytest.mark.parametrize("together", [False, True])
def test_no_bit_of_a_header_shows_an_id_twice(
    tmp_path: Path, restart: Callable[[], bool], first: str, together: bool
) -> None:
    """An id that was saved again was removed before: only what its second life holds is there."""
    whole, tree = tmp_path / "whole", tmp_path / "tree"
    again = numbered("a", 3)
    with opened(whole) as store, closing(store.single_writer()) as session:
        (session if first == "in a session" else store).write(Batch([numbered("a", 1)]))
        store.write(Batch([numbered("a", 2, 2, day=1)]))
        if first == "cold":
            store.compact([MIDNIGHT // DAY])
        store.write(Batch([again] if together else [], [Removal("a")]))
        if not together:
            store.write(Batch([again]))
    path = removing(whole)
    unknown = restart()
    for at in range(path.read_bytes().index(b"\n") + 1):
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(whole, tree)
        flip(tree / "journal" / path.name, at)
        told, there = mend(tree)
        assert there == [("a", 1, 3)], at
        assert [repair.lost for repair in told if repair.place.endswith(path.name)] == [
            None if unknown else 0
        ]


def test_a_removal_whose_writer_died_behind_its_commit_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has announced it, and the journal is there: with a damaged header it still removes."""
    with opened(tmp_path / "tree") as store:
        store.write(Batch([numbered("a", 1)]))
        store.write(Batch([numbered("b", 2)]))
        with monkeypatch.context() as patched:
            patched.setattr(HotLog, "settle", lambda log: None)
            store.write(Batch(remove=[Removal("a")]))
    flip(removing(tmp_path / "tree"), 12)
    told, there = mend(tmp_path / "tree")
    assert there == [("b", 1, 2)]
    assert {repair.lost for repair in told} == {0}


def test_removals_hide_what_lies_in_journals_with_damaged_headers(tmp_path: Path) -> None:
    """Two headers are damaged: what the log says of the one is looked for in the other, too."""
    with opened(tmp_path / "tree") as store:
        store.write(Batch([numbered("a", 1), numbered("b", 2)]))
        store.write(Batch(remove=[Removal("a")]))
    for path in (tmp_path / "tree" / "journal").iterdir():
        flip(path, 3)
    told, there = mend(tmp_path / "tree")
    assert there == [("b", 1, 2)]
    assert {repair.lost for repair in told} == {0}


def test_a_changed_column_of_the_end_line_is_damage(tmp_path: Path) -> None:
    """What the index of a journal says of its lines is believed only with the checksum of all of it."""
    with opened(tmp_path / "tree") as store:
        store.write(Batch([numbered("a", 1), numbered("b", 2)]))
    (path,) = (tmp_path / "tree" / "journal").iterdir()
    data = bytearray(path.read_bytes())
    at = data.index(b'"instants":"') + len(b'"instants":"')
    data[at] = ord("B") if data[at] == ord("A") else ord("A")
    path.write_bytes(data)
    with opened(tmp_path / "tree") as store, pytest.raises(DamageError, match="checksum"):
        list(store.scan(EVERYTHING))


def of_version_1(path: Path) -> None:
    """Write the header of a journal as versions before 2 did, without a checksum."""
    first, _, rest = path.read_bytes().partition(b"\n")
    facts = json.loads(first)
    kind = "journal" if "journal" in facts else "session"
    data = json.dumps({kind: 1, "remove": facts["remove"]}, separators=(",", ":")).encode() + b"\n" + rest
    at = data.rfind(b"\n", 0, -1) + 1
    if data.startswith(b'{"end":', at):
        sealed = data[: data.rfind(b":") + 1]
        data = b"%b%d}\n" % (sealed, crc32(sealed))
    path.write_bytes(data)


def test_journals_of_version_1_are_read(tmp_path: Path) -> None:
    """Batches, removals and sessions, also a killed one, from before headers had checksums."""
    with opened(tmp_path / "tree") as store:
        store.write(Batch([numbered("a", 1), numbered("b", 2)]))
        store.write(Batch(remove=[Removal("a")]))
        for number in (3, 4):
            session = store.single_writer()
            session.write(Batch([numbered("c", number, number - 2)]))
            session.close()
    batch, removal, _, killed = sorted((tmp_path / "tree" / "journal").iterdir())
    for path in (tmp_path / "tree" / "journal").iterdir():
        of_version_1(path)
    killed.write_bytes(b"".join(killed.read_bytes().splitlines(keepends=True)[:2]))
    (tmp_path / "tree" / "index" / "heads").unlink()
    wanted = [("b", 1, 2), ("c", 1, 3), ("c", 2, 4)]
    with opened(tmp_path / "tree") as store:
        assert found(store) == wanted
        assert not store.check(read_data=True)
    flip(removal, 30)
    with opened(tmp_path / "tree") as store, pytest.raises(DamageError, match="header"):
        list(store.scan(EVERYTHING))
    assert batch.read_bytes().startswith(b'{"journal":1,')

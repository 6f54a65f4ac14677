"""The change log of a tree is a cache: lost, copied or damaged, it never changes an answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from leaks import descriptors
from moai_patterns.backends import fileops
from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.filesystem import hotlog, names, rebuilding
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.filesystem.write import TreeWriter
from moai_patterns.errors import BusyError, DamageError, StoreError
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.compare import agree, heads
from moai_patterns.testing.pools import MIDNIGHT, stored


def opened(path: Path, durability: str = "os") -> Any:
    """The tree, for a `with` statement."""
    return closing(FilesystemBackend(str(path), durability=durability))


def test_a_tree_copied_without_its_times_keeps_its_heads(tmp_path: Path) -> None:
    """After `cp -r` without the index the newest revision is still the one that is loaded."""
    with opened(tmp_path / "tree") as store:
        for identity in "abc":
            store.write(Batch([stored(identity, MIDNIGHT)]))
        store.write(Batch([stored("a", MIDNIGHT, 2), stored("b", MIDNIGHT + DAY, 2)]))
        store.write(Batch(remove=[Removal("c")]))
    shutil.copytree(tmp_path / "tree", tmp_path / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(tmp_path / "copy" / "index")
    with opened(tmp_path / "copy") as store:
        for _ in range(2):
            assert [store.get(identity)["_meta"]["revision"] for identity in "ab"] == [2, 2]
            assert store.get("c") is None
            agree(sorted(heads(store), key=str), sorted((store.get("a"), store.get("b")), key=str), "heads")
            assert store.check(read_data=True) == []
            store.compact([MIDNIGHT // DAY, MIDNIGHT // DAY + 1])
        store.write(Batch([stored("a", MIDNIGHT, 3)]))
        assert store.get("a")["_meta"]["revision"] == 3


def test_a_log_made_of_a_damaged_journal_guesses_nothing(tmp_path: Path) -> None:
    """What such a journal held cannot be known, so a lookup names it instead of giving an older answer."""
    path = tmp_path / "tree"
    with opened(path) as store:
        store.write(Batch([stored("h", MIDNIGHT)]))
        store.write(Batch([stored("j", MIDNIGHT), stored("h", MIDNIGHT, 2)]))
    (journal,) = (path / "journal").iterdir()
    whole = journal.read_bytes()
    journal.write_bytes(whole[: len(whole) // 4])
    shutil.rmtree(path / "index")
    with opened(path) as store:
        for identity in ("h", "j", "unknown"):
            with pytest.raises(DamageError, match=journal.name):
                store.get(identity)
        journal.write_bytes(whole)
        assert store.get("h") is not None


@pytest.mark.parametrize("length", [1, 7, 8, 9])
def test_a_table_of_an_odd_length_is_none_or_harmless(tmp_path: Path, length: int) -> None:
    """Bytes behind the table of heads do not matter."""
    with opened(tmp_path / "tree") as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
    with (tmp_path / "tree/index/heads").open("ab") as file:
        file.write(b"x" * length)
    with opened(tmp_path / "tree") as store:
        assert store.get("a") is not None
        store.write(Batch([stored("b", MIDNIGHT)]))
        assert store.get("b") is not None


def test_a_file_that_goes_while_the_log_is_made_anew_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compaction may remove hot files while they are listed."""
    with opened(tmp_path / "tree") as store:
        for number in range(9):
            store.write(Batch([stored(f"r{number}", MIDNIGHT)]))
    shutil.rmtree(tmp_path / "tree/index")
    parse = names.parse_hot
    first = next((tmp_path / "tree/2025").rglob("*.json"))

    def removing(name: str) -> Any:
        if name == first.name:
            first.unlink(missing_ok=True)
        return parse(name)

    monkeypatch.setattr(rebuilding, "parse_hot", removing)
    with opened(tmp_path / "tree") as store:
        assert sum(store.get(f"r{number}") is not None for number in range(9)) == 8


def test_a_log_that_is_taken_away_while_it_is_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever removes the files of a new change log gets the store refused with their place."""
    with opened(tmp_path / "tree") as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
    shutil.rmtree(tmp_path / "tree" / "index")
    fill = rebuilding._fill

    def removed(log: hotlog.HotLog, changes: Any) -> None:
        for path in (tmp_path / "tree" / "index").glob("log.*"):
            path.unlink()
        fill(hotlog.HotLog(str(tmp_path / "tree" / "index"), "heads.1"), changes)

    monkeypatch.setattr(rebuilding, "_fill", removed)
    with (
        pytest.raises(StoreError, match=r"log\.1 is missing, where it was just made"),
        opened(tmp_path / "tree") as store,
    ):
        store.write(Batch([stored("b", MIDNIGHT)]))


@pytest.mark.parametrize("cut", ["heads", "log.*", "*.idx"])
def test_a_file_that_is_cut_off_while_it_is_open_kills_nobody(tmp_path: Path, cut: str) -> None:
    """Whoever restores a file in its place cuts it first: a process that has it open goes on, and is told."""
    with opened(tmp_path / "tree") as store:
        store.write(Batch([stored(f"c{number}", MIDNIGHT) for number in range(9000)]))
        store.compact([MIDNIGHT // DAY])
        store.write(Batch([stored("a", MIDNIGHT)]))
    program = """
import os, sys
from contextlib import closing
from pathlib import Path
from moai_patterns.backends.base import Batch
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.errors import DamageError
from moai_patterns.testing.pools import MIDNIGHT, stored
with closing(FilesystemBackend(sys.argv[1])) as store:
    assert store.get("a") and store.get("c7")
    for path in Path(sys.argv[1]).rglob(sys.argv[2]):
        os.truncate(path, 0)
    for ask in (lambda: store.get("a"), lambda: store.get("c5000"), lambda: store.get("unknown")):
        try:
            ask()
        except DamageError:
            pass
    store.write(Batch([stored("b", MIDNIGHT)]))
with closing(FilesystemBackend(sys.argv[1])) as store:
    print(*(store.get(name)["pattern_id"] for name in ("a", "b", "c5000")))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "tree"), cut]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "a b c5000\n"), done.stderr


def test_a_capture_makes_no_large_log_anew(tmp_path: Path) -> None:
    """With more hot files than it was told to list it is busy, and the record can wait in the spool."""
    with opened(tmp_path / "tree") as store:
        for number in range(3):
            store.write(Batch([stored(f"r{number}", MIDNIGHT)]))
    shutil.rmtree(tmp_path / "tree/index")
    new = stored("new", MIDNIGHT)
    with closing(TreeWriter(str(tmp_path / "tree"), most=2)) as light, pytest.raises(BusyError, match="anew"):
        light.write([new], fresh=True)
    with closing(TreeWriter(str(tmp_path / "tree"), most=3)) as light:
        light.write([new], fresh=True)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The directories that were flushed, in order."""
    found: list[str] = []
    flush = fileops.sync_dir

    def telling(path: str) -> None:
        found.append(path)
        flush(path)

    monkeypatch.setattr(fileops, "sync_dir", telling)
    return found


@pytest.mark.parametrize("before", ["nothing", "os"])
def test_the_entries_of_all_new_directories_are_flushed(
    tmp_path: Path, synced: list[str], before: str
) -> None:
    """Each directory on the way to a record is on the medium, whoever made it, whenever its month began."""
    root = tmp_path / "new" / "tree"
    if before == "os":
        with opened(root) as store:
            store.write(Batch([stored("hook", MIDNIGHT)]))
    synced.clear()
    with opened(root, "record") as store:
        for day, wanted in ((0, "2025/11/29"), (1, "2025/11/30"), (2, "2025/12/01"), (40, "2026/01/08")):
            store.write(Batch([stored(f"r{day}", MIDNIGHT + day * DAY)]))
            year, month, _ = wanted.split("/")
            needed = {str(root / wanted), str(root / year / month), str(root / year), str(root)}
            if day == 0:
                needed |= {str(root.parent), str(tmp_path)}
            if day == 1:
                needed -= {str(root / year), str(root)}
            if day == 2:
                needed -= {str(root)}
            assert needed <= set(synced), wanted
            synced.clear()
        place = root / "2025/11/29"
        for directory in (place.parent, *place.parents[1:4]):
            os.utime(directory, (0, 0))  # nothing has come into it for long
        store.write(Batch([stored("again", MIDNIGHT)]))
        synced.clear()
        store.write(Batch([stored("once more", MIDNIGHT)]))
        assert synced == [str(place)]


def test_a_directory_that_is_made_anew_is_flushed_anew(tmp_path: Path, synced: list[str]) -> None:
    """A compaction removes an empty day; the next save makes it again, perhaps with the inode it had."""
    day = tmp_path / "tree/2025/11/29"
    with opened(tmp_path / "tree", "record") as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
        for directory in (day.parent, *day.parents[1:4]):
            os.utime(directory, (0, 0))
        store.write(Batch([stored("b", MIDNIGHT)]))
        for _ in range(3):
            shutil.rmtree(day)
            synced.clear()
            store.write(Batch([stored("c", MIDNIGHT)], fresh=True))
            assert str(day.parent) in synced


def test_a_session_adds_nothing_to_a_journal_that_could_not_be_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed flush nobody knows what the medium holds: the next save begins another file."""
    with opened(tmp_path / "tree", "record") as store:
        session = store.single_writer()
        session.write(Batch([stored("a", MIDNIGHT)]))

        def failing(_: int) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patched:
            patched.setattr(fileops, "sync", failing)
            with pytest.raises(StoreError):
                session.write(Batch([stored("b", MIDNIGHT)]))
        session.write(Batch([stored("c", MIDNIGHT)]))
        assert len(list((tmp_path / "tree/journal").iterdir())) == 2
        assert store.get("c") is not None
        assert store.check(read_data=True) == []


def test_a_session_whose_tree_was_removed_begins_anew(tmp_path: Path) -> None:
    """What is acknowledged is in the tree that is there now."""
    with opened(tmp_path / "tree") as store:
        session = store.single_writer()
        session.write(Batch([stored("a", MIDNIGHT)]))
        shutil.rmtree(tmp_path / "tree")
        session.write(Batch([stored("b", MIDNIGHT)]))
        assert store.get("b") is not None
        assert store.count(Query(limit=None)) == 1


def test_a_session_that_finds_no_room_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither descriptors nor temporary files pile up on a full disk, nor after the store is closed."""
    with opened(tmp_path / "tree") as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
        session = store.single_writer()

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        before = descriptors(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(fileops, "rename", full)
            for _ in range(5):
                with pytest.raises(StoreError):
                    session.write(Batch([stored("b", MIDNIGHT)]))
        assert descriptors(tmp_path) == before
        assert list((tmp_path / "tree/tmp").iterdir()) == []
        session.write(Batch([stored("b", MIDNIGHT)]))
    assert descriptors(tmp_path) == []
    assert os.listdir(tmp_path / "tree/tmp") == []

"""Files of a tree that somebody removed or cut: named by `check`, and never taken for an answer."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from forks import child
from moai_patterns.backends import fileops
from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.errors import DamageError
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored

TODAY = MIDNIGHT // DAY


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a hot file `hot`, a journal of `a`, `b` and `c`, and a second revision of `b`."""
    with closing(FilesystemBackend(str(tmp_path / "tree"))) as store:
        store.write(Batch([stored("hot", MIDNIGHT)]))
        store.write(Batch([stored(identity, MIDNIGHT + 1) for identity in "abc"]))
        store.write(Batch([stored("b", MIDNIGHT + 2, 2)]))
    return tmp_path / "tree"


@pytest.fixture
def store(tree: Path) -> Iterator[FilesystemBackend]:
    """The tree, opened after what a test does to its files."""
    with closing(FilesystemBackend(str(tree))) as opened:
        yield opened


def hot_file(tree: Path) -> Path:
    """The one hot file of the tree."""
    return next(tree.glob("2*/**/*.json"))


def journals(tree: Path) -> list[Path]:
    """The journals of the tree, the earliest first."""
    return sorted((tree / "journal").iterdir())


def test_a_hot_file_removed_by_hand_is_missed(tree: Path, store: FilesystemBackend) -> None:
    """Its id is refused with the place, not said to be unknown; `check` names it; saving heals it."""
    lost = hot_file(tree)
    lost.unlink()

    with pytest.raises(DamageError, match=lost.name):
        store.get("hot")
    assert [(problem.place, problem.records) for problem in store.check()] == [(str(lost), 1)]
    assert store.get("a") is not None
    assert store.get("never") is None
    store.write(Batch([stored("hot", MIDNIGHT)]))
    assert store.get("hot") is not None
    assert store.check(read_data=True) == []


def test_a_journal_removed_by_hand_is_missed(tree: Path, store: FilesystemBackend) -> None:
    """Each record it held is refused and counted, also where an older revision is still there."""
    first, second = journals(tree)
    second.unlink()

    with pytest.raises(DamageError, match=second.name):
        store.get("b")
    assert store.get("a") is not None
    first.unlink()
    with pytest.raises(DamageError, match=first.name):
        store.get("a")
    assert {(problem.place, problem.records) for problem in store.check()} == {
        (str(first), 3),
        (str(second), 1),
    }


def test_a_journal_cut_in_half_keeps_its_first_half(tree: Path, store: FilesystemBackend) -> None:
    """Its whole lines are found by id, the others refused; a scan, which needs them all, says where."""
    first = journals(tree)[0]
    raw = first.read_bytes()
    first.write_bytes(raw[: raw.index(b'"pattern_id":"b"')])

    assert store.get("a") is not None
    assert store.get("b") is not None  # its head is in the other journal
    with pytest.raises(DamageError, match=first.name):
        store.get("c")
    with pytest.raises(DamageError, match=first.name):
        list(store.scan(Query()))
    with pytest.raises(DamageError, match=first.name):
        store.compact([TODAY])
    assert str(first) in {problem.place for problem in store.check()}


def test_what_was_compacted_or_removed_is_not_missed(store: FilesystemBackend) -> None:
    """The change log may speak of files that are gone for a reason."""
    store.write(Batch(remove=[Removal("a")]))
    assert store.compact([TODAY]) == 3
    assert store.get("a") is None
    assert [len(store.history(identity)) for identity in ("hot", "b", "c")] == [1, 2, 1]
    assert store.check(read_data=True) == []
    assert store.delete(Query(end_date="2025-11-29", limit=None)) == 3
    assert [store.get(identity) for identity in ("hot", "a", "b", "c")] == [None] * 4
    assert store.check(read_data=True) == []


def test_days_that_expired_whole_are_not_missed(tmp_path: Path) -> None:
    """A day that goes with its segment takes along what the change log said of its hot files."""
    with closing(FilesystemBackend(str(tmp_path / "tree"))) as store:
        for number in range(5):
            store.write(Batch([stored(f"r{number}", MIDNIGHT + number)]))
        assert store.compact([TODAY]) == 5
        assert store.delete(Query(end_date="2025-11-29", limit=None)) == 5
        assert [store.get(f"r{number}") for number in range(5)] == [None] * 5
        assert store.check(read_data=True) == []


@pytest.mark.parametrize("what", ["file", "journal", "session"])
@pytest.mark.parametrize("committed", [False, True])
def test_a_writer_that_dies_at_its_commit(tree: Path, what: str, committed: bool) -> None:
    """What it announced is taken back or kept, whole, by whoever writes next; nothing is reported as lost."""
    name = "write" if what == "session" else "rename"
    commit = getattr(fileops, name)

    def die(*arguments: str | bytes) -> None:
        if committed:
            commit(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        with closing(FilesystemBackend(str(tree))) as store:
            writer = store.single_writer() if what == "session" else store
            if what == "session":
                writer.write(Batch([stored("before", MIDNIGHT)]))
            setattr(fileops, name, die)
            added = [stored(f"new{number}", MIDNIGHT + 3) for number in range(2 if what == "journal" else 1)]
            writer.write(Batch(added))

    process = child(work)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL

    with closing(FilesystemBackend(str(tree))) as store:
        for _ in range(2):
            assert (store.get("new0") is not None) == committed
            assert store.check(read_data=True) == []
            store.write(Batch([stored(f"next{_}", MIDNIGHT + 4)]))
        assert store.get("next0") is not None
        if not committed:
            store.write(Batch([stored("new0", MIDNIGHT + 5)]))
        assert store.get("new0") is not None
        assert store.check(read_data=True) == []

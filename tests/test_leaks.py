"""What is dropped instead of ended goes away all the same, and a leak would be seen."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from leaks import descriptors
from moai_patterns import PatternStorage
from samples import sample
from torture.footprint import MOST_OBJECTS, Footprint
from torture.promise import BrokenPromiseError

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@linux
@pytest.mark.parametrize("durability", ["os", "group"])
def test_a_session_that_nobody_ends_ends_when_it_is_dropped(durability: str, tmp_path: Path) -> None:
    """Its files are closed, what it saved is there, and the next compaction takes its journal."""
    tree = tmp_path / "tree"
    with PatternStorage("filesystem", tree, 0, durability=durability) as storage:  # type: ignore[arg-type]
        storage.save(sample("other"))
        before = descriptors(tree)
        session = storage.session()
        session.save(sample("dropped"))
        assert len(descriptors(tree)) > len(before)
        del session
        gc.collect()

        assert descriptors(tree) == before
        assert storage.compress_old_files() == 2
        assert os.listdir(tree / "journal") == []
        assert storage.load("dropped") == sample("dropped")
        assert storage.check(read_data=True) == []


@linux
@pytest.mark.parametrize("backend", ["filesystem", "sqlite"])
def test_a_storage_that_nobody_closes_leaves_no_file_open(backend: str, tmp_path: Path) -> None:
    """Dropped after saves, questions and a compaction, it gives back every descriptor."""
    for _ in range(2):
        storage = PatternStorage(backend, tmp_path / "store", 0)
        storage.save(sample())
        storage.compress_old_files()
        assert storage.load("pattern-1") == storage.query(order="oldest")[0] == sample()
        assert next(storage.iter(order="arrival")) == sample()
        del storage
        gc.collect()

        assert descriptors(tmp_path) == []


@linux
def test_a_leak_is_seen(tmp_path: Path) -> None:
    """A descriptor, a thread, a process, a temporary file and a heap of objects, each by itself."""
    before = Footprint.now(tmp_path)
    Footprint.now(tmp_path).must_not_have_left(before)
    Footprint.now(tmp_path).must_not_have_grown(before)

    reading, writing = os.pipe()
    with pytest.raises(BrokenPromiseError, match="left behind: pipe"):
        Footprint.now(tmp_path).must_not_have_left(before)
    for descriptor in (reading, writing):
        os.close(descriptor)

    stay = threading.Event()
    thread = threading.Thread(target=stay.wait)
    thread.start()
    with pytest.raises(BrokenPromiseError, match="left behind: 1 threads"):
        Footprint.now(tmp_path).must_not_have_left(before)
    stay.set()
    thread.join()

    with (
        subprocess.Popen(["cat"], stdin=subprocess.PIPE),
        pytest.raises(BrokenPromiseError, match="process"),
    ):
        Footprint.now(tmp_path).must_not_have_left(before)

    (tmp_path / "half.tmp").touch()
    with pytest.raises(BrokenPromiseError, match=r"left behind: .*half\.tmp"):
        Footprint.now(tmp_path).must_not_have_left(before)
    (tmp_path / "half.tmp").unlink()

    heap = [[number] for number in range(2 * MOST_OBJECTS)]
    with pytest.raises(BrokenPromiseError, match="grown by"):
        Footprint.now(tmp_path).must_not_have_grown(before)
    assert heap

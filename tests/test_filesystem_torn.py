"""After a power cut at the level `os`: what was not flushed may be gone, and nothing else is in the way."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing
from pathlib import Path

import pytest

from moai_patterns.backends.base import Batch
from moai_patterns.backends.filesystem import hotlog, torn
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.errors import DamageError
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored

LARGE = {"text": "x" * 20_000}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with two hot files, small and large, and two journals."""
    with closing(FilesystemBackend(str(tmp_path / "tree"))) as store:
        store.write(Batch([stored("small", MIDNIGHT)]))
        store.write(Batch([stored("large", MIDNIGHT, data=LARGE)]))
        store.write(Batch([stored("a", MIDNIGHT), stored("b", MIDNIGHT)]))
        store.write(Batch([stored("c", MIDNIGHT), stored("d", MIDNIGHT)]))
    return tmp_path / "tree"


def cut(path: Path, size: int) -> None:
    """Leave so many bytes of a file, and the times it has."""
    times = path.stat()
    path.write_bytes(path.read_bytes()[:size])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine seem to have been started just now."""
    monkeypatch.setattr(hotlog, "_boot", [hotlog.boot() ^ 1])
    now = time.time_ns() // 1000
    monkeypatch.setattr(torn, "booted", lambda: now)


@pytest.mark.parametrize("size", [0, 4096])
def test_torn_files_are_set_aside_after_a_start_of_the_machine(
    tree: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """The rest is found and can be compacted; `check` names what was set aside, and nothing was removed."""
    victims = [next(tree.rglob("*_large_*.json")), sorted((tree / "journal").iterdir())[1]]
    if size == 0:
        victims.append(next(tree.rglob("*_small_*.json")))
    for victim in victims:
        cut(victim, min(size, victim.stat().st_size // 2))
    restart(monkeypatch)
    with closing(FilesystemBackend(str(tree))) as store:
        kept = {"a", "b"} | ({"small"} if size else set())
        for _ in range(2):
            assert {record["pattern_id"] for record in store.scan(Query(limit=None))} == kept
            assert {identity for identity in ("small", "large", *"abcd") if store.get(identity)} == kept
            places = {Path(problem.place).name for problem in store.check(read_data=True)}
            assert places == {victim.name for victim in victims}
            store.compact([MIDNIGHT // DAY])
        store.write(Batch([stored("c", MIDNIGHT), stored("large", MIDNIGHT)]))
        assert store.get("large") is not None
    assert {path.name for path in (tree / "quarantine").iterdir()} == {victim.name for victim in victims}


@pytest.mark.parametrize("fill", [b"", b"\0", b"\xff\n"])
def test_a_small_file_that_came_back_with_other_bytes_is_set_aside(
    tree: Path, monkeypatch: pytest.MonkeyPatch, fill: bytes
) -> None:
    """A file of less than a block may be cut, or hold zeros or anything behind its first half."""
    victim = next(tree.rglob("*_small_*.json"))
    times, raw = victim.stat(), victim.read_bytes()
    half = len(raw) // 2
    victim.write_bytes(raw[:half] + (fill * len(raw))[: len(raw) - half if fill else 0])
    os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))
    restart(monkeypatch)
    with closing(FilesystemBackend(str(tree))) as store:
        found = {record["pattern_id"] for record in store.scan(Query(limit=None))}
        assert found == {"large", *"abcd"}
        assert [Path(problem.place).parent.name for problem in store.check()] == ["quarantine"]


@pytest.mark.parametrize("closed", [True, False])
def test_of_a_session_whose_last_line_is_torn_all_others_stay(
    tree: Path, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    """Each line was acknowledged by itself: what a cut tore behind them takes none of them along."""
    with closing(FilesystemBackend(str(tree), durability="record")) as store:
        with closing(store.single_writer()) as session:
            for identity in "xyz":
                session.write(Batch([stored(identity, MIDNIGHT, data=LARGE)]))
            journal = max((tree / "journal").iterdir())
            raw = journal.read_bytes()
        times, ended = journal.stat(), journal.read_bytes()
    start = raw.index(b'{"pattern_id":"z"')
    torn_line = raw[:start] + bytes(4096) + raw[start + 4096 :]
    journal.write_bytes(torn_line + ended[len(raw) :] if closed else torn_line)
    os.utime(journal, ns=(times.st_atime_ns, times.st_mtime_ns))
    restart(monkeypatch)
    for _ in range(2):
        with closing(FilesystemBackend(str(tree))) as store:
            found = {record["pattern_id"] for record in store.scan(Query(limit=None))}
            assert found == {"small", "large", *"abcdxy"}
            assert store.get("y") is not None
            assert [Path(problem.place).name for problem in store.check(read_data=True)] == [journal.name]
    assert (tree / "quarantine" / journal.name).read_bytes() == (
        torn_line + ended[len(raw) :] if closed else torn_line
    )


@pytest.mark.parametrize("what", ["a hot file", "a session"])
def test_what_is_set_aside_replaces_nothing_in_the_quarantine(
    tree: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The original that a repair has kept may be all there is of a record; the next gets a number."""
    with closing(FilesystemBackend(str(tree))) as store:
        victim = next(tree.rglob("*_small_*.json"))
        if what == "a session":
            with closing(store.single_writer()) as session:
                session.write(Batch([stored("s", MIDNIGHT)]))
            victim = max((tree / "journal").iterdir())
    (tree / "quarantine").mkdir(exist_ok=True)
    kept = tree / "quarantine" / victim.name
    kept.write_bytes(b"the only copy")
    times, raw = victim.stat(), victim.read_bytes()
    torn_bytes = b"" if what == "a hot file" else raw.replace(b'"s"', bytes(3))
    victim.write_bytes(torn_bytes)
    os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))
    restart(monkeypatch)
    with closing(FilesystemBackend(str(tree))) as store:
        found = {record["pattern_id"] for record in store.scan(Query(limit=None))}
    assert found == {"large", *"abcd", *(["small"] if what == "a session" else [])}
    assert kept.read_bytes() == b"the only copy"
    assert kept.with_name(f"{kept.name}.2").read_bytes() == torn_bytes
    assert len(list(kept.parent.iterdir())) == 2


@pytest.mark.parametrize("index", [True, False])
def test_the_same_damage_without_a_crash_is_damage(tree: Path, index: bool) -> None:
    """A file that somebody cut while the machine ran is not taken for one that was never flushed."""
    cut(min((tree / "journal").iterdir()), 0)
    if not index:
        shutil.rmtree(tree / "index")
    with closing(FilesystemBackend(str(tree))) as store, pytest.raises(DamageError):
        list(store.scan(Query(limit=None)))
    assert not (tree / "quarantine").exists()


def test_what_a_compaction_went_by_is_as_durable_as_its_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Journals with a newer revision or half of a batch are flushed before the manifest that goes by them."""
    path = tmp_path / "tree"
    flushed: list[str] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        flushed.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    with closing(FilesystemBackend(str(path))) as store:
        store.write(Batch([stored("old", MIDNIGHT)]))
        store.write(Batch([stored("old", MIDNIGHT + DAY, 2)]))
        store.write(Batch([stored("half", MIDNIGHT), stored("other half", MIDNIGHT + DAY)]))
        store.write(Batch([stored("new", MIDNIGHT + DAY), stored("newer", MIDNIGHT + DAY)]))
        superseding, split, new = sorted(file.name for file in (path / "journal").iterdir())
        monkeypatch.setattr(os, "fsync", noting)
        store.compact([MIDNIGHT // DAY])
    first = flushed.index(superseding)
    before = flushed[: flushed.index("tree", first)]  # the directory of the manifest
    assert {superseding, split, "journal"} <= set(before)
    assert new not in flushed, "of this one nothing is in a segment"

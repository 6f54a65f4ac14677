"""The harness of crash states: what its medium forgets, and that it sees planted bugs."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem import compaction, hotlog, sweeping, torn
from moai_patterns.backends.filesystem.cold import Cold
from moai_patterns.backends.filesystem.compaction import Folding
from moai_patterns.backends.filesystem.manifest import Manifest
from moai_patterns.backends.filesystem.tree import Tree
from moai_patterns.backends.filesystem.write import TreeWriter
from torture.acts import FIRST_DAY, Act, Actor, opened, record
from torture.disk import Image
from torture.promise import BrokenPromiseError, Tally
from torture.promises import crash_states
from torture.recording import recorded
from torture.replay import cuts, moments, put


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine seems to have been started again and again; afterwards it has not."""
    monkeypatch.setattr(hotlog, "_boot", list(hotlog._boot))
    monkeypatch.setattr(torn, "booted", torn.booted)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An empty directory, in memory where there is one: the trees of a test are many."""
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path
    with TemporaryDirectory(prefix="torture-replay-", dir=parent) as made:
        yield Path(made)


def left(place: Path, act: Callable[[], object]) -> set[tuple[tuple[str, bytes], ...]]:
    """Return every set of files, with their bytes, that a cut after `act` may leave."""
    with recorded(place) as recorder:
        act()
    *_, last = moments(recorder)
    found = cuts(last.disk, random.Random(0), 1000)
    return {tuple((name, content) for name, (content, _) in sorted(cut.image.files.items())) for cut in found}


def test_a_flushed_file_has_its_bytes_and_perhaps_no_name(tmp_path: Path) -> None:
    """Without a flush of the directory the file may be gone; with one it is there."""
    path = str(tmp_path / "a")
    assert left(tmp_path, lambda: fileops.create(path, b"one", sync=True)) == {(), (("a", b"one"),)}
    assert left(tmp_path, lambda: fileops.sync_dir(str(tmp_path))) == {(("a", b"one"),)}


def test_a_renamed_file_that_was_never_flushed_may_be_empty_cut_or_scrambled(tmp_path: Path) -> None:
    """Under the new name or the old one, but under one of them, as its entry was on the medium."""

    def act() -> None:
        fileops.create(str(tmp_path / "a"), b"12345678")
        fileops.sync_dir(str(tmp_path))
        fileops.rename(str(tmp_path / "a"), str(tmp_path / "b"))

    found = left(tmp_path, act)
    assert {tuple(name for name, _ in files) for files in found} == {("a",), ("b",), ("a", "b")}
    contents = {content for files in found for _, content in files}
    assert {b"", b"12345678", b"1234", bytes(8), b"\0\0\0\x005678"} < contents


def test_what_was_appended_to_a_flushed_file_is_all_that_may_be_lost(tmp_path: Path) -> None:
    """The bytes that were flushed stay, whatever comes behind them."""
    path = str(tmp_path / "a")
    fileops.create(path, b"kept")
    found = left(tmp_path, lambda: fileops.append(path, b" and more"))
    assert len(found) > 3
    assert all(content.startswith(b"kept") for ((_, content),) in found)


def test_removed_names_may_be_back_each_by_itself(tmp_path: Path) -> None:
    """Of two removals the later one may have come to the medium and the first one not."""
    for name in "ab":
        fileops.create(str(tmp_path / name), b"")

    def act() -> None:
        fileops.remove(str(tmp_path / "a"))
        fileops.remove(str(tmp_path / "b"))

    found = left(tmp_path, act)
    assert {"".join(name for name, _ in files) for files in found} == {"", "a", "b", "ab"}


def test_what_is_recorded_is_what_lies_there(tmp_path: Path) -> None:
    """The tree in which nothing is lost has the bytes of the real one, the mapped change log included."""
    with recorded(tmp_path) as recorder, closing(opened("filesystem", tmp_path / "store")) as storage:
        actor = Actor(storage)
        first, second = (record(identity, 0, 20_000, 5000) for identity in "ab")
        actor.perform(Act(0, "save", (first,)))
        actor.perform(Act(1, "session", (second, record("a", 1, 20_000))))
        actor.perform(Act(2, "compact"))
        actor.perform(Act(3, "delete", removes=("a",)))
        recorder.mark("acknowledged", 3)
    *_, last = moments(recorder)
    image = Image(last.disk)
    real = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*")}
    assert {name: path.read_bytes() for name, path in real.items() if path.is_file()} == {
        name: content for name, (content, _) in image.files.items()
    }
    assert sorted(name for name, path in real.items() if path.is_dir()) == sorted(image.folders)
    put(image, tmp_path / "again")
    name = max(name for name in image.files if "/journal/" in name)
    assert os.stat(tmp_path / "again" / name).st_mtime_ns // 1000 == image.files[name][1]


def _no_flush(*_: object) -> None:
    return


def _create_without_flush(path: str, data: bytes, *, sync: bool = False) -> None:
    _create(path, data, sync=sync and data.startswith(b'{"layout":'))


def _sync_all_but_journals(path: str) -> None:
    if not path.endswith("journal"):
        _sync_dir(path)


def _sync_all_but_days(path: str) -> None:
    if not path[-2:].isdecimal():
        _sync_dir(path)


def _build_and_remove(tree: Tree, folding: Folding) -> tuple[Manifest, int, dict[int, str]]:
    """Remove the sources before the manifest counts that names what they went into."""
    content, moved, damaged = _build(tree, folding)
    with closing(Cold(tree, content)) as cold:
        sweeping.hot_files(tree, folding, cold, set())
    return content, moved, damaged


_create, _sync_dir, _build = fileops.create, fileops.sync_dir, compaction.build
_SAVE = Act(0, "save", (record("a", 0, FIRST_DAY),))
_OTHER = Act(5, "save", (record("b", 0, FIRST_DAY),))
_LINE = Act(1, "line", (record("b", 0, FIRST_DAY),))
_MANY = Act(2, "many", (record("a", 0, FIRST_DAY), record("b", 0, FIRST_DAY)))
_DELETE = Act(3, "delete", removes=("a",))
_COMPACT = Act(4, "compact")
PLANTED = {
    "no flush of directories": ("sync_dir", _no_flush, [_SAVE]),
    "no flush of files": ("create", _create_without_flush, [_SAVE]),
    "no flush of lines": ("sync", _no_flush, [_LINE]),
    "removed hot files come back": ("sync_dir", _sync_all_but_days, [_SAVE, _OTHER, _DELETE, _COMPACT]),
    "dead journals come back": ("sync_dir", _sync_all_but_journals, [_MANY, _COMPACT, _DELETE, _COMPACT]),
}


@pytest.mark.parametrize(("name", "broken", "acts"), PLANTED.values(), ids=PLANTED)
def test_a_flush_that_is_left_out_is_seen(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str, broken: object, acts: list[Act]
) -> None:
    """At the level `record` an acknowledged act is then reported as lost."""
    monkeypatch.setattr(fileops, name, broken)
    with pytest.raises(BrokenPromiseError, match=r"acts acknowledged.*ids differ"):
        crash_states.cut_last(acts, "record", place, Tally())


def test_sources_that_are_removed_too_early_are_seen(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compaction that removes before it publishes loses records."""
    monkeypatch.setattr(compaction, "build", _build_and_remove)
    with pytest.raises(BrokenPromiseError, match=r"1 acts acknowledged.*ids differ"):
        crash_states.cut_last([_SAVE, _COMPACT], "record", place, Tally())


def test_an_id_that_comes_back_is_not_there_twice(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At `os` its removal is not lost alone, or it would have two first revisions."""
    again = Act(6, "save", (record("a", 1, FIRST_DAY + 1),))
    crash_states.cut_last([_SAVE, _DELETE, again], "os", place / "flushed", Tally())
    crash_states.cut_last([_MANY, _DELETE, replace(again, verb="session")], "os", place / "batch", Tally())
    monkeypatch.setattr(TreeWriter, "_flush_removals", _no_flush)
    with pytest.raises(BrokenPromiseError, match="there twice"):
        crash_states.cut_last([_SAVE, _DELETE, again], "os", place / "unflushed", Tally())


@pytest.mark.parametrize("acts", [acts for _, _, acts in PLANTED.values()], ids=PLANTED)
def test_as_it_is_nothing_is_lost(place: Path, acts: list[Act]) -> None:
    """The same programs, with every flush, keep what they acknowledge; of trees there are many."""
    tally = Tally()
    crash_states.cut_last(acts, "record", place, tally)
    assert tally.counts["trees"] > 1
    assert tally.counts["faults"] > 1

"""What a tree says after a step of a write or a compaction failed, came late, or was overtaken."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.filesystem import compaction, manifest, torn
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.filesystem.hotlog import HotLog
from moai_patterns.errors import DamageError, LayoutError, StoreError
from moai_patterns.instant import DAY
from moai_patterns.query import Query, Record
from moai_patterns.testing.pools import MIDNIGHT, stored

TODAY = MIDNIGHT // DAY
EVERYTHING = Query(limit=None, order="oldest")
BY_ARRIVAL = Query(limit=None, order="arrival")
UPDATE = stored("a", MIDNIGHT, 2)


@contextmanager
def opened(path: Path) -> Iterator[FilesystemBackend]:
    with closing(FilesystemBackend(str(path), timeout=10.0)) as store:
        yield store


def hot_file(tree: Path) -> Path:
    return next(tree.glob("2*/**/*.json"))


def test_a_hot_file_has_its_arrival_number_when_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill right behind the rename leaves a file that arrived when it was committed."""
    dated: list[int] = []
    rename = fileops.rename

    def renaming(source: str, target: str) -> None:
        rename(source, target)
        dated.append(Path(target).stat().st_mtime_ns // 1000)

    with opened(tmp_path / "tree") as store:
        store.write(Batch([stored("first", MIDNIGHT)]))
        with monkeypatch.context() as patched:
            patched.setattr(fileops, "rename", renaming)
            store.write(Batch([stored("a", MIDNIGHT)]))
        found = store.get("a")
        assert found is not None
        assert dated == [found["_meta"]["seq"]]


@pytest.mark.parametrize("without_log", [False, True])
@pytest.mark.parametrize("compacted", [False, True])
def test_arrival_numbers_ascend_although_the_clock_steps_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, without_log: bool, compacted: bool
) -> None:
    """What comes later has a higher number, also when the log is made anew of a compacted tree."""
    with opened(tmp_path / "tree") as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
        if compacted:
            store.compact([TODAY])
    if without_log:
        shutil.rmtree(tmp_path / "tree/index")
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 3_600 * 10**9)
    with opened(tmp_path / "tree") as store:
        store.write(Batch([stored("b", MIDNIGHT)]))
        store.write(Batch([stored("c", MIDNIGHT), stored("d", MIDNIGHT)]))
        arrived = [
            (r["pattern_id"], r["_meta"]["seq"]) for r in store.scan(Query(limit=None, order="arrival"))
        ]
    assert [identity for identity, _ in arrived] == ["a", "b", "c", "d"]
    assert len({number for _, number in arrived}) == 4


@pytest.mark.parametrize(
    "added", [[stored("a", MIDNIGHT, 2)], [stored("a", MIDNIGHT, 2), stored("n", MIDNIGHT)]]
)
def test_a_save_that_fails_at_its_commit_hides_nothing_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, added: list[dict[str, object]]
) -> None:
    """The log forgets what was announced for it, and finds what it knew of these ids before."""

    def refusing(source: str, target: str) -> None:
        raise OSError(28, "No space left on device", target)

    with opened(tmp_path / "tree") as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
        with monkeypatch.context() as patched:
            patched.setattr(fileops, "rename", refusing)
            with pytest.raises(StoreError):
                store.write(Batch(added))
        for identity in ("b", "c"):
            store.write(Batch([stored(identity, MIDNIGHT)]))
            found = store.get("a")
            assert found is not None
            assert found["_meta"]["revision"] == 1
        assert store.check(read_data=True) == []


def test_a_removal_outlives_a_session_that_it_speaks_of(tmp_path: Path) -> None:
    """The journal of a removal stays as long as the record it speaks of lies in a journal that is open."""
    with opened(tmp_path / "tree") as store:
        session = store.single_writer()
        session.write(Batch([stored("gone", MIDNIGHT)]))
        store.write(Batch(remove=[Removal("gone")]))
        for _ in range(2):
            store.compact([TODAY])
            assert store.get("gone") is None
            assert list(store.scan(EVERYTHING)) == []
        session.close()
        store.compact([TODAY])
        assert list(store.scan(EVERYTHING)) == []
        assert list((tmp_path / "tree/journal").iterdir()) == []


def test_a_removal_outlives_a_file_that_nobody_can_read(tmp_path: Path) -> None:
    """A damaged hot file may hold what was removed: brought back from a backup, it is still gone."""
    root = tmp_path / "tree"
    with opened(root) as store:
        store.write(Batch([stored("gone", MIDNIGHT)]))
        file = hot_file(root)
        whole = file.read_bytes(), file.stat().st_mtime_ns
        store.write(Batch([stored("stays", MIDNIGHT)]))
        store.write(Batch(remove=[Removal("gone")]))
        file.write_bytes(whole[0][:-20])
        with pytest.raises(DamageError):
            store.compact([TODAY])
    file.write_bytes(whole[0])
    with opened(root) as store:
        assert [record["pattern_id"] for record in store.scan(EVERYTHING)] == ["stays"]
        assert store.get("gone") is None


def test_a_load_that_meets_a_segment_just_replaced_looks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compaction between the look at the manifest and that at its segment is no damage."""
    seen = manifest.seen
    with opened(tmp_path / "tree") as reader, opened(tmp_path / "tree") as other:
        other.write(Batch([stored("a", MIDNIGHT), stored("b", MIDNIGHT)]))
        other.compact([TODAY])
        assert reader.count(EVERYTHING) == 2

        def compacted_right_after(tree: object) -> object:
            before = seen(tree)  # type: ignore[arg-type]
            monkeypatch.undo()
            other.write(Batch([stored("a", MIDNIGHT, 2)]))
            other.compact([TODAY])
            return before

        monkeypatch.setattr(manifest, "seen", compacted_right_after)
        found = reader.get("a")
        assert found is not None
        assert found["_meta"]["revision"] == 2


def test_a_listed_file_that_somebody_removes_is_damage(tmp_path: Path) -> None:
    """A scan that is under way does not leave out what it has listed and cannot find."""
    with opened(tmp_path / "tree") as store:
        for number in range(3):
            store.write(Batch([stored(f"r{number}", MIDNIGHT + number * 1_000_000)]))
        scan = store.scan(EVERYTHING)
        next(scan)
        for file in (tmp_path / "tree").glob("2*/**/*_000002_*.json"):
            file.unlink()
        with pytest.raises(DamageError, match="missing"):
            list(scan)


def test_a_file_under_another_name_is_a_finding(tmp_path: Path) -> None:
    """Whole as it is, a hot file whose name speaks of another record, second or kind is out of place."""
    root = tmp_path / "tree"
    with opened(root) as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
    file = hot_file(root)
    for name in (
        file.name.replace("_000000_", "_000001_"),
        file.name[:-21] + "0123456789abcdef.json",
        "kind" + file.name[file.name.index("_2025") :],
    ):
        renamed = file.rename(file.with_name(name))
        with opened(root) as store:
            found = [p for p in store.check(read_data=True) if "name" in p.sentence]
            assert [problem.place for problem in found] == [str(renamed)]
        renamed.rename(file)


def test_hot_files_of_one_second_come_by_their_microseconds(tmp_path: Path) -> None:
    """The names of hot files tell seconds; what decides is the instant, both ways."""
    with opened(tmp_path / "tree") as store:
        for number in range(6):
            store.write(Batch([stored(f"r{number}", MIDNIGHT + (number * 7) % 6 * 1000)]))
            store.write(Batch([stored(f"s{number}", MIDNIGHT + (number * 5) % 6 * 1000)]))
        oldest = [record["_meta"]["instant"] for record in store.scan(EVERYTHING)]
        assert oldest == sorted(oldest)
        assert [record["_meta"]["instant"] for record in store.scan(Query(limit=None))] == oldest[::-1]


def test_a_session_begins_anew_behind_a_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is saved after a line that found no room is not part of that line."""
    write = fileops.write

    def half(descriptor: int, data: bytes | memoryview) -> None:
        write(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with opened(tmp_path / "tree") as store:
        session = store.single_writer()
        session.write(Batch([stored("a", MIDNIGHT)]))
        with monkeypatch.context() as patched:
            patched.setattr(fileops, "write", half)
            with pytest.raises(StoreError):
                session.write(Batch([stored("b", MIDNIGHT)]))
        session.write(Batch([stored("c", MIDNIGHT)]))
        session.close()
        assert [record["pattern_id"] for record in store.scan(EVERYTHING)] == ["a", "c"]
        assert [store.get(identity) is not None for identity in "abc"] == [True, False, True]
        assert store.check(read_data=True) == []


def test_a_session_tells_of_a_line_that_was_there_when_it_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when only the change log is to be told: loads and scans still answer alike."""

    def full(_: HotLog) -> None:
        raise OSError(28, "No space left on device")

    with opened(tmp_path / "tree") as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
        with closing(store.single_writer()) as session:
            with monkeypatch.context() as patched:
                patched.setattr(HotLog, "settle", full)
                with pytest.raises(StoreError):
                    session.write(Batch([UPDATE]))
            session.write(Batch([stored("b", MIDNIGHT)]))
        assert list(store.scan(EVERYTHING)) == [store.get("a"), store.get("b")]
        assert store.check(read_data=True) == []


@pytest.fixture
def compacted(tmp_path: Path) -> Iterator[FilesystemBackend]:
    """A day in a segment: three records of two kinds, at its beginning, noon and end."""
    with opened(tmp_path / "tree") as store:
        noon = stored("noon", MIDNIGHT + DAY // 2, pattern_type="hook_event", data={"event": "Stop"})
        store.write(Batch([stored("first", MIDNIGHT), noon, stored("last", MIDNIGHT + DAY - 1)]))
        assert store.compact([TODAY]) == 3
        yield store
        assert store.check(read_data=True) == []


def test_a_part_of_a_compacted_day_is_counted_as_it_is(compacted: FilesystemBackend) -> None:
    """The facts of a segment are those of a whole day."""
    assert compacted.count(Query(end_date=MIDNIGHT + DAY // 2)) == 2
    assert compacted.count(Query(start_date=MIDNIGHT + 1)) == 2
    assert compacted.count(Query(start_date=MIDNIGHT, end_date=MIDNIGHT + DAY - 1)) == 3


def test_what_was_removed_from_a_compacted_day_is_not_counted(compacted: FilesystemBackend) -> None:
    """The facts of a segment do not know of a removal in a journal."""
    compacted.write(Batch(remove=[Removal("noon")]))
    assert compacted.count(Query()) == 2
    assert sum(compacted.days()[TODAY].values()) == 2


def test_deleting_a_kind_leaves_the_others_of_a_compacted_day(compacted: FilesystemBackend) -> None:
    """A day goes unread only when everything in it is asked for."""
    end = MIDNIGHT + DAY - 1
    assert compacted.delete(Query("hook_event", end_date=end)) == 1
    assert [record["pattern_id"] for record in compacted.scan(EVERYTHING)] == ["first", "last"]
    assert compacted.delete(Query(end_date=end)) == 2


def test_what_comes_late_into_a_compacted_day_is_compacted_too(compacted: FilesystemBackend) -> None:
    """The next compaction of the day takes it up, and has nothing left to do then."""
    compacted.write(Batch([stored("late", MIDNIGHT + 5)]))
    assert compacted.uncompacted_days() == [TODAY]
    assert compacted.compact([TODAY]) == 1
    assert compacted.uncompacted_days() == []
    assert compacted.count(Query()) == 4


def test_what_comes_during_a_compaction_stays(
    compacted: FilesystemBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was saved behind the look of a compaction is in no segment, so it is not swept."""
    build = compaction.build

    def saved_meanwhile(*arguments: Any) -> Any:
        built = build(*arguments)
        compacted.write(Batch([stored("late", MIDNIGHT + 6)]))
        return built

    compacted.write(Batch([stored("early", MIDNIGHT + 5)]))
    with monkeypatch.context() as patched:
        patched.setattr(compaction, "build", saved_meanwhile)
        assert compacted.compact([TODAY]) == 1
    assert compacted.get("late") is not None
    assert compacted.count(Query()) == 5


def test_without_manifests_the_newest_segment_of_a_day_counts(tmp_path: Path) -> None:
    """One of an older generation that was not swept yet does not answer in its place."""
    root = tmp_path / "tree"
    with opened(root) as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
        store.compact([TODAY])
        older = {path: path.read_bytes() for path in root.glob("2*/**/*.1.*")}
        store.write(Batch([stored("b", MIDNIGHT)]))
        store.compact([TODAY])
    for path, content in older.items():
        path.write_bytes(content)
    for name in ("index.json", "index.copy.json"):
        (root / name).unlink()
    assert len(older) == 2
    with opened(root) as store:
        assert [record["pattern_id"] for record in store.scan(EVERYTHING)] == ["a", "b"]


def test_the_index_of_another_segment_is_not_believed(tmp_path: Path) -> None:
    """Although it is whole and of as many records, it says nothing of these."""
    root = tmp_path / "tree"
    with opened(root) as store:
        for day in range(2):
            store.write(Batch([stored(f"{day}-{n}", MIDNIGHT + day * DAY + n) for n in range(2)]))
        store.compact([TODAY, TODAY + 1])
    first, second = sorted(root.glob("2*/**/*.idx"))
    first.write_bytes(second.read_bytes())
    with opened(root) as store:
        assert [store.get(f"{day}-{n}") is not None for day in range(2) for n in range(2)] == [True] * 4


def test_a_compaction_that_fails_leaves_the_segment_it_was_to_replace(
    compacted: FilesystemBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the manifest names the new one, the old segment is all there is of its records."""

    def refusing(stem: str, records: Iterator[Record]) -> None:
        list(records)
        raise OSError(28, "No space left on device", stem)

    compacted.write(Batch([stored("late", MIDNIGHT + 5)]))
    with monkeypatch.context() as patched:
        patched.setattr(compaction, "write_segment", refusing)
        with pytest.raises(StoreError):
            compacted.compact([TODAY])
    assert compacted.count(Query()) == 4
    assert [record["pattern_id"] for record in compacted.scan(EVERYTHING)] == [
        "first",
        "late",
        "noon",
        "last",
    ]


def test_a_compaction_mends_a_copy_of_the_manifest_that_was_left_behind(
    compacted: FilesystemBackend, tmp_path: Path
) -> None:
    """A kill between the manifest and its copy must not let the copy bring back what was removed."""
    first, copy = tmp_path / "tree/index.json", tmp_path / "tree/index.copy.json"
    behind = copy.read_bytes()
    compacted.write(Batch(remove=[Removal("noon")]))
    for _ in range(2):  # until nothing is left to do
        compacted.compact([TODAY])
    assert copy.read_bytes() == first.read_bytes() != behind
    copy.write_bytes(behind)
    compacted.compact([])
    assert copy.read_bytes() == first.read_bytes()


def test_a_day_goes_with_the_history_of_its_records(tmp_path: Path) -> None:
    """Superseded revisions lie in other days, so where there are any, no day goes without being read."""
    with opened(tmp_path / "tree") as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
        store.write(Batch([stored("a", MIDNIGHT + DAY, 2)]))
        store.write(Batch([stored("b", MIDNIGHT + DAY)]))
        store.compact([TODAY, TODAY + 1])
        assert store.delete(Query(end_date=MIDNIGHT + 2 * DAY - 1)) == 2
        store.compact([TODAY, TODAY + 1])
        assert list(store.scan(Query(limit=None, revisions="all"))) == []
        assert store.history("a") == []


def test_what_was_torn_long_before_the_machine_was_started_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what can have been on its way to the medium is set aside; the rest is named by every question."""
    root = tmp_path / "tree"
    with opened(root) as store:
        store.write(Batch([stored("old", MIDNIGHT)]))
        file = hot_file(root)
        file.write_bytes(file.read_bytes()[:-20])
        long_ago = time.time_ns() - 7_200 * 10**9
        os.utime(file, ns=(long_ago, long_ago))
        store.write(Batch([stored("new", MIDNIGHT)]))
    shutil.rmtree(root / "index")
    now = time.time_ns() // 1000
    monkeypatch.setattr(torn, "booted", lambda: now)
    with opened(root) as store:
        with pytest.raises(DamageError, match="old"):
            list(store.scan(EVERYTHING))
        assert not (root / "quarantine").exists()


def test_a_finding_that_a_compaction_explains_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a check misses because it was moved meanwhile is looked for once more."""
    seen = tmp_path / "seen"  # what a listing of before the compaction leads to
    seen.mkdir()
    with opened(tmp_path / "tree") as store, opened(tmp_path / "tree") as other:
        other.write(Batch([stored("a", MIDNIGHT)]))
        (seen / hot_file(tmp_path / "tree").name).touch()

        def compacted_meanwhile(top: str) -> Iterator[tuple[int, str]]:
            monkeypatch.undo()
            other.compact([TODAY])
            return iter([(TODAY, str(seen))])

        monkeypatch.setattr(manifest, "day_directories", compacted_meanwhile)
        assert store.check(read_data=True) == []


def test_a_session_takes_batches_of_any_form(tmp_path: Path) -> None:
    """One record with a removal, several records, or a removal alone are what they are anywhere else."""
    with opened(tmp_path / "tree") as store:
        session = store.single_writer()
        session.write(Batch([stored("a", MIDNIGHT)]))
        session.write(Batch([stored("b", MIDNIGHT)], [Removal("a")]))
        session.write(Batch([stored("c", MIDNIGHT), stored("d", MIDNIGHT)]))
        session.write(Batch(remove=[Removal("c")]))
        session.close()
        assert [record["pattern_id"] for record in store.scan(EVERYTHING)] == ["b", "d"]
        assert store.check(read_data=True) == []


def test_loose_ids_with_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer revision, or a removal, of another id with the same hash changes nothing about the first."""
    with opened(tmp_path / "tree") as store:
        for name, module in list(sys.modules.items()):
            if name.startswith("moai_patterns.backends.filesystem.") and hasattr(module, "digest"):
                monkeypatch.setattr(module, "digest", lambda identity: 7)
        for identity in ("a", "b", "c"):
            store.write(Batch([stored(identity, MIDNIGHT)]))
        store.write(Batch([stored("b", MIDNIGHT, 2)]))
        store.write(Batch(remove=[Removal("c")]))
        for _ in range(2):
            found = [(r["pattern_id"], r["_meta"]["revision"]) for r in store.scan(EVERYTHING)]
            assert found == [("a", 1), ("b", 2)]
            assert [store.get(identity) is not None for identity in ("a", "b", "c")] == [True, True, False]
            assert store.count(Query()) == 2
            store.compact([TODAY])


def test_a_directory_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    """Whatever is in it, one file or many: nothing is put among what others keep there."""
    for count in range(1, 4):
        root = tmp_path / str(count)
        root.mkdir()
        for number in range(count):
            (root / f"{number}.txt").write_text("mine")
        with pytest.raises(LayoutError, match="no store"), opened(root) as store:
            store.write(Batch([stored("a", MIDNIGHT)]))
        assert sorted(path.name for path in root.iterdir()) == [f"{number}.txt" for number in range(count)]

"""Many processes on one tree: writers, first openings, forks, readers beside compactions."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest

from forks import child, succeed
from moai_patterns.backends import fileops
from moai_patterns.backends.base import BackendBase, Batch, Removal
from moai_patterns.backends.filesystem import compaction
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.filesystem.lookup import Lookup
from moai_patterns.backends.filesystem.write import TreeWriter
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.errors import BusyError, StoreError
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored

EVERYTHING = Query(limit=None)
TODAY = MIDNIGHT // DAY


@contextmanager
def checked(path: Path) -> Iterator[FilesystemBackend]:
    """The store in a tree, to be looked at; every byte of it is checked."""
    with closing(FilesystemBackend(str(path))) as store:
        yield store
        assert store.check(read_data=True) == []


def test_sixty_four_processes_lose_nothing(tmp_path: Path) -> None:
    """64 processes start at once on a path that is not there and save 100 records each."""
    path = tmp_path / "tree"

    def save(process: int) -> None:
        writer = TreeWriter(str(path), timeout=60.0)
        for n in range(100):
            writer.write([stored(f"{process}-{n}", MIDNIGHT + n)], fresh=n % 2 == 0)

    succeed([child(partial(save, process)) for process in range(64)])
    with checked(path) as store:
        numbers = [record["_meta"]["seq"] for record in store.scan(Query(order="arrival", limit=None))]
        assert len(numbers) == len(set(numbers)) == 6400
        assert all(store.get(f"{process}-{process}") for process in range(64))
        assert os.listdir(path / "tmp") == []


def test_batches_and_sessions_of_many_processes_grow_one_log(tmp_path: Path) -> None:
    """The log multiplies its buckets under writers while others look ids up in it without a lock."""
    path = tmp_path / "tree"
    with closing(FilesystemBackend(str(path))) as store:
        store.write(Batch([stored("first", MIDNIGHT)]))

    def write(process: int) -> None:
        store = FilesystemBackend(str(path))
        session = store.single_writer()
        for n in range(30):
            many = [stored(f"{process}-{n}-{at}", MIDNIGHT + at) for at in range(10)]
            store.write(Batch(many, fresh=True))
            session.write(Batch([stored(f"{process}-{n}", MIDNIGHT + n)]))

    def read() -> None:
        store = FilesystemBackend(str(path))
        for _ in range(3000):
            assert store.get("first") is not None

    succeed([child(partial(write, process)) for process in range(8)] + [child(read) for _ in range(2)])
    with checked(path) as store:
        assert store.count(EVERYTHING) == 8 * 330 + 1
        assert all(store.get(f"{process}-29-{at}") for process in range(8) for at in range(10))


def test_a_store_opened_before_the_tree_was_made_sees_it(tmp_path: Path) -> None:
    """Whoever opened an absent path reads, pins and compacts what another process stores there later."""
    with checked(tmp_path / "tree") as store:
        assert (store.get("a"), store.count(EVERYTHING), store.check()) == (None, 0, [])
        with closing(FilesystemBackend(str(tmp_path / "tree"))) as other:
            other.write(Batch([stored("a", MIDNIGHT)]))
        assert store.get("a") is not None
        scan = store.scan(EVERYTHING)
        assert next(scan)["pattern_id"] == "a"
        assert (tmp_path / "tree" / ".pin").exists()
        del scan
        assert store.compact([TODAY]) == 1


def test_readers_beside_updates_and_compactions(tmp_path: Path) -> None:
    """Scans, loads and counts never miss a record, show one twice, go back, or split a batch."""
    path, stop, pairs = tmp_path / "tree", tmp_path / "stop", 12
    with closing(FilesystemBackend(str(path))) as store:
        for pair in range(pairs):
            store.write(Batch([stored(f"{pair}a", MIDNIGHT + pair, data={"n": 1})]))
            store.write(Batch([stored(f"{pair}b", MIDNIGHT + DAY + pair, data={"n": 1})]))
    ids = sorted(f"{pair}{side}" for pair in range(pairs) for side in "ab")

    def scan() -> None:
        store = FilesystemBackend(str(path))
        while not stop.exists():
            found = {record["pattern_id"]: record["data"]["n"] for record in store.scan(EVERYTHING)}
            listed = [record["pattern_id"] for record in store.scan(Query(limit=None, order="oldest"))]
            assert sorted(found) == sorted(listed) == ids
            assert {found[f"{pair}a"] - found[f"{pair}b"] for pair in range(pairs)} == {0}
            assert store.count(EVERYTHING) == len(ids)
            time.sleep(0.02)  # so that a compaction finds nobody reading now and then

    def load() -> None:
        store, seen = FilesystemBackend(str(path)), dict.fromkeys(ids, 0)
        while not stop.exists():
            for identity in ids:
                record = store.get(identity)
                assert record is not None, identity
                assert record["data"]["n"] >= seen[identity]
                seen[identity] = record["data"]["n"]

    readers = [child(scan), child(load), child(load)]
    with checked(path) as store:
        for revision in range(2, 20):
            for pair in range(pairs):
                both = [
                    stored(f"{pair}{side}", MIDNIGHT + days * DAY + pair, revision, data={"n": revision})
                    for days, side in enumerate("ab")
                ]
                store.write(Batch(both))
                if pair % 6 == 0:
                    store.compact([TODAY, TODAY + 1] if revision % 3 else [TODAY])
        stop.touch()
        succeed(readers)
        stop.unlink()


def test_a_check_beside_saves_and_compactions_finds_nothing(tmp_path: Path) -> None:
    """However often segments are replaced and directories go as empty, a sound store has no finding."""
    path, stop = tmp_path / "tree", tmp_path / "stop"
    with closing(FilesystemBackend(str(path))) as store:
        store.write(Batch([stored("first", MIDNIGHT)]))

    def check() -> None:
        store = FilesystemBackend(str(path))
        while not stop.exists():
            for read_data in (False, True):
                assert store.check(read_data=read_data) == []

    checkers = [child(check), child(check)]
    with checked(path) as store:
        for n in range(120):
            moment = MIDNIGHT + n % 3 * DAY + n
            store.write(Batch([stored(f"r{n}", moment)]))
            store.write(Batch([stored(f"s{n}", moment), stored(f"t{n}", moment)]))
            store.compact([TODAY + n % 3])
        stop.touch()
        succeed(checkers)


@pytest.mark.parametrize("revisions", ["heads", "all"])
def test_several_ids_are_read_as_of_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revisions: Literal["heads", "all"]
) -> None:
    """A batch that is committed between the first id and the second is seen in both or in neither."""
    with checked(tmp_path / "tree") as store, closing(FilesystemBackend(str(tmp_path / "tree"))) as other:
        store.write(Batch([stored("A", MIDNIGHT), stored("B", MIDNIGHT)]))
        settled = Lookup.settled
        later = iter((2, 3))

        def slow(lookup: Lookup, *arguments: Any) -> list[Any]:
            found = settled(lookup, *arguments)
            for revision in later:
                other.write(Batch([stored(name, MIDNIGHT, revision) for name in "AB"]))
                break
            return found

        monkeypatch.setattr(Lookup, "settled", slow)
        found = store.scan(Query(ids=["A", "B"], limit=None, revisions=revisions))
        seen = [(record["pattern_id"], record["_meta"]["revision"]) for record in found]
        expected = range(3, 0, -1) if revisions == "all" else [3]
        assert sorted(seen) == sorted((name, revision) for name in "AB" for revision in expected)


@pytest.mark.parametrize("look", [1, 2])
def test_a_look_that_is_overtaken_by_a_compaction_takes_nothing_for_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    """What is compacted amid a look of a reader, beside a save under way, is found where it is now."""
    with checked(tmp_path / "tree") as store, closing(FilesystemBackend(str(tmp_path / "tree"))) as other:
        for revision in (1, 2):
            store.write(Batch([stored("a", MIDNIGHT, revision)]))
        announced = (1 << 60, 3, "9.0.jsonl:0:9", False)  # and not settled: its writer is at it
        at, looks = Lookup._at, count(1)

        def slow(lookup: Lookup, place: str, identity: str, seq: int) -> Any:
            if place == announced[2] and next(looks) == look:
                other.compact([TODAY])
            return at(lookup, place, identity, seq)

        monkeypatch.setattr(Lookup, "_at", slow)
        found = store._writer.lookup().settled(
            lambda hashed: [announced, *store._writer.changes(hashed)], "a", ("heads",)
        )
        assert [record["_meta"]["revision"] for record in found] == [2]


def test_processes_that_delete_the_same_count_each_record_once(tmp_path: Path) -> None:
    """What another process has removed or changed since it was listed does not count."""
    path, told = tmp_path / "tree", tmp_path / "told"
    with checked(path) as store:
        store.write(Batch([stored(f"r{n}", MIDNIGHT + n) for n in range(3000)]))

        def delete() -> None:
            removed = FilesystemBackend(str(path)).delete(EVERYTHING)
            with told.open("a") as file:
                file.write(f"{removed}\n")

        succeed([child(delete) for _ in range(3)])
        assert sum(map(int, told.read_text().split())) == 3000
        assert store.count(EVERYTHING) == 0


@pytest.mark.parametrize("kind", ["tree", "memory"])
def test_a_deletion_leaves_what_was_changed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Removals go in batches of 500; a record saved anew after it was listed stays and does not count."""
    store: BackendBase = FilesystemBackend(str(tmp_path / "tree")) if kind == "tree" else MemoryBackend()
    with closing(store):
        store.write(Batch([stored(f"r{n:04}", MIDNIGHT + n) for n in range(1200)]))
        sizes: list[int] = []
        write = store.write

        def meanwhile(batch: Batch) -> int | None:
            if not sizes:
                write(Batch([stored("r0001", MIDNIGHT, 2)]))
            sizes.append(len(batch.remove))
            return write(batch)

        monkeypatch.setattr(store, "write", meanwhile)
        assert store.delete(EVERYTHING) == 1199
        assert sizes == [500, 500, 200]
        assert [record["pattern_id"] for record in store.scan(EVERYTHING)] == ["r0001"]
        assert store.check(read_data=True) == []


def test_threads_that_ask_while_the_store_is_closed_are_refused(tmp_path: Path) -> None:
    """They get an answer, or the error of a closed store, and never one of a file that is gone."""
    path = str(tmp_path / "tree")
    with closing(FilesystemBackend(path)) as store:
        store.write(Batch([stored(f"r{n}", MIDNIGHT + n * DAY) for n in range(20)]))
        store.compact(range(TODAY, TODAY + 10))
    for _ in range(20):
        store = FilesystemBackend(path)
        faults: list[BaseException] = []

        def ask(store: FilesystemBackend = store, faults: list[BaseException] = faults) -> None:
            try:
                for n in range(10_000):
                    assert store.get(f"r{n % 20}") is not None
                    store.write(Batch(remove=[Removal("none")]))
                    assert next(store.scan(EVERYTHING))
            except BaseException as refusal:
                faults.append(refusal)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.02)
        store.close()
        for thread in threads:
            thread.join()
        assert [type(fault) for fault in faults] == [StoreError] * 3, faults


def test_a_save_into_a_day_that_compaction_empties(tmp_path: Path) -> None:
    """Late records of a day are saved while compaction removes its directory as empty, again and again."""
    path = tmp_path / "tree"
    with closing(FilesystemBackend(str(path))) as store:
        store.write(Batch([stored("first", MIDNIGHT)]))

    def save() -> None:
        store = FilesystemBackend(str(path))
        for n in range(400):
            store.write(Batch([stored(f"late-{n}", MIDNIGHT + n)], fresh=True))

    writer = child(save)
    with checked(path) as store:
        while os.waitpid(writer, os.WNOHANG)[0] == 0:
            store.compact([TODAY])
        assert store.count(EVERYTHING) == 401
        assert len([store.get(f"late-{n}") for n in range(400)]) == 400


@pytest.mark.parametrize("pin", ["there", "missing"])
def test_a_reader_that_may_not_write_beside_its_owners_compaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pin: str
) -> None:
    """It holds the pin that it can only read; where there is none, it says that the store was compacted."""
    path = tmp_path / "tree"

    def denied(place: str, **options: bool) -> int:
        raise PermissionError(errno.EROFS, "Read-only file system", place)

    with checked(path) as owner, closing(FilesystemBackend(str(path))) as reader:
        for n in range(20):
            owner.write(Batch([stored(f"r{n:02}", MIDNIGHT + n * DAY)]))
        owner.write(Batch([stored(f"j{n}", MIDNIGHT + 19 * DAY) for n in range(3)]))
        if pin == "there":
            list(owner.scan(EVERYTHING))
        questions = [reader.scan(EVERYTHING), reader.scan(EVERYTHING.but(order="oldest"))]
        with monkeypatch.context() as patched:
            patched.setattr(fileops, "open_shared", denied)
            begun = [next(question)["pattern_id"] for question in questions]
        assert begun == ["r19", "r00"]
        assert owner.compact(range(TODAY, TODAY + 20)) == 23
        if pin == "there":
            assert [len(list(question)) for question in questions] == [22, 22]
        else:
            for question in questions:
                with pytest.raises(BusyError, match=r"compacted.*\.pin"):
                    list(question)
        assert reader.count(EVERYTHING) == sum(1 for _ in reader.scan(EVERYTHING)) == 23


def test_a_forked_child_goes_on_with_a_session(tmp_path: Path) -> None:
    """Parent and child write into one session object; each gets a journal of its own."""
    path = tmp_path / "tree"
    with checked(path) as store:
        session = store.single_writer()
        session.write(Batch([stored("before", MIDNIGHT)]))

        def go_on() -> None:
            for n in range(50):
                session.write(Batch([stored(f"child-{n}", MIDNIGHT + n)]))
            session.close()

        forked = child(go_on)
        for n in range(50):
            session.write(Batch([stored(f"parent-{n}", MIDNIGHT + n)]))
        succeed([forked])
        session.close()
        assert store.count(EVERYTHING) == 101
        assert all(store.get(f"{who}-{n}") for who in ("child", "parent") for n in range(50))


def test_a_forked_child_with_an_open_scan(tmp_path: Path) -> None:
    """A child inherits a scan that pins the tree: it may end it, and the parent's pin stays."""
    with checked(tmp_path / "tree") as store:
        store.write(Batch([stored(f"r{n}", MIDNIGHT + n) for n in range(10)]))
        scan = store.scan(EVERYTHING)
        next(scan)
        succeed([child(lambda: list(scan)), child(lambda: store.write(Batch([stored("child", MIDNIGHT)])))])
        assert store.compact([TODAY]) == 11
        assert list((tmp_path / "tree" / "journal").iterdir()) != []  # the sweep gave way to the scan
        assert len(list(scan)) == 9


def test_threads_save_while_another_compacts(tmp_path: Path) -> None:
    """Within one process a compaction keeps neither savers nor readers waiting or confused."""
    faults: list[BaseException] = []
    with checked(tmp_path / "tree") as store:

        def run(number: int) -> None:
            try:
                for n in range(100):
                    store.write(Batch([stored(f"{number}-{n}", MIDNIGHT + n)]))
                    assert store.get(f"{number}-{n}") is not None
                    if n % 20 == 0:
                        assert sum(1 for _ in store.scan(EVERYTHING)) > n
            except BaseException as fault:
                faults.append(fault)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            store.compact([TODAY])
        for thread in threads:
            thread.join()
        assert faults == []
        assert store.count(EVERYTHING) == 400


def test_what_a_session_writes_after_a_compaction_has_looked_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that saves and ends between the look of a compaction and its sweep loses nothing."""
    with checked(tmp_path / "tree") as store:
        session = store.single_writer()
        session.write(Batch([stored("early", MIDNIGHT)]))
        build = compaction.build

        def built_meanwhile(*arguments: Any) -> Any:
            session.write(Batch([stored("late", MIDNIGHT + 1)]))
            session.close()
            return build(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(compaction, "build", built_meanwhile)
            assert store.compact([TODAY]) == 1
        assert [store.get(identity) is not None for identity in ("early", "late")] == [True, True]
        assert store.compact([TODAY]) == 1


def test_an_open_session_holds_back_what_speaks_of_its_records(tmp_path: Path) -> None:
    """A removal and a newer revision stay in their journals as long as the session of the older goes on."""
    with checked(tmp_path / "tree") as store:
        session = store.single_writer()
        session.write(Batch([stored("gone", MIDNIGHT)]))
        session.write(Batch([stored("changed", MIDNIGHT)]))
        store.write(Batch([stored("changed", MIDNIGHT + DAY, 2)], [Removal("gone")]))
        for _ in range(2):
            store.compact([TODAY, TODAY + 1])
            assert [(r["pattern_id"], r["_meta"]["revision"]) for r in store.scan(EVERYTHING)] == [
                ("changed", 2)
            ]
            assert store.count(EVERYTHING) == 1
            assert store.get("gone") is None
        session.write(Batch([stored("more", MIDNIGHT)]))
        session.close()
        store.compact([TODAY, TODAY + 1])
        assert [record["pattern_id"] for record in store.scan(EVERYTHING)] == ["changed", "more"]
        assert list((tmp_path / "tree" / "journal").iterdir()) == []
        assert store.uncompacted_days() == []


def test_arrival_is_the_order_of_commits_also_without_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was written first and got its name second arrived second, and numbers outlive the log."""
    path = tmp_path / "tree"
    with checked(path) as store, closing(FilesystemBackend(str(path))) as other:
        create = TreeWriter.create

        def slow(writer: TreeWriter, place: str, data: bytes) -> None:
            create(writer, place, data)
            monkeypatch.undo()
            time.sleep(0.01)  # so that the clock shows which file is older
            other.write(Batch([stored("second", MIDNIGHT)]))

        monkeypatch.setattr(TreeWriter, "create", slow)
        store.write(Batch([stored("first", MIDNIGHT)]))
        numbers = [seq for _, seq, _, _ in TreeWriter(str(path)).open_log().changes()]
        for file in (path / "index").iterdir():
            file.unlink()
        found = list(store.scan(Query(order="arrival", limit=None)))
        assert [record["pattern_id"] for record in found] == ["second", "first"]
        assert [record["_meta"]["seq"] for record in found] == numbers

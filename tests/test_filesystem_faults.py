"""A tree on a full disk, read-only, under odd umasks, with files deleted or scrambled."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from forks import child, succeed
from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.filesystem import cold, hotlog
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.errors import DamageError, ReadOnlyError, StoreError
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.compare import agree, content
from moai_patterns.testing.pools import MIDNIGHT, stored
from wounds import flip

EVERYTHING = Query(limit=None)
TODAY = MIDNIGHT // DAY


@contextmanager
def opened(path: Path, **options: str) -> Iterator[FilesystemBackend]:
    """The store in a tree, closed at the end."""
    with closing(FilesystemBackend(str(path), **options)) as store:  # type: ignore[arg-type]
        yield store


def fill(path: Path) -> list[dict[str, object]]:
    """Make a tree with something in each of its forms, and return what it holds."""
    with opened(path) as store:
        for n in range(6):
            store.write(Batch([stored(f"cold-{n}", MIDNIGHT + n)]))
        store.write(Batch([stored("cold-0", MIDNIGHT, 2)], [Removal("cold-1")]))
        store.compact([TODAY])
        for n in range(6):
            store.write(Batch([stored(f"hot-{n}", MIDNIGHT + DAY + n)]))
        store.write(Batch([stored("cold-2", MIDNIGHT + DAY, 2)], [Removal("cold-3"), Removal("hot-1")]))
        session = store.single_writer()
        session.write(Batch([stored("session", MIDNIGHT + DAY)]))
        session.close()
        return content(store)


def acts(store: FilesystemBackend) -> dict[str, Callable[[], object]]:
    """Everything that writes, by name."""
    session = store.single_writer()
    return {
        "save": lambda: store.write(Batch([stored("new", MIDNIGHT)])),
        "update": lambda: store.write(Batch([stored("hot-0", MIDNIGHT, 2)])),
        "many": lambda: store.write(Batch([stored(f"many-{n}", MIDNIGHT) for n in range(9)])),
        "session": lambda: session.write(Batch([stored("said", MIDNIGHT)])),
        "delete": lambda: store.write(Batch(remove=[Removal("cold-4")])),
        "compact": lambda: store.compact([TODAY, TODAY + 1]),
    }


@pytest.mark.parametrize("act", ["save", "update", "many", "session", "delete", "compact"])
def test_a_disk_that_fills_up_at_any_byte(tmp_path: Path, act: str) -> None:
    """What finds no room raises an error of ours, the store stays as it was, and it goes on later."""
    pristine = tmp_path / "pristine"
    before = fill(pristine)
    refused = 0
    for limit in (*range(0, 400, 24), *range(400, 3000, 240)):
        path = tmp_path / str(limit)
        shutil.copytree(pristine, path)

        def attempt(path: Path = path, limit: int = limit) -> None:
            with opened(path) as store:
                todo = acts(store)[act]
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                try:
                    todo()
                except StoreError:
                    (path / "refused").mkdir()
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                if (path / "refused").exists() or act == "compact":
                    agree(content(store), before, f"{act} at {limit} bytes, in the same process")
                    todo()

        succeed([child(attempt)])
        refused += (path / "refused").exists()
        with opened(path) as store:
            assert store.check(read_data=True) == []
            assert act != "compact" or store.uncompacted_days() == []
        assert os.listdir(path / "tmp") == []
        shutil.rmtree(path)
    assert refused > 3


def test_the_log_finds_no_room_to_grow(tmp_path: Path) -> None:
    """When the table of the log cannot be made larger, saves are refused until there is room again."""
    with opened(tmp_path / "tree") as store:

        def save(first: int, count: int) -> None:
            for n in range(first, first + count):
                store.write(Batch([stored(f"r{n}", MIDNIGHT + n)], fresh=True))

        save(0, 120)

        def full() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, resource.RLIM_INFINITY))
            heads = (tmp_path / "tree" / "index" / "heads").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (heads, resource.RLIM_INFINITY))
            with pytest.raises(StoreError):
                save(120, 100)
            assert store.get("r119") is not None

        succeed([child(full)])
        save(300, 300)
        assert store.count(EVERYTHING) >= 420
        assert all(store.get(f"r{n}") for n in (*range(120), *range(300, 600)))
        assert store.check(read_data=True) == []


@pytest.mark.parametrize("durability", ["os", "group", "record"])
def test_each_level_waits_for_what_it_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    """`os` waits for nothing, the others for file and directories, sessions for each line or at their end."""
    synced: list[str] = []
    fsync = os.fsync

    def counting(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    path = tmp_path / "tree"
    monkeypatch.setattr(os, "fsync", counting)
    with opened(path, durability=durability) as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
        first = [Path(place) for place in synced]
        time.sleep(0.05)  # until file systems with coarse clocks would date a further change otherwise
        store.write(Batch([stored("once more", MIDNIGHT)]))
        synced.clear()
        store.write(Batch([stored("b", MIDNIGHT)]))
        second = [Path(place) for place in synced]
        session = store.single_writer()
        synced.clear()
        for n in range(3):
            session.write(Batch([stored(f"s{n}", MIDNIGHT)]))
        lines = [place for place in synced if place.endswith(".jsonl")]
        session.close()
        ended = [place for place in synced if place.endswith(".jsonl")]
    day = path / "2025" / "11" / "29"
    if durability == "os":
        assert (first[1:], second, ended) == ([path], [], [])  # the manifest, once
    else:
        assert {day, day.parent, day.parent.parent, path, tmp_path} <= set(first)
        assert [place for place in second if place.parent != path / "tmp"] == [day]
        assert len(second) == 2
        assert len(lines) == (3 if durability == "record" else 0)
        assert len(ended) == len(lines) + 1


def test_any_umask_gives_private_files(tmp_path: Path) -> None:
    """Files are 0600 and directories 0700 under a umask that takes everything and one that takes nothing."""
    for umask in (0o777, 0o000, 0o027):
        path = tmp_path / f"{umask:o}"

        def make(path: Path = path, umask: int = umask) -> None:
            os.umask(umask)
            fill(path)

        succeed([child(make)])
        for place in (path, *path.rglob("*")):
            mode = stat.S_IMODE(place.lstat().st_mode)
            assert mode == (0o700 if place.is_dir() else 0o600), place


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A tree that nobody may write: mounted so, or for want of that right, by its permissions."""
    path = tmp_path / "tree"
    fill(path)
    if os.geteuid() == 0:
        mounted = subprocess.run(
            ["mount", "--bind", "-o", "ro", path, path], capture_output=True, check=False
        )
        if mounted.returncode == 0:
            yield path
            subprocess.run(["umount", path], check=True)
            return
        pytest.skip("needs the right to mount, or not to be root")
    places = [path, *path.rglob("*")]
    for place in places:
        place.chmod(0o500 if place.is_dir() else 0o400)
    yield path
    for place in places:
        place.chmod(0o700)


@pytest.mark.parametrize("log", ["there", "gone", "old"])
def test_a_read_only_tree_answers(read_only: Path, monkeypatch: pytest.MonkeyPatch, log: str) -> None:
    """Each question is answered without a right to write, without a log too, and a save says why not."""
    if log == "gone":
        monkeypatch.setattr(hotlog, "_boot", [1])
    elif log == "old":
        monkeypatch.setattr(hotlog, "_MAGIC", 1)
    with opened(read_only) as store:
        found = content(store)
        assert len(found) == 12
        for record in store.scan(EVERYTHING):
            assert store.get(record["pattern_id"]) == record
        assert [store.get(identity) for identity in ("cold-1", "cold-3", "hot-1", "never")] == [None] * 4
        assert [r["_meta"]["revision"] for r in store.history("cold-2")] == [1, 2]
        assert store.count(EVERYTHING) == 10
        assert store.check(read_data=True) == []
        assert len(store.repair(dry_run=True)) == (log != "there")  # the log would be made anew
        with pytest.raises(ReadOnlyError, match=str(read_only)):
            store.write(Batch([stored("new", MIDNIGHT)]))


def test_a_directory_that_cannot_be_read_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` names it beside all other findings, and a scan refuses without a word about writing."""
    path = tmp_path / "tree"
    fill(path)
    hot = next((path / "2025" / "11" / "30").glob("*.json"))
    (path / "2025" / "11" / "29" / hot.name).touch()
    scandir = os.scandir

    def denied(place: str) -> object:
        if place == str(hot.parent):
            raise PermissionError(errno.EACCES, "Permission denied", place)
        return scandir(place)

    monkeypatch.setattr(os, "scandir", denied)
    with opened(path) as store:
        found = {problem.place: problem.sentence for problem in store.check(read_data=True)}
        assert found[str(hot.parent)] == "it cannot be read: Permission denied"
        assert str(path / "2025" / "11" / "29" / hot.name) in found
        with pytest.raises(StoreError, match=f"^.*{hot.parent}: Permission denied$") as caught:
            list(store.scan(EVERYTHING))
        assert not isinstance(caught.value, ReadOnlyError)


def test_no_scrambled_byte_of_the_log_gives_a_wrong_answer(tmp_path: Path) -> None:
    """Each flipped bit and each truncation of `index/` gives the same answers, and the next save works."""
    pristine = tmp_path / "pristine"
    before = fill(pristine)
    files = sorted(path.name for path in (pristine / "index").iterdir())
    assert len(files) == 2
    for number, name in enumerate(files):
        size = (pristine / "index" / name).stat().st_size
        for at in range(number, size, 61 if size > 8000 else 11):
            path = tmp_path / "tree"
            shutil.copytree(pristine, path)
            flip(path / "index" / name, at) if at % 5 else os.truncate(path / "index" / name, at)
            with opened(path) as store:
                for record in store.scan(EVERYTHING):
                    assert store.get(record["pattern_id"]) == record, (name, at)
                assert store.get("cold-3") is None
                store.write(Batch([stored("hot-1", MIDNIGHT)]))
                assert store.get("hot-1") is not None
                found = [record for record in content(store) if record["pattern_id"] != "hot-1"]
                agree(found, before, f"{name}, byte {at}")
            shutil.rmtree(path)


def test_no_scrambled_bucket_of_the_log_hides_a_record(tmp_path: Path) -> None:
    """A bucket that is zeroed, flipped or has another one's content is noticed; nothing is not found."""
    pristine = tmp_path / "pristine"
    fill(pristine)
    table = (pristine / "index" / "heads").read_bytes()
    words = [table[at : at + 8] for at in range(64, len(table), 8)]
    empty = max(set(words), key=words.count)
    used = [number for number, word in enumerate(words) if word != empty]
    assert len(used) > 10
    for number in used:
        flipped = bytes([words[number][0] ^ 1]) + words[number][1:]
        for scrambled in (bytes(8), flipped):
            path = tmp_path / "tree"
            shutil.copytree(pristine, path)
            at = 64 + number * 8
            (path / "index" / "heads").write_bytes(table[:at] + scrambled + table[at + 8 :])
            with opened(path) as store:
                for record in store.scan(EVERYTHING):
                    assert store.get(record["pattern_id"]) == record, number
            shutil.rmtree(path)


@pytest.mark.parametrize(
    "what", ["index.json", "index.copy.json", "index", "index/heads", "tmp", ".lock", ".pin", ".maintenance"]
)
def test_what_is_deleted_and_can_be_made_again(tmp_path: Path, what: str) -> None:
    """Answers, arrival numbers included, stay the same without any file that is not itself a record."""
    path = tmp_path / "tree"
    before = fill(path)
    place = path / what
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    with opened(path) as store:
        assert content(store) == before
        for record in store.scan(EVERYTHING):
            assert store.get(record["pattern_id"]) == record
        named = [problem.place for problem in store.check(read_data=True)]
        assert named == ([str(path / "index.json")] if what == "index.json" else [])
        store.write(Batch([stored("new", MIDNIGHT + DAY)]))
        store.write(Batch([stored(f"more-{n}", MIDNIGHT + DAY) for n in range(3)]))
        assert store.count(EVERYTHING) == 14
        assert store.compact([TODAY + 1]) > 0
        assert store.check(read_data=True) == []


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_what_was_removed_stays_so_without_the_manifest(tmp_path: Path, damage: str) -> None:
    """Expired days and dead journals whose files still lie there do not come back with a damaged manifest."""
    path = tmp_path / "tree"
    with opened(path) as store:
        store.write(Batch([stored(f"old-{n}", MIDNIGHT + n) for n in range(5)]))
        store.write(Batch([stored("new", MIDNIGHT + DAY)]))
        store.compact([TODAY, TODAY + 1])
        assert store.delete(Query(end_date=MIDNIGHT + DAY - 1, limit=None)) == 5
        assert list((path / "2025" / "11" / "29").iterdir()) != []  # swept by the next compaction
        place = path / "index.json"
        if damage == "gone":
            place.unlink()
        elif damage == "cut":
            os.truncate(place, 100)
        else:
            flip(place, 200)
    with opened(path) as store:
        assert [record["pattern_id"] for record in store.scan(EVERYTHING)] == ["new"]
        assert store.get("old-1") is None
        assert [problem.place for problem in store.check()] == [str(place)]
        store.compact([])
        assert store.check(read_data=True) == []
        assert [record["pattern_id"] for record in store.scan(EVERYTHING)] == ["new"]


def test_a_damaged_hot_file_keeps_its_day_from_being_compacted_and_no_other(tmp_path: Path) -> None:
    """Compaction does what it can, then names the file; no answer changes, and healed, the day goes too."""
    path = tmp_path / "tree"
    with opened(path) as store:
        for n in range(12):
            store.write(Batch([stored(f"r{n:02}", MIDNIGHT + n % 3 * DAY + n)]))
        store.write(Batch([stored(f"j{n}", MIDNIGHT + n * DAY) for n in range(3)]))
        store.write(Batch([stored("r01", MIDNIGHT, 2)], [Removal("r02"), Removal("r04")]))
        before = content(store)
        hurt = max((path / "2025" / "11" / "30").glob("*.json"))
        sound, dated = hurt.read_bytes(), hurt.stat().st_mtime_ns
        flip(hurt, 30)
        for _ in range(2):
            with pytest.raises(DamageError, match=f"{hurt.name}.*other days are compacted"):
                store.compact([TODAY, TODAY + 1, TODAY + 2])
            assert store.uncompacted_days() == [TODAY + 1]
            assert store.get("r02") is None
        hurt.write_bytes(sound)
        os.utime(hurt, ns=(dated, dated))
        agree(content(store), before, "once the file is back")
        assert store.compact([TODAY + 1]) > 0
        agree(content(store), before, "after the last day, too")
        assert store.uncompacted_days() == []
        assert store.check(read_data=True) == []


def test_without_both_manifests_segments_speak_for_themselves(tmp_path: Path) -> None:
    """All that lies there is answered, `check` says so, and a compaction refuses with what can be done."""
    path = tmp_path / "tree"
    before = fill(path)
    for name in ("index.json", "index.copy.json"):
        (path / name).unlink()
    with opened(path) as store:
        assert content(store) == before
        assert [problem.place for problem in store.check()] == [str(path / "index.json")]
        with pytest.raises(DamageError, match=r"index\.json.*backup.*moai-patterns repair"):
            store.compact([TODAY + 1])


def test_a_damaged_manifest_over_no_segments_is_replaced(tmp_path: Path) -> None:
    """A manifest that a power cut left empty is named, and the first compaction writes it anew."""
    path = tmp_path / "tree"
    with opened(path) as store:
        store.write(Batch([stored("a", MIDNIGHT)]))
    os.truncate(path / "index.json", 0)
    with opened(path) as store:
        assert [problem.place for problem in store.check()] == [str(path / "index.json")]
        assert store.compact([TODAY]) == 1
        assert store.check(read_data=True) == []
        assert store.get("a") is not None


def test_a_cut_journal_is_damage_and_a_killed_session_is_none(tmp_path: Path) -> None:
    """Lines missing at the end of a batch are reported; a session's torn last line was never acknowledged."""
    path = tmp_path / "tree"
    with opened(path) as store:
        store.write(Batch([stored(f"r{n}", MIDNIGHT + n) for n in range(5)]))
        (batch,) = (path / "journal").iterdir()
        whole = batch.read_bytes()
        for size in range(len(whole)):
            batch.write_bytes(whole[:size])
            with opened(path) as fresh:
                assert [problem.place for problem in fresh.check()][:1] == [str(batch)], size
                with pytest.raises(DamageError, match=batch.name):
                    list(fresh.scan(EVERYTHING))
        batch.write_bytes(whole)
    succeed(
        [child(lambda: FilesystemBackend(str(path)).single_writer().write(Batch([stored("s0", MIDNIGHT)])))]
    )
    (journal,) = set((path / "journal").iterdir()) - {batch}
    with journal.open("ab") as file:
        file.write(b'{"pattern_id":"s1","pattern')
    with opened(path) as store:
        assert store.check(read_data=True) == []
        assert store.count(EVERYTHING) == 6


def test_old_temporary_files_go_and_new_ones_stay(tmp_path: Path) -> None:
    """Compaction removes what somebody left in `tmp` more than an hour ago; check names it before."""
    path = tmp_path / "tree"
    fill(path)
    for name, age in (("old", 3700), ("new", 60)):
        (path / "tmp" / name).write_bytes(b"")
        moment = (path / "tmp" / name).stat().st_mtime - age
        os.utime(path / "tmp" / name, (moment, moment))
    with opened(path) as store:
        assert [problem.place for problem in store.check()] == [str(path / "tmp" / "old")]
        store.compact([])
        assert os.listdir(path / "tmp") == ["new"]


def test_many_segments_take_a_bounded_number_of_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of more days than a process may open files answers scans and loads."""
    monkeypatch.setattr(cold, "_MOST_OPEN", 20)
    path = tmp_path / "tree"
    with opened(path) as store:
        store.write(Batch([stored(f"r{n:03}", MIDNIGHT + n * DAY) for n in range(80)]))
        assert store.compact(range(TODAY, TODAY + 80)) == 80

    def ask() -> None:
        most = max(map(int, os.listdir("/proc/self/fd"))) + 56
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        with opened(path) as store:
            assert sum(1 for _ in store.scan(EVERYTHING)) == 80
            assert all(store.get(f"r{n:03}") for n in range(80))
            open_now = len(os.listdir("/proc/self/fd"))
            store.close()
            assert len(os.listdir("/proc/self/fd")) <= open_now - 20

    succeed([child(ask)])


def test_every_change_goes_through_the_recorded_calls() -> None:
    """The backend changes files by `fileops` alone, so that a harness can record and fail each call."""
    package = Path(sys.modules[FilesystemBackend.__module__].__file__ or "").parent
    calls = ("open", "write", "rename", "replace", "unlink", "mkdir", "remove", "rmdir", "link", "ftruncate")
    for source in package.glob("*.py"):
        text = source.read_text(encoding="utf-8")
        assert [call for call in calls if f"os.{call}(" in text] == [], source.name


def test_a_system_without_reads_at_a_place_answers_alike(tmp_path: Path) -> None:
    """Where there is no pread and no pwrite, as on Windows, files are read and written by seeking."""
    program = """
import os, sys
del os.pread, os.pwrite
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.base import Batch
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored
store = FilesystemBackend(sys.argv[1])
for number in range(150):
    store.write(Batch([stored(f"r{number}", MIDNIGHT + number)]))
session = store.single_writer()
for number in range(150, 200):
    session.write(Batch([stored(f"r{number}", MIDNIGHT + number)]))
session.close()
for _ in range(2):
    assert len(list(store.scan(Query(limit=None)))) == 200
    assert all(store.get(f"r{number}") for number in range(200))
    assert store.check(read_data=True) == []
    store.compact([MIDNIGHT // 86_400_000_000])
store.close()
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "tree")], check=True)

"""Stores that cannot be used as they are: wrong paths, wrong layouts, damage. What can be read is read."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from moai_patterns import DamageError, LayoutError, PatternError, PatternStorage, StoreError
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.cli.commands import run
from samples import sample
from stores import contents
from wounds import flip

MARCH = 1_709_251_200_000_000_000  # 2024-03-01T00:00Z
PERSISTENT = ("filesystem", "sqlite")
DAYS = {"a": "2024-01-01", "b": "2024-01-02", "c": "2024-02-28", "d": "2024-02-29"}
COUNTS = {"a": 300, "b": 5, "c": 3, "d": 5}


def opened(backend: str, path: Path) -> PatternStorage:
    """A storage that never starts maintenance by itself."""
    return PatternStorage(backend, path, clock=lambda: MARCH, maintenance_interval=None)


def filled(backend: str, path: Path) -> Path:
    """A store with two closed days (one of them in three members), hot files and a batch."""
    records = {letter: [sample(f"{letter}{n}", f"{day}T10:00:00Z", note="x" * (n * 7 % 50))
                        for n in range(COUNTS[letter])] for letter, day in DAYS.items()}  # fmt: skip
    with opened(backend, path) as storage:
        storage.save_many(records["a"])
        storage.save_many(records["b"])
        storage.compress_old_files()
        for record in records["c"]:
            storage.save(record)
        storage.save_many(records["d"])
        assert storage.check(read_data=True) == []
    return path


# Paths


def test_an_unknown_backend_names_those_that_there_are(tmp_path: Path) -> None:
    """ValueError says which backends exist; nothing is made at the path."""
    with pytest.raises(ValueError, match=r"no backend 'cassette'.*filesystem, sqlite, memory"):
        PatternStorage("cassette", tmp_path / "store")
    with pytest.raises(ValueError, match="write, scan and close"):
        PatternStorage(object())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("backend", PERSISTENT)
@pytest.mark.parametrize("below", ["", "below", "below/deep"])
def test_a_path_that_is_a_file_is_refused(backend: str, below: str, tmp_path: Path) -> None:
    """A file where the store, or a directory above it, should be is named and left as it is."""
    name = "store.db" if backend == "sqlite" and not below else "store"
    (tmp_path / name).write_text("here before\n" * 100)
    before = contents(tmp_path)
    with pytest.raises(StoreError) as refusal, opened(backend, tmp_path / name / below) as storage:
        storage.save(sample())
    assert str(tmp_path / name) in str(refusal.value)
    assert isinstance(refusal.value, OSError)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("scheme", ["file", "sqlite"])
def test_the_command_line_says_that_a_path_is_a_file(
    scheme: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4 and one sentence on standard error, no traceback."""
    (tmp_path / "store.db").write_text("here before\n" * 100)
    assert run(["count", "--store", f"{scheme}:{tmp_path / 'store.db'}"]) == 4
    said = capsys.readouterr().err
    assert "store.db" in said
    assert "Traceback" not in said


def in_a_child_without_rights(act: Callable[[], object]) -> str:
    """Run `act` in a forked process that is not root, and return what it says of its outcome."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            try:
                said = f"returned {act()!r}"
            except BaseException as error:
                said = f"{','.join(kind.__name__ for kind in type(error).__mro__)}|{error}"
            os.write(writing, said.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as said_there:
        said = said_there.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def open_to_all(tmp_path: Path) -> Path:
    """A directory that another user can reach: pytest makes its own ones private."""
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid != os.getuid() or place == Path("/tmp"):
            break
        place.chmod(place.stat().st_mode | 0o055)
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")
@pytest.mark.parametrize("backend", PERSISTENT)
def test_an_unwritable_directory_is_refused(backend: str, open_to_all: Path) -> None:
    """Where nothing can be made a save raises StoreError with the path and the reason."""
    place = open_to_all / "locked"
    place.mkdir(mode=0o555)

    def save() -> object:
        with opened(backend, place / "store") as storage:
            return storage.save(sample())

    said = in_a_child_without_rights(save)
    assert "StoreError" in said
    assert "Permission denied" in said
    assert str(place) in said
    assert list(place.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")
@pytest.mark.parametrize("backend", PERSISTENT)
def test_an_unwritable_store_is_read_and_not_written(backend: str, open_to_all: Path) -> None:
    """Without the right to write, every record is still there; a save says why it is not."""
    place = open_to_all / "home"
    place.mkdir()
    filled(backend, place / "store")
    for path in (place, *place.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = contents(place)

    def read() -> object:
        with opened(backend, place / "store") as storage:
            return (
                storage.count(),
                storage.load("a7") is not None,
                len(list(storage.query(tags=None, limit=None))),
            )

    def save() -> object:
        with opened(backend, place / "store") as storage:
            return storage.save(sample("new"))

    try:
        assert in_a_child_without_rights(read) == "returned (313, True, 313)"
        said = in_a_child_without_rights(save)
        assert said.startswith("ReadOnlyError,StoreError,PatternError,PermissionError")
        assert "store" in said
        assert contents(place) == before
    finally:
        for path in (place, *place.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.parametrize("backend", PERSISTENT)
def test_a_newer_layout_is_refused_and_left_alone(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """LayoutError names the store, its layout and the way out; not a byte changes."""
    path = filled(backend, tmp_path / "store")
    if backend == "sqlite":
        with closing(sqlite3.connect(f"{path}.db")) as database:
            database.execute("PRAGMA user_version = 99")
    else:
        content = json.loads((path / "index.json").read_bytes())
        (path / "index.json").write_text(json.dumps(content | {"layout": 99}, separators=(",", ":")))
    before = contents(tmp_path)

    with pytest.raises(LayoutError, match="newer") as refusal:
        opened(backend, path)
    assert str(path) in str(refusal.value)
    assert "99" in str(refusal.value)
    store = f"{'file' if backend == 'filesystem' else backend}:{path}"
    for command in (["count"], ["check"], ["query"], ["compact"]):
        assert run([*command, "--store", store]) == 4
    assert "newer" in capsys.readouterr().err
    assert contents(tmp_path) == before


# Damage


class Wound(NamedTuple):
    """Where a file is hurt, and what of each day must still be loaded by id."""

    files: str
    readable: dict[str, int]
    days: str = "abcd"
    """The days that can still be queried."""


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def wipe(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


HURTS: dict[str, Callable[[Path], None]] = {
    "flip": lambda path: flip(path, path.stat().st_size // 2),
    "cut": cut,
    "wipe": wipe,
    "lose": Path.unlink,
}
SEGMENT = Wound("2024/01/01/*.jsonl.gz", COUNTS | {"a": 128}, "bcd")
TREE_WOUNDS: dict[str, tuple[Wound, tuple[str, ...]]] = {
    "a segment": (SEGMENT, ("flip", "cut")),
    "a whole segment": (Wound(SEGMENT.files, COUNTS | {"a": 0}, "bcd"), ("wipe", "lose")),
    "a side index": (Wound("2024/01/01/*.idx", COUNTS), ("flip", "cut", "wipe", "lose")),
    "the manifest": (Wound("index.json", COUNTS), ("flip", "cut", "wipe", "lose")),
    "a hot file": (Wound("2024/02/28/*_c1_*.json", COUNTS | {"c": 2}, "abd"), ("flip", "cut", "wipe")),
    # What day a broken line was of nobody knows, so no question can be answered for certain.
    "a batch": (Wound("journal/*.jsonl", COUNTS | {"d": 4}, ""), ("flip",)),
}


def findings(storage: PatternStorage, place: Path) -> list[str]:
    """What `check` says; at least one finding names the place."""
    found = [f"{problem.place}: {problem.sentence}" for problem in storage.check(read_data=True)]
    assert any(str(place) in finding for finding in found), found
    return found


def loaded(storage: PatternStorage, place: Path) -> dict[str, int]:
    """How many records of each day are loaded right; every other one raises with the place."""
    right = dict.fromkeys(DAYS, 0)
    refusals = set()
    for letter, day in DAYS.items():
        for number in range(COUNTS[letter]):
            try:
                found = storage.load(f"{letter}{number}")
            except DamageError as error:
                refusals.add(str(error))
            else:
                wanted = sample(f"{letter}{number}", f"{day}T10:00:00Z", note="x" * (number * 7 % 50))
                assert found == wanted
                right[letter] += 1
    assert [refusal for refusal in refusals if str(place) not in refusal] == []
    return right


def queried(storage: PatternStorage, place: Path) -> str:
    """The days whose questions have a whole answer; every other one raises with the place."""
    whole, refusals = "", set()
    for letter, day in DAYS.items():
        bounds: dict[str, Any] = {"start_date": f"{day}T00:00Z", "end_date": f"{day}T23:59:59Z"}
        try:
            found = list(storage.query(**bounds, limit=None))
        except DamageError as error:
            refusals.add(str(error))
        else:
            assert len(found) == COUNTS[letter]
            whole += letter
    assert [refusal for refusal in refusals if str(place) not in refusal] == []
    return whole


@pytest.mark.parametrize(
    ("name", "hurt"), [(name, hurt) for name, (_, hurts) in TREE_WOUNDS.items() for hurt in hurts]
)
def test_damage_in_a_tree_is_named_and_the_rest_is_read(
    name: str, hurt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` names the file; ids and days that do not depend on it answer in full, the others say why."""
    wound, _ = TREE_WOUNDS[name]
    path = filled("filesystem", tmp_path / "store")
    (place,) = path.glob(wound.files)
    HURTS[hurt](place)

    with opened("filesystem", path) as storage:
        before = contents(path)
        found = findings(storage, place)
        assert contents(path) == before, "check changes nothing"
        readable = loaded(storage, place)
        assert all(readable[letter] >= least for letter, least in wound.readable.items()), readable
        assert set(wound.days) <= set(queried(storage, place))
        if wound.days == "abcd":
            assert storage.count() == len(list(storage.query(limit=None))) == 313
        assert storage.save(sample("new", "2024-02-28T10:00:01Z"))
        assert storage.load("new") is not None
    capsys.readouterr()
    assert run(["check", "--read-data", "--store", f"file:{path}"]) == 1
    assert str(place) in capsys.readouterr().out
    print(f"\n{name}, {hurt}: {found[0].replace(str(tmp_path), '')}")


def pages(path: Path, tables: str) -> list[int]:
    """The pages of a database that hold rows of a table, as SQLite lists them."""
    with closing(sqlite3.connect(path)) as database:
        try:
            rows = database.execute(
                "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (tables,)
            )
            return [number for (number,) in rows]
        except sqlite3.OperationalError:
            pytest.skip("needs an SQLite with dbstat")


@pytest.mark.parametrize("part", ["patterns", "patterns_by_time"])
def test_damage_in_a_database_is_named_and_the_rest_is_read(
    part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A scrambled page of the table or of an index: check names the file, other records still load."""
    path = filled("sqlite", tmp_path / "store").with_suffix(".db")
    wounded = pages(path, part)
    content = bytearray(path.read_bytes())
    size = int.from_bytes(content[16:18]) % 65535 or 65536
    start = (wounded[len(wounded) // 2] - 1) * size
    content[start : start + 8] = b"scramble"
    path.write_bytes(content)

    with opened("sqlite", path) as storage:
        findings(storage, path)
        readable = loaded(storage, path)
    print(f"\n{part}: of {len(wounded)} pages one is scrambled, {sum(readable.values())} of 313 load")
    assert sum(readable.values()) >= (313 if part != "patterns" else 200)
    capsys.readouterr()
    assert run(["check", "--read-data", "--store", f"sqlite:{path}"]) == 1
    assert str(path) in capsys.readouterr().out


def test_a_changed_row_of_a_database_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    """A row that another program changed is named by its id; all others are read, that one is refused."""
    path = filled("sqlite", tmp_path / "store").with_suffix(".db")
    with closing(SqliteBackend(str(path))) as store:
        store.reclaim()  # a damaged row that waits is in the way of each question by kind
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("""UPDATE patterns SET data = '{"task_type": "forged"}' WHERE pattern_id = 'c1'""")

    with opened("sqlite", path) as storage:
        assert "c1" in " ".join(findings(storage, path))
        assert loaded(storage, path) == COUNTS | {"c": 2}
        assert queried(storage, path) == "abd"


def test_what_is_no_database_is_refused_with_its_name(tmp_path: Path) -> None:
    """A file whose header is gone is no store any more: the error names it, and it stays as it is."""
    path = filled("sqlite", tmp_path / "store").with_suffix(".db")
    content = bytearray(path.read_bytes())
    content[:16] = b"not a database!!"
    path.write_bytes(content)
    before = contents(tmp_path)
    with pytest.raises(PatternError) as refusal, opened("sqlite", path) as storage:
        storage.count()
    assert str(path) in str(refusal.value)
    assert contents(tmp_path) == before

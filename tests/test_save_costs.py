"""What one save costs, counted and not timed: system calls, statements, bytes written.

`make bench` says how long these take. A figure here that grows is a slower save on every machine.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from moai_patterns import PatternStorage
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.bench.samples import record
from moai_patterns.testing.pools import MIDNIGHT

pytestmark = pytest.mark.as_shipped

# What the first saves open is open by the time that those between the marks come.
PROGRAM = """
import os, sys
from moai_patterns import PatternStorage
from moai_patterns.bench.samples import record
before, number = map(int, sys.argv[3:])
made = [record(n, 1764374400000000 + n) for n in range(before + number)]
with PatternStorage(sys.argv[1], sys.argv[2], maintenance_interval=None) as storage:
    for one in made[:before]:
        storage.save(one)
    os.access("/mark", os.F_OK)
    for one in made[before:]:
        storage.save(one)
    os.access("/mark", os.F_OK)
"""
TREE = {
    "access": 2,  # is there a file of this name, and a spool?
    "openat": 1,  # the draft
    "fstat": 2,  # nobody's umask has made it useless; the lock file has its name yet
    "write": 1,
    "close": 1,
    "flock": 2,
    "stat": 3,  # the log, the manifest and the directory are those of the last save
    "pread64": 2,  # the header of the log's table, and the bucket
    "utimensat": 1,  # the arrival number
    "pwrite64": 4,  # the log's line, the header, the bucket; that it is settled
    "rename": 1,
}
OTHERWISE = {"newfstatat": "stat", "faccessat": "access", "faccessat2": "access", "renameat": "rename"}
# They read what the kernel has at hand, and some C libraries remember what they said.
FREE = ("getpid", "geteuid")
PAGE = 4096 + 24


def traced(program: list[str], log: Path) -> Counter[str]:
    """The system calls between two marks, by name."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    command = ["strace", "-qq", "-o", str(log), *program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr:
        pytest.skip(f"strace cannot be used here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    _, between, _ = re.split(r'^f?access(?:at2?)?\(.*"/mark".*$', log.read_text(), flags=re.MULTILINE)
    calls = re.findall(r'^(\w+)\((\d+, "")?', between, flags=re.MULTILINE)
    names = ["fstat" if of_file else OTHERWISE.get(name, name) for name, of_file in calls]
    return Counter(name for name in names if name not in FREE)


def saving(backend: str, place: Path, before: int, number: int) -> list[str]:
    """The program that saves."""
    return [sys.executable, "-c", PROGRAM, backend, str(place), str(before), str(number)]


def test_a_save_into_a_tree_makes_these_system_calls(tmp_path: Path) -> None:
    """Each call of a save of a new record is known, and what it is for."""
    assert dict(traced(saving("filesystem", tmp_path / "tree", 9, 1), tmp_path / "log")) == TREE


def test_a_save_into_a_database_makes_few_system_calls(tmp_path: Path) -> None:
    """Beside what SQLite does for a commit of two pages: the lock, two looks, now and then one more.

    Two of them bring the indexes up to date, each in a transaction of its own.
    """
    found = traced(saving("sqlite", tmp_path / "base", 128, 128), tmp_path / "log")
    ours = {name: found.pop(name, 0) for name in ("flock", "fstat", "access")}
    assert ours == {"flock": 2 * 128, "fstat": 128, "access": 128}
    assert found.pop("stat") <= 128 + 128 / 16 + 2
    assert found.pop("statfs") <= 128 / 16 + 2
    assert found.pop("pwrite64") <= 2 * 3 * 128  # a page and its header, each by itself
    assert found.pop("fcntl") <= 6 * (128 + 2)
    assert found.total() <= 20, found


@pytest.mark.parametrize("backend", ["filesystem", "sqlite"])
def test_a_save_writes_no_more_bytes_than_it_must(tmp_path: Path, backend: str) -> None:
    """A tree: the record, a line of the log, its header. A database: two pages, now and then more."""
    written = Path("/proc/self/io")
    if not written.exists():
        pytest.skip("needs /proc/self/io to count bytes")

    def so_far() -> int:
        return int(re.search(r"wchar: (\d+)", written.read_text())[1])  # type: ignore[index]

    with PatternStorage(backend, tmp_path / "store", maintenance_interval=None) as storage:
        every = [record(number, MIDNIGHT + number) for number in range(110)]
        for one in every[:10]:
            storage.save(one)
        before = so_far()
        for one in every[10:]:
            storage.save(one)
        each = (so_far() - before) / 100
    if backend == "filesystem":
        size = max(path.stat().st_size for path in (tmp_path / "store").glob("*/*/*/*.json"))
        assert each <= size + 350
    else:
        assert each <= 3 * PAGE


def test_a_tagged_save_is_one_statement(tmp_path: Path) -> None:
    """One insert brings a record in, with its tags, and reads nothing before it; a batch needs four more."""
    with PatternStorage("sqlite", tmp_path / "store", maintenance_interval=None) as storage:
        storage.save(record(0, MIDNIGHT))
        assert isinstance(storage.backend, SqliteBackend)
        connection = storage.backend._writer._connection
        assert connection is not None
        heard: list[str] = []
        connection.set_trace_callback(heard.append)
        storage.save(record(1, MIDNIGHT))
        assert [statement.split()[0] for statement in heard] == ["INSERT"]
        heard.clear()
        storage.save_many([record(number, MIDNIGHT) for number in range(2, 52)])
        connection.set_trace_callback(None)
        assert Counter(statement.split()[0] for statement in heard) == {
            "BEGIN": 1,
            "SELECT": 1,
            "INSERT": 50,
            "COMMIT": 1,
        }


def test_a_batch_into_a_tree_is_one_file_and_one_append(tmp_path: Path) -> None:
    """However many records it has, a batch is one journal, and one append to the change log."""
    batch = PROGRAM.replace(
        "for one in made[before:]:\n        storage.save(one)", "storage.save_many(made[before:])"
    )
    program = [part if part != PROGRAM else batch for part in saving("filesystem", tmp_path / "tree", 9, 500)]
    found = traced(program, tmp_path / "log")
    assert found["rename"] == 1
    assert found["openat"] <= 2
    assert found["pwrite64"] <= 5
    assert found["flock"] == 2
    assert found.total() <= 30, found

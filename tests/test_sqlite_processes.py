"""Many processes on one database: writers, first openings, kills, forks, and who may checkpoint."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from forks import child, succeed
from moai_patterns.backends.base import Batch
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.backends.sqlite.database import FIRST_BOUND
from moai_patterns.backends.sqlite.write import TableWriter
from moai_patterns.errors import BusyError
from moai_patterns.query import Query
from moai_patterns.testing.pools import stored
from stores import checked

EVERYTHING = Query(limit=None)


def holds_lock(path: Path) -> bool:
    """Tell whether this process, by the system's word, holds SQLite's lock on the file."""
    inode = f":{path.stat().st_ino} "
    listing = Path("/proc/locks").read_text().splitlines()
    return any(inode in line and line.split()[4] == str(os.getpid()) for line in listing)


def test_sixty_four_processes_lose_nothing(tmp_path: Path) -> None:
    """64 processes with 100 saves each, plain and tagged: 6,400 records, no error."""
    path = tmp_path / "patterns.db"

    def save(process: int) -> None:
        writer = TableWriter(str(path), timeout=60.0)
        for n in range(100):
            context = {"tags": [f"p{process}", "all"]} if n % 2 else {}
            writer.write([stored(f"p{process}-{n}", n, context=context)])

    succeed([child(lambda process=process: save(process)) for process in range(64)])  # type: ignore[misc]
    with checked(path) as store:
        assert store.count(EVERYTHING) == 6400
        assert store.count(Query(tags=["all", "p7"], limit=None)) == 3200
        numbers = [record["_meta"]["seq"] for record in store.scan(Query(order="arrival", limit=None))]
        assert numbers == list(range(1, 6401))


def test_two_hundred_processes_make_one_file(tmp_path: Path) -> None:
    """200 processes that start at once on an absent file all save; the file is made once."""
    path = tmp_path / "new" / "deep" / "patterns.db"
    gate, opener = os.pipe()

    def save(process: int) -> None:
        os.close(opener)
        os.read(gate, 1)  # ends when the parent closes the other side
        TableWriter(str(path), timeout=60.0).write([stored(f"p{process}", process)])

    children = [child(lambda process=process: save(process)) for process in range(200)]  # type: ignore[misc]
    os.close(gate)
    os.close(opener)
    succeed(children)
    with checked(path) as store:
        assert store.count(EVERYTHING) == 200
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "patterns.db",
        "patterns.db-lock",
        "patterns.db.reserve",
    ]


def test_who_waits_to_make_the_file_goes_on_as_soon_as_there_is_one(tmp_path: Path) -> None:
    """A process that met no file saves into the one made meanwhile, however many others write into it."""
    path = tmp_path / "patterns.db"
    with closing(SqliteBackend(str(tmp_path / "made.db"))) as store:
        store.write(Batch([stored("theirs", 1)]))
    with Path(f"{path}-lock").open("w") as others:
        fcntl.flock(others, fcntl.LOCK_EX)
        waiting = child(lambda: TableWriter(str(path), timeout=10.0).write([stored("mine", 1)]))
        while str(waiting) not in _who_has_open(path.with_name("patterns.db-lock")):
            time.sleep(0.001)
        fcntl.flock(others, fcntl.LOCK_SH)  # as if one write followed the other from now on
        (tmp_path / "made.db").rename(path)
        succeed([waiting])
    with checked(path) as store:
        assert store.count(EVERYTHING) == 2


def _who_has_open(path: Path) -> set[str]:
    """Return the ids of the processes that have a file open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if link.readlink() == path:
                found.add(link.parts[2])
    return found


def test_killed_writers_leave_whole_batches(tmp_path: Path) -> None:
    """kill -9 at any moment of a write: each acknowledged batch is there, no part of another."""
    path = tmp_path / "patterns.db"
    acknowledged: list[str] = []
    for turn in range(25):
        reading, writing = os.pipe()

        def save(turn: int = turn, writing: int = writing) -> None:
            writer = TableWriter(str(path), timeout=30.0)
            for n in range(100_000):
                name = f"{turn}-{n}"
                batch = [stored(f"{name}-{part}", n, context={"tags": [name]}) for part in range(3)]
                writer.write([*batch, stored(f"{name}-0", n, 2)])
                os.write(writing, f"{name}\n".encode())

        victim = child(save)
        os.close(writing)
        told = os.read(reading, 100)
        time.sleep(turn / 2000)
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        while more := os.read(reading, 65536):
            told += more
        os.close(reading)
        acknowledged += told.decode().splitlines()
    with checked(path) as store:
        found = [record["pattern_id"] for record in store.scan(EVERYTHING)]
        batches = {name.rpartition("-")[0] for name in found}
        assert set(acknowledged) <= batches
        assert len(batches) <= len(acknowledged) + 25
        assert len(found) == 3 * len(batches)
        assert store.count(Query(limit=None, revisions="all")) == 4 * len(batches)


def test_a_child_holds_its_own_lock(tmp_path: Path) -> None:
    """After a fork the child's connection is locked in its own name, and outlives the parent's close.

    Without that the parent, closing last as SQLite sees it, removes the log under the child.
    """
    path = tmp_path / "patterns.db"
    store = SqliteBackend(str(path))
    store.write(Batch([stored(f"r{n}", n) for n in range(100)]))
    scan = store.scan(EVERYTHING)
    assert next(scan)["pattern_id"] == "r99"
    ready, tell = os.pipe()
    go, release = os.pipe()

    def save() -> None:
        os.close(release)
        store.write(Batch([stored("first", 1)]))
        assert holds_lock(path)
        assert store.count(EVERYTHING) == 101
        os.write(tell, b"x")
        os.read(go, 1)
        store.write(Batch([stored("second", 1)]))
        assert path.with_name("patterns.db-wal").exists()

    identity = child(save)
    os.close(tell)
    os.read(ready, 1)
    assert len(list(scan)) == 99  # the parent's answer goes on, from the moment of its question
    store.write(Batch([stored("parent", 1)]))
    store.close()
    os.close(release)
    succeed([identity])
    for descriptor in (ready, go):
        os.close(descriptor)
    with checked(path) as reopened:
        assert {"first", "second", "parent"} <= {r["pattern_id"] for r in reopened.scan(EVERYTHING)}
        assert reopened.count(EVERYTHING) == 103


def test_forks_amid_threads_that_write_and_read(tmp_path: Path) -> None:
    """While threads write and scan, a dozen children save too; nothing is lost and nothing hangs."""
    path = tmp_path / "patterns.db"
    store = SqliteBackend(str(path))
    stop = threading.Event()
    saved = [0, 0]

    def work(thread: int) -> None:
        while not stop.is_set():
            store.write(Batch([stored(f"t{thread}-{saved[thread]}", 1)]))
            saved[thread] += 1
            for _ in store.scan(Query(limit=40)):
                pass

    def save(name: int) -> None:
        for n in range(10):
            store.write(Batch([stored(f"c{name}-{n}", 1)]))
        store.close()

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(2)]
    for thread in threads:
        thread.start()
    try:
        succeed([child(lambda name=name: save(name)) for name in range(12)])  # type: ignore[misc]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert store.count(EVERYTHING) == sum(saved) + 120
    assert store.check(read_data=True) == []
    store.close()


def test_only_short_processes_keep_the_log_bounded(tmp_path: Path) -> None:
    """Processes that write one record and leave without closing never let the log grow far."""
    path = tmp_path / "patterns.db"
    sizes = []

    def save(n: int) -> None:
        writer = TableWriter(str(path))
        writer.write([stored(f"r{n}", n, data={"v": "x" * 60_000})])
        writer.close(checkpoint=False)

    for n in range(60):
        succeed([child(lambda n=n: save(n))])  # type: ignore[misc]
        sizes.append(path.with_name("patterns.db-wal").stat().st_size)
    assert FIRST_BOUND / 2 < max(sizes) < 2 * FIRST_BOUND
    with checked(path) as store:
        assert store.count(EVERYTHING) == 60


def test_nobody_checkpoints_while_somebody_writes(tmp_path: Path) -> None:
    """As long as a write transaction goes on anywhere, no connection touches the database file."""
    path = tmp_path / "patterns.db"
    with closing(SqliteBackend(str(path))) as store:
        store.write(Batch([stored("first", 1)]))
        with Path(f"{path}-lock").open("rb") as writing:
            fcntl.flock(writing, fcntl.LOCK_SH)
            before = path.read_bytes()
            for n in range(200):
                store.write(Batch([stored(f"r{n}", n, data={"v": "x" * 60_000})]))
            assert path.read_bytes() == before
            assert store.facts()["wal_bytes"] > 2 * FIRST_BOUND
            fcntl.flock(writing, fcntl.LOCK_UN)
        for n in range(40):
            store.write(Batch([stored(f"s{n}", n)]))
        assert path.read_bytes() != before
        assert store.check() == []


def test_a_checkpoint_keeps_writers_out(tmp_path: Path) -> None:
    """While the lock is held alone, a write waits for as long as it was told and then gives up."""
    path = tmp_path / "patterns.db"
    with closing(TableWriter(str(path), timeout=0.2)) as writer:
        writer.write([stored("first", 1)])
        with Path(f"{path}-lock").open("rb") as checkpointing:
            fcntl.flock(checkpointing, fcntl.LOCK_EX)
            with pytest.raises(BusyError):
                writer.write([stored("second", 1)])
            threading.Timer(0.1, lambda: fcntl.flock(checkpointing, fcntl.LOCK_UN)).start()
            writer.database.timeout = 30.0
            writer.write([stored("third", 1)])
    with checked(path) as store:
        assert [record["pattern_id"] for record in store.scan(EVERYTHING)] == ["third", "first"]


def test_another_programs_transaction_is_waited_for(tmp_path: Path) -> None:
    """A writer that meets a foreign transaction waits, and raises BusyError only after its time."""
    path = tmp_path / "patterns.db"
    with closing(TableWriter(str(path), timeout=0.2)) as writer:
        writer.write([stored("first", 1)])
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            for tags in ({}, {"tags": ["x"]}):
                with pytest.raises(BusyError):
                    writer.write([stored("second", 1, context=tags)])
            writer.database.timeout = 30.0
            threading.Timer(0.1, lambda: other.execute("ROLLBACK")).start()
            writer.write([stored("third", 1)])


def test_who_waits_for_its_turn_keeps_nobody_from_a_checkpoint(tmp_path: Path) -> None:
    """A writer holds the lock while it writes, not while it waits: of many, one would always hold it."""
    path = tmp_path / "patterns.db"
    with closing(TableWriter(str(path))) as writer, closing(TableWriter(str(path), timeout=30.0)) as waiting:
        writer.write([stored("first", 1)])
        thread = threading.Thread(target=lambda: waiting.write([stored("second", 1)]))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            thread.start()
            try:
                while waiting.database.lock._descriptor < 0:
                    time.sleep(0.001)
                for _ in range(20):
                    with writer.database.lock.held(timeout=2.0):
                        pass
                    time.sleep(0.005)
            finally:
                other.execute("ROLLBACK")
                thread.join()
    with checked(path) as store:
        assert store.count(EVERYTHING) == 2


@pytest.mark.parametrize("late", [0.0, 0.002])
def test_who_has_waited_longer_looks_more_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: float
) -> None:
    """A writer comes back sooner the longer it has waited, unless the machine already wakes it too late."""
    path = tmp_path / "patterns.db"
    with closing(SqliteBackend(str(path))) as store, closing(sqlite3.connect(path)) as other:
        store.write(Batch([stored("first", 1)]))
        other.execute("BEGIN IMMEDIATE")
        now, pauses = [0.0], []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            now[0] += seconds + late

        clock = SimpleNamespace(monotonic=lambda: now[0], sleep=sleep, perf_counter_ns=lambda: 512)
        monkeypatch.setattr("moai_patterns.backends.locking.time", clock)
        with closing(sqlite3.connect(path, timeout=0)) as waiting, pytest.raises(BusyError):
            store._database.attempt(lambda: waiting.execute("BEGIN IMMEDIATE"), end=10.0)
        monkeypatch.undo()
        assert pauses[-2] == (0.1 if late else 0.004)
        assert max(pauses) <= (0.1 if late else 0.02)


def test_a_replaced_file_is_noticed(tmp_path: Path) -> None:
    """A process whose file was removed goes on in the new one, and never deletes the new one's log."""
    path = tmp_path / "patterns.db"
    script = """
import os, subprocess, sys
from moai_patterns.backends.base import Batch
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.query import Query
from moai_patterns.testing.pools import stored
path, way, another = sys.argv[1:]
store = SqliteBackend(path)
store.write(Batch([stored("old", 1)]))
assert store.count(Query()) == 1
os.unlink(path)
subprocess.run([sys.executable, "-c", another, path], check=True)
if way == "write":
    store.write(Batch([stored("further", 1)]))
    assert store.count(Query()) == 2
if way != "exit":
    store.close()
"""
    another = """
import os, sys
from moai_patterns.backends.sqlite.write import TableWriter
from moai_patterns.testing.pools import stored
TableWriter(sys.argv[1]).write([stored("new", 1)])
os._exit(0)
"""
    for way, left in (("write", ["new", "further"]), ("close", ["new"]), ("exit", ["new"])):
        subprocess.run([sys.executable, "-c", script, str(path), way, another], check=True)
        with checked(path) as store:
            assert [r["pattern_id"] for r in store.scan(Query(order="arrival"))] == left
        path.unlink()


@pytest.mark.parametrize("way", ["removed", "renamed", "removed amid a write"])
def test_no_save_is_acknowledged_into_a_file_that_is_gone(tmp_path: Path, way: str) -> None:
    """However soon after a save the file goes away, the next save is found in the store, by anybody."""
    path = tmp_path / "patterns.db"

    def away() -> None:
        path.rename(tmp_path / "other.db") if way == "renamed" else path.unlink()

    def late(connection: sqlite3.Connection) -> int:
        if path.exists() and not gone:
            gone.append(True)
            away()
        return connection.execute("DELETE FROM patterns").rowcount

    gone: list[bool] = []
    with closing(SqliteBackend(str(path))) as store:
        store.write(Batch([stored("old", 1, context={"tags": ["x"]})]))
        if way == "removed amid a write":
            assert store._writer.transact(late) == 0
        else:
            away()
        store.write(Batch([stored("old", 1)]))
        store.write(Batch([stored("new", 1, context={"tags": ["x"]})]))
        assert store.count(EVERYTHING) == 2
        with closing(SqliteBackend(str(path))) as other:
            assert other.get("new") is not None
            assert other.check(read_data=True) == []


def test_a_failing_look_at_the_log_refuses_no_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed is acknowledged, also when the log cannot be looked at afterwards."""

    def broken(path: str, size: int) -> bool:
        raise OSError(5, "Input/output error")

    with closing(SqliteBackend(str(tmp_path / "patterns.db"))) as store:
        monkeypatch.setattr("moai_patterns.backends.sqlite.database.log_reaches", broken)
        store.write(Batch([stored("a", 1)]))
        assert store.count(EVERYTHING) == 1


def test_an_orphaned_log_is_set_aside(tmp_path: Path) -> None:
    """When the database was removed but not its log, a new one does not take up the old records."""
    path = tmp_path / "patterns.db"
    succeed([child(lambda: TableWriter(str(path)).write([stored("old", 1)]))])
    path.unlink()
    with checked(path) as store:
        store.write(Batch([stored("new", 1)]))
        assert [record["pattern_id"] for record in store.scan(EVERYTHING)] == ["new"]
    assert path.with_name("patterns.db-wal-orphaned").stat().st_size > 0


def test_the_capture_path_stays_light(tmp_path: Path) -> None:
    """Writing one record, into a new file or an old one, imports nothing heavy."""
    script = """
import sys
from moai_patterns.backends.sqlite.write import TableWriter
writer = TableWriter(sys.argv[1])
meta = {"instant": 1, "revision": 1, "recorded_at": 1, "operation": "save"}
record = {"pattern_id": sys.argv[2], "pattern_type": "k", "timestamp": "2025-11-29", "data": 1, "_meta": meta}
writer.write([record], encode=lambda value: b"1")
print(*sorted(sys.modules))
"""
    heavy = "typing dataclasses enum re json datetime sqlite3 pathlib hashlib uuid logging random orjson"
    for name in ("first", "second"):
        ran = subprocess.run(
            [
                sys.executable,
                "-I",
                "-c",
                f"import sys; sys.path[:0] = {sys.path!r}\n{script}",
                str(tmp_path / "patterns.db"),
                name,
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        loaded = set(ran.stdout.split())
        assert "moai_patterns.backends.sqlite.write" in loaded
        assert not loaded & {*heavy.split(), "sqlite_utils", "moai_patterns.query", "tempfile", "shutil"}


def test_each_level_flushes_what_it_promises(tmp_path: Path) -> None:
    """A commit at `record` ends with one flush to the medium, one at `os` with none."""
    script = """
import os, sys
from moai_patterns.backends.sqlite.write import TableWriter
from moai_patterns.testing.pools import stored
writer = TableWriter(sys.argv[1], durability=sys.argv[2])
writer.write([stored("first", 1)])
os.write(1, b"begin")
for n in range(5):
    writer.write([stored(f"r{n}", 1, context={"tags": ["x"]})])
os._exit(0)
"""
    counts = {}
    for level in ("os", "group", "record"):
        path = tmp_path / f"{level}.db"
        trace = tmp_path / f"{level}.trace"
        try:
            subprocess.run(
                [
                    "strace",
                    "-f",
                    "-o",
                    str(trace),
                    "-e",
                    "trace=fsync,fdatasync,write",
                    sys.executable,
                    "-c",
                    script,
                    str(path),
                    level,
                ],
                capture_output=True,
                check=True,
            )
        except (FileNotFoundError, subprocess.CalledProcessError) as missing:
            pytest.skip(f"strace cannot be used here: {missing}")
        _, _, rest = trace.read_text().partition("begin")
        counts[level] = rest.count("fsync(") + rest.count("fdatasync(")
    assert counts == {"os": 0, "group": 5, "record": 5}

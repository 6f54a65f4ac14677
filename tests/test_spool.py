"""The spool: what a store cannot take waits beside it, and nothing of it is lost or doubled."""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from moai_patterns.backends.locking import Lock
from moai_patterns.backends.sqlite.write import TableWriter
from moai_patterns.errors import BusyError, DamageError, LayoutError, ReadOnlyError, StoreError
from moai_patterns.spool import ATTEMPTS, drain, put, status

Record = dict[str, Any]
Location = tuple[str, str]
NOW = 1_764_378_000_250_000


def stored(number: int, **data: Any) -> Record:
    return {
        "pattern_id": f"id-{number:05d}",
        "pattern_type": "hook_event",
        "timestamp": "2025-11-29T01:00:00.250000Z",
        "data": {"event": "Setup", **data},
        "_meta": {"instant": NOW + number, "revision": 1, "recorded_at": NOW, "operation": "save"},
    }


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose refuges lie in the directory of the test."""
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "TMPDIR": str(tmp_path / "tmp")}


@pytest.fixture
def location(tmp_store_dir: Path) -> Location:
    return ("sqlite", str(tmp_store_dir / "patterns.db"))


class Store:
    """The real store of a location, and what a drain writes with."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._writer = TableWriter(location[1])

    def write(self, records: list[Record]) -> None:
        Path(self.location[1]).parent.mkdir(parents=True, exist_ok=True)
        self._writer.write(records)

    def ids(self) -> list[str]:
        """The ids in the order of arrival."""
        with closing(sqlite3.connect(self.location[1])) as database:
            return [row[0] for row in database.execute("SELECT pattern_id FROM patterns ORDER BY seq")]

    def close(self) -> None:
        self._writer.close()


@pytest.fixture
def store(location: Location) -> Any:
    opened = Store(location)
    yield opened
    opened.close()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def test_nothing_waits_until_something_is_put(
    location: Location, environ: dict[str, str], store: Store, tmp_store_dir: Path
) -> None:
    """Without a spool a drain writes nothing and leaves nothing behind."""
    assert drain(location, store.write, environ=environ) == 0
    assert status(location, environ)["waiting"] == 0
    assert not tmp_store_dir.exists()


def test_what_was_put_is_drained_in_order_with_its_own_ids_and_instants(
    location: Location, environ: dict[str, str], store: Store, tmp_store_dir: Path
) -> None:
    """The next save finds the batches, writes each, and clears away all that the spool needed."""
    paths = {put(location, [stored(2 * number), stored(2 * number + 1)], environ) for number in range(10)}

    path = location[1] + ".spool"
    waiting = status(location, environ)
    assert paths == {path}
    assert (waiting["waiting"], waiting["files"]) == (20, [path])
    assert waiting["oldest"] == "2025-11-29T01:00:00.250000Z"
    assert waiting["bytes"] == os.path.getsize(path)
    assert os.stat(path).st_mode & 0o777 == 0o600

    assert drain(location, store.write, environ=environ) == 20
    assert store.ids() == [f"id-{number:05d}" for number in range(20)]
    assert [name for name in names(tmp_store_dir) if "spool" in name] == []
    assert status(location, environ)["waiting"] == 0


def test_a_batch_is_one_line_and_stays_one_batch(location: Location, environ: dict[str, str]) -> None:
    """The records of one payload are written together or not at all, also from the spool."""
    put(location, [stored(1), stored(2)], environ)
    put(location, [stored(3)], environ)
    lines = Path(location[1] + ".spool").read_text().splitlines()
    batches: list[int] = []
    drain(location, lambda records: batches.append(len(records)), environ=environ)

    assert [json.loads(line)["attempts"] for line in lines] == [0, 0]
    assert batches == [2, 1]


def test_what_the_store_has_already_is_not_doubled(
    location: Location, environ: dict[str, str], store: Store
) -> None:
    """A drain that was killed after the write is repeated; the ids say that it is done."""
    store.write([stored(1)])
    put(location, [stored(1)], environ)
    put(location, [stored(2)], environ)

    assert drain(location, store.write, environ=environ) == 1
    assert store.ids() == ["id-00001", "id-00002"]
    assert status(location, environ) == {**status(location, environ), "waiting": 0, "quarantined": 0}


KILLED_DRAIN = """
import os, signal, sys
from moai_patterns.backends.locking import Lock
from moai_patterns.backends.sqlite.write import TableWriter
from moai_patterns.spool import drain
path, after, before = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "before"
writer, count = TableWriter(path), 0
def write(records):
    global count
    count += 1
    if before and count == after:
        os.kill(os.getpid(), signal.SIGKILL)
    writer.write(records)
    if count == after:
        os.kill(os.getpid(), signal.SIGKILL)
drain(("sqlite", path), write, limit=int(sys.argv[4]) or None, environ={})
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("limit", [0, 100])
def test_a_killed_drain_is_taken_over(
    location: Location, environ: dict[str, str], store: Store, moment: str, limit: int
) -> None:
    """Killed around a write, its leftovers are drained by the next one: all there, nothing twice."""
    for number in range(12):
        put(location, [stored(number)], environ)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_DRAIN, location[1], "5", moment, str(limit)], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not Path(location[1] + ".spool").exists()
    put(location, [stored(12)], environ)

    assert status(location, environ)["waiting"] == 13
    drain(location, store.write, environ=environ)
    assert store.ids() == [f"id-{number:05d}" for number in range(13)]
    assert status(location, environ)["waiting"] == 0


def test_a_drain_with_a_limit_goes_on_where_it_stopped(location: Location, environ: dict[str, str]) -> None:
    """A hook drains a few batches and leaves the rest to the next, in order; nothing is written twice."""
    seen: list[str] = []

    def write(records: list[Record]) -> None:
        seen.extend(record["pattern_id"] for record in records)

    for number in range(10):
        put(location, [stored(number)], environ)
    assert drain(location, write, limit=4, environ=environ) == 4
    put(location, [stored(10)], environ)
    assert status(location, environ)["waiting"] == 7
    assert drain(location, write, limit=4, environ=environ) == 4
    assert drain(location, write, limit=4, environ=environ) == 3

    assert seen == [f"id-{number:05d}" for number in range(11)]
    assert status(location, environ)["waiting"] == 0


def test_a_drain_with_a_limit_stops_after_some_megabytes(location: Location, environ: dict[str, str]) -> None:
    """Large records do not make a hook slow either."""
    for number in range(8):
        put(location, [stored(number, text="x" * (2 << 20))], environ)

    assert 0 < drain(location, lambda records: None, limit=100, environ=environ) < 8


@pytest.mark.parametrize(
    "fault",
    [
        BusyError("locked"),
        OSError(errno.ENOSPC, "full"),
        StoreError(errno.ENOSPC, "full"),
        ReadOnlyError(errno.EROFS, "read-only"),
        LayoutError("newer"),
        DamageError("damaged"),
        PermissionError(errno.EACCES, "no"),
    ],
)
def test_a_fault_of_the_medium_counts_against_no_record(
    location: Location, environ: dict[str, str], fault: Exception
) -> None:
    """While the store is locked, full or unreadable everything waits, however often it is tried."""
    for number in range(3):
        put(location, [stored(number)], environ)

    def write(_: list[Record]) -> None:
        raise fault

    assert [drain(location, write, environ=environ) for _ in range(ATTEMPTS + 2)] == [0] * (ATTEMPTS + 2)
    after = status(location, environ)
    assert (after["waiting"], after["quarantined"]) == (3, 0)


@pytest.mark.parametrize(
    "fault",
    [ValueError("not that one"), StoreError(errno.EFBIG, "too large"), MemoryError(), RecursionError()],
)
def test_what_is_refused_again_and_again_is_set_aside_with_its_reason(
    location: Location, environ: dict[str, str], store: Store, fault: Exception
) -> None:
    """A record that the store does not take holds up no other; after five attempts it is quarantined."""

    def write(records: list[Record]) -> None:
        if records[0]["pattern_id"] == "id-00001":
            raise fault
        store.write(records)

    for number in range(3):
        put(location, [stored(number)], environ)
    drain(location, write, environ=environ)
    assert store.ids() == ["id-00000", "id-00002"]
    assert status(location, environ)["waiting"] == 1

    for _ in range(ATTEMPTS):
        drain(location, write, environ=environ)
    after = status(location, environ)
    quarantined = [json.loads(line) for line in Path(location[1] + ".quarantine").read_text().splitlines()]
    assert (after["waiting"], after["quarantined"]) == (0, 1)
    assert quarantined[0]["records"] == [stored(1)]
    assert quarantined[0]["attempts"] == ATTEMPTS
    assert type(fault).__name__ in quarantined[0]["reason"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"attempts": 0, "records": [{"patt',
        b"\xff\xfe\x00",
        b"[]",
        b"3",
        b'{"attempts": 0, "records": []}',
        b'{"attempts": 0, "records": [{"pattern_id": "x"}]}',
        b'{"attempts": "0", "records": [{"_meta": {"instant": 3}}]}',
        b"[" * 100_000,
    ],
)
def test_a_line_that_cannot_be_read_is_set_aside_and_the_others_go_in(
    location: Location, environ: dict[str, str], store: Store, line: bytes
) -> None:
    """A torn or foreign line is kept for a person to look at; the next one is not glued to it."""
    put(location, [stored(1)], environ)
    with open(location[1] + ".spool", "ab") as spool:
        spool.write(line)
    put(location, [stored(2)], environ)

    assert status(location, environ)["waiting"] == 3
    assert drain(location, store.write, environ=environ) == 2
    assert store.ids() == ["id-00001", "id-00002"]
    (kept,) = Path(location[1] + ".quarantine").read_text().splitlines()
    assert json.loads(kept)["line"] == line.decode("utf-8", "replace") + "\n"


FULL_DISK = """
import resource, sys
from moai_patterns.spool import put
import json
path, size = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
print(put(("sqlite", path), json.loads(sys.argv[3]), json.loads(sys.argv[4])))
"""


def test_a_disk_that_fills_up_in_the_middle_of_a_line_loses_nothing(
    location: Location, environ: dict[str, str], store: Store
) -> None:
    """The torn half stays behind a whole line, and what could not be written there waits in a refuge."""
    put(location, [stored(1)], environ)
    spool = Path(location[1] + ".spool")
    size = spool.stat().st_size
    arguments = [location[1], str(size + 30), json.dumps([stored(2, a=1)]), json.dumps(environ)]
    full = subprocess.run([sys.executable, "-c", FULL_DISK, *arguments], capture_output=True, check=True)

    assert full.stdout.decode().startswith(environ["XDG_STATE_HOME"])
    assert spool.stat().st_size == size + 30
    put(location, [stored(3)], environ)
    assert drain(location, store.write, environ=environ) == 3
    assert store.ids() == ["id-00001", "id-00003", "id-00002"]
    assert status(location, environ)["quarantined"] == 1


@pytest.mark.parametrize("obstacle", ["file", "link", "directory"])
def test_what_cannot_be_written_beside_the_store_waits_in_a_refuge(
    location: Location,
    environ: dict[str, str],
    store: Store,
    tmp_path: Path,
    obstacle: str,
) -> None:
    """A project that cannot be written to costs no record: the state directory keeps it until then."""
    spool = Path(location[1] + ".spool")
    tmp_store_dir = spool.parent
    if obstacle == "file":
        tmp_store_dir.write_text("in the way")
    else:
        tmp_store_dir.mkdir()
    if obstacle == "link":
        spool.symlink_to(tmp_path / "elsewhere")
    if obstacle == "directory":
        spool.mkdir()
    path = put(location, [stored(1)], environ)
    assert path.startswith(str(tmp_path / "state/moai-patterns/"))
    assert not (tmp_path / "elsewhere").exists()

    (
        tmp_store_dir.unlink
        if obstacle == "file"
        else spool.rmdir
        if obstacle == "directory"
        else spool.unlink
    )()
    assert status(location, environ)["waiting"] == 1
    assert drain(location, store.write, environ=environ) == 1
    assert store.ids() == ["id-00001"]
    assert names(tmp_path / "state/moai-patterns") == []


def test_the_temporary_files_are_the_last_refuge_and_nobody_else_may_write_there(
    location: Location, environ: dict[str, str], store: Store, tmp_store_dir: Path, tmp_path: Path
) -> None:
    """Without a usable home it is a directory of temporary files, unless others can write to it."""
    tmp_store_dir.write_text("in the way")
    (tmp_path / "state").write_text("in the way")
    path = put(location, [stored(1)], environ)
    refuge = Path(path).parent
    assert refuge == tmp_path / f"tmp/moai-patterns-{os.getuid()}"

    tmp_store_dir.unlink()
    refuge.chmod(0o777)
    assert drain(location, store.write, environ=environ) == 0
    refuge.chmod(0o700)
    assert drain(location, store.write, environ=environ) == 1

    tmp_store_dir.joinpath("patterns.db.spool").mkdir()
    refuge.chmod(0o777)
    with pytest.raises(OSError, match=r"directory|regular"):
        put(location, [stored(2)], environ)


PUTS = """
import json, sys
from moai_patterns.spool import put
record = json.loads(sys.argv[2])
for number in range(int(sys.argv[3]), int(sys.argv[4])):
    put(("sqlite", sys.argv[1]), [{**record, "pattern_id": f"id-{number:05d}"}], json.loads(sys.argv[5]))
"""
DRAINS = """
import json, sys, time
from moai_patterns.backends.locking import Lock
from moai_patterns.backends.sqlite.write import TableWriter
from moai_patterns.spool import drain
writer = TableWriter(sys.argv[1], timeout=30)
while not sys.stdin.closed and time.sleep(0.001) is None:
    drain(("sqlite", sys.argv[1]), writer.write, limit=7, environ=json.loads(sys.argv[2]))
    import select
    if select.select([0], [], [], 0)[0]:
        break
"""


def test_many_processes_spool_and_drain_at_once(
    location: Location, environ: dict[str, str], store: Store
) -> None:
    """Whoever appends while others drain: each record arrives, and once."""
    drains = [
        subprocess.Popen(
            [sys.executable, "-c", DRAINS, location[1], json.dumps(environ)], stdin=subprocess.PIPE
        )
        for _ in range(3)
    ]
    puts = [
        subprocess.Popen(
            [sys.executable, "-c", PUTS, location[1], json.dumps(stored(0)), *spans, json.dumps(environ)]
        )
        for spans in ((str(start), str(start + 100)) for start in range(0, 600, 100))
    ]
    assert [process.wait() for process in puts] == [0] * 6
    for process in drains:
        process.communicate(b"\n")
    assert [process.returncode for process in drains] == [0] * 3

    drain(location, store.write, environ=environ)
    assert sorted(store.ids()) == [f"id-{number:05d}" for number in range(600)]
    after = status(location, environ)
    assert (after["waiting"], after["quarantined"]) == (0, 0)


def test_one_process_drains_at_a_time(location: Location, environ: dict[str, str]) -> None:
    """A second drain leaves the spool to the first."""
    put(location, [stored(1)], environ)
    inner: list[int] = []

    def write(_: list[Record]) -> None:
        inner.append(drain(location, write, environ=environ))

    assert drain(location, write, environ=environ) == 1
    assert inner == [0]


def test_nobody_takes_the_spool_from_a_process_that_is_appending(
    location: Location, environ: dict[str, str], store: Store
) -> None:
    """A line that is being written is never left behind in a file that is drained and removed already."""
    put(location, [stored(1)], environ)
    with Lock(location[1] + ".spool.lock").held(timeout=0.0):
        assert drain(location, store.write, environ=environ) == 0
        assert Path(location[1] + ".spool").exists()

    assert drain(location, store.write, environ=environ) == 1


def test_a_spool_that_stays_locked_is_passed_over(
    location: Location, environ: dict[str, str], store: Store
) -> None:
    """A process that was stopped while it held the lock costs a quarter of a second, and no record."""
    put(location, [stored(1)], environ)
    with Lock(location[1] + ".spool.lock").held(timeout=0.0):
        assert put(location, [stored(2)], environ).startswith(environ["XDG_STATE_HOME"])

    assert drain(location, store.write, environ=environ) == 2


def test_the_lock_of_a_spool_that_is_in_use_again_stays(
    location: Location, environ: dict[str, str], tmp_store_dir: Path
) -> None:
    """What is spooled during a drain waits for the next one, under the same lock."""

    def write(_: list[Record]) -> None:
        put(location, [stored(2)], environ)

    write([])
    drain(location, write, environ=environ)

    assert names(tmp_store_dir) == ["patterns.db.spool", "patterns.db.spool.lock"]


def test_a_store_in_memory_has_no_spool_of_its_own(environ: dict[str, str]) -> None:
    """There is nothing beside it that could be drained."""
    assert drain(("memory", ""), lambda _: None, environ=environ) == 0

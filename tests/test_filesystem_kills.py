"""Processes killed at random moments of all that changes a tree, against a ledger of what they said."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from forks import child
from moai_patterns.backends import fileops
from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.instant import DAY
from moai_patterns.query import Query, Record
from moai_patterns.testing.compare import agree, content, heads
from moai_patterns.testing.pools import MIDNIGHT, stored

KILLS = 160
STORES = 20  # a new tree for each share of the kills, so that looking through it stays quick
DAYS = [MIDNIGHT // DAY + n for n in range(4)]


def acts(turn: int) -> Iterator[tuple[str, Batch]]:
    """Yield what the process of this turn does, the same each time it is asked."""
    choose = random.Random(turn)
    revisions: dict[str, int] = {}
    for number in range(10_000):
        moment = MIDNIGHT + choose.randrange(3) * DAY + turn * 1000 + number
        fresh = f"{turn}-{number}"
        kind = choose.choice(("save", "session", "session", "many", "update", "delete"))
        if kind == "many":
            added = [stored(f"{fresh}-{at}", moment + at % 2 * DAY, data={"n": number}) for at in range(4)]
            yield kind, Batch(added)
            revisions.update((record["pattern_id"], 1) for record in added)
        elif kind in ("update", "delete") and revisions:
            known = choose.choice(sorted(revisions))
            if kind == "delete":
                del revisions[known]
                yield kind, Batch(remove=[Removal(known)])
            else:
                revisions[known] += 1
                yield kind, Batch([stored(known, moment, revisions[known], data={"n": number})])
        else:
            revisions[fresh] = 1
            yield kind, Batch([stored(fresh, moment, data={"n": number})], fresh=number % 2 == 0)


def write(path: Path, turn: int, said: int) -> None:
    """Do one act after the other and say so after each."""
    store = FilesystemBackend(str(path))
    session = store.single_writer()
    for kind, batch in acts(turn):
        (session if kind in ("session", "update") else store).write(batch)
        os.write(said, b".")


def compact(path: Path) -> None:
    """Compact one day after the other, and all but the last, without end."""
    store = FilesystemBackend(str(path))
    while True:
        for days in ([DAYS[0]], [DAYS[1]], DAYS[:3]):
            store.compact(days)


def killed(path: Path, turn: int, choose: random.Random) -> int:
    """Run a writer, and every other time a compaction beside it; kill both; return what the writer said."""
    reading, said = os.pipe()
    processes = [child(lambda: write(path, turn, said))]
    if turn % 2:
        processes.append(child(lambda: compact(path)))
    os.close(said)
    count = len(os.read(reading, 1))
    time.sleep(choose.uniform(0, 0.03))
    for process in choose.sample(processes, len(processes)):
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        assert os.WIFSIGNALED(status), "it ended by itself"
    while found := os.read(reading, 1 << 16):
        count += len(found)
    os.close(reading)
    return count


def test_killed_processes_leave_what_they_said_and_nothing_in_part(tmp_path: Path) -> None:
    """After each of 160 kills all that was acknowledged is there once, and at most one act more."""
    choose = random.Random(4)
    said = under_way = 0
    oracle = MemoryBackend()
    for turn in range(KILLS):
        path = tmp_path / str(turn * STORES // KILLS)
        if not path.exists():
            oracle = MemoryBackend()
        done = killed(path, turn, choose)
        said += done
        following = acts(turn)
        for _ in range(done):
            oracle.write(next(following)[1])
        with closing(FilesystemBackend(str(path))) as store:
            found = content(store)
            if not _same(found, content(oracle)):
                under_way += 1
                oracle.write(next(following)[1])
                agree(found, content(oracle), f"kill {turn}: with the act that was under way")
            assert store.check(read_data=True) == [], f"kill {turn}"
            agree(heads(store), heads(oracle), f"kill {turn}: heads")
            if turn % 10 == 9:
                store.compact(DAYS)
                agree(content(store), content(oracle), f"kill {turn}: after a compaction")
                assert store.uncompacted_days() == []
            for backend in (store, oracle):
                backend.write(Batch([stored(f"after-{turn}", MIDNIGHT + turn)]))
            assert store.get(f"after-{turn}") is not None
    assert said > 5 * KILLS, "the processes hardly did anything before they were killed"
    assert under_way > 0, "no kill came between an act and its word"


def _same(found: list[Record], wanted: list[Record]) -> bool:
    try:
        agree(found, wanted, "")
    except AssertionError:
        return False
    return True


CALLS = ("create", "write", "write_at", "rename", "remove", "remove_dir", "make_dirs", "date")


def prepared(path: Path) -> tuple[list[Record], list[Record]]:
    """A tree whose compaction has to rewrite segments, shorten a journal and let several die at once."""
    with closing(FilesystemBackend(str(path))) as store:
        store.write(Batch([stored(f"cold-{n}", MIDNIGHT + n) for n in range(3)]))
        store.compact(DAYS[:1])
        session = store.single_writer()
        for n in range(4):
            session.write(Batch([stored(f"said-{n}", MIDNIGHT + n)]))
            store.write(Batch([stored(f"hot-{n}", MIDNIGHT + n)]))
        store.write(Batch([stored("both", MIDNIGHT), stored("stays", MIDNIGHT + 3 * DAY)]))
        session.write(Batch([stored("both", MIDNIGHT + 1, 2)]))
        store.write(Batch([stored("hot-1", MIDNIGHT + DAY, 2)], [Removal("said-1"), Removal("hot-0")]))
        store.write(Batch([stored("cold-0", MIDNIGHT + 1, 2)], [Removal("said-2"), Removal("cold-2")]))
        session.write(Batch([stored("said-0", MIDNIGHT, 2)]))
        session.close()
        return content(store), heads(store)


def dying(path: Path, act: Callable[[FilesystemBackend], object], number: int) -> bool:
    """Do an act in a process that dies before its call of this number which changes files; tell if it did."""

    def die() -> None:
        left = [number]
        for name in CALLS:
            call = getattr(fileops, name)

            def counted(*arguments: Any, call: Callable[..., Any] = call, **options: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **options)

            setattr(fileops, name, counted)
        act(FilesystemBackend(str(path)))

    _, status = os.waitpid(child(die), 0)
    assert status in (0, signal.SIGKILL)
    return status != 0


def die_everywhere(tmp_path: Path) -> int:
    """Die before each call of a compaction, and then in a second one too; return how many calls there are."""
    pristine = tmp_path / "pristine"
    before, current = prepared(pristine)
    number = 0
    while True:
        path = tmp_path / "tree"
        shutil.copytree(pristine, path)
        died = dying(path, lambda store: store.compact(DAYS[:2]), number)
        with closing(FilesystemBackend(str(path))) as store:
            agree(content(store), before, f"before call {number}")
            agree(heads(store), current, f"before call {number}: heads")
            assert store.count(Query(limit=None)) == len(heads(store))
        dying(path, lambda store: store.compact(DAYS[:2]), number // 2)
        with closing(FilesystemBackend(str(path))) as store:
            agree(content(store), before, f"before call {number}, and {number // 2} of the second")
            store.compact(DAYS)
            agree(content(store), before, f"before call {number}, after a whole compaction")
            assert store.uncompacted_days() == []
            assert store.check(read_data=True) == []
        assert sorted(path.glob("journal/*")) == []
        shutil.rmtree(path)
        if not died:
            break
        number += 1
    return number


def test_a_death_before_each_call_of_a_compaction_changes_no_answer(tmp_path: Path) -> None:
    """Before each call that changes a file, and then in a second compaction too, no record comes or goes."""
    assert die_everywhere(tmp_path) > 30


def test_nor_does_one_where_journals_go_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk without room for all that is kept, the earliest journals go first, each for good."""
    monkeypatch.setattr(fileops, "free", lambda directory: 0)
    assert die_everywhere(tmp_path) > 50

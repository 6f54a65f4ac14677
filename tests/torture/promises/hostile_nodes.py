"""Links, FIFOs and bombs in the place of the files and directories of a store, also while it is used."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from random import Random
from traceback import format_exc
from typing import Any, Self

from moai_patterns import PatternStorage
from moai_patterns.errors import PatternError
from samples import sample
from torture.promise import BrokenPromiseError, Promise, Tally, must
from torture.stopwatch import Stopwatch
from torture.watch import Watch

_ROUNDS = 30  # verbs of a store while another thread swaps something in it
_CALL = 0.25  # seconds of CPU of a call, for a bomb of 16 MB may have to be read through
_WAIT = 0.5  # seconds of waiting, for a store that waits 0.2 s for each lock
_BESIDE = (
    3.0  # seconds of either while another thread has the interpreter and the directories most of the time
)
_MEMORY = 1 << 30
_SECONDS = 15.0  # of CPU, for all that is asked of a store with a bomb, and an import of one
Node = Callable[[Path, Path], None]


def _link(path: Path, canary: Path) -> None:
    path.symlink_to(canary / "canary.json")


def _link_to_directory(path: Path, canary: Path) -> None:
    path.symlink_to(canary, target_is_directory=True)


def _dangling(path: Path, canary: Path) -> None:
    path.symlink_to(canary / "made")


def _loop(path: Path, canary: Path) -> None:
    path.symlink_to(path)


def _fifo(path: Path, canary: Path) -> None:
    os.mkfifo(path)


def _directory(path: Path, canary: Path) -> None:
    path.mkdir()


def _file(path: Path, canary: Path) -> None:
    path.write_bytes(b"x")


def _bomb(path: Path, canary: Path) -> None:
    path.write_bytes(_bombs(1 << 24))


@cache
def _bombs(size: int) -> bytes:
    member = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([member.compress(bytes(1 << 20)) for _ in range(size >> 20)] + [member.flush()])


_NODES: tuple[Node, ...] = (_link, _link_to_directory, _dangling, _loop, _fifo, _directory, _file, _bomb)


def _filled(name: str, path: Path) -> None:
    with PatternStorage(name, path, maintenance_interval=None) as storage:
        storage.save_many(sample(f"cold-{n}", "2025-11-01") for n in range(3))
        storage.compress_old_files()
        storage.save_batch([sample("a"), sample("b")])
        storage.save(sample("hot"))


def _use(name: str, path: Path, rounds: int, choose: Random, timed: Callable[..., Any]) -> int:
    """Use a store in every way; return how often it refused. Raises what is no error of ours."""
    refused = 0
    for number in range(rounds):
        try:
            with timed("opening", partial(PatternStorage, name, path, **_OPENED)) as storage:
                for said, act in choose.sample(_ACTS, 3):
                    try:
                        timed(said, partial(act, storage, number))
                    except PatternError:
                        refused += 1
        except PatternError:
            refused += 1
    return refused


_OPENED: dict[str, Any] = {"maintenance_interval": None, "timeout": 0.2}
_ACTS: tuple[tuple[str, Callable[[PatternStorage, int], object]], ...] = (
    ("a save", lambda storage, number: storage.save(sample(f"new-{number}"))),
    ("a save", lambda storage, number: storage.save(sample("hot", note=number))),
    ("a batch", lambda storage, number: storage.save_batch([sample(f"{at}-{number}") for at in "xy"])),
    ("loads", lambda storage, number: [storage.load(name) for name in ("hot", "a", "cold-1", "none")]),
    ("a scan", lambda storage, number: list(storage.iter())),
    ("the facts", lambda storage, number: storage.stats()),
    ("a check", lambda storage, number: storage.check(read_data=True)),
    ("a compaction", lambda storage, number: storage.compress_old_files()),
    ("a delete", lambda storage, number: storage.delete("b")),
)


class _Swapper:
    """Puts a node in the place of something in a store, and brings it back, again and again.

    It has done so once before the store is used.
    """

    def __init__(self, target: Path, node: Node, canary: Path) -> None:
        self._target, self._node, self._canary = target, node, canary
        self._aside = target.with_name(target.name + ".aside")
        self._over = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._swap)
        self.swaps = 0

    def __enter__(self) -> Self:
        self._thread.start()
        must(self._begun.wait(10), f"{self._target} cannot be swapped")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _swap(self) -> None:
        while not self._over.is_set():
            try:
                os.rename(self._target, self._aside)
                self._node(self._target, self._canary)
                self.swaps += 1
                self._begun.set()
                os.stat(self._canary.parent)  # lets the other thread go on
                _drop(self._target)
                os.rename(self._aside, self._target)
            except OSError:
                continue


def _drop(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for found in sorted(path.rglob("*"), reverse=True):  # by whole names, as the watch wants them
            found.rmdir() if found.is_dir() else found.unlink()
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Swap something, statically or while the store is used; the canary must not notice."""
    with Watch(place, Stopwatch("hostile-nodes", len(numbers), tally)) as watch:
        watch.resting(lambda: _warm(watch))
        for number in numbers:
            choose = Random(number)
            name = choose.choice(("filesystem", "filesystem", "sqlite"))
            path = watch.place / "store"
            watch.resting(partial(_filled, name, path))
            with watch.case(number):
                try:
                    _swapped(name, path, watch, choose, tally)
                except PatternError as error:
                    raise BrokenPromiseError(f"case {number}: {error!r}") from error
                except BrokenPromiseError:
                    raise
                except Exception as error:
                    raise BrokenPromiseError(f"case {number}: {format_exc()}") from error
            watch.must_be_quiet(number)
            watch.clear()


def _warm(watch: Watch) -> None:
    """Do everything once, so that no case has to wait for a module to be loaded."""
    for name in ("filesystem", "sqlite"):
        path = watch.place / "store"
        _filled(name, path)
        with PatternStorage(name, path, maintenance_interval=None) as storage:
            for _, act in _ACTS:
                act(storage, 0)
        watch.clear()


def _swapped(name: str, path: Path, watch: Watch, choose: Random, tally: Tally) -> None:
    inside = [found for found in path.rglob("*") if "reserve" not in str(found.relative_to(path))] + [path]
    beside = [path.with_name(path.name + end) for end in (".spool", ".key", ".quarantine", ".maintenance")]
    database = [watch.place / f"store.db{end}" for end in ("", "-wal", "-shm", "-lock", "-new")]
    target = choose.choice(sorted(inside + beside) if name == "filesystem" else database + beside)
    node = choose.choice(_NODES)
    # Between the look at a directory, or at a database, which SQLite opens by its name, and the use of that
    # name nothing keeps it from becoming a link.
    follows = (node is _link_to_directory and target.is_dir()) or (node is _link and target.suffix == ".db")
    if choose.random() < 0.3 and os.path.lexists(target) and not follows:
        with _Swapper(target, node, watch.canary) as swapper:
            refused = _use(name, path, _ROUNDS // 3, choose, partial(_timed_amid_swaps, watch))
        tally.fired(swapper.swaps)
        tally.add("swaps while in use", swapper.swaps)
    else:
        watch.remove(target)
        watch.resting(lambda: node(target, watch.canary))
        tally.fired()
        refused = _use(name, path, 2, choose, partial(watch.timed, limit=_CALL, wait=_WAIT))
    tally.add("refused" if refused else "went on")


def _timed_amid_swaps(watch: Watch, said: str, act: Callable[[], Any]) -> Any:
    return watch.timed(f"{said} amid swaps", act, limit=_BESIDE, wait=_BESIDE, cpu=time.thread_time)


def _bombed(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Let a process with one gigabyte of memory meet ten gigabytes of zeros in ten megabytes."""
    bomb = place / "bomb"
    with bomb.open("wb") as file:
        for _ in range(10):
            file.write(_bombs(1 << 30))
    for number in numbers:
        store = place / f"store-{number}"
        _filled("filesystem", store)
        target = next((store / "2025/11/01").glob("*.gz"))
        target.write_bytes(bomb.read_bytes())
        if number % 2:
            target.with_name(target.name.replace(".jsonl.gz", ".idx")).unlink()
        if number // 2:
            for name in ("index.json", "index.copy.json"):
                (store / name).unlink()
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", _MEET, str(store), str(bomb)],
            preexec_fn=_limited,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode != 0:
            raise BrokenPromiseError(f"case {number}: exit code {done.returncode}: {done.stderr[-1500:]}")
        tally.fired()
        seconds, megabytes = map(float, done.stdout.split())
        must(seconds < _SECONDS, f"case {number}: {seconds} s of CPU for ten gigabytes")
        tally.see("seconds for ten gigabytes", seconds)
        tally.see("megabytes of memory", megabytes)


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


_MEET = """
import resource, sys, time
from moai_patterns import PatternStorage
from moai_patterns.collect.importing import import_paths
from moai_patterns.errors import PatternError
began = time.process_time()
with PatternStorage("filesystem", sys.argv[1], maintenance_interval=None) as storage:
    for ask in (
        lambda: list(storage.iter()), lambda: storage.load("cold-1"), lambda: storage.compress_old_files(),
    ):
        try:
            ask()
        except PatternError:
            pass
    assert storage.load("hot") is not None
    assert storage.check(read_data=True)
with PatternStorage("memory") as storage:
    told = import_paths([sys.argv[2]], storage, key=None)
    assert told.added == 0 and (told.ignored or told.skipped)
print(time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


PROMISES = (
    Promise(
        name="hostile-nodes",
        sentence="links, FIFOs, directories and bombs of 16 MB swapped in for anything of a store, also "
        "in use (there no links for directories and databases): never followed; each call takes at most "
        "250 ms of CPU and, with 200 ms to wait for a lock, waits 500 ms at most; amid swaps, 3 s",
        cases=lambda: 20_000,
        run=run,
        fast=300,
        chunk=1_000,
    ),
    Promise(
        name="gzip-bombs",
        sentence="ten gigabytes in ten megabytes as a segment or an import: named, all else can be read, "
        "within 1 GB of memory and 15 s of CPU",
        cases=lambda: 4,
        run=_bombed,
        fast=2,
        chunk=4,
    ),
)

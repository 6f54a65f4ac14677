"""A store that runs out of something amid each verb: space, inodes, descriptors, the right to write."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from moai_patterns import StoreError
from moai_patterns.backends.reserve import Reserve
from torture.acts import DAYS, SAVING, Act, Actor, Model, Program, Record, opened, record
from torture.oracle import everything, judge
from torture.promise import LINUX, MOUNT, BrokenPromiseError, Promise, Tally
from torture.scarcity import Blocks, Bytes, Inodes, Limit, ReadOnly, Scarcity, kind_of_full, small_disk

_BACKENDS = ("filesystem", "sqlite")
_LEVELS = ("os", "group", "record")
VERBS = ("save", "update", "many", "session", "delete", "compact", "retain", "copy", "import")
# A compaction may need more inodes than any reserve has: two or four files for each day, and directories.
REMOVING: dict[str, tuple[str, ...]] = {
    "Bytes": ("delete", "retain", "compact"),
    "Blocks": ("delete", "retain", "compact"),
    "Inodes": ("delete", "retain"),
}
_MOST_BYTES = 900  # points per verb: all of them where it writes no more, else spread evenly
_FILE_STEP, _FILE_STEPS = 509, 330
_DISK = "size=160m,nr_inodes=4000"


@dataclass(frozen=True)
class Case:
    """A verb in need, on a store that was open before or is opened in need."""

    number: int
    backend: str
    verb: str
    point: int
    kind: str = ""

    @property
    def level(self) -> str:
        """Each durability level in turn."""
        return _LEVELS[self.number // 2 % len(_LEVELS)]

    @property
    def opens_late(self) -> bool:
        """Every second one."""
        return self.number % 2 == 1

    @property
    def burden(self) -> list[Record]:
        """What is saved before the need comes: a log that has to find room before anything is removed."""
        if self.opens_late or self.backend != "sqlite" or self.verb not in REMOVING["Blocks"]:
            return []
        return [record(f"burden-{number}", 0, DAYS[3], 3000) for number in range(300)]


def _fill(backend: str, path: Path) -> Model:
    """Make a store with something in each of its forms."""
    model: Model = {}
    with opened(backend, path) as storage:
        actor = Actor(storage)
        for verbs, number, seed in (
            (("save", "many", "update"), 12, 1),
            (("compact",), 1, 2),
            (SAVING, 14, 3),
        ):
            for act, _ in zip(Program(seed, verbs, model), range(number), strict=False):
                actor.perform(act)
                model = act.applied(model)
        actor.close()
    return model


class Stores:
    """A store of each backend, made once, and a fresh copy of it for each case."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._models: dict[str, Model] = {}

    def copy(self, backend: str, to: Path) -> Model:
        """Put a copy into an empty directory and return what it holds."""
        source = self._place / backend
        if backend not in self._models:
            source.mkdir(parents=True)
            self._models[backend] = _fill(backend, source / "store")
        # A sparse copy of a reserve would be none.
        shutil.copytree(source, to, dirs_exist_ok=True, copy_function=_copied)
        return self._models[backend]


def _copied(source: str, target: str) -> None:
    data = Path(source).read_bytes()
    Path(target).write_bytes(data)
    shutil.copystat(source, target)


def _act(verb: str, model: Model) -> Act:
    return next(iter(Program(100 + VERBS.index(verb), (verb,), model)))


def _suffer(case: Case, path: Path, act: Act, scarcity: Scarcity, model: Model) -> dict[str, object]:
    """Do an act in need and go on when it is over; return what happened."""
    allowed = [model, act.applied(model)]
    storage = None if case.opens_late else opened(case.backend, path, case.level)
    if storage is not None and case.burden:
        storage.save_batch(case.burden)
    told: dict[str, object] = {"outcome": "done"}
    give, given = Reserve.give, list[Reserve]()

    def counted(reserve: Reserve) -> bool:
        given.append(reserve)
        return give(reserve)

    mock.patch.object(Reserve, "give", counted).start()  # for as long as this process lives
    scarcity.begin()
    try:
        storage = storage or opened(case.backend, path, case.level)
        actor = Actor(storage)
        try:
            actor.perform(act)
        finally:
            actor.close()
    except StoreError as error:
        told = {"outcome": "refused", "errno": error.errno, "said": f"{type(error).__name__}: {error}"}
    if storage is not None and isinstance(scarcity, Blocks | Inodes | Bytes | ReadOnly):
        found = everything(storage)
        if act.whole and found not in allowed:
            raise BrokenPromiseError(
                f"read in need, there is neither what was before {act.verb} nor after it"
            )
    if case.opens_late and storage is not None:
        storage.close()
        storage = None
    told["hits"] = scarcity.hits
    told["given"] = len(given)
    scarcity.end()
    probe = record("afterwards", 0, DAYS[0])
    with storage or opened(case.backend, path, case.level) as again:
        again.save(probe)
        if again.load("afterwards") != probe or again.delete("afterwards") != 1:
            raise BrokenPromiseError("what is saved when the need is over is not there")
    return told


def _apart(act: Callable[[], dict[str, object]]) -> dict[str, object]:
    """Return what `act` returns in a forked process, which may be crippled by it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = act()
        except BaseException:
            told = {"outcome": "broken", "said": traceback.format_exc()}
        with open(writing, "w", encoding="utf-8") as pipe:
            json.dump(told, pipe)
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return dict(json.loads(said or '{"outcome": "broken", "said": "the process died"}'))


def _tried(case: Case, place: Path, scarcity: Scarcity, model: Model, tally: Tally) -> dict[str, object]:
    """Run one case on the copy in `place` and judge it; return what happened."""
    path = place / "store"
    model = {**model, **{put["pattern_id"]: (put,) for put in case.burden}}
    act = _act(case.verb, model)
    told = _apart(lambda: _suffer(case, path, act, scarcity, model))
    scarcity.end()
    if told["outcome"] == "broken":
        raise BrokenPromiseError(f"{case}: {told['said']}")
    tally.add(f"{told['outcome']}")
    under_way = [act] if told["outcome"] == "refused" else []
    try:
        judge(lambda: opened(case.backend, path), model if under_way else act.applied(model), under_way)
    except BrokenPromiseError as error:
        raise BrokenPromiseError(f"{case}, {told}: {error}") from error
    return told


def _must_remove(case: Case, scarcity: Scarcity, told: dict[str, object]) -> None:
    if case.verb in REMOVING[type(scarcity).__name__] and told["outcome"] != "done":
        raise BrokenPromiseError(f"{case}: what gives space back must work without any, and did not: {told}")


# Every byte


@cache
def _written() -> dict[str, int]:
    """Return how many bytes each verb writes into a tree."""
    found = {}
    with TemporaryDirectory(dir="/dev/shm") as place:
        stores = Stores(Path(place, "stores"))
        for verb in VERBS:
            copy = Path(place, verb)
            model = stores.copy("filesystem", copy)
            meter = Bytes(None)
            case = Case(0, "filesystem", verb, 0)
            told = _apart(partial(_metered, case, copy, meter, model))
            if told["outcome"] != "done":
                raise BrokenPromiseError(str(told))
            found[verb] = int(str(told["spent"]))
    return found


def _metered(case: Case, place: Path, meter: Bytes, model: Model) -> dict[str, object]:
    with opened(case.backend, place / "store") as storage:
        meter.begin()
        Actor(storage).perform(_act(case.verb, model))
        meter.end()
    return {"outcome": "done", "spent": meter.spent}


@cache
def _byte_cases() -> list[tuple[str, str, int]]:
    """Every case: in a tree the bytes that are left for all files, in a database the length of one."""
    found = []
    for verb, size in _written().items():
        points = min(size, _MOST_BYTES)
        found += [("filesystem", verb, point * size // points) for point in range(points)]
    for verb in VERBS:
        found += [("sqlite", verb, step * _FILE_STEP) for step in range(_FILE_STEPS)]
    return found


def run_bytes(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case ends at another byte."""
    stores = Stores(place / "stores")
    for number in numbers:
        case = Case(number, *_byte_cases()[number])
        with _room(place / "case") as copy:
            model = stores.copy(case.backend, copy)
            scarcity: Scarcity = Bytes(case.point, kind_of_full(number // 6))
            if case.backend == "sqlite":
                scarcity = Limit(resource.RLIMIT_FSIZE, case.point)
            told = _tried(case, copy, scarcity, model, tally)
            tally.fired(told["outcome"] == "refused" or bool(told["hits"]))
            if case.backend == "filesystem":
                _must_remove(case, scarcity, told)


@contextmanager
def _room(path: Path) -> Iterator[Path]:
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


# Real file systems

_LEFT = (*range(12), 16, 24)


@cache
def _disk_cases(verbs: tuple[str, ...], most: int) -> list[Case]:
    found = [
        (kind, backend, verb, left, trial)
        for left in _LEFT[:most]
        for verb in verbs
        for backend in _BACKENDS
        for kind in ("Blocks", "Inodes")
        for trial in range(6)  # each level, opened before and after
    ]
    random.Random(0).shuffle(found)  # so that every share of them has some of each
    return [Case(trial, backend, verb, left, kind) for kind, backend, verb, left, trial in found]


def run_disks(cases: Callable[[], list[Case]], numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case has a file system of its own, on which so many pages or inodes are left."""
    stores = Stores(place / "stores")
    for number in numbers:
        case = cases()[number]
        with small_disk(place / "disk", _DISK) as disk:
            copy = disk / "case"
            copy.mkdir()
            model = stores.copy(case.backend, copy)
            scarcity = {"Blocks": Blocks, "Inodes": Inodes}[case.kind](disk, case.point)
            before = _stored_bytes(copy)
            told = _tried(case, copy, scarcity, model, tally)
            tally.fired(told["outcome"] == "refused" or bool(told["given"]))
            _must_remove(case, scarcity, told)
            if case.verb == "retain" and case.backend == "filesystem":
                _must_have_freed(case, before, _stored_bytes(copy))


def _stored_bytes(place: Path) -> int:
    files = [path for path in place.rglob("*") if path.is_file() and "reserve" not in str(path)]
    return sum(path.stat().st_blocks for path in files) * 512


def _must_have_freed(case: Case, before: int, after: int) -> None:
    if after >= before:
        raise BrokenPromiseError(f"{case}: retention freed nothing: {before} bytes before, {after} after")


_SAVING = partial(_disk_cases, tuple(verb for verb in VERBS if verb not in REMOVING["Blocks"]), len(_LEFT))
_REMOVING = partial(_disk_cases, REMOVING["Blocks"], 4)


# Limits of the process, and places that can be read only


def _limit_cases() -> list[tuple[str, str, str, int]]:
    descriptors = [
        ("descriptors", backend, verb, left)
        for left in range(14)
        for verb in VERBS
        for backend in _BACKENDS
        for _ in range(2)
    ]
    read_only = [("read-only", backend, verb, 0) for verb in VERBS for backend in _BACKENDS for _ in range(6)]
    return read_only + descriptors


def run_limits(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case may open so many files more, or finds its place mounted read-only."""
    stores = Stores(place / "stores")
    for number in numbers:
        kind, backend, verb, left = _limit_cases()[number]
        case = Case(number, backend, verb, left)
        with _room(place / "case") as copy:
            model = stores.copy(backend, copy)
            if kind == "descriptors":
                scarcity: Scarcity = Limit(resource.RLIMIT_NOFILE, left)
            else:
                scarcity = ReadOnly(copy)
            told = _tried(case, copy, scarcity, model, tally)
            tally.fired(told["outcome"] == "refused")


PROMISES = (
    Promise(
        name="full-disk-byte",
        sentence="a disk or a quota that is full at any byte of save, update, session, delete, compaction, "
        "retention, copy and import: nothing false is acknowledged, the error is typed, the store is intact "
        "and goes on; what removes works all the same",
        cases=lambda: len(_byte_cases()),
        run=run_bytes,
        fast=240,
        chunk=400,
        shards=2,
        needs=(LINUX,),
    ),
    Promise(
        name="full-disk",
        sentence="0 and a few blocks or inodes free on a disk: as above, and what is stored can be read",
        cases=lambda: len(_SAVING()),
        run=partial(run_disks, _SAVING),
        fast=60,
        chunk=300,
        needs=(LINUX, MOUNT),
    ),
    Promise(
        name="full-disk-removal",
        sentence="`retain`, deletion and compaction with 0 blocks free on a disk, `retain` and deletion with "
        "0 inodes free: they work, and give space back",
        cases=lambda: len(_REMOVING()),
        run=partial(run_disks, _REMOVING),
        fast=60,
        chunk=300,
        needs=(LINUX, MOUNT),
    ),
    Promise(
        name="no-descriptors",
        sentence="file descriptors gone, or the place mounted read-only under a running store: as above",
        cases=lambda: len(_limit_cases()),
        run=run_limits,
        fast=120,
        chunk=300,
        needs=(LINUX, MOUNT),
    ),
)

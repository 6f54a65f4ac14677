"""A store that runs out of something amid each verb: space, inodes, descriptors, the right to write."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import traceback
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from moai_patterns import Query, StoreError
from moai_patterns.backends.reserve import Reserve
from torture.acts import DAYS, SAVING, Act, Actor, Model, Program, Record, opened, record
from torture.faulted import in_memory
from torture.oracle import everything, judge
from torture.promise import LINUX, MOUNT, BrokenPromiseError, Promise, Tally
from torture.scarcity import Blocks, Bytes, Inodes, Limit, ReadOnly, Scarcity, kind_of_full, small_disk

_BACKENDS = ("filesystem", "sqlite")
_LEVELS = ("os", "group", "record")
VERBS = ("save", "update", "many", "session", "delete", "compact", "retain", "copy", "import")
_DOOMING = ("delete", "retain")
_FREEING = ("retain", "compact")
# A compaction may need more inodes than any reserve has: two or four files for each day, and directories.
REMOVING: dict[str, tuple[str, ...]] = {
    "Bytes": ("delete", "retain", "compact"),
    "Blocks": ("delete", "retain", "compact"),
    "Inodes": _DOOMING,
}
# A verb that writes no more than this has cases for each byte. Of others there are the first and last bytes
# of each write, and so many between them: nobody can tell the bytes amid a long text apart. Lengths vary by
# some bytes, for what is written holds the time, so the cases do not depend on them.
_SMALL, _EDGE, _BETWEEN = 4096, 24, 8
# What SQLite writes: a log begins with a header, each page in it with one of its own.
_LOG_HEADER, _PAGE_HEADER, _PAGE = 32, 24, 4096
_LONGEST_FILE = 100 * _PAGE
_FILE_STRIDE = 1021
_BULKY = tuple(record(f"bulky-{number}", 0, DAYS[number % 4], 5000) for number in range(12))
_FIRST_SEED = 103  # of which the save is short and the update long
_DISK = "size=160m,nr_inodes=4000"


@dataclass(frozen=True)
class Case:
    """A verb in need, on a store that was open before or is opened in need.

    Parameters:
        point: how much is left: of a disk, of the length of any file, or of one write, in bytes from its
            start or, below 0, from its end.
        disk: what runs out on a real one.
        write: the number of that write.
        parts: where not 0, `point` counts such parts of the write.
    """

    backend: str
    verb: str
    point: int
    level: str = "os"
    opens_late: bool = False
    disk: str = ""
    write: int = 0
    parts: int = 0

    def fits(self, wanted: int) -> int:
        """Return how many bytes of the write fit."""
        if self.parts:
            return wanted * self.point // self.parts
        return min(self.point, wanted - 1) if self.point >= 0 else max(wanted + self.point, 0)

    @property
    def burden(self) -> list[Record]:
        """What is saved before a disk is full: a log that has to find room before anything is removed.

        It would fill the pages that a compaction is to give back.
        """
        if self.opens_late or self.backend != "sqlite" or not self.disk or self.verb not in _DOOMING:
            return []
        return [record(f"burden-{number}", 0, DAYS[3], 3000) for number in range(300)]


def _setting(number: int) -> tuple[str, bool]:
    """Return each durability level in turn, with a store that is open and with one that is opened."""
    return _LEVELS[number // 2 % len(_LEVELS)], number % 2 == 1


def _fill(backend: str, path: Path) -> Model:
    """Make a store with something in each of its forms, and with room in it that can be given back."""
    model: Model = {}
    with opened(backend, path) as storage:
        storage.save_batch(_BULKY)
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
        storage.delete(Query(ids=[one["pattern_id"] for one in _BULKY], limit=None))
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
    act = next(iter(Program(_FIRST_SEED + VERBS.index(verb), (verb,), model)))
    if verb in _DOOMING and not act.removes:
        raise AssertionError(f"this {verb} removes nothing")
    return act


def _suffer(case: Case, path: Path, act: Act, scarcity: Scarcity, model: Model) -> dict[str, Any]:
    """Do an act in need and go on when it is over; return what happened."""
    allowed = [model, act.applied(model)]
    storage = None if case.opens_late else opened(case.backend, path, case.level)
    if storage is not None and case.burden:
        storage.save_batch(case.burden)
    told: dict[str, Any] = {"outcome": "done"}
    give, given = Reserve.give, list[Reserve]()

    def counted(reserve: Reserve) -> bool:
        given.append(reserve)
        return give(reserve)

    mock.patch.object(Reserve, "give", counted).start()  # for as long as this process lives
    before = _stored_bytes(path.parent)
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
    if storage is not None and scarcity.allows_reading:
        found = everything(storage)
        if act.whole and found not in allowed:
            raise BrokenPromiseError(
                f"read in need, there is neither what was before {act.verb} nor after it"
            )
    if case.opens_late and storage is not None:
        storage.close()
        storage = None
    told |= {"hits": scarcity.hits, "asked": scarcity.asked, "given": len(given)}
    if scarcity.allows_reading:
        told["freed"] = before - _stored_bytes(path.parent)
    scarcity.end()
    probe = record("afterwards", 0, DAYS[0])
    with storage or opened(case.backend, path, case.level) as again:
        again.save(probe)
        if again.load("afterwards") != probe or again.delete("afterwards") != 1:
            raise BrokenPromiseError("what is saved when the need is over is not there")
    return told


def _apart(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
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


def _tried(case: Case, place: Path, scarcity: Scarcity, model: Model, tally: Tally) -> dict[str, Any]:
    """Run one case on the copy in `place` and judge it; return what happened."""
    path = place / "store"
    model = {**model, **{put["pattern_id"]: (put,) for put in case.burden}}
    act = _act(case.verb, model)
    told = _apart(lambda: _suffer(case, path, act, scarcity, model))
    scarcity.end()
    if told["outcome"] == "broken":
        raise BrokenPromiseError(f"{case}: {told['said']}")
    tally.add(f"{told['outcome']}")
    told.pop("asked")
    if case.disk and case.verb in _FREEING and told["outcome"] == "done" and told["freed"] <= 0:
        raise BrokenPromiseError(f"{case}: it gave nothing back: {told}")
    under_way = [act] if told["outcome"] == "refused" else []
    try:
        judge(lambda: opened(case.backend, path), model if under_way else act.applied(model), under_way)
    except BrokenPromiseError as error:
        raise BrokenPromiseError(f"{case}, {told}: {error}") from error
    return told


def _must_remove(case: Case, scarcity: Scarcity, told: dict[str, Any]) -> None:
    if case.verb in REMOVING[type(scarcity).__name__] and told["outcome"] != "done":
        raise BrokenPromiseError(f"{case}: what gives space back must work without any, and did not: {told}")


# Every byte


@cache
def _byte_cases() -> list[Case]:
    found: list[Case] = []
    cases = {"filesystem": _tree_cases, "sqlite": _database_cases}
    with TemporaryDirectory(dir=in_memory()) as place:
        stores = Stores(Path(place, "stores"))
        for backend, verb, opens_late in product(_BACKENDS, VERBS, (False, True)):
            case = Case(backend, verb, 0, opens_late=opens_late)
            found += cases[backend](case, partial(_measured, case, stores, Path(place, "copy")))
    return [replace(case, level=_LEVELS[at % len(_LEVELS)]) for at, case in enumerate(found)]


def _measured(case: Case, stores: Stores, place: Path, scarcity: Scarcity) -> dict[str, Any]:
    with _room(place):
        model = stores.copy(case.backend, place)
        act = _act(case.verb, model)
        return _apart(lambda: _suffer(case, place / "store", act, scarcity, model))


Measured = Callable[[Scarcity], dict[str, Any]]


def _tree_cases(case: Case, measured: Measured) -> list[Case]:
    """Return where in each write a disk is full: at every byte where that is affordable, else at edges."""
    told = measured(Bytes())
    if told["outcome"] != "done":
        raise BrokenPromiseError(str(told))
    if sum(told["asked"]) > _SMALL:
        edges = [(point, 0) for point in range(-_EDGE, _EDGE)]
        between = [(point, _BETWEEN) for point in range(1, _BETWEEN)]
        points = [edges + between] * len(told["asked"])
    else:
        parts = [-(-wanted // 64) * 64 for wanted in told["asked"]]
        points = [[(point, whole) for point in range(whole)] for whole in parts]
    return [
        replace(case, point=point, write=write, parts=parts)
        for write, places in enumerate(points)
        for point, parts in places
    ]


def _database_cases(case: Case, measured: Measured) -> list[Case]:
    """Return at which byte files end: in every header, around each page, and between them now and then."""
    pages = range(0, _LONGEST_FILE, _PAGE)
    headers = range(_LOG_HEADER, _LONGEST_FILE, _PAGE_HEADER + _PAGE)
    ends = sorted({*pages, *headers, *(header + _PAGE_HEADER for header in headers)})
    # The file that is written furthest ends at one of these: the first at which nothing is met any more.
    most = ends[bisect_left(ends, True, key=lambda end: not _is_met(measured(_file_limit(end))))]
    found = {*range(_LOG_HEADER), *range(0, most, _FILE_STRIDE)}
    found |= {at for page in pages for at in (page - 1, page, page + 1)}
    found |= {at for header in headers for at in range(header - 1, header + _PAGE_HEADER + 1)}
    return [replace(case, point=point) for point in sorted(found) if 0 <= point < most]


def _file_limit(most: int) -> Limit:
    return Limit(resource.RLIMIT_FSIZE, most)


def _is_met(told: dict[str, Any]) -> bool:
    if told["outcome"] == "broken":
        raise BrokenPromiseError(str(told))
    return told["outcome"] == "refused" or bool(told["hits"])


def run_bytes(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case ends at another byte: of a write to a tree, of the files of a database."""
    stores = Stores(place / "stores")
    for number in numbers:
        case = _byte_cases()[number]
        with _room(place / "case") as copy:
            model = stores.copy(case.backend, copy)
            scarcity: Scarcity = Bytes(case.write, case.fits, kind_of_full(number // 3))
            if case.backend == "sqlite":
                scarcity = _file_limit(case.point)
            told = _tried(case, copy, scarcity, model, tally)
            if not _is_met(told):
                raise BrokenPromiseError(f"{case}: nothing was written there, so nothing was tried: {told}")
            tally.fired()
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
    return [Case(backend, verb, left, *_setting(trial), kind) for kind, backend, verb, left, trial in found]


def run_disks(cases: Callable[[], list[Case]], numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case has a file system of its own, on which so many pages or inodes are left."""
    stores = Stores(place / "stores")
    for number in numbers:
        case = cases()[number]
        with small_disk(place / "disk", _DISK) as disk:
            copy = disk / "case"
            copy.mkdir()
            model = stores.copy(case.backend, copy)
            scarcity = {"Blocks": Blocks, "Inodes": Inodes}[case.disk](disk, case.point)
            told = _tried(case, copy, scarcity, model, tally)
            _count(told["outcome"] == "refused" or bool(told["given"]), tally)
            _must_remove(case, scarcity, told)


def _stored_bytes(place: Path) -> int:
    files = [path for path in place.rglob("*") if path.is_file() and "reserve" not in str(path)]
    return sum(path.stat().st_blocks for path in files) * 512


def _count(is_met: bool, tally: Tally) -> None:
    tally.fired(is_met)
    tally.add("cases in which there was enough", not is_met)


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
        case = Case(backend, verb, left, *_setting(number))
        with _room(place / "case") as copy:
            model = stores.copy(backend, copy)
            if kind == "descriptors":
                scarcity: Scarcity = Limit(resource.RLIMIT_NOFILE, left)
            else:
                scarcity = ReadOnly(copy)
            told = _tried(case, copy, scarcity, model, tally)
            _count(told["outcome"] == "refused", tally)


PROMISES = (
    Promise(
        name="full-disk-byte",
        sentence="a disk or a quota that is full at each byte of a save, delete and import to a tree, and of "
        "each write of an update, batch, session, compaction, retention and copy at its first and last 24 "
        "bytes and 7 places between; SQLite files that can grow no more, at each byte of a header, around "
        "each page and at every 1021st byte: nothing false is acknowledged, the error is typed, the store is "
        "intact and goes on; in a tree, what removes works all the same",
        cases=lambda: len(_byte_cases()),
        run=run_bytes,
        fast=240,
        chunk=2_000,
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
        "0 inodes free: they work, and `retain` and compaction give space back",
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

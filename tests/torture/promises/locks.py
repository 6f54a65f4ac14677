"""Processes that stand still, or die, with whatever lock they hold, at any system call of what they do."""

from __future__ import annotations

import os
import shutil
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from fractions import Fraction
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from forks import child
from moai_patterns import PatternStorage
from moai_patterns.backends.filesystem import maintaining
from moai_patterns.errors import BusyError, RetentionError
from moai_patterns.instant import DAY
from torture.acts import DAYS, NOW, Act, Actor, Model, record
from torture.crowd import Shared
from torture.oracle import everything, judge
from torture.promise import BrokenPromiseError, Promise, Tally
from torture.stepping import TRACING, Puppet

_BACKENDS = ("filesystem", "sqlite")
_FATES = ("stopped", "killed")
# So many system calls a verb takes, and some more: a case stands for each, also where a few more are made.
_POINTS = {
    ("filesystem", "compact"): 1380,
    ("filesystem", "retain"): 930,
    ("filesystem", "maintain"): 2750,
    ("filesystem", "save"): 66,
    ("filesystem", "many"): 66,
    ("sqlite", "compact"): 260,
    ("sqlite", "retain"): 300,
    ("sqlite", "maintain"): 320,
    ("sqlite", "save"): 145,
    ("sqlite", "many"): 145,
}
_BEHIND = list(accumulate(_POINTS.values()))  # of each verb, the first point that is none of it
_CUTOFF = DAYS[1]
_AT_ONCE, _PATIENT, _LIMIT = 0.02, 30.0, 1.0

_RETAIN = Act(0, "retain", whole=False, cutoff=_CUTOFF)
_COMPACT = Act(0, "compact")
# What the process does that stands still or dies.
_DOING = {
    "compact": _COMPACT,
    "retain": _RETAIN,
    "maintain": Act(0, "maintain", whole=False, cutoff=_CUTOFF),
    "save": Act(0, "save", (record("mine", 0, DAYS[2]),)),
    "many": Act(0, "many", tuple(record(f"mine-{n}", 0, DAYS[n]) for n in (1, 2, 3))),
}
_BASE = (
    Act(0, "many", tuple(record(f"{name}-{day}", 0, day) for day in DAYS for name in ("kept", "doomed"))),
    Act(0, "save", (record("old", 0, DAYS[0]),)),
    Act(0, "update", (record(f"kept-{DAYS[3]}", 1, DAYS[2]),)),
    Act(0, "delete", removes=(f"doomed-{DAYS[1]}",)),
)
# What the others do meanwhile, or afterwards.
_MEANWHILE = (
    Act(1, "save", (record("new", 0, DAYS[2]),)),
    Act(2, "update", (record(f"kept-{DAYS[1]}", 1, DAYS[1]),)),
    Act(3, "save", (record("old", 1, DAYS[3]),)),  # what would have expired is kept from now on
    Act(4, "delete", removes=(f"doomed-{DAYS[2]}",)),
    _COMPACT,
    _RETAIN,
    Act(5, "many", tuple(record(f"new-{n}", 0, DAYS[n]) for n in (1, 2))),
)


def _opened(backend: str, path: Path, timeout: float) -> PatternStorage:
    return PatternStorage(
        backend,
        path,
        compression_threshold_days=1,
        retention_days=NOW // 1000 // DAY - _CUTOFF,
        timeout=timeout,
        clock=lambda: NOW,
        maintenance_interval=None,
    )


class Case(NamedTuple):
    """Who stands still, or dies, doing what on which backend, and after which share of its calls."""

    fate: str
    backend: str
    verb: str
    share: Fraction

    @classmethod
    def of(cls, number: int) -> Case:
        """Return the case of this number."""
        point, fate = divmod(number, len(_FATES))
        at = bisect_right(_BEHIND, point)
        backend, verb = list(_POINTS)[at]
        points = _POINTS[backend, verb]
        return cls(_FATES[fate], backend, verb, Fraction(point - _BEHIND[at] + points, points))


class Stage:
    """Stores to begin with, and how many calls each verb makes on one."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._calls: dict[tuple[str, str], int] = {}
        for backend in _BACKENDS:
            with closing(_opened(backend, self._begun(backend), _PATIENT)) as storage:
                actor = Actor(storage)
                for act in _BASE:
                    actor.perform(act)

    @contextmanager
    def store(self, backend: str) -> Iterator[Path]:
        """A store to begin with, for one case."""
        path = self._place / "case"
        shutil.copytree(self._begun(backend).parent, path)
        try:
            yield path / "store"
        finally:
            shutil.rmtree(path)

    def calls(self, backend: str, verb: str) -> int:
        """Return how many system calls a verb takes; raise when not each of them has a case."""
        if (backend, verb) not in self._calls:
            count = 0
            with self.store(backend) as path, Puppet(_act(backend, path, verb, Shared(1))) as puppet:
                while puppet.to_call():
                    count += 1
            if count > _POINTS[backend, verb]:
                raise BrokenPromiseError(f"{verb} on {backend} makes {count} calls: name more points")
            self._calls[backend, verb] = count
        return self._calls[backend, verb]

    def _begun(self, backend: str) -> Path:
        return self._place / backend / "store"


def _act(backend: str, path: Path, verb: str, done: Shared) -> Callable[[Callable[[], None]], None]:
    """Return what the process does that stands still or dies."""

    def act(ready: Callable[[], None]) -> None:
        storage = _opened(backend, path, _PATIENT)
        ready()
        try:
            if verb == "maintain":
                done[0] = storage.maintain() is not None
            elif verb == "compact" and backend == "sqlite":
                storage.backend.reclaim()  # type: ignore[attr-defined]
            else:
                Actor(storage).perform(_DOING[verb])
                done[0] = 1
        except RetentionError:
            pass  # others have removed what it was about to remove
        storage.close()
        os._exit(0)

    return act


def _others(backend: str, path: Path, timeout: float) -> list[Act]:
    """Let another process do all that it does, and return what was acknowledged."""
    done = Shared(len(_MEANWHILE))

    def work() -> None:
        maintaining._PATIENCE = (
            _AT_ONCE  # with a reader that stands still, which each compaction would wait for
        )
        for number, act in enumerate(_MEANWHILE):
            try:
                with closing(_opened(backend, path, timeout)) as storage:
                    Actor(storage).perform(act)
                    done[number] = 1
            except RetentionError:
                pass  # what it was about to remove is gone
            except BusyError:
                if timeout >= _LIMIT:
                    raise

    _, status = os.waitpid(child(work), 0)
    if status != 0:
        raise BrokenPromiseError("another process failed; what it printed stands above")
    return [act for number, act in enumerate(_MEANWHILE) if done[number]]


def _play(case: Case, stage: Stage, tally: Tally) -> None:
    calls = int(case.share * stage.calls(case.backend, case.verb)) + 1
    done = Shared(1)
    with stage.store(case.backend) as path:
        with Puppet(_act(case.backend, path, case.verb, done)) as puppet:
            if all(puppet.to_call() for _ in range(calls)):
                tally.fired()
            if case.fate == "killed":
                puppet.kill()
                acknowledged = _others(case.backend, path, _LIMIT)
            else:
                acknowledged = _others(case.backend, path, _AT_ONCE)
                puppet.let_go()
                if puppet.end() != 0:
                    raise BrokenPromiseError("it failed when it woke up; what it printed stands above")
        if case.verb in ("save", "many") and case.fate == "stopped" and not done[0]:
            raise BrokenPromiseError("what it was about to save is not acknowledged")
        tally.add("acts of others meanwhile", len(acknowledged))
        opened = partial(_opened, case.backend, path, _PATIENT)
        with closing(opened()) as storage:
            found = everything(storage)
        _must_be_allowed(found, list(_endings(acknowledged, _DOING[case.verb], sure=bool(done[0]))))
        judge(opened, found)


def _endings(others: Sequence[Act], mine: Act, *, sure: bool) -> Iterator[Model]:
    """Yield what may be there: mine before, between or behind the others, or not at all unless `sure`."""
    for place in range(len(others) + 1):
        yield _model([*others[:place], mine, *others[place:]])
    if not sure:
        yield _model(others)


def _model(acts: Sequence[Act]) -> Model:
    model: Model = {}
    for act in (*_BASE, *acts):
        model = act.applied(model)
        if act.cutoff:
            first = DAYS[0]
            expired = [identity for identity, (*_, head) in model.items() if _is_of(head["timestamp"], first)]
            model = {identity: history for identity, history in model.items() if identity not in expired}
    return model


def _is_of(timestamp: str, day: int) -> bool:
    return timestamp.startswith(record("", 0, day)["timestamp"][:10])


def _must_be_allowed(found: Model, endings: Sequence[Model]) -> None:
    """Each id as in one of the endings; what was refused may have been done to some of them."""
    for identity in {*found, *(identity for ending in endings for identity in ending)}:
        histories = [ending.get(identity, ()) for ending in endings]
        if found.get(identity, ()) not in histories:
            versions = [one["data"]["version"] for one in found.get(identity, ())]
            allowed = [[one["data"]["version"] for one in history] for history in histories]
            raise BrokenPromiseError(f"{identity!r} is there in versions {versions}, allowed: {allowed}")


def _run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    stage = Stage(place)
    for number in numbers:
        case = Case.of(number)
        try:
            _play(case, stage, tally)
        except BrokenPromiseError as error:
            raise BrokenPromiseError(f"case {number}, {case}: {error}") from error
        tally.add(case.fate)


PROMISES = [
    Promise(
        name="locks",
        sentence="a process that stands still at any system call of a compaction, retention, maintenance or "
        "save, and wakes up after others have done its work, does no harm; one that is killed there keeps "
        "nobody waiting for a second, and nothing has to be unlocked",
        cases=lambda: len(_FATES) * _BEHIND[-1],
        run=_run,
        fast=80,
        chunk=500,
        needs=(TRACING,),
    )
]

"""Every tree that a power cut may leave of short programs: recorded once, cut at every step, and judged."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from moai_patterns import PatternStorage
from moai_patterns.backends.filesystem import hotlog, torn
from torture.acts import Act, Actor, Model, Program, opened
from torture.disk import Image
from torture.oracle import everything, judge, judge_after_loss
from torture.promise import BrokenPromiseError, Promise, Tally
from torture.recording import Recorder, recorded
from torture.replay import Cut, Moment, cuts, moments, put, unflushed

LEVELS = ("record", "group", "os")
_VERBS = ("save", "many", "update", "delete", "session", "compact", "retain", "copy")
# Short programs at each level; of three acts there are so many that each runs at one of them.
_SETTINGS = [
    (verbs, level, is_fresh)
    for length in (1, 2, 3)
    for number, verbs in enumerate(product(_VERBS, repeat=length))
    for level in (LEVELS if length < 3 else (LEVELS[number % 3],))
    for is_fresh in (True, False)
]
_BEFORE = ("save", "many", "session", "update", "compact", "many", "update", "delete", "save", "line")
# Of a step with more pending than can be tried in every combination, so many trees.
_MOST = {"record": 6, "group": 6, "os": 8}
# Of so many trees the recovery of one is cut, too.
_AGAIN = 200
_MOST_AGAIN = 2


@dataclass(frozen=True)
class Case:
    """One program on a fresh tree or on one with segments, journals and removals."""

    number: int

    @property
    def level(self) -> str:
        """How durable the store is told to be."""
        return _SETTINGS[self.number][1]

    @property
    def is_fresh(self) -> bool:
        """Whether there is no tree yet."""
        return _SETTINGS[self.number][2]

    @property
    def verbs(self) -> tuple[str, ...]:
        """What is done; at `record` on a small tree sessions stay open, each line acknowledged by itself."""
        verbs = _SETTINGS[self.number][0]
        if self.level == "record" and not self.is_fresh:
            return tuple("line" if verb == "session" else verb for verb in verbs)
        return verbs


def run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Cut each program in its last act, wherever something has changed; what comes before is another case."""
    for number in numbers:
        case = Case(number)
        try:
            _run(case, place / str(number), tally)
        except BrokenPromiseError as error:
            start = "a fresh tree" if case.is_fresh else "a small tree"
            raise BrokenPromiseError(
                f"case {number}, {' + '.join(case.verbs)} on {start} at {case.level}: {error}"
            ) from error
        finally:
            shutil.rmtree(place / str(number))


def _run(case: Case, place: Path, tally: Tally) -> None:
    done: tuple[Act, ...] = ()
    if not case.is_fresh:
        small = place.with_name(f"small-{case.level}")
        done = _small(case.level, small)
        shutil.copytree(small, place / "now/store")
    cut_last(list(_acts(case.number, case.verbs, _model(done))), case.level, place, tally, done)


def cut_last(acts: Sequence[Act], level: str, place: Path, tally: Tally, done: Sequence[Act] = ()) -> None:
    """Do these acts in `place/now/store`, and judge what a cut at each moment of the last one leaves.

    `done` are the acts that made what is there already. Raises `BrokenPromiseError`.
    """
    (place / "now").mkdir(parents=True, exist_ok=True)
    with recorded(place / "now") as recorder:
        _perform(recorder, level, place / "now/store", acts)
    tally.add("steps recorded", len(recorder.log))
    judging = _Judging(level, place, acts, done)
    with unflushed():
        for moment in moments(recorder):
            if moment.begun == len(acts):
                judging.look(moment)
    tally.fired(judging.faults)
    tally.add("trees", judging.trees)
    tally.add("trees of a recovery that was cut", judging.again)


def _acts(seed: int, verbs: Sequence[str], model: Model) -> Iterator[Act]:
    for position, verb in enumerate(verbs):
        if verb == "delete" and not model:
            act = Act(0, verb, removes=("nobody",))
        else:
            act = next(iter(Program(1000 * seed + position, (verb,), model)))
        model = act.applied(model)
        yield act


def _perform(recorder: Recorder, level: str, path: Path, acts: Sequence[Act]) -> None:
    with closing(opened("filesystem", path, level)) as storage:
        actor = Actor(storage)
        for number, act in enumerate(acts):
            recorder.mark("begun", number)
            actor.perform(act)
            recorder.mark("acknowledged", number)
        actor.close()


def _small(level: str, place: Path) -> tuple[Act, ...]:
    """Make, unless it is there, a tree with segments, history, journals and removals; return its acts."""
    acts = tuple(_acts(9_000_000, _BEFORE, {}))
    if not place.exists():
        with closing(opened("filesystem", place, level)) as storage:
            actor = Actor(storage)
            for act in acts:
                actor.perform(act)
            actor.close()
    return acts


class _Judging:
    """The trees that cuts leave of one program."""

    def __init__(self, level: str, place: Path, acts: Sequence[Act], done: Sequence[Act]) -> None:
        self._level = level
        self._path = place / "cut"
        self._acts = acts
        self._done = done  # before the recording
        self._story = [_model(done)]
        for act in acts:
            self._story.append(act.applied(self._story[-1]))
        self._seen: set[tuple[bytes, int, int]] = set()
        self._choose = random.Random(len(acts))
        self.trees = self.again = self.faults = 0

    def look(self, moment: Moment) -> None:
        """Judge what may be left at this moment, unless the same was left at another."""
        for cut in cuts(moment.disk, self._choose, _MOST[self._level]):
            self.faults += cut.lost
            known = (cut.fingerprint(), moment.acknowledged, moment.begun)
            if known in self._seen:
                continue
            self._seen.add(known)
            self.trees += 1
            with told(f"tree {self.trees}", moment, cut):
                put(cut.image, self._path)
                self._judge(moment)
                if self._choose.random() * _AGAIN < 1:
                    put(cut.image, self._path)
                    self._look_at_recovery(moment)

    def _look_at_recovery(self, moment: Moment) -> None:
        """Judge what a cut, or a kill, leaves of the opening that comes after the first cut."""
        with recorded(self._path) as recorder:
            restart()
            with closing(self._open()) as storage:
                everything(storage)
        for amid in moments(recorder):
            for cut in [*cuts(amid.disk, self._choose, _MOST_AGAIN), None]:
                self.again += 1
                put(Image(amid.disk) if cut is None else cut.image, self._path)
                with told("killed in the recovery" if cut is None else "cut in the recovery", amid, cut):
                    self._judge(moment, after_kill=cut is None)

    def _judge(self, moment: Moment, *, after_kill: bool = False) -> None:
        """Open the tree as after a start of the machine, twice, and hold it against the story."""
        if not after_kill:
            restart()
        with closing(self._open()) as storage:
            first = everything(storage)
        if not after_kill:
            restart()
        begun = self._acts[: moment.begun]
        if self._level == "os":
            found = judge_after_loss(self._open, [*self._done, *begun])
            self._must_be_whole(found, begun)
        else:
            before, under_way = self._story[moment.acknowledged], begun[moment.acknowledged :]
            found = judge(self._open, before, under_way, after_power_cut=True)
        if found != first:
            raise BrokenPromiseError("recovering a second time gave other answers")

    def _open(self) -> PatternStorage:
        return opened("filesystem", self._path / "store", self._level)

    def _must_be_whole(self, found: Model, begun: Sequence[Act]) -> None:
        """What was flushed long before, and is left alone, is there; of a batch there is all or nothing."""
        touched = [identity for act in begun for identity in act.touched]
        for identity, history in self._story[0].items():
            if identity not in touched and found.get(identity) != history:
                raise BrokenPromiseError(f"{identity!r} was flushed long ago, and is not what it was")
        for act in begun:
            if act.whole:
                alone = [put for put in act.puts if touched.count(put["pattern_id"]) == 1]
                there = {put in found.get(put["pattern_id"], ()) for put in alone}
                if len(there) > 1:
                    raise BrokenPromiseError(f"{act.verb} is there in part")


@contextmanager
def told(what: str, moment: Moment, cut: Cut | None) -> Iterator[None]:
    """Say of whatever breaks in which tree it did."""
    try:
        yield
    except Exception as error:
        missing = "; ".join(cut.difference(moment.disk)) if cut else ""
        said = f"{what}, step {moment.step}, {moment.acknowledged} acts acknowledged"
        raise BrokenPromiseError(f"{said}, {missing or 'all is there'}: {error!r}") from error


def restart() -> None:
    """Let the next store that is opened find that the machine was started just now."""
    now = time.time_ns() // 1000
    torn.booted = lambda: now
    hotlog._boot[:] = [random.getrandbits(60)]


def _model(acts: Sequence[Act]) -> Model:
    model: Model = {}
    for act in acts:
        model = act.applied(model)
    return model


PROMISES = (
    Promise(
        name="crash-states",
        sentence="what a power cut may leave of any program of up to three acts (those of three at one level "
        "each), at each step of the last: at `record` and `group` nothing acknowledged is lost, at `os` "
        "nothing is torn or mixed up",
        cases=lambda: len(_SETTINGS),
        run=run,
        fast=36,
        chunk=60,
        shards=4,
    ),
)

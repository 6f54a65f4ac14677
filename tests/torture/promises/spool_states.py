"""What a power cut may leave of a spool: captures that wait, and saves that take them in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from itertools import product
from pathlib import Path

from moai_patterns import PatternStorage, spool
from moai_patterns.instant import instant
from torture.acts import FIRST_DAY, NOW, Record, opened, record
from torture.oracle import everything
from torture.promise import BrokenPromiseError, Promise, Tally
from torture.promises.crash_states import restart, told
from torture.recording import recorded
from torture.replay import Moment, cuts, moments, put, unflushed

_LEVELS = ("record", "os")
_VERBS = ("wait", "wait long", "save")
_PROGRAMS = [verbs for length in (1, 2, 3) for verbs in product(_VERBS, repeat=length)]
_MOST = 12
_WAITING = ("old-0", "old-1", "old-2")


def run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case is a program, on nothing or on a store beside which captures have been waiting for long."""
    for number in numbers:
        level, verbs = _LEVELS[number % 2], _PROGRAMS[number // 4]
        old = _WAITING if number // 2 % 2 else ()
        case = _Case(level, place / str(number), old)
        try:
            case.run(verbs, tally)
        except BrokenPromiseError as error:
            waiting = "with a spool" if old else "from nothing"
            raise BrokenPromiseError(f"case {number}, {verbs} {waiting} at {level}: {error}") from error


class _Case:
    def __init__(self, level: str, place: Path, old: Sequence[str]) -> None:
        self._level, self._place, self._old = level, place, old
        self._saved: list[str] = []
        self._choose = random.Random(len(place.name))

    def run(self, verbs: Sequence[str], tally: Tally) -> None:
        """Do it, and look at what each moment of it may leave."""
        now = self._place / "now"
        now.mkdir(parents=True)
        if self._old:
            with closing(self._open(now)) as storage:
                storage.save(_put("here"))
            for identity in self._old:
                self._do("wait", now, identity)
        with recorded(now) as recorder:
            for number, verb in enumerate(verbs):
                recorder.mark("begun", number)
                self._do(verb, now, f"new-{number}")
                recorder.mark("acknowledged", number)
        self._saved = [f"new-{number}" if verb == "save" else "" for number, verb in enumerate(verbs)]
        seen: set[tuple[bytes, int]] = set()
        with unflushed():
            for moment in moments(recorder):
                self._look(moment, seen, tally)
        tally.add("trees", len(seen))

    def _look(self, moment: Moment, seen: set[tuple[bytes, int]], tally: Tally) -> None:
        for cut in cuts(moment.disk, self._choose, _MOST):
            tally.fired(cut.lost)
            known = (cut.fingerprint(), moment.acknowledged)
            if known not in seen:
                seen.add(known)
                put(cut.image, self._place / "cut")
                with told(f"tree {len(seen)}", moment, cut):
                    self._judge(moment)

    def _do(self, verb: str, place: Path, identity: str) -> None:
        if verb == "save":
            with closing(self._open(place)) as storage:
                storage.save(_put(identity))
        else:
            content = _put(identity, 9000 if verb == "wait long" else 60)
            spool.put(("filesystem", str(place / "store")), [_stored(content)], {})

    def _judge(self, moment: Moment) -> None:
        """What was there for long, and what was acknowledged, is there; all else is whole or not there."""
        restart()
        certain = {*self._old, *(["here"] if self._old else [])}
        if self._level == "record":
            certain |= {saved for saved in self._saved[: moment.acknowledged] if saved}
        elif moment.begun:
            certain = set()  # taken into a store that waits for nothing, it is as if just saved
        for _ in range(2):
            with closing(self._open(self._place / "cut")) as storage:
                self._must_hold(storage, certain)
                storage.save(_put("later"))
            restart()

    def _must_hold(self, storage: PatternStorage, certain: set[str]) -> None:
        found = everything(storage)
        if missing := certain - found.keys():
            raise BrokenPromiseError(f"{sorted(missing)} are gone")
        for identity, history in found.items():
            if history not in ((_put(identity),), (_put(identity, 9000),)):
                raise BrokenPromiseError(f"{identity} is not what was captured")
        status = storage.stats()["spool"]
        if status["waiting"]:
            raise BrokenPromiseError(f"{status} although the store can take everything")

    def _open(self, place: Path) -> PatternStorage:
        return opened("filesystem", place / "store", self._level)


def _put(identity: str, size: int = 60) -> Record:
    return record(identity, 0, FIRST_DAY, size)


def _stored(put: Record) -> Record:
    meta = {
        "instant": instant(put["timestamp"]),
        "revision": 1,
        "recorded_at": NOW // 1000,
        "operation": "capture",
    }
    return {**put, "_meta": meta}


PROMISES = (
    Promise(
        name="spool-states",
        sentence="what a power cut may leave of captures that wait and of saves that take them in: what "
        "waited for long is in the store, what is torn is set aside, nothing is in the way",
        cases=lambda: 4 * len(_PROGRAMS),
        run=run,
        fast=8,
        chunk=156,
    ),
)

"""Clocks that are set back and ahead by hours and years, while records are saved, kept and expire."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

from forks import child
from moai_patterns import PatternStorage, Policy, RetentionError
from moai_patterns.query import Query
from torture.promise import BrokenPromiseError, Promise, Tally, must
from torture.timeline import judge, judge_files, timeless
from torture.world_time import DAY, LAST, SECOND

_BACKENDS = ("filesystem", "sqlite", "memory")
_HOUR = 3600 * SECOND
_YEARS = 3652 * DAY
_BEGIN = int(datetime(2026, 2, 27, 22, tzinfo=UTC).timestamp()) * SECOND
_STEPS = (_HOUR, -_HOUR, _YEARS, -_YEARS, DAY, -DAY, -5 * SECOND, 90 * DAY)
_CORRECTION = 10 * SECOND  # set back by less, new ids still sort behind the older ones
_ACTS = 30
_VERBS = ("step", "capture", "capture", "line", "line", "batch", "compact", "maintain", "keep")


class SteppingClock:
    """A clock that goes on by a little with each look at it, and now and then is set to another time."""

    def __init__(self, choose: random.Random) -> None:
        self._choose = choose
        self._moment = _BEGIN
        self.steps = 0

    def __call__(self) -> int:
        """Return nanoseconds since 1970-01-01 UTC."""
        self._moment += self._choose.randrange(3000)
        return self._moment * 1000

    def step(self) -> None:
        """Set it ahead or back, never so far that there are no identifiers for it."""
        self._moment = max(self._moment + self._choose.choice(_STEPS), _YEARS)
        self.steps += 1

    def _seconds(self) -> float:
        return self() / 1e9

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Let this be the clock of the whole process, not only of one storage."""
        with (
            mock.patch.object(time, "time_ns", self),
            mock.patch.object(time, "time", self._seconds),
        ):
            yield


def run_steps(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case is one process or, where a store takes several, two, each under a clock of its own."""
    for number in numbers:
        path = place / str(number)
        path.mkdir()
        try:
            _step(number, path, tally)
        except BrokenPromiseError as error:
            raise BrokenPromiseError(f"steps {number}: {error}") from error


def _step(number: int, place: Path, tally: Tally) -> None:
    backend = _BACKENDS[number % len(_BACKENDS)]
    store = place / "store"
    writers = range(1 if backend == "memory" else 2)
    told = [place / f"told-{writer}" for writer in writers]
    pids = [child(lambda writer=writer: _write(number, writer, backend, place)) for writer in writers]  # type: ignore[misc]
    failed = [pid for pid in pids if os.waitpid(pid, 0)[1] != 0]
    must(not failed, "a writer failed; what it printed stands above")
    stories = [json.loads(path.read_text()) for path in told]
    tally.fired(sum(story["steps"] for story in stories))
    tally.add("records stored", sum(len(story["saved"]) for story in stories))
    if backend != "memory":
        with timeless(backend, store, lambda: LAST * 1000) as storage:
            _judge_stories(storage, stories)
            storage.compress_old_files()
            _judge_stories(storage, stories)
            if backend == "filesystem":
                judge_files(store, _moments(storage))


def _write(number: int, writer: int, backend: str, place: Path) -> None:
    choose = random.Random(f"{number} {writer}")
    clock = SteppingClock(choose)
    saved: list[tuple[str, int]] = []
    with clock.everywhere(), timeless(backend, place / "store", clock) as storage:
        with storage.session() as session:
            for _ in range(_ACTS):
                _act(choose, storage, session, clock, saved)
        story = {"saved": saved, "steps": clock.steps}
        if backend == "memory":
            _judge_stories(storage, [story])
    (place / f"told-{writer}").write_text(json.dumps(story))


def _act(
    choose: random.Random, storage: PatternStorage, session: Any, clock: SteppingClock, saved: list[Any]
) -> None:
    data = {"event": "Stop"}
    match choose.choice(_VERBS):
        case "step":
            clock.step()
        case "capture":
            saved.append((storage.capture("hook_event", data), clock._moment))
        case "line":
            saved.append((session.capture("hook_event", data), clock._moment))
        case "batch":
            stamps = [clock() // 1000 for _ in range(3)]
            batch = [_record(f"{choose.getrandbits(64):016x}", moment) for moment in stamps]
            storage.save_batch(batch)
            saved += [(record["pattern_id"], -1) for record in batch]
        case "compact":
            storage.compress_old_files()
        case "maintain":
            storage.maintain()
        case "keep":
            # Whatever the clock says, nothing is as old as the longest period.
            must(storage.delete_old_patterns(36_525) == 0, "a record went inside its period")


def _record(identity: str, moment: int) -> dict[str, Any]:
    stamp = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)).isoformat()
    return {
        "pattern_id": identity,
        "pattern_type": "hook_event",
        "timestamp": stamp,
        "data": {"event": "Stop"},
    }


def _moments(storage: PatternStorage) -> dict[str, int]:
    """Return the instants by id, as the timestamps say them, in the order of arrival."""
    found = storage.iter(order="arrival")
    return {one["pattern_id"]: _microseconds(datetime.fromisoformat(one["timestamp"])) for one in found}


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _judge_stories(storage: PatternStorage, stories: Sequence[dict[str, Any]]) -> None:
    found = list(storage.backend.scan(Query(order="arrival", limit=None)))
    numbers = [one["_meta"]["seq"] for one in found]
    must(numbers == sorted(set(numbers)), "arrival numbers are not ascending")
    arrived = [one["pattern_id"] for one in found]
    for story in stories:
        ids = [identity for identity, _ in story["saved"]]
        own = set(ids)
        must(len(own) == len(ids), "an id came twice")
        must([one for one in arrived if one in own] == ids, "the order of arrival is not that of the saves")
        made = [(identity, moment) for identity, moment in story["saved"] if moment >= 0]
        for (one, _), (other, after) in pairwise(made):
            # What is in an id may be ahead of the clock that made it, by what that was set back before.
            is_other_clock = after <= _millisecond(one) + 1000 - _CORRECTION
            must(one < other or is_other_clock, f"{other} sorts before {one}")
    must(len(arrived) == sum(len(story["saved"]) for story in stories), "there are more or fewer records")
    judge(storage, _moments(storage), seed=len(arrived))
    must(storage.check(read_data=True) == [], "check finds fault")


def _millisecond(identity: str) -> int:
    """Return the beginning of the millisecond in an id (RFC 9562, section 5.7), in microseconds."""
    return int(identity[:8] + identity[9:13], 16) * 1000


# Ends of months, leap days, and nights in which clocks change somewhere.
_NOWS = (
    *("2024-02-29T00:00:00", "2024-02-29T23:59:59", "2024-03-01T00:00:00", "2025-03-01T12:00:00"),
    *("2025-03-30T01:30:00", "2025-10-26T00:30:00", "2025-11-02T06:00:00", "2025-12-31T23:59:59"),
    *("2026-01-01T00:00:00", "2000-02-29T12:00:00", "2100-03-01T00:00:00", "2025-05-31T23:00:00"),
)
_ZONES = ("UTC0", "NPT-5:45", "<-1130>11:30", "NZST-12NZDT,M9.5.0,M4.1.0/3", "EST5EDT,M3.2.0,M11.1.0")
_WRONG = (0, 0, _HOUR, -_HOUR, DAY, -DAY, 8 * DAY, 100 * DAY, _YEARS, -_YEARS)


def run_retention(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case is a store of random records, a policy, and a clock that may be wrong."""
    before = os.environ.get("TZ")
    try:
        for number in numbers:
            os.environ["TZ"] = _ZONES[number % len(_ZONES)]
            time.tzset()
            try:
                _age(number, place / str(number), tally)
            except BrokenPromiseError as error:
                raise BrokenPromiseError(f"retention {number}: {error}") from error
    finally:
        os.environ.pop("TZ")
        os.environ.update({} if before is None else {"TZ": before})
        time.tzset()


def _age(number: int, path: Path, tally: Tally) -> None:
    choose = random.Random(number)
    true = int(datetime.fromisoformat(choose.choice(_NOWS) + "+00:00").timestamp()) * SECOND
    days = choose.choice((0, 1, 2, 7, 28, 30, 31, 90, 365, 366, 400_000))
    wrong = choose.choice(_WRONG)
    ages = [_random_age(choose, days) for _ in range(choose.randrange(2, 40))]
    clock = [true * 1000]
    backend = _BACKENDS[number // len(_ZONES) % len(_BACKENDS)]
    with timeless(backend, path, lambda: clock[0], retention_days=days) as storage:
        storage.save_many(_record(f"r{at}", true - age) for at, age in enumerate(ages))
        if choose.random() < 0.5:
            storage.compress_old_files()
        if choose.random() < 0.5:
            _expire_by_itself(choose, storage, clock, wrong, days)
        else:
            clock[0] = (true + wrong) * 1000
            _expire_when_asked(storage, true, wrong, days)
        must(storage.check(read_data=True) == [], "check finds fault")
    tally.fired(wrong != 0)
    tally.add("records aged", len(ages))


def _random_age(choose: random.Random, days: int) -> int:
    """Return microseconds before the true time, often beside the edge of the period."""
    edge = min(days, 700) * DAY
    return max(
        0, choose.choice((0, 1, edge, edge + DAY, choose.randrange(800 * DAY))) + choose.randrange(-2, 3)
    )


def _reference_cutoff(now: int, days: int) -> int:
    """The UTC midnight before which records expire, by `datetime`; before year 1 nothing does."""
    today = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now)).date()
    if today.toordinal() <= days:
        return -(2**62)
    midnight = datetime.combine(today - timedelta(days=days), datetime.min.time(), UTC)
    return _microseconds(midnight)


def _expire_when_asked(storage: PatternStorage, true: int, wrong: int, days: int) -> None:
    """Exactly what lies before the cutoff goes; nothing while the clock is behind the newest record."""
    now = true + wrong
    before = _moments(storage)
    doomed = _doomed(before, now, days)
    behind = bool(doomed) and max(before.values()) > now
    removed, refused = _tried(lambda: storage.delete_old_patterns(days))
    must(refused == behind, f"refused: {refused}, the clock is behind: {behind}")
    _must_have_gone(storage, before, set() if behind else doomed, true if wrong <= 0 else None, days)
    if not behind:
        must(removed == len(doomed), f"{removed} were said to go, not {len(doomed)}")
        must(storage.plan(policy=Policy(None, days)).expired == {}, "something is left to expire")


def _expire_by_itself(
    choose: random.Random, storage: PatternStorage, clock: list[int], wrong: int, days: int
) -> None:
    """A run under the true clock, then some under another, at last perhaps under the true one again."""
    true = clock[0] // 1000
    _tried(storage.maintain)
    must(not _doomed(_moments(storage), true, days), "something stayed")
    belief = _Belief(true)
    later = choose.choice((0, 1, 12)) * _HOUR, choose.choice((0, DAY - 1, DAY, 2 * DAY, 9 * DAY))
    for passed, off in ((0, wrong), (later[0], wrong), (sum(later), choose.choice((wrong, wrong, 0)))):
        now = true + passed + off
        clock[0] = now * 1000
        if choose.random() < 0.2:
            identity = f"{choose.getrandbits(64):016x}"
            storage.save_many(_record(f"{identity}-{age}", now - age) for age in range(0, 3 * DAY, DAY))
        before = _moments(storage)
        doomed = _doomed(before, now, days)
        goes = belief.lets_expire(before, doomed, now)
        _, refused = _tried(storage.maintain)
        must(refused == (not goes), f"refused: {refused}, to be refused: {not goes}")
        _must_have_gone(storage, before, doomed if goes else set(), true + passed if off <= 0 else None, days)


def _doomed(moments: dict[str, int], now: int, days: int) -> set[str]:
    limit = _reference_cutoff(now, days)
    return {identity for identity, moment in moments.items() if moment < limit}


def _must_have_gone(
    storage: PatternStorage, before: dict[str, int], gone: set[str], true: int | None, days: int
) -> None:
    """Exactly these, and with a clock that is not ahead, for which the true time is given, none too early."""
    left = _moments(storage).keys()
    must(left == before.keys() - gone, f"{sorted(before.keys() - left)} went, not {sorted(gone)}")
    if true is not None:
        must(before.keys() - left <= _doomed(before, true, days), "a record went inside its period")


class _Belief:
    """What a run that nobody asked for may let expire, as the README says it.

    Nothing while the clock is behind the newest record. After seven days without a run and a record nothing
    until the clock has gone on for a day, and not most of what there is.

    Parameters:
        run: when the first run was.
    """

    def __init__(self, run: int) -> None:
        self._run = run
        self._noticed: int | None = None

    def lets_expire(self, moments: dict[str, int], doomed: set[str], now: int) -> bool:
        """Tell whether what is doomed goes in a run now, and remember the run."""
        if doomed and max(moments.values()) > now:
            return False
        silence = self._silence(moments, now)
        if silence is not None:
            if self._noticed is None or not self._run < self._noticed <= now:
                self._noticed = now
            going_on = now - min(self._noticed, silence) >= DAY
            if doomed and (not going_on or 2 * len(doomed) > len(moments)):
                return False
            if not going_on:
                return True
        self._run, self._noticed = now, None
        return True

    def _silence(self, moments: dict[str, int], now: int) -> int | None:
        """The end of the day on which the last silence of seven days or more ended; None without one."""
        if now - self._run < 7 * DAY:
            return None
        first, today = self._run // DAY, now // DAY
        quiet, end = 0, None
        held = {moment // DAY for moment in moments.values()}
        for day in range(first + 1, today + 1):
            quiet += 1
            if day in held or day == today:
                end = (day + 1) * DAY if quiet >= 7 else end
                quiet = 0
        return end


def _tried(expire: Callable[[], Any]) -> tuple[Any, bool]:
    try:
        return expire(), False
    except RetentionError:
        return None, True


PROMISES = (
    Promise(
        name="clock-steps",
        sentence="clocks that step by seconds to years amid work: ids unique, arrival order and days exact",
        cases=lambda: 3000,
        run=run_steps,
        fast=60,
        chunk=150,
    ),
    Promise(
        name="retention",
        sentence="month ends, leap days, changed clocks: while the clock is right or behind nothing inside "
        "its period goes, behind the newest record nothing at all; when it leaps ahead over seven days "
        "without a run or a record `maintain` removes nothing for a day, and then no more than half of all",
        cases=lambda: 20_000,
        run=run_retention,
        fast=450,
        chunk=1000,
    ),
)

"""What happens to records as they age: a policy gives a plan, a plan can be looked at and applied.

Works on any backend. Nothing is expired unless a policy says so, and nothing beyond the plan.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from moai_patterns.backends.base import BackendBase, Removal
from moai_patterns.backup import BATCH, copy, verify_copy
from moai_patterns.errors import DamageError, RetentionError
from moai_patterns.instant import DAY, isoformat
from moai_patterns.query import Query
from moai_patterns.values import shortened

_STRETCH = 31  # days
_SILENCE = 7  # days without any record, after which it may be the clock that went on and not the work


@dataclass(frozen=True, slots=True)
class Policy:
    """How long records stay as they came, and how long they stay at all.

    Parameters:
        compress_after_days: closed UTC days older than this many days are compacted; None for never.
        retain_days: records older than this many days expire; None keeps them for ever.

    Raises `ValueError` for a number of days that is negative or not whole.
    """

    compress_after_days: int | None = 30
    retain_days: int | None = None

    def __post_init__(self) -> None:
        for name in ("compress_after_days", "retain_days"):
            days = getattr(self, name)
            if days is not None and (isinstance(days, bool) or not isinstance(days, int) or days < 0):
                raise ValueError(
                    f"{name} is a whole number of days from 0 on, or None, not {shortened(days)}"
                )


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done: the UTC days to compact and what expires, as it stood at `now`.

    Days are counted from 1970-01-01; `cutoff` is the UTC midnight, in microseconds, before which
    everything expires, and `expired` holds the number of records per day and kind before it.
    """

    now: int
    compact: tuple[int, ...] = ()
    cutoff: int | None = None
    expired: dict[int, dict[str, int]] = field(default_factory=dict)

    @property
    def expired_count(self) -> int:
        """How many records expire."""
        return sum(sum(kinds.values()) for kinds in self.expired.values())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done: heads brought into their dense form, and records removed."""

    compacted: int = 0
    expired: int = 0


def cutoff(now: int, days: int) -> int:
    """Return the UTC midnight, in microseconds, that lies `days` days before the day of `now`.

    >>> isoformat(cutoff(1764378000250000, 90))
    '2025-08-31T00:00:00.000000Z'
    """
    return (now // DAY - days) * DAY


def now() -> int:
    """Return the time by the clock of this machine, in UTC microseconds."""
    return time.time_ns() // 1000


def plan(
    backend: BackendBase, policy: Policy, moment: int | None = None, *, clock: Callable[[], int] = now
) -> Plan:
    """Return what the policy asks for at `moment` (UTC microseconds, default the clock), without doing it.

    Raises `RetentionError` when something would expire although the clock stands before the newest
    record: then the clock or the record is wrong, and ages mean nothing.
    """
    stands = clock() if moment is None else moment
    limit = None if policy.retain_days is None else cutoff(stands, policy.retain_days)
    expired: dict[int, dict[str, int]] = {}
    if limit is not None:
        expired = _before(backend, limit)
        if expired:
            _refuse_clock_behind(backend, clock)
    days: list[int] = []
    if policy.compress_after_days is not None:
        closed = cutoff(stands, policy.compress_after_days)
        days = sorted(day for day in backend.uncompacted_days() if day * DAY < closed)
    return Plan(stands, tuple(day for day in days if day not in expired), limit, expired)


@dataclass(frozen=True, slots=True)
class Silence:
    """A week or more without a record and without a run; the clock may have been set ahead in it.

    Days are counted from 1970-01-01. The longest lasted from `since` for so many `days`; with `over` comes
    the first record behind all of them, if not today.
    """

    since: int
    days: int
    over: int

    def is_past(self, noticed: int, stands: int) -> bool:
        """Tell whether the clock has gone on for a day since: since a run noticed it, or since `over`."""
        # That record may be of the last moment of its day.
        return min(noticed, (self.over + 1) * DAY) <= stands - DAY


def silence(backend: BackendBase, last: int, stands: int) -> Silence | None:
    """Return the silence between the run before and the time by the clock (UTC microseconds), if there is."""
    if last > stands - _SILENCE * DAY:
        return None
    first, final = last // DAY, stands // DAY
    known = sorted({first, *(day for day in backend.days() if first < day < final), final})
    found = [Silence(day, after - day, after) for day, after in pairwise(known) if after - day >= _SILENCE]
    return replace(max(found, key=lambda one: one.days), over=found[-1].over) if found else None


def refuse_leap(backend: BackendBase, todo: Plan, found: Silence, noticed: int) -> None:
    """Refuse, for a run that nobody asked for, what a clock that was set ahead would let expire.

    Raises `RetentionError` while the silence is not past, and also afterwards when more than half of all
    records would expire. `noticed` is when a run came upon it first (UTC microseconds).
    """
    total = sum(sum(kinds.values()) for kinds in backend.days().values())
    most = 2 * todo.expired_count > total
    if not todo.expired or (found.is_past(noticed, todo.now) and not most):
        return
    wait = "" if most else "let it run again a day later, "
    raise RetentionError(
        f"it is {isoformat(todo.now)} by the clock, {todo.expired_count} of {total} records would "
        f"expire, and none came in the {found.days} days from {isoformat(found.since * DAY)[:10]} on: "
        "nothing expires by itself now, for the clock may have been set ahead; if it is right, "
        f"{wait}run `moai-patterns retain` or call delete_old_patterns()"
    )


def apply(
    backend: BackendBase,
    todo: Plan,
    *,
    archive: BackendBase | None = None,
    on_day: Callable[[int], None] = lambda day: None,
    clock: Callable[[], int] = now,
    stopped: Callable[[], bool] | None = None,
) -> Outcome:
    """Do what the plan says: expire first, then compact day by day.

    What expires is copied to `archive`, if one is given, compared there with all its revisions and
    brought to the medium before it is removed. `on_day` is called with each compacted day; `stopped`,
    if given, is asked before each. Interrupted work can be planned and applied again.
    Raises `RetentionError` when the archive is the store itself, when more would go than the plan
    listed, or nothing is listed any more; `DamageError`, at the end, for a day that stays as it is
    because something in it cannot be read.
    """
    if archive is not None and archive.is_same_store(backend):
        raise RetentionError(
            "the archive is the store itself, so nothing would be left of what expires; name another store"
        )
    expired = 0
    if todo.cutoff is not None and todo.expired:
        expired = _expire(backend, todo, archive, clock)
    compacted = 0
    damaged: DamageError | None = None
    # Each call looks at the whole tree once, so one for each of many days would cost their square; a
    # stretch bounds what an interruption repeats.
    step = _STRETCH if stopped is None else 1
    for start in range(0, len(todo.compact), step):
        if stopped is not None and stopped():
            break
        days = todo.compact[start : start + step]
        try:
            compacted += backend.compact(days)
        except DamageError as error:  # the other days are none the worse for it
            damaged = damaged or error
        for day in days:
            on_day(day)
    if damaged is not None:
        raise damaged
    return Outcome(compacted, expired)


def _before(backend: BackendBase, limit: int) -> dict[int, dict[str, int]]:
    return {day: kinds for day, kinds in sorted(backend.days().items()) if day * DAY < limit}


def _expire(backend: BackendBase, todo: Plan, archive: BackendBase | None, clock: Callable[[], int]) -> int:
    found = _before(backend, todo.cutoff or 0)
    if not found or any(_exceeds(kinds, todo.expired.get(day, {})) for day, kinds in found.items()):
        raise _beyond(todo, found, 0)
    _refuse_clock_behind(backend, clock)
    removed = 0
    if archive is None:
        removed = backend.drop_days({day: sum(kinds.values()) for day, kinds in found.items()})
    for day, kinds in found.items():
        doomed, counts = _heads_of(backend, day)
        if _exceeds(counts, kinds):
            raise _beyond(todo, {**found, day: counts}, removed)
        for start in range(0, len(doomed), BATCH):
            removed += _remove(backend, doomed[start : start + BATCH], archive)
    backend.reclaim()
    return removed


def _heads_of(backend: BackendBase, day: int) -> tuple[list[Removal], Counter[str]]:
    doomed: list[Removal] = []
    counts: Counter[str] = Counter()
    for record in backend.scan(Query(start_date=day * DAY, end_date=(day + 1) * DAY - 1, limit=None)):
        doomed.append(Removal(record["pattern_id"], record["_meta"]["revision"]))
        counts[record["pattern_type"]] += 1
    return doomed, counts


def _remove(backend: BackendBase, doomed: list[Removal], archive: BackendBase | None) -> int:
    """Remove these heads where they still are what they were; return how many ids are gone."""
    ids = [removal.pattern_id for removal in doomed]
    question = Query(ids=ids, limit=None)
    if archive is not None:
        copy(backend, archive, question)
        verify_copy(backend, archive, question)
        archive.flush(ids)
    # A save that comes here makes another head, which stays: its removal then does nothing.
    removed = backend.remove(doomed)
    return len(doomed) - backend.count(question) if removed is None else removed


def _exceeds(counts: Mapping[str, int], planned: Mapping[str, int]) -> bool:
    return any(number > planned.get(kind, 0) for kind, number in counts.items())


def _beyond(todo: Plan, found: Mapping[int, Mapping[str, int]], removed: int) -> RetentionError:
    listed = sum(sum(kinds.values()) for kinds in found.values())
    sentence = (
        f"the plan of {isoformat(todo.now)} expires {todo.expired_count} records before "
        f"{isoformat(todo.cutoff or 0)}, but {listed} are listed there now; plan again"
    )
    return RetentionError(f"{sentence} ({removed} of them are removed)" if removed else sentence)


def _refuse_clock_behind(backend: BackendBase, clock: Callable[[], int]) -> None:
    newest = next(backend.scan(Query(limit=1)), None)
    stands = clock()  # after the look: what is captured meanwhile is no sign of a wrong clock
    if newest is not None and newest["_meta"]["instant"] > stands:
        raise RetentionError(
            f"it is {isoformat(stands)} by the clock, but record {newest['pattern_id']!r} is of "
            f"{newest['timestamp']}: nothing expires while the clock is behind the newest record; set "
            "the clock, or, if the record is wrong, delete it or save it with its right timestamp"
        )

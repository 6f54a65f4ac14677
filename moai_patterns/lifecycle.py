"""What happens to records as they age: a policy gives a plan, a plan can be looked at and applied.

Works on any backend. Nothing is expired unless a policy says so, and nothing beyond the plan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from moai_patterns.backends.base import BackendBase
from moai_patterns.backup import copy, verify_copy
from moai_patterns.errors import RetentionError
from moai_patterns.instant import DAY, isoformat
from moai_patterns.query import Query

_STRETCH = 31  # days


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
                raise ValueError(f"{name} is a whole number of days from 0 on, or None, not {days!r}")


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


def plan(backend: BackendBase, policy: Policy, now: int) -> Plan:
    """Return what the policy asks for at `now` (UTC microseconds), without doing it.

    Raises `RetentionError` when something would expire although the clock stands before the newest
    record: then the clock is wrong, and ages mean nothing.
    """
    limit = None if policy.retain_days is None else cutoff(now, policy.retain_days)
    expired: dict[int, dict[str, int]] = {}
    if limit is not None:
        expired = {day: kinds for day, kinds in sorted(backend.days().items()) if day * DAY < limit}
        if expired:
            _refuse_clock_behind(backend, now)
    days: list[int] = []
    if policy.compress_after_days is not None:
        closed = cutoff(now, policy.compress_after_days)
        days = sorted(day for day in backend.uncompacted_days() if day * DAY < closed)
    return Plan(now, tuple(day for day in days if day not in expired), limit, expired)


def apply(
    backend: BackendBase,
    todo: Plan,
    *,
    archive: BackendBase | None = None,
    on_day: Callable[[int], None] = lambda day: None,
) -> Outcome:
    """Do what the plan says: expire first, then compact day by day.

    What expires is copied to `archive`, if one is given, and compared there before it is removed.
    `on_day` is called with each compacted day. Interrupted work can be planned and applied again.
    Raises `RetentionError` when more would go than the plan listed, or nothing is listed any more.
    """
    expired = 0
    if todo.cutoff is not None and todo.expired:
        expired = _expire(backend, todo, todo.cutoff, archive)
    compacted = 0
    # Each call looks at the whole tree once, so one for each of many days would cost their square; a
    # stretch bounds what an interruption repeats.
    for start in range(0, len(todo.compact), _STRETCH):
        days = todo.compact[start : start + _STRETCH]
        compacted += backend.compact(days)
        for day in days:
            on_day(day)
    return Outcome(compacted, expired)


def _expire(backend: BackendBase, todo: Plan, limit: int, archive: BackendBase | None) -> int:
    found = {day: sum(kinds.values()) for day, kinds in backend.days().items() if day * DAY < limit}
    planned = {day: sum(kinds.values()) for day, kinds in todo.expired.items()}
    if not found or any(count > planned.get(day, 0) for day, count in found.items()):
        raise RetentionError(
            f"the plan of {isoformat(todo.now)} expires {sum(planned.values())} records before "
            f"{isoformat(limit)}, but {sum(found.values())} are listed there now; plan again"
        )
    _refuse_clock_behind(backend, todo.now)
    doomed = Query(end_date=limit - 1, limit=None)
    if archive is not None:
        copy(backend, archive, doomed)
        verify_copy(backend, archive, doomed)
    removed = backend.delete(doomed)
    backend.reclaim()
    return removed


def _refuse_clock_behind(backend: BackendBase, now: int) -> None:
    newest = next(backend.scan(Query(limit=1)), None)
    if newest is not None and newest["_meta"]["instant"] > now:
        raise RetentionError(
            f"it is {isoformat(now)} by the clock, but {newest['pattern_id']!r} is of "
            f"{newest['timestamp']}: nothing expires while the clock is behind the newest record"
        )

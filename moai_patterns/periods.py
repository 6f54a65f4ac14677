"""Periods of time that records are counted in: days, hours, months of some zone."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from math import gcd
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from moai_patterns.errors import QueryError
from moai_patterns.instant import DAY, FIRST, LAST, SECOND
from moai_patterns.values import shortened

_MOST = 10_000  # periods that are walked through
_FORM = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d|w|mo|y)")
_FIXED = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
_SAME = (*_FIXED, "d", "w")  # always of one length, but for what clocks do
_SHORTEST = {**_FIXED, "d": DAY, "w": 7 * DAY, "mo": 28 * DAY, "y": 365 * DAY}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY = date(1970, 1, 5).toordinal()
_THURSDAY = date(1970, 1, 1).toordinal()
# A day before the last, so that its midnights can be told in every zone.
_EARLIEST, _LATEST = date(1, 1, 2).toordinal(), date(9999, 12, 30).toordinal()


class Periods:
    """A division of time, every so often, by the clocks of a zone.

    Parameters:
        every: a number and a unit: `s`, `m`, `h`, `d`, `w`, `mo` or `y`. Seconds, minutes and hours are
            counted from each local midnight, so the last of a day may be shorter; days from 1970-01-01; weeks
            begin on Monday; months and years with the calendar.
        tz: the name of a zone in the IANA database, like `Europe/Berlin`.

    Raises `QueryError` for another form, and for an unknown zone.

    >>> Periods("1d", "UTC").begin(1764409200000000)
    1764374400000000
    """

    def __init__(self, every: str, tz: str) -> None:
        found = _FORM.fullmatch(every) if isinstance(every, str) else None
        if found is None:
            raise QueryError(
                f"every is a number and one of s m h d w mo y, like 1d or 15m, not {shortened(every)}"
            )
        self.every, self.tz = every, tz
        self.zone = _zone(tz)
        self._number, self._unit = int(found[1]), found[2]
        if self._unit in _FIXED and self._number * _FIXED[self._unit] > DAY:
            raise QueryError(f"every={every!r} is longer than a day; count in days, like 1d")
        self._begins: list[int] = []
        self._ends: dict[int, int] = {}

    def begin(self, moment: int) -> int:
        """Return when the period of an instant begins, both in UTC microseconds."""
        at = bisect_right(self._begins, moment)
        if at and moment < self._ends[self._begins[at - 1]]:
            return self._begins[at - 1]
        begin, end = self._around(moment)
        if begin not in self._ends:
            self._begins.insert(bisect_right(self._begins, begin), begin)
        self._ends[begin] = end
        return begin

    def clock(self, moment: int) -> datetime:
        """Return an instant by the clocks of the zone; where these leave the years 1 to 9999, in UTC."""
        near = _EPOCH + timedelta(microseconds=max(FIRST, min(LAST, moment)))
        try:
            return near.astimezone(self.zone)
        except OverflowError:
            return near

    def grid(self, low: int, high: int) -> tuple[int, int]:
        """Return an origin and a step so that periods between two instants begin at whole steps from it.

        Who knows no zones can then count by steps. Where there are more than some thousand periods, a step is
        one microsecond.
        """
        origin = self.begin(low)
        if self.tz == "UTC" and self._unit in _SAME:
            return origin, gcd(self._number * _SHORTEST[self._unit], DAY if self._unit in _FIXED else 0)
        if (high - low) // (self._number * _SHORTEST[self._unit]) > _MOST:
            return origin, 1
        step, end = 0, self._ends[origin]
        while end <= high and step != 1:
            step = gcd(step, end - origin)
            end = self._ends[self.begin(end)]
        return origin, step or 1

    def _around(self, moment: int) -> tuple[int, int]:
        day = self._day(moment)
        if self._unit in _FIXED:
            midnight, end = self._midnight(day), self._midnight(day + 1)
            step = self._number * _FIXED[self._unit]
            begin = midnight + (moment - midnight) // step * step
            return begin, min(begin + step, end)
        first, last = _CALENDAR[self._unit](day, self._number)
        return self._midnight(first), self._midnight(last)

    def _day(self, moment: int) -> int:
        """Return the local day of an instant as an ordinal: it goes from its midnight to the next."""
        near = _EPOCH + timedelta(microseconds=max(FIRST + 2 * DAY, min(LAST - 2 * DAY, moment)))
        day = near.astimezone(self.zone).toordinal()
        while moment < self._midnight(day):
            day -= 1
        while moment >= self._midnight(day + 1):
            day += 1
        return day

    def _midnight(self, day: int) -> int:
        """Return when a local day begins; where clocks leap over its midnight, with the leap."""
        if not _EARLIEST <= day <= _LATEST:
            return (day - _THURSDAY) * DAY
        local = datetime.fromordinal(day).replace(tzinfo=self.zone)
        return (local - _EPOCH) // timedelta(microseconds=1)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        sentence = (
            f"{shortened(name)} is no time zone; name one of the IANA database, like Europe/Berlin or UTC"
        )
        raise QueryError(sentence) from None


def _days(day: int, number: int) -> tuple[int, int]:
    first = day - (day - _THURSDAY) % number
    return first, first + number


def _weeks(day: int, number: int) -> tuple[int, int]:
    first = day - (day - _MONDAY) % (7 * number)
    return first, first + 7 * number


def _months(day: int, number: int) -> tuple[int, int]:
    found = date.fromordinal(min(max(day, 1), date.max.toordinal()))
    index = (found.year * 12 + found.month - 1) // number * number
    return _month(index), _month(index + number)


def _month(index: int) -> int:
    year, month = divmod(index, 12)
    if not 1 <= year <= 9999:
        return 1 if year < 1 else date.max.toordinal() + 1
    return date(year, month + 1, 1).toordinal()


_CALENDAR: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "d": _days,
    "w": _weeks,
    "mo": _months,
    "y": lambda day, number: _months(day, 12 * number),
}

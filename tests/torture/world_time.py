"""What timestamps mean and when clocks change, by `datetime` and `zoneinfo`, without asking the product."""

from __future__ import annotations

import importlib.resources
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

SECOND = 1_000_000
DAY = 86_400 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ORDINAL = date(1970, 1, 1).toordinal()
FIRST = (date(1, 1, 1).toordinal() - _ORDINAL) * DAY
LAST = (date(9999, 12, 31).toordinal() - _ORDINAL + 1) * DAY - 1
# No zone has had two changes within six days since 1970, so none can hide between two looks.
_STEP = 5 * 86_400
_FROM = int(datetime(1970, 1, 1, tzinfo=UTC).timestamp())
_UNTIL = int(datetime(2101, 1, 1, tzinfo=UTC).timestamp())


class Written(NamedTuple):
    """A timestamp in its parts: the clock has two or three numbers or none, the offset may be empty."""

    day: tuple[int, int, int]
    clock: tuple[int, ...] = ()
    fraction: str = ""
    offset: str = ""

    @property
    def text(self) -> str:
        """The text of it."""
        clock = ":".join(f"{part:02d}" for part in self.clock)
        fraction = f".{self.fraction}" if self.fraction else ""
        return "%04d-%02d-%02d" % self.day + (f"T{clock}{fraction}" if clock else "") + self.offset

    def instant(self, zone: zoneinfo.ZoneInfo | None = None) -> int | None:
        """The UTC microseconds that it means, or None for a time that does not exist."""
        hour, minute, second = (*self.clock, 0, 0, 0)[:3]
        east = _east(self.offset)
        try:
            day = date(*self.day)
        except ValueError:
            return None
        if hour > 23 or minute > 59 or second > 59 or east is None:
            return None
        if not self.offset and zone is not None:
            there = datetime(*self.day, hour, minute, second, tzinfo=zone).utcoffset()
            east = 0 if there is None else there // timedelta(seconds=1)
        seconds = (day.toordinal() - _ORDINAL) * 86_400 + hour * 3600 + minute * 60 + second - east
        moment = seconds * SECOND + int(self.fraction[:6].ljust(6, "0"))
        return moment if FIRST <= moment <= LAST else None


def _east(offset: str) -> int | None:
    """Seconds east of UTC; None where there is no such offset."""
    if offset in ("", "Z"):
        return 0
    hours, minutes = int(offset[1:3]), int(offset[4:6])
    if hours > 23 or minutes > 59:
        return None
    return (hours * 3600 + minutes * 60) * (-1 if offset[0] == "-" else 1)


class Change(NamedTuple):
    """A second at which the clocks of a zone change, and how far east of UTC they were and are."""

    second: int
    before: int
    after: int

    def first_of(self, day: date) -> int:
        """The first microsecond, near this change, whose local date is this day or a later one."""
        midnight = (day.toordinal() - _ORDINAL) * 86_400
        old = midnight - self.before
        return SECOND * (old if old < self.second else max(self.second, midnight - self.after))

    def last_of(self, day: date) -> int:
        """The last microsecond, near this change, whose local date is this day or an earlier one."""
        midnight = (day.toordinal() + 1 - _ORDINAL) * 86_400
        new = midnight - self.after
        return SECOND * (new if new > self.second else min(self.second, midnight - self.before)) - 1


def zone_file(name: str) -> Path:
    """Return the file that describes a zone: that of the system, or of the package tzdata."""
    for directory in zoneinfo.TZPATH:
        path = Path(directory) / name
        if path.is_file():
            return path
    return Path(str(importlib.resources.files("tzdata"))) / "zoneinfo" / name


def changes(zone: zoneinfo.ZoneInfo) -> Iterator[Change]:
    """Yield every change of the clocks of a zone in the years 1970 to 2100."""
    second, east = _FROM, _east_at(zone, _FROM)
    while second < _UNTIL:
        later = second + _STEP
        if _east_at(zone, later) == east:
            second = later
            continue
        while later - second > 1:
            middle = (second + later) // 2
            second, later = (middle, later) if _east_at(zone, middle) == east else (second, middle)
        yield Change(later, east, _east_at(zone, later))
        second, east = later, _east_at(zone, later)


def _east_at(zone: zoneinfo.ZoneInfo, second: int) -> int:
    there = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    return 0 if there is None else there // timedelta(seconds=1)


def local(second: int) -> datetime:
    """Return the date and time, without a zone, that a clock shows so many seconds after 1970-01-01T00:00."""
    return (_EPOCH + timedelta(seconds=second)).replace(tzinfo=None)


def day_path(moment: int) -> str:
    """Return the directory of the UTC day of an instant."""
    day = date.fromordinal(moment // DAY + _ORDINAL)
    return f"{day.year:04d}/{day.month:02d}/{day.day:02d}"

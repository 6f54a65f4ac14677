"""Timestamps in every zone and of every year: the instant, the UTC day, the order, the ranges."""

from __future__ import annotations

import json
import os
import time
import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import product
from pathlib import Path

from forks import child
from moai_patterns import Query, instant
from torture.promise import LINUX, BrokenPromiseError, Need, Promise, Tally, must
from torture.timeline import judge_everywhere
from torture.world_time import Change, Written, changes, local, zone_file

_STORED = 90  # timestamps of a zone that go into stores; of all of them the instant is compared


@cache
def _zones() -> list[str]:
    return sorted(zoneinfo.available_timezones())


TIME_ZONES = Need("time zone data (Debian: tzdata, PyPI: tzdata)", lambda: len(_zones()) > 300)


def run_zones(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case is a zone, in a process that lives there."""
    for number in numbers:
        path = place / str(number)
        path.mkdir()
        pid = child(lambda number=number, path=path: _live_in(_zones()[number], path, number))  # type: ignore[misc]
        if os.waitpid(pid, 0)[1] != 0:
            raise BrokenPromiseError(f"zone {number}, {_zones()[number]}: what it printed stands above")
        tally.merge(Tally.of_json(json.loads((path / "tally").read_text())))


def _live_in(name: str, place: Path, number: int) -> None:
    # The very file that `zoneinfo` reads, so that two versions of the data are not compared.
    os.environ["TZ"] = f":{zone_file(name)}"
    time.tzset()
    zone = zoneinfo.ZoneInfo(name)
    tally = Tally()
    found = list(changes(zone))
    stamps = [stamp for change in found for stamp in _around(change)] or [Written((2025, 7, 1), (12, 0))]
    for stamp in stamps:
        _compare(stamp, zone)
    for change in found:
        _compare_days(change)
    tally.add("changes of clocks", len(found))
    tally.fired(len(stamps))
    few = stamps[:: len(stamps) // _STORED + 1]
    tally.add(
        "records stored", judge_everywhere(place, [(one.text, one.instant(zone)) for one in few], number)
    )
    (place / "tally").write_text(json.dumps(tally.as_json()))


def _around(change: Change) -> Iterator[Written]:
    """Yield the local times at both ends, in the middle and beside what is repeated or leapt over."""
    low, high = sorted((change.second + change.before, change.second + change.after))
    for second in sorted({low - 1, low, (low + high) // 2, high - 1, high}):
        shown = local(second)
        fraction = "999999" if second in (low - 1, high - 1) else ""
        yield Written(
            (shown.year, shown.month, shown.day), (shown.hour, shown.minute, shown.second), fraction
        )


def _compare(stamp: Written, zone: zoneinfo.ZoneInfo) -> None:
    """The text means the first of two; a `datetime` says itself which it is."""
    expected = stamp.instant(zone)
    must(instant.instant(stamp.text) == expected, f"{stamp.text} in {zone} is not {expected}")
    for fold in (0, 1):
        shown = datetime.fromisoformat(stamp.text).replace(fold=fold)
        east = shown.replace(tzinfo=zone).utcoffset()
        wanted = (shown - datetime(1970, 1, 1) - (east or timedelta())) // timedelta(microseconds=1)
        query = Query(start_date=shown, end_date=shown)
        must(query.since == query.until == wanted, f"{shown!r} in {zone} is not {wanted}")


def _compare_days(change: Change) -> None:
    """A date alone is the whole local day, from its first to its last microsecond."""
    before, after = local(change.second + change.before), local(change.second + change.after)
    first, last = sorted((before.date(), after.date()))
    day = first - timedelta(days=1)
    while day <= last + timedelta(days=1):
        query = Query(start_date=day, end_date=day.isoformat())
        expected = (change.first_of(day), change.last_of(day))
        must(
            (query.since, query.until) == expected, f"{day} is {query.since} to {query.until}, not {expected}"
        )
        day += timedelta(days=1)


_EDGES = [
    *("0001-01-01", "0001-01-02", "0001-12-31", "0004-02-29", "0004-03-01", "0100-02-28", "0100-03-01"),
    *("0400-02-29", "1582-10-10", "1600-02-29", "1752-09-05", "1899-12-31", "1900-02-28", "1900-02-29"),
    *("1900-03-01", "1901-12-13", "1969-12-31", "1970-01-01", "1972-06-30", "1999-12-31", "2000-02-29"),
    *("2000-03-01", "2001-09-09", "2016-12-31", "2023-02-29", "2024-02-29", "2025-11-29", "2038-01-19"),
    *("2099-12-31", "2100-02-28", "2100-02-29", "2100-03-01", "2106-02-07", "2400-02-29", "4000-02-29"),
    *("9996-02-29", "9999-02-29", "9999-12-30", "9999-12-31"),
]
_OFFSETS = [
    *("Z", "+00:00", "-00:00", "+05:45", "-03:30", "+14:00", "-12:00", "+23:59", "-23:59"),
    *("+24:00", "+09:60", "local"),
]
_CLOCKS = [
    *((), (0, 0), (0, 0, 0), (11, 59, 59), (12, 0, 0), (23, 59), (23, 59, 59)),
    *((24, 0), (23, 60), (23, 59, 60)),
]
_DIGITS = [
    *("123456789012"[:length] for length in range(1, 13)),
    *("0", "000001", "999999", "9999999", "0000009"),
]
_HOME = "Asia/Kathmandu"  # where stamps without a zone are: east by 5:30 until 1985, by 5:45 since


def _written(number: int) -> list[Written]:
    """Every clock and fraction on one day at one offset."""
    edge, named = list(product(_EDGES, _OFFSETS))[number]
    day, offset = (int(edge[:4]), int(edge[5:7]), int(edge[8:])), "" if named == "local" else named
    found = [Written(day, clock, "", offset) for clock in _CLOCKS]
    whole = [(0, 0, 0), (23, 59, 59)]
    return found + [Written(day, clock, digits, offset) for clock, digits in product(whole, _DIGITS)]


def run_calendar(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case is a day at an offset."""
    for number in numbers:
        path = place / str(number)
        path.mkdir()
        pid = child(lambda number=number, path=path: _live_on(number, path))  # type: ignore[misc]
        if os.waitpid(pid, 0)[1] != 0:
            raise BrokenPromiseError(f"day {number}: what it printed stands above")
        tally.merge(Tally.of_json(json.loads((path / "tally").read_text())))


def _live_on(number: int, place: Path) -> None:
    os.environ["TZ"] = f":{zone_file(_HOME)}"
    time.tzset()
    zone = zoneinfo.ZoneInfo(_HOME)
    stamps = [(one.text, one.instant(zone)) for one in _written(number)]
    tally = Tally()
    tally.fired(len(stamps))
    tally.add("refused", sum(moment is None for _, moment in stamps))
    tally.add("records stored", judge_everywhere(place, stamps, number))
    (place / "tally").write_text(json.dumps(tally.as_json()))


PROMISES = (
    Promise(
        name="zones",
        sentence="every zone, every change of its clocks 1970 to 2100: instant, UTC day, order, ranges exact",
        cases=lambda: len(_zones()),
        run=run_zones,
        fast=14,
        chunk=30,
        needs=(LINUX, TIME_ZONES),
    ),
    Promise(
        name="calendar",
        sentence="leap days, years 1 to 9999, any offset and fraction: instant, UTC day, order, ranges exact",
        cases=lambda: len(_EDGES) * len(_OFFSETS),
        run=run_calendar,
        fast=48,
        chunk=40,
        needs=(LINUX, TIME_ZONES),
    ),
)

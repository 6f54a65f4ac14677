"""Periods by the clocks of a zone."""

from __future__ import annotations

import random
from bisect import bisect_right
from itertools import pairwise

import pytest

from moai_patterns import QueryError
from moai_patterns.instant import DAY, FIRST, LAST, SECOND, instant, isoformat
from moai_patterns.periods import Periods

ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe")


@pytest.mark.parametrize(
    ("every", "tz", "moment", "begin"),
    [
        ("1d", "UTC", "2025-11-29T10:11:12Z", "2025-11-29T00:00Z"),
        ("1d", "Europe/Berlin", "2025-11-29T23:30Z", "2025-11-29T23:00Z"),
        ("1d", "Asia/Kathmandu", "2025-11-29T18:14:59Z", "2025-11-28T18:15Z"),
        ("7d", "UTC", "1970-01-09T00:00Z", "1970-01-08T00:00Z"),
        ("1w", "UTC", "2025-11-30T23:59:59Z", "2025-11-24T00:00Z"),
        ("1w", "UTC", "2025-12-01T00:00Z", "2025-12-01T00:00Z"),
        ("2w", "UTC", "1970-01-18T00:00Z", "1970-01-05T00:00Z"),
        ("1mo", "UTC", "2024-02-29T12:00Z", "2024-02-01T00:00Z"),
        ("3mo", "America/New_York", "2025-12-31T23:00Z", "2025-10-01T04:00Z"),
        ("1y", "UTC", "2025-06-01T00:00Z", "2025-01-01T00:00Z"),
        ("10y", "UTC", "2025-06-01T00:00Z", "2020-01-01T00:00Z"),
        ("1h", "Asia/Kathmandu", "2025-11-29T10:44Z", "2025-11-29T10:15Z"),
        ("15m", "UTC", "2025-11-29T10:44:59.999999Z", "2025-11-29T10:30Z"),
        ("7h", "UTC", "2025-11-29T22:00Z", "2025-11-29T21:00Z"),
        ("24h", "UTC", "2025-11-29T22:00Z", "2025-11-29T00:00Z"),
        ("30s", "UTC", "1969-12-31T23:59:59Z", "1969-12-31T23:59:30Z"),
        # Clocks are set forward at 02:00, and back at 03:00.
        ("1d", "Europe/Berlin", "2025-03-30T21:59Z", "2025-03-29T23:00Z"),
        ("1d", "Europe/Berlin", "2025-10-26T22:59Z", "2025-10-25T22:00Z"),
        ("1h", "Europe/Berlin", "2025-10-26T00:30Z", "2025-10-26T00:00Z"),
        ("1h", "Europe/Berlin", "2025-10-26T01:30Z", "2025-10-26T01:00Z"),
        # There they leap over midnight, and there they go back across it.
        ("1d", "America/Sao_Paulo", "2018-11-04T12:00Z", "2018-11-04T03:00Z"),
        ("1d", "America/St_Johns", "2010-11-07T03:00Z", "2010-11-07T02:30Z"),
        ("1d", "America/St_Johns", "2010-11-07T02:29Z", "2010-11-06T02:30Z"),
    ],
)
def test_a_period_begins_by_the_clocks_of_its_zone(every: str, tz: str, moment: str, begin: str) -> None:
    """Days, weeks, months and years by the calendar there; hours and less from its midnight on."""
    assert isoformat(Periods(every, tz).begin(instant(moment))) == isoformat(instant(begin))


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("every", ["1s", "7m", "1h", "5h", "1d", "9d", "1w", "1mo", "5mo", "1y", "100y"])
def test_periods_divide_all_of_time(every: str, tz: str) -> None:
    """Each instant is in one period, which begins no later; also at the ends of time."""
    choose = random.Random(3)
    near = [choose.randrange(instant("1960-01-01"), instant("2040-01-01")) for _ in range(60)]
    moments = sorted([*near, *(each + 1 for each in near), FIRST, LAST, FIRST + DAY, LAST - DAY, -1, 0])
    periods = Periods(every, tz)
    begins = [periods.begin(moment) for moment in moments]
    assert begins == sorted(begins)
    for moment, begin in zip(moments, begins, strict=True):
        assert begin <= moment
        assert periods.begin(begin) == begin
        assert Periods(every, tz).begin(moment) == begin  # whatever was asked before


@pytest.mark.parametrize(
    ("every", "tz", "step"),
    [
        ("1d", "UTC", DAY),
        ("1h", "UTC", 3600 * SECOND),
        ("7h", "UTC", 3600 * SECOND),
        ("1w", "UTC", 7 * DAY),
        ("1d", "Europe/Berlin", 3600 * SECOND),
        ("1d", "Australia/Lord_Howe", 1800 * SECOND),
        ("1mo", "UTC", DAY),
    ],
)
def test_a_grid_has_each_beginning(every: str, tz: str, step: int) -> None:
    """Periods begin at whole steps from the origin, with a step as wide as their zone allows."""
    low, high = instant("2025-01-10T00:00Z"), instant("2025-12-20T00:00Z")
    periods = Periods(every, tz)
    origin, found = periods.grid(low, high)
    assert found == step
    choose = random.Random(5)
    moments = sorted(choose.randrange(low, high) for _ in range(500))
    for moment in moments:
        cell = origin + (moment - origin) // found * found
        assert periods.begin(cell) == periods.begin(moment)
    begins = sorted({periods.begin(moment) for moment in moments})
    assert all(bisect_right(begins, at) for at in begins)
    assert all(after > before for before, after in pairwise(begins))


def test_a_grid_of_too_many_periods_is_as_fine_as_time() -> None:
    """A second each over a year is not walked through."""
    assert Periods("1s", "Europe/Berlin").grid(0, 365 * DAY) == (0, 1)
    assert Periods("1d", "Europe/Berlin").grid(FIRST, LAST)[1] == 1
    assert Periods("1y", "Europe/Berlin").grid(instant("9990-05-01"), LAST)[1] % SECOND == 0  # and it ends


@pytest.mark.parametrize(
    ("every", "tz"),
    [
        ("", "UTC"),
        ("d", "UTC"),
        ("0d", "UTC"),
        ("-1d", "UTC"),
        ("1.5h", "UTC"),
        ("1 day", "UTC"),
        ("1min", "UTC"),
        ("25h", "UTC"),
        ("9999999d", "UTC"),
        (5, "UTC"),
        ("1d", "Mars/Olympus"),
        ("1d", "../etc/passwd"),
        ("1d", ""),
        ("1d", 5),
        ("1d", "a\0b"),
    ],
)
def test_what_is_no_period_or_zone_is_refused(every: str, tz: str) -> None:
    """The error says what was wrong and shows the right form."""
    with pytest.raises(QueryError, match=r"like 1d|like Europe/Berlin|longer than a day"):
        Periods(every, tz)

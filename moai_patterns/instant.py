"""The one reading of a timestamp: text to UTC microseconds, and an instant to its UTC day.

Grammar: `YYYY-MM-DD`, optionally `T` or a blank and `HH:MM[:SS[.fraction]]`, optionally `Z` or
`+HH:MM`. A stamp without a zone means local time: of two such moments the first, and one that clocks
leap over is as far behind the leap as it reaches into it. Plain arithmetic instead of `datetime`: one
grammar on every interpreter, and the capture process imports nothing for it. Days are counted in
the proleptic Gregorian calendar, as in ISO 8601.
"""

from __future__ import annotations

from time import localtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

SECOND = 1_000_000
DAY = 86_400 * SECOND
_EPOCH = 719_163  # 1970-01-01 when 0001-01-01 is day 1
FIRST = (1 - _EPOCH) * DAY
LAST = (3_652_060 - _EPOCH) * DAY - 1
_BEFORE = (0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_LENGTH = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


_compiled: re.Pattern[str] | None = None
# When the minutes of the last stamps began, by their first 17 characters: what is saved one after the other
# is mostly of the same minute, and the rest of it takes half the time of the whole.
_minutes: dict[str, int] = {}
_MOST_MINUTES = 4096


def _grammar() -> re.Pattern[str]:
    """Compile the grammar on first use: `re` costs a third of a bare interpreter, and hooks need none."""
    global _compiled  # noqa: PLW0603  `functools.cache` would load as much again as a capture does
    if _compiled is None:
        import re

        _compiled = re.compile(
            r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
            r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?)?"
            r"(?:(Z)|([+-])([0-9]{2}):([0-9]{2}))?"
        )
    return _compiled


def instant(text: str, *, later: bool = False) -> int:
    """Return the UTC instant of a timestamp in microseconds since 1970-01-01T00:00Z.

    Digits of the fraction beyond the sixth are cut off. A local time that occurs twice is the first of
    them unless `later` asks for the other. Raises `ValueError` with the reason for any
    other form, for dates and times that do not exist, and for instants outside the years 1 to 9999.

    >>> instant("2025-11-29T10:00:00.25+09:00")
    1764378000250000
    >>> instant("2025-11-29 01:00Z") == instant("2025-11-29T10:00+09:00")
    True
    >>> instant("2025-02-29T10:00Z")
    Traceback (most recent call last):
    ...
    ValueError: '2025-02-29T10:00Z' is no timestamp: month 2 of 2025 has no day 29
    """
    if type(text) is str and (start := _minutes.get(text[:17])) is not None:
        digits = text[17:19] + text[20:26]
        if (
            len(text) == 27
            and text[19] == "."
            and text[26] == "Z"
            and digits.isdecimal()
            and digits.isascii()
        ):
            within = int(digits)
            if within < 60 * SECOND:
                return start + within
    found = _grammar().fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise _refusal(text, "the form is YYYY-MM-DD[THH:MM[:SS[.fraction]]][Z|+HH:MM]")
    parts = found.groups("0")
    year, month, day = int(parts[0]), int(parts[1]), int(parts[2])
    hour, minute, second = int(parts[3]), int(parts[4]), int(parts[5])
    if year < 1 or not 1 <= month <= 12:
        raise _refusal(text, f"there is no month {month} of the year {year}")
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _LENGTH[month] + (leap and month == 2):
        raise _refusal(text, f"month {month} of {year} has no day {day}")
    if hour > 23 or minute > 59 or second > 59:
        raise _refusal(text, f"there is no time {hour:02d}:{minute:02d}:{second:02d}")
    past = year - 1
    days = past * 365 + past // 4 - past // 100 + past // 400
    days += _BEFORE[month] + (leap and month > 2) + day - _EPOCH
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second
    if parts[8] != "0":
        hours, minutes = int(parts[9]), int(parts[10])
        if hours > 23 or minutes > 59:
            raise _refusal(text, f"there is no offset {parts[8]}{hours:02d}:{minutes:02d}")
        east = hours * 3600 + minutes * 60
        seconds += east if parts[8] == "-" else -east
    elif parts[7] != "Z":
        try:
            seconds = _local(seconds, later=later)
        except (OverflowError, OSError):
            raise _refusal(text, "this system knows no local time there; add a zone") from None
    result = seconds * SECOND + int(parts[6][:6].ljust(6, "0"))
    if not FIRST <= result <= LAST:
        raise _refusal(text, "its UTC instant lies outside the years 1 to 9999")
    if parts[7] == "Z" and len(text) == 27:
        if len(_minutes) >= _MOST_MINUTES:
            _minutes.clear()
        _minutes[text[:17]] = result - result % (60 * SECOND)
    return result


def _local(wall: int, *, later: bool) -> int:
    """Return the second at which the clocks here show `wall`, counted as if they showed UTC.

    Not `mktime`: where clocks are set back, its answer depends on what the process asked it before.
    """
    # A day off, no change of the clocks lies between, for no zone has had two of them in so short a time.
    first = localtime(wall + (86_400 if later else -86_400)).tm_gmtoff
    other = localtime(wall - first).tm_gmtoff
    if other != first and localtime(wall - other).tm_gmtoff == other:
        return wall - other
    return wall - first


def _refusal(text: object, reason: str) -> ValueError:
    shown = repr(text) if isinstance(text, str) and len(text) <= 60 else repr(text)[:60] + "..."
    return ValueError(f"{shown} is no timestamp: {reason}")


def civil(moment: int) -> tuple[int, int, int, int, int, int]:
    """Return the UTC year, month, day, hour, minute and second of an instant in microseconds.

    >>> civil(1764378000250000)
    (2025, 11, 29, 1, 0, 0)
    """
    days, rest = divmod(moment, DAY)
    shifted = days + 719_468  # days since 0000-03-01: February ends the year, so leap days come last
    era, of_era = divmod(shifted, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    year += era * 400 + (month <= 2)
    seconds = rest // SECOND
    return year, month, day, seconds // 3600, seconds // 60 % 60, seconds % 60


def isoformat(moment: int) -> str:
    """Write an instant in microseconds as UTC text with six digits of fraction.

    >>> isoformat(1764378000250000)
    '2025-11-29T01:00:00.250000Z'
    """
    date = "%04d-%02d-%02dT%02d:%02d:%02d" % civil(moment)
    return f"{date}.{moment % SECOND:06d}Z"

"""What a person writes for a time, as an instant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from moai_patterns.errors import QueryError
from moai_patterns.instant import FIRST, LAST, instant
from moai_patterns.values import shortened

Bound = str | date | datetime | int | None
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def bound(name: str, value: str | date | int, *, end: bool = False) -> int:
    """Return an inclusive bound in UTC microseconds.

    A naive `datetime` means local time, and a date alone the whole local day: its first microsecond, or with
    `end` its last. Raises `QueryError` in which the value is called `name`.

    >>> bound("start_date", "1970-01-01T00:00:01Z")
    1000000
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return _moment(name, value)
    if isinstance(value, date):
        # Not `astimezone`: of a time that clocks leap over it makes another instant than `instant` does.
        stamp = value.isoformat()
    elif isinstance(value, str):
        stamp = value
    else:
        raise QueryError(f"{name} takes a timestamp, datetime, date or microseconds, not {shortened(value)}")
    try:
        if stamp == ("9999-12-31" if end else "0001-01-01"):
            return LAST if end else FIRST  # everything, though in this zone the day goes on beyond it
        moment = instant(stamp, later=isinstance(value, datetime) and value.fold == 1)
        if not end or len(stamp) > len("YYYY-MM-DD"):
            return moment
        # Not the midnight after it: where clocks are set back across midnight that comes before the end.
        return instant(f"{stamp}T23:59:59.999999", later=True)
    except ValueError as error:
        raise QueryError(f"{name}: {error}") from None


def moment_of(record: Mapping[str, Any]) -> int:
    """Return the instant of a record in UTC microseconds; of one that was never stored by its timestamp.

    >>> moment_of({"timestamp": "1970-01-01T00:00:01Z"})
    1000000
    """
    meta = record.get("_meta")
    return instant(record["timestamp"]) if meta is None else int(meta["instant"])


def _moment(name: str, value: datetime) -> int:
    """Return the instant of a datetime that has a zone; its offset may have seconds."""
    moment = (value - _EPOCH) // timedelta(microseconds=1)
    if not FIRST <= moment <= LAST:
        raise QueryError(f"{name}: the UTC instant of {value} lies outside the years 1 to 9999")
    return moment

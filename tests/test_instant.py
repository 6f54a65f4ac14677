"""The one reading of a timestamp."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moai_patterns.instant import DAY, FIRST, LAST, civil, instant, isoformat

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.integers(FIRST, LAST))
def test_every_instant_survives_its_text(moment: int) -> None:
    """Text of an instant reads back to the same microsecond, and the standard library agrees."""
    text = isoformat(moment)

    assert instant(text) == moment
    assert (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1) == moment


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31)), st.integers(-1439, 1439))
def test_offsets_are_taken_away(stamp: datetime, minutes: int) -> None:
    """An offset east of UTC lies that much earlier in UTC."""
    sign = "-" if minutes < 0 else "+"
    offset = f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    expected = (stamp.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) - minutes * 60_000_000

    assert instant(stamp.isoformat(timespec="microseconds") + offset) == expected


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2025-11-29Z", "2025-11-29T00:00:00Z"),
        ("2025-11-29 10:00Z", "2025-11-29T10:00:00.000Z"),
        ("2025-11-29T10:00:00.1234567899Z", "2025-11-29T10:00:00.123456Z"),
        ("2025-11-29T10:00-00:00", "2025-11-29T10:00Z"),
        ("2024-02-29T00:00Z", "2024-02-28T24:00:00Z".replace("28T24", "29T00")),
        ("2000-02-29Z", "2000-02-29T00:00+00:00"),
    ],
)
def test_every_written_form_is_read(text: str, same: str) -> None:
    """Date alone, blank, missing seconds, long fractions and zero offsets mean what they say."""
    assert instant(text) == instant(same)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025",
        "2025-11",
        "20251129T100000Z",
        "2025-13-01",
        "2025-00-10",
        "0000-01-01Z",
        "2025-02-29",
        "1900-02-29",
        "2025-04-31",
        "2025-11-29T24:00",
        "2025-11-29T10:60",
        "2025-11-29T10:00:60Z",
        "2025-11-29T10",
        "2025-11-29T10:00:00.",
        "2025-11-29T10:00:00,5Z",
        "2025-11-29t10:00z",
        "2025-W48-6",
        "2025-333",
        "2025-11-29T10:00+24:00",
        "2025-11-29T10:00+09:60",
        "2025-11-29T10:00+0900",
        "2025-11-29T10:00 +09:00",
        "2025-11-29Z\n",
        " 2025-11-29",
        "\uff12025-11-29",
        "yesterday",
        "0001-01-01T00:00+00:01",
        "9999-12-31T23:59-00:01",
        "x" * 1_000_000,
        None,
        5,
        b"2025-11-29",
    ],
)
def test_everything_else_is_refused_with_a_reason(text: object) -> None:
    """What is no timestamp raises ValueError with a short sentence."""
    with pytest.raises(ValueError, match="is no timestamp: ") as refusal:
        instant(text)  # type: ignore[arg-type]

    assert len(str(refusal.value)) < 200


def test_a_stamp_without_zone_is_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The zone of the machine decides, daylight saving time included."""
    import time

    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert instant("2025-01-10T12:00") == instant("2025-01-10T12:00-05:00")
        assert instant("2025-07-10T12:00") == instant("2025-07-10T12:00-04:00")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_local_time_has_one_instant_whatever_was_asked_before(time_zone: Callable[[str], None]) -> None:
    """In a repeated hour the first, unless the later is asked for; of a skipped hour as far behind it."""
    time_zone("America/New_York")
    for before in ("2025-01-10T12:00", "2025-07-10T12:00"):
        instant(before)
        assert instant("2025-11-02T01:30") == instant("2025-11-02T01:30-04:00")
        assert instant("2025-11-02T01:30", later=True) == instant("2025-11-02T01:30-05:00")
        instant(before)
        assert instant("2025-03-09T02:30") == instant("2025-03-09T03:30-04:00")
        for later in (False, True):  # within a day before and behind a change
            assert instant("2025-11-02T00:30", later=later) == instant("2025-11-02T00:30-04:00")
            assert instant("2025-11-02T12:00", later=later) == instant("2025-11-02T12:00-05:00")
            assert instant("2025-03-09T01:30", later=later) == instant("2025-03-09T01:30-05:00")
            assert instant("2025-03-09T12:00", later=later) == instant("2025-03-09T12:00-04:00")


@given(st.integers(FIRST // DAY, LAST // DAY))
def test_civil_days_follow_the_calendar(day: int) -> None:
    """Day numbers turn into the dates of the proleptic Gregorian calendar."""
    date = _EPOCH.date().fromordinal(day + _EPOCH.toordinal())

    assert civil(day * DAY) == (date.year, date.month, date.day, 0, 0, 0)


@pytest.mark.parametrize(
    ("fraction", "microseconds"), [("5", 500_000), ("25", 250_000), ("000001", 1), ("9999999", 999_999)]
)
def test_a_fraction_is_one_of_a_second(fraction: str, microseconds: int) -> None:
    """However many digits it has: what is missing is zero, what is beyond the sixth is cut off."""
    assert instant(f"1970-01-01T00:00:00.{fraction}Z") == microseconds


def test_what_was_read_before_changes_no_instant() -> None:
    """Of more minutes than are remembered, and again when they are, each stamp is read for what it says."""
    first = instant("2024-02-28T00:00:00.000001Z")
    moments = [first + number * 60_000_000 + number for number in range(5000)]
    for moment in moments + moments[:10]:
        assert instant(isoformat(moment)) == moment
    with pytest.raises(ValueError, match="00:00:60"):
        instant("2024-02-28T00:00:60.000000Z")

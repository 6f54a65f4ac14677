"""The short cuts for timestamps decide as `instant` does."""

from __future__ import annotations

import random
import re
from itertools import product

import pytest

from moai_patterns.instant import instant, isoformat
from moai_patterns.validation import compiled, dialect
from schema_pools import POOL, STAMPS

YEARS = [
    "0000",
    "0001",
    "0002",
    "0999",
    "1900",
    "1979",
    "1980",
    "2000",
    "2024",
    "2025",
    "2029",
    "2030",
    "9998",
    "9999",
]
MONTHS = ["00", "01", "02", "04", "09", "10", "12", "13"]
DAYS = ["00", "01", "28", "29", "30", "31", "32"]
TIMES = [
    "",
    "T00:00",
    " 23:59:59",
    "T24:00:00",
    "T23:60:00",
    "T10:20:60",
    "T10:20:30.123456",
    "t10:20",
    "T10:20:30,5",
]
ZONES = ["", "Z", "z", "+00:00", "-23:59", "+24:00", "+05:60", "+0530"]


def read(text: str) -> bool:
    """Whether `instant` reads a text."""
    try:
        instant(text)
    except ValueError:
        return False
    return True


def texts() -> list[str]:
    """Dates, times and zones in all combinations near the limits, thinned out evenly."""
    every = ["".join(parts) for parts in product(YEARS, ["-"], MONTHS, ["-"], DAYS, TIMES, ZONES)]
    random.Random(0).shuffle(every)
    strange = [value for value in POOL if type(value) is str]
    canonical = [
        f"{y}-{m}-{d}T{t}.000001Z" for y, m, d, t in product(YEARS, MONTHS, DAYS, ["23:59:59", "24:00:00"])
    ]
    return every[:8000] + canonical + strange + STAMPS


def test_what_a_short_cut_accepts_is_a_timestamp() -> None:
    """The hot path's expression accepts nothing that `instant` refuses, and most of what it reads."""
    sure = re.compile(dialect._SURE).search
    accepted = [text for text in texts() if sure(text) and "\n" not in text]
    assert [text for text in accepted if not read(text)] == []
    assert len(accepted) > 500


@pytest.mark.parametrize(
    "decide", [dialect.is_timestamp, compiled._timestamp], ids=["hot path", "capture process"]
)
def test_a_verdict_about_a_timestamp_is_that_of_instant(decide: object) -> None:
    """All forms near the limits: the same answer as the one reading of timestamps."""
    assert callable(decide)
    assert [text for text in texts() if decide(text) is not read(text)] == []


def test_what_the_package_writes_itself_needs_no_grammar() -> None:
    """A stamp of our own is accepted without loading the module that reads timestamps."""
    for moment in (0, 1764378000250000, -(10**15), 1709164800000000 - 1):
        assert compiled._timestamp(isoformat(moment))

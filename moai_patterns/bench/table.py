"""A comparison as a line of text."""

from __future__ import annotations

from moai_patterns.bench.measuring import Row

HEAD = f"{'case':46} {'against':32} {'ours':>10} {'other':>10} {'ratio':>7}  target"


def shown(row: Row) -> str:
    """Return one line of the table that `HEAD` begins."""
    return (
        f"{row.case:46} {row.against:32} {amount(row.ours, row.unit):>10} {amount(row.other, row.unit):>10} "
        f"{row.ratio:7.3g}  {verdict(row)}"
    )


def amount(value: float, unit: str) -> str:
    """Return seconds or megabytes with a unit that suits them.

    >>> amount(0.0000123, "s"), amount(0.5, "s"), amount(12.3, "MB")
    ('12.3 us', '500 ms', '12.3 MB')
    """
    if unit == "s":
        value, unit = next((value * 10**power, name) for power, name in _UNITS if value * 10**power < 1000)
    return f"{value:.3g} {unit}"


_UNITS = ((6, "us"), (3, "ms"), (0, "s"), (0, "s"))


def verdict(row: Row) -> str:
    """Return the target, and whether it is reached."""
    if row.target is None:
        return ""
    return f"<= {row.target:g} {'met' if row.is_met else 'MISSED'}"

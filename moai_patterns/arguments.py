"""What the arguments of a storage must be, said where they come in."""

from __future__ import annotations

from moai_patterns.errors import QueryError
from moai_patterns.validation.compiled import encodable
from moai_patterns.values import shortened

_LONGEST = 1_000_000  # seconds: SQLite counts the milliseconds that it waits in 31 bits


def must_be(name: str, value: object, kind: type) -> None:
    """Raise `QueryError` unless a value is of a kind; a bool is no int."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise QueryError(f"{name}: takes a {kind.__name__}, not {shortened(value)}")


def must_be_days(name: str, days: object) -> None:
    """Raise `ValueError` for what is no number of days."""
    if not isinstance(days, int) or isinstance(days, bool) or days < 0:
        raise ValueError(f"{name} is a whole number of days from 0 on, not {shortened(days)}")


def must_be_seconds(name: str, seconds: object) -> None:
    """Raise `ValueError` for what is no number of seconds."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= _LONGEST:
        raise ValueError(f"{name} is a number of seconds from 0 to {_LONGEST:,}, not {shortened(seconds)}")


def must_be_text(name: str, value: object) -> None:
    """Raise `ValueError` for what is neither None nor a text that UTF-8 can write."""
    if value is not None and not (isinstance(value, str) and encodable(value)):
        raise ValueError(f"{name} is a text that UTF-8 can write, or None, not {shortened(value)}")

"""Time-ordered identifiers: UUID version 7 as text (RFC 9562, section 5.7).

The 12 bits behind the millisecond hold its fraction (section 6.2, method 3), so that ids sort as
they were made even within a millisecond; the last 62 bits are random for every single id.
"""

from __future__ import annotations

import os
from _thread import _local

_STEP_BACK = 10_000 << 12  # ten seconds: further back is another clock, not a correction of this one
_END = (1 << 48) * 1000


class _State(_local):
    """What each thread has made last: without a lock there is none that a fork could leave held."""

    last = -1


_state = _State()


def new_id(now: int) -> str:
    """Return a new identifier for the moment `now`, in microseconds since 1970-01-01T00:00Z.

    Within a thread each id sorts behind the one before, also when the clock stands still or is set
    back by up to ten seconds; a moment further back than that is taken as it is. The random bits come
    from the system for each id, so a forked child repeats none of its parent's. Raises `ValueError`
    for a moment before 1970 or after the year 10888, which the form cannot hold.

    >>> identity = new_id(1764378000250000)
    >>> identity[:14], len(identity)
    ('019acd1f-bb7a-', 36)
    >>> identity < new_id(1764378000250000)
    True
    """
    if not 0 <= now < _END:
        raise ValueError(f"{now} microseconds since 1970 is no moment that an identifier can hold")
    milliseconds, rest = divmod(now, 1000)
    tick = milliseconds << 12 | (rest << 12) // 1000
    last = _state.last
    if last - _STEP_BACK < tick <= last:
        tick = last + 1
    _state.last = tick
    random = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
    text = "%032x" % ((tick >> 12) << 80 | 7 << 76 | (tick & 0xFFF) << 64 | 2 << 62 | random)
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

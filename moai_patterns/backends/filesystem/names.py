"""File names of hot records: readable, free of user text, and parsed back without opening the file.

`YYYY/MM/DD/<short>_<YYYYMMDD>_<HHMMSS>_<id8>_<hash16>.json`: day and second in UTC, the first 8
characters of the id, 64 bits of its hash (time-ordered ids begin alike). Further revisions of a record
are lines of journals, so a hot file always holds the first.
"""

from __future__ import annotations

from moai_patterns.instant import civil

try:
    from _blake2 import blake2b  # what hashlib gives, without its import of 3 ms
except ImportError:
    from hashlib import blake2b

_SHORT = {
    "task_completion": "task",
    "error_occurrence": "error",
    "agent_usage": "agent",
    "user_correction": "correction",
}
_LONG = {short: kind for kind, short in _SHORT.items()}
# Of the last hot file: second, directory, and what the name says of the time. Many are of one second.
_last: list[tuple[int | None, str, str]] = [(None, "", "")]
_USUAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-")


def digest(pattern_id: str) -> int:
    """Return the 64-bit BLAKE2b hash of an id."""
    return int.from_bytes(blake2b(pattern_id.encode(), digest_size=8).digest(), "big")


def escape(text: str) -> str:
    """Write text with letters, digits, point and hyphen only; every other character as `~<hex>~`.

    >>> escape("a_b/ü")
    'a~5f~b~2f~~fc~'
    """
    return "".join(c if c in _USUAL else f"~{ord(c):x}~" for c in text)


def day_path(moment: int) -> str:
    """Return the directory of an instant's UTC day, relative to the root.

    >>> day_path(1764378000250000)
    '2025/11/29'
    """
    return "%04d/%02d/%02d" % civil(moment)[:3]


def hot_path(kind: str, moment: int, pattern_id: str, hashed: int) -> str:
    """Return the path of a hot record relative to the root; `hashed` is the digest of its id.

    >>> hot_path("task_completion", 1764378000250000, "0192f0c1-7d7a-7abc", 255)
    '2025/11/29/task_20251129_010000_0192f0c1_00000000000000ff.json'
    """
    short = _SHORT.get(kind) or _own(kind)
    begin = pattern_id[:8]
    if not (begin.isascii() and begin.isalnum()):
        begin = escape(begin)
    second = moment // 1_000_000
    known, day, clock = _last[0]
    if known != second:
        found = civil(moment)
        day, clock = "%04d/%02d/%02d/" % found[:3], "_%04d%02d%02d_%02d%02d%02d_" % found
        _last[0] = second, day, clock
    return f"{day}{short}{clock}{begin}_{hashed:016x}.json"


def parse_hot(name: str) -> tuple[str, int, int] | None:
    """Return kind, UTC second of the day and hash of the id; None for any other name.

    >>> parse_hot("task_20251129_010000_0192f0c1_00000000000000ff.json")
    ('task_completion', 3600, 255)
    """
    parts = name[:-5].rsplit("_", 4)
    if not name.endswith(".json") or len(parts) != 5:
        return None
    short, _, clock, _, hashed = parts
    if len(clock) != 6 or len(hashed) != 16:
        return None
    try:
        second = int(clock[:2]) * 3600 + int(clock[2:4]) * 60 + int(clock[4:])
        return _kind(short), second, int(hashed, 16)
    except ValueError:
        return None


def _own(kind: str) -> str:
    """A kind of one's own that is called like one of the short names must not pass for it."""
    return "~" + kind if kind in _LONG else "_".join(map(escape, kind.split("_")))


def _kind(short: str) -> str:
    if short in _LONG:
        return _LONG[short]
    if short[:1] == "~" and short[1:] in _LONG:
        return short[1:]
    return "_".join(_unescape(part) for part in short.split("_"))


def _unescape(text: str) -> str:
    parts = text.split("~")
    parts[1::2] = [chr(int(part, 16)) for part in parts[1::2]]
    return "".join(parts)

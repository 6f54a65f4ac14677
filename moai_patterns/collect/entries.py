"""The entries of a recorded file, one by one: lines, or the elements of one array.

A file is told by its content: an array (or objects written over several lines) is taken apart by its
brackets, anything else by lines. What is torn is reported with its place, and reading goes on with
the next whole entry, also where a record was glued to the stub of another one on one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from moai_patterns.collect.claude_code import parse

_CHUNK = 1 << 18
_LONGEST = 1 << 26  # one entry; a file without line ends must not fill the memory
_ATTEMPTS = 200  # restarts tried within one torn entry: each may read it to its end
_BLANK = b" \t\r\n"
_SEPARATORS = " \t\r\n,]"
_FIRST_KEYS = (
    "parentUuid|logicalParentUuid|isSidechain|type|uuid|sessionId|messageId|summary|leafUuid|operation|cwd"
    "|session_id|transcript_path|hook_event_name"
)
# Inside a JSON string the quotes are escaped, so this never matches a record quoted in a text.
_START = re.compile(r'\{\s*"(?:' + _FIRST_KEYS + r')"\s*:')
_START_BYTES = re.compile(_START.pattern.encode())
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[{}\[\]]', re.DOTALL)
_SCALAR = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^\s,\[\]{}"]+', re.DOTALL)
_BETWEEN = re.compile(rb"[ \t\r\n,\0]*")
_LEAN = ("summary", "file-history-snapshot", "queue-operation")


class Entry(NamedTuple):
    """One JSON value of a file.

    `value` is parsed; where the text holds what a record cannot, `reason` says so and `value` is
    whatever a lenient reading gives. `line` counts from 1, `offset` and `size` are bytes.
    """

    line: int
    offset: int
    size: int
    text: str
    value: Any
    reason: str | None = None


class Damage(NamedTuple):
    """A part of a file that is no JSON, and why."""

    line: int
    reason: str


Found = Iterator[Entry | Damage]


def read(file: BinaryIO) -> Found:
    """Yield the entries of a file in constant memory, and what is damaged or unreadable in between."""
    line = 0
    try:
        head = file.read(_CHUNK).removeprefix(b"\xef\xbb\xbf").lstrip(_BLANK + b"\0")
        file.seek(0)
        spread = head.startswith(b"[") or head.partition(b"\n")[0].strip(_BLANK) == b"{"
        for found in _values(file) if spread else _lines(file):
            line = found.line
            yield found
    except OSError as error:
        yield Damage(line + 1, f"the file cannot be read from here on: {error.strerror or error}")


def is_payload(value: Any) -> bool:
    """Tell whether a value is what a hook was handed."""
    return isinstance(value, dict) and isinstance(value.get("hook_event_name"), str)


def is_line(value: Any) -> bool:
    """Tell whether a value is a line of a transcript."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return False
    return isinstance(value.get("sessionId"), str) or (
        value["type"] in _LEAN and ("leafUuid" in value or "messageId" in value)
    )


def _lines(file: BinaryIO) -> Found:
    number = offset = 0
    while line := file.readline(_LONGEST):
        number += 1
        size = len(line)
        if size == _LONGEST and not line.endswith(b"\n"):
            size += _skip_line(file)
            yield Damage(number, f"the line has {size} bytes, more than one entry may")
        else:
            yield from _line(line, number, offset)
        offset += size


def _skip_line(file: BinaryIO) -> int:
    size = 0
    while line := file.readline(_LONGEST):
        size += len(line)
        if line.endswith(b"\n"):
            break
    return size


def _line(line: bytes, number: int, offset: int) -> Found:
    content = line.removeprefix(b"\xef\xbb\xbf").strip(_BLANK)
    bare = content.strip(b"\0" + _BLANK)
    if bare != content:
        yield Damage(number, f"{len(content) - len(bare)} NUL bytes")
    if bare:
        yield from _entries(bare, number, offset, whole=line.endswith(b"\n"))


def _entries(content: bytes, number: int, offset: int, *, whole: bool) -> Found:
    """Yield the one entry that `content` is, or what can be saved of it."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        yield Damage(number, f"byte {error.start} of the entry is not UTF-8: {error.reason}")
        return
    try:
        yield Entry(number, offset, len(content), text, parse(text))
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "the entry is nested too deeply"
        try:
            lenient = json.loads(text)
        except RecursionError:
            lenient = None
        except ValueError:
            yield from _rescue(text, number, offset, reason if whole else f"cut off: {reason}")
            return
        yield Entry(number, offset, len(content), text, lenient, reason)


def _rescue(text: str, number: int, offset: int, reason: str) -> Found:
    """Yield the whole entries within a torn text; `reason` is why it is none as it stands."""
    decoder = json.JSONDecoder()
    at = torn = 0
    for _ in range(_ATTEMPTS):
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            value, end = None, at + 1
        if is_payload(value) or is_line(value) or (at == 0 and isinstance(value, dict)):
            before = text[torn:at]
            if before.strip(_SEPARATORS):
                place = number + text.count("\n", 0, torn)
                yield Damage(place, f"{len(before)} characters of a torn entry before a whole one: {reason}")
            place, start = number + text.count("\n", 0, at), offset + len(text[:at].encode())
            yield from _entries(text[at:end].encode(), place, start, whole=True)
            torn = end
        found = _START.search(text, end)
        if found is None:
            break
        at = found.start()
    if text[torn:].strip(_SEPARATORS):
        place = number + text.count("\n", 0, torn)
        yield Damage(place, f"{len(text) - torn} characters of a torn entry: {reason}")


class _Window:
    """A part of a file; `at` is how far it was taken apart, `line` the line there."""

    def __init__(self, file: BinaryIO) -> None:
        self.data = b""
        self.at = 0
        self.line = 1
        self.ended = False
        self._before = 0
        self._file = file

    @property
    def offset(self) -> int:
        """Where in the file `at` is."""
        return self._before + self.at

    def move(self, to: int) -> None:
        """Go on at another place of `data`."""
        self.line += self.data.count(b"\n", self.at, to)
        self.at = to

    def grow(self) -> None:
        """Read on: at least as much as is left, so that looking at a long entry again stays linear."""
        self._before += self.at
        left = self.data[self.at :]
        more = self._file.read(max(_CHUNK, len(left)))
        self.data, self.at, self.ended = left + more, 0, not more


def _values(file: BinaryIO) -> Found:
    """Yield the elements of an array, or values that follow one another, by their brackets."""
    window = _Window(file)
    inside = torn = False
    while True:
        window.move(_BETWEEN.match(window.data, window.at).end())  # type: ignore[union-attr]
        first = window.data[window.at : window.at + 1]
        if first == b"]" or (first == b"[" and not inside):
            inside = first == b"["
            window.move(window.at + 1)
            continue
        end = _end(window)
        if end is None and not window.ended and len(window.data) - window.at < _LONGEST:
            window.grow()
        elif not first:
            break
        elif end is None or end == window.at:
            yield _torn(window)
            torn = window.at == len(window.data)
        else:
            content = window.data[window.at : end]
            yield from _entries(content, window.line, window.offset, whole=True)
            window.move(end)
    if inside and not torn:
        yield Damage(window.line, "cut off: the array has no end")


def _end(window: _Window) -> int | None:
    """Where the value that begins in the window ends; None when that is not in it.

    The beginning itself for a value that another kind of bracket closes: it lost its own.
    """
    data, at = window.data, window.at
    if data[at : at + 1] not in (b"{", b"["):
        found = _SCALAR.match(data, at)
        if found and (found.end() < len(data) or window.ended):
            return found.end()
        return at if data[at : at + 1] == b"}" else None
    depth = 0
    for token in _TOKEN.finditer(data, at):
        kind = data[token.start()]
        if kind == 0x22:
            if not token[1]:
                return None
        elif kind in b"{[":
            depth += 1
        else:
            depth -= 1
            if not depth:
                return token.end() if data[at] + 2 == kind else at  # in ASCII, { + 2 is } and [ + 2 is ]
    return None


def _torn(window: _Window) -> Damage:
    """Move to where the next entry seems to begin, or to the end of the window."""
    found = _START_BYTES.search(window.data, window.at + 1)
    end = found.start() if found else len(window.data)
    damage = Damage(window.line, f"{end - window.at} bytes of a torn entry: it has no end")
    window.move(end)
    return damage

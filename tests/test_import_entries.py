"""Recorded files taken apart: lines, arrays, and what is torn."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moai_patterns.collect.entries import Damage, Entry, read

STOP = {"session_id": "s", "hook_event_name": "Stop", "n": 1}
LINE = {"type": "user", "sessionId": "s", "message": {"content": 'say {"type": "x"}'}}


def text(*values: Any) -> bytes:
    return b"\n".join(json.dumps(value).encode() for value in values)


def taken(content: bytes) -> tuple[list[Any], list[Damage]]:
    found = list(read(io.BytesIO(content)))
    for entry in found:
        if isinstance(entry, Entry):
            piece = content[entry.offset : entry.offset + entry.size]
            assert piece.decode() == entry.text
            assert entry.line == content.count(b"\n", 0, entry.offset) + 1
    values = [entry.value for entry in found if isinstance(entry, Entry)]
    return values, [entry for entry in found if isinstance(entry, Damage)]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n  \n"])
def test_lines_are_entries(end: bytes) -> None:
    """Each line is one value; blank lines and the end of the file are none."""
    assert taken(text(LINE, STOP) + end) == ([LINE, STOP], [])


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_elements_of_an_array_are_entries(indent: int | None, count: int) -> None:
    """An array is read element by element, on one line or on many."""
    assert taken(json.dumps([STOP, LINE, [1], 2.5, "a,]", None][:count], indent=indent).encode()) == (
        [STOP, LINE, [1]][:count],
        [],
    )


def test_scalars_in_an_array_are_entries_too() -> None:
    """Whatever stands in an array is a value of its own."""
    assert taken(b'[1, 2.5, "a,]\\"", null, true, {"a": "}"}, [[]]]') == (
        [1, 2.5, 'a,]"', None, True, {"a": "}"}, [[]]],
        [],
    )


def test_objects_over_several_lines_follow_one_another() -> None:
    """A file of indented objects without an array around them is read as they come."""
    content = json.dumps(STOP, indent=2) + "\n" + json.dumps(LINE, indent=2) + "\n"
    assert taken(content.encode()) == ([STOP, LINE], [])


@pytest.mark.parametrize(
    ("content", "values", "places"),
    [
        (text(LINE)[:-9], [], [1]),
        (text(STOP, LINE)[:-9], [STOP], [2]),
        (text(LINE) + text(STOP), [LINE, STOP], []),
        (text(LINE)[:20] + text(STOP) + b"\n" + text(LINE), [STOP, LINE], [1]),
        (text(LINE)[:20] + b"\n" + text(STOP), [STOP], [1]),
        (b"\0" * 9 + b"\n" + text(STOP), [STOP], [1]),
        (text(STOP) + b"\n" + b"\0" * 4096, [STOP], [2]),
        (b"\0\0" + text(STOP), [STOP], [1]),
        (text(STOP) + b'\n{"a": "\xff"}\n' + text(STOP), [STOP, STOP], [2]),
        (b"nonsense\n" + text(STOP), [STOP], [1]),
        (b"[" + text(STOP) + b",", [STOP], [1]),
        (b"[" + text(STOP) + b",\n" + text(LINE)[:-7], [STOP], [2]),
        (b"[\n" + text(STOP)[:-9] + b",\n" + text(STOP) + b",\n" + text(LINE) + b"]", [STOP, LINE], [2]),
        (b'[{"session_id": "torn, \n' + text(STOP) + b"]", [STOP], [1]),
        (b'[{"session_id": 1 "x": 2}, ' + text(STOP) + b"]", [STOP], [1]),
        (b"[[[[", [], [1]),
        (b"[}, " + text(STOP) + b"]", [STOP], [1]),
    ],
)
def test_torn_entries_are_named_and_the_rest_is_read(
    content: bytes, values: list[Any], places: list[int]
) -> None:
    """Cut off, glued together, filled with NUL, or not UTF-8: the whole entries around it go in."""
    found = list(read(io.BytesIO(content)))
    assert [entry.value for entry in found if isinstance(entry, Entry)] == values
    assert [entry.line for entry in found if isinstance(entry, Damage)] == places


def test_nothing_within_a_torn_entry_is_taken_for_one() -> None:
    """Objects that belong to a torn line, and JSON quoted in a text, are no entries of their own."""
    inner = {"parentUuid": None, "message": {"type": "text", "uuid": "u"}, "said": text(STOP).decode()}
    values, damage = taken(text(inner)[:-3])
    assert (values, len(damage)) == ([], 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"a": 1, "a": 2}', "a key stands twice in one object"),
        (b'{"a": NaN}', "NaN is no JSON value"),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "the entry is nested too deeply"),
    ],
)
def test_what_a_record_cannot_hold_is_an_entry_with_a_reason(content: bytes, reason: str) -> None:
    """Text that is whole but no JSON for a record is handed on as text, with the cause."""
    for wrapped in (content, b"[" + content + b"]"):
        (entry,) = read(io.BytesIO(wrapped))
        assert isinstance(entry, Entry)
        assert (entry.text, entry.reason) == (content.decode(), reason)


def test_an_entry_longer_than_the_reading_buffer_is_read() -> None:
    """Entries of megabytes, among small ones, come out whole."""
    big = {**STOP, "blob": "x" * 3_000_000}
    assert taken(json.dumps([STOP, big, *[STOP] * 1000]).encode()) == ([STOP, big, *[STOP] * 1000], [])
    assert taken(text(STOP, big, STOP)) == ([STOP, big, STOP], [])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["", "a", '"', "\\", "]}", "\n", "é", "{"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab]"), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=5), st.sampled_from([None, 1]))
def test_any_array_is_taken_apart_into_its_elements(values: list[Any], indent: int | None) -> None:
    """Whatever an array holds, its elements come out in order."""
    assert taken(json.dumps(values, indent=indent).encode()) == (values, [])


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_bytes_are_read_without_an_error(noise: bytes, at: int) -> None:
    """Damage anywhere in a file never raises, and a whole line before it still comes out."""
    content = text(STOP) + b"\n" + text(LINE)[:at] + noise + b"\n"
    assert STOP in [entry.value for entry in read(io.BytesIO(content)) if isinstance(entry, Entry)]
    assert list(read(io.BytesIO(b"[" + noise))) is not None

"""JSON text from outside, read strictly: what the text says twice or half is refused with its place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from moai_patterns.errors import ValidationError
from moai_patterns.query import Record
from moai_patterns.validation.faults import describe


def parse(text: str | bytes, place: str) -> Any:
    """Return the JSON value of `text`.

    Raises `ValidationError` that begins with `place` for text that is cut off or no JSON, for bytes
    that are not UTF-8, a key that occurs twice in one object, NaN, Infinity, and endless nesting.

    >>> parse('{"a": 1, "a": 2}', "line 7")
    Traceback (most recent call last):
    ...
    moai_patterns.errors.ValidationError: line 7: the key 'a' occurs twice in one object
    """
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        return json.loads(decoded, object_pairs_hook=_unique, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValidationError(f"{place}: no JSON at character {error.pos}: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise ValidationError(f"{place}: byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise ValidationError(f"{place}: nested too deeply") from None
    except ValueError as error:
        raise ValidationError(f"{place}: {error}") from None


def read(lines: Iterable[bytes], name: str) -> Iterator[Record]:
    """Yield one object per line, blank lines left out. Raises `ValidationError` naming file and line."""
    for place, line in numbered(lines, name):
        yield record(line, place)


def numbered(lines: Iterable[bytes], name: str) -> Iterator[tuple[str, bytes]]:
    """Yield each line that is not blank behind its place.

    >>> list(numbered([b"{}", b"", b"[]"], "all.jsonl"))
    [('all.jsonl, line 1', b'{}'), ('all.jsonl, line 3', b'[]')]
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{name}, line {number}", line


def record(line: bytes, place: str) -> Record:
    """Return the object on a line. Raises `ValidationError` that begins with `place`."""
    value = parse(line, place)
    if not isinstance(value, dict):
        raise ValidationError(f"{place}: a record is a JSON object, not {describe(value)}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = max((key for key, _ in pairs), key=[key for key, _ in pairs].count)
        raise ValueError(f"the key {twice[:60]!r} occurs twice in one object")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")

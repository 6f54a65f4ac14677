"""Exact comparison of what a backend returns, and refusals that say where it differs.

Plain functions that raise: the contract says the same under pytest, without it and under `python -O`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from moai_patterns.backends.base import BackendBase
from moai_patterns.errors import PatternError
from moai_patterns.query import Query, Record

_SHOWN = 80


def must(holds: bool, sentence: str) -> None:
    """Raise `AssertionError` with this sentence unless it holds."""
    if not holds:
        raise AssertionError(sentence)


def equal(found: object, wanted: object, what: str) -> None:
    """Raise `AssertionError` unless both are the same JSON value, types and signs of zero included."""
    where = difference(found, wanted)
    must(where is None, f"{what}: {where}")


def agree(found: Sequence[Record], wanted: Sequence[Record], what: str) -> None:
    """Raise `AssertionError` unless these are the same records in the same order, `seq` left out."""
    shown, right = list(map(_identity, found)), list(map(_identity, wanted))
    must(shown == right, f"{what}: found (id, revision) {_short(shown)}, wanted {_short(right)}")
    for one, other in zip(found, wanted, strict=True):
        seq = one["_meta"].get("seq")
        must(type(seq) is int, f"{what}: {_identity(one)} has the arrival number {seq!r}")
        where = difference(bare(one), bare(other))
        must(where is None, f"{what}: {_identity(one)} {where}")


def bare(record: Record) -> Record:
    """Return a stored record without its arrival number, as it was handed to `write`."""
    meta = {name: value for name, value in record["_meta"].items() if name != "seq"}
    return {**record, "_meta": meta}


def difference(found: Any, wanted: Any, path: str = "$") -> str | None:
    """Return where and how two JSON values differ, or None when they are exactly the same.

    >>> difference({"a": [1, -0.0]}, {"a": [1, 0.0]})
    '$.a[1] is float -0.0, not float 0.0'
    >>> difference([True], [True]) is None
    True
    """
    if type(found) is not type(wanted):
        return f"{path} is {_typed(found)}, not {_typed(wanted)}"
    if isinstance(found, dict):
        if found.keys() != wanted.keys():
            return f"{path} has the members {_short(sorted(found))}, not {_short(sorted(wanted))}"
        pairs = [(f"{path}.{key}", found[key], wanted[key]) for key in wanted]
    elif isinstance(found, list):
        if len(found) != len(wanted):
            return f"{path} has {len(found)} elements, not {len(wanted)}"
        pairs = [(f"{path}[{place}]", *both) for place, both in enumerate(zip(found, wanted, strict=True))]
    else:
        return None if _bits(found) == _bits(wanted) else f"{path} is {_typed(found)}, not {_typed(wanted)}"
    return next((where for here, one, other in pairs if (where := difference(one, other, here))), None)


def refuses(kind: type[PatternError], what: str, act: Callable[..., object], *given: object) -> PatternError:
    """Return the error of this kind that `act(*given)` raises; any other outcome is an `AssertionError`."""
    try:
        act(*given)
    except kind as error:
        return error
    except Exception as error:
        raise AssertionError(
            f"{what}: raised {type(error).__name__} ({error}), not {kind.__name__}"
        ) from error
    raise AssertionError(f"{what}: nothing was raised; {kind.__name__} is due")


def content(store: BackendBase) -> list[Record]:
    """Return every revision in the order of arrival, arrival numbers included: all that a store holds."""
    return list(store.scan(Query(limit=None, order="arrival", revisions="all")))


def heads(store: BackendBase) -> list[Record]:
    """Return every head, newest first."""
    return list(store.scan(Query(limit=None)))


def views(store: BackendBase) -> dict[str, Any]:
    """Return all that can be seen of a store from every side; no upkeep may change any of it."""
    head, everything = heads(store), content(store)
    return {
        "heads, newest first": head,
        "heads, oldest first": list(store.scan(Query(limit=None, order="oldest"))),
        "all revisions in order of arrival": everything,
        "all revisions, newest first": list(store.scan(Query(limit=None, revisions="all"))),
        "heads one by one": [store.get(record["pattern_id"]) for record in head],
        "histories": [store.history(record["pattern_id"]) for record in head],
        "count": store.count(Query(limit=None)),
        "days": {str(day): kinds for day, kinds in sorted(store.days().items())},
    }


def _identity(record: Record) -> tuple[str, int]:
    return record["pattern_id"], record["_meta"]["revision"]


def _bits(value: Any) -> Any:
    return struct.pack("<d", value) if isinstance(value, float) else value


def _typed(value: object) -> str:
    return f"{type(value).__name__} {_short(value)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN * 4 else f"{text[: _SHOWN * 4]}... ({len(text)} characters)"

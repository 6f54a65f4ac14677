"""Bringing whole stores elsewhere: copies between backends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NoReturn

from moai_patterns.backends.base import BackendBase, Batch, ForeignStore, Problem
from moai_patterns.conditions import same
from moai_patterns.errors import DamageError
from moai_patterns.query import Query, Record
from moai_patterns.saving import content

BATCH = 500


def copy(
    source: BackendBase,
    target: BackendBase,
    query: Query | None = None,
    on_batch: Callable[[int], None] = lambda records: None,
    on_refused: Callable[[Problem], None] | None = None,
) -> int:
    """Copy the records that answer `query` (default: all) and return how many heads the target took up.

    Superseded revisions and our own facts about each come with them. It can be interrupted and
    repeated: what is there already is left alone. An id that the target knows with other content
    gets the source's head as its next revision. `on_batch` is called with the number of heads read
    after each batch of 500.

    A source in the plain layout, which others write, may hold damage and what is no valid record:
    neither is copied. `on_refused` is called with each; without it the first raises `DamageError`.
    """
    wanted = query or Query(limit=None, order="oldest")
    copied = 0
    if isinstance(source, ForeignStore):
        answer = source.sift(wanted, on_refused or _refuse)
    else:
        answer = source.scan(wanted)
    for heads in _batches(answer):
        known = _heads(target, [head["pattern_id"] for head in heads])
        add: list[Record] = []
        for head in heads:
            there = known.get(head["pattern_id"])
            if there is None:
                add.extend(_whole(source, head))
            elif not same(content(there), content(head)):
                add.append(_renumbered(head, there["_meta"]["revision"] + 1))
            else:
                continue
            copied += 1
        if add:
            target.write(Batch(add))
        on_batch(len(heads))
    return copied


def _refuse(problem: Problem) -> NoReturn:
    raise DamageError(
        f"{problem.place}: {problem.sentence}; `moai-patterns copy` leaves such out and copies the rest"
    )


def verify_copy(source: BackendBase, target: BackendBase, query: Query) -> int:
    """Compare each record that answers `query` with the copy in `target`; return how many there are.

    Raises `DamageError` naming the first record that is missing there or has other content.
    """
    compared = 0
    for heads in _batches(source.scan(query)):
        known = _heads(target, [head["pattern_id"] for head in heads])
        for head in heads:
            there = known.get(head["pattern_id"])
            if there is None or not same(content(there), content(head)):
                state = "is missing" if there is None else "has other content"
                raise DamageError(f"the copy of {head['pattern_id']!r} {state} in the target store")
            compared += 1
    return compared


def _whole(source: BackendBase, head: Record) -> list[Record]:
    """All revisions of a record up to this head, oldest first."""
    last = head["_meta"]["revision"]
    older = source.history(head["pattern_id"]) if last > 1 else []
    whole = [*(old for old in older if old["_meta"]["revision"] < last), head]
    return [_renumbered(record, number) for number, record in enumerate(whole, start=1)]


def _renumbered(record: Record, revision: int) -> Record:
    meta = {key: value for key, value in record["_meta"].items() if key != "seq"}
    return {**record, "_meta": {**meta, "revision": revision}}


def _heads(target: BackendBase, ids: list[str]) -> dict[str, Record]:
    return {head["pattern_id"]: head for head in target.scan(Query(ids=ids, limit=None))}


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    remaining = iter(records)
    while batch := list(islice(remaining, BATCH)):
        yield batch

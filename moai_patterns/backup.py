"""Bringing whole stores elsewhere: copies between backends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NoReturn

from moai_patterns.backends import fileops
from moai_patterns.backends.base import BackendBase, Batch, ForeignStore, Problem
from moai_patterns.errors import DamageError, QueryError, StoreError
from moai_patterns.query import Query, Record, content
from moai_patterns.saving import retried
from moai_patterns.values import same

BATCH = 500


def copy(
    source: BackendBase,
    target: BackendBase,
    query: Query | None = None,
    on_batch: Callable[[int], None] = lambda records: None,
    on_refused: Callable[[Problem], None] | None = None,
    *,
    timeout: float = 0.0,
) -> int:
    """Copy the records that answer `query` (default: all) and return how many heads the target took up.

    Superseded revisions and our own facts about each come with them. It can be interrupted and
    repeated: what is there already is left alone. Of an id that the target knows, it gets the revisions
    that it lacks as further ones, the source's head last. `on_batch` is called with the number of heads
    read after each batch of 500. Faults that pass by themselves are tried again for `timeout` seconds.

    A source in the plain layout, which others write, may hold damage and what is no valid record:
    neither is copied. `on_refused` is called with each; without it the first raises `DamageError`.
    Raises `QueryError` for a query that asks for superseded revisions: they come with their heads.
    """
    wanted = query or Query(limit=None, order="oldest")
    if wanted.revisions != "heads":
        raise QueryError("a record is copied with all its revisions; ask for heads")
    copied = 0
    if isinstance(source, ForeignStore):
        answer = source.sift(wanted, on_refused or _refuse)
    else:
        answer = source.scan(wanted)
    for heads in _batches(answer):
        copied += retried(lambda heads=heads: _bring(source, target, heads), timeout)  # type: ignore[misc]
        on_batch(len(heads))
    return copied


def copy_key(source: str, target: str) -> None:
    """Give a store that has no key of redacted secrets the one of another; nothing where that has none.

    Raises `StoreError` when it can be neither read nor written.
    """
    try:
        if os.path.lexists(target) or not os.path.lexists(source):
            return
        key = fileops.read(source)
        fileops.make_dirs(os.path.dirname(target))
        fileops.create(target, key, sync=True)
    except FileExistsError:
        return  # somebody has just redacted something there
    except OSError as error:
        sentence = f"the key {source} cannot be copied to {target}: {error.strerror or error}"
        raise StoreError(error.errno, sentence) from error


def _bring(source: BackendBase, target: BackendBase, heads: list[Record]) -> int:
    """Write what the target lacks of these records and return how many of them it had not."""
    there = _known(target, heads)
    add: list[Record] = []
    copied = 0
    for identity, revisions in _whole(source, heads).items():
        known = there.get(identity, [])
        lacking = _lacking(revisions, known)
        first = known[-1]["_meta"]["revision"] + 1 if known else 1
        add.extend(_renumbered(record, number) for number, record in enumerate(lacking, start=first))
        copied += bool(lacking)
    if add:
        target.write(Batch(add))
    return copied


def _refuse(problem: Problem) -> NoReturn:
    raise DamageError(
        f"{problem.place}: {problem.sentence}; `moai-patterns copy` leaves such out and copies the rest"
    )


def verify_copy(source: BackendBase, target: BackendBase, query: Query) -> int:
    """Compare each record that answers `query` with the copy in `target`; return how many there are.

    All revisions are compared. Raises `DamageError` naming the first record of which one is missing
    there, or whose head has other content.
    """
    compared = 0
    for heads in _batches(source.scan(query)):
        there = _known(target, heads)
        for identity, revisions in _whole(source, heads).items():
            known = there.get(identity, [])
            if lacking := _lacking(revisions, known):
                raise DamageError(f"the copy of {identity!r} {_state(lacking, known)} in the target store")
            compared += 1
    return compared


def _state(lacking: list[Record], known: list[Record]) -> str:
    if not known:
        return "is missing"
    if len(lacking) == 1:
        return "has other content"
    return f"lacks {len(lacking)} revisions"


def _lacking(revisions: list[Record], known: list[Record]) -> list[Record]:
    """Return the last of these revisions that `known` does not have in this order, its head at the end."""
    position = 0
    for number, revision in enumerate(revisions):
        while position < len(known) and not same(content(known[position]), content(revision)):
            position += 1
        if position == len(known):
            return revisions[number:]
        position += 1
    return [] if same(content(known[-1]), content(revisions[-1])) else revisions[-1:]


def _whole(source: BackendBase, heads: list[Record]) -> dict[str, list[Record]]:
    """Return all revisions up to each of these heads, oldest first."""
    older = _revisions(source, [head["pattern_id"] for head in heads if head["_meta"]["revision"] > 1])
    whole = {}
    for head in heads:
        before = older.get(head["pattern_id"], [])
        last = head["_meta"]["revision"]
        whole[head["pattern_id"]] = [*(old for old in before if old["_meta"]["revision"] < last), head]
    return whole


def _known(target: BackendBase, heads: list[Record]) -> dict[str, list[Record]]:
    """Return all revisions that the target has of these ids, oldest first."""
    found = target.scan(Query(ids=[head["pattern_id"] for head in heads], limit=None))
    known = {head["pattern_id"]: [head] for head in found}
    revised = [identity for identity, (head,) in known.items() if head["_meta"]["revision"] > 1]
    return {**known, **_revisions(target, revised)}


def _revisions(backend: BackendBase, ids: list[str]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in backend.scan(Query(ids=ids, limit=None, revisions="all")) if ids else ():
        found.setdefault(record["pattern_id"], []).append(record)
    for revisions in found.values():
        revisions.sort(key=lambda record: int(record["_meta"]["revision"]))
    return found


def _renumbered(record: Record, revision: int) -> Record:
    meta = {key: value for key, value in record["_meta"].items() if key != "seq"}
    return {**record, "_meta": {**meta, "revision": revision}}


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    remaining = iter(records)
    while batch := list(islice(remaining, BATCH)):
        yield batch

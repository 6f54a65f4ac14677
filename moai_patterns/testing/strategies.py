"""Hypothesis strategies for stored records, queries and batches, drawn from the dense pools.

The grammar of what is drawn stands in `pools` and `questions`, once for Hypothesis and for seeded
generators; every draw is a choice from a short list, so a failure shrinks to the first of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from hypothesis import strategies as st

from moai_patterns.backends.base import Batch, Removal
from moai_patterns.query import Query, Record
from moai_patterns.testing.pools import Choose, drawn
from moai_patterns.testing.questions import question

T = TypeVar("T")


class Step(NamedTuple):
    """A part of a batch before the heads are known: an addition, or a removal of `identity`.

    `shift` is added to the revision that would be right; for a removal None means any revision.
    """

    record: Record | None
    identity: str
    shift: int | None


def _chooser(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Choose:
    def choose(pool: Sequence[T], /) -> T:
        picked: T = draw(st.sampled_from(pool))
        return picked

    return choose


@st.composite
def stored_records(draw: st.DrawFn) -> Record:
    """Stored records of revision 1, `_meta` included, without `seq`."""
    return drawn(_chooser(draw))


@st.composite
def queries(draw: st.DrawFn) -> Query:
    """Queries over records of these pools; cursors only in the orders `newest` and `oldest`."""
    return question(_chooser(draw))


@st.composite
def _step(draw: st.DrawFn) -> list[Step]:
    choose = _chooser(draw)
    form = choose(("add", "add", "add", "remove", "replace"))
    record = drawn(choose)
    identity = record["pattern_id"]
    added = Step(record, identity, choose((0, 0, 0, 0, 0, 0, 1, -1)) if form == "add" else 0)
    gone = Step(None, identity, choose((0, None, 1, -1)))
    return {"add": [added], "remove": [gone], "replace": [gone, added]}[form]


def steps(most: int = 5) -> st.SearchStrategy[list[Step]]:
    """Parts of one batch; one in eight plain additions has a revision that conflicts."""
    return st.lists(_step(), max_size=most).map(lambda drawn_steps: list(chain.from_iterable(drawn_steps)))


def batches(revisions: dict[str, int] | None = None) -> st.SearchStrategy[Batch]:
    """Batches for a store whose heads are at these revisions (default: an empty store)."""
    return steps().map(lambda parts: batch_of(parts, revisions or {}))


def batch_of(parts: Sequence[Step], revisions: dict[str, int]) -> Batch:
    """Return the batch that these parts make of a store whose heads are at these revisions."""
    at = dict(revisions)
    remove, add = [], []
    for _, identity, shift in (part for part in parts if part.record is None):
        revision = None if shift is None else at.get(identity, 0) + shift
        remove.append(Removal(identity, revision))
        if revision in (None, at.get(identity)):
            at.pop(identity, None)
    for record, identity, shift in parts:
        if record is not None:
            at[identity] = at.get(identity, 0) + 1
            revision = at[identity] + (shift or 0)
            add.append({**record, "_meta": {**record["_meta"], "revision": revision}})
    return Batch(add, remove)

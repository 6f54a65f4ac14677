"""One state machine that drives any backends side by side and compares each with the oracle."""

from __future__ import annotations

import copy
import random
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from moai_patterns.backends.base import Backend, BackendBase, Batch, Derived, Removal
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.errors import ConflictError
from moai_patterns.query import Query
from moai_patterns.testing.compare import agree, content, equal, must, views
from moai_patterns.testing.pools import IDS, MIDNIGHT, drawn, stored
from moai_patterns.testing.questions import question
from moai_patterns.testing.strategies import Step, batch_of, queries, steps

Opener = Callable[[Path], Backend]
EVERYTHING = Query(limit=None, order="arrival", revisions="all")


def agreement(
    backends: Mapping[str, Opener], *, volatile: Collection[str] = ()
) -> type[RuleBasedStateMachine]:
    """Return a state machine in which these backends must agree with the oracle at every step.

    `backends` maps a name to what opens the backend at a path; `volatile` names those that keep
    nothing after `close`, and are therefore never reopened. Run it with `run_state_machine_as_test`,
    or let pytest find its `TestCase`:

    >>> from moai_patterns.backends.memory import MemoryBackend
    >>> machine = agreement({"memory": lambda path: MemoryBackend()}, volatile=["memory"])
    >>> TestAgreement = machine.TestCase
    """
    unknown = set(volatile) - set(backends)
    if unknown:
        raise ValueError(f"volatile names {sorted(unknown)}, which are none of {sorted(backends)}")
    members = {"openers": dict(backends), "volatile": frozenset(volatile)}
    return type("Agreement", (_Agreement,), members)


class _Agreement(RuleBasedStateMachine):
    openers: ClassVar[dict[str, Opener]] = {}
    volatile: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="agreement-"))
        self.oracle = MemoryBackend()
        self.stores: dict[str, BackendBase] = {}
        self.fresh = self.turn = 0
        self.highest: dict[str, int] = {}
        for name in self.openers:
            self._open(name)

    def _open(self, name: str) -> None:
        opened = self.openers[name](self.place / name)
        self.stores[name] = opened if isinstance(opened, BackendBase) else Derived(opened)

    @initialize(seed=st.integers(0, 99))
    def begin(self, seed: int) -> None:
        self.write_many(seed, 20)

    @rule(seed=st.integers(0, 99), count=st.sampled_from((2, 5, 10)))
    def write_many(self, seed: int, count: int) -> None:
        """Few records answer no question; drawing each would use up what an example may draw."""
        self.turn += 1
        choose = random.Random(f"{seed} {self.turn}").choice
        records = [drawn(choose) for _ in range(count)]
        parts = [Step(record, record["pattern_id"], 0) for record in records]
        self._write_everywhere(batch_of(parts, self._revisions(parts)), single=False)

    @rule(parts=steps(), single=st.booleans())
    def write(self, parts: list[Step], single: bool) -> None:
        self._write_everywhere(batch_of(parts, self._revisions(parts)), single)

    def _revisions(self, parts: list[Step]) -> dict[str, int]:
        heads = map(self.oracle.get, {part.identity for part in parts})
        return {head["pattern_id"]: head["_meta"]["revision"] for head in heads if head}

    @rule(count=st.integers(1, 3), single=st.booleans(), goes=st.booleans())
    def write_fresh(self, count: int, single: bool, goes: bool) -> None:
        numbers = range(self.fresh, self.fresh + count)
        self.fresh += count
        added = [stored(f"0198f2aa-fresh-{number}", MIDNIGHT + number % 3 - 1) for number in numbers]
        self._write_everywhere(Batch(added, fresh=True), single)
        if goes:  # the newest arrival is gone, and its number must not come again
            self._write_everywhere(Batch(remove=[Removal(added[-1]["pattern_id"])]), single)

    def _write_everywhere(self, batch: Batch, single: bool) -> None:
        wanted = _written(self.oracle, batch, single)
        for name, store in self.stores.items():
            given = copy.deepcopy(batch)
            found = _written(store, given, single)
            must(found == wanted, f"{name}: {batch!r} was {found}, by the oracle {wanted}")
            _spoil(given.add)
            if wanted == "written":
                self._numbers(name, store, batch)

    def _numbers(self, name: str, store: BackendBase, batch: Batch) -> None:
        """What was just added has arrival numbers beyond all that were given before."""
        before = highest = self.highest.get(name, -1)
        for identity in {record["pattern_id"] for record in batch.add}:
            head = store.get(identity)
            must(head is not None, f"{name}: get({identity!r}) after writing it: None")
            number = head["_meta"]["seq"] if head else -1
            must(number > before, f"{name}: {identity!r} got the arrival number {number} after {before}")
            highest = max(highest, number)
        self.highest[name] = highest

    @rule(asked=st.lists(queries(), min_size=1, max_size=4))
    def scan(self, asked: list[Query]) -> None:
        for query in asked:
            wanted = list(self.oracle.scan(query))
            for name, store in self.stores.items():
                found = list(store.scan(query))
                agree(found, wanted, f"{name}: {query!r}")
                count = store.count(query)
                must(count == len(wanted), f"{name}: count of {query!r} is {count}, not {len(wanted)}")
                _spoil(found)

    @rule(seed=st.integers(0, 9999))
    def scan_many(self, seed: int) -> None:
        """What Hypothesis draws resembles what it drew before; these are as different as can be."""
        self.turn += 1
        choose = random.Random(f"{seed} {self.turn}").choice
        self.scan([question(choose) for _ in range(20)])

    @rule(asked=st.lists(st.tuples(queries(), st.integers(0, 6), st.sampled_from((None, 1, 2))), max_size=4))
    def scan_after(self, asked: list[tuple[Query, int, int | None]]) -> None:
        for query, at, limit in asked:
            whole = query.but(cursor=None, limit=None)
            wanted = list(self.oracle.scan(whole))
            for name, store in self.stores.items() if wanted else ():
                found = list(store.scan(whole))
                agree(found, wanted, f"{name}: {whole!r}")
                onward = whole.but(cursor=whole.cursor_after(found[at % len(wanted)]), limit=limit)
                rest = wanted[at % len(wanted) + 1 :][:limit]
                agree(list(store.scan(onward)), rest, f"{name}: {onward!r}")
                count = store.count(onward)
                must(count == len(rest), f"{name}: count of {onward!r} is {count}, not {len(rest)}")

    @rule(identity=st.sampled_from(IDS))
    def read(self, identity: str) -> None:
        head, history = self.oracle.get(identity), self.oracle.history(identity)
        for name, store in self.stores.items():
            found = store.get(identity)
            agree([found] if found else [], [head] if head else [], f"{name}: get({identity!r})")
            agree(store.history(identity), history, f"{name}: history({identity!r})")

    @rule(query=queries(), limit=st.sampled_from((1, 1, 1, 2, None)))
    def delete(self, query: Query, limit: int | None) -> None:
        asked = query.but(limit=limit, revisions="heads")
        wanted = self.oracle.delete(asked)
        for name, store in self.stores.items():
            found = store.delete(asked)
            must(found == wanted, f"{name}: delete of {asked!r} removed {found}, by the oracle {wanted}")
        self._compare("delete")

    @rule()
    def days(self) -> None:
        for name, store in self.stores.items():
            must(
                store.days() == self.oracle.days(),
                f"{name}: days {store.days()}, oracle {self.oracle.days()}",
            )

    @rule(picks=st.lists(st.integers(0, 7), min_size=1, max_size=4), reclaim=st.booleans())
    def compact(self, picks: list[int], reclaim: bool) -> None:
        known = sorted(self.oracle.days()) or [0]
        days = sorted({known[pick % len(known)] for pick in picks})
        most = self.oracle.count(Query(limit=None))
        for name, store in self.stores.items():
            before = views(store)
            moved = store.compact(days)
            must(0 <= moved <= most, f"{name}: compact({days}) says it moved {moved} of {most} heads")
            again = store.compact(days)
            must(again == 0, f"{name}: a second compact({days}) says it moved {again}")
            if reclaim:
                store.reclaim()
            equal(views(store), before, f"{name}: compact({days})")
            must(not set(days) & set(store.uncompacted_days()), f"{name}: {days} are still to be compacted")

    @rule(around=st.booleans())
    def reopen(self, around: bool) -> None:
        if around:  # the newest arrival is gone when the store is opened again
            self.write_fresh(1, single=False, goes=True)
        for name in self.stores.keys() - self.volatile:
            before = views(self.stores[name])
            self.stores[name].close()
            self._open(name)
            equal(views(self.stores[name]), before, f"{name}: reopened")
        if around:
            self.write_fresh(1, single=False, goes=False)

    def _compare(self, when: str) -> None:
        wanted = content(self.oracle)
        for name, store in self.stores.items():
            found = content(store)
            agree(found, wanted, f"{name}: everything after {when}")
            numbers = [record["_meta"]["seq"] for record in found]
            must(numbers == sorted(set(numbers)), f"{name}: arrival numbers {numbers}")

    def teardown(self) -> None:
        try:
            self._compare("the last step")
            for name, store in self.stores.items():
                problems = store.check(read_data=True)
                must(not problems, f"{name}: check finds {problems}")
        finally:
            for store in self.stores.values():
                store.close()
            shutil.rmtree(self.place, ignore_errors=True)


def _written(store: BackendBase, batch: Batch, single: bool) -> str:
    """Write a batch, through a single writer or not, and return what became of it."""
    writer = store.single_writer() if single else store
    try:
        writer.write(batch)
    except ConflictError:
        return "refused"
    finally:
        if single:
            writer.close()
    return "written"


def _spoil(records: Collection[dict[str, Any]]) -> None:
    """Change what the caller holds: no store may notice."""
    for record in records:
        record["_meta"]["revision"] = 99
        record["data"]["spoiled"] = True
        record["data"].get("deep", {}).clear()
        record.get("context", {}).get("tags", []).clear()

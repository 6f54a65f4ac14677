"""Clause 2: a batch is written whole or not at all, and only on the heads it was made for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from unittest import SkipTest

from moai_patterns.backends.base import Backend, BackendBase, Batch, Removal
from moai_patterns.errors import ConflictError
from moai_patterns.query import Query
from moai_patterns.testing.clauses import Clauses, persists
from moai_patterns.testing.compare import agree, content, equal, heads, must, refuses
from moai_patterns.testing.pools import MIDNIGHT, stored
from moai_patterns.testing.worker import SHARED, Worker, single

ONE, TWO = stored("one", MIDNIGHT), stored("two", MIDNIGHT + 1)
CHANGED = stored("one", MIDNIGHT + 2, 2, pattern_type="own.kind", data={"n": 2})


class Writing(Clauses):
    """Clause 2."""

    def _refused(self, path: Path, batches: Sequence[Batch]) -> None:
        """Each of the batches raises ConflictError and leaves the store as it was, in every form."""
        for form, store in self.forms(path, [Batch([ONE, TWO]), Batch([CHANGED])]):
            before = content(store)
            for batch in batches:
                refuses(ConflictError, f"{_told(batch)}, {form}", store.write, batch)
                equal(content(store), before, f"after the refusal of {_told(batch)}, {form}")

    def test_2_stale_or_skipped_revisions_are_refused(self, tmp_path: Path) -> None:
        """Only the head's revision plus one may be added; anything else raises ConflictError."""
        wrong = [stored("one", MIDNIGHT, revision) for revision in (1, 2, 4, 0, -1)]
        wrong += [stored("two", MIDNIGHT, 1), stored("two", MIDNIGHT, 3), stored("new", MIDNIGHT, 2)]
        self._refused(tmp_path / "store", [Batch([record]) for record in wrong])

    def test_2_a_refused_batch_leaves_nothing(self, tmp_path: Path) -> None:
        """One conflict anywhere in a batch undoes its other additions and its removals."""
        good, late = stored("new", MIDNIGHT), stored("two", MIDNIGHT + 9, 2)
        bad = stored("one", MIDNIGHT, 2)
        batches = [
            Batch([good, bad]),
            Batch([bad, good]),
            Batch([late, good, bad]),
            Batch([bad], [Removal("two")]),
            Batch([good, good]),
            Batch([good, stored("new", MIDNIGHT, 3)]),
            Batch([stored("one", MIDNIGHT, 4)], [Removal("one")]),
        ]
        self._refused(tmp_path / "store", batches)

    def test_2_removing_what_is_not_there_is_no_error(self, tmp_path: Path) -> None:
        """A removal of an absent record, or one made for another head, does nothing, and the rest goes in."""
        useless = [
            Removal("absent"),
            Removal("absent", 1),
            Removal("one", 1),
            Removal("one", 3),
            Removal("one", 0),
        ]
        for form, store in self.forms(tmp_path / "store", [Batch([ONE, TWO]), Batch([CHANGED])]):
            before = content(store)
            store.write(Batch(remove=useless))
            store.write(Batch())
            equal(content(store), before, f"after removals that fit nothing, {form}")
        with self.store(tmp_path / "other") as store:
            store.write(Batch([ONE, TWO], [Removal("one"), Removal("two", 1)]))
            agree(content(store), [ONE, TWO], "a batch that removes absent records and adds some")

    def test_2_a_removal_takes_the_whole_history(self, tmp_path: Path) -> None:
        """Removing an id by its head's revision, or by None, leaves nothing of it; the id is free again."""
        for number, head in enumerate((2, None)):
            forms = self.forms(tmp_path / str(number), [Batch([ONE, TWO]), Batch([CHANGED])])
            for form, store in forms:
                store.write(Batch(remove=[Removal("one", head)]))
                agree(content(store), [TWO], f"after removing revision {head}, {form}")
                must(store.get("one") is None, f"get of a removed id, {form}")
                must(store.history("one") == [], f"history of a removed id, {form}")
                store.write(Batch([ONE]))
                agree(content(store), [TWO, ONE], f"after adding it again, {form}")
                store.write(Batch([CHANGED]))

    def test_2_several_revisions_of_an_id_in_one_batch(self, tmp_path: Path) -> None:
        """Revisions of one id that follow each other in a batch all count, and the last is the head."""
        third = stored("one", MIDNIGHT - 5, 3)
        for form, store in self.forms(tmp_path / "store", [Batch([ONE, TWO, CHANGED, third])]):
            agree(content(store), [ONE, TWO, CHANGED, third], f"all revisions, {form}")
            agree(store.history("one"), [ONE, CHANGED, third], f"history, {form}")
            agree(list(store.scan(Query(ids=["one"]))), [third], f"head, {form}")

    def test_2_removals_of_a_batch_come_first(self, tmp_path: Path) -> None:
        """A batch that removes an id and adds it at revision 1 replaces it: only the addition is left."""
        again = stored("one", MIDNIGHT + 7, data={"n": "again"})
        for form, store in self.forms(tmp_path / "store", [Batch([ONE, TWO]), Batch([CHANGED])]):
            store.write(Batch([again, stored("one", MIDNIGHT, 2)], [Removal("one")]))
            agree(content(store), [TWO, again, stored("one", MIDNIGHT, 2)], f"replaced, {form}")

    def test_2_fresh_ids_and_single_writers(self, tmp_path: Path) -> None:
        """A batch marked fresh, and batches of a single writer, are stored and visible like any other."""
        fresh = [stored(f"fresh-{at}", MIDNIGHT + at) for at in range(3)]
        with self.store(tmp_path / "store") as store:
            store.write(Batch(fresh[:2], fresh=True))
            writer = store.single_writer()
            writer.write(Batch([fresh[2]], fresh=True))
            agree(content(store), fresh, "while the single writer is open")
            writer.write(Batch([ONE]))
            writer.write(Batch([stored("fresh-0", MIDNIGHT, 2)]))
            stale = Batch([stored("fresh-0", MIDNIGHT, 2)])
            refuses(ConflictError, "a stale revision through a single writer", writer.write, stale)
            writer.close()
            wanted = [*fresh, ONE, stored("fresh-0", MIDNIGHT, 2)]
            agree(content(store), wanted, "after the single writer closed")
        if self.persistent:
            with self.store(tmp_path / "store") as store:
                agree(content(store), wanted, "reopened")

    def test_2_of_racing_threads_one_wins(self, tmp_path: Path) -> None:
        """When threads add the same next revision at once, one succeeds and the others get ConflictError."""
        with self.store(tmp_path / "store") as store:
            for revision in range(1, 9):
                results = _race(store, Batch([stored("race", MIDNIGHT, revision)]), 4)
                must(sorted(results) == ["conflict"] * 3 + ["written"], f"revision {revision}: {results}")
            agree(store.history("race"), [stored("race", MIDNIGHT, at) for at in range(1, 9)], "history")

    @persists
    def test_2_two_openings_see_each_other(self, tmp_path: Path) -> None:
        """What one opening of a store wrote, another one reads, and its next revision must follow it."""
        with self.store(tmp_path / "store") as first, self.store(tmp_path / "store") as second:
            first.write(Batch([ONE, TWO]))
            agree(content(second), [ONE, TWO], "written by the other opening")
            second.write(Batch([CHANGED]))
            agree(content(first), [ONE, TWO, CHANGED], "changed by the other opening")
            stale = Batch([stored("one", MIDNIGHT, 2)])
            refuses(ConflictError, "a revision that the other opening wrote", first.write, stale)
            first.compact(sorted(first.days()))
            agree(content(second), [ONE, TWO, CHANGED], "compacted by the other opening")
            second.write(Batch(remove=[Removal("one", 2)]))
            agree(content(first), [TWO], "removed by the other opening")

    @persists
    def test_2_no_update_of_racing_processes_is_lost(self, tmp_path: Path) -> None:
        """Processes that change one record at once, each on the head it read, lose no update of another."""
        processes, rounds = 3, 25
        with self.store(tmp_path / "store") as store:
            store.write(Batch([stored(SHARED, MIDNIGHT, data={"n": 0})]))
        self._at_once(tmp_path / "store", "share", range(processes), rounds)
        with self.store(tmp_path / "store") as store:
            history = store.history(SHARED)
            numbers = [record["data"]["n"] for record in history]
            must(numbers == list(range(processes * rounds + 1)), f"the shared record counts {numbers}")
            arrived = [record["_meta"]["seq"] for record in history]
            must(arrived == sorted(set(arrived)), f"arrival numbers of one record: {arrived}")

    @persists
    def test_2_processes_open_an_empty_store_at_once(self, tmp_path: Path) -> None:
        """Processes that all find nothing at the path make one store between them, and none fails."""
        firsts = range(0, 1200, 300)
        self._at_once(tmp_path / "store", "first", firsts, 2)
        with self.store(tmp_path / "store") as store:
            wanted = [record for first in firsts for at in (0, 1) for record in single(first + at).add]
            agree(heads(store), sorted(wanted, key=Query().key, reverse=True), "what they wrote")

    def _at_once(self, path: Path, task: str, firsts: Iterable[int], count: int) -> None:
        """Run a process for each number; they begin together and must end well."""
        with ExitStack() as running:
            workers = [
                running.enter_context(Worker(self.spawnable(), path, task, first, count)) for first in firsts
            ]
            for worker in workers:
                must(worker.wait_for("ready"), "the other process failed:\n" + "\n".join(worker.lines))
            for act in (Worker.begin, Worker.finish):
                for worker in workers:
                    act(worker)

    @persists
    def test_2_a_forked_child_shares_the_store(self, tmp_path: Path) -> None:
        """A store that was open at a fork works in the child and in the parent, by turns."""
        if not hasattr(os, "fork"):
            raise SkipTest("not applicable: this system has no fork")
        with Worker(self.spawnable(), tmp_path / "store", "fork", 0, 3) as worker:
            worker.finish()
        order = ["before-0", *(f"{who}-{turn}" for turn in range(3) for who in ("child", "parent"))]
        with self.store(tmp_path / "store") as store:
            agree(content(store), [stored(identity, MIDNIGHT) for identity in order], "after the forks")


def _race(store: BackendBase, batch: Batch, threads: int) -> list[str]:
    """Write one batch from many threads at once and return what became of each."""
    results: list[str] = []
    start = threading.Barrier(threads)

    def run(target: Backend) -> None:
        start.wait()
        try:
            target.write(batch)
            results.append("written")
        except ConflictError:
            results.append("conflict")
        except Exception as error:  # noqa: BLE001  a thread's exception would vanish otherwise
            results.append(repr(error))

    running = [threading.Thread(target=run, args=(store,)) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return results


def _told(batch: Batch) -> str:
    added = [(record["pattern_id"], record["_meta"]["revision"]) for record in batch.add]
    return f"Batch(add={added}, remove={[tuple(removal) for removal in batch.remove]})"

"""Clause 7: reopening shows all of each acknowledged batch and never part of one, after a kill too."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from moai_patterns.backends.base import BackendBase, Batch
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.testing.answers import dense
from moai_patterns.testing.clauses import Clauses, persists
from moai_patterns.testing.compare import agree, content, equal, must, views
from moai_patterns.testing.pools import MIDNIGHT, stored
from moai_patterns.testing.worker import Worker, numbered, single

_PLENTY = 500


class Persisting(Clauses):
    """Clause 7."""

    @persists
    def test_7_reopening_shows_everything(self, tmp_path: Path) -> None:
        """After closing and opening, every view is the same, hot or compacted, and the store goes on."""
        path, batches = tmp_path / "store", list(dense(7, 30))
        before: dict[str, object] = {}
        for number, batch in enumerate(batches):
            with self.store(path) as store:
                if before:
                    equal(views(store), before, f"reopened before batch {number}")
                store.write(batch)
                if number % 7 == 6:
                    store.compact(sorted(store.days())[::2])
                before = views(store)
        with self.store(path) as store:
            equal(views(store), before, "reopened at the end")

    @persists
    def test_7_an_abandoned_opening_loses_nothing(self, tmp_path: Path) -> None:
        """What was acknowledged is there for others before close, and when close never comes."""
        oracle = MemoryBackend()
        for number in range(3):
            oracle.write(numbered(number))
        with Worker(self.spawnable(), tmp_path / "store", "linger", 0, 3) as worker:
            _reach(worker, "ready")
            with self.store(tmp_path / "store") as store:
                agree(content(store), content(oracle), "while the process that wrote it has it open")
        with self.store(tmp_path / "store") as store:
            agree(content(store), content(oracle), "after that process was killed")

    @persists
    def test_7_a_kill_inside_write(self, tmp_path: Path) -> None:
        """Processes killed at random moments while writing leave whole batches, every acknowledged one."""
        self._killed(tmp_path / "store", "write", "end", numbered)

    @persists
    def test_7_a_kill_inside_a_session(self, tmp_path: Path) -> None:
        """Processes killed in the middle of a session leave every record that it acknowledged."""
        self._killed(tmp_path / "store", "session", "end", single)

    @persists
    def test_7_a_kill_inside_compact(self, tmp_path: Path) -> None:
        """A process killed at random moments while compacting loses, doubles and reorders nothing."""
        self._killed(tmp_path / "store", "compact", "compact ", numbered)

    def _killed(self, path: Path, task: str, moment: str, batch: Callable[[int], Batch]) -> None:
        """Kill a worker again and again on one store; after each kill the store is whole and goes on."""
        choose = random.Random(task)
        oracle, written, pace = MemoryBackend(), 0, 0.005
        for turn in range(self.kills):
            with Worker(self.spawnable(), path, task, written, _PLENTY) as worker:
                _reach(worker, moment)
                started, acts = time.perf_counter(), choose.randrange(1, 4)
                for _ in range(acts):
                    _reach(worker, moment)
                pace = (pace + (time.perf_counter() - started) / acts) / 2
                time.sleep(choose.uniform(0, 1.2 * pace))
            ended = [int(line.split()[1]) for line in worker.lines if line.startswith("end")]
            begun = [int(line.split()[1]) for line in worker.lines if line.startswith("begin")]
            for number in range(written, ended[-1] + 1 if ended else written):
                oracle.write(batch(number))
            written = max([written, *(number + 1 for number in ended)])
            with self.store(path) as store:
                under_way = {written: batch(written)} if begun and begun[-1] == written else {}
                if _continues(store, oracle, under_way, f"{task}, kill {turn}"):
                    written += 1
                after = stored(f"after {turn}", MIDNIGHT + turn)
                store.write(Batch([after]))
                oracle.write(Batch([after]))
            with self.store(path) as store:
                agree(content(store), content(oracle), f"{task}, after kill {turn} and one more record")


def _reach(worker: Worker, moment: str) -> None:
    must(worker.wait_for(moment), "the other process ended by itself:\n" + "\n".join(worker.lines[-30:]))


def _continues(store: BackendBase, oracle: MemoryBackend, under_way: dict[int, Batch], when: str) -> bool:
    """Tell whether the batch that was under way is there whole; with or without it all must be right."""
    found = content(store)
    for number, batch in under_way.items():
        if any(record["data"].get("n") == number for record in found):
            oracle.write(batch)
            agree(found, content(oracle), f"{when}: batch {number} was under way and is there in part")
            return True
    agree(found, content(oracle), f"{when}: what was acknowledged")
    return False

"""Many processes that change one record: a history without gaps, in which no update is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from moai_patterns import PatternStorage
from moai_patterns.backends.base import BackendBase, Batch
from moai_patterns.errors import ConflictError
from torture.acts import DAYS, opened, record
from torture.crowd import Crowd
from torture.promise import Promise, Tally, must

_PROCESSES = 32
_UPDATES = 10
_CASES = 320
_BACKENDS = ("filesystem", "sqlite")


class Update(NamedTuple):
    """An update that was acknowledged, and between which moments (monotonic nanoseconds)."""

    token: str
    began: int
    ended: int


class Contest:
    """One store with two records that everybody changes.

    `saved` is saved over and over, whatever it was. `counted` is read and written back, with what was
    read in it, and only if nobody changed it meanwhile.
    """

    def __init__(self, backend: str, place: Path) -> None:
        self._backend, self._place = backend, place

    def run(self, numbers: Sequence[int], tally: Tally) -> None:
        """Let processes update at once. Raises `BrokenPromiseError` when the history is no line of it all."""
        with Crowd() as crowd:
            for process in range(_PROCESSES):
                mine = [number for number in numbers if number % _PROCESSES == process]
                crowd.add(lambda process=process, mine=mine: self._update(process, mine))  # type: ignore[misc]
            crowd.add_endless(self._compact)
            crowd.begin()
            crowd.end()
        with self._storage() as storage:
            for name in ("saved", "counted"):
                found = list(_verbs(storage).history(name))
                history = [one["data"] for one in found]
                revisions = [one["_meta"]["revision"] for one in found]
                must(revisions == list(range(1, len(history) + 1)), f"revisions of {name!r}: {revisions}")
                self._must_be_a_line([data["token"] for data in history], self._told(name))
                if name == "counted":
                    _must_be_a_chain(history)
            problems = storage.check(read_data=True)
            must(not problems, f"check finds {[str(problem) for problem in problems[:3]]}")
        refused = sum(int(file.read_text()) for file in self._place.glob("refused-*"))
        tally.add("updates", len(numbers) * _UPDATES * 2)
        tally.add("updates refused because somebody else was first", refused)
        tally.fired(refused)

    @contextmanager
    def _storage(self) -> Iterator[PatternStorage]:
        with closing(opened(self._backend, self._place / "store")) as storage:
            yield storage

    def _compact(self) -> None:
        time.sleep(0.05)
        with self._storage() as storage:
            storage.compress_old_files()

    def _update(self, process: int, numbers: Sequence[int]) -> None:
        refused = 0
        told: dict[str, list[Update]] = {"saved": [], "counted": []}
        with self._storage() as storage:
            for token in (f"{number}-{n}" for number in numbers for n in range(_UPDATES)):
                began = time.monotonic_ns()
                storage.save(_with_data("saved", {"token": token}))
                told["saved"].append(Update(token, began, time.monotonic_ns()))
                began = time.monotonic_ns()
                while not _counted_on(storage, token):
                    refused += 1
                told["counted"].append(Update(token, began, time.monotonic_ns()))
        for name, updates in told.items():
            lines = (f"{update.token} {update.began} {update.ended}\n" for update in updates)
            (self._place / f"{name}-{process}").write_text("".join(lines))
        (self._place / f"refused-{process}").write_text(str(refused))

    def _told(self, name: str) -> dict[str, Update]:
        words = [
            line.split() for file in self._place.glob(f"{name}-*") for line in file.read_text().splitlines()
        ]
        return {token: Update(token, int(began), int(ended)) for token, began, ended in words}

    def _must_be_a_line(self, tokens: Sequence[str], told: dict[str, Update]) -> None:
        """Each acknowledged update stands there once, and none before one that was over when it began."""
        must(len(set(tokens)) == len(tokens), "an update is there twice")
        must(set(tokens) == set(told), f"{len(told)} updates were acknowledged, {len(tokens)} are there")
        latest = 0
        for token in tokens:
            must(told[token].ended > latest, f"{token} stands behind an update that began after it was over")
            latest = max(latest, told[token].began)


def _counted_on(storage: PatternStorage, token: str) -> bool:
    """Put what was read last into the next revision; False when somebody else was first."""
    head = _verbs(storage).get("counted")
    before: dict[str, Any] = {"token": "", "count": 0} if head is None else head["data"]
    revision = 1 if head is None else head["_meta"]["revision"] + 1
    data = {"token": token, "count": before["count"] + 1, "after": before["token"]}
    meta = {"instant": DAYS[0] * 86_400_000_000, "revision": revision, "recorded_at": 0, "operation": "save"}
    try:
        storage.backend.write(Batch([{**_with_data("counted", data), "_meta": meta}]))
    except ConflictError:
        return False
    return True


def _verbs(storage: PatternStorage) -> BackendBase:
    assert isinstance(storage.backend, BackendBase)
    return storage.backend


def _with_data(name: str, data: dict[str, Any]) -> dict[str, Any]:
    one = record(name, 0, DAYS[0])
    return {**one, "timestamp": "2025-11-20T00:00:00Z", "data": {**one["data"], **data}}


def _must_be_a_chain(history: Sequence[dict[str, Any]]) -> None:
    for earlier, later in pairwise([{"token": "", "count": 0}, *history]):
        follows = (later["count"], later["after"]) == (earlier["count"] + 1, earlier["token"])
        must(follows, f"{later['token']} follows {later['after']}, and stands behind {earlier['token']}")


def _run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    for at, backend in enumerate(_BACKENDS):
        if mine := [number for number in numbers if number // _CASES == at]:
            here = place / backend
            here.mkdir()
            Contest(backend, here).run(mine, tally)


PROMISES = [
    Promise(
        name="updates",
        sentence="32 processes change one record, by saving over it and by compare and set: its history is "
        "one line without gaps, in the order of what was acknowledged, and no update is lost",
        cases=lambda: _CASES * len(_BACKENDS),
        run=_run,
        fast=64,
        chunk=_CASES,
        together=_PROCESSES,
        alone=True,
    )
]

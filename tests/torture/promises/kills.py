"""Processes killed at random moments of everything that a store does."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from forks import child
from torture.acts import ALL_VERBS, KEEPING, Actor, Model, Program, compact, opened
from torture.ledger import Story, heard, perform, understood
from torture.oracle import Open, judge
from torture.promise import BrokenPromiseError, Promise, Tally

# So many kills come to one store before a new one is begun, so that looking through it stays quick.
_ROUNDS = 10
_BACKENDS = ("filesystem", "sqlite")
_LEVELS = ("os", "group", "record")
_LONGEST = 0.015  # seconds
_PROGRAM = (*ALL_VERBS, "save", "update", *KEEPING)


def run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case is a kill; cases that follow each other come to the same store."""
    for group in sorted({number // _ROUNDS for number in numbers}):
        wanted = [number for number in numbers if number // _ROUNDS == group]
        path = place / str(group)
        path.mkdir()
        model: Model = {}
        for number in wanted:
            try:
                model = _killed(number, path, model, tally)
            except BrokenPromiseError as error:
                raise BrokenPromiseError(f"kill {number}: {error}") from error


def _killed(number: int, place: Path, before: Model, tally: Tally) -> Model:
    choose = random.Random(number)
    turn, backend_number = divmod(number // _ROUNDS, len(_BACKENDS))
    backend, level = _BACKENDS[backend_number], _LEVELS[turn % len(_LEVELS)]
    open_it = partial(opened, backend, place / "store", level)
    program = Program(number, _PROGRAM, before)
    reading, writing = os.pipe()
    group = child(lambda: _work(program, open_it, writing, with_compaction=number % 2 == 1))
    os.close(writing)
    first = os.read(reading, 1)  # the clock starts when the first act does: opening is killed by other cases
    time.sleep(choose.uniform(0, _LONGEST))
    os.killpg(group, signal.SIGKILL)
    _, status = os.waitpid(group, 0)
    said = understood(first + heard(reading))
    if said.failed or not os.WIFSIGNALED(status):
        raise BrokenPromiseError(f"the writer ended by itself: {said.failed or status}")
    story = Story(program, before)
    story.advance(said.acknowledged)
    tally.fired()
    tally.add("acts acknowledged", said.acknowledged)
    tally.add("killed amid an act", said.is_amid)
    tally.add(f"killed at {level}")
    return judge(open_it, story.model, [story.next()] if said.is_amid else [])


def _work(program: Program, open_it: Open, pipe: int, *, with_compaction: bool) -> None:
    os.setpgid(0, 0)
    if with_compaction:
        child(lambda: _compact(open_it))
    with closing(open_it()) as storage:
        perform(Actor(storage), program, pipe)


def _compact(open_it: Open) -> None:
    """Compact without end, beside the writer."""
    while True:
        with closing(open_it()) as storage:
            compact(storage)


PROMISES = (
    Promise(
        name="kills",
        sentence="`kill -9` of a process group at a random moment of save, update, delete, compaction, "
        "retention, copy and import, at each durability level: nothing acknowledged is lost, torn or double",
        cases=lambda: 100_000,
        run=run,
        fast=2_000,
        chunk=1_000,
        together=_ROUNDS,
        shards=4,
    ),
)

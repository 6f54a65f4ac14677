"""Power cut for real, on an ext4 of our own, at random moments of everything that a store does."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from forks import child
from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem import hotlog, torn
from torture.acts import ALL_VERBS, Act, Actor, Program, compact, opened
from torture.ledger import Said, Story, heard, perform, understood
from torture.loop_disk import LoopDisk
from torture.oracle import Open, judge, judge_after_loss
from torture.promise import MOUNT, BrokenPromiseError, Promise, Tally

_LONGEST = 0.06  # seconds
_RECOVERY = 0.006
_PAUSE = 0.05  # longer than the cut takes to come
_RESTS = 12
# A line of a session that is under way waits for the medium at level `record` alone.
_VERBS = {"record": ALL_VERBS, "group": [verb for verb in ALL_VERBS if verb != "line"], "os": ALL_VERBS}


def run(level: str, numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case is a cut, every third one with a second cut amid the recovery from it."""
    with LoopDisk(place) as disk:
        for number in numbers:
            try:
                _cut(level, number, disk, tally)
            except BrokenPromiseError as error:
                raise BrokenPromiseError(f"power cut {number} at level {level}: {error}") from error


def _cut(level: str, number: int, disk: LoopDisk, tally: Tally) -> None:
    choose = random.Random(f"{level} {number}")
    backend = ("filesystem", "sqlite")[number % 2]
    program = Program(number, _VERBS[level])
    disk.begin()
    open_it = partial(opened, backend, disk.root / "store", level)
    said = _work_and_cut(open_it, program, number, disk, choose)
    if said.failed:
        raise BrokenPromiseError(f"act {said.begun - 1} failed although all still worked: {said.failed}")
    _restart(disk, choose)
    if number % 3 == 0:
        _cut_recovery(open_it, disk, choose, tally)
    tally.fired()
    tally.add("acts acknowledged", said.acknowledged)
    tally.add("cut amid an act", said.is_amid)
    acts = iter(program)
    begun = [next(acts) for _ in range(said.begun)]
    if level == "os":
        judge_after_loss(open_it, begun)
    else:
        _judge(open_it, begun, said.acknowledged)


def _work_and_cut(
    open_it: Open, program: Program, number: int, disk: LoopDisk, choose: random.Random
) -> Said:
    """Cut at a random moment, or every fifth time right after an act was acknowledged."""
    reading, writing = os.pipe()
    at_rest = number % 5 == 0
    act = partial(perform, acts=program, pipe=writing, pause=_PAUSE if at_rest else 0.0)
    group = child(lambda: _work(open_it, act, number))
    os.close(writing)
    text = os.read(reading, 1)
    if at_rest:
        wanted = choose.randint(1, _RESTS)
        while text.count(b"=") < wanted and (more := os.read(reading, 1 << 16)):
            text += more
    else:
        time.sleep(choose.uniform(0, _LONGEST))
    cut = disk.cut()
    _kill(group)
    return understood(text + heard(reading), cut)


def _judge(open_it: Open, begun: list[Act], acknowledged: int) -> None:
    """What was said after the cut is no promise, so any number of the last acts may be there or not."""
    story = Story(begun)
    story.advance(acknowledged)
    judge(open_it, story.model, begun[acknowledged:], after_power_cut=True)


def _work(open_it: Open, act: Callable[[Actor], None], number: int) -> None:
    os.setpgid(0, 0)
    if number % 4 > 1:
        child(lambda: _compact(open_it))
    _be_silent()
    with closing(open_it()) as storage:
        act(Actor(storage))


def _compact(open_it: Open) -> None:
    """Open and compact without end, as whoever comes after a fault and beside a writer does."""
    _be_silent()
    while True:
        with closing(open_it()) as storage:
            compact(storage)


def _cut_recovery(open_it: Open, disk: LoopDisk, choose: random.Random, tally: Tally) -> None:
    """Cut the power again while the next process opens and compacts what the first cut left."""
    group = child(lambda: _compact(open_it))
    time.sleep(choose.uniform(0, _RECOVERY))
    disk.cut()
    _kill(group)
    _restart(disk, choose)
    tally.add("recoveries cut")


def _be_silent() -> None:
    """Print nothing: that everybody fails on a dead medium is no news, and the ledger tells of others."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _kill(leader: int) -> None:
    """Kill a process and its group, if it leads one already; it may have failed by itself."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(leader, signal.SIGKILL)
    os.waitpid(leader, 0)


def _restart(disk: LoopDisk, choose: random.Random) -> None:
    """Mount again what is on the medium, and be a machine that has just been started."""
    disk.unmount()
    disk.mount()
    started = time.time_ns() // 1000
    torn.booted = lambda: started
    hotlog._boot[:] = [choose.getrandbits(60)]


def _control(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """With the flush of directories taken out, records that were acknowledged must be found lost."""
    flush = fileops.sync_dir
    fileops.sync_dir = lambda path: None
    try:
        for number in numbers:
            try:
                run(
                    "record", [number * 10], place / str(number), Tally()
                )  # a tree, and a pause after each act
            except BrokenPromiseError as error:
                tally.add("cuts that lost records", "not what was acknowledged" in str(error))
    finally:
        fileops.sync_dir = flush
    tally.fired(tally.counts["cuts that lost records"])


def _promise(level: str, sentence: str, full: int, fast: int, shards: int) -> Promise:
    return Promise(
        name=f"power-cuts-{level}",
        sentence=f"power cut at level `{level}`, a third with a second cut amid the recovery: {sentence}",
        cases=lambda: full,
        run=partial(run, level),
        fast=fast,
        chunk=250,
        shards=shards,
        needs=(MOUNT,),
    )


PROMISES = (
    _promise("record", "nothing acknowledged is lost", 10_000, 300, 3),
    _promise("group", "nothing acknowledged is lost", 2_000, 30, 1),
    _promise("os", "nothing is torn, mixed up or in the way of what is there", 2_000, 30, 1),
    Promise(
        name="power-cuts-control",
        sentence="with the flush of directories taken out, the same cuts are seen to lose records",
        cases=lambda: 100,
        run=_control,
        fast=6,
        chunk=50,
        needs=(MOUNT,),
    ),
)

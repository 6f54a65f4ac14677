"""What a worker said before it died: a line before each act, and one after, on a pipe that outlives it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torture.acts import Act, Actor, Model


@dataclass(frozen=True)
class Said:
    """How far a worker came: so many acts acknowledged, so many begun; how one failed, if one did."""

    acknowledged: int
    begun: int
    failed: str = ""

    @property
    def is_amid(self) -> bool:
        """Whether an act was begun and never acknowledged."""
        return self.begun > self.acknowledged


def perform(actor: Actor, acts: Iterable[Act], pipe: int, pause: float = 0.0) -> None:
    """Do acts, and say so before and after each, and if one fails; rest for `pause` seconds between them."""
    for act in acts:
        os.write(pipe, b"+%d\n" % time.monotonic_ns())
        try:
            actor.perform(act)
        except BaseException as error:
            said = f"{error!r:.1000}".encode("ascii", "backslashreplace")
            os.write(pipe, b"!%d %b\n" % (time.monotonic_ns(), said))
            raise
        os.write(pipe, b"=%d\n" % time.monotonic_ns())
        time.sleep(pause)


def heard(pipe: int) -> bytes:
    """Read all that was said until every writer of the pipe is gone, and close it."""
    parts = []
    while part := os.read(pipe, 1 << 16):
        parts.append(part)
    os.close(pipe)
    return b"".join(parts)


def understood(text: bytes, cut: int | None = None) -> Said:
    """Return how far a worker came.

    What it said after `cut` (monotonic nanoseconds) counts as not acknowledged: the medium was dead by then.
    """
    lines = [line[:-1].partition(b" ") for line in text.splitlines(keepends=True) if line.endswith(b"\n")]
    words = [(head[:1], int(head[1:]), rest.decode()) for head, _, rest in lines]
    before = [(word, said) for word, moment, said in words if cut is None or moment < cut]
    return Said(
        acknowledged=sum(word == b"=" for word, _ in before),
        begun=sum(word == b"+" for word, _, _ in words),
        failed=next((said for word, said in before if word == b"!"), ""),
    )


class Story:
    """The models that a program passes through.

    Parameters:
        acts: the program, from its start.
        model: what the store held before it.
    """

    def __init__(self, acts: Iterable[Act], model: Model | None = None) -> None:
        self._acts: Iterator[Act] = iter(acts)
        self.model: Model = dict(model or {})
        self.number = 0

    def advance(self, count: int) -> None:
        """Take `count` further acts as done."""
        for _ in range(count):
            self.model = next(self._acts).applied(self.model)
            self.number += 1

    def next(self) -> Act:
        """Return the act that comes next, without taking it as done."""
        act = next(self._acts)
        self._acts = _again(act, self._acts)
        return act


def _again(first: Act, others: Iterator[Act]) -> Iterator[Act]:
    yield first
    yield from others

"""That harness B sees everything: what changes a tree goes through what its recorder listens to."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from moai_patterns.backends import fileops
from torture.faulted import Setting, Stores
from torture.operations import Operation, Place, operations
from torture.promise import STRACE
from torture.recording import RecordingOs
from torture.strace import Call, Stage, surroundings, traced

_ENTER, _LEAVE = "enter", "leave"
# A lock and a mode are no content: a power cut frees the one, and the other is asked for when a file is made.
_NO_CONTENT = ("flock", "fchmod", "chmod", "fchmodat")


class _MarkingOs:
    """`os` as the recorder would replace it, with a mark in the trace around each call that it notes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._marked(real) if name in vars(RecordingOs) else real

    def _marked(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self._mark(_ENTER)
            try:
                return real(*arguments, **options)
            finally:
                self._mark(_LEAVE)

        return call

    def _mark(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.rmdir(self._root / name)


def unseen(calls: list[Call]) -> list[str]:
    """Return the calls that came from elsewhere than between two marks."""
    depth, found = 0, []
    for call in calls:
        if call.path in (_ENTER, _LEAVE):
            depth += 1 if call.path == _ENTER else -1
        elif depth == 0 and call.name not in _NO_CONTENT:
            found.append(call.text)
    return found


def calls_of(operation: Operation, level: str, root: Path) -> list[Call]:
    """Return what an operation changes, with a mark around each call that the recorder hears of."""

    def work(stage: Stage) -> None:
        setattr(fileops, "os", _MarkingOs(root))  # noqa: B010  in this process, which ends with the operation
        place = Place(root, "filesystem", level)
        operation.begin(place)
        stage.begin()
        operation.perform(place)
        os._exit(0)

    with surroundings(XDG_STATE_HOME=str(root), TMPDIR=str(root)):
        done = traced(work, root)
    assert done.status == 0
    return done.calls


@pytest.mark.parametrize("name", [n for n, one in operations().items() if "filesystem" in one.backends])
def test_the_recorder_hears_of_all_that_changes_a_tree(tmp_path: Path, name: str) -> None:
    """Under `strace` no call changes a file of a tree but those that harness B records."""
    if not STRACE.is_met():
        pytest.skip("torture: needs strace")
    stores = Stores(tmp_path)
    for level in operations()[name].levels:
        calls = calls_of(operations()[name], level, stores.fresh(Setting(name, "filesystem", level)))
        assert any(call.path == _ENTER for call in calls)
        assert unseen(calls) == []

"""One operation with one fault in one of its system calls, and the judgement on what it leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

from moai_patterns.errors import PatternError
from torture.acts import DAYS, Act, Model, opened, record
from torture.operations import Operation, Place, applied, operations
from torture.oracle import everything, judge
from torture.promise import BrokenPromiseError
from torture.strace import Call, Stage, Traced, surroundings, traced

# Dies at the end of the call, before another instruction of its own: SIGKILL comes before the call.
_AFTER = signal.SIGUSR2
_DEATHS = {"killed before": signal.SIGKILL, "killed after": _AFTER}
KILLS = tuple(_DEATHS)
# Half of the bytes are written, and the caller is told so; `strace` can only lie about that.
SHORT = "a short write"
_WRITES = {"write": "write", "pwrite64": "pwrite"}
_COUNT = re.compile(r", (\d+)(?:, \d+)?\) = ")
# A file that the worker makes beside the store: in the trace it ends the operation.
_MARK = "mark"
_ATTEMPTS = 6
_PAUSE = 0.025
_SECOND = Act(1, "save", (record("second", 0, DAYS[3]),))
_THIRD = Act(2, "save", (record("third", 0, DAYS[3]),))


@dataclass(frozen=True)
class Setting:
    """An operation on a backend at a level."""

    operation: str
    backend: str
    level: str

    def __str__(self) -> str:
        return f"{self.operation} ({self.backend}, {self.level})"


@dataclass(frozen=True)
class Point:
    """A fault in one call of an operation.

    `kind` is one of `KILLS`, `SHORT`, an error number's name, or that with a `+`: from this call on, each of
    its name.
    """

    setting: Setting
    call: Call
    kind: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.kind} at {self.call.name} {self.call.number} ({self.call.path})"

    @property
    def inject(self) -> tuple[str, ...]:
        """The fault as `strace` takes it, unless the worker makes it itself."""
        if self.kind == SHORT:
            return ()
        start = f"{self.call.name}:"
        if self.kind in _DEATHS:
            return (f"{start}signal={_DEATHS[self.kind].name.removeprefix('SIG')}:when={self.call.number}",)
        lasts = "+" * self.kind.endswith("+")
        return (f"{start}error={self.kind.rstrip('+')}:when={self.call.number}{lasts}",)


class Stores:
    """The stores that operations begin with, each made once and copied for each run."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._count = 0

    def fresh(self, setting: Setting) -> Path:
        """Return a new directory with the store of this setting."""
        pristine = self._place / f"{setting.operation} {setting.backend} {setting.level}".replace(" ", "-")
        if not pristine.exists():
            pristine.mkdir()
            with surroundings(XDG_STATE_HOME=str(pristine), TMPDIR=str(pristine)):
                operations()[setting.operation].lay(Place(pristine, setting.backend, setting.level))
            for directory in (pristine, *(found for found in pristine.rglob("*") if found.is_dir())):
                os.utime(directory, (0, 0))
        self._count += 1
        root = self._place / f"run-{self._count}"
        shutil.copytree(pristine, root)
        return root


def calls_of(setting: Setting, stores: Stores) -> list[Call]:
    """Return the calls by which an operation changes something, in their order."""
    root = stores.fresh(setting)
    operation = operations()[setting.operation]

    def work(stage: Stage) -> None:
        place = Place(root, setting.backend, setting.level)
        _begin(operation, place)
        stage.begin()
        operation.perform(place)
        stage.say("done")
        os._exit(0)  # before the collector closes anything

    with surroundings(XDG_STATE_HOME=str(root), TMPDIR=str(root)):
        done = traced(work, root)
    if (done.status, done.said) != (0, ["done"]):
        raise BrokenPromiseError(f"{setting}: it fails without any fault")
    shutil.rmtree(root)
    return done.calls


def _begin(operation: Operation, place: Place) -> None:
    operation.begin(place)
    if place.level != "os":
        # Of directories that have changed just now more is flushed: always the same after a pause.
        time.sleep(_PAUSE)


def run(point: Point, stores: Stores) -> Traced:
    """Let an operation meet its fault and judge what it leaves. Raises `BrokenPromiseError`.

    What a store flushes depends on the clock too: where the call did not come this time, it is done again.
    """
    for left in reversed(range(_ATTEMPTS)):
        root = stores.fresh(point.setting)
        with surroundings(XDG_STATE_HOME=str(root), TMPDIR=str(root)):
            try:
                done = traced(partial(_work, point, root), root, *point.inject)
                if left and not _is_there(point, done):
                    continue
                _must_have_come(point, done)
                _judge(point, done, root)
            except BrokenPromiseError as error:
                raise BrokenPromiseError(f"{point}: {error}") from error
            finally:
                shutil.rmtree(root)
        return done
    raise AssertionError("unreachable")


def _is_there(point: Point, done: Traced) -> bool:
    """Tell whether the operation came to the call, and it is the one that was meant."""
    same = [call for call in acted(done) if (call.name, call.number) == (point.call.name, point.call.number)]
    return bool(same) and _place(same[0]) == _place(point.call)


def _place(call: Call) -> str:
    """Return the path of a call, without what is new each time."""
    return re.sub(r"tmp/.*|\d{19}", "*", call.path)


def _work(point: Point, root: Path, stage: Stage) -> None:
    operation = operations()[point.setting.operation]
    place = Place(root, point.setting.backend, point.setting.level)
    _begin(operation, place)
    stage.begin()
    if point.kind == SHORT:
        _shorten(point.call, root)
    _told(stage, "act", lambda: operation.perform(place), is_silent=operation.is_silent)
    _mark(root)
    _told(stage, "second", lambda: place.storage.save(_SECOND.puts[0]))
    stage.recover()
    if operation.finish is not None:
        _told(stage, "finish", lambda: operation.finish and operation.finish(place))
    _told(stage, "third", lambda: place.storage.save(_THIRD.puts[0]))
    _told(stage, "close", lambda: _see(stage, place))


def _shorten(call: Call, root: Path) -> None:
    """Let this write below the directory write half of what it is given."""
    name = _WRITES[call.name]
    real: Callable[..., int] = getattr(os, name)
    left = [call.below]

    def write(descriptor: int, data: bytes, *rest: int) -> int:
        left[0] -= os.readlink(f"/proc/self/fd/{descriptor}").startswith(f"{root}/")
        if left[0] == 0:
            left[0] = -1
            data = data[: len(data) // 2]
        return real(descriptor, data, *rest)

    setattr(os, name, write)


def _mark(root: Path) -> None:
    with suppress(OSError):  # the call stands in the trace also when it fails
        os.close(os.open(root / _MARK, os.O_WRONLY | os.O_CREAT))


def acted(done: Traced) -> list[Call]:
    """Return the calls of the operation itself, without those of what came after it."""
    return list(takewhile(lambda call: call.path != _MARK, done.calls))


def _see(stage: Stage, place: Place) -> None:
    stage.say("saw " + json.dumps(everything(place.storage), sort_keys=True))
    place.close()


def _told(stage: Stage, what: str, act: Callable[[], object], *, is_silent: bool = False) -> None:
    """Do something, and tell how it went."""
    try:
        act()
        stage.say(f"{what}: done")
    except PatternError as error:
        stage.say(f"{what}: refused {type(error).__name__}: {error}")
    except Exception:
        stage.say(f"{what}: refused" if is_silent else f"{what}: raised {traceback.format_exc()}")


def _must_have_come(point: Point, done: Traced) -> None:
    """Raise unless the fault came, and came where it was meant to."""
    same = [call for call in done.calls if (call.name, call.number) == (point.call.name, point.call.number)]
    if not same:
        raise AssertionError(f"{point}: there is no such call this time")
    if point.kind in _DEATHS:
        if done.signal != _DEATHS[point.kind] or same[0] != done.calls[-1]:
            raise AssertionError(f"{point}: it did not die there: {done.status} {done.calls[-1:]}")
    elif point.kind == SHORT:
        if _asked(same[0]) * 3 > _asked(point.call) * 2:
            raise AssertionError(f"{point}: nothing was cut off: {same[0]}")
    elif not same[0].injected:
        raise AssertionError(f"{point}: no error was put in: {same[0]}")


def _asked(call: Call) -> int:
    """Return how many bytes a write was to write."""
    found = _COUNT.search(call.text)
    assert found is not None, call
    return int(found[1])


def _judge(point: Point, done: Traced, root: Path) -> None:
    operation = operations()[point.setting.operation]
    said = dict(line.split(": ", 1) for line in done.said if ": " in line and not line.startswith("saw "))
    raised = [line for line in done.said if ": raised " in line]
    if raised:
        raise BrokenPromiseError(f"an error that is none of ours: {raised}")
    model = operation.model()
    pending = [] if operation.is_kept or said.get("act") == "done" else [operation.act]
    if not pending:
        model = applied([operation.act], model)
    place = Place(root, point.setting.backend)
    if point.kind not in _DEATHS:
        model = _with_later_saves(point, said, model, place)
    if operation.finish is not None:
        operation.finish(place)
        place.close()
    open_it = partial(opened, place.backend, place.path)
    found = judge(open_it, model, pending, after_power_cut=operation.finish is not None)
    saw = [json.loads(line.removeprefix("saw ")) for line in done.said if line.startswith("saw ")]
    as_read = json.loads(json.dumps(found))
    if saw and saw[0] != as_read:
        wrong = {name for name in {*saw[0], *as_read} if saw[0].get(name) != as_read.get(name)}
        # What waits in a spool, because a capture or a drain met the fault, goes in with the next opening.
        waits = operation.is_kept or operation.is_silent
        if not waits or wrong - operation.act.touched:
            raise BrokenPromiseError(
                f"the process that met the fault does not see {sorted(wrong)} as they are"
            )


def _with_later_saves(point: Point, said: dict[str, str], model: Model, place: Place) -> Model:
    """Return the model with what the same process has saved after the fault; see that it could."""
    lasts = point.kind.endswith("+") or operations()[point.setting.operation].finish is not None
    for what in ("third", "close") if lasts else ("second", "third", "close"):
        if said.get(what) != "done":
            raise BrokenPromiseError(
                f"the fault is over, but {what}: {said.get(what)}; act: {said.get('act')}"
            )
    acts = [_THIRD]
    if said["second"] == "done":
        acts.append(_SECOND)
    else:
        with opened(place.backend, place.path) as storage:
            acts += [_SECOND] if storage.load("second") is not None else []
    return applied(acts, model)


@cache
def points(settings: tuple[Setting, ...], kinds: Callable[[Call], Sequence[str]]) -> list[Point]:
    """Return the points of these operations: their calls as they are found now, each with its kinds."""
    _warmed()
    found = []
    with TemporaryDirectory(dir=in_memory()) as name:
        stores = Stores(Path(name))
        for setting in settings:
            for call in calls_of(setting, stores):
                found += [Point(setting, call, kind) for kind in kinds(call)]
    return found


def in_memory() -> str | None:
    """Return a directory in memory, or None where there is none."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@cache
def _warmed() -> None:
    """Load whatever any operation loads: a worker that loads it itself makes more calls than others."""
    with TemporaryDirectory(dir=in_memory()) as name:
        stores = Stores(Path(name))
        for operation in operations().values():
            for backend in operation.backends:
                _warm(operation, backend, stores)


def _warm(operation: Operation, backend: str, stores: Stores) -> None:
    for level in operation.levels:
        root = stores.fresh(Setting(operation.name, backend, level))
        with surroundings(XDG_STATE_HOME=str(root), TMPDIR=str(root)):
            place = Place(root, backend, level)
            operation.begin(place)
            operation.perform(place)
            place.close()
            model = applied([operation.act], operation.model())
            quarantined = operation.finish is not None
            judge(partial(opened, backend, place.path), model, after_power_cut=quarantined)

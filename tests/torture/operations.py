"""Every operation that changes a store, each on a small store that has something in all of its forms."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from moai_patterns import PatternStorage, spool
from moai_patterns.collect import hook
from moai_patterns.instant import DAY, instant
from torture.acts import DAYS, NOW, Act, Actor, Model, Record, imported, opened, payloads, record

BACKENDS = ("filesystem", "sqlite")
_STORE = "store"
_LONG = 3000  # bytes of a text that does not fit into one page of a database
# A fault that does not end must not be waited out for half a minute.
_TIMEOUT = 0.3


@dataclass
class Place:
    """A directory with a store in it and what lies beside it, as one process works on it.

    Parameters:
        root: the directory.
        backend, level: of the store.
    """

    root: Path
    backend: str
    level: str = "os"

    def __post_init__(self) -> None:
        self._storage: PatternStorage | None = None
        self._actor: Actor | None = None

    @property
    def path(self) -> Path:
        """The path that the store is opened by."""
        return self.root / _STORE

    @property
    def storage(self) -> PatternStorage:
        """The store, opened when it is not."""
        if self._storage is None:
            self._storage = opened(self.backend, self.path, self.level, _TIMEOUT)
        return self._storage

    def perform(self, act: Act) -> None:
        """Do an act; sessions go on from one to the next."""
        if self._actor is None:
            self._actor = Actor(self.storage)
        self._actor.perform(act)

    def close(self) -> None:
        """End the session and close the store."""
        storage, self._storage, self._actor, actor = self._storage, None, None, self._actor
        try:
            if actor is not None:
                actor.close()
        finally:
            if storage is not None:
                storage.close()


@dataclass(frozen=True)
class Operation:
    """Something that a process does to a store.

    Parameters:
        name: as reports call it.
        act: what it makes of the model.
        do: does it; by default as its act says.
        given: what the same process has done by then, unharmed.
        stored: what other processes have done by then.
        opens: whether it begins with opening the store.
        is_new: whether there is no store yet.
        is_kept: whether what it stores is acknowledged already: it waits in a spool.
        is_silent: whether whoever does it is never told that it failed.
        finish: what has to be done, when a fault came in between, before all is well; it leaves a quarantine.
        backends, levels: those at which it is something of its own.
    """

    name: str
    act: Act
    do: Callable[[Place], object] | None = None
    given: tuple[Act, ...] = ()
    stored: Callable[[Place], object] | None = None
    opens: bool = False
    is_new: bool = False
    is_kept: bool = False
    is_silent: bool = False
    finish: Callable[[Place], object] | None = None
    levels: tuple[str, ...] = ("os", "group", "record")
    backends: tuple[str, ...] = BACKENDS

    def model(self) -> Model:
        """Return what the store holds before it."""
        return applied([] if self.is_new else [*_SAVED, *self.given])

    def lay(self, place: Place) -> None:
        """Make the store as other processes have left it."""
        if not self.is_new:
            for act in _SAVED:
                place.perform(act)
            place.close()
        if self.stored is not None:
            self.stored(place)

    def begin(self, place: Place) -> None:
        """Do what its process has done before."""
        if not self.opens:
            place.storage.count()
        for act in self.given:
            place.perform(act)

    def perform(self, place: Place) -> None:
        """Do it."""
        if self.do is None:
            place.perform(self.act)
        else:
            self.do(place)


# What the store holds: a compacted day with a history, a day that is half compacted, hot files, journals.
_SAVED = (
    Act(0, "many", tuple(record(f"cold-{n}", 0, DAYS[0]) for n in range(4))),
    Act(1, "save", (record("cold-4", 0, DAYS[1]),)),
    Act(2, "update", (record("cold-1", 1, DAYS[0]),)),
    Act(3, "compact"),
    Act(4, "save", (record("hot-0", 0, DAYS[1]),)),
    Act(5, "save", (record("hot-1", 0, DAYS[3], _LONG),)),
    Act(6, "update", (record("cold-2", 1, DAYS[2]),)),
    Act(7, "many", (record("hot-2", 0, DAYS[1]), record("hot-1", 1, DAYS[3]), record("late", 0, DAYS[0]))),
    Act(8, "session", (record("said-0", 0, DAYS[2]), record("said-1", 0, DAYS[3]))),
    Act(9, "delete", removes=("cold-3", "said-0")),
)
_COPIED = (record("new", 0, DAYS[1]), record("new", 1, DAYS[2], _LONG), record("hot-0", 1, DAYS[3]))
_STREAM = tuple(record(f"new-{n}", 0, DAYS[n % 4]) for n in range(5))
_NEW = Act(0, "save", (record("new", 0, DAYS[3]),))
_BEGUN = Act(0, "save", (record("begun", 0, DAYS[2]),))
# What an SQLite store can give back: pages that became free amid the file.
_BULKY = tuple(record(f"bulky-{n}", 0, DAYS[n % 4], _LONG) for n in range(8))
_EMPTIED = (
    Act(0, "many", _BULKY),
    _BEGUN,
    Act(0, "delete", removes=tuple(one["pattern_id"] for one in _BULKY)),
)
_FIRST_LINE = Act(0, "line", (record("line-0", 0, DAYS[2]),))
_WAITING = tuple(record(f"waits-{n}", 0, DAYS[n]) for n in range(3))
_PAYLOAD = b'{"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "a prompt"}'
_CUTOFF = DAYS[2]


def applied(acts: Iterable[Act], model: Model | None = None) -> Model:
    """Return the model after these acts."""
    found = dict(model or {})
    for act in acts:
        found = act.applied(found)
    return found


def _capture(place: Place) -> None:
    name = "file" if place.backend == "filesystem" else "sqlite"
    environ = {**os.environ, "MOAI_PATTERNS_STORE": f"{name}:{place.path}"}
    setattr(hook, "new_id", lambda _: "captured")  # noqa: B010  so that the parent knows it
    hook.capture(_PAYLOAD, len(_PAYLOAD), arguments=(), environ=environ, now=NOW // 1000)


@cache
def _captured() -> tuple[Record, ...]:
    """Return the records that the hook makes of its payload."""
    target = hook._Target((), {"MOAI_PATTERNS_STORE": "file:/nowhere"}, NOW // 1000)
    target._new_id = lambda: "captured"  # type: ignore[method-assign]
    return tuple(target.records(_PAYLOAD, len(_PAYLOAD)))


def _spool(place: Place) -> None:
    for one in _WAITING:
        meta = {"instant": instant(one["timestamp"]), "revision": 1, "recorded_at": NOW // 1000}
        stored = {**one, "_meta": {**meta, "operation": "save"}}
        spool.put((place.backend, str(place.path)), [stored], os.environ)


def _lay_payloads(place: Place) -> None:
    """Make what is imported, or whoever does so first would make it, and meet its fault there."""
    payloads(3)


def _without_index(place: Place) -> None:
    shutil.rmtree(place.path / "index")


def _damage(place: Place) -> None:
    """Cut a manifest, the index of a segment and the last line of a journal: no record is lost."""
    manifest = place.path / "index.json"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    next(place.path.glob("20*/**/*.idx")).write_bytes(b"no index")
    journal = max(place.path.glob("journal/*.jsonl"))
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))


def _repair(place: Place) -> None:
    place.storage.repair()


def _expired() -> tuple[str, ...]:
    heads = {identity: history[-1] for identity, history in applied(_SAVED).items()}
    return tuple(name for name, head in heads.items() if instant(head["timestamp"]) < _CUTOFF * DAY)


@cache
def operations() -> dict[str, Operation]:
    """Return all operations by name."""
    batch = (record("cold-0", 1, DAYS[1]), record("hot-0", 1, DAYS[2], _LONG), *_STREAM[:3])
    said = (record("hot-0", 1, DAYS[2]), record("new", 0, DAYS[3]), record("cold-0", 1, DAYS[1]))
    line = Act(0, "line", (record("line-1", 0, DAYS[3]),))
    capture = Operation(
        "capture", Act(0, "capture", _captured()), _capture, opens=True, is_silent=True, levels=("os",)
    )
    every = (
        Operation("save", _NEW, given=(_BEGUN,)),
        Operation("update", Act(0, "update", (record("cold-0", 1, DAYS[1], _LONG),)), given=(_BEGUN,)),
        Operation("save_batch", Act(0, "many", batch), given=(_BEGUN,)),
        Operation("save_many", Act(0, "stream", _STREAM, whole=False), _save_many, given=(_BEGUN,)),
        Operation("session", Act(0, "session", said, whole=False), given=(_BEGUN,)),
        Operation("session, next line", line, given=(_FIRST_LINE,)),
        Operation("close", Act(0, "close"), Place.close, given=(_FIRST_LINE,)),
        Operation("delete", Act(0, "delete", removes=("cold-0", "hot-0", "said-1")), given=(_BEGUN,)),
        Operation("compact", Act(0, "compact"), given=_EMPTIED, levels=("os", "record")),
        Operation("maintain", Act(0, "maintain"), lambda place: place.storage.maintain(), levels=("group",)),
        Operation("retain", Act(0, "retain", removes=_expired(), whole=False, cutoff=_CUTOFF)),
        Operation("copy", Act(0, "copy", _COPIED, whole=False), given=(_BEGUN,)),
        Operation(
            "import",
            Act(3, "import", imported(3), whole=False),
            given=(_BEGUN,),
            stored=_lay_payloads,
        ),
        Operation("create", _NEW, opens=True, is_new=True),
        Operation("open", _NEW, opens=True),
        Operation("rebuild", _NEW, opens=True, stored=_without_index, backends=("filesystem",)),
        Operation(
            "drain",
            Act(0, "drain", _WAITING, whole=False),
            lambda place: place.storage,
            stored=_spool,
            opens=True,
            is_kept=True,
        ),
        Operation(
            "repair",
            Act(0, "repair"),
            _repair,
            stored=_damage,
            opens=True,
            finish=_repair,
            levels=("os", "record"),
            backends=("filesystem",),
        ),
        capture,
        replace(capture, name="capture, first", is_new=True),
    )
    return {operation.name: operation for operation in every}


def _save_many(place: Place) -> None:
    place.storage.save_many(_STREAM, batch_size=2)

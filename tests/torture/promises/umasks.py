"""Files and directories private to their owner: under every umask, and from the moment each is made."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from forks import child
from moai_patterns import PatternStorage, spool
from moai_patterns.cli.commands import run as command_line
from moai_patterns.collect import faults, settings
from moai_patterns.collect.hook import capture
from moai_patterns.collect.importing import import_paths
from moai_patterns.collect.redact import load_key
from torture.acts import NOW, SAVING, Actor, Model, Program, opened
from torture.promise import LINUX, ROOT, STRACE, BrokenPromiseError, Promise, Tally
from torture.strace import Call, traced

_BACKENDS = ("filesystem", "sqlite")
_SCHEMES = {"filesystem": "file", "sqlite": "sqlite"}
_UMASKS = 0o1000
_OPEN_TO_OTHERS = 0o077
_PAYLOAD = {"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "token ghp_" + "a1B2" * 9}
Scene = Callable[[Path, str], Iterator[None]]


def saves_and_keeps(place: Path, backend: str) -> Iterator[None]:
    """Every verb, a session that stays open, a second process, and a repair."""
    model: Model = {}
    with opened(backend, place / "deep" / "store", "group") as storage:
        actor = Actor(storage)
        for number, verbs in enumerate(
            ((*SAVING,), ("compact",), (*SAVING, "copy"), ("compact",), ("retain",))
        ):
            for act, _ in zip(
                Program(number, verbs, model), range(1 if len(verbs) == 1 else 5), strict=False
            ):
                actor.perform(act)
                model = act.applied(model)
                yield
        storage.maintain()
        yield
        with PatternStorage(backend, place / "second") as other:
            storage.copy_to(other)
            yield
        actor.close()
    yield


def mends(place: Path, backend: str) -> Iterator[None]:
    """A store with a damaged file of each kind, checked and repaired."""
    path = place / "store"
    with opened(backend, path) as storage:
        actor, model = Actor(storage), dict[str, Any]()
        for verbs, number in ((("save", "many"), 5), (("compact",), 1), (("save", "many"), 5)):
            for act, _ in zip(Program(number, verbs, model), range(number), strict=False):
                actor.perform(act)
                model = act.applied(model)
    yield
    kept = ("*.json", "*.jsonl", "*.gz", "*.db")
    for file in [next(iter(sorted(place.rglob(pattern))), None) for pattern in kept]:
        if file is not None and file.stat().st_size > 9000 * (backend == "sqlite"):
            with file.open("r+b") as damaged:  # nothing is made here
                damaged.seek(file.stat().st_size // 2)
                damaged.write(b"\0")
    shutil.rmtree(path / "index", ignore_errors=True)
    with opened(backend, path) as storage:
        storage.check(read_data=True)
        storage.repair()
        yield
    yield


def captures(place: Path, backend: str) -> Iterator[None]:
    """Hooks, with a credential, with a store that refuses, and with a library that takes in what waited."""
    name = place / ".moai" / "patterns"
    environ = {"MOAI_PATTERNS_STORE": f"{_SCHEMES[backend]}:{name}", "HOME": str(place / "home")}
    raw = json.dumps(_PAYLOAD).encode()
    root = name if backend == "filesystem" else name.with_name("patterns.db")
    for moment in (1, 2):
        capture(raw, len(raw), arguments=[], environ=environ, now=moment)
        yield
    away = root.rename(place / ".moai" / "away")
    root.mkdir(0o700) if backend == "sqlite" else _written(root, b"")
    root.chmod(0o700 if backend == "sqlite" else 0o600)
    capture(raw, len(raw), arguments=[], environ=environ, now=3)
    yield
    root.rmdir() if backend == "sqlite" else root.unlink()
    away.rename(root)
    location = (backend, str(root))
    spool.put(location, [{"pattern_id": "no record", "_meta": {"instant": 1}}], environ)
    for _ in range(200):
        faults.note(location, "write", OSError(errno.EIO, "x" * 400), now=4, environ=environ)
    yield
    for _ in range(spool.ATTEMPTS):
        with opened(backend, name):
            yield
    load_key(str(place / "new" / "store.key"))
    yield


def exports(place: Path, backend: str) -> Iterator[None]:
    """What commands write: exports, an archive, imports; and the settings of the agent, with their mode."""
    store = f"{_SCHEMES[backend]}:{place / 'store'}"
    with opened(backend, place / "store") as storage:
        for act, _ in zip(Program(1, ("save", "many"), {}), range(6), strict=False):
            Actor(storage).perform(act)
    lines, payloads = place / "all.jsonl", place / "payloads.jsonl"
    for arguments in (
        ["export", "--store", store, str(lines)],
        ["import", "jsonl", str(lines), "--store", f"{store}-imported"],
        ["retain", "--days", "0", "--store", store, "--archive", f"{_SCHEMES[backend]}:{place / 'archive'}"],
    ):
        _command(arguments)
        yield
    _written(payloads, (json.dumps(_PAYLOAD) + "\n").encode())
    with opened(backend, place / "imported") as storage:
        key = load_key(str(place / "imported.key"))
        import_paths([payloads], storage, key=key, clock=lambda: NOW)
        yield
    known = place / "settings.json"
    _written(known, b'{"env": {"TOKEN": "secret"}}')
    for command in ("one", "two"):
        settings.install(str(known), command=settings.capture_command(command))
        yield
    settings.uninstall(str(known))
    yield


def _command(arguments: list[str]) -> None:
    code = command_line(arguments)
    if code:
        raise BrokenPromiseError(f"{arguments} ended with {code}")


def _written(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, data)
    os.fchmod(descriptor, 0o600)
    os.close(descriptor)


SCENES: tuple[Scene, ...] = (saves_and_keeps, mends, captures, exports)


def open_to_others(place: Path) -> list[str]:
    """Return what others may do anything with, as it is now."""
    return [said for said, mode in _modes(place) if mode & _OPEN_TO_OTHERS]


def not_private(place: Path) -> list[str]:
    """Return the files that are not 0600 and the directories that are not 0700."""
    return [
        f"{said} {mode:o}" for said, mode in _modes(place) if mode != (0o700 if said[-1] == "/" else 0o600)
    ]


def _modes(place: Path) -> Iterator[tuple[str, int]]:
    """Yield each path below a place, directories with a slash at their end, and its mode."""
    for directory, folders, files in os.walk(place):
        for name in (*files, *(f"{folder}/" for folder in folders)):
            path = os.path.join(directory, name)
            try:
                mode = stat.S_IMODE(os.lstat(path).st_mode)
            except FileNotFoundError:
                continue
            yield path.removeprefix(f"{place}/"), mode


class _Watcher(threading.Thread):
    """Looks all the time, for what is open to others only for a moment."""

    def __init__(self, place: Path) -> None:
        super().__init__(daemon=True)
        self._place = place
        self._over = threading.Event()
        self.seen: set[str] = set()

    def run(self) -> None:
        """Look until it is over."""
        while not self._over.wait(0.001):
            self.seen.update(open_to_others(self._place))

    def end(self) -> set[str]:
        """Return what was seen."""
        self._over.set()
        self.join()
        return self.seen


def _under(umask: int, backend: str, place: Path) -> None:
    os.umask(umask)
    looks = 0
    for scene in SCENES:
        part = place / scene.__name__
        part.mkdir()
        part.chmod(0o700)
        watcher = _Watcher(part)
        watcher.start()
        for _ in scene(part, backend):
            looks += 1
            if wrong := not_private(part):
                raise BrokenPromiseError(f"umask {umask:03o}, {scene.__name__} on {backend}: {wrong[:5]}")
        if seen := watcher.end():
            raise BrokenPromiseError(f"umask {umask:03o}, {scene.__name__}: for a moment {sorted(seen)[:5]}")
    if looks < 20:
        raise BrokenPromiseError(f"only {looks} looks: the test is blind")


def _succeeds(act: Callable[[], None], report: Path) -> None:
    """Run `act` in a process of its own, for a umask belongs to a process."""

    def told() -> None:
        os.dup2(2, 1)  # where commands say what they did, nobody looks for the figures of this run
        try:
            act()
        except BaseException:
            report.write_text(traceback.format_exc())
            raise

    if os.waitpid(child(told), 0)[1]:
        raise BrokenPromiseError(report.read_text() if report.exists() else "the process died")


def run_umasks(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case is a umask on a backend."""
    for number in numbers:
        umask, backend = number // len(_BACKENDS), _BACKENDS[number % len(_BACKENDS)]
        part = place / str(number)
        part.mkdir()
        _succeeds(partial(_under, umask, backend, part), place / "report")
        tally.fired(umask & 0o077 != 0o077 or umask & 0o700 != 0)
        shutil.rmtree(part)


# From the moment they are made

_CREATING = re.compile(r"O_CREAT.*, 0([0-7]+)\)")
_MODE = re.compile(r", 0([0-7]+)\)")


def birth(call: Call) -> int | None:
    """Return the mode that a system call asks for; None for one that asks for none."""
    pattern = _CREATING if call.name in ("open", "openat") else _MODE
    if call.name not in ("open", "openat", "creat", "mkdir", "mkdirat", "chmod", "fchmod", "fchmodat"):
        return None
    found = pattern.search(call.text)
    return int(found[1], 8) if found else None


def run_births(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Each case is a scene on a backend under no umask at all: what the system is asked for is what comes."""
    for number in numbers:
        scene, backend = SCENES[number // len(_BACKENDS)], _BACKENDS[number % len(_BACKENDS)]
        part = place / f"{number}"
        part.mkdir(0o700)

        def work(stage: Any, part: Path = part, scene: Scene = scene, backend: str = backend) -> None:
            os.umask(0)
            stage.begin()
            with closing(scene(part, backend)) as steps:  # type: ignore[type-var]
                for _ in steps:
                    pass
            stage.recover()

        done = traced(work, part)
        if done.status:
            raise BrokenPromiseError(f"{scene.__name__} on {backend}: status {done.status}")
        asked = [(mode, call) for call in done.calls if not call.failed and (mode := birth(call)) is not None]
        for mode, call in asked:
            if mode & _OPEN_TO_OTHERS:
                raise BrokenPromiseError(f"{scene.__name__} on {backend}: {call.text}")
        tally.add("files and directories made", len(asked))
        tally.fired(len(asked))


PROMISES = (
    Promise(
        name="umasks",
        sentence="files 0600 and directories 0700 under any umask, at every look while all verbs, hooks, "
        "exports and a repair are under way: logs, indexes, temporary files, spools, keys",
        cases=lambda: _UMASKS * len(_BACKENDS),
        run=run_umasks,
        fast=24,
        chunk=64,
        shards=1,
        needs=(LINUX, ROOT),
    ),
    Promise(
        name="private-births",
        sentence="no file is open to others for a moment: no system call asks for more than 0600 or 0700",
        cases=lambda: len(SCENES) * len(_BACKENDS),
        run=run_births,
        fast=len(SCENES) * len(_BACKENDS),
        chunk=len(SCENES) * len(_BACKENDS),
        needs=(LINUX, STRACE),
    ),
)

"""Notices what must not happen: files touched outside of a place, connections, cases that hang."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from torture.promise import BrokenPromiseError
from torture.stopwatch import Stopwatch

HANG = 60  # seconds on the wall after which a case counts as endless
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.mkdir": 1, "os.rmdir": 1, "os.remove": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2,
    "os.truncate": 1, "os.chmod": 1, "os.chown": 1, "os.utime": 1, "os.setxattr": 1, "shutil.rmtree": 1,
    "shutil.move": 2, "shutil.copyfile": 2, "sqlite3.connect": 1,
}  # fmt: skip
_FORBIDDEN = (
    *("socket.", "urllib.", "http.", "ftplib.", "subprocess.", "os.system", "os.exec", "os.spawn"),
    *("os.posix_spawn", "os.fork", "ctypes.dlopen"),
)
_SOURCES = (sys.prefix, sys.base_prefix, Path(__file__).parents[2], "/usr", "/proc", "/sys", "/lib")
_READABLE = (
    *(os.path.realpath(place) + os.sep for place in _SOURCES),
    *("/etc/localtime", "/dev/urandom", "/dev/null", "/etc/ssl", "/etc/timezone"),
)
_OPENED = 0x20 | 0x2 | 0x100 | 0x200 | 0x4  # IN_OPEN, IN_MODIFY, IN_CREATE, IN_DELETE, IN_ATTRIB


class _Hook:
    """The audit hook of this process: there is no way to take one off, so it is there once."""

    def __init__(self) -> None:
        self.places: tuple[str, ...] = ()
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.places:
            return
        if event == "open":
            self._opened(*arguments[:3])
        elif event in _CHANGES:
            # What a link says is a text; where it stands is what is touched.
            for path in arguments[event == "os.symlink" : _CHANGES[event]]:
                self._path(event, path, changed=True)
        elif event.startswith(_FORBIDDEN):
            self.seen.append(f"{event} {arguments!r}"[:300])

    def _opened(self, path: Any, mode: Any, flags: Any) -> None:
        changed = (
            any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(flags & _WRITING)
        )
        self._path("open", path, changed=changed)

    def _path(self, event: str, path: Any, *, changed: bool) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a descriptor: it was opened before
        text = os.fsdecode(path).removeprefix("file:").partition("?mode=")[0] if path else ""
        if text == ":memory:":
            return
        whole = os.path.abspath(text)
        inside = any(whole == place or whole.startswith(place + os.sep) for place in self.places)
        if not inside and (changed or not whole.startswith(_READABLE)):
            self.seen.append(f"{event} {whole!r}"[:300])


_hook: list[_Hook] = []


class Watch:
    """Watches a directory, beside which a canary lies, and a loopback address on which nobody must call.

    Parameters:
        place: where the store may do what it likes; `canary`, beside, it must not even open.
        stopwatch: times what the cases do; `timed` is its own.
    """

    def __init__(self, place: Path, stopwatch: Stopwatch) -> None:
        self.place = place / "place"
        self.canary = place / "canary"
        self.place.mkdir(parents=True)
        self.canary.mkdir()
        (self.canary / "canary.json").write_text('{"type": "object"}')
        self.timed = stopwatch.timed
        self._stopwatch = stopwatch
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._before = _listing(self.canary)
        self._inotify = _watched(self.canary)
        if not _hook:
            _hook.append(_Hook())

    def __enter__(self) -> Self:
        faulthandler.enable()  # a file that shrinks while it is mapped ends a process without a word
        signal.signal(signal.SIGALRM, _too_long)
        _hook[0].places = (os.path.realpath(self.place),)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _hook[0].places = ()
        os.close(self._inotify)
        self._listener.close()
        self._stopwatch.close()

    @contextmanager
    def case(self, number: int) -> Iterator[None]:
        """A case that must neither hang nor leave the place."""
        signal.alarm(HANG)
        try:
            yield
        except _EndlessError:
            raise BrokenPromiseError(f"case {number}: it did not end within {HANG} s") from None
        finally:
            signal.alarm(0)
        if _hook[0].seen:
            seen, _hook[0].seen = _hook[0].seen, []
            raise BrokenPromiseError(f"case {number}: outside of the store: {seen[:5]}")
        self.resting(lambda: self._stopwatch.settle(number))

    def clear(self) -> None:
        """Remove everything in the place."""
        self.remove(self.place)
        self.place.mkdir()

    def remove(self, path: Path) -> None:
        """Remove a file or a tree; it is done by descriptors, which an audit hook cannot place."""
        self.resting(lambda: _remove(path))

    def resting(self, act: Callable[[], object]) -> None:
        """Do something that the watch must not see."""
        places, _hook[0].places = _hook[0].places, ()
        try:
            act()
        finally:
            _hook[0].places = places

    def must_be_quiet(self, number: int) -> None:
        """Raise when by the end of a case somebody has called, or touched the canary."""
        try:
            _, caller = self._listener.accept()
        except BlockingIOError:
            pass
        else:
            raise BrokenPromiseError(f"case {number} or before: somebody connected: {caller}")
        try:
            raise BrokenPromiseError(
                f"case {number} or before: the canary was touched: {os.read(self._inotify, 4096)[:80]!r}"
            )
        except BlockingIOError:
            pass
        if _listing(self.canary) != self._before:
            raise BrokenPromiseError(f"case {number} or before: the canary has changed")
        os.read(self._inotify, 4096)  # that was this listing
        if names := set(os.listdir(self.place.parent)) - {"place", "canary"}:
            raise BrokenPromiseError(f"case {number} or before: beside the place there is {names}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _EndlessError(BaseException):
    """A case did not end."""


def _too_long(number: int, frame: FrameType | None) -> None:
    raise _EndlessError


def _watched(directory: Path) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if libc.inotify_add_watch(descriptor, os.fsencode(directory), _OPENED) < 0:
        raise OSError(ctypes.get_errno(), "no watch on the canary")
    return descriptor


def _listing(directory: Path) -> list[tuple[str, int, int]]:
    return sorted((e.name, e.stat().st_mtime_ns, e.stat().st_size) for e in os.scandir(directory))

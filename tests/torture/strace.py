"""A forked worker under `strace`: every system call that changes files below a directory, and faults put in.

The worker prepares in peace, says so, is seized, and only then acts; so a run costs some 20 ms, not the
start of an interpreter. `strace` counts calls by name and process: `when=N` is the N-th call of its name.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from forks import child
from torture.promise import BrokenPromiseError

# Left out are calls through which nothing is changed that a later process could see.
_TRACED = (
    "open,openat,openat2,creat,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync_file_range,syncfs,sync,"
    "link,linkat,symlink,symlinkat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,mknod,mknodat,"
    "truncate,ftruncate,fallocate,copy_file_range,sendfile,splice,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,"
    "utime,utimes,utimensat,futimesat,setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr,"
    "flock,fcntl"
)
_CALL = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<arguments>.*)$")
_DESCRIPTOR = re.compile(r"(?:^|, )\d+<(?P<path>[^>]*)>")
_NAMED = re.compile(r'(?:^|, )(?:(?:\d+|AT_FDCWD)<(?P<base>[^>]*)>, )?"(?P<path>[^"]*)"')
_OPENING = ("open", "openat", "openat2", "creat")
_WRITES = re.compile("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
# What stands in quotes in these is no path.
_CONTENT = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "fsetxattr", "fremovexattr")
_PATIENCE = 60.0  # seconds after which a worker hangs: a lock is waited for a hundredth of that


@dataclass(frozen=True)
class Call:
    """One system call that changes something below the directory.

    `number` counts the calls of this name, also those elsewhere, `below` only those below the directory, to
    which the `paths` that stand in it are relative.
    """

    name: str
    number: int
    below: int
    paths: tuple[str, ...]
    text: str

    @property
    def path(self) -> str:
        """The path of what it changes; of two, the one that comes to be."""
        return self.paths[-1]

    @property
    def injected(self) -> bool:
        """Whether `strace` put a fault in here."""
        return "(INJECTED)" in self.text

    @property
    def is_release(self) -> bool:
        """Whether it gives a lock back, which no local file system refuses."""
        return "F_UNLCK" in self.text or "LOCK_UN" in self.text

    @property
    def failed(self) -> bool:
        """Whether it returned an error."""
        return ") = -1 " in self.text


@dataclass
class Traced:
    """What became of a worker: the status of `waitpid`, what it said, and its calls."""

    status: int = 0
    said: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    @property
    def signal(self) -> int:
        """The number of the signal that it died of, or 0."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else 0


class Stage:
    """What a worker has to do with the process that watches it."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def say(self, line: str) -> None:
        """Tell something, in one line; through a socket, for a fault in every `write` must not silence it."""
        self._line.sendall(line.replace("\n", " ").encode() + b"\n")

    def begin(self) -> None:
        """Wait until the calls from here on are watched, and faults come."""
        self._ask("begin")

    def recover(self) -> None:
        """Wait until no fault comes any more."""
        self._ask("recover")

    def _ask(self, word: str) -> None:
        self.say(word)
        self._line.recv(1)


def traced(work: Callable[[Stage], None], root: Path, *inject: str) -> Traced:
    """Run `work` in a forked process and return what it did below `root`.

    `inject` are faults as `strace -e inject=` takes them. Raises `BrokenPromiseError` when it hangs.
    """
    log = Path(f"{root}.strace")
    here, there = socket.socketpair()

    def act() -> None:
        here.close()
        _let_be_traced()
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        work(Stage(there))

    worker = child(act)
    there.close()
    done = Traced()
    watch = _Watch(worker, log, inject)
    try:
        for line in _lines(here, worker):
            if line == "begin":
                watch.begin()
            elif line == "recover":
                watch.end()
            else:
                done.said.append(line)
                continue
            here.sendall(b".")
    finally:
        here.close()
        _, done.status = os.waitpid(worker, 0)
        watch.end()
    done.calls = list(calls_in(log.read_text(errors="replace"), root))
    log.unlink()
    return done


class _Watch:
    """`strace`, from when the worker is ready until it is dead, or until no more faults are wanted."""

    def __init__(self, worker: int, log: Path, inject: tuple[str, ...]) -> None:
        self._command = [
            "strace",
            "-f",
            "-y",
            "-s",
            "40",
            "-p",
            str(worker),
            "-o",
            str(log),
            "-e",
            f"trace={_TRACED}",
        ]
        for fault in inject:
            self._command += ["-e", f"inject={fault}"]
        self._running: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        self._running = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        assert self._running.stderr is not None
        told = self._running.stderr.readline()
        if "attached" not in told:
            raise AssertionError(f"strace did not begin: {told}{self._running.stderr.read()}")

    def end(self) -> None:
        """Let the worker go, if it still lives."""
        running, self._running = self._running, None
        if running is not None:
            running.send_signal(signal.SIGINT)  # nothing happens when it has ended by itself
            running.communicate()


def _lines(line: socket.socket, worker: int) -> Iterator[str]:
    """Yield what a worker says until it is gone."""
    rest = b""
    line.settimeout(_PATIENCE)
    while True:
        try:
            part = line.recv(1 << 16)
        except TimeoutError:
            os.kill(worker, signal.SIGKILL)
            raise BrokenPromiseError(f"hangs: for {_PATIENCE:g} s nothing was heard of it") from None
        except ConnectionResetError:
            return  # killed before it had read all
        if not part:
            return
        *whole, rest = (rest + part).split(b"\n")
        yield from (word.decode() for word in whole)


def calls_in(log: str, root: Path) -> Iterator[Call]:
    """Yield from what `strace` wrote the calls that change something below `root`."""
    counts: Counter[tuple[str, str]] = Counter()
    below: Counter[str] = Counter()
    for line in log.splitlines():
        found = _CALL.match(line)
        if found is None:
            continue
        name, arguments = found["name"], found["arguments"]
        if name == "resumed" or "<unfinished ...>" in arguments:
            raise AssertionError(f"calls of several processes at once cannot be told apart: {line}")
        counts[found["pid"], name] += 1
        paths = _changed(name, arguments, str(root))
        if paths:
            below[name] += 1
            yield Call(name, counts[found["pid"], name], below[name], paths, f"{name}({arguments}")


def _changed(name: str, arguments: str, root: str) -> tuple[str, ...]:
    """Return the paths, relative to `root`, of what a call changes there; none when it does not."""
    if name in _OPENING and name != "creat" and not _WRITES.search(arguments):
        return ()
    if name == "fcntl" and "SETLK" not in arguments:
        return ()
    named = [] if name in _CONTENT else list(_NAMED.finditer(arguments))
    if named:
        paths = [os.path.join(match["base"] or "", match["path"]) for match in named]
    else:
        paths = [match["path"] for match in _DESCRIPTOR.finditer(arguments.split('"', 1)[0])]
    below = [path for path in paths if path == root or path.startswith(root + "/")]
    return tuple(os.path.relpath(path, root) for path in below)


def _let_be_traced() -> None:
    """Allow a process that is no parent of this one to watch it, where Yama asks for that."""
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1 & (1 << 64) - 1), 0, 0, 0)


@contextmanager
def surroundings(**variables: str) -> Iterator[None]:
    """Set variables of the environment for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

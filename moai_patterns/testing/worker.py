"""Another process on the same store: it writes, compacts, forks, says so, and may be killed.

Run as `python -m moai_patterns.testing.worker OPENER FILE PATH TASK FIRST COUNT`. Before and after
each act it prints a line, so that whoever kills it knows what was acknowledged and what was begun.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from moai_patterns.backends.base import BackendBase, Batch, Derived, Removal
from moai_patterns.errors import ConflictError
from moai_patterns.instant import DAY
from moai_patterns.testing.clauses import Clauses, resolve
from moai_patterns.testing.pools import HOUR, MIDNIGHT, stored

SHARED = "shared"
_SIZE = 8


def numbered(number: int) -> Batch:
    """Return the batch of this number: additions on three days, a change and a removal of earlier ones."""
    added = [
        stored(
            f"{number}/{at}",
            MIDNIGHT + at % 3 * DAY + number * 1000 + at,
            data={"n": number, "text": "x" * 300},
        )
        for at in range(_SIZE)
    ]
    if number == 0:
        return Batch(added)
    changed = stored(f"{number - 1}/0", MIDNIGHT + 4 * DAY + HOUR + number, 2, data={"n": number})
    return Batch([*added, changed], [Removal(f"{number - 1}/1", 1), Removal(f"{number - 2}/0")])


def single(number: int) -> Batch:
    """Return the batch of this number in a session: a new record, or every third time a changed one."""
    if number % 3 == 2:
        return Batch([stored(f"{number - 1}/s", MIDNIGHT + number, 2, data={"n": number})])
    return Batch([stored(f"{number}/s", MIDNIGHT + number, data={"n": number})], fresh=True)


class Worker:
    """A running worker process, seen from the one that started it."""

    def __init__(self, opener: tuple[str, str], path: Path, task: str, first: int, count: int) -> None:
        command = [sys.executable, "-m", __name__, *opener, str(path), task, str(first), str(count)]
        paths = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self._process = subprocess.Popen(  # noqa: S603  this interpreter, with arguments of the contract
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def wait_for(self, word: str) -> bool:
        """Read until a line that begins with this word; False when the process ended before."""
        for line in self._process.stdout or ():
            self.lines.append(line.rstrip("\n"))
            if line.startswith(word):
                return True
        return False

    def begin(self) -> None:
        """Let a worker go on that waits for the others."""
        if self._process.stdin:
            self._process.stdin.write("\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        """Kill the process as it stands, and read what it had said."""
        self._process.kill()
        self._end()

    def finish(self) -> None:
        """Wait for the end; raise `AssertionError` with what it said when it failed."""
        self._end()
        if self._process.returncode != 0:
            raise AssertionError("another process on the store failed:\n" + "\n".join(self.lines[-30:]))

    def _end(self) -> None:
        if self._process.stdout and not self._process.stdout.closed:
            self.lines.extend(line.rstrip("\n") for line in self._process.stdout)
            self._process.stdout.close()
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()


def opened(opener: str, file: str, path: str) -> BackendBase:
    """Open the store as the contract that started this process does."""
    module = opener.partition(":")[0]
    if file and importlib.util.find_spec(module) is None:  # a test file that is on no import path
        spec = importlib.util.spec_from_file_location(module, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"cannot load {file}")
        sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module])
    found = resolve(opener)
    open_it = found().open if isinstance(found, type) and issubclass(found, Clauses) else found
    backend = open_it(Path(path))
    return backend if isinstance(backend, BackendBase) else Derived(backend)


def say(word: str, number: int) -> None:
    """Print a line at once: what stays in a buffer dies with the process."""
    os.write(1, f"{word} {number}\n".encode())


def wait(number: int) -> None:
    """Say that this process is ready, and go on when the others are."""
    say("ready", number)
    sys.stdin.readline()


def write(store: BackendBase, first: int, count: int) -> None:
    """Write numbered batches, one after the other."""
    for number in range(first, first + count):
        say("begin", number)
        store.write(numbered(number))
        say("end", number)


def linger(store: BackendBase, first: int, count: int) -> None:
    """Write numbered batches and stay, with the store open."""
    write(store, first, count)
    wait(first)


def session(store: BackendBase, first: int, count: int) -> None:
    """Write single records through the writer of a session that is never closed."""
    writer = store.single_writer()
    for number in range(first, first + count):
        say("begin", number)
        writer.write(single(number))
        say("end", number)


def compact(store: BackendBase, first: int, count: int) -> None:
    """Write a numbered batch and compact all days, again and again."""
    for number in range(first, first + count):
        write(store, number, 1)
        days = sorted(store.days())
        say("compact", number)
        store.compact(days)
        say("compacted", number)


def share(store: BackendBase, first: int, count: int) -> None:
    """Count the shared record up, each time from the head just read, and try again after a conflict."""
    wait(first)
    done = 0
    while done < count:
        head = store.get(SHARED)
        if head is None:
            raise LookupError("the shared record is missing")
        revision = head["_meta"]["revision"] + 1
        data = {"n": head["data"]["n"] + 1, "by": first}
        try:
            store.write(Batch([stored(SHARED, MIDNIGHT + revision, revision, data=data)]))
        except ConflictError:
            time.sleep(0.001 * (first + 1))
        else:
            done += 1


def fork(store: BackendBase, first: int, count: int) -> None:
    """Write before a fork, then in the child and the parent by turns, on the store that both hold."""
    store.write(Batch([stored(f"before-{first}", MIDNIGHT)]))
    for number in range(count):
        child = os.fork()
        if child == 0:
            try:
                store.write(Batch([stored(f"child-{number}", MIDNIGHT)]))
                store.close()
            except BaseException:  # noqa: BLE001  nothing may get out of the child and go on as the parent
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            raise ChildProcessError("the forked child failed")
        store.write(Batch([stored(f"parent-{number}", MIDNIGHT)]))


TASKS: dict[str, Callable[[BackendBase, int, int], None]] = {
    "write": write,
    "linger": linger,
    "session": session,
    "compact": compact,
    "share": share,
    "fork": fork,
    "first": session,
}


def main(arguments: list[str]) -> None:
    """Do the task on the store and close it."""
    opener, file, path, task, first, count = arguments
    if task == "first":
        wait(int(first))  # all open the store at once
    store = opened(opener, file, path)
    TASKS[task](store, int(first), int(count))
    store.close()


if __name__ == "__main__":
    main(sys.argv[1:])

"""A process that stands still where it is told to: before a system call, or between two instructions.

No debugger is needed: it is traced by this one. What it stands still in cannot be told from a process that
the system has not let run for a while.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from forks import child
from torture.promise import Need

_TRACEME, _SINGLE_STEP, _DETACH, _SYSCALL, _SET_OPTIONS, _CALL_FACTS = 0, 9, 17, 24, 0x4200, 0x420E
_MARK_CALLS, _DIE_WITH_US = 1, 0x100000
_ENTERING = 1
# All that the operating system says of a call: how long, which side of it, its number and arguments.
_FACTS = struct.Struct("<B7xQQ8Q")
_FLOCK = struct.Struct("<hh4xqq")
_LOCKING = frozenset((6, 7, 37, 38))  # F_SETLK, F_SETLKW and the same for open files
_FCNTL = 72  # of x86-64


def _can_trace() -> bool:
    """Tell whether a process here may trace its child, by doing so."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    try:
        with Puppet(lambda ready: ready()) as puppet:
            return puppet.to_call() and puppet.call is not None
    except OSError:
        return False


TRACING = Need("the right to trace processes on x86-64", _can_trace)


class Call:
    """A system call that a process stands before."""

    def __init__(self, pid: int, number: int, arguments: tuple[int, ...]) -> None:
        self.number = number
        self._pid = pid
        self._arguments = arguments

    def locks(self) -> tuple[int, int] | None:
        """Return kind (0 to read, 1 to write, 2 to give back) and first byte of an advisory record lock."""
        if self.number != _FCNTL or self._arguments[1] not in _LOCKING:
            return None
        with Path(f"/proc/{self._pid}/mem").open("rb", buffering=0) as memory:
            memory.seek(self._arguments[2])
            kind, _, start, _ = _FLOCK.unpack(memory.read(_FLOCK.size))
        return kind, start


class Puppet:
    """A forked process that goes on only as far as it is told; killed at the end if it is still there.

    Parameters:
        act: what it does; gets a function to call where it is to stand still for the first time.
    """

    def __init__(self, act: Callable[[Callable[[], None]], object]) -> None:
        self.call: Call | None = None
        self._status: int | None = None
        self.pid = child(lambda: act(_stand_still))
        self._wait()
        if self._status is None:
            _ptrace(_SET_OPTIONS, self.pid, _MARK_CALLS | _DIE_WITH_US)

    def to_call(self, wanted: Callable[[Call], bool] = lambda call: True) -> bool:
        """Go on until right before a call that is wanted; False when the process ended before."""
        while self._go(_SYSCALL):
            facts = _facts(self.pid)
            if facts[0] == _ENTERING:
                self.call = Call(self.pid, facts[3], facts[4:10])
                if wanted(self.call):
                    return True
        return False

    def past_call(self) -> bool:
        """Let the call return that it stands before; False when the process ended."""
        self.call = None
        return self._go(_SYSCALL)

    def step(self, instructions: int) -> bool:
        """Execute so many instructions; False when the process ended before."""
        return all(self._go(_SINGLE_STEP) for _ in range(instructions))

    def let_go(self) -> None:
        """Let it run from here on as any other process."""
        if self._status is None:
            _ptrace(_DETACH, self.pid, 0)

    def end(self) -> int:
        """Wait for its end and return how it ended, as `os.waitpid` says it."""
        if self._status is None:
            _, self._status = os.waitpid(self.pid, 0)
        return self._status

    def kill(self) -> None:
        """Kill it where it stands."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            _, self._status = os.waitpid(self.pid, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            self.kill()

    def _go(self, how: int) -> bool:
        if self._status is None:
            _ptrace(how, self.pid, 0)
            self._wait()
        return self._status is None

    def _wait(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        if not os.WIFSTOPPED(status):
            self._status = status


def _stand_still() -> None:
    _ptrace(_TRACEME, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)


def _facts(pid: int) -> tuple[int, ...]:
    buffer = ctypes.create_string_buffer(_FACTS.size)
    _ptrace(_CALL_FACTS, pid, ctypes.addressof(buffer), _FACTS.size)
    return _FACTS.unpack(buffer.raw)


def _ptrace(request: int, pid: int, data: int, address: int = 0) -> None:
    trace = ctypes.CDLL(None, use_errno=True).ptrace
    trace.argtypes, trace.restype = [ctypes.c_long] * 4, ctypes.c_long
    if trace(request, pid, address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

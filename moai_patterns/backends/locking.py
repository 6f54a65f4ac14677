"""The lock between processes. Loaded by the capture process, so it stands on `os` alone."""

from __future__ import annotations

import errno
import os
import time
from _thread import allocate_lock
from _weakref import ref

from moai_patterns.backends import fileops
from moai_patterns.errors import BusyError, UnsafeStoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_SHORTEST = 0.0002  # seconds
_LATE = 0.001  # by more than this a sleep is longer than asked only where the machine is busy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class Waiting:
    """The pauses of one among many that wait for the same thing, which nobody hands out in turn.

    Parameters:
        end: the time, by `time.monotonic`, until which to wait.

    >>> waiting = Waiting(time.monotonic() + 0.001)
    >>> while waiting.goes_on():
    ...     pass
    """

    __slots__ = ("_began", "_end", "_pause")

    def __init__(self, end: float) -> None:
        self._began = time.monotonic()
        self._end = end
        self._pause = _SHORTEST

    def goes_on(self) -> bool:
        """Sleep for a moment; False, at once, when the time is over."""
        left = self._end - time.monotonic()
        if left <= 0:
            return False
        # Jitter, so that many do not come back in step; the clock's low digits are enough.
        asked = min(left, self._pause * (0.5 + time.perf_counter_ns() % 1024 / 1024))
        woken = time.monotonic() + asked
        time.sleep(asked)
        now = time.monotonic()
        waited = now - self._began
        # Who has waited longer looks more often; else luck makes one wait ten times as long as the others.
        # On a busy machine the pauses grow instead: a thousand that come back every 10 ms leave no time to
        # the one they wait for. But slowly, as those that have just come would always be sooner.
        idle = max(0.004, 0.02 / (1 + waited))
        longest = min(0.1, max(0.02, waited / 16)) if now - woken > _LATE else idle
        self._pause = min(self._pause * 1.6, longest)
        return True


class Lock:
    """A lock between processes on a file of its own; the system frees it when its holder dies.

    One object is held by one thread at a time; objects on the same path exclude each other, in one
    process too. Fork-safe: a child starts without what its parent held.

    Parameters:
        path: the file.
        create: whether it is made when missing; if not, `acquire` raises `FileNotFoundError`.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with Lock(os.path.join(place, ".lock")).held(timeout=1.0):
    ...         os.listdir(place)
    ['.lock']
    """

    def __init__(self, path: str, *, create: bool = True) -> None:
        self.path = path
        self._create = create
        self._descriptor = -1
        self._mutex = allocate_lock()
        _living.add(ref(self, _living.discard))

    def acquire(self, *, shared: bool = False, timeout: float = 30.0) -> None:
        """Wait up to `timeout` seconds for the lock. Raises `BusyError`, or `OSError` for a bad path."""
        end = time.monotonic() + timeout
        if not self._mutex.acquire(timeout=max(timeout, 0.0)):
            raise self._busy(timeout)
        try:
            if not self._try(shared):
                waiting = Waiting(end)
                while waiting.goes_on():
                    if self._try(shared):
                        return
                raise self._busy(timeout)
        except BaseException:
            self._mutex.release()
            raise

    def release(self) -> None:
        """Give the lock back."""
        try:
            _unlock(self._descriptor)
        finally:
            self._mutex.release()

    def held(self, *, shared: bool = False, timeout: float = 30.0) -> Held:
        """Return what a `with` statement needs to acquire this lock with these options."""
        return Held(self, shared, timeout)

    def close(self) -> None:
        """Close the lock file, unless another thread holds it; the object can be used again."""
        if self._mutex.acquire(blocking=False):
            self._close()
            self._mutex.release()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _try(self, shared: bool) -> bool:
        if self._descriptor < 0:
            self._descriptor = _open_lock(self.path, shared, self._create)
        if not _lock(self._descriptor, shared):
            return False
        if os.name == "posix" and os.fstat(self._descriptor).st_nlink == 0:
            self._close()  # somebody removed the file: others lock the new one
            return False
        return True

    def _busy(self, timeout: float) -> BusyError:
        return BusyError(f"{self.path}: other processes held the lock for more than {timeout:g} s; try again")

    def _forget(self) -> None:
        """Drop, in a forked child, what belongs to the parent; closing the copy leaves the lock alone."""
        self._mutex = allocate_lock()
        self.close()

    def __del__(self) -> None:
        self._close()


class Held:
    """A lock that is held inside a `with` statement."""

    def __init__(self, lock: Lock, shared: bool, timeout: float) -> None:
        self._lock, self._shared, self._timeout = lock, shared, timeout

    def __enter__(self) -> None:
        self._lock.acquire(shared=self._shared, timeout=self._timeout)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()


def _open_lock(path: str, shared: bool, create: bool) -> int:
    try:
        return fileops.open_shared(path, create=create)
    except OSError as error:
        if not shared or error.errno not in fileops.DENIED or isinstance(error, UnsafeStoreError):
            raise
        return fileops.open_read(path)  # whoever may only read can still keep others from what is exclusive


_living: set[ref[Lock]] = set()


def _after_fork() -> None:
    for living in list(_living):
        lock = living()
        if lock is not None:
            lock._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

if fcntl is not None:

    def _lock(descriptor: int, shared: bool) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)

else:
    import msvcrt

    def _lock(descriptor: int, shared: bool) -> bool:
        # Byte locks know no sharing here: readers exclude each other too, which is slower, not wrong.
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                return False
            raise
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

"""Space that a store sets aside, because removing needs some before it gives any back.

Beside a store lie files of real blocks, `1` to `8` in a directory of their own. Whoever removes or
compacts on a full disk gives up one after the other, as many as it takes, and makes them again when it
is done. A save never touches them: a disk that is full stays full for it.
"""

from __future__ import annotations

import os

from moai_patterns.backends import fileops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

PARTS = 8
# A disk that has not so many times the reserve is too small to set something aside when a store is made.
_PLENTY = 16


class Reserve:
    """The space that one store has set aside.

    Parameters:
        place: the directory of the files, made with them.
        size: of all together, in bytes.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     reserve = Reserve(os.path.join(place, "reserve"))
    ...     reserve.renew()
    ...     reserve.size(), reserve.give(), reserve.size()
    (1048576, True, 917504)
    """

    def __init__(self, place: str, size: int = 1 << 20) -> None:
        self._place = place
        self._part = size // PARTS
        self._parts = [os.path.join(place, str(number)) for number in range(1, PARTS + 1)]
        self.given = False  # whether this object has given up anything that is not renewed

    def make(self) -> None:
        """Set space aside for a new store, where that costs next to nothing: a tenth of a millisecond.

        A capture may be waiting. Elsewhere, and on a small disk, the first maintenance does it.
        """
        cheap = hasattr(os, "posix_fallocate")
        if cheap and _free(os.path.dirname(self._place)) >= _PLENTY * PARTS * self._part:
            self.renew()

    def renew(self, size: int = 0) -> None:
        """Set aside what is missing, and `size` if that is more, as far as the disk has room for it twice."""
        self._part = max(self._part, -(-size // PARTS))
        try:
            for path in self._parts:
                known = os.path.lexists(path)
                if not known and _free(os.path.dirname(self._place)) < 2 * self._part:
                    return
                fileops.make_dirs(self._place)
                _fill(path, self._part, known)
        except OSError:
            return  # the next maintenance tries again, and a store without a reserve is as good until then
        self.given = False

    def give(self) -> bool:
        """Give a part back to the file system; tell whether there was one."""
        for path in reversed(self._parts):
            if os.path.lexists(path):
                try:
                    fileops.remove(path)
                except OSError:
                    return False
                self.given = True
                return True
        return False

    @property
    def is_low(self) -> bool:
        """Whether this object has given up so much that it should be renewed before it goes on."""
        return self.given and self.size() < PARTS * self._part // 2

    def size(self) -> int:
        """Return the bytes that are set aside."""
        found = 0
        for path in self._parts:
            try:
                found += os.lstat(path).st_size
            except OSError:
                continue
        return found

    def freeing(self, act: Callable[[], T]) -> T:
        """Return what `act` returns, which gives space back; with a part of the reserve while there is none.

        `act` runs once more for each part, so what fails for want of space must have changed nothing.
        """
        while True:
            try:
                return act()
            except OSError as error:
                if error.errno not in fileops.FULL or not self.give():
                    raise


def _fill(path: str, size: int, known: bool) -> None:
    descriptor = fileops.open_shared(path)
    try:
        fileops.allocate(descriptor, size)
    except BaseException:
        if not known:
            fileops.remove(path)
        raise
    finally:
        os.close(descriptor)


def _free(directory: str) -> float:
    """Return the bytes that are free for this user; infinity where the system does not tell."""
    if not hasattr(os, "statvfs"):
        return float("inf")
    facts = os.statvfs(directory)
    return facts.f_bavail * facts.f_frsize

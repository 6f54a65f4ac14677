"""Space that a store sets aside, because removing needs some before it gives any back.

Beside a store lie files of real blocks, `1` to `8` in a directory of their own. Whoever removes or
compacts on a full disk gives up one after the other, as many as it takes; they are made again when it is
done, or at the next maintenance. A save gets none of it: a disk that is full stays full for it.
"""

from __future__ import annotations

import os

from moai_patterns.backends import fileops
from moai_patterns.errors import UnsafeStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

PARTS = 8
# No more than this part of what is free is set aside, so a small disk has a small reserve.
_SHARE = 8
_AT_MOST = 3  # where an eighth is less than this much, which a removal may take:
_LEAST = 128 << 10
_BLOCK = 4096  # of which even the smallest part takes one, and an inode


class Reserve:
    """The space that one store has set aside.

    Parameters:
        place: the directory of the files, made with them.
        size: of all together, in bytes; less on a small disk.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     reserve = Reserve(os.path.join(place, "reserve"))
    ...     reserve.renew()
    ...     reserve.size(), reserve.give(), reserve.size()
    (1048576, True, 917504)
    """

    def __init__(self, place: str, size: int = 1 << 20) -> None:
        self._place = place
        self._size = size
        self._kept = 0
        self.given = False  # whether this object has given up anything that is not renewed

    def _parts(self) -> list[str]:
        """Return the paths of the files; none in a directory that others have put in its place."""
        try:
            fileops.refuse_unsafe_root(self._place)
        except UnsafeStoreError:
            return []
        return [os.path.join(self._place, str(number)) for number in range(1, PARTS + 1)]

    def make(self) -> None:
        """Set space aside for a new store, where that costs next to nothing: a tenth of a millisecond.

        A capture may be waiting. Elsewhere the first maintenance does it.
        """
        if hasattr(os, "posix_fallocate"):
            self.renew()

    def renew(self, size: int = 0) -> None:
        """Set aside what is missing, and `size` if that is more; an eighth of what is free at most."""
        wanted = max(self._size, size)
        try:
            free = fileops.free(os.path.dirname(self._place)) + self.size()
            share = max(free / _SHARE, min(free / _AT_MOST, _LEAST))
            parts = int(min(PARTS, share // _BLOCK))
            for path in self._parts()[:parts]:
                fileops.make_dirs(self._place)
                _fill(path, int(min(wanted, share)) // parts // _BLOCK * _BLOCK, os.path.lexists(path))
        except OSError:
            return  # the next maintenance tries again, and a store without a reserve is as good until then
        self.given = False

    def give(self) -> bool:
        """Give a part back to the file system; tell whether there was one."""
        for path in reversed(self._parts()):
            if os.path.lexists(path):
                if not self.given:
                    self._kept = self.size()
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
        return self.given and self.size() < self._kept // 2

    def size(self) -> int:
        """Return the bytes that are set aside."""
        found = 0
        for path in self._parts():
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

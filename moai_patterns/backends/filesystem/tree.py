"""One tree on disk: where its parts lie, its lock, its change log, and whether it is ours.

Loaded by the capture process. What reads segments or rebuilds the log is imported when it is needed.
"""

from __future__ import annotations

import errno
import os
from itertools import count

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem.hotlog import HotLog, StaleLogError
from moai_patterns.backends.locking import Lock
from moai_patterns.errors import LayoutError, StoreError
from moai_patterns.lightjson import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

LAYOUT = 1
MANIFEST = "index.json"
# So that the layout can be told from the first bytes of a manifest of any size.
_OPENING = b'{"layout":%d,' % LAYOUT
_PARTS = {"index", "journal", "tmp", "history", "quarantine", ".lock"}
_DIRECTORIES = ("index", "journal", "tmp", "history", "quarantine", "reserve")
_TRUSTED = 1 << 62  # arrival numbers are microseconds of a clock, and fit into 63 bits
_counter = count()


class Tree:
    """The paths and the lock of a tree.

    Parameters:
        root: the directory of the tree; made when something is written.

    Raises `LayoutError` for a directory that is no tree of this layout, and `OSError`.
    """

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self.manifest = os.path.join(self.root, MANIFEST)
        self.journals = os.path.join(self.root, "journal")
        self.index = os.path.join(self.root, "index")
        self.temporary = os.path.join(self.root, "tmp")
        self._temporary = os.path.join(self.temporary, os.urandom(4).hex())
        self.lock = Lock(os.path.join(self.root, ".lock"))
        self.opened_log: HotLog | None = None  # the change log as it was last asked for
        self._pid = os.getpid()
        self._exists = self._recognise()

    def path(self, relative: str) -> str:
        """Return the absolute path of a part of the tree."""
        return f"{self.root}{os.sep}{relative}"

    @property
    def reserve(self) -> str:
        """Where space is set aside: beside the root, but inside where that is a file system of its own."""
        try:
            apart = os.stat(self.root).st_dev != os.stat(os.path.dirname(self.root)).st_dev
        except OSError:
            apart = False  # it is still to be made
        return self.path("reserve") if apart else self.root + ".reserve"

    @property
    def exists(self) -> bool:
        """Whether there is a tree yet: another process may have made it meanwhile."""
        if not self._exists:
            self._exists = self._recognise()
        return self._exists

    def prepare(self, timeout: float) -> None:
        """Make the directories and an empty manifest, unless they are there.

        Waits at most `timeout` seconds for others who do the same.
        """
        if not self._exists:
            self.make(timeout)

    def make(self, timeout: float) -> None:
        """Make the directories and an empty manifest where they are missing.

        The manifest is flushed whatever the level: a power cut must not leave an empty one beside segments.
        """
        fileops.make_dirs(self.root)
        fileops.refuse_unsafe_root(self.root)  # somebody may have been quicker
        for directory in (self.journals, self.temporary, self.index):
            fileops.make_dirs(directory)
        # Under the lock: who starts a moment later must not replace what has been compacted since.
        with self.lock.held(timeout=timeout):
            if not os.path.lexists(self.manifest):
                fresh = self.temporary_path()
                fileops.create(fresh, _OPENING + b'"generation":0,"seq":0,"days":{}}\n', sync=True)
                fileops.rename(fresh, self.manifest)
                fileops.sync_dir(self.root)
                from moai_patterns.backends.reserve import Reserve

                Reserve(self.reserve).make()
        self._exists = True

    def last_compacted(self) -> int:
        """Return the last arrival number before the last compaction, as the manifest begins; 0 if unknown."""
        try:
            start = fileops.read(self.manifest)[:200]
        except OSError:
            return 0
        found = start.partition(b'"seq":')[2].partition(b",")[0]
        number = int(found) if found.isdigit() else 0
        return number if number < _TRUSTED else 0  # its checksum is not looked at here

    def holds(self, place: str) -> bool:
        """Tell whether there is, whole, what the change log says of a place; not whether it is sound."""
        _, colon, span = place.partition(":")
        path = self.file_of(place)
        if not colon:
            return os.path.lexists(path)
        try:
            size = os.stat(path).st_size
        except FileNotFoundError:
            return False
        return span == "-" or size > sum(map(int, span.split(":")))

    def file_of(self, place: str) -> str:
        """Return the path of the file that a place in the change log names."""
        name, colon, _ = place.partition(":")
        return os.path.join(self.journals if colon else self.root, name)

    def temporary_path(self) -> str:
        """Return the path of a new temporary file on the file system of the tree."""
        return f"{self._temporary}.{os.getpid()}.{next(_counter)}"

    def current_log(self) -> HotLog | None:
        """Return the change log if it is there and looks sound."""
        if self.opened_log is not None and (self._pid != os.getpid() or not self.opened_log.is_current()):
            self.opened_log.close()
            self.opened_log = None
        if self.opened_log is None and os.path.exists(os.path.join(self.index, "heads")):
            self._pid = os.getpid()
            try:
                self.opened_log = HotLog(self.index)
            except (StaleLogError, OSError):
                return None
        return self.opened_log

    def log(self, rebuild: Callable[[Tree], None]) -> HotLog:
        """Return the change log; `rebuild` makes it anew when it cannot be trusted.

        Call it, and change what it returns, under the exclusive lock.
        """
        found = self.current_log()
        if found is not None and not found.is_writable:  # perhaps it is by now
            found.close()
            self.opened_log = None
            found = self.current_log()
        if found is None:
            self._rebuild(rebuild)
            found = self.opened_log = self._rebuild(lambda tree: HotLog(tree.index))
            self._pid = os.getpid()
        return found

    def renew_log(self, rebuild: Callable[[Tree], None]) -> HotLog:
        """Make the change log anew although it looks sound; under the exclusive lock."""
        self._rebuild(rebuild)
        return self.log(rebuild)

    def _rebuild(self, make: Callable[[Tree], T]) -> T:
        """Return what making or opening a new change log gives; the lock keeps all writers of ours away."""
        try:
            return make(self)
        except StaleLogError as error:
            sentence = f"{error}, where it was just made; something else removes or replaces it"
            raise StoreError(errno.EIO, sentence, self.index) from error

    def close(self) -> None:
        """Release files."""
        if self.opened_log is not None:
            self.opened_log.close()
            self.opened_log = None
        self.lock.close()

    def _recognise(self) -> bool:
        """Tell whether a tree of our layout is there; False when there is nothing yet."""
        fileops.refuse_unsafe_root(self.root)
        for name in _DIRECTORIES:
            fileops.must_not_lead_away(self.root, os.path.join(self.root, name))
        try:
            descriptor = fileops.open_read(self.manifest)
        except FileNotFoundError:
            return self._without_manifest()
        try:
            start = os.read(descriptor, 4096)
        finally:
            os.close(descriptor)
        if start.startswith(_OPENING):
            return True
        found = start.removeprefix(b'{"layout":').partition(b",")[0]
        if start.startswith(b'{"layout":') and found.isdigit():
            raise LayoutError(
                f"{self.manifest}: layout {found.decode()} is newer than {LAYOUT}, the one this version of "
                "moai_patterns knows; install a newer version to open this store"
            )
        if _is_id_map(self.manifest):
            raise LayoutError(f"{self.root}: a tree in the plain layout can only be read and copied")
        return True  # ours, but damaged: what can be read stays readable, and check names the place

    def _without_manifest(self) -> bool:
        try:
            inside = set(os.listdir(self.root))
        except FileNotFoundError:
            return False
        if not inside:
            return False
        if inside & _PARTS:
            return True
        raise LayoutError(f"{self.root}: there is a directory with other things in it, but no store")


def _is_id_map(path: str) -> bool:
    try:
        value = loads(fileops.read(path).decode())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and all(isinstance(v, dict) and "path" in v for v in value.values())

"""What a power cut left torn, set aside: at the level `os` the last seconds before it may be lost, not more.

A file that was renamed and never flushed may come back empty, cut, or with zeros in it. It was not promised
to survive, and as it lies there it would be damage that every scan refuses. So the first who opens the tree
after a start of the machine moves such files to `quarantine/`; nothing is removed, and `check` names them.
Of a session's journal only the end was on its way: its whole lines stay where they are.
"""

from __future__ import annotations

import os
import time

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem import journal, quarantine
from moai_patterns.backends.filesystem.journal import Journal, JournalDamageError
from moai_patterns.backends.filesystem.sealed import open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from moai_patterns.backends.filesystem.tree import Tree

_UNFLUSHED = 600_000_000  # microseconds within which every system writes back; Linux takes half a minute


def booted() -> int:
    """Return when the machine was started, in microseconds since 1970-01-01 UTC."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    up = time.monotonic_ns() if clock is None else time.clock_gettime_ns(clock)
    return (time.time_ns() - up) // 1000


def set_aside(tree: Tree, hot: Sequence[tuple[int, str]]) -> bool:
    """Move torn files to the quarantine and tell whether there were any.

    Only what was written shortly before the last start of the machine, and if nobody has written since:
    what is torn otherwise is damage. `hot` are arrival numbers and places of hot files. To be called under
    the exclusive lock of the tree.
    """
    written = [(_modified(tree, name), name) for name in journal.listed(tree.journals)]
    newest = max((moment for moment, _ in (*hot, *written)), default=0)
    if not 0 < newest < booted():
        return False
    torn = []
    for moment, name in written:
        path = os.path.join(tree.journals, name)
        if newest - moment <= _UNFLUSHED and not _is_whole_journal(path):
            torn.append(path)
    for moment, place in hot:
        path = tree.path(place)
        if newest - moment <= _UNFLUSHED and not _is_whole_file(path):
            torn.append(path)
    for path in torn:
        if not (path.endswith(journal.SUFFIX) and _keep_whole_lines(tree, path)):
            quarantine.move(tree, path)
    return bool(torn)


def _keep_whole_lines(tree: Tree, path: str) -> bool:
    """Give a session's journal those of its lines that are whole, after all of it was set aside.

    False for any other journal: it counts whole or not at all.
    """
    raw, moment = fileops.read_dated(path)
    if not raw.startswith(journal.SESSIONS):
        return False
    found = Journal(path)
    spans = zip(found.offsets, found.lengths, strict=True)
    lines = b"".join(raw[offset : offset + length] + b"\n" for offset, length in spans)
    quarantine.keep(tree, path)
    fresh = tree.temporary_path()
    fileops.create(fresh, journal.SESSION + lines, sync=True)
    # Dated as it was: whoever is interrupted here must be followed by one that still sees what was torn.
    fileops.date(fresh, moment)
    fileops.rename(fresh, path)
    return True


def _modified(tree: Tree, name: str) -> int:
    try:
        return os.stat(os.path.join(tree.journals, name)).st_mtime_ns // 1000
    except FileNotFoundError:
        return 0


def _is_whole_journal(path: str) -> bool:
    try:
        return not Journal(path).damage
    except JournalDamageError:
        return False
    except FileNotFoundError:
        return True


def _is_whole_file(path: str) -> bool:
    try:
        open_file(fileops.read(path), journal.parsed)
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True

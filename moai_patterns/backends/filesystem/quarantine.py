"""Where damaged files of a tree go: nothing that was stored is ever deleted because it cannot be read.

Loaded by the capture process, when it is the first after a start of the machine.
"""

from __future__ import annotations

import os

from moai_patterns.backends import fileops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from moai_patterns.backends.filesystem.tree import Tree

_PLACE = "quarantine"


def place_for(tree: Tree, path: str) -> str:
    """Return the path that a file of the tree has, or gets, in the quarantine.

    Its own name, with a number behind it when something else is called so; that of a history segment,
    which its day's heads have too, begins with `history.`.
    """
    relative = os.path.relpath(path, tree.root).split(os.sep)
    name = f"history.{relative[-1]}" if relative[0] == "history" else relative[-1]
    target = os.path.join(tree.path(_PLACE), name)
    number = 1
    while os.path.lexists(target) and not _is_same(path, target):
        number += 1
        target = os.path.join(tree.path(_PLACE), f"{name}.{number}")
    return target


def move(tree: Tree, path: str) -> str:
    """Move a file into the quarantine, for good, and return where it is; a missing one is fine."""
    target = place_for(tree, path)
    fileops.make_dirs(os.path.dirname(target))
    if os.path.lexists(target):  # it has this name already: `rename` would do nothing
        fileops.remove(path)
    else:
        try:
            fileops.rename(path, target)
        except FileNotFoundError:
            return target
    for directory in (os.path.dirname(target), os.path.dirname(path)):
        fileops.sync_dir(directory)
    return target


def keep(tree: Tree, path: str) -> str:
    """Put a file into the quarantine under a second name, so that its own can go; return where it is.

    What counts until something else is published stays in its place this way, and is never in neither.
    """
    target = place_for(tree, path)
    if os.path.lexists(path) and not os.path.lexists(target):
        fileops.make_dirs(os.path.dirname(target))
        fileops.link(path, target)
        fileops.sync_dir(os.path.dirname(target))
    return target


def held(tree: Tree) -> Iterator[str]:
    """Yield the paths of what was set aside."""
    try:
        names = sorted(os.listdir(tree.path(_PLACE)))
    except FileNotFoundError:
        return
    yield from (os.path.join(tree.path(_PLACE), name) for name in names)


def _is_same(path: str, target: str) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.lstat(target))
    except FileNotFoundError:
        return False

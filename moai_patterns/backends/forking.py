"""Who is told of forks: owners of connections, and of locks that a child would find held for ever.

SQLite keeps the locks of a process in its own memory. A child inherits that memory but not the locks:
a connection that it opens itself on the same file then believes itself locked, the parent's last close
removes the log underneath it, and what the child had acknowledged is gone (seen with 3.40.1). So
whoever owns connections is told before a fork, closes or holds still, and goes on after it.
"""

from __future__ import annotations

import os
from _weakref import ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Owner(Protocol):
        """Somebody with open connections or locks."""

        def before_fork(self) -> None:
            """Close what can be closed, and hold still."""

        def after_fork(self, in_child: bool) -> None:
            """Go on."""


_owners: set[ref[Owner]] = set()


def tell(owner: Owner) -> None:
    """Tell `owner` of every fork from now on, for as long as it lives."""
    _owners.add(ref(owner, _owners.discard))


def _alive() -> list[Owner]:
    return [owner for owner in [reference() for reference in list(_owners)] if owner is not None]


def _before() -> None:
    _told[:] = _alive()
    for owner in _told:
        owner.before_fork()


def _after(in_child: bool) -> None:
    told = list(_told)
    _told.clear()
    for owner in told:
        owner.after_fork(in_child)


_told: list[Owner] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(False),
        after_in_child=lambda: _after(True),
    )

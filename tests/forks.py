"""Forked processes that leave without closing anything, as a killed one does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable


def child(act: Callable[[], object]) -> int:
    """Run `act` in a forked process and return its id; it fails when `act` raises."""
    sys.stderr.flush()
    identity = os.fork()
    if identity == 0:
        status = 1
        try:
            act()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
        finally:
            os._exit(status)
    return identity


def succeed(children: Iterable[int]) -> None:
    """Wait for forked processes; all must have come to their end."""
    statuses = [os.waitpid(identity, 0)[1] for identity in list(children)]
    assert statuses == [0] * len(statuses)

"""From a name and a path to an open backend."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from moai_patterns.backends.base import Backend, BackendBase, Derived

BUILT_IN = ("filesystem", "sqlite", "memory")
ENTRY_POINTS = "moai_patterns.backends"


def open_backend(backend: str | Backend, base_path: str, **options: Any) -> BackendBase:
    """Return the backend of this name at `base_path`, or `backend` itself when it is one.

    `options` (`durability`, `timeout`) go to persistent backends. A name that is not built in is
    looked up among the entry points `moai_patterns.backends`, each a callable that takes the path
    and the options. Raises `ValueError` for an unknown name and `StoreError` for a path that is none.

    >>> open_backend("memory", "").get("unknown") is None
    True
    """
    if isinstance(backend, BackendBase):
        return backend
    if not isinstance(backend, str):
        if isinstance(backend, Backend) and not isinstance(backend, type):
            return Derived(backend)
        raise ValueError(f"backend is a name or an object with write, scan and close, not {backend!r}")
    if backend == "memory":
        from moai_patterns.backends.memory import MemoryBackend

        return MemoryBackend()
    if backend == "filesystem":
        from moai_patterns.backends.filesystem.backend import open_tree

        return open_tree(base_path, **options)
    if backend == "sqlite":
        from moai_patterns.backends.sqlite.backend import open_database

        return open_database(database_path(base_path), **options)
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if backend not in found:
        known = ", ".join((*BUILT_IN, *sorted(found)))
        raise ValueError(f"there is no backend {backend!r}; known are: {known}")
    opened: Backend = found[backend].load()(base_path, **options)
    return opened if isinstance(opened, BackendBase) else Derived(opened)


def database_path(base_path: str) -> str:
    """Return the file of an SQLite store: `.db` is appended unless it is there.

    >>> database_path("captures/patterns")
    'captures/patterns.db'
    """
    return base_path if base_path.endswith(".db") else base_path + ".db"

"""What every clause of the contract stands on: how to open the store, and the forms it is read in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from unittest import SkipTest

from moai_patterns.backends.base import Backend, BackendBase, Batch, Derived
from moai_patterns.testing.compare import must

C = TypeVar("C", bound="Clauses")


class Clauses:
    """The questions that a contract class answers for its backend."""

    persistent: ClassVar[bool] = True
    opener: ClassVar[str] = ""
    kills: ClassVar[int] = 12

    def open(self, path: Path) -> Backend:
        """Open the store at `path`, created when nothing is there; the same path is the same store."""
        must(bool(self.opener), f"{type(self).__name__} must define open(self, path) or opener")
        opened: Backend = resolve(self.opener)(path)
        return opened

    def damage(self, path: Path) -> Iterable[str]:
        """Corrupt stored bytes of the closed store at `path` and yield what a report of it must name.

        Each `yield` is one wound. The store is whole again, byte for byte, when the generator goes on.
        Empty text says that only what can be derived from the rest was corrupted: then nothing need be
        reported, but every answer must be right.
        """
        raise AssertionError(f"{type(self).__name__} must define damage(self, path): see docs/backends.md")

    @contextmanager
    def store(self, path: Path) -> Iterator[BackendBase]:
        """Open the store for a `with` block; at its end it must be free of damage."""
        opened = self.open(path)
        store = opened if isinstance(opened, BackendBase) else Derived(opened)
        try:
            yield store
            problems = store.check(read_data=True)
            must(not problems, f"check finds damage in a store that was only used: {problems}")
        finally:
            store.close()

    def forms(self, path: Path, batches: Iterable[Batch]) -> Iterator[tuple[str, BackendBase]]:
        """Write the batches and yield the store in every form it can take, each with its name."""
        with self.store(path) as store:
            for batch in batches:
                store.write(batch)
            yield "as written", store
            days = sorted(store.days())
            store.compact(days[::2])
            yield "half compacted", store
            store.compact(days)
            yield "compacted", store
        if self.persistent:
            with self.store(path) as store:
                yield "compacted and reopened", store

    def spawnable(self) -> tuple[str, str]:
        """Return how another process opens the store: `module:attribute`, and the module's file."""
        name = self.opener or f"{type(self).__module__}:{type(self).__qualname__}"
        must(
            "<locals>" not in name,
            f"{name} cannot be reached from another process: set opener = 'module:attribute', a callable "
            "that takes the path, or move the class to the top of its module",
        )
        module = sys.modules.get(name.partition(":")[0])
        return name, str(getattr(module, "__file__", None) or "")


def persists(test: Callable[[C, Path], None]) -> Callable[[C, Path], None]:
    """Report the test as not applicable, by its name, for a backend that keeps nothing after `close`."""

    @wraps(test)
    def applicable(contract: C, tmp_path: Path) -> None:
        if not contract.persistent:
            name = f"{type(contract).__name__}.{test.__name__}"
            raise SkipTest(f"not applicable: {name}, for its backend does not persist")
        test(contract, tmp_path)

    return applicable


def resolve(name: str) -> Any:
    """Return what `module:attribute` names.

    >>> resolve("moai_patterns.instant:SECOND")
    1000000
    """
    module, _, attribute = name.partition(":")
    found: Any = import_module(module)
    for step in attribute.split("."):
        found = getattr(found, step)
    return found

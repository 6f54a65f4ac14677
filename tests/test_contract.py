"""The contract on every built-in backend; `test_own_backend` runs it on the documented example."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from moai_patterns.backends.base import Backend
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.testing import BackendContract
from wounds import sqlite_wounds, tree_wounds


class TestMemory(BackendContract):
    persistent = False

    def open(self, path: Path) -> Backend:
        return MemoryBackend()


class TestFilesystem(BackendContract):
    opener = "moai_patterns.backends.filesystem.backend:FilesystemBackend"

    def damage(self, path: Path) -> Iterator[str]:
        return tree_wounds(path)


class TestSqlite(BackendContract):
    opener = "moai_patterns.backends.sqlite.backend:SqliteBackend"

    def damage(self, path: Path) -> Iterator[str]:
        return sqlite_wounds(path)

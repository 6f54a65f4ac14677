"""Every error the package raises on purpose: one base, few children, each also the natural built-in.

This module imports nothing, because the capture process loads it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from moai_patterns.schema import Violation


class PatternError(Exception):
    """Base of every error this package raises on purpose."""


class ValidationError(PatternError, ValueError):
    """A record was refused and nothing was written.

    `violations` holds every broken rule, not only the first: objects with `path` (a JSON path such
    as `$.data.duration_ms`), `rule` and `sentence`.
    """

    def __init__(self, message: str, violations: Iterable[Violation] = ()) -> None:
        super().__init__(message)
        self.violations = tuple(violations)


class SchemaError(PatternError, ValueError):
    """A schema handed to `register()` cannot be used."""


class QueryError(PatternError, ValueError):
    """A query, condition, bound or cursor without a meaning."""


class MissingExtraError(PatternError, ImportError):
    """What was asked for needs a package that is not installed; the message names its extra."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        sentence = f"{what} needs {package}: pip install 'moai-patterns[{extra}]'"
        super().__init__(sentence, name=package)


class ConflictError(PatternError, RuntimeError):
    """The head is not at the revision that the batch expected; nothing was written."""


class RetentionError(PatternError, RuntimeError):
    """Expiring now could remove what should stay; nothing was removed."""


class StoreError(PatternError, OSError):
    """The medium refused: the path, a permission, the disk, a lock."""


class BusyError(StoreError, TimeoutError):
    """Other writers held the store for longer than the caller wanted to wait."""


class ReadOnlyError(StoreError, PermissionError):
    """The store can be read but not written; the message says how to go on."""


class LayoutError(StoreError):
    """What lies at the path is no store, or one of a layout that this version does not know."""


class UnsafeStoreError(StoreError, PermissionError):
    """Somebody else owns what lies at the path, or may write to it; nothing of it is read or changed."""


class DamageError(StoreError):
    """Stored bytes are not the ones that were written; the message names the place."""

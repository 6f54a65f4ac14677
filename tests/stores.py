"""Looking at stores from outside: their bytes, and values that no store takes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

# SQLite's index of its log is shared memory: readers write into it.
_VOLATILE = ("-shm",)


def contents(place: Path) -> dict[str, str]:
    """The digest of every file below a directory by its path, which is what `unchanged` means."""
    return {
        str(path.relative_to(place)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file() and not path.name.endswith(_VOLATILE)
    }


def nested(levels: int, key: str | None = None) -> Any:
    """A value of so many lists or, with a key, objects within each other."""
    value: Any = 0
    for _ in range(levels):
        value = [value] if key is None else {key: value}
    return value

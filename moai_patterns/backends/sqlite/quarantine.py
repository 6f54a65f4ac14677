"""The directory beside a database in which a repair keeps what it takes out: files, rows, notes of gaps."""

from __future__ import annotations

import os
from binascii import crc32
from collections.abc import Iterable, Iterator, Mapping
from json import JSONDecodeError, JSONEncoder, loads
from typing import Any

from moai_patterns.backends import fileops

# Revisions that are known to be missing, so that `check` need not name them for ever. No finding by itself.
_GAPS = "gaps.jsonl"
_encode = JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def directory(path: str) -> str:
    """Return the quarantine of a database."""
    return path + "-quarantine"


def held(path: str) -> list[str]:
    """Return the paths of what was set aside."""
    try:
        names = sorted(os.listdir(directory(path)))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [os.path.join(directory(path), name) for name in names if name != _GAPS]


def place_for(path: str) -> str:
    """Return where a database itself is kept: under its name, with a number when that is taken."""
    name = os.path.join(directory(path), os.path.basename(path))
    target, number = name, 1
    while os.path.lexists(target) and not os.path.samefile(path, target):
        number += 1
        target = f"{name}.{number}"
    return target


def keep_database(path: str) -> str:
    """Give the database a second name in the quarantine, and return it."""
    target = place_for(path)
    if not os.path.lexists(target):
        fileops.make_dirs(directory(path))
        fileops.link(path, target)
        fileops.sync_dir(directory(path))
        fileops.sync_dir(os.path.dirname(path))
    return target


def keep_log(path: str) -> str:
    """Put a copy of the write-ahead log into the quarantine, for it will be emptied; return where it is."""
    return _keep(path, os.path.basename(path) + "-wal", fileops.read(path + "-wal"))


def rows_place(path: str, rows: Iterable[Mapping[str, Any]]) -> tuple[str, bytes]:
    """Return where rows are kept, a JSON object a line, and the bytes; equal rows have one place."""
    data = b"".join(_encode(_plain(row)).encode() + b"\n" for row in rows)
    return os.path.join(directory(path), f"rows-{crc32(data):08x}.jsonl"), data


def keep_rows(path: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows into the quarantine, and return where they are."""
    target, data = rows_place(path, rows)
    return _keep(path, os.path.basename(target), data)


def note_gaps(path: str, gaps: Iterable[tuple[str, int]]) -> None:
    """Note ids with their heads' revisions of which earlier ones are lost."""
    known = set(noted_gaps(path))
    lines = [
        _encode({"pattern_id": identity, "revision": revision}) for identity, revision in {*gaps} - known
    ]
    if lines:
        fileops.make_dirs(directory(path))
        text = "".join(f"{line}\n" for line in sorted(lines))
        fileops.append(os.path.join(directory(path), _GAPS), text.encode(), sync=True)
        fileops.sync_dir(directory(path))


def noted_gaps(path: str) -> Iterator[tuple[str, int]]:
    """Yield the ids with earlier revisions that are known to be lost, and the head's at that time."""
    try:
        lines = fileops.read(os.path.join(directory(path), _GAPS)).splitlines()
    except OSError:
        return
    for line in lines:
        try:
            found = loads(line)
            yield found["pattern_id"], found["revision"]
        except (JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
            continue  # torn: the repair that wrote it was interrupted, and the next one wrote it again


def _keep(path: str, name: str, data: bytes) -> str:
    target = os.path.join(directory(path), name)
    number = 1
    while os.path.lexists(target):
        if fileops.read(target) == data:
            return target
        number += 1
        target = os.path.join(directory(path), f"{name}.{number}")
    fileops.make_dirs(directory(path))
    fresh = target + ".part"
    fileops.remove(fresh)
    fileops.create(fresh, data, sync=True)
    fileops.rename(fresh, target)
    fileops.sync_dir(directory(path))
    fileops.sync_dir(os.path.dirname(path))
    return target


def _plain(value: Any) -> Any:
    """Return what JSON can hold: bytes as hexadecimal digits, text that is no UTF-8 with surrogates."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return {"hex": value.hex()} if isinstance(value, bytes) else value

"""The directory beside a database in which a repair keeps what it takes out: files, rows, notes of gaps."""

from __future__ import annotations

import os
from binascii import crc32
from collections.abc import Iterable, Mapping
from json import JSONEncoder, loads
from typing import Any

from moai_patterns.backends import fileops

# Revisions that are known to be missing, so that `check` need not name them for ever. No finding by itself.
_GAPS = "gaps.jsonl"
Ranges = list[tuple[int, int]]  # of revisions, both ends among them
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
        _make(path)
        fileops.link(path, target)
        fileops.sync_dir(directory(path))
        fileops.sync_dir(os.path.dirname(path))
    return target


def log_place(path: str, log: bytes) -> str:
    """Return where what is in a write-ahead log is kept."""
    return _place(path, os.path.basename(path) + "-wal", log)


def keep_log(path: str, log: bytes) -> str:
    """Put what is in the write-ahead log into the quarantine, for it will be emptied; return where it is."""
    return _keep(path, os.path.basename(path) + "-wal", log)


def rows_place(path: str, rows: Iterable[Mapping[str, Any]]) -> tuple[str, bytes]:
    """Return where rows are kept, a JSON object a line, and the bytes; equal rows have one place."""
    data = b"".join(_encode(_plain(row)).encode() + b"\n" for row in rows)
    return os.path.join(directory(path), f"rows-{crc32(data):08x}.jsonl"), data


def keep_rows(path: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows into the quarantine, and return where they are."""
    target, data = rows_place(path, rows)
    return _keep(path, os.path.basename(target), data)


def note_gaps(path: str, gaps: Iterable[tuple[str, Ranges]]) -> None:
    """Note ids with the revisions of them that are lost, as ranges."""
    lines = [_encode({"pattern_id": identity, "missing": missing}) for identity, missing in gaps]
    if lines:
        _make(path)
        text = "".join(f"{line}\n" for line in sorted(lines))
        fileops.append(os.path.join(directory(path), _GAPS), text.encode(), sync=True)
        fileops.sync_dir(directory(path))


def noted_gaps(path: str) -> dict[str, Ranges]:
    """Return the ids with revisions that are known to be lost, and which these are."""
    known: dict[str, Ranges] = {}
    try:
        lines = fileops.read(os.path.join(directory(path), _GAPS)).splitlines()
    except OSError:
        return known
    for line in lines:
        try:
            found = loads(line)
            missing = [(int(first), int(last)) for first, last in found["missing"]]
            known.setdefault(str(found["pattern_id"]), []).extend(missing)
        except (ValueError, KeyError, TypeError):
            continue  # torn: the repair that wrote it was interrupted, and the next one wrote it again
    return known


def _make(path: str) -> None:
    """Make the directory. Raises `UnsafeStoreError` for a link, and for one of others."""
    fileops.refuse_unsafe_root(directory(path))
    fileops.make_dirs(directory(path))


def _place(path: str, name: str, data: bytes) -> str:
    target = os.path.join(directory(path), name)
    number = 1
    while os.path.lexists(target) and fileops.read(target) != data:
        number += 1
        target = os.path.join(directory(path), f"{name}.{number}")
    return target


def _keep(path: str, name: str, data: bytes) -> str:
    target = _place(path, name, data)
    if os.path.lexists(target):
        return target
    _make(path)
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

"""The files of a tree in the plain layout: where they lie and how one is read.

Layout (of the document "Pattern Storage & Schema"): `YYYY/MM/DD/<anything>.json`, or `.json.gz` after
compression, each holding one pattern; `index.json` at the root maps an id to `path`, `type` and
`timestamp` of its file. Names and the index may be out of date, so the content counts.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from moai_patterns.backends import fileops
from moai_patterns.errors import ValidationError
from moai_patterns.instant import DAY, instant
from moai_patterns.jsonlines import parse
from moai_patterns.query import Record
from moai_patterns.validation.sound import sound

_GZIP = 31
_LOOKED_AT = 100
_LARGEST = 1 << 26  # of one decompressed pattern; a few kilobytes can decompress to gigabytes


class PlainFile(NamedTuple):
    """One file and the pattern in it, without its payload; or why it holds none."""

    path: str
    identity: str = ""
    kind: str = ""
    moment: int = 0
    damage: str = ""


class Place(NamedTuple):
    """Where a file lies, relative to the root with slashes, and what tells that it is still the same."""

    path: str
    size: int
    changed: int
    inode: int


def places(root: str) -> Iterator[Place]:
    """Yield the files below `YYYY/MM/DD` that should hold a pattern, by path. Raises `OSError`."""
    folders = [""]
    for digits in (4, 2, 2):
        folders = [below for folder in folders for below in _folders(root, folder, digits)]
    for folder in folders:
        with os.scandir(os.path.join(root, *folder.split("/"))) as entries:
            found = [entry for entry in entries if entry.name.endswith((".json", ".json.gz"))]
        for entry in sorted(found, key=lambda entry: entry.name):
            try:
                facts = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # compressed or deleted meanwhile, by whoever writes the tree
                continue
            yield Place(f"{folder}/{entry.name}", facts.st_size, facts.st_mtime_ns, facts.st_ino)


def _folders(root: str, parent: str, digits: int) -> list[str]:
    with os.scandir(os.path.join(root, *parent.split("/"))) as entries:
        return sorted(
            f"{parent}/{entry.name}".lstrip("/")
            for entry in entries
            if len(entry.name) == digits
            and entry.name.isascii()
            and entry.name.isdigit()
            and entry.is_dir(follow_symlinks=False)
        )


def day_of(path: str) -> int | None:
    """Return the day that a path says, counted from 1970-01-01; None when there is no such day.

    >>> day_of("1970/01/02/task.json")
    1
    """
    try:
        return instant(path[:10].replace("/", "-") + "T00:00Z") // DAY
    except ValueError:
        return None


def read(root: str, path: str) -> Record:
    """Return the pattern in a file.

    A file of the early collector says `type` instead of `pattern_type`; it is read as if it did not.
    Raises `ValueError` with what is wrong with the content, and `OSError`.
    """
    data = fileops.read(os.path.join(root, *path.split("/")))
    if path.endswith(".gz"):
        data = _decompress(data)
    try:
        pattern = parse(data, "")
    except ValidationError as error:
        raise ValueError(str(error).removeprefix(": ")) from None
    if isinstance(pattern, dict) and "pattern_type" not in pattern and "type" in pattern:
        pattern = {{"type": "pattern_type"}.get(key, key): value for key, value in pattern.items()}
    if fault := _fault(pattern):
        raise ValueError(fault)
    instant(pattern["timestamp"])
    return pattern  # type: ignore[no-any-return]


def _fault(pattern: Any) -> str:
    if not isinstance(pattern, dict):
        return "it holds no object"
    for name in ("pattern_id", "pattern_type", "timestamp"):
        if not isinstance(pattern.get(name), str) or not pattern[name]:
            return f"it holds no pattern: {name} is no text"
    if not isinstance(pattern.get("data"), dict):
        return "it holds no pattern: data is no object"
    if sound((pattern,)) != 2:
        return "it holds a number or a text that JSON has no room for, or is nested too deeply"
    return ""


def describe(root: str, path: str) -> PlainFile:
    """Return what a file holds, or its damage."""
    try:
        pattern = read(root, path)
    except OSError as error:
        return PlainFile(path, damage=f"it cannot be read: {error.strerror}")
    except ValueError as error:
        return PlainFile(path, damage=str(error))
    moment = instant(pattern["timestamp"])
    return PlainFile(path, pattern["pattern_id"], pattern["pattern_type"], moment)


def index(root: str) -> Any:
    """Return the content of `index.json`; None when it is missing or no JSON. Raises `OSError`."""
    try:
        return parse(fileops.read(os.path.join(root, "index.json")), "")
    except (FileNotFoundError, ValidationError):
        return None


def entries(content: Any) -> dict[str, str]:
    """Return the path of each id in an index; nothing when it is no map of ids."""
    if not isinstance(content, dict) or not all(map(_is_entry, content.values())):
        return {}
    return {identity: entry["path"].replace("\\", "/") for identity, entry in content.items()}


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("path"), str)


def sample(root: str) -> Record | None:
    """Return the first pattern, whatever else it holds, if there is one among the first files."""
    for place in islice(places(root), _LOOKED_AT):
        try:
            return read(root, place.path)
        except (OSError, ValueError):
            continue
    return None


def _decompress(data: bytes) -> bytes:
    parts = []
    room = _LARGEST
    while data:
        member = zlib.decompressobj(_GZIP)
        try:
            parts.append(member.decompress(data, room + 1))
        except zlib.error as error:
            raise ValueError(f"it is no gzip file: {error}") from None
        room -= len(parts[-1])
        if room < 0:
            raise ValueError(f"it decompresses to more than {_LARGEST} bytes")
        if not member.eof:
            raise ValueError("the gzip data is cut off")
        data = member.unused_data
    return b"".join(parts)

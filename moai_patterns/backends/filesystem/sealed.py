"""Hot files and journal lines carry a checksum, so that a flipped bit is not taken for a value.

`_meta` is the last member of a stored record and `crc32` the last of `_meta`: the CRC-32 of all bytes
before it. What follows is always the same, so the whole text is covered.
"""

from __future__ import annotations

from binascii import crc32

from moai_patterns.instant import FIRST, LAST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from moai_patterns.query import Record

_FILE = (b',\n    "crc32": ', b"\n  }\n}\n")
_LINE = (b',"crc32":', b"}}")


def seal_file(record: Record, encode: Callable[[Record], bytes]) -> bytes:
    """Return the bytes of a hot file; `encode` writes JSON indented by two, a line end at the end."""
    return _seal(encode(_last(record)), *_FILE)


def seal_line(record: Record, encode: Callable[[Record], bytes]) -> bytes:
    """Return a line of a journal, without the line end; `encode` writes compact JSON."""
    return _seal(encode(_last(record)), *_LINE)


def open_file(raw: bytes, loads: Callable[[bytes], Any]) -> Record:
    """Return the record of a hot file. Raises `ValueError` when it is not what was written."""
    return _open(raw, loads, *_FILE)


def open_line(raw: bytes, loads: Callable[[bytes], Any]) -> Record:
    """Return the record of a journal's line. Raises `ValueError` when it is not what was written."""
    return _open(raw, loads, *_LINE)


def _last(record: Record) -> Record:
    if next(reversed(record)) == "_meta":
        return record
    return {**{key: value for key, value in record.items() if key != "_meta"}, "_meta": record["_meta"]}


def _seal(raw: bytes, mark: bytes, tail: bytes) -> bytes:
    text = raw[: -len(tail)]
    return b"%b%b%d%b" % (text, mark, crc32(text), tail)


def _open(raw: bytes, loads: Callable[[bytes], Any], mark: bytes, tail: bytes) -> Record:
    at = raw.rfind(mark)
    if at < 0 or raw[at:] != b"%b%d%b" % (mark, crc32(memoryview(raw)[:at]), tail):
        raise ValueError("its checksum does not fit its bytes")
    record: Record = loads(raw)
    # Whoever can write here can make checksums, too: what is no record must not get further.
    if not is_stored(record) or record["_meta"].pop("crc32", None) is None:
        raise ValueError("its content is no stored record")
    return record


def is_stored(value: Any) -> bool:
    """Tell whether a value from outside has what stored records are found and put in order by."""
    try:
        identity, kind, meta = value["pattern_id"], value["pattern_type"], value["_meta"]
        moment, revision, get = meta["instant"], meta["revision"], meta.get
    except (KeyError, TypeError, AttributeError):
        return False
    seq, recorded, operation, actor = get("seq", 0), get("recorded_at"), get("operation"), get("actor")
    return bool(
        type(identity) is type(kind) is str
        and type(moment) is type(revision) is type(seq) is int
        and (recorded is None or type(recorded) is int)
        and (operation is None or type(operation) is str)
        and (actor is None or type(actor) is str)
        and FIRST <= moment <= LAST
        and 0 < revision < 1 << 32
        and 0 <= seq < 1 << 63
    )

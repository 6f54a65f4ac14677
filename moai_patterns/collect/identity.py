"""Ids that are derived from what was read, so that reading it again gives the same ones."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any


def digest(value: Any) -> str:
    """Return a fingerprint of a JSON value; equal values have equal ones, whatever their key order.

    By `json`, whose text of a number never changed: ids must outlive versions of faster writers.

    >>> digest({"a": 1, "b": [True]}) == digest({"b": [True], "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def derived_id(*parts: str | int) -> str:
    """Return the pattern id that belongs to these parts, in the form of a UUID of version 8.

    >>> derived_id("turn", "session-1", 7)
    '0d571818-bd67-8edc-920e-469491440e6d'
    """
    octets = bytearray(blake2b(json.dumps(parts).encode(), digest_size=16).digest())
    octets[6] = octets[6] & 0x0F | 0x80
    octets[8] = octets[8] & 0x3F | 0x80
    text = octets.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

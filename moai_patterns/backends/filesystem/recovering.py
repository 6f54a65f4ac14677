"""What is known of a segment whose manifest entry is gone: everything, from the segment itself."""

from __future__ import annotations

import os
from hashlib import sha256

from moai_patterns.backends import fileops
from moai_patterns.backends.filesystem.segment_check import digest_of, read_at, rebuild
from moai_patterns.backends.filesystem.segment_writer import DATA, INDEX, SegmentFacts
from moai_patterns.errors import DamageError


def recover_facts(stem_path: str) -> SegmentFacts:
    """Return the facts of a segment by reading it whole; damaged members count as not there.

    Raises `DamageError` when nothing in it can be read, and `OSError`.
    """
    descriptor = fileops.open_read(stem_path + DATA)
    try:
        read = read_at(descriptor)
        size = os.fstat(descriptor).st_size
        sha = digest_of(read, size)
        tally = rebuild(read, size, trusted=False).tally
    finally:
        os.close(descriptor)
    if not tally.index.count:
        raise DamageError(f"{stem_path}{DATA}: no record in it can be read")
    index = b"".join(tally.index.chunks(bytes.fromhex(sha), size))
    stored = (len(index), _stored_digest(stem_path, index))
    return tally.facts(os.path.basename(stem_path), (size, sha), stored)


def _stored_digest(stem_path: str, rebuilt: bytes) -> str:
    try:
        return sha256(fileops.read(stem_path + INDEX)).hexdigest()
    except OSError:
        return sha256(rebuilt).hexdigest()

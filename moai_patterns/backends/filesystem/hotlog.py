r"""The change log: arrival order, and where a record lies that no segment holds yet.

`index/log.<n>` gets one line per change, `index/heads` finds the changes of one id among them: a
hash table whose buckets point to the newest line, each line to the one before it in its bucket. Four
times as many buckets come by copying the table behind itself, so old chains are shared and no save
ever rewrites what is there. Both files are a cache of the tree: lines are written *before* the
rename that commits what they announce, and one word of the table says up to where all of them are
settled, as it is after that rename. So what a kill left announced is told from what was there and is
missing: the next writer settles the former or takes it back, the latter is damage.

A line is `<previous+1> <hash16> <crc32> <seq> <revision> <place>\\n`, the checksum being that of the
others joined by blanks; a place is the path of a hot file, `<journal>:<offset>:<length>` of a line in
a journal, or `<journal>:-` for a removal. The header and each bucket carry check bits too. Those of lines
and buckets say where they stand as well, so what was scrambled or moved, and a table that was put back
beside a longer log, is noticed where it is read and made anew from the tree.

Changes are made under the lock of the tree. `find` needs no lock: lines come before the header, and
the header before the bucket that leads to them.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import time
from binascii import crc32

from moai_patterns.backends import fileops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    # seq, revision, place
    Change = tuple[int, int, str]
    # ... and whether it is settled
    Found = tuple[int, int, str, bool]

_MAGIC = 0x36_47_4F_4C_49_41_4F_4D  # "MOAILOG6"
# Words: magic, number of the log, buckets, last seq, log bytes, lines, boot, damaged journals, check of
# these; settled bytes.
_HEADER = 10
_NUMBER, _BUCKETS, _SEQ, _BYTES, _LINES, _BOOT, _DOUBT = range(1, 8)
_SETTLED = 9
_WORDS, _ALL_WORDS = struct.Struct("<8Q"), struct.Struct("<9Q")
_LOOK = struct.Struct("<16xQ48xQ")  # how many buckets there are, and what is settled
_SUMMED = 72  # bytes of the header that its check covers, and the check
_FIRST_BUCKETS = 1024
_GROWTH = 4
_SPARSE = 2  # buckets per line, at least: each line in a chain costs a read, a bucket eight bytes
_WORD = (1 << 32) - 1
_LINE = 256  # more than nearly every line; a longer one costs a second read
_POSITION = (1 << 40) - 1
_CHECK, _SPREAD = ((1 << 24) - 1) << 40, 0x9E_3779
_SETTLED_SLOT = _FIRST_BUCKETS
_BLOCK = 1 << 16
# Bytes of the table, or of the log, that may be read at once for each id that is looked for: as long as a
# read of one word or line takes.
_AT_ONCE = 2048


class StaleLogError(Exception):
    """The log is missing, damaged or of another boot: it has to be made anew from the tree."""


class HotLog:
    """The open log of one tree; for reading only where the files cannot be written.

    Parameters:
        directory: where the table and `log.<n>` lie.
        table: the file name of the table.

    Opening, finding and appending raise `StaleLogError` when the files cannot be trusted, and `OSError`.
    """

    def __init__(self, directory: str, table: str = "heads") -> None:
        self._path = os.path.join(directory, table)
        self._heads = self._log = -1
        self._sound = b""
        # What was read under the lock: the header, up to where it is settled, buckets.
        self._words: list[int] | None = None
        self._up_to = 0
        self._table: memoryview | None = None
        self._seen: dict[int, int] = {}
        try:
            self._heads, self.is_writable = _open(self._path)
            facts = os.fstat(self._heads)
            self._identity = _identity(facts)
            if facts.st_size < (_HEADER + _FIRST_BUCKETS) * 8:
                raise StaleLogError("there is no table of heads")
            # A writer may be in the middle of the header. Under the lock of the tree nobody is.
            header = self._header() or self._header() or self._header()
            if header is None or header[_BOOT] != boot():
                raise StaleLogError("the table of heads is damaged or of another boot")
            # Whether it was made of a tree with damaged journals: what they held may be unknown to it.
            self.is_doubtful = header[_DOUBT] > 0
            self._log, _ = _open(os.path.join(directory, f"log.{header[_NUMBER]}"))
            # Longer it is, too, while a writer announces something; under the lock of the tree nobody does.
            if os.fstat(self._log).st_size != header[_BYTES]:
                raise StaleLogError("the log is not as long as its table says")
        except FileNotFoundError as error:
            self.close()
            raise StaleLogError(f"{error.filename} is missing") from None
        except BaseException:
            self.close()
            raise

    def is_current(self) -> bool:
        """Tell whether the files of this name are still the ones that are open."""
        try:
            return _identity(os.stat(self._path)) == self._identity
        except OSError:
            return False

    @property
    def seq(self) -> int:
        """The last arrival number."""
        return self._word(_SEQ)

    @property
    def lines(self) -> int:
        """How many changes the log holds."""
        return self._word(_LINES)

    def find(self, hashed: int) -> list[Found]:
        """Return the changes of the ids with this hash, the newest arrival first."""
        # Read once: another process may multiply the buckets meanwhile.
        raw = fileops.read_at(self._heads, _LOOK.size, 0)
        if len(raw) < _LOOK.size:
            raise StaleLogError("there is no table of heads")
        buckets, settled = _LOOK.unpack(raw)
        if not buckets or buckets & (buckets - 1):
            raise StaleLogError("the number of buckets is none")
        position = _position(self._word(_HEADER + (hashed & (buckets - 1))), _slot(hashed))
        return self._chain(hashed, position, _position(settled, _SETTLED_SLOT)) if position else []

    def find_all(self, hashes: Sequence[int]) -> dict[int, list[Found]]:
        """Return the changes of the ids with these hashes, as far as there are any; after `look`."""
        header = self._held()
        mask, settled = header[_BUCKETS] - 1, self._up_to
        self._read_table(len(hashes))
        many = len(hashes) > 1 and header[_BYTES] <= len(hashes) * _AT_ONCE
        log = self._read(0, header[_BYTES]) if many else None
        found = {}
        for hashed in hashes:
            word = self._bucket(hashed & mask)
            if not _is_empty(word, _slot(hashed)):
                changes = self._chain(hashed, _position(word, _slot(hashed)), settled, log)
                if changes:
                    found[hashed] = changes
        return found

    def _read_table(self, count: int) -> None:
        """Read all buckets, where that costs less than to read the `count` that are wanted."""
        size = self._held()[_BUCKETS] * 8
        if self._table is None and size <= count * _AT_ONCE and sys.byteorder == "little":
            table = bytearray(fileops.read_at(self._heads, size, _HEADER * 8))
            if len(table) < size:
                raise StaleLogError("the table of heads is shorter than it says")
            self._table = memoryview(table).cast("Q")

    def _bucket(self, bucket: int) -> int:
        """Return the word of a bucket as it is under the lock; each is read once."""
        if self._table is not None:
            return self._table[bucket]
        word = self._seen.get(bucket)
        if word is None:
            word = self._seen[bucket] = self._word(_HEADER + bucket)
        return word

    def _chain(self, hashed: int, position: int, settled: int, log: bytes | None = None) -> list[Found]:
        """Return the changes with this hash among the lines from a position on, one to the one before it.

        `log` is all of it, where it has been read.
        """
        found = []
        wanted = b"%016x" % hashed
        while position:
            line = self._line(position - 1) if log is None else _line_in(log, position - 1)
            if line[13:29] == wanted:
                seq, revision, place = line[39:].split(b" ", 2)
                found.append((int(seq), int(revision), place.decode(), position <= settled))
            previous = int(line[:12])
            if previous >= position:
                raise StaleLogError("a line points behind itself")
            position = previous
        found.sort(reverse=True)
        return found

    def look(self) -> bool:
        """Read the header; tell whether everything that was announced is known to be committed.

        Under the lock of the tree, where nobody else changes it: `append`, `settle` and `next_seq` go by what
        was read here. Each read that is spared is a fiftieth of a save.
        """
        end = self._read_header()[_BYTES]
        return self._up_to == end

    def _read_header(self) -> list[int]:
        raw = fileops.read_at(self._heads, _SUMMED + 8, 0)
        words = self._sound_words(raw[:_SUMMED])
        if words is None:
            raise StaleLogError("the header of the table is damaged")
        self._up_to = int.from_bytes(raw[_SUMMED:], "little") & _POSITION
        self._words, self._table = words, None
        self._seen.clear()
        return words

    def next_seq(self) -> int:
        """Return the next arrival number, after `look`; further ones may follow it directly.

        Numbers follow the clock in microseconds, so that a log made anew after a power cut repeats none.
        """
        return max(self._held()[_SEQ] + 1, time.time_ns() // 1000)

    def append(self, hashes: Sequence[int], changes: Sequence[Change]) -> None:
        """Announce the changes of one batch; it is committed only afterwards, and then `settle` says so."""
        header = self._held()
        if not self.is_writable:
            raise PermissionError(errno.EACCES, "the change log cannot be written", self._path)
        if (header[_LINES] + len(hashes)) * _SPARSE > header[_BUCKETS]:
            self._grow(header, header[_LINES] + len(hashes))
        mask = header[_BUCKETS] - 1
        self._read_table(len(hashes))
        start = end = header[_BYTES]
        lines = []
        latest: dict[int, int] = {}
        for hashed, (seq, revision, place) in zip(hashes, changes, strict=True):
            bucket = hashed & mask
            previous = latest.get(bucket)
            if previous is None:
                word, slot = self._bucket(bucket), _slot(hashed)
                previous = 0 if _is_empty(word, slot) else _position(word, slot)
            key, rest = b"%012d %016x" % (previous, hashed), b"%d %d %b" % (seq, revision, place.encode())
            line = b"%b %08x %b\n" % (key, crc32(rest, crc32(key, end & _WORD)), rest)
            latest[bucket] = end + 1
            end += len(line)
            lines.append(line)
        self._write(b"".join(lines), start)
        header[_SEQ] = max(header[_SEQ], changes[-1][0])
        header[_LINES] += len(lines)
        header[_BYTES] = end
        self._put(header)
        table, self._table = self._table, None
        self._seen.clear()
        if table is None:
            for bucket, position in latest.items():
                self._put_word(_HEADER + bucket, _checked(position, _slot(bucket)))
        else:
            for bucket, position in latest.items():
                table[bucket] = _checked(position, _slot(bucket))
            fileops.write_at(self._heads, table.cast("B"), _HEADER * 8)

    def settle(self) -> None:
        """Say that what was announced last is committed."""
        self._put_word(_SETTLED, _checked(self._held()[_BYTES], _SETTLED_SLOT))

    @property
    def settled(self) -> int:
        """Up to which byte everything is known to be committed."""
        return _position(self._word(_SETTLED), _SETTLED_SLOT)

    def end_of(self, name: str, settled: int) -> int:
        """Return up to where a journal must reach by what is settled by then; 0 when that is unknown."""
        mark, start, rest = b" %b:" % name.encode(), settled, b""
        while start:
            end, start = start, max(start - _BLOCK, 0)
            block = self._read(start, end) + rest
            found = block.rfind(mark)
            if found >= 0:
                place = block[found + len(mark) :].partition(b"\n")[0].decode()
                span = place.split(":")
                return sum(map(int, span)) if all(map(str.isdecimal, span)) else 0
            rest = block[:_LINE]
        return 0

    @property
    def is_settled(self) -> bool:
        """Whether everything that was announced is known to be committed; under the lock of the tree."""
        return self._word(_SETTLED) & _POSITION == self._word(_BYTES)

    def announced(self) -> list[Change]:
        """Return what was announced last and is not settled: one batch, of a writer that is no more."""
        return [(seq, revision, place) for _, seq, revision, place in self.changes(self.settled)]

    def take_back(self) -> None:
        """Forget what is not settled; nothing of it was committed."""
        header = self._held()
        start, end = self.settled, header[_BYTES]
        lines = list(_lines(self._read(start, end), start))
        for line in reversed(lines):
            hashed = int(line[13:29], 16)
            bucket = _HEADER + (hashed & (header[_BUCKETS] - 1))
            self._put_word(bucket, _checked(int(line[:12]), _slot(hashed)))
        header[_BYTES] = start
        header[_LINES] -= len(lines)
        self._put(header)
        fileops.truncate(self._log, start)

    def changes(self, start: int = 0, *, settled: bool = False) -> Iterator[tuple[int, int, int, str]]:
        """Yield (hash, seq, revision, place) of all changes in the order of their lines.

        From the byte `start` on, and those alone that are `settled` if asked.
        """
        end = self.settled if settled else self._word(_BYTES)
        position, rest = start, b""
        while position < end:
            block = rest + self._read(position, min(position + (1 << 20), end))
            whole = block.rfind(b"\n") + 1
            for line in _lines(block[:whole], position - len(rest)):
                seq, revision, place = line[39:].split(b" ", 2)
                yield int(line[13:29], 16), int(seq), int(revision), place.decode()
            position += len(block) - len(rest)
            rest = block[whole:]

    def __del__(self) -> None:
        self.close()  # of a storage that was dropped, not closed

    def close(self) -> None:
        """Release the files."""
        for descriptor in (self._heads, self._log):
            if descriptor >= 0:
                os.close(descriptor)
        self._heads = self._log = -1

    def _read(self, start: int, end: int) -> bytes:
        block = fileops.read_at(self._log, end - start, start)
        if len(block) < end - start:
            raise StaleLogError("the log is shorter than its table says")
        return block

    def _write(self, lines: bytes, start: int) -> None:
        try:
            fileops.write_at(self._log, lines, start)
        except OSError:
            fileops.truncate(self._log, start)  # a longer log than the table says is taken for another one
            raise

    def _line(self, position: int) -> bytes:
        line = fileops.read_at(self._log, _LINE, position)
        end = line.find(b"\n")
        if end < 0:
            line = fileops.read_at(self._log, 1 << 16, position)
            end = line.find(b"\n")
        return _sound(line[: max(end, 0)], position)

    def _header(self) -> list[int] | None:
        """Return the words of the header, None when they do not fit each other."""
        return self._sound_words(fileops.read_at(self._heads, _SUMMED, 0))

    def _held(self) -> list[int]:
        """Return the words of the header as they are under the lock."""
        if self._words is None:
            return self._read_header()
        return self._words

    def _sound_words(self, raw: bytes) -> list[int] | None:
        if len(raw) < _SUMMED:
            return None
        words = list(_ALL_WORDS.unpack(raw))
        if raw != self._sound:
            if words[0] != _MAGIC or words[-1] != crc32(raw[:-8]):
                return None
            self._sound = raw
        return words

    def _put(self, header: Sequence[int]) -> None:
        # One call: a kill does not come in between, and a mismatch only costs a new log.
        self._sound = _packed(header)
        fileops.write_at(self._heads, self._sound, 0)

    def _word(self, number: int) -> int:
        # Read, not mapped: whoever touches a page of a map that somebody has cut off is killed.
        raw = fileops.read_at(self._heads, 8, number * 8)
        if len(raw) < 8:
            raise StaleLogError("the table of heads is shorter than it says")
        return int.from_bytes(raw, "little")

    def _put_word(self, number: int, word: int) -> None:
        fileops.write_at(self._heads, word.to_bytes(8, "little"), number * 8)

    def _grow(self, header: list[int], lines: int) -> None:
        """Multiply the buckets. The count in the header comes last: until then the copies are unused."""
        buckets = old = header[_BUCKETS]
        while lines * _SPARSE > buckets:
            buckets *= _GROWTH
        table = fileops.read_at(self._heads, old * 8, _HEADER * 8)
        if len(table) < old * 8:
            raise StaleLogError("the table of heads is shorter than it says")
        for copy in range(1, buckets // old):
            fileops.write_at(self._heads, table, (_HEADER + copy * old) * 8)
        header[_BUCKETS] = buckets
        self._put(header)
        self._table = None
        self._seen.clear()


def _open(path: str) -> tuple[int, bool]:
    """Open a file of the log; also tell whether it can be written."""
    try:
        return fileops.open_shared(path, create=False), True
    except OSError as error:
        if error.errno not in fileops.DENIED:
            raise
        return fileops.open_read(path), False


def _packed(header: Sequence[int]) -> bytes:
    body = _WORDS.pack(*header[:8])
    return body + crc32(body).to_bytes(8, "little")


def _checked(position: int, slot: int) -> int:
    """A position of 40 bits with 24 check bits above it, which are others in each slot of the table.

    Each bit of the position changes one of them. Sums that mix better take twice as long.
    """
    return (position ^ position >> 24 ^ slot * _SPREAD) << 40 & _CHECK | position


def _position(word: int, slot: int) -> int:
    position = word & _POSITION
    if _checked(position, slot) != word:
        raise StaleLogError("a bucket of the table is damaged")
    return position


def _slot(hashed: int) -> int:
    """The part of a bucket's number that stays when there are more of them."""
    return hashed % _FIRST_BUCKETS


def _sound(line: bytes, position: int) -> bytes:
    """Return a line of the log if its checksum fits, and it is the one that was written there."""
    if line[30:38] != b"%08x" % crc32(line[39:], crc32(line[:29], position & _WORD)):
        raise StaleLogError("a line of the log is damaged")
    return line


def _line_in(log: bytes, position: int) -> bytes:
    return _sound(log[position : log.find(b"\n", position)], position)


def _lines(block: bytes, position: int) -> Iterator[bytes]:
    """Yield the lines of a block of the log that begins at `position`."""
    for line in block.splitlines():
        yield _sound(line, position)
        position += len(line) + 1


def _is_empty(word: int, slot: int) -> bool:
    return word == slot * _SPREAD << 40 & _CHECK


def blank(number: int, seq: int, damaged: int) -> bytes:
    """Return the table of a log without lines; the parameters are those of its header."""
    slots = (_SETTLED_SLOT, *range(_FIRST_BUCKETS))
    words = [_checked(0, slot) for slot in slots]
    header = [_MAGIC, number, _FIRST_BUCKETS, seq, 0, 0, boot(), damaged]
    return _packed(header) + struct.pack("<%dQ" % len(words), *words)


_boot: list[int] = []


def boot() -> int:
    """Return a number that changes when the machine starts, 0 where the system has none.

    After a power cut files that were never flushed may disagree with each other; an index that was
    written before it is not believed.
    """
    if not _boot:
        try:
            text = fileops.read("/proc/sys/kernel/random/boot_id")
            _boot.append(int(text.replace(b"-", b"")[:15], 16))
        except (OSError, ValueError):
            _boot.append(0)
    return _boot[0]


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino

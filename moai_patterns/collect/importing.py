"""Import of transcripts and of logged hook payloads: files and directories into a storage."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO

from moai_patterns.collect import claude_code
from moai_patterns.collect.entries import Damage, Entry, is_line, is_payload, read
from moai_patterns.collect.filling import Filling
from moai_patterns.collect.identity import derived_id, digest
from moai_patterns.collect.intake import Intake, Tally
from moai_patterns.collect.redact import redact, suspicious
from moai_patterns.collect.transcript_lines import own_stamp
from moai_patterns.collect.transcripts import Transcript
from moai_patterns.errors import StoreError
from moai_patterns.instant import FIRST, LAST
from moai_patterns.query import Record
from moai_patterns.schema import PatternSchema
from moai_patterns.storage import PatternStorage

_LOOKED_AT = 64  # entries by which a file is told
_DAMAGED = 10_000  # damaged ones before or among them
_HEAD = 1 << 16
_NAMED = 10_000  # damaged places that are named; further ones are counted


@dataclass(frozen=True, slots=True)
class Skipped:
    """A place that did not go in: line 0 is the whole file."""

    file: str
    line: int
    reason: str


@dataclass(slots=True)
class Summary:
    """What an import did.

    `lines` and `payloads` count what was read, `records` tells per kind what was added, revised and
    unchanged, `skipped` names damaged places and files that cannot be read (the first 10,000; `damaged`
    counts all of them), `ignored` names files that hold no recording, `filled` counts records of hooks
    that a transcript completed.
    """

    files: int = 0
    lines: int = 0
    payloads: int = 0
    repeated: int = 0
    damaged: int = 0
    filled: int = 0
    records: dict[str, Tally] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    ignored: list[Skipped] = field(default_factory=list)

    @property
    def added(self) -> int:
        """Records that are new in the store."""
        return sum(tally.added for tally in self.records.values())

    @property
    def revised(self) -> int:
        """Records that say more than before."""
        return sum(tally.revised for tally in self.records.values())

    @property
    def unchanged(self) -> int:
        """Records that were there already."""
        return sum(tally.unchanged for tally in self.records.values())

    def skip(self, file: str, line: int, reason: str) -> None:
        """Count a place that does not go in, and name it."""
        self.damaged += 1
        if len(self.skipped) < _NAMED:
            self.skipped.append(Skipped(file, line, reason))


def import_paths(
    paths: Iterable[str | os.PathLike[str]],
    storage: PatternStorage,
    *,
    key: bytes | Callable[[], bytes | None] | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    clock: Callable[[], int] = time.time_ns,
) -> Summary:
    """Import transcripts and logged hook payloads into a storage, and return what went in.

    Files are told by their content, directories are read recursively. Each batch is all or nothing;
    an import that was interrupted is completed by the next one, and a repeated one adds nothing, also
    when files have grown, moved or come in another order.

    Parameters:
        paths: files and directories.
        storage: where the records go.
        key: of the placeholders that stand in the place of secrets, or what returns it, asked only when
            there is something to import; None stores secrets as they are.
        progress: called with the bytes read so far and the bytes in all.
        clock: returns nanoseconds since 1970-01-01 UTC; no assumed time lies beyond it.

    Raises `StoreError` for a path that does not exist, before anything is read, and what the storage
    raises.

    >>> import json, pathlib
    >>> payload = {"hook_event_name": "Stop", "session_id": "s"}
    >>> _ = pathlib.Path("stop.json").write_text(json.dumps([payload, payload]))
    >>> with PatternStorage("memory") as storage:
    ...     [import_paths(["stop.json"], storage, key=None).added for _ in range(2)]
    [2, 0]
    """
    summary = Summary()
    found = [recording for path in _files(paths) if (recording := _recording(path, summary)) is not None]
    # Transcripts first: they tell when the sessions were that logged payloads belong to.
    found.sort(key=lambda recording: recording.payloads)
    if callable(key):
        key = key() if found else None
    run = _Import(storage, summary, key, clock() // 1000)
    total, before = sum(recording.size for recording in found), 0
    for recording in found:
        for done in run.read(recording):
            progress(before + done, total)
        before += recording.size
    run.finish()
    return summary


class _Recording:
    """A file to import: a transcript, or a log of hook payloads."""

    def __init__(self, path: str, status: os.stat_result, *, payloads: bool) -> None:
        self.path = path
        self.size = status.st_size
        self.payloads = payloads
        self.transcript = Transcript()
        self._written = status.st_mtime_ns // 1000
        self._equal: dict[str, int] = {}

    def forget(self) -> None:
        """Give up what was only needed while the file was read."""
        self.transcript = Transcript()
        self._equal = {}

    def moment(self, entry: Entry, now: int) -> int:
        """Return the time that stands in where nothing tells one: when the file was last written.

        Earlier by a microsecond per byte that follows, so that entries keep their order.
        """
        return max(FIRST, min(self._written, now, LAST) - max(self.size - entry.offset, 0))

    def number(self, content: str) -> int:
        """Return how many entries of the file had this content by now."""
        self._equal[content] = self._equal.get(content, 0) + 1
        return self._equal[content]


def _files(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return every file below the paths once, in a fixed order."""
    found: dict[str, str] = {}
    for path in [os.fspath(path) for path in paths]:
        if not os.path.exists(path):
            raise StoreError(f"{path} does not exist: name a transcript, a log of payloads or a directory")
        if not os.path.isdir(path):
            found.setdefault(os.path.realpath(path), path)
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                file = os.path.join(folder, name)
                found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def _open(path: str) -> BinaryIO | None:
    """Open a regular file, None for anything else, without waiting where a pipe lies in its place."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")


def _recording(path: str, summary: Summary) -> _Recording | None:
    """Look at the first entries of a file; name it in the summary unless it is a recording."""
    try:
        file = _open(path)
        if file is None:
            summary.ignored.append(Skipped(path, 0, "no regular file"))
            return None
        with file:
            if b"{" in file.read(_HEAD):
                file.seek(0)
                found = islice(read(file), _LOOKED_AT + _DAMAGED)
                for entry in islice((entry for entry in found if isinstance(entry, Entry)), _LOOKED_AT):
                    if is_payload(entry.value) or is_line(entry.value):
                        return _Recording(path, os.fstat(file.fileno()), payloads=is_payload(entry.value))
    except OSError as error:
        summary.skip(path, 0, error.strerror or str(error))
        return None
    summary.ignored.append(Skipped(path, 0, "no transcript and no log of hook payloads"))
    return None


class _Import:
    """One run: the files one after the other, the records in batches."""

    def __init__(self, storage: PatternStorage, summary: Summary, key: bytes | None, now: int) -> None:
        self._summary = summary
        self._key = key
        self._now = now
        self._intake = Intake(storage, _is_valid)
        self._storage = storage
        self._filling = Filling()
        self._sessions: dict[str, int] = {}

    def read(self, recording: _Recording) -> Iterator[int]:
        """Read one file to its end; yield how many bytes that is by now."""
        try:
            file = _open(recording.path)
        except OSError as error:
            self._summary.skip(recording.path, 0, error.strerror or str(error))
            return
        if file is None:
            self._summary.skip(recording.path, 0, "no regular file any more")
            return
        line = size = 0
        with file:
            self._summary.files += 1
            for found in read(file):
                line = found.line
                if isinstance(found, Damage):
                    self._summary.skip(recording.path, line, found.reason)
                    continue
                size = found.size
                self._take(recording, line, size, self._records(recording, found))
                yield found.offset + size
        self._take(recording, line, size, recording.transcript.finish())
        self._summary.repeated += recording.transcript.repeated
        for session, moment in recording.transcript.sessions.items():
            self._sessions[session] = min(self._sessions.get(session, moment), moment)
        recording.forget()
        yield recording.size

    def finish(self) -> None:
        """Write the last batch, and fill in what hooks had to assume and the transcripts tell."""
        self._intake.flush()
        self._summary.filled = self._filling.fill(self._storage)
        self._summary.records = self._intake.tallies

    def _records(self, recording: _Recording, entry: Entry) -> Iterable[Record]:
        """Map one entry of a file."""
        value = entry.value
        if is_payload(value) or not isinstance(value, dict) or (recording.payloads and not is_line(value)):
            self._summary.payloads += 1
            return self._payload(recording, entry)
        self._summary.lines += 1
        moment = recording.moment(entry, self._now)
        clean = self._cleaner(entry)
        if entry.reason is None:
            value = clean(value)
            if _can_hold(value):
                return recording.transcript.add(value, entry.size, moment)
        reason = entry.reason or "the line holds a value or a depth that no record can hold"
        return [recording.transcript.raw(clean(entry.text), reason, moment)]

    def _payload(self, recording: _Recording, entry: Entry) -> list[Record]:
        """Map a logged payload. Its id derives from its content and its number among equal ones."""
        moment, clock = recording.moment(entry, self._now), "file"
        session = entry.value.get("session_id") if isinstance(entry.value, dict) else None
        told = own_stamp(entry.value) if isinstance(entry.value, dict) else None
        if told is not None:
            moment, clock = told.moment, "payload"
        elif isinstance(session, str) and session in self._sessions:
            moment, clock = min(self._sessions[session] + entry.offset, self._now), "session"
        made = claude_code.from_text(
            entry.text, now=moment, new_id=lambda: "new", valid=_is_valid, redact=self._cleaner(entry)
        )
        carried = claude_code.rebuild(made[0])
        content = digest([carried.decode("latin-1")] if isinstance(carried, bytes) else carried)
        identity = derived_id("payload", content, recording.number(content))
        for number, record in enumerate(made):
            record["pattern_id"] = derived_id("derived", identity, number) if number else identity
            metadata = record["context"]["metadata"]
            metadata["clock"] = clock
            if number:
                metadata["primary"] = identity
            if clock != "payload":
                metadata["assumed"] = ["timestamp", *metadata.get("assumed", ())]
        return made

    def _cleaner(self, entry: Entry) -> Callable[[Any], Any]:
        """Return what takes the secrets out of an entry; nothing where its text hints at none."""
        key, text = self._key, entry.text
        if key is None or not suspicious(text):
            return lambda value: value
        return lambda value: redact(value, key)[0]

    def _take(self, recording: _Recording, line: int, size: int, records: Iterable[Record]) -> None:
        for record in records:
            if self._intake.add(record, size):
                self._filling.add(record)
            else:
                self._summary.skip(
                    recording.path, line, f"the {record['pattern_type']} made of it is not valid"
                )


def _is_valid(record: Record) -> bool:
    return bool(PatternSchema.validate_pattern(record))


def _can_hold(line: Record) -> bool:
    """Tell whether a record can hold a line wherever it may have to stand."""
    return _is_valid(
        {
            "pattern_id": "line",
            "pattern_type": "hook_event",
            "timestamp": "1970-01-01",
            "data": {"event": "line"},
            "context": {"metadata": {"line": line}},
        }
    )

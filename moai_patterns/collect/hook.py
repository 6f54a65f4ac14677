"""`moai-patterns hook claude-code`: one payload from standard input into the store, and not a word.

The agent waits for this process after each tool call, so it loads nothing that it does not use, takes
at most half a second for locks, keeps in the spool what the store cannot take, and never does
maintenance. It prints nothing and exits 0 whatever happens: exit code 2 would block the agent, other
output would reach its model or its user. What went wrong stands in `<store>.log`.

It leaves by `os._exit`. Taking the interpreter down costs a tenth of its start, and closing the last
connection to an SQLite database brings its log into it with two flushes to the disk. Nothing is
buffered in this process by then: each write has reached the system, which is what `os` promises.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` wraps it in enums
import gc
import os
import time

from moai_patterns.errors import StoreError
from moai_patterns.identifiers import new_id
from moai_patterns.instant import isoformat
from moai_patterns.lightjson import dumps, loads
from moai_patterns.location import beside, default_store, in_project, parse_store, spools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NoReturn

    from moai_patterns.location import Location

    Record = dict[str, Any]

LARGEST = 64 << 20  # bytes of a payload; the parsed form takes up to ten times as much memory
WAIT = 0.5  # seconds for all locks together
LOGGED = 20_000  # hot files from which a hook makes a change log anew, as after a start of the machine
DRAINED = 32  # batches from the spool per hook: a few milliseconds
_PIECE = 1 << 20
_SILENCE = 100  # milliseconds without another byte, after which a whole payload counts as all
_PATIENCE = 2_000  # and after which anything does: no agent pauses so long within a payload


def run(arguments: Sequence[str]) -> NoReturn:
    """Capture what stands on standard input and end the process with exit code 0, whatever happens.

    `arguments` are those of the command line; `--store NAME` among them is heeded.
    """
    try:
        gc.disable()  # one payload, one exit: a collection would only look at it once more
        _close_the_mouth()
        _on_signals(_stop)
        # Killed by the agent from here on, a payload would be lost for the sake of a few milliseconds.
        raw, size = received(0, done=lambda: _on_signals(_signal.SIG_IGN))
        if raw.strip():
            capture(raw, size, arguments=arguments, environ=os.environ, now=time.time_ns() // 1000)
    finally:
        os._exit(0)  # also swallows what was raised, without the traceback that Python would print


def capture(raw: bytes, size: int, *, arguments: Sequence[str], environ: Mapping[str, str], now: int) -> None:
    """Store one payload, or spool it.

    Parameters:
        raw: the payload, or its beginning.
        size: bytes of the whole payload.
        arguments: of the command line.
        environ: the environment, for the store and the settings.
        now: UTC microseconds.

    Raises what even the log of faults cannot hold.
    """
    target = _Target(arguments, environ, now)
    made = target.records(raw, size)
    for record in made:
        record["_meta"] = {"instant": now, "revision": 1, "recorded_at": now, "operation": "save"}
    target.keep(made)


def received(descriptor: int, *, done: Callable[[], None] = lambda: None) -> tuple[bytes, int]:
    """Read standard input to its end and return its bytes, at most 64 MB of them, and how many it had.

    The end is also a whole JSON document after which nothing comes, and anything after which nothing
    comes for two seconds: some versions of Claude Code leave the pipe open at the end of a session. So is
    a signal to stop. What is beyond the limit is read and dropped, because an agent that writes into a
    closed pipe fails. `done` is called when nothing more is read.
    """
    pieces = []
    size = 0
    try:
        while piece := _read(descriptor):
            size += len(piece)
            if size <= LARGEST or size - len(piece) < LARGEST:
                pieces.append(piece)
            if not _is_silent(descriptor, _SILENCE):
                continue
            if _is_whole(b"".join(pieces)) or _is_silent(descriptor, _PATIENCE - _SILENCE):
                break
        done()
    except _StoppedError:
        pass  # what has come by now is better than nothing
    return b"".join(pieces)[:LARGEST], size


class _StoppedError(Exception):
    """The agent told this process to stop."""


class _Target:
    """The store that a payload goes to, and what is done instead when it cannot."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str], now: int) -> None:
        self._environ = environ
        self._now = now
        self._end = 0.0
        self._unusable: StoreError | None = None
        try:
            self._location = _location(arguments, environ)
        except StoreError as error:
            # They wait beside the default store: a wrong name must not cost the records.
            self._unusable = error
            self._location = parse_store(in_project(default_store({}), environ))

    def records(self, raw: bytes, size: int) -> list[Record]:
        """Map a payload to records that are redacted and valid; if that fails, to one that says why."""
        try:
            from moai_patterns.collect.claude_code import from_text
            from moai_patterns.validation.compiled import valid

            text = _text(raw)
            redact = self._redaction(text if isinstance(text, str) else raw.decode("latin-1"))
            made = from_text(text, now=self._now, new_id=self._new_id, valid=valid, redact=redact)
        except Exception as error:  # noqa: BLE001  whatever it was, the payload is still here
            self._note("map", error)
            return [self._unmapped(raw, size, f"{type(error).__name__} while mapping")]
        if size > len(raw):
            made[0]["data"]["reason"] = f"cut off: the payload has {size} bytes, {len(raw)} are kept"
        return made

    def keep(self, records: list[Record]) -> None:
        """Write the records into the store, and then what waits in its spool; else spool them."""
        self._end = time.monotonic() + WAIT
        try:
            if self._unusable is not None:
                raise self._unusable
            self._writer()(records, True)
        except Exception as error:  # noqa: BLE001  an import, the medium, a lock: the record must wait
            self._spool(records, error)
            return
        if spools(self._location, self._environ):
            self._drain()

    def _spool(self, records: list[Record], error: Exception) -> None:
        try:
            from moai_patterns.spool import put

            put(self._location, records, self._environ)
        finally:
            self._note("write", error)

    def _drain(self) -> None:
        from moai_patterns.spool import drain

        try:
            write = self._writer()
            drain(self._location, lambda batch: _take_in(write, batch), limit=DRAINED, environ=self._environ)
        except Exception as error:  # noqa: BLE001  the payload is stored; what waits goes on waiting
            self._note("drain", error)

    def _writer(self) -> Callable[[list[Record], bool], object]:
        """Return what writes a batch, and waits for the rest of the time that locks may take in all."""
        backend, path = self._location
        left = max(0.0, self._end - time.monotonic())
        if backend == "filesystem":
            from moai_patterns.backends.filesystem.write import TreeWriter

            tree = TreeWriter(path, durability="os", timeout=left, most=LOGGED)
            return lambda records, fresh: tree.write(records, fresh=fresh)
        from moai_patterns.backends.sqlite.write import TableWriter

        table = TableWriter(path, durability="os", timeout=left)
        return lambda records, fresh: table.write(records, fresh=fresh, encode=dumps)

    def _redaction(self, text: str) -> Callable[[Any], Any] | None:
        """Return what takes the secrets out of a payload, or None when that is switched off.

        The rules load only when the text holds a literal that some rule begins with.
        """
        from moai_patterns.collect.redact import enabled, suspicious

        if not enabled(self._environ):
            return None
        return self._redacted if suspicious(text) else lambda value: value

    def _redacted(self, value: Any) -> Any:
        from moai_patterns.collect.redact import load_key, redact

        try:
            key = load_key(beside(self._location, ".key"))
        except OSError as error:
            self._note("key", error)
            key = os.urandom(32)  # the same secret then looks different in each record
        return redact(value, key)[0]

    def _unmapped(self, raw: bytes, size: int, reason: str) -> Record:
        """Return a record for a payload that the mapping failed on; its text only if it can be redacted."""
        data: Record = {"event": "unknown", "reason": reason}
        metadata: Record = {"source": "claude-code/hook", "assumed": ["data.event"], "bytes": size}
        try:
            text = raw.decode("latin-1")
            redact = self._redaction(text)
            data["raw"] = redact(text) if redact else text
            metadata["encoding"] = "latin-1"
        except Exception as error:  # noqa: BLE001  what cannot be redacted is not stored
            self._note("redact", error)
        return {
            "pattern_id": self._new_id(),
            "pattern_type": "hook_event",
            "timestamp": isoformat(self._now),
            "data": data,
            "context": {"tags": ["claude-code"], "metadata": metadata},
        }

    def _new_id(self) -> str:
        return new_id(self._now)

    def _note(self, step: str, error: BaseException) -> None:
        from moai_patterns.collect.faults import note

        note(self._location, step, error, now=self._now, environ=self._environ)


def _take_in(write: Callable[[list[Record], bool], object], batch: list[Record]) -> None:
    """Write what waited, if it is valid: a spool is a file, and anybody may have changed it."""
    from moai_patterns.validation.compiled import valid

    for record in batch:
        if not valid({key: value for key, value in record.items() if key != "_meta"}):
            raise ValueError(f"{record.get('pattern_id')!r} is no valid record")
    write(batch, False)


def _location(arguments: Sequence[str], environ: Mapping[str, str]) -> Location:
    named = ""
    for number, word in enumerate(arguments):
        if word == "--store" and number + 1 < len(arguments):
            named = arguments[number + 1]
        elif word.startswith("--store="):
            named = word.removeprefix("--store=")
    location = parse_store(in_project(named, environ) if named else default_store(environ))
    if location[0] == "memory":
        raise StoreError("a store in memory would end with the hook; name a file: or sqlite: store")
    return location


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _close_the_mouth() -> None:
    """Let nothing that anybody prints get out, and keep the store's files off the numbers 0 to 2."""
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
    except OSError:
        return  # nothing here prints; this was against surprises
    try:
        os.fstat(0)
    except OSError:
        os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _on_signals(action: Any) -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(_signal, name):
            _signal.signal(getattr(_signal, name), action)


def _stop(*_: object) -> NoReturn:
    _on_signals(_signal.SIG_IGN)
    raise _StoppedError


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _PIECE)
    except OSError:
        return b""


def _is_silent(descriptor: int, milliseconds: int) -> bool:
    try:
        from select import POLLIN, poll
    except ImportError:  # Windows cannot ask a pipe
        return False
    waiting = poll()
    waiting.register(descriptor, POLLIN)
    return not waiting.poll(milliseconds)


def _is_whole(raw: bytes) -> bool:
    text = raw.strip()
    if text[:1] + text[-1:] not in (b"{}", b"[]"):
        return False
    try:
        loads(text.decode())
    except (ValueError, RecursionError):
        return False
    return True

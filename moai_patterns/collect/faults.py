"""The log of what went wrong while capturing, because a hook itself must not say a word.

`<store>.log` holds the last faults as JSON Lines, for `doctor`; nothing is written while all goes
well. A line names the step, the kind of error and the place in the code. Of messages it keeps only
those of the medium (a path, an error number), redacted: others may quote what was to be stored.
"""

from __future__ import annotations

import os

from moai_patterns.backends.fileops import append, create, make_dirs, read, remove, rename
from moai_patterns.errors import StoreError
from moai_patterns.instant import isoformat
from moai_patterns.lightjson import dumps, loads
from moai_patterns.location import beside, in_refuge, refuges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from moai_patterns.location import Location

KEPT = 100
_FULL = 64 * 1024


def note(
    location: Location, step: str, error: BaseException, *, now: int, environ: Mapping[str, str]
) -> None:
    """Add a fault to the log beside the store, or to the one in a refuge; if neither works, to none.

    Parameters:
        location: the store that was captured into.
        step: what was being done, such as `write`.
        error: what was raised.
        now: UTC microseconds.
        environ: the environment, for the refuges.
    """
    line = dumps({"at": isoformat(now), "step": step, "error": _said(error), "where": _where(error)})
    for path in _logs(location, environ):
        try:
            make_dirs(os.path.dirname(path) or ".")
            append(path, b"%s\n" % line.encode())
            if os.path.getsize(path) > _FULL:
                _shorten(path)
        except OSError:
            continue  # a fault that cannot be logged here may still be logged there
        return


def recent(location: Location, environ: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Return the last faults (at most 100 of each log), the oldest first.

    >>> recent(("filesystem", "nowhere/patterns"), {})
    []
    """
    found = []
    for path in _logs(location, os.environ if environ is None else environ):
        try:
            lines = read(path).decode("utf-8", "replace").splitlines()
        except OSError:
            continue
        for line in lines[-KEPT:]:
            try:
                found.append(loads(line))
            except ValueError:
                continue  # torn by a kill; the others still tell
    return sorted(found, key=lambda fault: str(fault["at"]))


def _logs(location: Location, environ: Mapping[str, str]) -> list[str]:
    places = [in_refuge(location, directory) + ".log" for directory in refuges(environ)]
    return [beside(location, ".log"), *places]


def _said(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, StoreError):
        return _redacted(f"{name}: {error}", name)
    if isinstance(error, OSError):
        return _redacted(f"{name}: {error.strerror}: {error.filename}", name)
    return name


def _redacted(text: str, otherwise: str) -> str:
    """Take out the login that a wrong name of a store may hold; without redaction say less."""
    try:
        from moai_patterns.collect.redact import redact_text

        return redact_text(text, os.urandom(32))[0]  # a key for once: the store may be no place for one
    except Exception:  # noqa: BLE001  a broken installation is what this log must tell of
        return otherwise


def _where(error: BaseException) -> str:
    """Return the innermost place of an error that lies in this package, as `file:line`."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "moai_patterns" in name:
            place = f"{name.rpartition('moai_patterns')[2].lstrip('/' + os.sep)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _shorten(path: str) -> None:
    """Keep the last lines; of two processes that do it at once, one may drop a line of the other."""
    lines = read(path).splitlines(keepends=True)[-KEPT:]
    shorter = f"{path}.{os.getpid()}"
    try:
        create(shorter, b"".join(lines))
        rename(shorter, path)
    finally:
        remove(shorter)

"""Where a store is, and where the files stand that belong to it: spool, quarantine, log, key.

A location is a pair: the name of the backend and its base path. Loaded by the capture process, so
it stands on `os` alone.
"""

from __future__ import annotations

import os

from moai_patterns.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Location = tuple[str, str]

VARIABLE = "MOAI_PATTERNS_STORE"
DEFAULT = "file:.moai/patterns"
SPOOL = ".spool"
KEY = ".key"
PROJECT = "CLAUDE_PROJECT_DIR"

_BACKENDS = {"file": "filesystem", "sqlite": "sqlite", "memory": "memory"}
_NAMES = {backend: scheme for scheme, backend in _BACKENDS.items()}
_USUAL = frozenset(b"-_.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_LONGEST = 160
_FORMS = "write file:PATH for a tree of files or sqlite:PATH for one database"


class StoreNameError(StoreError, ValueError):
    """The text does not name a store."""


def parse_store(text: str) -> Location:
    """Return the backend and the base path that the name of a store stands for.

    `file:PATH` is a tree of files; `sqlite:PATH` one database, to which `.db` is appended unless it
    is there; `memory:` ends with the process. A leading `~` is the home directory. Raises
    `StoreNameError`, a `StoreError` and `ValueError`, for anything else.

    >>> parse_store("sqlite:captures/patterns")
    ('sqlite', 'captures/patterns.db')
    >>> parse_store("postgres:here")
    Traceback (most recent call last):
    ...
    moai_patterns.location.StoreNameError: 'postgres:here' names no store: write file:PATH for a tree of \
files or sqlite:PATH for one database
    """
    scheme, colon, path = text.partition(":") if isinstance(text, str) else ("", "", "")
    backend = _BACKENDS.get(scheme)
    if not colon or backend is None:
        raise _refusal(text, _FORMS)
    if backend == "memory":
        if path:
            raise _refusal(text, "a store in memory has no path; write memory:")
        return backend, ""
    if not path.strip():
        raise _refusal(text, f"the path is missing; {_FORMS}")
    if path.startswith("//"):
        raise _refusal(text, f"this is no URL; write {scheme}: and the path as the system knows it")
    try:
        writable = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        writable = False
    if not writable:
        raise _refusal(text, "no path of a file can hold these characters")
    return backend, _plain(backend, os.path.expanduser(path))


def default_store(environ: Mapping[str, str] | None = None) -> str:
    """Return the name of the store that is meant when nobody names one.

    That is `MOAI_PATTERNS_STORE`, else `file:.moai/patterns`. A relative path counts from
    `CLAUDE_PROJECT_DIR` where that is set (a hook runs in whatever directory the agent is in, but
    all hooks of a project belong into one store), else from the working directory. `environ` is the
    process's own by default. Raises `StoreNameError`.

    >>> default_store({"MOAI_PATTERNS_STORE": "sqlite:seen.db", "CLAUDE_PROJECT_DIR": "/srv/project"})
    'sqlite:/srv/project/seen.db'
    """
    known = os.environ if environ is None else environ
    return in_project(known.get(VARIABLE) or DEFAULT, known)


def in_project(text: str, environ: Mapping[str, str]) -> str:
    """Return the name of a store with its relative path set below `CLAUDE_PROJECT_DIR`, if that is set.

    Raises `StoreNameError`.

    >>> in_project("file:seen", {})
    'file:seen'
    """
    backend, path = parse_store(text)
    project = environ.get(PROJECT)
    if not path or not project:
        return f"{_NAMES[backend]}:{path}"
    return f"{_NAMES[backend]}:{os.path.join(project, path)}"


def absolute(backend: str, path: object) -> str:
    """Return a base path so that it means the same wherever the process goes from here.

    Raises `StoreNameError` for what is no path.

    >>> absolute("sqlite", "/captures/patterns/")
    '/captures/patterns.db'
    """
    found = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(found, str) or not found.strip() or "\0" in found:
        raise StoreNameError(f"base_path is the path of a store, not {repr(path)[:80]}")
    return _plain(backend, os.path.abspath(found))


def beside(location: Location, suffix: str) -> str:
    """Return the path of a file that belongs to a store: its base path with `suffix` behind it.

    >>> beside(("sqlite", "captures/patterns"), ".spool")
    'captures/patterns.db.spool'
    """
    return _plain(*location) + suffix


def refuges(environ: Mapping[str, str]) -> list[str]:
    """Return the directories for what cannot be written beside its store, the best one first.

    First `moai-patterns` in the user's state directory (`XDG_STATE_HOME`, else `~/.local/state`; on
    Windows `LOCALAPPDATA`), then `moai-patterns-<user number>` among the temporary files.

    >>> refuges({"HOME": "/home/who"})[0]
    '/home/who/.local/state/moai-patterns'
    """
    places = []
    home = environ.get("LOCALAPPDATA") if os.name == "nt" else environ.get("XDG_STATE_HOME")
    if not home and environ.get("HOME"):
        home = os.path.join(environ["HOME"], ".local", "state")
    if home and os.path.isabs(home):
        places.append(os.path.join(home, "moai-patterns"))
    temporary = environ.get("TMPDIR") or environ.get("TEMP") or "/tmp"  # noqa: S108  its owner and mode are checked
    owner = os.getuid() if hasattr(os, "getuid") else 0
    places.append(os.path.join(temporary, f"moai-patterns-{owner}"))
    return places


def in_refuge(location: Location, directory: str) -> str:
    """Return the base path of a store's files in a refuge: its absolute path as one escaped name."""
    plain = beside(location, "")
    try:
        plain = os.path.realpath(plain)
    except OSError:
        pass  # the working directory is gone: what there is of the path has to do
    raw = os.fsencode(plain)
    name = "".join(chr(byte) if byte in _USUAL else f"%{byte:02X}" for byte in raw)
    if len(name) > _LONGEST:
        from binascii import crc32

        name = f"{name[-_LONGEST:]}-{crc32(raw):08X}"
    return os.path.join(directory, name)


def is_private(directory: str) -> bool:
    """Tell whether nobody but this user can put files into a directory: what waits there is trusted.

    >>> is_private("/tmp")
    False
    """
    if os.name != "posix":
        return True  # both refuges lie in the user's own profile there
    facts = os.lstat(directory)
    return (facts.st_mode & 0o170022, facts.st_uid) == (0o040000, os.getuid())


def spools(location: Location, environ: Mapping[str, str]) -> list[str]:
    """Return the spools of a store in which records wait, beside it and in the refuges.

    It is asked after each capture, so it looks at the file system four times and no more when there
    is nothing.

    >>> spools(("filesystem", "nowhere/patterns"), {})
    []
    """
    found = [] if location[0] == "memory" else [beside(location, SPOOL)]
    found += [
        in_refuge(location, directory) + SPOOL
        for directory in refuges(environ)
        if os.path.isdir(directory) and is_private(directory)
    ]
    return [spool for spool in found if os.path.exists(spool) or os.path.exists(draining_of(spool))]


def draining_of(spool: str) -> str:
    """Return the directory in which a spool is while it is drained."""
    return spool + ".draining"


def _plain(backend: str, path: str) -> str:
    """Return a base path as the backend uses it: without slashes at its end, a database with `.db`."""
    bare = path.rstrip("/" if os.name != "nt" else "/\\") or path
    if backend == "sqlite" and not bare.endswith(".db"):
        return bare + ".db"
    return bare


def _refusal(text: object, reason: str) -> StoreNameError:
    return StoreNameError(f"{repr(text)[:80]} names no store: {reason}")

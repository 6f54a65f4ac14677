"""The entry point: a capture goes straight to its own light path, anything else to the command line."""

from __future__ import annotations

import sys

_INTERRUPTED = 5

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; `arguments` default to the process's own.

    `hook claude-code`, with `--store` or `--json` before or behind it, never returns: see `collect.hook`.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if _is_capture(given):
        _capture(given)
    try:
        # 60 ms of imports that a capture must not pay.
        commands = load("commands")
        if arguments is None:
            _end_as_interrupted()
        code: int = commands.run(given)
        return code
    except KeyboardInterrupt:
        _say_interrupted()
        return _INTERRUPTED


def load(name: str) -> ModuleType:
    """Return a module of this package; while it is imported, an interrupt ends the process at once.

    An exception in the middle of an import may come out as another one, or crash a module written in
    C, and nothing is open yet that it would have to close.
    """
    import signal
    from importlib import import_module
    from threading import current_thread, main_thread

    path = f"moai_patterns.cli.{name}"
    if current_thread() is not main_thread():
        return import_module(path)
    ours = [one for one in _endings() if signal.getsignal(one) is signal.default_int_handler]
    for number in ours:
        signal.signal(number, _leave)
    try:
        return import_module(path)
    finally:
        for number in ours:
            signal.signal(number, signal.default_int_handler)


def _endings() -> list[int]:
    """The signals that ask a process to end, as far as the system has them."""
    import signal

    return [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _end_as_interrupted() -> None:
    """Let this process clean up when it is told to end: by default it would leave half a file behind."""
    import signal

    for number in _endings():
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def _leave(*_: object) -> NoReturn:
    import os

    _say_interrupted()
    os._exit(_INTERRUPTED)


def _say_interrupted() -> None:
    import os

    try:
        os.write(2, b"interrupted\n")
    except OSError:
        pass  # the same Ctrl-C may have ended whoever reads it


def _is_capture(arguments: Sequence[str]) -> bool:
    words = iter(arguments)
    command = []
    for word in words:
        if word == "--store":
            next(words, None)
        elif word != "--json" and not word.startswith("--store="):
            command.append(word)
    return command[:2] == ["hook", "claude-code"] and not {"-h", "--help"} & set(command)


def _capture(arguments: Sequence[str]) -> None:
    import os

    try:
        from moai_patterns.collect.hook import run

        run(arguments)
    finally:
        os._exit(0)  # also when the package is broken: the agent must never notice

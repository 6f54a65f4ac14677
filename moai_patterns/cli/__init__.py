"""The entry point: a capture goes straight to its own light path, anything else to the command line."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; `arguments` default to the process's own.

    `hook claude-code`, with `--store` before or behind it, never returns: see `collect.hook`.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if _is_capture(given):
        _capture(given)
    # 60 ms of imports that a capture must not pay.
    from moai_patterns.cli.commands import run

    return run(given)


def _is_capture(arguments: Sequence[str]) -> bool:
    words = iter(arguments)
    command = [
        word for word in words if not (word.startswith("--store=") or (word == "--store" and next(words, "")))
    ]
    return command[:2] == ["hook", "claude-code"] and not {"-h", "--help"} & set(command)


def _capture(arguments: Sequence[str]) -> None:
    import os

    try:
        from moai_patterns.collect.hook import run

        run(arguments)
    finally:
        os._exit(0)  # also when the package is broken: the agent must never notice

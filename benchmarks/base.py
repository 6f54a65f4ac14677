"""`make bench BASE=revision`: the same cases on another revision, in turns with this one."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from moai_patterns.bench import cases
from moai_patterns.bench.measuring import measure

_CHECKOUT = Path(__file__).resolve().parents[1]
# Whatever it compares with, it is measured by today's rules.
_OURS = ("moai_patterns/bench", "benchmarks")


def compare(revision: str, words: Sequence[str], rounds: int) -> int:
    """Print for each short case how long either revision takes per operation, by the median of its rounds."""
    with tempfile.TemporaryDirectory(prefix="moai-base-") as place:
        other = Path(place) / "base"
        _git("worktree", "add", "--quiet", "--detach", str(other), revision)
        try:
            for part in _OURS:
                shutil.copytree(_CHECKOUT / part, other / part, dirs_exist_ok=True)
            print(f"{'case':46} {revision[:12]:>14} {'here':>14} {'ratio':>7}")
            for case in cases.CASES:
                if not words or any(word in case.name for word in words):
                    _print(case.name, other, rounds or 5)
        finally:
            _git("worktree", "remove", "--force", str(other))
    return 0


def _print(name: str, other: Path, rounds: int) -> None:
    taken: Mapping[Path, list[float]] = {other: [], _CHECKOUT: []}
    for _ in range(rounds):
        for checkout, seconds in taken.items():
            seconds.append(_seconds(name, checkout))
    base, here = (statistics.median(seconds) for seconds in taken.values())
    print(f"{name:46} {base * 1e6:11.1f} us {here * 1e6:11.1f} us {here / base:7.3f}", flush=True)


def _seconds(name: str, checkout: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.base", name],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        check=True,
    )
    return float(json.loads(done.stdout))


def _git(*arguments: str) -> None:
    subprocess.run(["git", "-C", str(_CHECKOUT), *arguments], check=True)


def main(name: str) -> None:
    """Print what this store takes per operation in one case."""
    (case,) = [case for case in cases.CASES if case.name == name]
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps(next(measure(case, Path(directory))).ours))


if __name__ == "__main__":
    main(sys.argv[1])

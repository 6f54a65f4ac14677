"""Running cases: in this process, or some at a time in others, so that what is done stays done."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from torture.promise import FIRED, BrokenPromiseError, Promise, Tally

TESTS = Path(__file__).resolve().parent.parent
CHECKOUT = TESTS.parent
JOURNALS = CHECKOUT / ".venv/.cache/torture"
_MEMORY = Path("/dev/shm")
_CORES = 2


@contextmanager
def scratch(promise: Promise) -> Iterator[Path]:
    """An empty directory for cases, removed at the end."""
    parent = str(_MEMORY) if promise.in_memory and os.access(_MEMORY, os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix=f"torture-{promise.name}-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def run_here(promise: Promise, numbers: Sequence[int]) -> Tally:
    """Run cases in this process. Raises `BrokenPromiseError`, also when no fault ever came."""
    tally = Tally()
    # Interrupted, also by a runner that gives up, a case must still take down what it has put up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # What is killed cannot remove its temporary files, and nothing of them may stay.
    with scratch(promise) as place, scratch(promise) as temporary:
        tempfile.tempdir = str(temporary)
        try:
            promise.run(numbers, place, tally)
        finally:
            tempfile.tempdir = None
    tally.add("cases", len(numbers))
    if numbers and not tally.counts[FIRED]:
        raise BrokenPromiseError(f"{promise.name}: no fault came in {len(numbers)} cases: the test is blind")
    return tally


def run_apart(promise: Promise, numbers: Sequence[int]) -> Tally:
    """Run cases in a process of their own. Raises `BrokenPromiseError` with what it said when it failed."""
    command = [sys.executable, "-m", "torture", "cases", promise.name]
    done = subprocess.run(  # this interpreter, with the names and numbers above
        command,
        input=json.dumps(list(numbers)),
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{CHECKOUT}"},
    )
    if done.returncode != 0:
        said = f"{done.stdout[-2000:]}{done.stderr[-6000:]}"
        raise BrokenPromiseError(f"{promise.name}: exit code {done.returncode}: {said}")
    return Tally.of_json(json.loads(done.stdout.splitlines()[-1]))


def sources_of(promise: Promise) -> str:
    """Return what tells apart what a run was about: the package, the harness, this promise, the versions."""
    module = getattr(promise.run, "func", promise.run).__module__
    used = {TESTS.joinpath(*module.split(".")).with_suffix(".py"), *CHECKOUT.glob("moai_patterns/**/*.py")}
    for pattern in ("*.py", "torture/*.py"):
        used.update(path for path in TESTS.glob(pattern) if not path.name.startswith("test_"))
    for pattern in promise.about:
        used.update(TESTS.glob(pattern))
    used.discard(TESTS / "torture/page.py")
    digest = hashlib.sha256(f"{promise.name} {versions()}".encode())
    for path in sorted(used):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def versions() -> str:
    """Return with what the cases are run."""
    return f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"


class Journal:
    """Which chunks of a promise are done, in a file, so that an interrupted run goes on there."""

    def __init__(self, promise: Promise) -> None:
        self._path = JOURNALS / f"{promise.name}.jsonl"
        self._sources = sources_of(promise)
        self.done: set[int] = set()
        self.tally = Tally()
        self.seconds = 0.0
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            entry = json.loads(line)
            if entry["sources"] == self._sources:
                self.done.add(entry["chunk"])
                self.seconds += entry["seconds"]
                self.tally.merge(Tally.of_json(entry["tally"]))

    def note(self, chunk: int, tally: Tally, seconds: float) -> None:
        """Keep that this chunk is done."""
        entry = {"sources": self._sources, "chunk": chunk, "seconds": seconds, "tally": tally.as_json()}
        JOURNALS.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        self.done.add(chunk)
        self.seconds += seconds
        self.tally.merge(tally)


def run_whole(promise: Promise) -> Journal:
    """Run all cases that are not done yet, in as many processes as there are cores; show how far it is.

    Raises `BrokenPromiseError`; what was done before stays done.
    """
    journal = Journal(promise)
    full = promise.cases()
    chunks = range(-(-full // promise.chunk))
    todo = [chunk for chunk in chunks if chunk not in journal.done]
    workers = 1 if promise.alone else _CORES

    def act(chunk: int) -> tuple[int, Tally, float]:
        began = time.monotonic()
        first = chunk * promise.chunk
        tally = run_apart(promise, range(first, min(first + promise.chunk, full)))
        return chunk, tally, (time.monotonic() - began) / workers

    pool = ThreadPoolExecutor(workers)
    try:
        for chunk, tally, seconds in pool.map(act, todo):
            journal.note(chunk, tally, seconds)
            _show(promise, journal, full, end="")
    finally:
        pool.shutdown(cancel_futures=True)
    _show(promise, journal, full, end="\n")
    return journal


def _show(promise: Promise, journal: Journal, full: int, end: str) -> None:
    start = "\r\x1b[K" if sys.stdout.isatty() else ""
    if start or end:
        line = f"{promise.name}: {journal.tally.counts['cases']:,} of {full:,}, {journal.seconds:.0f} s"
        print(start + line, end=end, flush=True)

"""`python -m torture`: all promises, one of them, or single cases again.

python -m torture whole [NAME ...]      all cases, in resumable chunks; then the page is written
python -m torture slice NAME [SHARD]    what `make test` runs of one
python -m torture case NAME NUMBER ...  the cases that a report named
python -m torture list                  names, numbers of cases, and what is missing here
"""

from __future__ import annotations

import argparse
import json
import sys

from torture.promise import BrokenPromiseError, Promise
from torture.promises import found
from torture.running import run_here, run_whole


def main(arguments: list[str]) -> int:
    """Do what the command line asks for; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("verb", choices=("whole", "slice", "case", "cases", "list"))
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args(arguments)
    promises = found()
    if asked.verb == "list":
        for promise in promises.values():
            _tell(promise)
        return 0
    if asked.verb == "whole":
        return _whole([promises[name] for name in asked.names] or list(promises.values()))
    promise = promises[asked.names[0]]
    if asked.verb == "slice":
        numbers = promise.slice(*map(int, asked.names[1:]))
    else:
        numbers = json.load(sys.stdin) if asked.verb == "cases" else list(map(int, asked.names[1:]))
    print(json.dumps(run_here(promise, numbers).as_json()))
    return 0


def _tell(promise: Promise) -> None:
    without = f", needs {' and '.join(promise.missing)}" if promise.missing else ""
    print(f"{promise.name}: {promise.cases() if not without else 'cases'}{without}: {promise.sentence}")


def _whole(promises: list[Promise]) -> int:
    broken = False
    for promise in promises:
        if promise.missing:
            print(f"{promise.name}: 0 cases run, needs {' and '.join(promise.missing)}")
            continue
        try:
            run_whole(promise)
        except BrokenPromiseError as error:
            broken = True
            print(f"{promise.name}: BROKEN\n{error}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

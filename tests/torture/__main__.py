"""`python -m torture`: all promises, some of them, or single cases again.

python -m torture whole [NAME ...]      all cases, in resumable chunks; then the page is written
python -m torture slice NAME [SHARD]    what `make test` runs of one
python -m torture case NAME NUMBER ...  the cases that a report named
python -m torture list                  names, numbers of cases, and what is missing here
python -m torture page                  write docs/reliability.md from the figures that are there
"""

from __future__ import annotations

import argparse
import json
import sys

from torture import page
from torture.promise import BrokenPromiseError, Promise
from torture.promises import found
from torture.running import run_here, run_whole
from torture.sabotages import themes


def main(arguments: list[str]) -> int:
    """Do what the command line asks for; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(
        prog="torture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=("whole", "slice", "case", "cases", "list", "page"))
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args(arguments)
    promises = found()
    match asked.verb:
        case "list":
            for promise in promises.values():
                _tell(promise)
        case "page":
            page.PAGE.write_text(page.written(page.PAGE.read_text(), promises, themes()))
        case "whole":
            return _whole([promises[name] for name in asked.names] or list(promises.values()))
        case _:
            _some(promises[asked.names[0]], asked.verb, list(map(int, asked.names[1:])))
    return 0


def _tell(promise: Promise) -> None:
    missing = " and ".join(promise.missing)
    count = f"cases, needs {missing}" if missing else f"{promise.cases():,} cases"
    print(f"{promise.name}: {count}: {promise.sentence}")


def _some(promise: Promise, verb: str, given: list[int]) -> None:
    """Run cases in this process; the last line that it prints is what they did."""
    match verb:
        case "slice":
            numbers = promise.slice(*given)
        case "case":
            numbers = given
        case _:
            numbers = json.load(sys.stdin)
    print(json.dumps(run_here(promise, numbers).as_json()))


def _whole(promises: list[Promise]) -> int:
    broken, missing = [], []
    for promise in promises:
        if promise.missing:
            missing.append(f"{promise.name} (needs {' and '.join(promise.missing)})")
            continue
        try:
            page.keep(promise, run_whole(promise))
        except BrokenPromiseError as error:
            broken.append(promise.name)
            print(f"{promise.name}: BROKEN\n{error}")
        except KeyboardInterrupt:
            print(f"\n{promise.name}: interrupted; what is done stays done, run the same command to go on")
            return 130
    page.PAGE.write_text(page.written(page.PAGE.read_text(), found(), themes()))
    held = len(promises) - len(broken) - len(missing)
    print(f"torture: {held} of {len(promises)} parts held, all of their cases were run")
    for what, names in (("broken", broken), ("not run on this machine", missing)):
        if names:
            print(f"torture: {what}: {', '.join(names)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The contract of a backend, nine clauses, as a class of tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from unittest import SkipTest

from moai_patterns.testing.answers import Matching, Ordering, Paging
from moai_patterns.testing.endurance import Persisting
from moai_patterns.testing.faults import Reporting
from moai_patterns.testing.figures import Figures
from moai_patterns.testing.upkeep import Compacting, Deleting
from moai_patterns.testing.values import RoundTrip
from moai_patterns.testing.writes import Writing


class BackendContract(
    RoundTrip, Writing, Ordering, Paging, Matching, Figures, Deleting, Persisting, Compacting, Reporting
):
    """Subclass it in a test file, say how the backend opens, and pytest runs every clause on it.

    - `open(self, path)`: open the store at `path`; needed, unless `opener` says how.
    - `opener`: `module:attribute` of a callable that takes the path. Other processes open the store by
      it; without it they create an object of this class and call `open`.
    - `damage(self, path)`: a generator that corrupts the closed store and yields, wound by wound, what
      a report must name; needed for a persistent backend.
    - `persistent`: False for a backend that keeps nothing after `close`; its persistence tests are then
      reported as not applicable, by name. Default True.
    - `kills`: how many processes each kill test kills. Default 12.

    The tests are named `test_<clause>_...`. A subclass may add tests and cannot replace one: a clause
    that does not hold is a defect of the backend, not of the contract.

    >>> from moai_patterns.backends.memory import MemoryBackend
    >>> class Memory(BackendContract):
    ...     persistent = False
    ...     def open(self, path):
    ...         return MemoryBackend()
    >>> len([name for name in dir(Memory) if name.startswith("test_")]) > 30
    True
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        replaced = sorted(name for name in vars(cls) if name in CLAUSE_TESTS)
        if replaced:
            raise TypeError(
                f"{cls.__name__} replaces {', '.join(replaced)}: the contract's tests are not optional"
            )


CLAUSE_TESTS = tuple(sorted(name for name in dir(BackendContract) if name.startswith("test_")))


class Outcome(NamedTuple):
    """What became of one test of a contract."""

    test: str
    verdict: Literal["passed", "failed", "not applicable"]
    reason: str = ""


def outcomes(contract: type[BackendContract], only: Sequence[str] = CLAUSE_TESTS) -> list[Outcome]:
    """Run the tests of a contract without pytest, each in a directory of its own, and return each outcome.

    `only` names the tests to run; default all. Raises `AttributeError` for a name that is none.
    """
    results = []
    for name in only:
        place = Path(tempfile.mkdtemp(prefix="contract-"))
        try:
            getattr(contract(), name)(place)
            results.append(Outcome(name, "passed"))
        except SkipTest as reason:
            results.append(Outcome(name, "not applicable", str(reason)))
        except Exception as error:  # noqa: BLE001  a foreign exception is a failure of the backend too
            results.append(Outcome(name, "failed", f"{type(error).__name__}: {error}"))
        finally:
            shutil.rmtree(place, ignore_errors=True)
    return results

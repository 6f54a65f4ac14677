"""The contract and the state machine bite: each planted bug is caught, and what is right passes."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from broken_backends import BROKEN, Broken
from journal_backend import JournalBackend
from moai_patterns.backends.base import BackendBase
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.testing import BackendContract, agreement, outcomes
from wounds import journal_wounds

# The same examples every time, and no search for a smaller one: a bug is caught or it is not.
BOUNDED = settings(
    max_examples=100,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
for more in ("broken_answers", "broken_upkeep", "broken_journals"):
    import_module(more)  # each adds its own to BROKEN
CAUGHT_BY_MACHINE = [broken for broken in BROKEN if broken.machine]


def named(broken: Broken) -> str:
    return broken.backend.__name__


def damage(_contract: BackendContract, path: Path) -> Iterator[str]:
    return journal_wounds(path)


def contract_of(backend: type[BackendBase]) -> type[BackendContract]:
    persistent = issubclass(backend, JournalBackend)
    make: Any = backend

    def opened(_contract: BackendContract, path: Path) -> BackendBase:
        opened: BackendBase = make(str(path)) if persistent else make()
        return opened

    members: dict[str, Any] = {
        "open": opened,
        "damage": damage,
        "persistent": persistent,
        "opener": f"{backend.__module__}:{backend.__qualname__}" if persistent else "",
    }
    return type(f"{backend.__name__}Contract", (BackendContract,), members)


def machine_of(backend: type[BackendBase]) -> Any:
    if issubclass(backend, JournalBackend):
        return agreement({"it": lambda path: backend(str(path))})
    return agreement({"it": lambda path: backend()}, volatile=["it"])


@pytest.mark.parametrize("broken", BROKEN, ids=named)
def test_the_contract_catches(broken: Broken) -> None:
    """A backend with this bug fails the clause test that is named for it."""
    (outcome,) = outcomes(contract_of(broken.backend), [broken.test])
    assert outcome.verdict == "failed", outcome


@pytest.mark.parametrize("backend", [MemoryBackend, JournalBackend])
def test_the_contract_passes_what_is_right(backend: type[BackendBase]) -> None:
    """The same tests pass on a backend without a bug, but for those that need persistence."""
    tests = {broken.test for broken in BROKEN}
    found = {outcome.verdict for outcome in outcomes(contract_of(backend), sorted(tests))}
    assert found <= ({"passed"} if backend is JournalBackend else {"passed", "not applicable"})


@pytest.mark.parametrize("broken", CAUGHT_BY_MACHINE, ids=named)
def test_the_state_machine_catches(broken: Broken) -> None:
    """A backend with this bug disagrees with the oracle within a bounded run."""
    with pytest.raises((AssertionError, OverflowError)):
        run_state_machine_as_test(machine_of(broken.backend), settings=BOUNDED)


@pytest.mark.parametrize("backend", [MemoryBackend, JournalBackend])
def test_the_state_machine_passes_what_is_right(backend: type[BackendBase]) -> None:
    """The same run passes on a backend without a bug."""
    run_state_machine_as_test(machine_of(backend), settings=BOUNDED)


def test_every_clause_has_teeth() -> None:
    """Each of the nine clauses catches at least one planted bug, and there are more than twenty bugs."""
    assert {int(broken.test.split("_")[1]) for broken in BROKEN} == set(range(1, 10))
    assert len(BROKEN) > 20

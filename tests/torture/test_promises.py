"""A share of the cases of every promise; `make torture` runs all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from torture.promise import Promise
from torture.promises import found
from torture.running import run_apart

# Cases are run by other processes: all count them alike.
pytestmark = pytest.mark.as_shipped
SHARDS = [
    pytest.param(promise, shard, id=f"{promise.name}-{shard + 1}")
    for promise in found().values()
    for shard in range(promise.shards)
]


@pytest.mark.parametrize(("promise", "shard"), SHARDS)
def test_promise(promise: Promise, shard: int, record_property: Callable[[str, object], None]) -> None:
    """What the store promises holds in each of these cases, and the faults really came."""
    if promise.missing:
        pytest.skip(f"torture: {promise.name} tests: 0 run, needs {' and '.join(promise.missing)}")
    if not promise.fast:
        pytest.skip(f"torture: {promise.name} tests: 0 of {promise.cases():,}, too long for a share")
    tally = run_apart(promise, promise.slice(shard))
    record_property("torture", [promise.name, tally.counts["cases"], promise.cases()])
    assert tally.counts["cases"] > 0

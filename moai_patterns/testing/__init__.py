"""Proof that a backend keeps the contract, for the built-in ones and for anybody's own.

| name | what it is |
|---|---|
| `BackendContract` | the nine clauses as test methods: subclass it, say how to open, run pytest |
| `outcomes` | runs a contract without pytest and returns what became of each test |
| `agreement` | a Hypothesis state machine: any backends side by side against the oracle |
| `stored_records`, `queries`, `batches` | the Hypothesis strategies that it draws from |
| `stored` | builds one stored record |

Names load on first use; only `agreement` and the strategies need Hypothesis (extra `testing`).
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moai_patterns.testing.contract import BackendContract as BackendContract
    from moai_patterns.testing.contract import Outcome as Outcome
    from moai_patterns.testing.contract import outcomes as outcomes
    from moai_patterns.testing.machine import agreement as agreement
    from moai_patterns.testing.pools import stored as stored
    from moai_patterns.testing.strategies import batches as batches
    from moai_patterns.testing.strategies import queries as queries
    from moai_patterns.testing.strategies import stored_records as stored_records

_HOME = {
    "BackendContract": "contract",
    "Outcome": "contract",
    "outcomes": "contract",
    "agreement": "machine",
    "stored": "pools",
    "batches": "strategies",
    "queries": "strategies",
    "stored_records": "strategies",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = import_module(f"{__name__}.{_HOME[name]}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "hypothesis":
            raise
        raise ModuleNotFoundError(
            f"{__name__}.{name} needs hypothesis: pip install 'moai-patterns[testing]'", name=error.name
        ) from error
    value = getattr(home, name)
    setattr(sys.modules[__name__], name, value)
    return value

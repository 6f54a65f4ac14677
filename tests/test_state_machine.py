"""All backends side by side against the oracle, step by step.

`MOAI_PATTERNS_EXAMPLES` and `MOAI_PATTERNS_STEPS` make the run longer; it then draws anew each time.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from journal_backend import JournalBackend
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.backends.sqlite.backend import SqliteBackend
from moai_patterns.testing import agreement

_EXAMPLES = os.environ.get("MOAI_PATTERNS_EXAMPLES")

TestAgreement = agreement(
    {
        "memory": lambda path: MemoryBackend(),
        "journal": JournalBackend,
        "filesystem": lambda path: FilesystemBackend(str(path)),
        "sqlite": lambda path: SqliteBackend(str(path)),
    },
    volatile=["memory"],
).TestCase
TestAgreement.settings = settings(
    max_examples=int(_EXAMPLES or 60),
    stateful_step_count=int(os.environ.get("MOAI_PATTERNS_STEPS", "30")),
    derandomize=_EXAMPLES is None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

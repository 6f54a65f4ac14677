"""A plugin of pytest for runs on a copy of the package: says what was raised, and which package ran."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

IMPORTED = "MOAI_PATTERNS_SABOTAGED"  # names the directory from which the package must come
RAISED = "raised in the test: "
CHOSEN = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "--tb=short")


def pytest_exception_interact(node: Any, call: Any, report: Any) -> None:
    """Tell the type of what was raised; a failure of collecting is none of a test."""
    if isinstance(node, pytest.Item):
        print(f"\n{RAISED}{call.excinfo.typename}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End with another exit code when the package that was tested is not the copy."""
    wanted = Path(os.environ[IMPORTED])
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] == "moai_patterns" and file and wanted not in Path(file).parents:
            print(f"\n{name} was imported from {file}, not from {wanted}")
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

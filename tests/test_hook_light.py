"""What a hook process loads: the cost of a capture is that of its imports, so each one is named here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from hooks import TOOL_USE, Project

# The hook itself, with what it writes to a file when it leaves instead of leaving at once.
TELLING = [
    sys.executable,
    "-c",
    """
import os, sys
before, leave, path = set(sys.modules), os._exit, sys.argv.pop()
def tell(code):
    with open(path, "w") as file:
        file.write("\\n".join(sorted(set(sys.modules) - before)))
    leave(code)
os._exit = tell
from moai_patterns.cli import main
main()
""",
    "hook",
    "claude-code",
]
OURS = {
    "",
    "backends",
    "backends.fileops",
    "backends.locking",
    "cli",
    "collect",
    "collect.claude_code",
    "collect.hook",
    "collect.literals",
    "collect.redact",
    "collect.tool_results",
    "errors",
    "identifiers",
    "instant",
    "lightjson",
    "location",
    "validation",
    "validation.compiled",
}
BACKEND = {
    "filesystem": {"", "hotlog", "names", "sealed", "tree", "write"},
    "sqlite": {"", "database", "faults", "layout", "write"},
}
# Parts of the interpreter written in C, and three small modules in Python.
STANDARD = {"__future__", "_json", "errno", "fcntl", "gc", "select"}
COLLECTIONS = {"_collections", "_operator", "collections", "itertools", "keyword", "operator", "reprlib"}
OF_BACKEND = {
    "filesystem": {"_blake2", "_struct", "binascii", "itertools", "mmap", "struct"},
    # The C part of `sqlite3` asks for a cache from `functools`, and that for the rest.
    "sqlite": {"_functools", "_sqlite3", "functools", "types", "zlib", *COLLECTIONS},
}
# The arrays of a journal.
OF_BATCH = {"array", "collections.abc", *COLLECTIONS}
RULES = {"matching", "named_rules", "rules"}


def loaded(project: Project, tmp_path: Path, payload: Any) -> tuple[set[str], set[str]]:
    """The modules of the package, and others, that the second hook on a store loads."""
    told = tmp_path / "modules"
    for _ in range(2):  # the first one makes the store
        project.hook(payload, [*TELLING, str(told)])
    names = set(told.read_text().split())
    ours = {name for name in names if name.partition(".")[0] == "moai_patterns"}
    return {name.removeprefix("moai_patterns").removeprefix(".") for name in ours}, names - ours


@pytest.mark.parametrize("backend", ["filesystem", "sqlite"])
@pytest.mark.parametrize("records", [1, 2])
def test_a_capture_loads_only_what_is_named_here(
    tmp_store_dir: Path, tmp_path: Path, backend: str, records: int
) -> None:
    """No regular expressions, no `json`, no typing, no database package: a further import fails this test."""
    response = {"stdout": "a"} if records == 1 else "Error: Exit code 1\nno such file"
    ours, others = loaded(Project(tmp_store_dir, backend), tmp_path, {**TOOL_USE, "tool_response": response})

    package = {f"backends.{backend}.{name}".rstrip(".") for name in BACKEND[backend]}
    package |= {"backends.forking"} if backend == "sqlite" else set()
    allowed = STANDARD | OF_BACKEND[backend]
    if records == 2 and backend == "filesystem":
        package.add("backends.filesystem.journal")
        allowed |= OF_BATCH
    assert ours - OURS - package == set()
    assert others - allowed == set()


@pytest.mark.parametrize("backend", ["filesystem", "sqlite"])
def test_the_rules_of_redaction_load_only_for_a_payload_that_may_hold_a_secret(
    tmp_store_dir: Path, tmp_path: Path, backend: str
) -> None:
    """Only then the regular expressions are needed too, and still nothing else."""
    payload = {**TOOL_USE, "tool_response": "ghp_" + "a1B2c3D4e5F6" * 3}
    ours, others = loaded(Project(tmp_store_dir, backend), tmp_path, payload)

    assert {f"collect.{name}" for name in RULES} == {
        name for name in ours if name.rpartition(".")[2] in RULES
    }
    assert "re" in others
    assert others & {"typing", "dataclasses", "hashlib", "uuid", "datetime", "json"} == set()

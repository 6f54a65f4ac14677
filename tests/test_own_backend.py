"""What the page on backends shows works for a stranger: the example, its proof, its entry point."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from moai_patterns.testing import BackendContract
from moai_patterns.testing.clauses import Clauses
from moai_patterns.testing.contract import CLAUSE_TESTS
from pages import blocks, surroundings
from sources import ROOT

PAGE = blocks((ROOT / "docs/backends.md").read_text(encoding="utf-8"))
JOURNAL, PROOF = [block.text for block in PAGE if block.language == "python" and ">>> " not in block.text]
(REGISTRATION,) = [tomllib.loads(block.text) for block in PAGE if block.language == "toml"]


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=place,
        env=surroundings(place),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_journal_of_the_page_is_the_one_that_the_tests_use() -> None:
    """The page shows the example word by word."""
    assert (ROOT / "tests/journal_backend.py").read_text() == JOURNAL


def test_the_example_of_the_page_passes_the_contract(tmp_path: Path) -> None:
    """Both files of the page, alone in a directory, pass every test of the contract under pytest."""
    (tmp_path / "journal_backend.py").write_text(JOURNAL)
    (tmp_path / "test_journal.py").write_text(PROOF)
    done = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_journal.py")
    assert f"{len(CLAUSE_TESTS)} passed" in done.stdout, done.stdout + done.stderr


def test_an_entry_point_opens_by_its_name(tmp_path: Path) -> None:
    """A package that registers a backend makes its name known to whoever opens a store."""
    (tmp_path / "journal_backend.py").write_text(JOURNAL)
    facts = tmp_path / "journal_backend-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: journal-backend\nVersion: 1\n")
    ((group, entries),) = REGISTRATION["project"]["entry-points"].items()
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (facts / "entry_points.txt").write_text("\n".join(lines))
    program = (
        "from moai_patterns.backends.opening import open_backend\n"
        "store = open_backend('journal', 'there', durability='record', timeout=1.0)\n"
        "print(type(store).__name__, store.get('unknown'))\n"
    )
    done = run(tmp_path, "-c", program)
    assert done.stdout == "JournalBackend None\n", done.stderr


def test_strategies_without_hypothesis_name_the_extra(tmp_path: Path) -> None:
    """Without Hypothesis the contract works, and what needs it says what to install."""
    program = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from moai_patterns.testing import BackendContract\n"
        "import moai_patterns.testing as testing\n"
        "try: testing.agreement\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    done = run(tmp_path, "-c", program)
    assert "moai_patterns.testing.agreement needs hypothesis" in done.stdout, done.stderr
    assert "'moai-patterns[testing]'" in done.stdout


def test_the_package_of_tests_loads_nothing_that_only_tests_need(tmp_path: Path) -> None:
    """The contract alone needs neither pytest nor Hypothesis."""
    program = (
        "import sys; from moai_patterns.testing import BackendContract\n"
        "print(sorted({'pytest', 'hypothesis'} & sys.modules.keys()))\n"
    )
    assert run(tmp_path, "-c", program).stdout == "[]\n"


def test_a_clause_cannot_be_switched_off() -> None:
    """A subclass that replaces a test of the contract is refused, with the name of the test."""
    with pytest.raises(TypeError, match="test_4_limit_comes_after_matching"):
        type(
            "Lenient", (BackendContract,), {"test_4_limit_comes_after_matching": lambda self, tmp_path: None}
        )


def test_a_contract_that_does_not_say_how_to_open_fails(tmp_path: Path) -> None:
    """Without `open` or `opener`, or with a class that no other process can reach, the test says so."""
    with pytest.raises(AssertionError, match=r"must define open\(self, path\) or opener"):
        Clauses().open(tmp_path)
    with pytest.raises(AssertionError, match=r"must define damage\(self, path\)"):
        list(Clauses().damage(tmp_path))

    class Local(BackendContract):
        pass

    with pytest.raises(AssertionError, match="set opener = 'module:attribute'"):
        Local().spawnable()

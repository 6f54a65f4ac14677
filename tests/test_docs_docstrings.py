"""Every example in a docstring of the package gives what it shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pages import surroundings
from sources import modules

SHOWN = [name for name, path in modules().items() if ">>> " in path.read_text(encoding="utf-8")]

# In a process and a directory of its own, because an example may register a kind or make a store.
PROGRAM = """
import doctest, importlib, sys
module = importlib.import_module(sys.argv[1])
result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
sys.exit("no example was found" if not result.attempted else bool(result.failed))
"""


@pytest.mark.parametrize("module", SHOWN)
def test_every_example_in_a_docstring_gives_what_it_shows(module: str, tmp_path: Path) -> None:
    """The examples of a module run in an empty directory and print what the docstring says."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module],
        cwd=tmp_path,
        env=surroundings(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""Every example in examples/ runs from start to end in an empty directory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pages import surroundings
from sources import ROOT

EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.is_file())


def program(example: Path, directory: Path) -> list[str | Path]:
    """The command that runs an example; the cells of a notebook run as one program."""
    if example.suffix == ".py":
        return [sys.executable, example]
    if example.suffix == ".sh":
        return ["bash", "-eu", example]
    assert example.suffix == ".ipynb", f"nothing runs {example.name}"
    cells = json.loads(example.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    script = directory / "notebook.py"
    script.write_text("\n\n".join(code), encoding="utf-8")
    return [sys.executable, script]


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_every_example_runs(example: Path, tmp_path: Path) -> None:
    """The example ends without an error, says something, and writes below its directory only."""
    directory = tmp_path / "empty"
    directory.mkdir()
    done = subprocess.run(
        program(example, tmp_path),
        cwd=directory,
        env=surroundings(tmp_path / "home"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
    assert not (tmp_path / "home").exists()


def test_there_is_an_example_for_each_way_in() -> None:
    """Both persistent backends, an own kind, the hook and a notebook are shown at least."""
    names = " ".join(path.stem for path in EXAMPLES)
    assert [word for word in ("filesystem", "sqlite", "kind", "hook", "notebook") if word not in names] == []

"""Every example in examples/ runs from start to end in an empty directory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

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


NOTEBOOKS = [path for path in EXAMPLES if path.suffix == ".ipynb"]


@pytest.mark.parametrize("example", NOTEBOOKS, ids=[path.name for path in NOTEBOOKS])
@pytest.mark.parametrize("recordings", ["bundled", "recorded"])
def test_a_notebook_shows_tables_and_charts(
    example: Path,
    recordings: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Run by a kernel as in a notebook, every cell ends well, and answers and charts show as such."""
    for name, value in {**surroundings(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ipython")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    if recordings == "recorded":
        transcripts = request.getfixturevalue("shared_data") / "claude-code-transcripts"
        monkeypatch.setenv("RECORDINGS", str(transcripts))
    notebook = nbformat.read(example, as_version=4)  # type: ignore[no-untyped-call]
    assert not any(cell.get("outputs") for cell in notebook.cells)  # what is kept is written by hand
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = "".join(
        output.get("data", {}).get("text/html", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )
    assert "<table" in shown
    assert "<details>" in shown
    assert "vegaEmbed" in shown

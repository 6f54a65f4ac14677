"""The README and every page in docs/ do what they show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pages import Block, PageError, blocks, run, surroundings
from sources import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

# What a shell block without prompts may show: commands that set a checkout up and cannot run in it.
SETTING_UP = re.compile(r"(make|git clone|cd|pip install|uv tool install|pipx install)\b")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_of_a_page_runs_as_shown(page: Path, tmp_path: Path) -> None:
    """A newcomer who copies the page from top to bottom sees what the page shows."""
    directory = tmp_path / "empty"
    directory.mkdir()
    done = subprocess.run(
        [sys.executable, ROOT / "tests/pages.py", page],
        cwd=directory,
        env=surroundings(tmp_path),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_does_not_run_is_at_least_well_formed(page: Path) -> None:
    """Each block says its language; JSON and TOML parse; only set-up commands go without a prompt."""
    for block in blocks(page.read_text(encoding="utf-8")):
        where = f"{page.name}:{block.line}"
        assert block.language in ("python", "console", "sh", "text", "json", "toml"), where
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language in ("console", "sh") and not block.runs:
            strange = [line for line in block.text.splitlines() if line and not SETTING_UP.match(line)]
            assert strange == [], f"{where}: give it a prompt, so that it runs, or call the block text"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_make_targets_and_files_that_a_page_names_exist(page: Path) -> None:
    """`make X` is a target of the Makefile, and a relative link leads to a file and a heading."""
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`|\$ )make ([a-z]+)", text, re.MULTILINE))
    assert named <= targets
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)(#[^)\s]*)?\)", text):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        if anchor:
            assert anchor[1:] in headings(linked.read_text(encoding="utf-8")), anchor


def headings(page: str) -> set[str]:
    """The anchors of a page's headings, as web hosts of repositories form them."""
    titles = re.findall(r"^#+ +(.*?) *$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_blocks_are_found_with_their_language_and_line() -> None:
    """A page is read fence by fence, indented ones and longer ones included."""
    page = "a\n```python\nx = 1\n```\n\n- b\n\n  ````text\n  ```\n  ````\n"
    assert blocks(page) == [Block("python", 3, "x = 1\n"), Block("text", 9, "```\n")]
    with pytest.raises(PageError, match="not closed"):
        blocks("```python\n")


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("```console\n$ false\n```\n", "exit code 1"),
        ("```console\n$ echo one\ntwo\n```\n", "the page shows:\ntwo"),
        ("```python\n>>> 1 + 1\n3\n```\n", "1 examples differ"),
        ("```console\nlost\n$ true\n```\n", "output before the first command"),
    ],
)
def test_a_page_that_lies_is_caught(page: str, complaint: str) -> None:
    """A failing command, another output or another value fails the page."""
    with pytest.raises(PageError, match=complaint):
        run(page, "page")


def test_a_page_shares_its_names_and_files_from_block_to_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later blocks use what earlier ones made, across languages, and `...` stands for anything."""
    monkeypatch.chdir(tmp_path)
    page = (
        "```python\nfrom pathlib import Path\nn = Path('n').write_text('4 apples')\n```\n"
        "```console\n$ cat n \\\n  | tr a A\n4 ...\n$ cat <<END\n> one\n> END\none\n```\n"
        "```python\n>>> n\n8\n```\n```text\nnothing\n```\n"
    )
    assert run(page, "page") == 3
    with pytest.raises(ZeroDivisionError) as raised:
        run("\n\n```python\n\n1 / 0\n```\n", "page")
    assert raised.traceback[-1].lineno == 4

"""The numbers in IMPLEMENTATION_SUMMARY.md are those of the sources."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from sources import ROOT


def test_every_number_in_the_summary_is_the_computed_one() -> None:
    """The committed summary equals what the generator writes from the sources now."""
    check: list[str | Path] = [sys.executable, ROOT / ".ci" / "summary.py", "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_number_in_the_summary_is_written_by_hand() -> None:
    """Outside of names and versions, the template of the summary has placeholders for its numbers."""
    text = (ROOT / ".ci" / "summary.md").read_text(encoding="utf-8")
    prose = re.sub(r"\{\{[^}]*\}\}|`[^`]*`|\]\([^)]*\)", "", text)
    assert re.findall(r"(?<![\w.-])\d[\d,.]*(?![\w-])", prose) == []


def test_the_files_that_the_summary_names_exist() -> None:
    """What the summary says is somewhere is there."""
    text = (ROOT / "IMPLEMENTATION_SUMMARY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:py|md|toml))`", text))
    assert {name for name in named if not (ROOT / name).exists()} == set()

"""What a user can import or type stands somewhere in the documentation."""

from __future__ import annotations

import importlib
import re

import pytest

from sources import ROOT, modules

TEXT = "\n".join(
    page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
)
WORDS = frozenset(re.findall(r"\w+", TEXT))
PUBLIC = [name for name, path in modules().items() if re.search(r"^__all__ ", path.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_stands_in_the_documentation(module: str) -> None:
    """Each name in a module's `__all__` occurs in the README or a page of docs/."""
    assert set(importlib.import_module(module).__all__) - WORDS == set()

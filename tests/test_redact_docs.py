"""docs/redaction.md shows the rules as they are: `python tests/test_redact_docs.py` writes its table anew."""

from __future__ import annotations

import re

from moai_patterns.collect.rules import RULES, SOURCES
from sources import ROOT

PAGE = ROOT / "docs/redaction.md"
TABLE = re.compile(r"<!-- rules -->\n.*<!-- end of rules -->\n", re.DOTALL)


def table() -> str:
    """The rules and their sources as the page shows them."""
    rows = [
        f"| {name} | `{family}` | {' '.join(f'`{literal}`' for literal in literals.split())} | {source} |"
        for name, family, literals, _, _, source in RULES
    ]
    links = [f"| {name} | <{link}> |" for name, link in sorted(SOURCES.items())]
    parts = [
        "<!-- rules -->",
        "| rule | family | literals | source |",
        "|---|---|---|---|",
        *rows,
        "",
        "| source | where |",
        "|---|---|",
        *links,
        "<!-- end of rules -->",
    ]
    return "\n".join(parts) + "\n"


def test_the_page_shows_every_rule() -> None:
    """The table of rules, families and sources on the page is the one that the code gives."""
    found = TABLE.search(PAGE.read_text(encoding="utf-8"))
    assert found, "docs/redaction.md has no table of rules"
    assert found[0] == table(), "run python tests/test_redact_docs.py"


def test_the_page_counts_the_rules() -> None:
    """The number of rules that the page names is the number there is."""
    assert f"{len(RULES)} rules" in PAGE.read_text(encoding="utf-8")


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda _: table(), page), encoding="utf-8")

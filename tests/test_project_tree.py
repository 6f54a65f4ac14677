"""What lies in the checkout, and what must not stand in any of its files."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from sources import ROOT, files, relative

TOP_LEVEL = {
    *("pyproject.toml", "README.md", "IMPLEMENTATION_SUMMARY.md", "Makefile", "LICENSE", ".gitignore"),
    *("schemas", "moai_patterns", "tests", "examples", "benchmarks", "docs", ".ci"),
}

# Written in pieces, so that this file passes its own test.
PLACES = re.compile(
    r"(?<![\w.~-])/(?:root|Users)/\w|(?<![\w.~-])/home/(?!user\b|me\b|alice\b|bob\b|dev\b|who\b|\w+\.)\w{3}|[A-Z]:\\Users\\"
)
REGISTRIES = re.compile(
    r"py"
    r"pi\.org|python"
    r"hosted\.org|npm"
    r"js\.|/sim"
    r"ple/|index-"
    r"url\s*=|extra-index-"
    r"url [^'\\]"
)
CREDENTIALS = re.compile(
    r"AKIA[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{36}|sk-[a-z]+-[0-9A-Za-z_-]{32,}|xox[abp]-[0-9]{8,}"
    r"|AIza[0-9A-Za-z_-]{35}|BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*[A-Za-z0-9+/]{20}"
)


def occurrences(pattern: re.Pattern[str]) -> list[str]:
    """Where a pattern occurs in the text files of the project."""
    found = []
    for path in files():
        text = path.read_bytes().decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), start=1):
            if match := pattern.search(line):
                found.append(f"{relative(path)}:{number}: {match[0]}")
    return found


def test_the_top_level_holds_what_is_listed_and_nothing_else() -> None:
    """A newcomer sees at the top what there is; an unpacked sdist has its metadata there too."""
    top = {path.relative_to(ROOT).parts[0] for path in files()}
    assert top - {"PKG-INFO"} == TOP_LEVEL


def test_every_text_file_ends_with_one_newline_and_has_unix_line_ends() -> None:
    """Files are UTF-8 text, with no trailing blank lines; recorded corruption lives in tests as code."""
    wrong = []
    for path in files():
        data = path.read_bytes()
        data.decode("utf-8")
        if data and (not data.endswith(b"\n") or data.endswith(b"\n\n") or b"\r" in data):
            wrong.append(relative(path))
    assert wrong == []


@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        (PLACES, "/home/" + "jane/x"),
        (REGISTRIES, "https://py" + "pi.org/x"),
        (CREDENTIALS, "AKIA" + "A" * 16),
    ],
    ids=["places of a machine", "package registries", "credentials"],
)
def test_no_file_names_what_belongs_to_one_machine_or_person(pattern: re.Pattern[str], example: str) -> None:
    """No file holds a path of somebody's machine, the host of a package index, or a credential."""
    assert pattern.search(example)
    assert occurrences(pattern) == []


def test_no_file_names_this_checkout_or_its_environment() -> None:
    """The paths under which the tests run right now stand in no file."""
    here = {
        str(ROOT),
        str(ROOT.parent / "shared"),
        str(Path.home()),
        sys.base_prefix,
        os.environ.get("VIRTUAL_ENV", ""),
    }
    names = [re.escape(place) for place in here if place.count("/") > 1]
    assert occurrences(re.compile("|".join(names))) == []

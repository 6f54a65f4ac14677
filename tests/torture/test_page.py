"""docs/reliability.md says what was run, and names only what is there."""

from __future__ import annotations

import re

from sources import ROOT
from torture import page
from torture.promises import found
from torture.sabotages import themes


def test_the_generated_parts_are_up_to_date() -> None:
    """The tables say what `figures.json`, the promises and the planted bugs say; `python -m torture page`."""
    text = page.PAGE.read_text()
    assert page.written(text, found(), themes()) == text


def test_each_named_promise_and_test_exists() -> None:
    """What stands in a cell or a line of the page as the evidence can be run."""
    text = page.PAGE.read_text()
    promises = found()
    for name, numbers in re.findall(r"torture case ([\w-]+)((?: \d+)*)", text):
        assert name in promises
        assert all(int(number) < promises[name].cases() for number in numbers.split())
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text):
        assert f"def {name}" in (ROOT / path).read_text() if name else (ROOT / path).exists(), path


def test_every_promise_has_figures_of_a_whole_run() -> None:
    """No row of the table is without the figures of a run of all its cases."""
    assert "not run whole yet" not in page.PAGE.read_text()

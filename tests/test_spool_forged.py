"""Lines of a spool that nobody of ours has written: set aside, and in the way of nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from moai_patterns import PatternStorage
from samples import sample

BODY = (
    '"pattern_id":"x","pattern_type":"hook_event","timestamp":"2025-11-29","_meta":{"instant":5,"revision":1}'
)


@pytest.mark.parametrize(
    "line",
    [
        '{"attempts":0,"records":[{%s,"data":{"event":NaN}}]}' % BODY,
        '{"attempts":0,"records":[{%s,"data":{"event":"\\ud800"}}]}' % BODY,
        '{"attempts":-9,"records":[{%s,"data":{"event":5}}]}' % BODY,
    ],
    ids=["NaN", "lone surrogate", "negative attempts"],
)
def test_a_line_that_cannot_be_put_off_is_set_aside(tmp_path: Path, line: str) -> None:
    """A line that could not be written again goes to the quarantine at once; what is behind it goes in."""
    whole = '{"attempts":0,"records":[{%s,"data":{"event":"Stop"}}]}' % BODY.replace('"x"', '"behind"')
    (tmp_path / "s.spool").write_text(f"{line}\n{whole}\n")

    with PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage:
        storage.save(sample("own"))
        assert storage.load("behind") is not None
        left = storage.stats()["spool"]
    assert (left["waiting"], left["quarantined"]) == (0, 1)

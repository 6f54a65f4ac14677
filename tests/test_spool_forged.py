"""Lines of a spool that nobody of ours has written: set aside, and in the way of nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moai_patterns import PatternStorage, spool
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


@pytest.mark.parametrize("backend", ["filesystem", "sqlite"])
@pytest.mark.parametrize(
    "meta",
    [
        '{"instant":true,"revision":1}',
        '{"instant":1e3,"revision":1}',
        '{"instant":9223372036854775807,"revision":1}',
        '{"instant":5,"revision":0}',
        '{"instant":5,"revision":"1"}',
        '{"instant":5}',
        '{"instant":5,"revision":1,"seq":-1}',
        '{"instant":5,"revision":1,"recorded_at":-0.0}',
        '{"instant":5,"revision":1,"operation":5}',
        '{"instant":5,"revision":1,"actor":[]}',
        "[]",
    ],
)
def test_a_line_with_other_facts_than_the_store_notes_is_set_aside(
    tmp_path: Path, backend: str, meta: str
) -> None:
    """What a store could not read again does not get into it: it would be refused with all that is around."""
    base = tmp_path / ("s.db" if backend == "sqlite" else "s")
    forged = BODY.replace('{"instant":5,"revision":1}', meta)
    line = '{"attempts":0,"records":[{%s,"data":{"event":"Stop"}}]}\n' % forged
    base.with_name(base.name + ".spool").write_text(line)

    with PatternStorage(backend, base, maintenance_interval=None) as storage:
        storage.save(sample("own"))
        assert [record["pattern_id"] for record in storage.iter()] == ["own"]
        assert storage.check(read_data=True) == []
        left = storage.stats()["spool"]
    assert (left["waiting"], left["quarantined"]) == (0, 1)


def test_a_flipped_bit_in_what_waits_is_no_other_record(tmp_path: Path) -> None:
    """Whichever bit of a waiting line is flipped, the record goes in as it was, or into the quarantine."""
    location = ("filesystem", str(tmp_path / "s"))
    record = sample("own")
    stamped = {**record, "_meta": {"instant": 5, "revision": 1, "recorded_at": 6, "operation": "save"}}
    path = Path(spool.put(location, [stamped], {}))
    whole = path.read_bytes()
    taken: list[dict[str, Any]] = []
    for bit in range(8 * (len(whole) - 1)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        spool.drain(location, taken.extend, environ={})
    assert all(one == stamped for one in taken)
    aside = (tmp_path / "s.quarantine").read_bytes().count(b"\n")
    assert aside > len(taken), "most bits matter"
    assert aside + len(taken) >= 8 * (len(whole) - 1)

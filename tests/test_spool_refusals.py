"""What a drain does not take in: foreign files, known ids with other content, invalid records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moai_patterns.collect.hook import _take_in
from moai_patterns.spool import drain, put, status
from test_spool import Location, Store, environ, location, store, stored

__all__ = ["environ", "location", "store"]  # the fixtures


def test_a_known_id_with_other_content_is_set_aside(
    location: Location, environ: dict[str, str], store: Store
) -> None:
    """What the store has otherwise is not what waits: it goes into the quarantine with the reason."""
    store.write([stored(1)])
    put(location, [stored(1, cwd="/elsewhere")], environ)

    assert drain(location, store.write, environ=environ) == 0
    aside = json.loads(Path(location[1] + ".quarantine").read_text())
    assert "other content" in aside["reason"]
    assert aside["records"] == [stored(1, cwd="/elsewhere")]


@pytest.mark.parametrize("name", ["notes.jsonl", "-1.jsonl", "\u0662.jsonl", "x.txt"])
def test_foreign_files_among_what_is_drained_are_let_be(
    name: str, location: Location, environ: dict[str, str], store: Store
) -> None:
    """They stop no drain, and nobody removes them."""
    put(location, [stored(1)], environ)
    foreign = Path(location[1] + ".spool.draining") / name
    foreign.parent.mkdir()
    foreign.write_text("mine")

    assert drain(location, store.write, environ=environ) == 1
    assert foreign.read_text() == "mine"


def test_a_capture_takes_in_nothing_invalid(
    location: Location, environ: dict[str, str], store: Store
) -> None:
    """A hook holds what waits against the schema before it writes it."""
    put(location, [stored(1, event=5)], environ)
    put(location, [stored(2)], environ)

    assert drain(location, lambda batch: _take_in(lambda r, _: store.write(r), batch), environ=environ) == 1
    assert store.ids() == ["id-00002"]
    assert status(location, environ)["waiting"] == 1


def test_a_batch_of_which_the_store_has_a_part_is_set_aside_whole(
    location: Location, environ: dict[str, str], store: Store
) -> None:
    """One record that is there as it is does not make up for another that is there otherwise."""
    store.write([stored(1), stored(2)])
    batch = [stored(1), stored(2, cwd="/elsewhere")]
    put(location, batch, environ)

    assert drain(location, store.write, environ=environ) == 0
    aside = json.loads(Path(location[1] + ".quarantine").read_text())
    assert aside["records"] == batch

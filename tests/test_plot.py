"""Pictures of a store."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import vl_convert

from moai_patterns import MissingExtraError, PatternStorage, QueryError

BACKENDS = ("memory", "filesystem", "sqlite")


@pytest.fixture(params=BACKENDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PatternStorage]:
    with PatternStorage(request.param, tmp_path / "store") as opened:
        for number in range(300):
            is_error = number % 10 == 0
            opened.save(
                {
                    "pattern_id": f"r{number}",
                    "pattern_type": "error_occurrence" if is_error else "tool_use",
                    "timestamp": f"2025-11-{number % 14 + 10}T{number % 24:02d}:30:00Z",
                    "data": {"error_type": f"E{number % 3}", "error_message": "x"}
                    if is_error
                    else {"tool_name": ("Bash", "Read", "Edit")[number % 3], "duration_ms": number * number},
                }
            )
        yield opened


PICTURES: dict[str, Callable[[PatternStorage], Any]] = {
    "timeline": lambda storage: storage.plot.timeline(every="1d", tz="Europe/Berlin"),
    "durations": lambda storage: storage.plot.durations(),
    "errors": lambda storage: storage.plot.errors(),
    "heatmap": lambda storage: storage.plot.heatmap(tz="Asia/Kathmandu"),
}


def drawn(png: bytes) -> tuple[int, int, int]:
    """Width and height of a picture, and how many of its rows of pixels differ."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    data, at, size = b"", 8, (0, 0)
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
        elif kind == b"IDAT":
            data += body
        at += length + 12
    raw = zlib.decompress(data)
    row = len(raw) // size[1]
    return *size, len({raw[start : start + row] for start in range(0, len(raw), row)})


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn(storage: PatternStorage, name: str) -> None:
    """Each chart is one that Vega-Lite renders, with something on it."""
    chart = PICTURES[name](storage)
    width, height, different = drawn(vl_convert.vegalite_to_png(chart.to_json()))
    assert width > 640
    assert height > 50
    assert different > 40


def test_a_picture_is_of_what_was_asked_for(storage: PatternStorage) -> None:
    """What is drawn are the figures of the question, whatever the backend."""

    def values(chart: Any) -> list[dict[str, Any]]:
        (found,) = chart.to_dict()["datasets"].values()
        return list(found)

    assert sum(row["records"] for row in values(storage.plot.timeline(every="1w"))) == 300
    (one,) = values(storage.plot.timeline(every="1y", pattern_type="error_occurrence"))
    assert one == {"period": "2025-01-01T00:00:00", "group": "error_occurrence", "records": 30}
    assert [row["errors"] for row in values(storage.plot.errors())] == [10, 10, 10]
    heat = values(storage.plot.heatmap(start_date="2025-11-10T00:00Z", end_date="2025-11-10T23:59Z"))
    assert len(heat) == 7 * 24
    assert {row["day"] for row in heat if row["records"]} == {"Mon"}
    spans = values(storage.plot.durations(by="data.tool_name"))
    assert {row["group"] for row in spans} == {"Edit", "Bash", "Read"}
    assert [row["p50"] for row in spans] == sorted((row["p50"] for row in spans), reverse=True)
    assert all(row["p5"] <= row["p25"] <= row["p50"] <= row["p75"] <= row["p95"] for row in spans)


def test_nothing_is_drawn_of_nothing(storage: PatternStorage) -> None:
    """A question without an answer gives an empty chart, and one without meaning is refused."""
    empty = storage.plot.timeline(tags=["none"])
    assert vl_convert.vegalite_to_png(empty.to_json())
    assert vl_convert.vegalite_to_png(storage.plot.durations(tags=["none"]).to_json())
    with pytest.raises(QueryError):
        storage.plot.timeline(every="1x")
    with pytest.raises(QueryError):
        storage.plot.errors(by="nothing")


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which extra brings it."""
    monkeypatch.setitem(sys.modules, "altair", None)
    with (
        PatternStorage("memory") as storage,
        pytest.raises(MissingExtraError, match=r"moai-patterns\[plot\]"),
    ):
        storage.plot.timeline()

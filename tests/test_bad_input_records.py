"""Records that must not go in: a typed error says where and why, and the store stays as it was."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moai_patterns import PatternStorage, ValidationError
from moai_patterns.cli.commands import run
from samples import sample
from stores import contents, nested

BACKENDS = ("memory", "filesystem", "sqlite")
MEGABYTE = "x" * 2**20


def task(**data: Any) -> dict[str, Any]:
    """A record of a task with other data."""
    return sample("bad", **data)


def without(name: str) -> dict[str, Any]:
    """A record of a task whose data lack a key."""
    record = sample("bad")
    del record["data"][name]
    return record


def envelope(**members: Any) -> dict[str, Any]:
    """A record of a task with other members beside its data; `...` takes one away."""
    changed = {**sample("bad"), **members}
    return {name: value for name, value in changed.items() if value is not ...}


# What is wrong; then the place that the refusal names, and a word of why.
BAD: dict[str, tuple[Any, str, str]] = {
    "text for a number": (task(duration_ms="5"), "$.data.duration_ms", "integer"),
    "a boolean for a number": (task(duration_ms=True), "$.data.duration_ms", "integer"),
    "a number for a boolean": (task(success=1), "$.data.success", "boolean"),
    "null for text": (task(agent=None), "$.data.agent", "text"),
    "a list for data": (envelope(data=[]), "$.data", "object"),
    "a missing key": (without("duration_ms"), "$.data.duration_ms", "missing"),
    "no id": (envelope(pattern_id=...), "$.pattern_id", "missing"),
    "no kind": (envelope(pattern_type=...), "$.pattern_type", "missing"),
    "no timestamp": (envelope(timestamp=...), "$.timestamp", "missing"),
    "no data": (envelope(data=...), "$.data", "missing"),
    "below its range": (task(duration_ms=-1), "$.data.duration_ms", "0"),
    "above its range": (task(coverage_percent=100.1), "$.data.coverage_percent", "100"),
    "no such severity": (
        sample("bad", kind="user_correction", severity="fatal"),
        "$.data.severity",
        "critical",
    ),
    "no such environment": (envelope(context={"environment": "prod"}), "$.context.environment", "staging"),
    "hour 24": (envelope(timestamp="2025-11-29T24:00"), "$.timestamp", "24"),
    "hour 24 with seconds": (envelope(timestamp="2025-11-29T24:00:00Z"), "$.timestamp", "24"),
    "month 13": (envelope(timestamp="2025-13-01T00:00:00Z"), "$.timestamp", "13"),
    "a day that February lacks": (envelope(timestamp="2025-02-29"), "$.timestamp", "29"),
    "a week date": (envelope(timestamp="2025-W48-6"), "$.timestamp", "W48"),
    "an ordinal date": (envelope(timestamp="2025-333"), "$.timestamp", "333"),
    "text for a time": (envelope(timestamp="yesterday"), "$.timestamp", "yesterday"),
    "no text for a time": (envelope(timestamp=1764410400), "$.timestamp", "text"),
    "an empty time": (envelope(timestamp=""), "$.timestamp", "timestamp"),
    "NaN": (task(coverage_percent=math.nan), "$.data.coverage_percent", "nan"),
    "NaN in a key that no schema knows": (task(more={"a": [math.nan]}), "$.data.more.a[0]", "nan"),
    "Infinity": (envelope(context={"metadata": {"a": -math.inf}}), "$.context.metadata.a", "inf"),
    "a lone surrogate": (task(agent="a\ud800"), "$.data.agent", "surrogate"),
    "a lone surrogate in a key": (task(**{"\udfff": 1}), "$.data", "surrogate"),
    "a lone surrogate in a tag": (envelope(context={"tags": ["\ud83d"]}), "$.context.tags[0]", "surrogate"),
    "an integer beyond 64 bits": (task(more=2**63), "$.data.more", "64"),
    "an integer beyond 64 bits below zero": (task(more=-(2**63) - 1), "$.data.more", "64"),
    "an integer of 5,000 digits": (task(more=10**5000), "$.data.more", "64"),
    "10,000 levels": (task(more=nested(10_000)), "$.data.more", "100"),
    "10,000 levels of objects": (envelope(context={"metadata": nested(10_000, "a")}), "$.context.m", "100"),
    "a context of null": (envelope(context=None), "$.context", "object"),
    "a context of text": (envelope(context="x"), "$.context", "object"),
    "an id with a slash": (envelope(pattern_id="a/b"), "$.pattern_id", "/"),
    "an id that goes up": (envelope(pattern_id=".."), "$.pattern_id", ".."),
    "an id that goes up and out": (envelope(pattern_id="../../etc/passwd"), "$.pattern_id", "/"),
    "an id with NUL": (envelope(pattern_id="a\0b"), "$.pattern_id", r"a\x00b"),
    "an id of 1 MB": (envelope(pattern_id=MEGABYTE), "$.pattern_id", "255"),
    "a kind with a slash": (envelope(pattern_type="a/b"), "$.pattern_type", "registered"),
    "a kind that goes up": (envelope(pattern_type=".."), "$.pattern_type", "registered"),
    "a kind with NUL": (envelope(pattern_type="a\0b"), "$.pattern_type", "registered"),
    "a kind of 1 MB": (envelope(pattern_type=MEGABYTE), "$.pattern_type", "registered"),
    "an unknown kind": (envelope(pattern_type="dream"), "$.pattern_type", "registered"),
    "nothing": (None, "$", "object"),
    "a list": ([sample("bad")], "$", "object"),
    "text": ("{}", "$", "object"),
}

JSON_LINE = (
    '{"pattern_id":"bad","pattern_type":"error_occurrence","timestamp":"2025-11-29T10:00:00Z",'
    '"data":{"error_type":"e","error_message":"m"%s}}'
)
# A line of imported JSON Lines; then a word of why it is refused.
BAD_LINES: dict[str, tuple[bytes, str]] = {
    "a key twice": ((JSON_LINE % ',"error_type":"f"').encode(), "'error_type' occurs twice"),
    "a key twice, far down": ((JSON_LINE % ',"more":[{"a":{"b":1,"b":1}}]').encode(), "'b' occurs twice"),
    "cut off": ((JSON_LINE % "")[:-20].encode(), "no JSON at character"),
    "cut off within a text": ((JSON_LINE % "")[:60].encode(), "no JSON at character"),
    "two objects": ((JSON_LINE % "" * 2).encode(), "no JSON at character"),
    "NaN": ((JSON_LINE % ',"more":NaN').encode(), "NaN"),
    "Infinity": ((JSON_LINE % ',"more":[-Infinity]').encode(), "Infinity"),
    "a number beyond every float": ((JSON_LINE % ',"more":1e999').encode(), "$.data.more"),
    "an integer beyond 64 bits": ((JSON_LINE % (',"more":%d' % 2**64)).encode(), "$.data.more"),
    "an integer of 5,000 digits": ((JSON_LINE % (',"more":' + "9" * 5000)).encode(), "digits"),
    "half a surrogate pair": ((JSON_LINE % r',"more":"\ud800"').encode(), "$.data.more"),
    "200 levels": ((JSON_LINE % (',"more":' + "[" * 200 + "]" * 200)).encode(), "$.data.more"),
    "10,000 levels": ((JSON_LINE % (',"more":' + "[" * 10_000 + "]" * 10_000)).encode(), "deeply"),
    "bytes that are no UTF-8": ((JSON_LINE % ',"more":"?"').encode().replace(b"?", b"\xff"), "UTF-8"),
    "a list": (b"[1]", "object"),
    "a number": (b"5", "object"),
    "an unknown kind": ((JSON_LINE % "").replace("error_occurrence", "dream").encode(), "$.pattern_type"),
}


@pytest.fixture(params=BACKENDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PatternStorage]:
    """A storage with a compacted day, a superseded revision and a hot record; checked at the end."""
    with PatternStorage(request.param, tmp_path / "store", maintenance_interval=None) as opened:
        opened.save_many([sample("old", "2024-01-01T10:00:00Z"), sample("older", "2024-01-01T09:00:00Z")])
        opened.compress_old_files()
        opened.save(sample("good"))
        opened.save(sample("good", duration_ms=3))
        yield opened
        assert opened.check(read_data=True) == []


def doors(storage: PatternStorage, bad: Any) -> Iterator[Callable[[], object]]:
    """Every way by which a record can be handed in."""
    yield lambda: storage.save(bad)
    yield lambda: storage.save_many([sample("before"), bad, sample("after")])
    yield lambda: storage.save_batch([bad])
    with storage.session() as session:
        yield lambda: session.save(bad)
    if (
        isinstance(bad, dict)
        and "pattern_type" in bad
        and bad.get("data", sample()["data"]) != sample()["data"]
    ):
        yield lambda: storage.capture(bad["pattern_type"], bad["data"], bad.get("context"))


@pytest.mark.parametrize("case", BAD)
def test_a_bad_record_is_refused_by_every_door(storage: PatternStorage, tmp_path: Path, case: str) -> None:
    """ValidationError names the path and the reason; no byte of the store changes, no record either."""
    bad, path, why = BAD[case]
    files, records = contents(tmp_path), list(storage.iter(order="arrival"))
    for door in doors(storage, bad):
        with pytest.raises(ValidationError) as refusal:
            door()
        assert isinstance(refusal.value, ValueError)
        found = [v for v in refusal.value.violations if v.path.startswith(path)]
        assert found, [violation.path for violation in refusal.value.violations]
        assert why in found[0].sentence
        assert path in str(refusal.value)
        assert len(str(refusal.value)) < 2000
        assert contents(tmp_path) == files
        assert list(storage.iter(order="arrival")) == records
        assert storage.load("bad") is None


@pytest.mark.parametrize("case", BAD_LINES)
@pytest.mark.parametrize("scheme", ["file", "sqlite"])
def test_a_bad_line_of_imported_json_is_refused_with_file_and_line(
    scheme: str, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`save` of a file of JSON Lines ends with exit code 3, names the place, and stores nothing of it."""
    line, why = BAD_LINES[case]
    store = f"{scheme}:{tmp_path / 'store'}"
    source = tmp_path / "source.jsonl"
    good = (JSON_LINE % "").replace('"bad"', '"good"').encode()
    source.write_bytes(good + b"\n")
    assert run(["save", "--store", store, str(source)]) == 0
    files = contents(tmp_path / "store")
    source.write_bytes(good.replace(b'"good"', b'"before"') + b"\n\n" + line + b"\n" + good + b"\n")
    capsys.readouterr()

    assert run(["save", "--store", store, str(source)]) == 3
    said = capsys.readouterr().err
    assert why in said
    assert f"{source}, line 3" in said or "record 1" in said
    assert "Traceback" not in said
    assert contents(tmp_path / "store") == files
    assert run(["count", "--store", store]) == 0
    assert capsys.readouterr().out == "1\n"

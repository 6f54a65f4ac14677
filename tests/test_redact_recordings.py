"""What redaction does to real recordings: next to nothing, and what it takes out looks like a secret."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moai_patterns.collect import matching
from moai_patterns.collect.literals import found
from moai_patterns.collect.redact import redact, suspicious

KEY = bytes(range(32))


def values(data: Path) -> Iterator[Any]:
    for path in sorted((data / "claude-code-hooks").glob("*.json")):
        yield from json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((data / "claude-code-transcripts").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def test_recordings_come_through_unchanged(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2,900 recorded values a twentieth loads the rules, and two passwords are taken out."""
    taken: list[tuple[str, str, str]] = []
    spans = matching.spans

    def told(text: str, literals: set[str]) -> list[tuple[int, int, str]]:
        hits = spans(text, literals)
        taken.extend(
            (family, text[max(0, start - 20) : start], text[start:end]) for start, end, family in hits
        )
        return hits

    monkeypatch.setattr(matching, "spans", told)
    count, looked, replaced = 0, 0, 0
    why: Counter[str] = Counter()
    for value in values(shared_data):
        count += 1
        text = json.dumps(value, ensure_ascii=False)
        if suspicious(text):
            looked += 1
            why.update(set(found(text)))
        shown, hits = redact(value, KEY)
        replaced += hits
        assert not hits or suspicious(text)
        assert (shown is value) == (hits == 0)
        assert redact(shown, KEY) == (shown, 0)
    print(f"{count} values: {looked} load the rules ({why.most_common()}), {replaced} replacements")
    for family, before, secret in taken:
        print(f"  {family}: {before!r} + {secret[:2]}{'*' * (len(secret) - 3)}{secret[-1:]}")
    assert looked < count / 15
    assert replaced == len(taken) == 2
    assert {family for family, _, _ in taken} == {"assigned"}

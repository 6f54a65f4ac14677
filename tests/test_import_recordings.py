"""Real recordings: everything goes in, everything comes back, and a second import adds nothing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from moai_patterns import PatternStorage, PatternType
from moai_patterns.collect import claude_code, transcripts
from moai_patterns.collect.importing import Summary, import_paths

Record = dict[str, Any]
TOKENS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def payloads(shared_data: Path) -> list[Record]:
    files = sorted((shared_data / "claude-code-hooks").glob("*.json"))
    return [payload for file in files for payload in json.loads(file.read_text(encoding="utf-8"))]


def lines(shared_data: Path) -> list[Record]:
    files = sorted((shared_data / "claude-code-transcripts").glob("*.jsonl"))
    return [
        json.loads(line)
        for file in files
        for line in file.read_text(encoding="utf-8").split("\n")
        if line.strip()
    ]


def imported(storage: PatternStorage, *paths: Path) -> Summary:
    # Without redaction: some of the recordings hold made-up credentials, which would not come back.
    return import_paths(paths, storage, key=None)


@pytest.fixture(params=["memory", "filesystem", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_store_dir: Path) -> Any:
    with PatternStorage(request.param, tmp_store_dir, maintenance_interval=None) as opened:
        yield opened


def test_all_recordings_go_in_one_by_one_and_come_back(storage: PatternStorage, shared_data: Path) -> None:
    """Each of the 1,912 payloads and each line of the nine transcripts is rebuilt equal from the store."""
    summary = imported(storage, shared_data)
    known, said = payloads(shared_data), lines(shared_data)
    assert (len(known), summary.payloads, summary.lines) == (1912, 1912, len(said))
    assert (summary.files, summary.damaged, summary.skipped, summary.repeated) == (15, 0, [], 0)
    rebuilt: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for record in storage.iter():
        metadata = record["context"]["metadata"]
        if metadata["source"] == claude_code.SOURCE and "primary" not in metadata:
            rebuilt[text(claude_code.rebuild(record))] += 1
        elif metadata["source"] != claude_code.SOURCE:
            told.update(map(text, transcripts.rebuild(record)))
    assert rebuilt == Counter(map(text, known))
    assert told == Counter(map(text, said))
    for kind in PatternType:
        assert storage.count(pattern_type=kind.value) > 0


def test_a_second_import_adds_nothing(storage: PatternStorage, shared_data: Path) -> None:
    """The same recordings again, in another order and piece by piece, change no record."""
    first = imported(storage, shared_data)
    before = storage.count()
    assert first.added == before
    for paths in (
        [shared_data],
        sorted(shared_data.glob("*/*.json*"), reverse=True),
        [shared_data / "claude-code-hooks"],
        [shared_data / "claude-code-transcripts" / "session-7.jsonl"],
    ):
        again = imported(storage, *paths)
        assert (again.added, again.revised) == (0, 0)
    assert storage.count() == before


def test_tokens_and_calls_are_those_of_the_transcripts(shared_data: Path) -> None:
    """Summed over the turns, tokens are those of each message once, and each call has its tool_use."""
    said = lines(shared_data)
    usage: dict[str, dict[str, int]] = {}
    calls = set()
    for line in said:
        message = line.get("message", {})
        if line["type"] != "assistant" or message["model"] == "<synthetic>":
            continue
        known = usage.setdefault(message["id"], dict.fromkeys(TOKENS, 0))
        for name in TOKENS:
            known[name] = max(known[name], message["usage"][name])
        calls |= {block["id"] for block in message["content"] if block["type"] == "tool_use"}
    with PatternStorage("memory", maintenance_interval=None) as storage:
        imported(storage, shared_data / "claude-code-transcripts")
        turns = [r for r in storage.iter(pattern_type="agent_usage") if r["data"]["task_type"] == "turn"]
        uses = list(storage.iter(pattern_type="tool_use"))
    for name in TOKENS:
        assert sum(turn["context"]["metadata"]["tokens"][name] for turn in turns) == sum(
            known[name] for known in usage.values()
        )
    assert sum(turn["data"]["api_calls"] for turn in turns) == len(usage)
    assert {use["data"]["tool_use_id"] for use in uses} == calls
    assert len(uses) == len(calls)


def test_failures_and_corrections_are_those_of_the_transcripts(shared_data: Path) -> None:
    """Each failed result is an error or, with the user's word, a correction; none is counted twice."""
    blocks = [
        block
        for line in lines(shared_data)
        if line["type"] == "user" and isinstance(line["message"]["content"], list)
        for block in line["message"]["content"]
        if block["type"] == "tool_result" and block.get("is_error")
    ]
    with_word = [block for block in blocks if "the user said:" in text(block["content"])]
    with PatternStorage("memory", maintenance_interval=None) as storage:
        imported(storage, shared_data / "claude-code-transcripts")
        corrections = list(storage.query("user_correction", limit=None))
        errors = list(storage.query("error_occurrence", limit=None))
        failed = [r for r in storage.iter(pattern_type="tool_use") if r["data"].get("success") is False]
    assert len(corrections) == len(with_word) == 6
    assert len(errors) == len(blocks) - len(with_word) == 6
    assert len(failed) == len(blocks)
    for correction in corrections:
        assert correction["data"]["user_feedback"] in "".join(block["content"] for block in with_word)


def test_transcripts_leave_hardly_anything_to_assume(shared_data: Path) -> None:
    """Durations are known everywhere; an outcome is assumed only where a file stops within a run."""
    with PatternStorage("memory", maintenance_interval=None) as storage:
        imported(storage, shared_data / "claude-code-transcripts")
        runs = list(storage.iter(pattern_type=["task_completion", "agent_usage"]))
    assumed = Counter(
        name
        for record in runs
        for name in record["context"]["metadata"].get("assumed", ())
        if "data." in name
    )
    assert set(assumed) == {"data.success"}
    assert assumed["data.success"] < len(runs) / 5
    assert all(record["data"]["duration_ms"] > 0 for record in runs)


@pytest.mark.parametrize("cut", range(4))
def test_a_real_transcript_that_grew_comes_to_the_same_records(
    shared_data: Path, tmp_path: Path, cut: int
) -> None:
    """Imported up to some byte and then whole, each recording ends as if it were imported once."""
    for number, whole in enumerate(sorted((shared_data / "claude-code-transcripts").glob("*.jsonl"))):
        content = whole.read_bytes()
        part = tmp_path / "part.jsonl"
        part.write_bytes(content[: len(content) * (2 * cut + number % 2) // 8])
        with (
            PatternStorage("memory", maintenance_interval=None) as grown,
            PatternStorage("memory", maintenance_interval=None) as once,
        ):
            imported(grown, part)
            imported(grown, whole)
            imported(once, whole)
            assert list(grown.iter()) == list(once.iter())
            again = imported(grown, part)
            assert (again.added, again.revised) == (0, 0)

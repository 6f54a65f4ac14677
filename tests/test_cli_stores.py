"""The store that a command names: one that is there, one that is not, and one that could not last."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from samples import sample
from test_cli import run

KEEPING = (
    "query",
    "count",
    "load a",
    "stats",
    "check",
    "export all.jsonl",
    "copy file:new",
    "compact",
    "compact --dry-run",
    "retain",
    "retain --archive file:old",
    "maintain",
    "delete a",
)


@pytest.mark.parametrize("words", KEEPING)
@pytest.mark.parametrize("store", ["file:deep/typo", "sqlite:deep/typo"])
def test_a_store_that_is_not_there_is_not_an_empty_one(tmp_path: Path, words: str, store: str) -> None:
    """What only reads or keeps says so with exit code 4, and makes nothing."""
    refused = run(*words.split(), "--store", store, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (4, "")
    assert f"there is no store at {store.partition(':')[2]}" in refused.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["typo", "typo.db"])
def test_an_empty_place_is_no_store_either(tmp_path: Path, name: str) -> None:
    """Neither a directory nor a file with nothing in it; it stays as it is."""
    place = tmp_path / name
    if place.suffix:
        place.touch()
    else:
        place.mkdir()
    scheme = "sqlite" if place.suffix else "file"
    assert run("check", "--store", f"{scheme}:{name}", cwd=tmp_path).returncode == 4
    assert os.listdir(tmp_path) == [name]
    assert run("doctor", "--store", f"{scheme}:{name}", cwd=tmp_path).returncode == 1
    assert os.listdir(tmp_path) == [name]


def test_doctor_shows_that_there_is_no_store(tmp_path: Path) -> None:
    """As its problem, with exit code 1, and makes none."""
    told = run("doctor", "--json", "--store", "sqlite:typo", cwd=tmp_path)
    assert told.returncode == 1
    assert "there is no store at typo.db" in json.loads(told.stdout)["problem"]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("scheme", ["file", "sqlite"])
def test_a_store_may_exist_only_as_what_waits_for_it(tmp_path: Path, scheme: str) -> None:
    """The first look takes in what captures left in the spool beside its place."""
    run("hook", "claude-code", "--store", "file:other", cwd=tmp_path, stdin='{"hook_event_name": "Setup"}')
    (tmp_path / "taken").write_text("no store")
    run("hook", "claude-code", "--store", "file:taken", cwd=tmp_path, stdin='{"hook_event_name": "Setup"}')
    base = "late" if scheme == "file" else "late.db"
    (tmp_path / "taken.spool").rename(tmp_path / f"{base}.spool")
    assert run("count", "--store", f"{scheme}:late", cwd=tmp_path).stdout == "1\n"


@pytest.mark.parametrize("words", ["count", "save", "copy file:recs.jsonl --store file:tree"])
def test_a_file_is_no_tree(tmp_path: Path, words: str) -> None:
    """Whoever names one is told that it is a file, also in the place of a target."""
    run("save", "--store", "file:tree", cwd=tmp_path, stdin=json.dumps(sample()))
    (tmp_path / "recs.jsonl").write_text("{}\n")
    named = words.split() if "--store" in words else [words, "--store", "file:recs.jsonl"]
    refused = run(*named, cwd=tmp_path)
    assert refused.returncode == 4
    assert "recs.jsonl is a file and no store" in refused.stderr


@pytest.mark.parametrize(
    "words",
    [
        "capture tool_use {} --store memory:",
        "save --store memory:",
        "count --store memory:",
        "copy memory: --store file:tree",
        "retain --archive memory: --store file:tree",
    ],
)
def test_a_store_in_memory_is_refused(tmp_path: Path, words: str) -> None:
    """It would be gone with the command: wrong usage, and no error recommends it."""
    run("save", "--store", "file:tree", cwd=tmp_path, stdin=json.dumps(sample()))
    refused = run(*words.split(), cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "would be gone with this command" in refused.stderr
    assert "memory" not in run("count", "--store", "ftp:x", cwd=tmp_path).stderr

"""Files of a tree with sound checksums and contents that nobody of ours has written."""

from __future__ import annotations

import json
import shutil
from binascii import crc32
from collections.abc import Callable
from hashlib import blake2b
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest

from moai_patterns import DamageError, PatternStorage
from moai_patterns.backends.filesystem.sealed import seal_file, seal_line
from samples import sample


def forged_manifest(path: Path, change: Callable[[Any], None]) -> None:
    """Change a manifest and make its checksum anew."""
    body = json.loads(path.read_bytes())
    del body["checksum"]
    change(body)
    content = json.dumps(body, separators=(",", ":")).encode()
    checksum = blake2b(content, digest_size=16).hexdigest().encode()
    path.write_bytes(b'%b,"checksum":"%b"}\n' % (content[:-1], checksum))


def facts(body: Any) -> dict[str, Any]:
    """The facts of the only segment of a manifest."""
    found: dict[str, Any] = body["days"]["2025-11-01"]["heads"]
    return found


CHANGES: dict[str, Callable[[Any], None]] = {
    "a path for a name": lambda body: facts(body).update(name="../../../outside/x.1"),
    "an absolute name": lambda body: facts(body).update(name="/etc/x.1"),
    "no name": lambda body: facts(body).pop("name"),
    "an id that is no text": lambda body: facts(body).update(first_id=5),
    "no id": lambda body: facts(body).pop("last_id"),
    "a count that is no number": lambda body: facts(body).update(count="many"),
    "no facts": lambda body: body["days"]["2025-11-01"].update(heads=[1]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_forged_manifest_is_refused(tmp_path: Path, change: Callable[[Any], None]) -> None:
    """Facts of the wrong shape, and names that lead elsewhere, are damage, whatever the checksum says."""
    with PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage:
        storage.save_many(sample(f"id-{number}", "2025-11-01") for number in range(3))
        assert storage.compress_old_files() == 3
    for name in ("index.json", "index.copy.json"):
        forged_manifest(tmp_path / "s" / name, change)
    with PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage:
        for ask in (lambda: list(storage.iter()), lambda: storage.load("id-1")):
            with pytest.raises(DamageError):
                ask()


@pytest.mark.parametrize("member", ["generation", "seq", "dead"])
def test_forged_numbers_give_way_to_the_copy(tmp_path: Path, member: str) -> None:
    """A manifest whose numbers are none is replaced by its copy, and named."""
    with PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage:
        storage.save_many(sample(f"id-{number}", "2025-11-01") for number in range(3))
        storage.compress_old_files()
        forged_manifest(tmp_path / "s/index.json", lambda body: body.update({member: [5]}))
        assert storage.count() == 3
        assert [problem.place for problem in storage.check()] == [str(tmp_path / "s/index.json")]


def test_an_arrival_number_beyond_all_is_not_counted_on_from(tmp_path: Path) -> None:
    """A manifest with a number that no store gives keeps nobody from making the change log anew."""
    with PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage:
        storage.save_many(sample(f"id-{number}", "2025-11-01") for number in range(3))
        storage.compress_old_files()
    for number in (1 << 64, (1 << 63) - 1):
        forged_manifest(tmp_path / "s/index.json", methodcaller("update", seq=number))
        shutil.rmtree(tmp_path / "s/index")
        with PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage:
            storage.save(sample(f"new-{number}"))
            storage.save(sample("doomed"))
            storage.delete("doomed")
        with PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage:
            assert storage.load(f"new-{number}") == sample(f"new-{number}")
            assert storage.load("doomed") is None


ODD: dict[str, dict[str, Any]] = {
    "an id that is an object": {"pattern_id": {"a": 1}},
    "a kind that is a number": {"pattern_type": 5},
    "an instant that is a text": {"_meta": {"instant": "now", "revision": 1}},
    "an instant beyond all": {"_meta": {"instant": 10**18, "revision": 1}},
    "a revision below 1": {"_meta": {"instant": 1, "revision": 0}},
    "a revision beyond 32 bits": {"_meta": {"instant": 1, "revision": 1 << 40}},
    "an arrival that is a text": {"_meta": {"instant": 1, "revision": 1, "seq": "x"}},
    "no facts": {"_meta": {}},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("hot", [True, False], ids=["a hot file", "a session's line"])
def test_a_forged_record_is_damage(tmp_path: Path, odd: dict[str, Any], *, hot: bool) -> None:
    """A record of the wrong shape never comes out, and raises nothing but damage with its place."""
    with PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage:
        if hot:
            storage.save(sample("id"))
        else:
            with storage.session() as session:
                session.save(sample("id"))
        (path,) = [*(tmp_path / "s").glob("2*/*/*/*.json"), *(tmp_path / "s/journal").glob("*.jsonl")]
        made = {**sample("id"), "_meta": {"instant": 1, "revision": 1}, **odd}
        if hot:
            path.write_bytes(seal_file(made, lambda record: json.dumps(record, indent=2).encode() + b"\n"))
        else:
            line = seal_line(made, lambda record: json.dumps(record, separators=(",", ":")).encode())
            path.write_bytes(path.read_bytes().splitlines(keepends=True)[0] + line + b"\n")
        with pytest.raises(DamageError, match=path.name):
            list(storage.iter())
        assert any(path.name in problem.place for problem in storage.check(read_data=True))


def test_a_journal_that_claims_endless_lines_costs_nothing(tmp_path: Path) -> None:
    """The number of lines in the end line is compared with what is there before anything is made of it."""
    with PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage:
        storage.save_batch([sample("a"), sample("b")])
        (path,) = (tmp_path / "s/journal").iterdir()
        *lines, end = path.read_bytes().splitlines(keepends=True)
        forged = end.replace(b'"end":2', b'"end":%d' % 10**15).rpartition(b',"crc32":')[0] + b',"crc32":'
        body = b"".join(lines) + forged
        path.write_bytes(b"%b%d}\n" % (body, crc32(body)))
        storage.close()
    with (
        PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage,
        pytest.raises(DamageError, match=path.name),
    ):
        storage.count()


@pytest.mark.parametrize("renewed", [True, False], ids=["no index", "with its index"])
@pytest.mark.parametrize("at", [0, -1], ids=["the header", "the end line"])
def test_a_journal_that_nests_without_end_is_damage(tmp_path: Path, at: int, *, renewed: bool) -> None:
    """Endless nesting in a line whose checksum fits is damage with its place, also while the log is made."""
    with PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage:
        storage.save_batch([sample("a"), sample("b")])
    (path,) = (tmp_path / "s/journal").iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    kept = lines[at].rpartition(b',"crc32":')[0]
    lines[at] = b'%b,"odd":%b,"crc32":' % (kept, b"[" * 100_000)
    body = lines[0] if at == 0 else b"".join(lines)
    lines[at] += b"%d}\n" % (crc32(body) if at else crc32(body.rpartition(b',"crc32":')[0]))
    path.write_bytes(b"".join(lines))
    if renewed:
        shutil.rmtree(tmp_path / "s/index")
    with PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage:
        with pytest.raises(DamageError, match=path.name):
            list(storage.iter())
        assert any(path.name in problem.place for problem in storage.check(read_data=True))

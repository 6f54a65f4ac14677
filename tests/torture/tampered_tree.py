"""A tree whose files somebody has tampered with, also with right checksums: what its answers may be."""

from __future__ import annotations

import json
import os
from binascii import crc32
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

import orjson

from moai_patterns import PatternStorage
from moai_patterns.backends.filesystem.sealed import seal_file, seal_line
from moai_patterns.errors import PatternError
from samples import sample
from torture.hostile_texts import altered
from torture.hostile_values import equal
from torture.promise import Tally, must
from torture.watch import Watch

Record = dict[str, Any]
_IDS = ("hot", "old-0", "old-1", "old-2", "batch-1", "batch-2", "unknown")
_QUESTIONS: dict[str, Callable[[PatternStorage], Any]] = {
    **{f"load {name}": (lambda storage, i=name: storage.load(i)) for name in _IDS},  # type: ignore[misc]
    "all": lambda storage: list(storage.iter()),
    "arrival": lambda storage: list(storage.iter(order="arrival")),
    "count": lambda storage: storage.count(),
    "stats": lambda storage: storage.stats()["count"],
    "check": lambda storage: storage.check(read_data=True),
}
Answers = dict[str, Any]
"""What was answered by the name of the question; what was refused is missing."""


@dataclass
class _Change:
    """What a file that was tampered with says now, in contrast to damage, which nothing says.

    `records` holds, by id, what may come out for it; `free` are ids that may be there or not, for the file
    also tells what is removed; `counted` says whether it tells numbers of records.
    """

    records: dict[str, list[Record]] = field(default_factory=dict)
    free: frozenset[str] = frozenset()
    counted: bool = False


class TamperedTree:
    """A small tree, one file of which is altered at a time.

    Parameters:
        path: where it is made.
        watch: times the questions.
        tally: hears of what became of them.
    """

    def __init__(self, path: Path, watch: Watch, tally: Tally) -> None:
        self._path, self._watch, self._tally = path, watch, tally
        self._pristine: dict[str, bytes] = {}
        self._sound: Answers = {}

    def files(self, number: int, choose: Random) -> None:
        """Put other values into a file: each question is answered as before, or as it says, or refused."""
        if not self._pristine:
            self._fill()
        name = choose.choice(sorted(self._pristine))
        before = self._pristine[name]
        after, sealed = _altered_file(before, choose)
        self._put(name, after)
        if choose.random() < 0.5:
            self._watch.remove(self._path / "index")
        answers = self._answers(len(after))
        _compare(answers, self._sound, _change(before, after) if sealed else _Change())
        self._tally.add("refused" if len(answers) < len(_QUESTIONS) else "taken")
        if choose.random() < 0.05:
            self._watch.remove(self._path)
            self._fill()
        else:
            self._put(name, before)
            self._watch.remove(self._path / "index")  # it knows of what was there in between
            with self._opened() as storage:
                must(equal(list(storage.iter()), self._sound["all"]), "the tree does not come back")

    def _put(self, name: str, data: bytes) -> None:
        """Write a file over, dated as it was: hot files are dated by their arrival."""
        path = self._path / name
        modified = path.stat().st_mtime_ns
        path.write_bytes(data)
        os.utime(path, ns=(modified, modified))

    def _fill(self) -> None:
        with self._opened() as storage:
            storage.save_many(sample(f"old-{n}", "2025-11-01") for n in range(3))
            storage.compress_old_files()
            storage.save_batch([sample("batch-1"), sample("batch-2")])
            storage.delete("batch-1")
            storage.save(sample("hot"))
        found = [path for path in self._path.rglob("*.json*") if path.suffix != ".gz"]
        self._pristine = {str(path.relative_to(self._path)): path.read_bytes() for path in found}
        self._sound = self._answers(0)
        must(len(self._sound) == len(_QUESTIONS) and not self._sound["check"], "the tree is not sound")

    def _opened(self) -> PatternStorage:
        return PatternStorage("filesystem", self._path, maintenance_interval=None)

    def _answers(self, size: int) -> Answers:
        """Ask everything, each time of a store that is opened anew; one of its files has so many bytes."""
        answers = {}
        for name, ask in _QUESTIONS.items():
            try:
                with self._watch.timed("opening a tampered store", self._opened, size=size) as storage:
                    answers[name] = self._watch.timed(
                        "a question to a tampered store", partial(ask, storage), size=size
                    )
            except PatternError:
                continue
        return answers


def _change(before: bytes, after: bytes) -> _Change:
    """Return what the new content of a file says."""
    told = [*_values(before), *_values(after)]
    records: dict[str, list[Record]] = {}
    for value in told:
        if isinstance(value.get("pattern_id"), str):
            known = {key: member for key, member in value.items() if key != "_meta"}
            records.setdefault(value["pattern_id"], []).append(known)
    free: set[str] = set()
    counted = any("layout" in value for value in told)
    if counted:
        free |= {"old-0", "old-1", "old-2", "batch-2"}
    if any("journal" in value for value in told):
        free |= {name for name in _IDS if any(name in json.dumps(value.get("remove")) for value in told)}
        records.setdefault("batch-1", []).append(sample("batch-1"))
    return _Change(records, frozenset(free), counted)


def _values(raw: bytes) -> list[Record]:
    found = []
    for text in [raw] if raw.startswith(b"{\n") else raw.splitlines():
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        found += [value] if isinstance(value, dict) else []
    return found


def _compare(answers: Answers, sound: Answers, change: _Change) -> None:
    """Raise unless the answers are the sound ones, but for what the file says now."""
    touched = change.records.keys() | change.free
    known = {record["pattern_id"]: record for record in sound["all"]}
    allowed = {name: [*change.records.get(name, ()), *filter(None, [known.get(name)])] for name in touched}
    for name in _IDS:
        if (asked := f"load {name}") in answers and name in touched:
            found = answers[asked]
            must(found is None or _is_one(found, allowed[name]), f"{asked}: {found!r}")
        elif asked in answers:
            must(equal(answers[asked], sound[asked]), f"{asked}: {answers[asked]!r}")
    for asked in ("all", "arrival"):
        if asked in answers:
            _compare_all(asked, answers[asked], sound[asked], allowed)
    _compare_counts(answers, sound, change, len(touched))
    _must_be_there(answers, change)


def _compare_all(
    asked: str, found: list[Record], sound: list[Record], allowed: dict[str, list[Record]]
) -> None:
    rest, wanted = ([one for one in some if one["pattern_id"] not in allowed] for some in (found, sound))
    must(equal(rest, wanted), f"{asked}: {rest!r}")
    others = [one for one in found if one["pattern_id"] in allowed]
    must(len({one["pattern_id"] for one in others}) == len(others), f"{asked}: one comes twice: {others!r}")
    for one in others:
        must(_is_one(one, allowed[one["pattern_id"]]), f"{asked}: {one!r}")


def _compare_counts(answers: Answers, sound: Answers, change: _Change, touched: int) -> None:
    for asked in ("count", "stats"):
        if asked in answers and "all" in answers:
            right = answers[asked] == len(answers["all"]) or (change.counted and _is_named(answers))
            must(right, f"{asked}: {answers[asked]} of {len(answers['all'])}")
        elif asked in answers:
            right = abs(answers[asked] - sound[asked]) <= touched or change.counted
            must(right, f"{asked}: {answers[asked]}")


def _must_be_there(answers: Answers, change: _Change) -> None:
    """Raise when records that a file tells of are neither there, under whatever id, nor is anything named."""
    told = change.records.keys() - change.free - {"batch-1"}
    if told and not _is_named(answers):
        there = {one["pattern_id"] for one in answers["all"]}
        must(bool(told & there), f"nothing of {told} is there, and nothing is named")


def _is_named(answers: Answers) -> bool:
    """Tell whether anything was refused, or found by the check."""
    return len(answers) < len(_QUESTIONS) or bool(answers["check"])


def _is_one(found: Record, allowed: list[Record]) -> bool:
    return any(equal(found, one) for one in allowed)


def _altered_file(raw: bytes, choose: Random) -> tuple[bytes, bool]:
    """Alter a file, and mostly make its checksums right again: whoever means no good knows how to, too.

    Also tells whether it did.
    """
    honest = choose.random() < 0.3
    if raw.startswith(b"{\n"):
        made = altered(raw, choose)
        return made if honest else _sealed(made, lambda record: seal_file(record, _readable)), not honest
    lines = raw.splitlines()
    at = choose.randrange(len(lines))
    lines[at] = altered(lines[at], choose)
    if not honest and raw.startswith(b'{"layout":'):
        return _sealed(lines[0], _manifest), True
    if not honest and at == 0:
        lines[0] = _sealed(lines[0], _header)
    elif not honest and at < len(lines) - 1:
        lines[at] = _sealed(lines[at], lambda record: seal_line(record, _compact))
    body = b"\n".join(lines)
    before, mark, _ = body.rpartition(b',"crc32":')
    if honest or not mark or at == len(lines) - 1:
        return body + b"\n", False
    return b"%b%b%d}\n" % (before, mark, crc32(before + mark)), True


def _sealed(made: bytes, seal: Callable[[Any], bytes]) -> bytes:
    """Return a text with its checksum anew, or as it is when it is no JSON that could have one."""
    try:
        value = json.loads(made)
        if isinstance(value.get("_meta"), dict):
            value["_meta"].pop("crc32", None)
        return seal(value)
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError):
        return made


def _manifest(value: Any) -> bytes:
    value.pop("checksum", None)
    body = orjson.dumps(value)
    return b'%b,"checksum":"%b"}\n' % (body[:-1], blake2b(body, digest_size=16).hexdigest().encode())


def _header(value: Any) -> bytes:
    value.pop("crc32", None)
    body = orjson.dumps(value)[:-1]
    return b'%b,"crc32":%d}' % (body, crc32(body))


def _readable(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _compact(value: Any) -> bytes:
    return orjson.dumps(value)

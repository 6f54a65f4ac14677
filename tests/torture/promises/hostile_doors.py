"""Hostile text at every door through which text comes in: imports, hooks, spools, and the files of a tree."""

from __future__ import annotations

import io
import json
from binascii import crc32
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

import orjson

from moai_patterns import PatternStorage
from moai_patterns.backends.filesystem.sealed import seal_file, seal_line
from moai_patterns.collect import hook
from moai_patterns.collect.importing import import_paths
from moai_patterns.errors import PatternError, ValidationError
from moai_patterns.jsonlines import read
from samples import sample
from torture.hostile_texts import altered, line, payload, record, waiting
from torture.promise import BrokenPromiseError, Promise, Tally
from torture.watch import Watch

_LARGE = 50_000
_NOW = 1_764_378_000_000_000
# A case that goes through a whole store does a hundred times as much as one that is refused at the door.
_WHOLE = 1_000_000


class _Doors:
    """The doors, and the stores behind them."""

    def __init__(self, watch: Watch, tally: Tally) -> None:
        self.watch, self.tally = watch, tally
        self.memory = PatternStorage("memory")
        self.tree = watch.place / "tree"
        self.pristine: dict[str, bytes] = {}
        imports = (self.export, self.export, self.recording, self.recording)
        self.all = (*imports, self.payload, self.spool, self.files, self.files)

    def export(self, number: int, choose: Random) -> None:
        """Read lines of an export, and save what is a record."""
        raw = b"\n".join(record(choose) for _ in range(choose.randrange(1, 4)))
        size = len(raw) if len(raw) > _LARGE else 0

        def act() -> list[Any]:
            return list(read(io.BytesIO(raw), "export"))

        try:
            found = self.watch.timed(number, "an export", act, size)
            self.memory.save_many(found)
            self.tally.add("taken")
        except ValidationError:
            self.tally.add("refused")

    def recording(self, number: int, choose: Random) -> None:
        """Import a transcript, or a log of payloads."""
        make = choose.choice((line, payload))
        raw = b"\n".join(make(choose) for _ in range(choose.randrange(1, 5)))
        path = self.watch.place / choose.choice(("a.jsonl", "a.json", "a.log"))
        path.write_bytes(raw)
        with PatternStorage("memory") as storage:
            summary = self.watch.timed(
                number, "an import", lambda: import_paths([path], storage, key=b"k" * 32), _WHOLE + len(raw)
            )
            again = import_paths([path], storage, key=b"k" * 32)
            if again.added or again.revised:
                raise BrokenPromiseError(f"case {number}: imported twice it is not the same: {again}")
            self.tally.add("taken" if summary.added else "refused")
        path.unlink()

    def payload(self, number: int, choose: Random) -> None:
        """Hand a payload to a hook: it is kept, as what it is or as what it is not."""
        raw = payload(choose)
        target = choose.choice((f"file:{self.watch.place}/hook", f"sqlite:{self.watch.place}/hook.db"))
        environ = {"HOME": str(self.watch.place / "home"), "TMPDIR": str(self.watch.place / "tmp")}
        arguments = ["claude-code", "--store", target]
        self.watch.timed(
            number,
            "a hook",
            lambda: hook.capture(raw, len(raw), arguments=arguments, environ=environ, now=_NOW + number),
            _WHOLE + len(raw),
        )
        noted = [path for path in self.watch.place.glob("hook*") if path.name.endswith((".spool", ".log"))]
        if noted:
            raise BrokenPromiseError(
                f"case {number}: {raw[:300]!r} is not stored: {noted[0].read_bytes()[-600:]!r}"
            )
        self.tally.add("taken")

    def spool(self, number: int, choose: Random) -> None:
        """Leave lines in a spool: what is valid goes in, what is not is set aside, and saving goes on."""
        place = self.watch.place / "spooled"
        raw = b"\n".join(waiting(choose) for _ in range(choose.randrange(1, 4))) + b"\n"
        place.with_name("spooled.spool").write_bytes(raw)
        with PatternStorage("filesystem", place, maintenance_interval=None) as storage:
            for _ in range(6):
                storage.save(sample(f"own-{number}"))
            if storage.load(f"own-{number}") is None or list(storage.iter()) == []:
                raise BrokenPromiseError(f"case {number}: what was saved is not there")
            left = storage.stats()["spool"]
            if left["waiting"]:
                raise BrokenPromiseError(f"case {number}: it waits for ever: {raw[:300]!r}: {left}")
        self.tally.add("refused" if left["quarantined"] else "taken")
        for path in self.watch.place.glob("spooled*"):
            self.watch.remove(path)

    def files(self, number: int, choose: Random) -> None:
        """Put other values into the files of a tree; each question is answered, or refused with a place."""
        if not self.pristine:
            self._fill()
        name = choose.choice(sorted(self.pristine))
        (self.tree / name).write_bytes(_altered_file(self.pristine[name], choose))
        if choose.random() < 0.5:
            self.watch.remove(self.tree / "index")
        refused = 0
        for ask in _QUESTIONS:
            try:
                with PatternStorage("filesystem", self.tree, maintenance_interval=None) as storage:
                    ask(storage)
            except PatternError:
                refused += 1
        self.tally.add("refused" if refused else "taken")
        if choose.random() < 0.05:
            self.watch.remove(self.tree)
            self._fill()
        else:
            (self.tree / name).write_bytes(self.pristine[name])

    def _fill(self) -> None:
        with PatternStorage("filesystem", self.tree, maintenance_interval=None) as storage:
            storage.save_many(sample(f"old-{n}", "2025-11-01") for n in range(3))
            storage.compress_old_files()
            storage.save_batch([sample("batch-1"), sample("batch-2")])
            storage.delete("batch-1")
            storage.save(sample("hot"))
        found = [path for path in self.tree.rglob("*.json*") if path.suffix != ".gz"]
        self.pristine = {str(path.relative_to(self.tree)): path.read_bytes() for path in found}


_QUESTIONS: tuple[Callable[[PatternStorage], Any], ...] = (
    lambda storage: [storage.load(name) for name in ("hot", "old-1", "batch-2", "unknown")],
    lambda storage: list(storage.iter()),
    lambda storage: storage.count(),
    lambda storage: storage.stats(),
    lambda storage: storage.check(read_data=True),
    lambda storage: list(storage.iter(order="arrival")),
)


def _altered_file(raw: bytes, choose: Random) -> bytes:
    """Alter a file, and mostly make its checksums right again: whoever means no good knows how to, too."""
    honest = choose.random() < 0.3
    if raw.startswith(b"{\n"):
        made = altered(raw, choose)
        return made if honest else _sealed(made, lambda record: seal_file(record, _readable))
    lines = raw.splitlines()
    at = choose.randrange(len(lines))
    lines[at] = altered(lines[at], choose)
    if not honest and raw.startswith(b'{"layout":'):
        return _sealed(lines[0], _manifest)
    if not honest and 0 < at < len(lines) - 1:
        lines[at] = _sealed(lines[at], lambda record: seal_line(record, _compact))
    body = b"\n".join(lines)
    before, mark, _ = body.rpartition(b',"crc32":')
    if honest or not mark or at == len(lines) - 1:
        return body + b"\n"
    return b"%b%b%d}\n" % (before, mark, crc32(before + mark))


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


def _readable(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _compact(value: Any) -> bytes:
    return orjson.dumps(value)


def run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Knock at one door after the other."""
    with Watch(place, tally) as watch:
        doors = _Doors(watch, tally)
        for at, number in enumerate(numbers):
            tally.fired()
            act = Random(f"door {number}").choice(doors.all)
            try:
                with watch.case(number):
                    act(number, Random(number))
            except BrokenPromiseError:
                raise
            except Exception as error:
                raise BrokenPromiseError(f"case {number}: {act.__name__}: {error!r}") from error
            if at % 500 == 499:
                watch.must_be_quiet()
                watch.clear()
                doors = _Doors(watch, tally)
        watch.must_be_quiet()


PROMISES = (
    Promise(
        name="hostile-doors",
        sentence="hostile JSON through exports, transcripts, payloads, hooks, spools and files of a tree: "
        "stored, or named; nothing lost, nothing outside touched",
        cases=lambda: 120_000,
        run=run,
        fast=2_500,
        chunk=7_000,
    ),
)

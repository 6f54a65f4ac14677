"""Hostile text at every door through which text comes in: imports, hooks, spools, and the files of a tree."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from moai_patterns import PatternSchema, PatternStorage, spool
from moai_patterns.cli.storing import store_lines
from moai_patterns.collect import hook
from moai_patterns.collect.importing import Summary, import_paths
from moai_patterns.errors import ValidationError
from samples import sample
from torture import lossless
from torture.hostile_texts import line, payload, record, waiting
from torture.hostile_values import equal
from torture.promise import BrokenPromiseError, Promise, Tally, must
from torture.stopwatch import Stopwatch
from torture.tampered_tree import TamperedTree
from torture.watch import Watch

_NOW = 1_764_378_000_000_000
_KEY = b"k" * 32
# The scheme of each backend in the name of a store, and the end of its path.
_STORES = {"filesystem": ("file", ""), "sqlite": ("sqlite", ".db")}


class _Export(io.BytesIO):
    """A file of exported records."""

    name = "export.jsonl"


class _Doors:
    """The doors, and the stores behind them."""

    def __init__(self, watch: Watch, tally: Tally) -> None:
        self.watch, self.tally = watch, tally
        self.tree = TamperedTree(watch.place / "tree", watch, tally)
        self._known: dict[str, set[str]] = {}
        imports = (self.export, self.export, self.recording, self.recording)
        self.all = (*imports, self.payload, self.spool, self.tree.files, self.tree.files)

    def export(self, number: int, choose: Random) -> None:
        """Import lines of an export: all of them, or none and the first bad one is named."""
        raw = b"\n".join(record(choose) for _ in range(choose.randrange(1, 4)))
        placed = [(at, line) for at, line in enumerate(raw.split(b"\n"), start=1) if line.strip()]
        bad, wanted = _read(placed)
        with PatternStorage("memory") as storage:
            try:
                saved = self.watch.timed(
                    "an import of an export", lambda: store_lines(storage, _Export(raw)), size=len(raw)
                )
            except ValidationError as error:
                must(str(error).startswith(f"export.jsonl, line {bad}:"), f"line {bad} is not named: {error}")
                must(storage.count() == 0, f"a part is stored: {raw[:300]!r}")
                self.tally.add("refused")
                return
            must(bad is None, f"line {bad} is taken: {raw[:300]!r}")
            must(sum(saved) == len(placed), f"{saved} for {len(placed)} lines")
            found = {one["pattern_id"]: one for one in storage.iter()}
            must(equal(found, wanted), f"{raw[:300]!r} became {found!r}")
        self.tally.add("taken")

    def recording(self, number: int, choose: Random) -> None:
        """Import a transcript, or a log of payloads: each line is carried by a record, or named."""
        make = choose.choice((line, payload))
        raw = b"\n".join(make(choose) for _ in range(choose.randrange(1, 5)))
        path = self.watch.place / choose.choice(("a.jsonl", "a.json", "a.log"))
        path.write_bytes(raw)
        with PatternStorage("memory") as storage:

            def act() -> Summary:
                return import_paths([path], storage, key=_KEY)

            summary = self.watch.timed("an import", act, size=len(raw))
            must(storage.count() == summary.added, f"{storage.count()} records, told are {summary}")
            if summary.ignored:
                must(not summary.added and not _is_recording(raw), f"{raw[:300]!r} is ignored")
            else:
                named = {skipped.line for skipped in summary.skipped}
                lossless.recording(raw, storage.iter(), named, _KEY)
            again = self.watch.timed("an import again", act, size=len(raw))
            must(not again.added and not again.revised, f"imported twice it is not the same: {again}")
            self.tally.add("taken" if summary.added else "refused")
        path.unlink()

    def payload(self, number: int, choose: Random) -> None:
        """Hand a payload to a hook: it is kept, as what it is or as what it is not."""
        raw = payload(choose)
        backend = choose.choice(sorted(_STORES))
        scheme, suffix = _STORES[backend]
        store = self.watch.place / f"hook{suffix}"
        environ = {"HOME": str(self.watch.place / "home"), "TMPDIR": str(self.watch.place / "tmp")}
        arguments = ["claude-code", "--store", f"{scheme}:{store}"]

        def act() -> None:
            hook.capture(raw, len(raw), arguments=arguments, environ=environ, now=_NOW + number)

        self.watch.timed("a hook", act, size=len(raw))
        noted = [path for path in self.watch.place.glob("hook*") if path.name.endswith((".spool", ".log"))]
        must(not noted, f"{raw[:300]!r} is not stored: {noted and noted[0].read_bytes()[-600:]!r}")
        with PatternStorage(backend, store, maintenance_interval=None) as storage:
            stored = {one["pattern_id"]: one for one in storage.iter()}
        known = self._known.setdefault(backend, set())
        must(known <= stored.keys(), "what was stored before is gone")
        key = store.with_name(store.name + ".key")
        fresh = [stored[identity] for identity in stored.keys() - known]
        lossless.payload(raw, fresh, key.read_bytes() if key.exists() else None)
        known.update(stored)
        self.tally.add("taken")

    def spool(self, number: int, choose: Random) -> None:
        """Leave lines in a spool: each is stored or set aside, and saving goes on."""
        raw = b"\n".join(waiting(choose) for _ in range(choose.randrange(1, 4))) + b"\n"
        backend = choose.choice(sorted(_STORES))
        place = self.watch.place / f"spooled{_STORES[backend][1]}"
        place.with_name(f"{place.name}.spool").write_bytes(raw)
        storage = self.watch.timed(
            "opening with a spool",
            lambda: PatternStorage(backend, place, maintenance_interval=None),
            size=len(raw),
        )
        with storage:
            for _ in range(6):
                self.watch.timed(
                    "a save with a spool", lambda: storage.save(sample(f"own-{number}")), size=len(raw)
                )
            left = storage.stats()["spool"]
            must(not left["waiting"], f"it waits for ever: {raw[:300]!r}: {left}")
            aside = place.with_name(f"{place.name}.quarantine")
            _must_be_drained(raw, storage, f"own-{number}", aside.read_bytes() if aside.exists() else b"")
        self.tally.add("refused" if left["quarantined"] else "taken")
        for path in self.watch.place.glob("spooled*"):
            self.watch.remove(path)


def _must_be_drained(raw: bytes, storage: PatternStorage, own: str, quarantine: bytes) -> None:
    """Raise unless each line of the spool is in the store, or in the quarantine, and nothing else is."""
    aside = [json.loads(one) for one in quarantine.splitlines()]
    whole = {one["line"].rstrip("\n") for one in aside if "line" in one}
    parts = {lossless.canonical(one["records"]) for one in aside if "records" in one}
    ids, missing = {own}, 0
    lines = list(filter(bytes.strip, raw.split(b"\n")))
    for one in lines:
        found = _waiting_in(one)
        if isinstance(found, list) and found and all(_has(storage, each) for each in found):
            ids |= {each["pattern_id"] for each in found}
            continue
        missing += 1
        kept = one.decode("utf-8", "replace") in whole
        must(kept or lossless.canonical(found) in parts, f"lost: {one[:300]!r}")
    # A line may be set aside although another one has brought the same record in.
    told = f"{len(aside)} set aside, {missing} of {len(lines)} not stored: {raw[:300]!r}"
    must(missing <= len(aside) <= len(lines), told)
    must({each["pattern_id"] for each in storage.iter()} == ids, f"stored are others than {ids}")


def _read(placed: list[tuple[int, bytes]]) -> tuple[int | None, dict[str, Any]]:
    """Return the number of the line that must be named, or None, and what must be stored by its id."""
    values = []
    for at, one in placed:
        try:
            values.append((at, lossless.strict(one)))
        except ValueError:
            return at, {}
        if not isinstance(values[-1][1], dict):
            return at, {}
    for at, value in values:
        if not PatternSchema.validate_pattern(value):
            return at, {}
    return None, {value["pattern_id"]: value for _, value in values}


def _is_recording(raw: bytes) -> bool:
    """Tell whether a line is a payload or of a transcript, where the beginning of the file is no void."""
    for _, one in lossless.lines(raw):
        try:
            value = lossless.strict(one)
        except ValueError:
            continue
        if isinstance(value, dict) and b"{" in raw[: 1 << 16]:
            told = isinstance(value.get("type"), str) and isinstance(value.get("sessionId"), str)
            if told or isinstance(value.get("hook_event_name"), str):
                return True
    return False


def _waiting_in(one: bytes) -> Any:
    """Return what stands in the place of the records of a spool's line; None where it is no such line."""
    try:
        return json.loads(one)["records"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _has(storage: PatternStorage, record: Any) -> bool:
    """Tell whether a value is one of the revisions of an id."""
    if not isinstance(record, dict) or not isinstance(record.get("pattern_id"), str):
        return False
    revisions = storage.backend.history(record["pattern_id"])  # type: ignore[attr-defined]
    return any(equal({**one, "_meta": None}, {**record, "_meta": None}) for one in revisions)


def _warm(place: Path) -> None:
    """Go through each door once, so that no case has to wait for a module to be loaded."""
    log = place / "warm.jsonl"
    log.write_text('{"hook_event_name": "Stop", "prompt": "sk-ant-api03-' + "A" * 93 + 'AA"}')
    with PatternStorage("memory") as storage:
        import_paths([log], storage, key=_KEY)
        store_lines(storage, _Export(json.dumps(sample()).encode()))
        PatternSchema.errors({})
    meta = {"instant": _NOW, "revision": 1, "recorded_at": _NOW, "operation": "save"}
    for backend, (scheme, suffix) in _STORES.items():
        store = place / f"warm{suffix}"
        arguments = ["claude-code", "--store", f"{scheme}:{store}"]
        hook.capture(log.read_bytes(), 1, arguments=arguments, environ={"HOME": str(place)}, now=_NOW)
        for note in ("a", "b"):  # the second one is in conflict with the first
            spool.put((backend, str(store)), [{**sample(note=note), "_meta": meta}], {})
        with PatternStorage(backend, store, maintenance_interval=None) as storage:
            storage.save(sample("own"))
    for path in place.glob("warm*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Knock at one door after the other."""
    with Watch(place, Stopwatch("hostile-doors", len(numbers), tally)) as watch:
        watch.resting(lambda: _warm(watch.place))
        doors = _Doors(watch, tally)
        for at, number in enumerate(numbers):
            tally.fired()
            act = Random(f"door {number}").choice(doors.all)
            try:
                with watch.case(number):
                    act(number, Random(number))
            except BrokenPromiseError as error:
                raise BrokenPromiseError(f"case {number}: {act.__name__}: {error}") from error
            except Exception as error:
                raise BrokenPromiseError(f"case {number}: {act.__name__}: {error!r}") from error
            if at % 500 == 499:
                watch.must_be_quiet(number)
                watch.clear()
                doors = _Doors(watch, tally)
        watch.must_be_quiet(numbers[-1])


PROMISES = (
    Promise(
        name="hostile-doors",
        sentence="hostile JSON through exports, transcripts, payloads, hooks and spools: each line is stored "
        "whole, set aside or named; in files of a tree: answers are as before or as the file says, or "
        "refused; nothing outside touched; each import, capture, drain, opening and question takes at most "
        "50 ms of CPU per 50 KB, and waits 100 ms at most",
        cases=lambda: 120_000,
        run=run,
        fast=1_400,
        chunk=7_000,
    ),
)

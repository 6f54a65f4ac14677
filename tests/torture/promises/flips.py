"""Damage to one file at a time: named, or without consequence, and never a wrong answer."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from moai_patterns.backends.base import BackendBase, Batch, Problem
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.errors import LayoutError, PatternError
from moai_patterns.query import Query, Record
from torture.damage import Damage, Damages
from torture.promise import BrokenPromiseError, Promise, Tally
from torture.small_store import IDS, QUESTIONS, Answers, SmallStore, small_database, small_log, small_tree

_ROW = re.compile(r": (?:patterns|history) row \d+ \(id '(id-\d\d)'\)$")
_LOG_HEADER, _FRAME = 32, 24 + 4096
# What SQLite answers out of entries of an index, which it compares with no row.
_FIGURES = ("count", "count of a kind", "count of a day", "count of a tag", "days")
# What stands for an answer that was not given, but refused with its place.
_REFUSED = object()


def _is_derived(name: str) -> bool:
    """Tell whether a file of a tree only repeats what others say: then no answer may be missing."""
    return name.startswith("index") or name.endswith(".idx")


def _holders(store: SmallStore, name: str) -> set[str]:
    """Return the ids of which a file of a tree holds something."""
    data = store.files[name].data
    text = gzip.decompress(data) if name.endswith(".gz") else data
    return {identity for identity in IDS if f'"{identity}"'.encode() in text}


def _break(damage: Damage, sentence: str) -> BrokenPromiseError:
    return BrokenPromiseError(f"{damage}: {sentence}")


def _is_named(damage: Damage, sentence: str) -> bool:
    """Tell whether a sentence names the file, or of the change log, which goes as a whole, its directory."""
    directory, _, name = damage.file.rpartition("/")
    return name.removesuffix("-wal") in sentence or (directory == "index" and "/index" in sentence)


class Judge:
    """Looks at a damaged store: what `check` says, and whether each answer is the right one or refused."""

    def __init__(self, store: SmallStore, tally: Tally) -> None:
        self.store = store
        self._tally = tally

    def look(self, damage: Damage) -> tuple[list[Problem], dict[str, Any]]:
        """Return the findings, and the answers, of which some may be `_REFUSED`."""
        try:
            backend = self.store.opened()
        except PatternError as error:
            self._must_name(damage, str(error))
            refused = dict.fromkeys(QUESTIONS, _REFUSED)
            return [Problem(str(error), type(error).__name__)], refused
        try:
            problems = self._checked(damage, backend)
            return problems, {name: self._answer(damage, backend, name) for name in QUESTIONS}
        finally:
            backend.close()

    def _checked(self, damage: Damage, backend: BackendBase) -> list[Problem]:
        try:
            return backend.check(read_data=True)
        except PatternError as error:
            self._must_name(damage, str(error))
            return [Problem(str(error), type(error).__name__)]
        except Exception as error:
            raise _break(damage, f"check raised {error!r}") from error

    def _answer(self, damage: Damage, backend: BackendBase, name: str) -> Any:
        try:
            return QUESTIONS[name](backend)
        except PatternError as error:
            self._must_name(damage, f"{error}")
            return _REFUSED
        except Exception as error:
            raise _break(damage, f"{name!r} raised {error!r}") from error

    def _must_name(self, damage: Damage, sentence: str) -> None:
        if not _is_named(damage, sentence):
            raise _break(damage, f"the place is not named: {sentence}")

    def count(self, damage: Damage, problems: list[Problem], answers: dict[str, Any]) -> None:
        """Count the case; a refusal that `check` knows nothing of is none that helps."""
        refused = sum(answer is _REFUSED for answer in answers.values())
        if refused and not problems:
            raise _break(damage, f"{refused} answers are refused and check finds nothing")
        if problems and not any(_is_named(damage, f"{found.place}: {found.sentence}") for found in problems):
            raise _break(damage, f"check names another place: {problems[0]}")
        self._tally.fired()
        self._tally.add("named by check" if problems else "without consequence")
        self._tally.add("answers refused", refused)
        self._tally.add("answers", len(answers) - refused)


def _judge_tree(judge: Judge, damage: Damage, right: Answers, *, with_log: bool) -> None:
    problems, answers = judge.look(damage)
    derived = _is_derived(damage.file)
    for name, answer in answers.items():
        if answer is not _REFUSED and answer != right[name]:
            raise _break(damage, f"{name!r} is answered {answer!r}, not {right[name]!r}")
    if derived and not _is_of_another_layout(problems) and _REFUSED in answers.values():
        refused = [name for name, answer in answers.items() if answer is _REFUSED]
        raise _break(damage, f"nothing is lost, and yet these are refused: {refused}")
    if not derived and (with_log or "/journal/" not in f"/{damage.file}"):
        holders = _holders(judge.store, damage.file)
        for identity in IDS:
            if answers[f"get {identity}"] is _REFUSED and identity not in holders:
                raise _break(damage, f"it holds nothing of {identity}, which cannot be loaded")
    judge.count(damage, problems, answers)


def _power_cuts(store: SmallStore) -> dict[tuple[str, bytes], Answers]:
    """Return the answers by name of a session's journal and what is left of it, at each of its line ends.

    Without the change log, as after a start of the machine, a journal that has lost nothing but its end
    is what a power cut leaves. What is to be answered then is told by a store in memory.
    """
    found: dict[tuple[str, bytes], Answers] = {}
    records = sorted(store.right["all revisions"], key=lambda record: record["_meta"]["seq"])
    for file, stored in store.files.items():
        lines = stored.data.splitlines(keepends=True)
        for end in range(1, len(lines) + 1) if lines[0].startswith(b'{"session":') else ():
            lost = [json.loads(line)["_meta"]["seq"] for line in lines[end:] if b'"_meta"' in line]
            memory = _InMemory([record for record in records if record["_meta"]["seq"] not in lost])
            found[file, b"".join(lines[:end])] = {name: ask(memory) for name, ask in QUESTIONS.items()}
    return found


class _InMemory(MemoryBackend):
    """Records in memory, in their order of arrival, with the numbers that they had elsewhere."""

    def __init__(self, records: Sequence[Record]) -> None:
        super().__init__()
        self._numbers = [record["_meta"]["seq"] for record in records]
        self.write(Batch(records))

    def scan(self, query: Query) -> Iterator[Record]:
        for record in super().scan(query):
            record["_meta"]["seq"] = self._numbers[record["_meta"]["seq"] - 1]
            yield record


def _is_of_another_layout(problems: list[Problem]) -> bool:
    return any(problem.sentence == LayoutError.__name__ for problem in problems)


def _run_tree(numbers: Sequence[int], place: Path, tally: Tally, *, with_log: bool) -> None:
    store = small_tree(place / "tree")
    judge = Judge(store, tally)
    damages = Damages(store, _every if with_log else _is_kept_without_log)
    right = store.right  # asked before anything is damaged
    cuts = {} if with_log else _power_cuts(store)
    for number in numbers:
        damage = damages[number]
        if damage.data == store.files[damage.file].data:
            tally.add("no change")
            continue
        if not with_log:
            shutil.rmtree(store.root / "index")
        store.put(damage.file, damage.data)
        whole = damage.data[: damage.data.rfind(b"\n") + 1]
        cut = cuts.get((damage.file, whole))
        tally.add("taken for the end of a session", cut is not None)
        _judge_tree(judge, damage, cut or right, with_log=with_log)
        store.restore(damage.file)
        store.root.joinpath("index").mkdir(exist_ok=True)
        store.restore_directory("index")
    _must_be_unchanged(store)


def _every(name: str) -> bool:
    return True


def _is_kept_without_log(name: str) -> bool:
    return not name.startswith("index/")


def _must_be_unchanged(store: SmallStore) -> None:
    if changed := store.changed():
        raise BrokenPromiseError(f"questions have changed {changed}")


def _judge_database(judge: Judge, damage: Damage) -> None:
    """The same for SQLite, which has no checksums of its pages: see docs/layout-sqlite.md.

    Where `check` finds fault, an answer may be too short; then it is counted. Figures, which come from
    entries of an index alone, may be others.
    """
    problems, answers = judge.look(damage)
    right = judge.store.right
    for name, answer in answers.items():
        if answer is _REFUSED or answer == right[name]:
            continue
        if not problems:
            raise _break(damage, f"unnoticed: {name!r} is answered {answer!r}, not {right[name]!r}")
        if _is_part(_unnumbered(answer), _unnumbered(right[name])):
            judge._tally.add("too short, and named by check")
        elif name in _FIGURES:
            judge._tally.add("a figure of wrong entries of an index, and named by check")
        else:
            raise _break(damage, f"{name!r} is answered {answer!r}, which is no part of {right[name]!r}")
    local = [_ROW.search(problem.place) for problem in problems]
    if problems and all(local):
        ids = {found[1] for found in local if found}
        for identity in IDS:
            if identity not in ids and answers[f"get {identity}"] != right[f"get {identity}"]:
                raise _break(damage, f"only rows of {ids} are damaged, and {identity} cannot be loaded")
    judge.count(damage, problems, answers)


def _is_part(answer: Any, right: Any) -> bool:
    """Tell whether an answer is the right one with something left out, records or some that were counted."""
    if isinstance(right, list):
        left = iter(right)
        return isinstance(answer, list) and all(one in left for one in answer)
    if isinstance(right, dict) and "pattern_id" not in right:
        return answer.keys() <= right.keys() and all(_is_part(answer[key], right[key]) for key in answer)
    return answer in (None, right) or (isinstance(right, int) and 0 <= answer <= right)


def _unnumbered(answer: Any) -> Any:
    """Return an answer without the numbers of arrival, which are those of SQLite's rows."""
    if isinstance(answer, dict):
        return {key: _unnumbered(value) for key, value in answer.items() if key != "seq"}
    return [_unnumbered(one) for one in answer] if isinstance(answer, list) else answer


def _run_database(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    store = small_database(place)
    judge = Judge(store, tally)
    damages = Damages(store)
    assert store.right
    for number in numbers:
        damage = damages[number]
        if damage.data == store.files[damage.file].data:
            tally.add("no change")
            continue
        store.put(damage.file, damage.data)
        _judge_database(judge, damage)
        store.restore(damage.file)
    _must_be_unchanged(store)


def _run_log(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Damage to the log that a killed process has left: what is in it behind the damage is taken for torn."""
    store = small_log(place)
    judge = Judge(store, tally)
    damages = Damages(store, _is_log)
    states = _states(store)
    store.put_back()
    for number in numbers:
        damage = damages[number]
        store.put(damage.file, damage.data)
        problems, answers = judge.look(damage)
        if _REFUSED in answers.values() or answers == states[-1]:
            judge.count(damage, problems, answers)
        elif answers in states:
            tally.fired()
            tally.add("back at an earlier commit" + (", named by check" if problems else ""))
            if not problems and answers != states[-2] and not _may_be_torn(damage):
                raise _break(damage, "more than the last commit is gone, and check says nothing")
        else:
            wrong = [name for name in answers if answers[name] != states[-1][name]]
            raise _break(damage, f"no commit has left it so: {wrong}")
        store.put_back()


def _may_be_torn(damage: Damage) -> bool:
    """Tell whether the log has merely lost its end, as in a power cut."""
    return damage.what.startswith(("cut", "block", "version"))


def _states(store: SmallStore) -> list[dict[str, Any]]:
    """Return the answers after each commit: the log is cut behind one frame after the other."""
    found: list[dict[str, Any]] = []
    log = next(name for name in store.files if name.endswith("-wal"))
    whole = store.files[log].data
    frames = range(_LOG_HEADER, len(whole) + 1, _FRAME)
    for end in frames:
        store.put_back()
        store.put(log, whole[:end])
        backend = store.opened()
        answers = {name: ask(backend) for name, ask in QUESTIONS.items()}
        backend.close()
        if answers not in found:
            found.append(answers)
    return found


@cache
def _count(make: Callable[[Path], SmallStore], wanted: Callable[[str], bool]) -> int:
    with TemporaryDirectory(prefix="torture-flips-") as place:
        return len(Damages(make(Path(place) / "store"), wanted))


def _is_log(name: str) -> bool:
    return name.endswith("-wal")


PROMISES = (
    Promise(
        name="flips-tree",
        sentence="every flipped bit, truncation and moved block of every file of a tree is named, or "
        "without consequence; 0 wrong answers; what the file does not hold can be loaded",
        cases=lambda: _count(small_tree, _every),
        run=lambda numbers, place, tally: _run_tree(numbers, place, tally, with_log=True),
        fast=1_000,
        chunk=6_000,
    ),
    Promise(
        name="flips-tree-restarted",
        sentence="the same when the change log has to be made anew, as after a start of the machine; where a "
        "session's journal has lost nothing but its end, the answers are exactly those of its whole lines",
        cases=lambda: _count(small_tree, _is_kept_without_log),
        run=lambda numbers, place, tally: _run_tree(numbers, place, tally, with_log=False),
        fast=700,
        chunk=3_000,
    ),
    Promise(
        name="flips-sqlite",
        sentence="every flipped bit, truncation and moved block of an SQLite database is named, or "
        "without consequence; no record comes out that was not stored, or in an answer to which it does not "
        "belong; where check finds fault answers may lack records, and counts be wrong",
        cases=lambda: _count(small_database, _every),
        run=_run_database,
        fast=1_500,
        chunk=20_000,
    ),
    Promise(
        name="flips-sqlite-log",
        sentence="damage to the log that a killed process has left leaves a state that a commit had made, "
        "and check says so unless it may be the trace of a power cut",
        cases=lambda: _count(small_log, _is_log),
        run=_run_log,
        fast=1_000,
        chunk=20_000,
    ),
)

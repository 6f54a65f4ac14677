"""Hostile questions: what they ask for never becomes SQL, and every backend gives the same answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from moai_patterns import PatternStorage, Query, field, parse_condition
from moai_patterns.conditions import Condition
from moai_patterns.errors import PatternError, QueryError
from samples import sample
from torture.hostile_values import KINDS, NUMBERS, PATHS, SQL, STAMPS, TEXTS, text, value
from torture.promise import BrokenPromiseError, Promise, Tally
from torture.stopwatch import Stopwatch
from torture.watch import Watch

_BACKENDS = ("memory", "filesystem", "sqlite")
_STEPS = ("data", "context", "tags", "note", "0", "1", "a", "metadata", "key")
_CHECKED = 3000  # cases after which it is looked whether everything is still there


def run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Ask three stores that hold the same; their answers are equal, or each refuses the question."""
    with Watch(place, Stopwatch("hostile-questions", len(numbers), tally)) as watch:
        stores = [_filled(name, watch.place / name) for name in _BACKENDS]
        whole = list(stores[0].iter())
        for store in stores:
            store.count(where=field("data.note") < "b", tags=["a"])  # loads what questions need
        for at, number in enumerate(numbers):
            tally.fired()
            with watch.case(number):
                _ask(number, stores, watch, tally)
            if at % _CHECKED == 0 or at == len(numbers) - 1:
                for store in stores:
                    if list(store.iter()) != whole or store.check(read_data=True):
                        raise BrokenPromiseError(f"{store.config.backend}: questions have changed it")
                watch.must_be_quiet(number)
        for store in stores:
            store.close()


def _filled(name: str, path: Path) -> PatternStorage:
    """A store of records that hold hostile texts, compacted in part where that is possible."""
    clock = iter(range(10**18, 10**18 + 10**6)).__next__
    storage = PatternStorage(name, path, maintenance_interval=None, clock=clock)
    texts = [found for found in (*PATHS, *SQL, *TEXTS) if found and _is_text(found)]
    for number in range(30):
        some = [texts[(number * 3 + at) % len(texts)] for at in range(3)]
        made = sample(
            f"id-{number}", f"2025-11-{1 + number % 5:02d}T10:00:{number:02d}Z", "hook_event", tags=some
        )
        made["data"] |= {"note": some[0], some[1]: number, "key": {some[2]: [None, True, 1.5, number]}}
        storage.save(made)
        if name == "sqlite" and number == 20:
            storage.backend.reclaim()  # type: ignore[attr-defined]  # its indexes have these, and the others wait
    storage.compress_old_files()
    return storage


def _is_text(found: str) -> bool:
    try:
        found.encode()
    except UnicodeEncodeError:
        return False
    return True


def _ask(number: int, stores: Sequence[PatternStorage], watch: Watch, tally: Tally) -> None:
    choose = Random(number)
    if choose.random() < 0.2:
        _compare(number, choose, watch, tally)
        return
    giant = 200_000 if choose.random() < 0.002 else 0
    try:
        query = watch.timed("the question", lambda: _query(Random(number), giant), size=giant)
    except QueryError:
        tally.add("refused")
        return
    except Exception as error:
        raise BrokenPromiseError(f"case {number}: {error!r}") from error
    answers = [
        watch.timed("the answer", partial(_answer, number, store, query), size=giant) for store in stores
    ]
    if any(answer != answers[0] for answer in answers):
        raise BrokenPromiseError(f"case {number}: {query!r}: {answers}")
    tally.add("answered alike by all backends")


def _answer(number: int, store: PatternStorage, query: Query) -> Any:
    try:
        found = store.query(query)
        return [record["pattern_id"] for record in found], store.count(query), found.cursor
    except PatternError as error:
        return type(error)
    except Exception as error:
        raise BrokenPromiseError(f"case {number}: {store.config.backend}: {query!r}: {error!r}") from error


def _query(choose: Random, giant: int) -> Query:
    parameters: dict[str, Any] = {}
    for name in choose.sample(sorted(_PARAMETERS), choose.randrange(1, 4)):
        parameters[name] = _PARAMETERS[name](choose)
    if giant:
        parameters[choose.choice(("ids", "tags", "pattern_type"))] = [f"id-{n}" for n in range(giant // 10)]
    return Query(**parameters)


def _texts(choose: Random) -> Any:
    if choose.random() < 0.1:
        return value(choose)
    return [
        choose.choice((text(choose), choose.choice(SQL), f"id-{choose.randrange(40)}"))
        for _ in range(choose.randrange(12))
    ]


def _bound(choose: Random) -> Any:
    return choose.choice(
        (choose.choice(STAMPS), f"2025-11-0{choose.randrange(1, 7)}", choose.choice(NUMBERS), value(choose))
    )


def _cursor(choose: Random) -> Any:
    cursors = (
        *("eyJ", "W10=", "====", "\ud800", "WyJuZXdlc3QiLDEsImEiLDFd", "[" * 10_000, "A" * 100_000),
        Query().cursor_after(
            {"_meta": {"instant": choose.randrange(2**62), "revision": 1, "seq": 5}, "pattern_id": "x'--"}
        ),
    )
    return choose.choice((*cursors, text(choose), value(choose)))


def _where(choose: Random) -> Any:
    if choose.random() < 0.1:
        return choose.choice((value(choose), {text(choose): value(choose)}, {"data.note": text(choose)}))
    found = _condition(choose, choose.randrange(4))
    for _ in range(choose.choice((0, 0, 0, 0, 0, 0, 0, 50, 101))):
        found = ~(found & (field("data.a") == 1))
    return found


def _condition(choose: Random, levels: int) -> Condition:
    if levels:
        left, right = _condition(choose, levels - 1), _condition(choose, levels - 1)
        return choose.choice((left & right, left | right, ~left))
    steps = [choose.choice((*_STEPS, choose.choice(SQL), text(choose))) for _ in range(choose.randrange(3))]
    path = field(
        choose.choice(("data", "context", "data.note", "data.key", "context.tags", text(choose))), *steps
    )
    against = choose.choice((value(choose), text(choose), choose.choice(SQL), choose.choice(NUMBERS)))
    match choose.randrange(6):
        case 0:
            return path == against
        case 1:
            return path != against
        case 2:
            return path.in_([against, text(choose)] if choose.random() < 0.8 else against)  # type: ignore[arg-type]
        case 3:
            return path.exists()
        case 4:
            return path < against
        case _:
            return path >= against


_PARAMETERS: dict[str, Callable[[Random], Any]] = {
    "pattern_type": lambda choose: choose.choice((text(choose), _texts(choose), list(KINDS))),
    "start_date": _bound,
    "end_date": _bound,
    "limit": lambda choose: choose.choice((0, 1, 5, None, -1, 2**63, 2**70, value(choose))),
    "tags": _texts,
    "where": _where,
    "order": lambda choose: choose.choice(
        ("newest", "oldest", "newest", "oldest", text(choose), value(choose))
    ),
    "cursor": _cursor,
    "ids": _texts,
    "revisions": lambda choose: choose.choice(("heads", "all", "heads", text(choose), value(choose))),
}


def _compare(number: int, choose: Random, watch: Watch, tally: Tally) -> None:
    """Hand a text to `--where`."""
    parts = (text(choose), "data.note", "data." + text(choose), choose.choice((" ", "", "\t" * 60_000)))
    operators = ("=", "==", "!=", "<", ">=", "=>", "!", "", "= =")
    values = (
        text(choose),
        choose.choice(("1", '{"a": 1}', "tru", '"x""', "1 2")),
        "[" * 50_000,
        " " * 60_000 + "x",
        "1e999",
        "NaN",
        "9" * 5000,
    )
    made = choose.choice(parts) + choose.choice(operators) + choose.choice(values)
    try:
        watch.timed("a comparison as text", lambda: parse_condition(made), size=len(made))
    except QueryError:
        tally.add("refused")
    except BrokenPromiseError:
        raise
    except Exception as error:
        raise BrokenPromiseError(f"case {number}: {made[:80]!r}: {error!r}") from error


PROMISES = (
    Promise(
        name="hostile-questions",
        sentence="hostile filters, paths, values, tags, cursors, bounds: the same answer by every backend, "
        "or refused; nothing changed; each question and answer takes at most 50 ms of CPU per 50 KB, and "
        "waits 100 ms at most",
        cases=lambda: 300_000,
        run=run,
        fast=6_000,
        chunk=15_000,
    ),
)

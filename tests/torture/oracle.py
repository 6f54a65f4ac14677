"""The one judgement on a store after a fault: what must be there, what may be there, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from moai_patterns import PatternStorage
from moai_patterns.errors import PatternError
from moai_patterns.query import Query, content
from torture.acts import DAYS, Act, History, Model, Record, record
from torture.promise import BrokenPromiseError, must

_OLD = 7200  # seconds; temporary files are left alone for an hour
Open = Callable[[], PatternStorage]


def judge(
    open_it: Open, before: Model, under_way: Sequence[Act] = (), *, after_power_cut: bool = False
) -> Model:
    """Hold a store against what was acknowledged, and return what it holds.

    Parameters:
        open_it: opens the store as a process does that comes after the fault.
        before: the model after the last acknowledged act.
        under_way: the acts that were begun, one after the other, and not acknowledged: the first of them
            may be done, and of the next, unless it is all or nothing, a part.
        after_power_cut: whether files that it left torn may have been set aside.

    Raises `BrokenPromiseError` when anything else is there, when two ways to ask differ, when `check` finds
    fault, when a new save or a compaction does not work, or when opening again changes an answer.
    """
    return _judge(open_it, lambda found: _must_be_allowed(found, before, under_way), after_power_cut)


def judge_after_loss(open_it: Open, begun: Sequence[Act]) -> Model:
    """Hold a store against all that was ever begun, where the last seconds may be lost.

    Each record is absent or a version that was begun, whole, with versions in their order; everything
    else is as `judge` wants it.
    """
    versions: dict[str, list[Record]] = {}
    for act in begun:
        for put in act.puts:
            versions.setdefault(put["pattern_id"], []).append(put)

    def allow(found: Model) -> None:
        for identity, history in found.items():
            left = iter(versions.get(identity, ()))
            said = f"{identity!r} holds {_versions(history)}, which was never saved in this order"
            must(all(one in left for one in history), said)

    return _judge(open_it, allow, after_power_cut=True)


def _judge(open_it: Open, allow: Callable[[Model], None], after_power_cut: bool) -> Model:
    with closing(open_it()) as storage:
        found = everything(storage)
        allow(found)
        _must_agree(storage, found)
        _must_be_sound(storage, after_power_cut)
        _must_go_on(storage, found)
    with closing(open_it()) as storage:
        must(everything(storage) == found, "opening once more changed what is there")
        _must_be_sound(storage, after_power_cut)
    return found


def everything(storage: PatternStorage) -> Model:
    """Return the history of each id, as one scan gives it. Raises `BrokenPromiseError` for a double."""
    found: dict[str, dict[int, Any]] = {}
    question = Query(revisions="all", limit=None)
    for stored in _typed(lambda: list(storage.backend.scan(question)), "a scan of everything"):
        revisions = found.setdefault(stored["pattern_id"], {})
        number = stored["_meta"]["revision"]
        must(number not in revisions, f"{stored['pattern_id']!r} is there twice in revision {number}")
        revisions[number] = content(stored)
    return {identity: tuple(revisions[n] for n in sorted(revisions)) for identity, revisions in found.items()}


def _must_be_allowed(found: Model, before: Model, under_way: Sequence[Act]) -> None:
    models = [before]
    for act in under_way:
        models.append(act.applied(models[-1]))
    if found in models:
        return
    wanted = "not what was acknowledged: " if not under_way else f"{under_way[-1].verb} was under way: "
    for act, old, new in zip(under_way, models, models[1:], strict=False):
        if not act.whole and _is_between(found, old, new):
            return
    raise BrokenPromiseError(wanted + _difference(found, models[-1]))


def _is_between(found: Model, before: Model, after: Model) -> bool:
    """Tell whether each id is as before, as after, or has come a part of the way."""
    for identity in {*found, *before, *after}:
        history, old, new = (model.get(identity, ()) for model in (found, before, after))
        parts = [old, *(new[:length] for length in range(len(old), len(new)))] if new else [old]
        if history not in (*parts, new):
            return False
    return True


def _must_agree(storage: PatternStorage, found: Model) -> None:
    """Ask in other ways, which must all say the same."""
    heads = {identity: history[-1] for identity, history in found.items()}
    listed = _typed(lambda: list(storage.iter(order="oldest")), "iter")
    must(len(listed) == len(heads), f"iter gives {len(listed)} records, there are {len(heads)} ids")
    must({one["pattern_id"]: one for one in listed} == heads, "iter gives other records than a scan")
    newest = _typed(lambda: list(storage.query(limit=None)), "query")
    must(newest == listed[::-1], "newest first is not oldest first turned round")
    must(_typed(storage.count, "count") == len(heads), f"count is not {len(heads)}")
    for identity, head in heads.items():
        loaded = _typed(partial(storage.load, identity), f"load of {identity!r}")
        must(loaded == head, f"load of {identity!r} gives {_short(loaded)}, a scan {_short(head)}")
    versions = [head for head in heads.values() if "v1" in head["context"].get("tags", ())]
    tagged = _typed(lambda: list(storage.query(tags=["v1"], limit=None)), "query by tag")
    must(len(tagged) == len(versions), f"{len(tagged)} records have the tag, not {len(versions)}")


def _must_be_sound(storage: PatternStorage, after_power_cut: bool) -> None:
    problems = _typed(lambda: storage.check(read_data=True), "check")
    if after_power_cut:
        problems = [problem for problem in problems if Path(problem.place).parent.name != "quarantine"]
    must(not problems, f"check finds {[str(problem) for problem in problems[:3]]}")


def _must_go_on(storage: PatternStorage, found: Model) -> None:
    """Save, compact and remove: what was there before is there after, and nothing is left behind."""
    probe = record("probe", 0, DAYS[0])
    _typed(lambda: storage.save(probe), "a new save")
    must(storage.load("probe") == probe, "a new save is not there")
    place = storage.backend.path  # type: ignore[attr-defined]
    temporary = Path(place, "tmp")
    for left in temporary.iterdir() if temporary.is_dir() else ():
        os.utime(left, (_OLD, _OLD))
    _typed(storage.compress_old_files, "a compaction")
    must(everything(storage) == {**found, "probe": (probe,)}, "a compaction changed what is there")
    left_over = os.listdir(temporary) if temporary.is_dir() else []
    must(not left_over, f"temporary files stay: {left_over}")
    must(storage.delete("probe") == 1, "what was saved cannot be removed")


def _typed(act: Callable[[], Any], what: str) -> Any:
    try:
        return act()
    except PatternError as error:
        raise BrokenPromiseError(f"{what} raised {type(error).__name__}: {error}") from error


def _difference(found: Model, wanted: Model) -> str:
    wrong = [i for i in sorted({*found, *wanted}) if found.get(i, ()) != wanted.get(i, ())]
    said = [f"{i!r}: {_versions(found.get(i, ()))} for {_versions(wanted.get(i, ()))}" for i in wrong[:4]]
    return f"{len(wrong)} ids differ: " + "; ".join(said)


def _versions(history: History) -> str:
    return "-".join(str(one["data"].get("version", "x")) for one in history) or "nothing"


def _short(value: object) -> str:
    return repr(value)[:200]

"""What a hook had to assume, filled in from the transcript that tells it.

A `Stop` or `SubagentStop` payload knows neither how long its turn took nor how it ended. The transcript of
its session does: the run that ended at that moment is the one the event spoke of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moai_patterns.instant import DAY, SECOND, instant
from moai_patterns.query import Query, Record
from moai_patterns.storage import PatternStorage

_HOOK, _TRANSCRIPT = "claude-code/hook", "claude-code/transcript"
_EVENTS = {"task_completion": "Stop", "agent_usage": "SubagentStop"}
# The event follows the last line of its run at once; a busy machine may take a while for either.
_APART = 60 * SECOND
_BATCH = 500


@dataclass(frozen=True, slots=True)
class _Run:
    """A turn, or a subagent's run, as a transcript tells it."""

    identity: str
    agent: str | None
    ended: int
    told: dict[str, Any]


class Filling:
    """Runs that were read, and then the records of hooks that they complete."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], list[_Run]] = {}

    def add(self, record: Record) -> None:
        """Take notice of a record made of a transcript."""
        kind, context = record["pattern_type"], record.get("context", {})
        metadata = context.get("metadata", {})
        session = context.get("session_id")
        if kind not in _EVENTS or metadata.get("source") != _TRANSCRIPT or session is None:
            return
        agent = metadata.get("agent_id")
        if (agent is None) != (kind == "task_completion"):
            return
        assumed = metadata.get("assumed", ())
        told = {name: value for name, value in record["data"].items() if f"data.{name}" not in assumed}
        run = _Run(record["pattern_id"], agent, instant(record["timestamp"]), told)
        self._runs.setdefault((kind, session), []).append(run)

    def fill(self, storage: PatternStorage) -> int:
        """Complete the stored records of hooks and return how many that changed."""
        changed = 0
        batch: list[Record] = []
        for record in self._candidates(storage):
            run = self._run_of(record)
            filled = None if run is None else _filled(record, run)
            if filled is not None:
                batch.append(filled)
            if len(batch) >= _BATCH:
                changed += storage.save_batch(batch, operation="import").revised
                batch = []
        return changed + storage.save_batch(batch, operation="import").revised

    def _candidates(self, storage: PatternStorage) -> Iterator[Record]:
        """Yield what hooks captured around the time of the runs and had to assume something for."""
        ends = [run.ended for runs in self._runs.values() for run in runs]
        if not ends:
            return
        around = Query(tuple(_EVENTS), min(ends) - DAY, max(ends) + DAY, limit=None)
        for record in storage.iter(around):
            metadata = record.get("context", {}).get("metadata", {})
            event = metadata.get("event") == _EVENTS[record["pattern_type"]]
            if event and metadata.get("source") == _HOOK and metadata.get("assumed"):
                yield record

    def _run_of(self, record: Record) -> _Run | None:
        """Return the run whose end a hook reported, if there is just one that it can be."""
        context = record["context"]
        runs = self._runs.get((record["pattern_type"], context.get("session_id")), [])
        agent = context["metadata"].get("agent_id")
        if agent is not None:
            runs = [run for run in runs if run.agent == agent]
        elif "timestamp" not in context["metadata"]["assumed"]:
            moment = instant(record["timestamp"])
            runs = sorted(
                (run for run in runs if abs(run.ended - moment) <= _APART),
                key=lambda run: abs(run.ended - moment),
            )[:1]
        return runs[0] if len({run.identity for run in runs}) == 1 else None


def _filled(record: Record, run: _Run) -> Record | None:
    """Return the record with what the run tells in the place of what was assumed; None when nothing is."""
    metadata = record["context"]["metadata"]
    names = [name for name in metadata["assumed"] if name.removeprefix("data.") in run.told]
    if not names:
        return None
    left = [name for name in metadata["assumed"] if name not in names]
    fresh = {key: value for key, value in metadata.items() if key != "assumed"}
    if left:
        fresh["assumed"] = left
    fresh["filled"] = {**metadata.get("filled", {}), **dict.fromkeys(names, run.identity)}
    members = {name.removeprefix("data."): run.told[name.removeprefix("data.")] for name in names}
    return {
        **record,
        "data": {**record["data"], **members},
        "context": {**record["context"], "metadata": fresh},
    }

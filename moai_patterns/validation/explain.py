"""Why a record is refused: every broken rule with its place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from moai_patterns.validation.faults import Fault, Violation, describe, faults, quote
from moai_patterns.validation.keywords import ExhaustedError, Explainer
from moai_patterns.validation.registry import CONTEXT, FIRST, Kind, enveloped, known
from moai_patterns.validation.sentences import rule_of, sentence
from moai_patterns.validation.verdict import kind_of

_RESERVED = "is reserved for what the store notes about a record"
# A timestamp's pattern is there for readers of the schema; and `not` a pattern holds for texts alone.
_TELLS_MORE = {"pattern": "timestamp", "not": "type"}
_LISTED = 20  # names of kinds or versions in a sentence


def violations(record: Any) -> list[Violation]:
    """Return every broken rule of a record, none for a valid one."""
    copy, found = faults(record)
    if not isinstance(copy, dict):
        found = found or [Fault((), "type", f"a record is an object, not {describe(record)}")]
        return [fault.violation() for fault in found]
    kind = kind_of(copy)
    if kind is None:
        found += _unknown(copy)
    elif not found and kind.record.is_valid(copy):
        return []
    replaced = {fault.place for fault in found if fault.rule != "key"}
    for fault in _explained(kind, copy):
        if not any(fault.place[:length] in replaced for length in range(len(fault.place) + 1)):
            found.append(fault)
    if not found:
        found = [Fault(("data",), "schema", "breaks the schema of its kind in a way that no keyword tells")]
    return [fault.violation() for fault in found]


def _unknown(record: dict[str, Any]) -> Iterator[Fault]:
    """Yield why a record's kind or version is not registered; absence is for the envelope to tell."""
    if "pattern_type" not in record:
        return
    name, version, versions = record["pattern_type"], record.get("version", FIRST), known()
    if not isinstance(name, str):
        yield Fault(("pattern_type",), "type", f"must be a text, the name of a kind, not {describe(name)}")
    elif name not in versions:
        reason = f"no kind {quote(name)} is registered; known are {_names(versions)}"
        yield Fault(("pattern_type",), "kind", reason)
    elif isinstance(version, str):
        reason = f"{quote(name)} has no version {quote(version)}; known are {_names(versions[name])}"
        yield Fault(("version",), "version", reason)


def _names(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:_LISTED]) + (", ..." if len(every) > _LISTED else "")


def _explained(kind: Kind | None, record: dict[str, Any]) -> list[Fault]:
    found: list[Fault] = []
    try:
        found.extend(map(_fault, _explainer(kind).broken_rules(record, 2000 + len(json.dumps(record)))))
    except ExhaustedError:
        found.append(
            Fault(("data",), "schema", "breaks the schema of its kind in more ways than can be listed")
        )
    told = {(fault.place, fault.rule) for fault in found}
    return [fault for fault in found if (fault.place, _TELLS_MORE.get(fault.rule)) not in told]


def _fault(error: Any) -> Fault:
    place = tuple(error.absolute_path)
    reserved = place == ("_meta",)
    return Fault(place, rule_of(error), _RESERVED if reserved else sentence(error))


@cache
def _explainer(kind: Kind | None) -> Explainer:
    if kind is None:
        return Explainer(enveloped({}), {CONTEXT["$id"]: CONTEXT})
    return Explainer(kind.record_schema, kind.reach)

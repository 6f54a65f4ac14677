"""The sentence for each keyword of JSON Schema: what was wanted, and what stands there instead."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from moai_patterns.instant import instant
from moai_patterns.validation.faults import describe, json_path, quote
from moai_patterns.validation.mirror import TIMESTAMP

_MOST = 8  # choices and alternatives that a sentence lists


def rule_of(error: Any) -> str:
    """Return the name of the rule that an error of `jsonschema` is about."""
    return {None: "false", TIMESTAMP: "timestamp"}.get(error.validator, str(error.validator))


def sentence(error: Any) -> str:
    """Say what was wrong; values are named by type and cut when long."""
    write = _SENTENCES.get(error.validator or "false")
    if write is not None:
        return write(error.validator_value, error.instance)
    if error.validator in ("anyOf", "oneOf"):
        return _alternatives(error)
    return f"{describe(error.instance)} breaks the rule {error.validator}"


def _alternatives(error: Any) -> str:
    if not error.context:
        return f"{describe(error.instance)} fits more than one of {len(error.validator_value)} alternatives"
    firsts: dict[Any, str] = {}
    for broken in error.context:
        place = json_path(tuple(broken.path))[1:]
        branch = broken.schema_path[0] if broken.schema_path else len(firsts)  # a schema `false` has no path
        firsts.setdefault(branch, f"{place}: {sentence(broken)}" if place else sentence(broken))
    return f"{describe(error.instance)} fits none of the alternatives: {_listed(firsts.values(), '; ')}"


def _listed(items: Iterable[str], comma: str = ", ") -> str:
    every = list(items)
    return comma.join(every[:_MOST]) + (f"{comma}..." if len(every) > _MOST else "")


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return quote(value)
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _type(wanted: str | list[str], value: Any) -> str:
    names = [wanted] if isinstance(wanted, str) else wanted
    return f"must be {' or '.join(_NOUNS[name] for name in names)}, not {describe(value)}"


def _timestamp(_: Any, value: Any) -> str:
    reason = ""
    try:
        instant(value)
    except ValueError as error:
        reason = str(error)
    return reason


def _not(schema: Any, value: Any) -> str:
    if isinstance(schema, dict) and schema.keys() == {"pattern"}:
        return f"must not contain a match of {quote(schema['pattern'])}, as {describe(value)} does"
    return f"{describe(value)} fits what is excluded by `not`"


def _least(unit: str) -> Callable[[Any, Any], str]:
    return lambda limit, value: (
        f"must not be {_EMPTY[unit]}"
        if limit == 1
        else f"must have at least {limit} {unit}, not {len(value)}"
    )


def _most(unit: str) -> Callable[[Any, Any], str]:
    return lambda limit, value: f"must have at most {limit} {unit}, not {len(value)}"


def _than(relation: str) -> Callable[[Any, Any], str]:
    return lambda limit, value: f"must be {relation} {limit}, not {describe(value)}"


_NOUNS = {
    "string": "a text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "null": "null",
    "array": "an array",
    "object": "an object",
}
_EMPTY = {"characters": "empty", "items": "an empty array", "keys": "an empty object"}
_SENTENCES: dict[Any, Callable[[Any, Any], str]] = {
    "false": lambda _, value: f"must not be there, whatever it is; it is {describe(value)}",
    "type": _type,
    "enum": lambda choices, value: f"must be one of {_listed(map(_shown, choices))}, not {describe(value)}",
    "const": lambda wanted, value: f"must be {_shown(wanted)}, not {describe(value)}",
    "minimum": _than("at least"),
    "maximum": _than("at most"),
    "exclusiveMinimum": _than("above"),
    "exclusiveMaximum": _than("below"),
    "multipleOf": _than("a multiple of"),
    "minLength": _least("characters"),
    "maxLength": _most("characters"),
    "minItems": _least("items"),
    "maxItems": _most("items"),
    "minProperties": _least("keys"),
    "maxProperties": _most("keys"),
    "pattern": lambda regex, value: f"must contain a match of {quote(regex)}, as {describe(value)} does not",
    "uniqueItems": lambda _, value: f"{describe(value)} holds equal items",
    "required": lambda _, value: "is required, and missing",
    "dependentRequired": lambda _, value: "is required beside the keys that are there, and missing",
    "not": _not,
    TIMESTAMP: _timestamp,
}

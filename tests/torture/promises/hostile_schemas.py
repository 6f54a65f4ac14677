"""Hostile schemas: what they refer to is never fetched, and what they match never hangs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from moai_patterns import PatternSchema, PatternStorage, register
from moai_patterns.errors import SchemaError, ValidationError
from samples import sample
from torture.hostile_values import deep, giant, size_of, text, value
from torture.promise import BrokenPromiseError, Promise, Tally
from torture.stopwatch import Stopwatch
from torture.watch import Watch

_PATTERNS = (
    *("^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)*x", "^(\\d+)*$"),
    *(
        "(?=a)b",
        "(a)\\1",
        "(?<n>a)",
        "[",
        "(",
        "a{1000}{1000}",
        "a{99999}",
        "\\p{L}+",
        "(?i)a",
        "^\\s*$",
        "\\Z",
        "$",
    ),
    *(
        "(a?){30}a{30}",
        "((a{0,30}){0,30}){0,30}",
        "\\u0041",
        "[^\\x00-\\x7f]*",
        "(?:" * 200 + ")" * 200,
        "a" * 50_000,
    ),
)
_KEYWORDS = (
    *("minimum", "multipleOf", "maxLength", "minItems", "required", "enum", "const", "format", "uniqueItems"),
    *(
        "additionalProperties",
        "propertyNames",
        "dependentRequired",
        "contains",
        "prefixItems",
        "if",
        "default",
    ),
    *("unevaluatedProperties", "$vocabulary", "$schema", "$comment", "contentMediaType", "x-own", "type"),
)
_REGISTERING = 0.15  # seconds of CPU: a metaschema tells what is wrong with a schema, and takes its time
_ATTACKS = ("a" * 40 + "!", "a" * 30_000 + "!", "x" * 200, "1" * 5000 + "x", " " * 20_000 + "x", "aA" * 50)


def _reference(choose: Random, watch: Watch) -> str:
    return choose.choice(
        (
            *(
                f"http://127.0.0.1:{watch.port}/s.json",
                f"https://127.0.0.1:{watch.port}/s",
                f"//127.0.0.1:{watch.port}/s",
            ),
            *(
                f"file://{watch.canary}/canary.json",
                f"{watch.canary}/canary.json",
                "canary.json",
                "../canary/canary.json",
            ),
            *(
                "#",
                "#/$defs/a",
                "#/$defs/b",
                "#nowhere",
                "#/properties/a",
                "urn:x",
                "http://json-schema.org/draft-07/schema#",
            ),
            *(
                "https://json-schema.org/draft/2020-12/schema",
                "data:application/json,{}",
                "ftp://127.0.0.1/s",
                "%2e%2e/x",
            ),
        )
    )


def _schema(choose: Random, watch: Watch, levels: int = 3) -> Any:
    match choose.randrange(12):
        case 0:
            return {choose.choice(("$ref", "$dynamicRef", "$recursiveRef")): _reference(choose, watch)}
        case 1 | 2:
            return {"type": "string", "pattern": choose.choice(_PATTERNS)}
        case 3:
            return {"patternProperties": {choose.choice(_PATTERNS): {"type": "string"}}}
        case 4:
            return {choose.choice(_KEYWORDS): value(choose)}
        case 5:
            return {choose.choice(("$id", "$anchor", "$dynamicAnchor", "$schema")): _reference(choose, watch)}
        case 6 if levels:
            return {
                choose.choice(("allOf", "anyOf", "oneOf")): [
                    _schema(choose, watch, levels - 1) for _ in range(2)
                ]
            }
        case 7 if levels:
            return {
                choose.choice(("not", "items", "contains", "then", "else")): _schema(
                    choose, watch, levels - 1
                )
            }
        case 8:
            return choose.choice((True, False, None, [], "x", 5, value(choose)))
        case 9 if choose.random() < 0.05:
            return choose.choice(
                (giant(choose), {"enum": [giant(choose)]}, {"allOf": deep(1000, objects=True)})
            )
        case _ if levels:
            names = ("a", "b", text(choose))
            return {
                "type": "object",
                "properties": {name: _schema(choose, watch, levels - 1) for name in names},
                "$defs": {
                    "a": {"$ref": "#/$defs/b"},
                    "b": choose.choice(({"$ref": "#/$defs/a"}, {"$ref": "#"}, {})),
                },
            }
        case _:
            return {}


def _slow(choose: Random) -> Any:
    """A schema that is in order, and that a careless engine takes for ever to measure by."""
    pattern = {"type": "string", "pattern": choose.choice(_PATTERNS)}
    return {
        "properties": {
            "a": choose.choice((pattern, {"items": pattern}, {"propertyNames": pattern})),
            "b": choose.choice(
                ({"$ref": "#"}, {"allOf": [{"$ref": "#/properties/a"}] * 20}, {"uniqueItems": True})
            ),
        },
        choose.choice(("patternProperties", "$comment")): {choose.choice(_PATTERNS): {}},
        choose.choice(("additionalProperties", "x-own")): {"$ref": "#"},
    }


def _outer(choose: Random, watch: Watch) -> Any:
    if choose.random() < 0.05:
        return _schema(choose, watch)
    if choose.random() < 0.5:
        return _slow(choose)
    made = {"type": "object", "properties": {"a": _schema(choose, watch), "b": _schema(choose, watch)}}
    if choose.random() < 0.5:
        made["$defs"] = {"a": _schema(choose, watch), "b": {"$ref": "#/$defs/a"}}
    inner = _schema(choose, watch)
    return {**inner, **made} if isinstance(inner, dict) and choose.random() < 0.5 else made


def run(numbers: Sequence[int], place: Path, tally: Tally) -> None:
    """Register schemas, and measure hostile values by those that are taken."""
    with Watch(place, Stopwatch("hostile-schemas", len(numbers), tally)) as watch:
        storage = PatternStorage("memory")
        register("warm", {"type": "object", "properties": {"a": {"pattern": "^b"}}})
        PatternSchema.errors({**sample(), "pattern_type": "warm", "data": {"a": "c"}})
        for at, number in enumerate(numbers):
            tally.fired()
            with watch.case(number):
                _register(number, Random(number), storage, watch, tally)
            if at % 100 == 0 or at == len(numbers) - 1:
                watch.must_be_quiet(number)


def _register(number: int, choose: Random, storage: PatternStorage, watch: Watch, tally: Tally) -> None:
    kind = f"kind_{number}" if choose.random() < 0.9 else text(choose)
    schema = _outer(choose, watch)
    try:
        watch.timed("registering", lambda: register(kind, schema), size=size_of(schema), limit=_REGISTERING)
    except SchemaError:
        tally.add("refused")
        return
    except BrokenPromiseError:
        raise
    except Exception as error:
        raise BrokenPromiseError(f"case {number}: register({schema!r:.300}): {error!r}") from error
    tally.add("taken")
    for _ in range(3):
        data = {name: choose.choice((*_ATTACKS, value(choose))) for name in ("a", "b", text(choose))}
        made = {"pattern_id": "id", "pattern_type": kind, "timestamp": "2025-11-29", "data": data}
        _measure(number, made, size_of(made) + size_of(schema), storage, watch)


def _measure(number: int, made: dict[str, Any], size: int, storage: PatternStorage, watch: Watch) -> None:
    valid = watch.timed("validation", lambda: PatternSchema.validate_pattern(made), size=size)
    if not valid:
        watch.timed("all violations", lambda: PatternSchema.errors(made), size=size)
    try:
        watch.timed("a save", lambda: storage.save(made), size=size)
    except ValidationError:
        if valid:
            raise BrokenPromiseError(f"case {number}: a valid record is refused") from None
    except Exception as error:
        raise BrokenPromiseError(f"case {number}: save: {error!r}") from error
    else:
        if not valid:
            raise BrokenPromiseError(f"case {number}: a record is taken that is not valid")


PROMISES = (
    Promise(
        name="hostile-schemas",
        sentence="hostile schemas: remote and circular references, slow patterns: refused or harmless; 0 "
        "connections, 0 files read; each validation, the first too, explanation and save takes at most 50 ms "
        "of CPU per 50 KB of record and schema, registering 150 ms, and waits 100 ms at most",
        cases=lambda: 60_000,
        run=run,
        fast=600,
        chunk=1_500,
    ),
)

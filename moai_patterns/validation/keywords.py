"""The `jsonschema` library as the explaining engine: its keywords, where they can hang or differ, replaced.

Python's `re` backtracks without bound, `multipleOf` divides floats and `uniqueItems` compares every pair:
these three are asked of the fast engine.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jsonschema.exceptions import ValidationError as Broken
from jsonschema.validators import Draft202012Validator, extend

from moai_patterns.validation.dialect import holds, is_integer
from moai_patterns.validation.mirror import TIMESTAMP
from moai_patterns.validation.references import registry

Keyword = Callable[[Any, Any, Any, Any], Iterable[Broken]]


class ExhaustedError(Exception):
    """A schema asks for more than can be explained in bounded time."""


class _Run(threading.local):
    steps = 0
    patterned = False


_run = _Run()


class Explainer:
    """Lists the broken rules of values under one schema, whose references reach the given documents only."""

    def __init__(self, schema: Mapping[str, Any], documents: Mapping[str, Mapping[str, Any]]) -> None:
        # With $schema in it, a referenced schema would be run by the library's own class, not by this one.
        bare = {uri: {key: each[key] for key in each if key != "$schema"} for uri, each in documents.items()}
        self._validator = _Validator(
            {key: schema[key] for key in schema if key != "$schema"}, registry=registry(bare)
        )
        self._patterned = '"patternProperties"' in json.dumps(bare)

    def broken_rules(self, value: Any, steps: int) -> Iterator[Broken]:
        """Yield every broken rule of a plain value; raise `ExhaustedError` after so many references.

        A recursive schema can ask the same question of a nested value exponentially often.
        """
        _run.steps, _run.patterned = steps, self._patterned
        try:
            yield from self._validator.iter_errors(value)
        except RecursionError:
            raise ExhaustedError from None


def _counted(keyword: str) -> Keyword:
    follow = Draft202012Validator.VALIDATORS[keyword]

    def check(validator: Any, reference: Any, value: Any, schema: Any) -> Iterable[Broken]:
        _run.steps -= 1
        if _run.steps < 0:
            raise ExhaustedError
        yield from follow(validator, reference, value, schema)

    return check


def _asked(keyword: str) -> Keyword:
    def check(_: Any, wanted: Any, value: Any, __: Any) -> Iterable[Broken]:
        if not holds(keyword, wanted)(value):
            yield Broken(keyword)

    return check


def _required(_: Any, names: list[str], value: Any, __: Any) -> Iterable[Broken]:
    if isinstance(value, dict):
        yield from (Broken("required", path=(name,)) for name in names if name not in value)


def _dependent_required(_: Any, needs: dict[str, list[str]], value: Any, __: Any) -> Iterable[Broken]:
    if isinstance(value, dict):
        names = dict.fromkeys(name for key, names in needs.items() if key in value for name in names)
        yield from (Broken("dependentRequired", path=(name,)) for name in names if name not in value)


def _properties(validator: Any, parts: Any, value: Any, __: Any) -> Iterable[Broken]:
    if isinstance(value, dict):
        for key, part in parts.items():
            if key in value:
                yield from _member(validator, value, key, part)


def _pattern_properties(validator: Any, patterns: Any, value: Any, __: Any) -> Iterable[Broken]:
    if isinstance(value, dict):
        for regex, part in patterns.items():
            for key in filter(holds("pattern", regex), value):
                yield from _member(validator, value, key, part)


def _additional_properties(validator: Any, rest: Any, value: Any, schema: Any) -> Iterable[Broken]:
    if isinstance(value, dict):
        named = schema.get("properties", {})
        matching = [holds("pattern", regex) for regex in schema.get("patternProperties", {})]
        for key in value:
            if key not in named and not any(matches(key) for matches in matching):
                yield from _member(validator, value, key, rest)


def _member(validator: Any, value: Any, key: str, part: Any) -> Iterable[Broken]:
    if part is False:  # the library would leave the key out of the path
        yield Broken("false", path=(key,), validator="false", validator_value=False, instance=value[key])
    else:
        yield from validator.descend(value[key], part, path=key, schema_path=key)


def _unevaluated_properties(validator: Any, rest: Any, value: Any, schema: Any) -> Iterable[Broken]:
    if _run.patterned:  # the library would run the expressions of patternProperties in Python
        raise ExhaustedError
    yield from Draft202012Validator.VALIDATORS["unevaluatedProperties"](validator, rest, value, schema)


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        **{keyword: _counted(keyword) for keyword in ("$ref", "$dynamicRef")},
        **{keyword: _asked(keyword) for keyword in ("pattern", "multipleOf", "uniqueItems", TIMESTAMP)},
        "required": _required,
        "dependentRequired": _dependent_required,
        "properties": _properties,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "unevaluatedProperties": _unevaluated_properties,
    },
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: is_integer(value)),
)

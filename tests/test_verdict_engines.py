"""One verdict from all engines: over everything close to a limit, and over what chance makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from annotated_types import Ge, Gt, Interval, Le, Len, Lt, MaxLen, MinLen, MultipleOf
from hypothesis import given, settings
from hypothesis import strategies as st

from moai_patterns.records import IsTimestamp, Lacks, Matches, PatternType
from moai_patterns.schema import errors
from moai_patterns.validation import compiled, dialect, typed
from moai_patterns.validation.explain import _explainer
from moai_patterns.validation.faults import faults
from moai_patterns.validation.keywords import Explainer
from moai_patterns.validation.registry import register
from moai_patterns.validation.sound import plain, sound
from moai_patterns.validation.verdict import admitted, kind_of
from schema_pools import POOL, kinds_forgotten, near_misses, places, put, record

Engine = Callable[[Any], bool]


def hot_path(value: Any) -> bool:
    """The verdict that a save goes by."""
    return admitted(value) is not None


def explaining(value: Any) -> bool:
    """The verdict of the walk that names faults and of `jsonschema`, without a look at the fast engine's."""
    copy, found = faults(value)
    kind = kind_of(copy)
    return not found and kind is not None and not list(_explainer(kind).broken_rules(copy, 10**6))


BUILT_IN_ENGINES: dict[str, Engine] = {
    "jsonschema-rs": hot_path,
    "jsonschema": explaining,
    "generated code": compiled.valid,
    "typeguard": typed.valid,
}


def disagreements(engines: dict[str, Engine], values: Iterable[Any]) -> Iterator[tuple[Any, dict[str, bool]]]:
    """The values about which the engines do not agree, with each one's verdict."""
    for value in values:
        verdicts = {name: engine(value) for name, engine in engines.items()}
        if len(set(verdicts.values())) > 1:
            yield value, verdicts


def test_the_engines_agree_on_every_near_miss() -> None:
    """Each field of each built-in kind, set to each value of the pool: the same verdict from all four."""
    assert list(disagreements(BUILT_IN_ENGINES, near_misses())) == []


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A record of a built-in kind with up to four members set to values of the pool, or taken away."""
    kind = draw(st.sampled_from([kind.value for kind in PatternType] + ["tool_use", "hook_event"]))
    made = record(kind, context={})
    for place in draw(st.lists(st.sampled_from(places(kind)), max_size=4)):
        if draw(st.booleans()):
            put(made, place, POOL[draw(st.integers(0, len(POOL) - 1))])
        elif type(made.get(place[0])) is dict and len(place) == 2:
            made[place[0]].pop(place[1], None)
    return made


@given(mutated())
@settings(max_examples=400, deadline=None)
def test_the_engines_agree_on_records_with_several_changes(value: dict[str, Any]) -> None:
    """Whatever is changed together, the verdict is one, and only valid records have no violations."""
    assert list(disagreements(BUILT_IN_ENGINES, [value])) == []
    assert (errors(value) == []) is hot_path(value)


@pytest.mark.parametrize("number", range(len(POOL)))
def test_the_engines_agree_on_what_is_no_record(number: int) -> None:
    """A value of the pool in the place of a record is refused by every engine."""
    assert {engine(POOL[number]) for engine in BUILT_IN_ENGINES.values()} == {False}


@pytest.mark.parametrize("number", range(len(POOL)))
def test_the_walks_agree_on_what_json_can_hold(number: int) -> None:
    """The grade, the list of faults and the write-and-read of the hot path say the same of every value."""
    whole = record("hook_event", data={"event": "e", "payload": POOL[number]})
    grade = sound((whole,))
    assert (grade > 0) is (faults(whole)[1] == []) is hot_path(whole)
    if grade:
        assert identical(admitted(whole), plain(whole))
        assert identical(faults(whole)[0], plain(whole))


def identical(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same to the type and the sign of zero."""
    return one == other and repr(one) == repr(other)


class Inner(TypedDict, total=False):
    """A part of `Rich` that contains itself."""

    weight: Annotated[float, Gt(0), Lt(10)]
    parts: list[Inner]


class Rich(TypedDict):
    """Everything that an annotation can say."""

    name: Annotated[str, Len(1, 5), Matches("^[a-z]"), Matches("z?"), Lacks("q")]
    step: NotRequired[Annotated[float, MultipleOf(0.01)]]
    even: NotRequired[Annotated[int, MultipleOf(2), Interval(ge=-4, le=4)] | None]
    mode: NotRequired[Literal["on", "off", 1] | None]
    flag: NotRequired[Literal[True]]
    kind: NotRequired[PatternType]
    when: NotRequired[Annotated[str, IsTimestamp()] | None]
    either: NotRequired[int | str | bool]
    mixed: NotRequired[Annotated[str, MinLen(2)] | Annotated[int, Ge(3)] | list[bool]]
    inner: NotRequired[Inner]
    several: NotRequired[Annotated[list[Inner], MaxLen(2)]]
    table: NotRequired[Annotated[dict[str, Annotated[int, Le(3)]], MinLen(1)]]
    free: NotRequired[Any]
    nothing: NotRequired[None]


RICH_VALUES: list[Any] = [
    *POOL,
    *("on", "off", "abc", "zq", "abcdef", 0.01, 0.29, 19.99, 0.015, 2, 4, -4, 5, 2.0, 3, 3.5, "ab", 1e-300),
    *(
        [True, False],
        [1],
        {"weight": 1},
        {"weight": 0},
        {"weight": 10},
        {"weight": 9.99, "x": 1},
        {"parts": []},
    ),
    *(
        {"parts": [{"parts": [{"weight": "x"}]}]},
        {"parts": [{"weight": 2}]},
        [{}, {}],
        [{}, {}, {}],
        {"k": 4},
        {"k": 3},
    ),
]


def test_the_engines_agree_on_a_kind_with_every_annotation() -> None:
    """A TypedDict that uses each supported annotation: the same verdict from every engine that knows it."""
    with kinds_forgotten():
        register("rich", Rich)
        engines = {name: BUILT_IN_ENGINES[name] for name in ("jsonschema-rs", "jsonschema", "typeguard")}
        values = [
            record("rich", data={"name": "abc", **change})
            for field in Rich.__annotations__
            for change in ({field: value} for value in RICH_VALUES)
        ]
        assert list(disagreements(engines, values)) == []
        accepted = sum(map(hot_path, values))
        assert 300 < accepted < len(values) - 300


SCALARS: list[Any] = [
    *(None, True, False, 0, 1, 2, 3, 1.0, 1.5, 0.1, 0.3, 19.99, -0.0, 2**53, 2.0**53, 2**63 - 1, 1e308),
    *(2.0**63, -(2.0**63)),
    *("", "a", "ab", "b\n", "é", "x" * 9),
]
JSON = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "ab", ""]), inner, max_size=3)
    ),
    max_leaves=6,
)
REGEXES = st.sampled_from(["^a", "b$", "a|b", "^(a+)+$", "^$", "\\d", "^.{1,2}$", "[^a]", "\\s"])
SIZES = st.integers(0, 3)
BOUNDS = st.sampled_from([0, 1, 1.5, 2**53 + 1, 2.0**53, -1, 0.1])
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
NAMES = st.sampled_from(["a", "b", "ab"])


def keywords(part: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Up to four keywords of JSON Schema over the given subschemas."""
    named, several = st.dictionaries(NAMES, part, max_size=2), st.lists(part, min_size=1, max_size=3)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
        "enum": st.lists(JSON, min_size=1, max_size=3),
        "const": JSON,
        "multipleOf": st.sampled_from([1, 2, 0.5, 0.1, 0.01, 1e-8, 3.0]),
        **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), BOUNDS),
        **dict.fromkeys(
            ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), SIZES
        ),
        **dict.fromkeys(("minContains", "maxContains"), SIZES),
        "pattern": REGEXES,
        "uniqueItems": st.booleans(),
        "required": st.lists(NAMES, max_size=2, unique=True),
        "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True), max_size=2),
        **dict.fromkeys(("properties", "dependentSchemas"), named),
        "patternProperties": st.dictionaries(REGEXES, part, max_size=2),
        **dict.fromkeys(
            ("additionalProperties", "propertyNames", "items", "contains", "not", "if", "then", "else"), part
        ),
        **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), several),
        "x-timestamp": st.booleans(),
    }
    chosen = st.lists(st.sampled_from(sorted(optional)), min_size=1, max_size=4, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: optional[name] for name in names}))


SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | keywords(st.booleans()), keywords, max_leaves=6
)


@given(SCHEMAS.filter(lambda schema: isinstance(schema, dict)), st.lists(JSON, min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_the_explaining_engine_follows_the_fast_one_on_any_schema(
    schema: dict[str, Any], values: list[Any]
) -> None:
    """For schemas out of every keyword, both validators give the same verdict on every value."""
    fast, slow = dialect.compiled(schema), Explainer(schema, {})
    for value in values:
        assert fast.is_valid(value) is not any(slow.broken_rules(value, 10**6)), value

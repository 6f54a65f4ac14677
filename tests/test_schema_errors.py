"""What is refused, where and why: the list of violations and the error that carries it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from moai_patterns import PatternSchema, PatternType, ValidationError, Violation, register
from moai_patterns.schema import admit, drift, errors
from moai_patterns.validation.faults import describe, json_path
from schema_pools import (
    POOL,
    VALID,
    Colour,
    Level,
    Lying,
    LyingDict,
    Ratio,
    Unequal,
    Word,
    kinds_forgotten,
    nested,
    record,
    recursive,
)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Each test starts with the built-in kinds."""
    with kinds_forgotten():
        yield


def task(**data: Any) -> dict[str, Any]:
    """A record of a task with other data."""
    return record(data={**VALID["task_completion"], **data})


# The record, then the paths and rules of its violations.
BAD: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "no record": (None, [("$", "type")]),
    "a list": ([record()], [("$", "type")]),
    "text": ("{}", [("$", "type")]),
    "an empty object": (
        {},
        [(f"$.{name}", "required") for name in ("pattern_id", "pattern_type", "timestamp", "data")],
    ),
    "data as text": (record(data="text"), [("$.data", "type")]),
    "data null": (record(data=None), [("$.data", "type")]),
    "a text for a number": (task(duration_ms="5"), [("$.data.duration_ms", "type")]),
    "a boolean for a number": (task(duration_ms=True), [("$.data.duration_ms", "type")]),
    "a fraction for an integer": (task(duration_ms=1.5), [("$.data.duration_ms", "type")]),
    "a number for a boolean": (task(success=1), [("$.data.success", "type")]),
    "a missing key": (
        record(data={"task_type": "t", "agent": "a", "success": True}),
        [("$.data.duration_ms", "required")],
    ),
    "an empty name": (task(agent=""), [("$.data.agent", "minLength")]),
    "below the range": (task(duration_ms=-1), [("$.data.duration_ms", "minimum")]),
    "above the range": (task(coverage_percent=100.5), [("$.data.coverage_percent", "maximum")]),
    "no choice": (record(context={"environment": "prod"}), [("$.context.environment", "enum")]),
    "no hour 24": (record(timestamp="2025-11-29T24:00"), [("$.timestamp", "timestamp")]),
    "no month 13": (record(timestamp="2025-13-01"), [("$.timestamp", "timestamp")]),
    "a week date": (record(timestamp="2025-W48-6"), [("$.timestamp", "timestamp")]),
    "text for a date": (record(timestamp="yesterday"), [("$.timestamp", "timestamp")]),
    "seconds for a date": (record(timestamp=1764378000), [("$.timestamp", "type")]),
    "a date of the context": (
        record(context={"timestamp": "2025-02-29"}),
        [("$.context.timestamp", "timestamp")],
    ),
    "NaN": (task(coverage_percent=math.nan), [("$.data.coverage_percent", "finite")]),
    "NaN below an unknown key": (task(extra=[{"deep": math.nan}]), [("$.data.extra[0].deep", "finite")]),
    "infinity in the metadata": (
        record(context={"metadata": {"a": math.inf}}),
        [("$.context.metadata.a", "finite")],
    ),
    "a lone surrogate": (task(agent="a\ud800"), [("$.data.agent", "surrogate")]),
    "a lone surrogate in a key": (task(**{"\udfff": 1}), [("$.data['\\udfff']", "surrogate")]),
    "an integral float of 65 bits": (task(duration_ms=2.0**64), [("$.data.duration_ms", "type")]),
    "a huge integral float": (task(lines_of_code=1e300), [("$.data.lines_of_code", "type")]),
    "65 bits": (task(lines_of_code=2**63), [("$.data.lines_of_code", "integer-range")]),
    "a huge integer": (task(extra=10**5000), [("$.data.extra", "integer-range")]),
    "10,000 levels": (task(extra=nested(10_000)), [("$.data.extra" + "[0]" * 98, "depth")]),
    "101 levels": (task(extra=nested(99)), [("$.data.extra" + "[0]" * 98, "depth")]),
    "itself": (task(extra=recursive()), [("$.data.extra[0]", "depth"), ("$.data.extra[1]", "depth")]),
    "context null": (record(context=None), [("$.context", "type")]),
    "a key that is no text": (task(extra={1: 2}), [("$.data.extra", "key")]),
    "keys that become one": (task(extra={"a": 1, Unequal("a"): 2}), [("$.data.extra", "key")]),
    "a tuple": (task(extra=(1, 2)), [("$.data.extra", "type")]),
    "bytes": (task(agent=b"a"), [("$.data.agent", "type")]),
    "a set": (record(context={"tags": {"a"}}), [("$.context.tags", "type")]),
    "an object that lies": (task(extra=Lying()), [("$.data.extra", "type")]),
    "an id with a slash": (record(pattern_id="a/b"), [("$.pattern_id", "not")]),
    "an id that goes up": (record(pattern_id="..x"), [("$.pattern_id", "not")]),
    "an id with NUL": (record(pattern_id="a\x00"), [("$.pattern_id", "not")]),
    "an id of 1 MB": (record(pattern_id="x" * 2**20), [("$.pattern_id", "maxLength")]),
    "an empty id": (record(pattern_id=""), [("$.pattern_id", "minLength")]),
    "a number for an id": (record(pattern_id=5), [("$.pattern_id", "type")]),
    "an unknown kind": (record("nope"), [("$.pattern_type", "kind")]),
    "a kind with a slash": (record("a/../b"), [("$.pattern_type", "kind")]),
    "a kind of 1 MB": (record("x" * 2**20), [("$.pattern_type", "kind")]),
    "a kind that is no text": (record(pattern_type=["task_completion"]), [("$.pattern_type", "type")]),
    "an unknown version": (record(version="9.9"), [("$.version", "version")]),
    "a version that is no text": (record(version=1.0), [("$.version", "type")]),
    "an empty version": (record(version=""), [("$.version", "version")]),
    "a reserved member": (record(_meta={}), [("$._meta", "false")]),
    "an item of a list": (
        record(context={"tags": ["a", "", 5]}),
        [("$.context.tags[1]", "minLength"), ("$.context.tags[2]", "type")],
    ),
    "several at once": (
        {**task(agent=5, success=None, extra=math.nan, duration_ms=-1), "timestamp": "", "pattern_id": "/"},
        [
            ("$.data.extra", "finite"),
            ("$.pattern_id", "not"),
            ("$.timestamp", "timestamp"),
            ("$.data.agent", "type"),
            ("$.data.duration_ms", "minimum"),
            ("$.data.success", "type"),
        ],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_place_and_rule(case: str) -> None:
    """Each way to be wrong gives a `ValidationError` that lists every broken rule with its place."""
    bad, expected = BAD[case]
    with pytest.raises(ValidationError) as refusal:
        admit(bad)
    violations = refusal.value.violations
    assert [(violation.path, violation.rule) for violation in violations] == expected
    assert list(violations) == errors(bad) == PatternSchema.errors(bad)
    assert all(len(violation.sentence) < 400 and violation.sentence.isprintable() for violation in violations)
    assert isinstance(refusal.value, ValueError)


def test_an_error_of_one_violation_is_one_line() -> None:
    """The message names the place, what was wrong and the rule."""
    with pytest.raises(ValidationError) as refusal:
        admit(task(duration_ms="soon"))
    assert str(refusal.value) == "refused: $.data.duration_ms: must be an integer, not the text 'soon' (type)"


def test_an_error_of_several_violations_lists_them() -> None:
    """One line each, up to twenty; the rest is counted, and all stand in `violations`."""
    with pytest.raises(ValidationError) as refusal:
        admit(record(context={"tags": [""] * 25}))
    lines = str(refusal.value).splitlines()
    assert lines[:2] == ["refused: 25 rules are broken", "  $.context.tags[0]: must not be empty (minLength)"]
    assert lines[-1] == "  ... and 5 more"
    assert len(lines) == 22
    assert len(refusal.value.violations) == 25


@pytest.mark.parametrize("number", range(len(POOL)))
def test_errors_never_raises(number: int) -> None:
    """Whatever stands in the place of a record or inside one, the answer is a list."""
    value = POOL[number]
    for given in (
        value,
        record(data=value),
        task(agent=value),
        record(context=value, timestamp=value),
        {"": value},
    ):
        assert all(isinstance(violation, Violation) for violation in errors(given))


def test_thousands_of_places_too_deep_are_not_all_listed() -> None:
    """A web of containers has more deep places than anyone could read; the walk stops at twenty."""
    web: list[Any] = []
    for _ in range(200):
        web = [web, web]
    assert [violation.rule for violation in errors(task(extra=web))] == ["depth"] * 20


PATHS = [
    ((), "$"),
    (("data", "duration_ms"), "$.data.duration_ms"),
    (("a", 0, 12, "b"), "$.a[0][12].b"),
    (("a b",), "$['a b']"),
    (("",), "$['']"),
    (("1a",), "$['1a']"),
    (("it's",), "$['it\\'s']"),
    (("a\\b",), "$['a\\\\b']"),
    (("é",), "$['é']"),
    (("\n\x00\ud800",), "$['\\n\\x00\\ud800']"),
    (("a.b", "[0]"), "$['a.b']['[0]']"),
    (("x" * 200,), "$['" + "x" * 80 + "...']"),
]


@pytest.mark.parametrize(("steps", "path"), PATHS)
def test_paths_are_quoted_where_needed(steps: tuple[str | int, ...], path: str) -> None:
    """Names stand after a dot; whatever is no identifier stands escaped in brackets, cut when very long."""
    assert json_path(steps) == path


VALUES = [
    (None, "null"),
    (True, "the boolean true"),
    (False, "the boolean false"),
    (5, "the integer 5"),
    (2**64, "an integer of 65 bits"),
    (1.5, "the number 1.5"),
    (math.nan, "the number nan"),
    ("a", "the text 'a'"),
    ("x" * 50, "the text '" + "x" * 40 + "...' of 50 characters"),
    ([], "an array of 0 items"),
    ([1], "an array of 1 item"),
    ({}, "an object of 0 keys"),
    ({1: 2}, "an object of 1 key"),
    ((), "a value of the type tuple"),
    (Word("a"), "the text 'a'"),
    (Level.HIGH, "the integer 3"),
    (Lying(), "a value of the type Lying"),
    (LyingDict(a=1), "an object of 1 key"),
    (type("x" * 100, (), {})(), "a value of the type " + "x" * 40 + "..."),
]


def test_values_are_named_by_their_type() -> None:
    """A sentence names the type of a value, with a short look at scalars and none at the rest."""
    for value, text in VALUES:
        assert describe(value) == text


_ONE = "an object of 1 key"
_BOTH = f"must be a text, not {_ONE}; .a: must be null, not the integer 1"
# Schema, value, rule, sentence: one for each keyword.
SENTENCES: list[tuple[dict[str, Any], Any, str, str]] = [
    ({"type": ["integer", "null"]}, "a", "type", "must be an integer or null, not the text 'a'"),
    ({"enum": [1, "a", None]}, 2, "enum", "must be one of 1, 'a', null, not the integer 2"),
    ({"enum": list(range(20))}, "a", "enum", "must be one of 0, 1, 2, 3, 4, 5, 6, 7, ..., not the text 'a'"),
    (
        {"const": {"a": "x" * 50}},
        2,
        "const",
        'must be {"a": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..., not the integer 2',
    ),
    ({"minimum": 3}, 2, "minimum", "must be at least 3, not the integer 2"),
    ({"maximum": 3}, 3.5, "maximum", "must be at most 3, not the number 3.5"),
    ({"exclusiveMinimum": 3}, 3, "exclusiveMinimum", "must be above 3, not the integer 3"),
    ({"exclusiveMaximum": 3}, 3, "exclusiveMaximum", "must be below 3, not the integer 3"),
    ({"multipleOf": 0.1}, 0.25, "multipleOf", "must be a multiple of 0.1, not the number 0.25"),
    ({"minLength": 1}, "", "minLength", "must not be empty"),
    ({"minLength": 2}, "a", "minLength", "must have at least 2 characters, not 1"),
    ({"maxLength": 2}, "abc", "maxLength", "must have at most 2 characters, not 3"),
    ({"minItems": 1}, [], "minItems", "must not be an empty array"),
    ({"maxItems": 1}, [1, 2], "maxItems", "must have at most 1 items, not 2"),
    ({"minProperties": 1}, {}, "minProperties", "must not be an empty object"),
    ({"maxProperties": 0}, {"a": 1}, "maxProperties", "must have at most 0 keys, not 1"),
    ({"pattern": "^b"}, "a", "pattern", "must contain a match of '^b', as the text 'a' does not"),
    ({"uniqueItems": True}, [1, 1.0], "uniqueItems", "an array of 2 items holds equal items"),
    ({"not": {"pattern": "a"}}, "a", "not", "must not contain a match of 'a', as the text 'a' does"),
    ({"not": {}}, 5, "not", "the integer 5 fits what is excluded by `not`"),
    ({"not": True}, 5, "not", "the integer 5 fits what is excluded by `not`"),
    ({"contains": {"const": 1}}, [2], "contains", "an array of 1 item breaks the rule contains"),
    (
        {"x-timestamp": True},
        "soon",
        "timestamp",
        "'soon' is no timestamp: the form is YYYY-MM-DD[THH:MM[:SS[.fraction]]][Z|+HH:MM]",
    ),
    (
        {"oneOf": [{"minimum": 1}, {"minimum": 2}]},
        5,
        "oneOf",
        "the integer 5 fits more than one of 2 alternatives",
    ),
    (
        {"oneOf": [False, False]},
        5,
        "oneOf",
        "the integer 5 fits none of the alternatives: "
        + "; ".join(["must not be there, whatever it is; it is the integer 5"] * 2),
    ),
    (
        {"anyOf": [{"type": "string"}, {"properties": {"a": {"type": "null"}}, "required": ["b"]}]},
        {"a": 1},
        "anyOf",
        f"{_ONE} fits none of the alternatives: {_BOTH}",
    ),
    (
        {"unevaluatedItems": False},
        [1],
        "unevaluatedItems",
        "an array of 1 item breaks the rule unevaluatedItems",
    ),
    (
        {"unevaluatedProperties": False},
        {"a": 1},
        "unevaluatedProperties",
        "an object of 1 key breaks the rule unevaluatedProperties",
    ),
]


@pytest.mark.parametrize(
    ("schema", "value", "rule", "sentence"), SENTENCES, ids=lambda value: str(value)[:40]
)
def test_each_keyword_has_its_sentence(schema: dict[str, Any], value: Any, rule: str, sentence: str) -> None:
    """What was wanted, and what stands there instead."""
    register("own", schema)
    assert errors(record("own", data=value)) == [("$.data", rule, sentence)]


def test_the_key_that_is_missing_or_too_much_ends_the_path() -> None:
    """A violation about a key points at that key, not at the object around it."""
    register(
        "own",
        {
            "required": ["a"],
            "dependentRequired": {"x": ["b", "a"], "y": ["b"], "none": ["c"]},
            "properties": {"x": {"type": "null"}, "p": False},
            "patternProperties": {"^y": {}, "^q": False},
            "additionalProperties": False,
        },
    )
    found = errors(record("own", data={"x": 1, "y": 2, "p": 3, "qq": 4, "zz": 5}))
    assert sorted((violation.path, violation.rule) for violation in found) == [
        ("$.data.a", "dependentRequired"),
        ("$.data.a", "required"),
        ("$.data.b", "dependentRequired"),
        ("$.data.p", "false"),
        ("$.data.qq", "false"),
        ("$.data.x", "type"),
        ("$.data.zz", "false"),
    ]


def test_what_no_keyword_tells_is_still_refused() -> None:
    """Where the explaining engine cannot look without danger, the refusal names the data as a whole."""
    register("own", {"patternProperties": {"^a": {}}, "unevaluatedProperties": False})
    assert errors(record("own", data={"a": 1})) == []
    (violation,) = errors(record("own", data={"b": 1}))
    assert (violation.path, violation.rule) == ("$.data", "schema")


def test_a_record_that_only_the_explanation_accepts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the engines ever differ, the fast one's refusal stands, with one violation that says so."""
    from moai_patterns.validation.keywords import Explainer

    monkeypatch.setattr(Explainer, "broken_rules", lambda *_: iter(()))
    with pytest.raises(
        ValidationError, match=r"\$\.data: breaks the schema of its kind in a way that no keyword tells"
    ):
        admit(task(agent=5))


def test_admit_returns_a_plain_copy() -> None:
    """Enum members and other subclasses become what they extend; nothing is shared with the original."""
    own = record(
        PatternType.TASK_COMPLETION.value,
        pattern_type=PatternType.TASK_COMPLETION,
        context=LyingDict(
            tags=[Colour.RED, Word("b")], metadata={Word("k"): {Colour.RED: [Ratio(0.5), Level.HIGH]}}
        ),
    )
    copy = admit(own)
    assert copy == json.loads(json.dumps(copy))
    assert copy["pattern_type"] == "task_completion"
    assert copy["context"] == {"tags": ["red", "b"], "metadata": {"k": {"red": [0.5, 3]}}}
    assert type(copy["pattern_type"]) is type(copy["context"]["tags"][0]) is str
    assert type(copy["context"]) is dict
    assert [type(value) for value in copy["context"]["metadata"]["k"]["red"]] == [float, int]
    assert copy["data"] == own["data"]
    assert copy["data"] is not own["data"]


EXTREME = [
    0,
    -0.0,
    1.0,
    1e308,
    5e-324,
    2**53,
    2**63 - 1,
    -(2**63),
    "\x00",
    "\U0001f600",
    {"": {"": []}},
    True,
    None,
    nested(98),
]


@pytest.mark.parametrize("value", EXTREME, ids=lambda value: str(value)[:20])
def test_what_json_can_hold_comes_back_to_the_type(value: Any) -> None:
    """Extremes pass, and the copy has the same values of the same types, the sign of zero included."""
    copy = admit(task(extra=value))["data"]["extra"]
    assert repr(copy) == repr(value)
    assert json.loads(json.dumps(copy)) == value


def test_drift_lists_the_keys_that_no_schema_names() -> None:
    """Unknown keys of envelope, context and data are listed; what stands inside free objects is not."""
    own = record(context={"framework": "x", "metadata": {"free": 1}}, extra={"deep": 1})
    own["data"].update({"mood": "calm", "a b": 1, "coverage_percent": None})
    assert drift(own) == ["$.context.framework", "$.data.mood", "$.data['a b']", "$.extra"]
    assert drift(record(data=VALID["task_completion"])) == []


def test_drift_looks_into_nested_and_combined_schemas() -> None:
    """A key is known when any part of the schema that applies names it."""
    register(
        "own",
        {
            "allOf": [
                {"properties": {"a": {"properties": {"x": {}}}}},
                {"properties": {"b/c~": {"items": {"$ref": "#/$defs/d"}}}},
            ],
            "anyOf": [{"properties": {"e": {"type": "string"}}}, True],
            "patternProperties": {"^p": {}},
            "$defs": {"d": {"properties": {"k": {}}}},
        },
    )
    data = {"a": {"x": 1, "y": 2}, "b/c~": [{"k": 1}, {"l": 1}], "e": 5, "p1": 1, "q": 1}
    assert drift(record("own", data=data)) == ["$.data.a.y", "$.data.e", "$.data.q", "$.data['b/c~'][1].l"]


def test_drift_of_an_invalid_record_is_its_refusal() -> None:
    """What is not valid has no drift."""
    with pytest.raises(ValidationError):
        drift(task(agent=5))

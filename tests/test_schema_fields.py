"""The documented shapes: fields, types, ranges, and the six checks by their documented names."""

from __future__ import annotations

from typing import Any

import pytest

from moai_patterns import PatternSchema, PatternType
from moai_patterns.records import BUILT_IN, Pattern, PatternContext
from moai_patterns.schema import json_schema
from schema_pools import POOL, VALID, Lying, LyingDict, nested, record, recursive

TEXT, MAYBE_TEXT, NAME = "text", "text or null", "non-empty text"
COUNT, MAYBE_COUNT, TRUTH = "count", "count or null", "boolean"

# Kind, then its fields in the documented order; a star marks the required ones.
TABLES: dict[str, dict[str, str]] = {
    "task_completion": {
        "task_type*": NAME,
        "agent*": NAME,
        "duration_ms*": COUNT,
        "success*": TRUTH,
        "files_created": COUNT,
        "files_modified": COUNT,
        "tests_passed": COUNT,
        "tests_failed": COUNT,
        "lines_of_code": COUNT,
        "coverage_percent": "percent or null",
        "error_message": MAYBE_TEXT,
        "retry_count": COUNT,
    },
    "error_occurrence": {
        "error_type*": NAME,
        "error_message*": TEXT,
        "stack_trace": TEXT,
        "file_path": TEXT,
        "line_number": COUNT,
        "function_name": MAYBE_TEXT,
        "resolution": MAYBE_TEXT,
        "resolution_time_ms": MAYBE_COUNT,
        "similar_errors_count": COUNT,
        "auto_resolved": TRUTH,
        "user_intervention": TRUTH,
    },
    "agent_usage": {
        "agent_type*": NAME,
        "task_type*": NAME,
        "success*": TRUTH,
        "duration_ms*": COUNT,
        "retry_count": COUNT,
        "tools_used": "texts",
        "files_accessed": COUNT,
        "api_calls": COUNT,
        "tokens_used": COUNT,
        "memory_mb": "measure or null",
        "cpu_percent": "measure or null",
        "parallel_tasks": COUNT,
    },
    "user_correction": {
        "original_output*": TEXT,
        "corrected_output*": TEXT,
        "correction_type*": NAME,
        "agent*": NAME,
        "task_type": TEXT,
        "correction_category": TEXT,
        "user_feedback": MAYBE_TEXT,
        "severity": "severity",
        "pattern_matched": MAYBE_TEXT,
    },
    "context": {
        "project_name": TEXT,
        "session_id": TEXT,
        "user_id": MAYBE_TEXT,
        "environment": "environment",
        "git_branch": MAYBE_TEXT,
        "git_commit": "commit or null",
        "timestamp": "timestamp",
        "tags": "non-empty texts",
        "metadata": "object",
        "spec_id": MAYBE_TEXT,
    },
    "tool_use": {
        "tool_name*": NAME,
        "tool_input": "anything",
        "tool_response": "anything",
        "tool_use_id": MAYBE_TEXT,
        "duration_ms": "measure or null",
        "success": TRUTH,
    },
    "hook_event": {"event*": NAME, "payload": "anything", "raw": TEXT, "reason": TEXT},
    "envelope": {
        "pattern_id*": "id",
        "pattern_type*": "kind",
        "timestamp*": "timestamp",
        "data*": "anything",
        "context": "object",
        "version": NAME,
    },
}
# What is accepted and what is not, at the very limits.
EXAMPLES: dict[str, tuple[list[Any], list[Any]]] = {
    TEXT: (["", "a", "\x00", "\U0001f600"], [None, 1, True, [], {}]),
    NAME: (["a", " ", "é"], ["", None, 1, False]),
    MAYBE_TEXT: (["", "a", None], [1, True, []]),
    COUNT: ([0, 1, 2**63 - 1, 1.0, -0.0, 1e16], [-1, 1.5, True, False, None, "1", 2**63, float("nan")]),
    MAYBE_COUNT: ([0, 5, 5.0, None], [-1, 0.5, True, "0"]),
    TRUTH: ([True, False], [0, 1, None, "true"]),
    "percent or null": ([0, 100, 99.9, 0.0, None], [-0.1, 100.1, True, "5", float("nan"), float("inf")]),
    "measure or null": ([0, 0.5, 350.0, 1e308, None], [-1, -5e-324, True, "5", float("inf"), float("nan")]),
    "texts": ([[], ["a", ""]], [["a", 1], "a", None, {}]),
    "non-empty texts": ([[], ["a"]], [[""], ["a", None], "a", None]),
    "severity": (["minor", "moderate", "critical"], ["Minor", "", None, [], {}, 1]),
    "environment": (["development", "staging", "production"], ["prod", None, ["staging"]]),
    "commit or null": (
        ["abcdef0", "A" * 64, None],
        ["abcdef", "a" * 65, "abcdefg", "abcdef0\n", "", 1234567],
    ),
    "timestamp": (
        ["2025-11-29", "2025-11-29 10:00Z"],
        ["", "now", "2025-11-29T24:00", "2025-13-01", None, 0],
    ),
    "object": ([{}], [None, [], "a", 1]),
    "anything": ([None, 0, "", [], {"a": [1.5]}], [float("nan"), "\ud800", (1,)]),
    "id": (["a", "x" * 255, "é.ü", "a b"], ["", "x" * 256, "a/b", "a\\b", "..", "a\x00", "a\n", None, 5]),
    "kind": (["task_completion", PatternType.TASK_COMPLETION], ["nope", "", None, 5, [], "task_completion "]),
}
CHECKS = {
    "task_completion": PatternSchema.validate_task_completion,
    "error_occurrence": PatternSchema.validate_error_occurrence,
    "agent_usage": PatternSchema.validate_agent_usage,
    "user_correction": PatternSchema.validate_user_correction,
    "context": PatternSchema.validate_context,
}
FIELDS = [(kind, name) for kind, table in TABLES.items() for name in table]


@pytest.mark.parametrize("kind", TABLES)
def test_the_fields_are_the_documented_ones(kind: str) -> None:
    """Names, order and required keys are those of the document, in the TypedDict and in its mirror."""
    shape = {**BUILT_IN, "context": PatternContext, "envelope": Pattern}[kind]
    names = [name.rstrip("*") for name in TABLES[kind]]
    schema = json_schema(kind)
    assert list(shape.__annotations__) == names
    assert [name for name in schema["properties"] if name != "_meta"] == names
    assert schema.get("required", []) == [name[:-1] for name in TABLES[kind] if name.endswith("*")]
    assert "additionalProperties" not in schema


def test_the_numbers_of_fields_are_the_documented_ones() -> None:
    """12, 11, 12 and 9 fields for the four kinds, and 10 for the context."""
    assert [len(TABLES[kind]) for kind in CHECKS] == [12, 11, 12, 9, 10]


def accepts(kind: str, name: str, value: Any) -> bool:
    """Whether a record with this value in this field is valid."""
    if kind == "envelope":
        return PatternSchema.validate_pattern(record(**{name: value}))
    if kind == "context":
        return PatternSchema.validate_pattern(record(context={name: value}))
    return PatternSchema.validate_pattern(record(kind, data={**VALID[kind], name: value}))


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_a_field_accepts_what_the_table_says(kind: str, name: str) -> None:
    """Each field takes the values up to its limits and refuses those beyond, alone and in a record."""
    field = name.rstrip("*")
    right, wrong = EXAMPLES[TABLES[kind][name]]
    if (kind, field) == ("envelope", "version"):
        right = ["1.0"]  # a version has to be registered
    if (kind, field) == ("envelope", "data"):
        right, wrong = [VALID["task_completion"]], [None, [], {}, "a"]
    assert [value for value in right if not accepts(kind, field, value)] == []
    assert [value for value in wrong if accepts(kind, field, value)] == []
    if kind in CHECKS:
        base = VALID.get(kind, {})
        assert all(CHECKS[kind]({**base, field: value}) for value in right)
        assert not any(CHECKS[kind]({**base, field: value}) for value in wrong)


@pytest.mark.parametrize(("kind", "name"), [(kind, name[:-1]) for kind, name in FIELDS if name.endswith("*")])
def test_a_required_key_may_not_be_missing(kind: str, name: str) -> None:
    """Without one of its required keys a payload or a record is refused."""
    whole = record() if kind == "envelope" else record(kind)
    assert PatternSchema.validate_pattern(whole)
    del (whole if kind == "envelope" else whole["data"])[name]
    assert not PatternSchema.validate_pattern(whole)
    if kind in CHECKS:
        assert not CHECKS[kind](whole["data"])


def test_unknown_keys_are_accepted_everywhere() -> None:
    """Records are open: a key that no schema names is no violation, in data, context and envelope."""
    unknown: dict[str, Any] = {"x": 1, "": None, "a b": [{}]}
    assert PatternSchema.validate_pattern(record(data={**VALID["task_completion"], **unknown}, **unknown))
    assert PatternSchema.validate_pattern(record(context=unknown))


def test_context_may_be_empty_or_absent_but_not_null() -> None:
    """`{}` is a context, null is none."""
    assert PatternSchema.validate_context({})
    assert PatternSchema.validate_pattern(record(context={}))
    assert not PatternSchema.validate_context(None)
    assert not PatternSchema.validate_pattern(record(context=None))


def test_the_constants_are_those_of_the_document() -> None:
    """The table of required fields and the two sets of choices derive from the shapes."""
    required = {
        kind: [name[:-1] for name in TABLES[kind.value] if name.endswith("*")] for kind in PatternType
    }
    assert {kind: list(names) for kind, names in PatternSchema.REQUIRED_FIELDS.items()} == required
    assert sorted(PatternSchema.VALID_SEVERITIES) == ["critical", "minor", "moderate"]
    assert sorted(PatternSchema.VALID_ENVIRONMENTS) == ["development", "production", "staging"]


@pytest.mark.parametrize("name", [name for name in vars(PatternSchema) if name.startswith("validate_")])
def test_no_value_makes_a_check_raise(name: str) -> None:
    """Whatever is handed over, also inside, the answer is a plain bool."""
    check = getattr(PatternSchema, name)
    hostile = [*POOL, Lying, type, check, nested(10_000), recursive(), LyingDict(record()), 10**10_000]
    for value in hostile:
        for given in (
            value,
            {"data": value},
            {"context": value, "tags": value},
            [value],
            {"pattern_type": value},
        ):
            assert check(given) in (True, False)
    assert check(None) is False


def test_the_six_checks_are_there() -> None:
    """The six names of the document, each a static method."""
    names = {name for name in vars(PatternSchema) if name.startswith("validate_")}
    assert names == {f"validate_{kind}" for kind in (*CHECKS, "pattern")}
    assert all(isinstance(vars(PatternSchema)[name], staticmethod) for name in names)

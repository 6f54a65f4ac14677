"""What the schemas of kinds refer to and how they match: nothing is fetched, and nothing takes for ever."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moai_patterns import PatternSchema, SchemaError, register
from moai_patterns.schema import errors
from moai_patterns.validation import registry
from schema_pools import kinds_forgotten, record


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Each test starts with the built-in kinds."""
    with kinds_forgotten():
        yield


def valid(kind: str, data: Any) -> bool:
    """Whether a record of a kind is valid."""
    return PatternSchema.validate_pattern(record(kind, data=data))


def doubling(depth: int) -> dict[str, Any]:
    """Definitions each of which names the one before twice."""
    names = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n - 1}"}] * 2} for n in range(1, depth + 1)}
    return {"$ref": f"#/$defs/a{depth}", "$defs": {"a0": {"type": "string"}, **names}}


def test_references_that_multiply_are_refused() -> None:
    """Forty doublings would take hours to evaluate; they are counted before anything is run."""
    register("few", doubling(5))
    with pytest.raises(SchemaError, match="references multiply"):
        register("many", doubling(40))


def test_long_chains_of_references_are_refused() -> None:
    """A thousand references in a row come from no person."""
    names: dict[str, Any] = {f"a{n}": {"$ref": f"#/$defs/a{n - 1}"} for n in range(1, 1000)}
    with pytest.raises(SchemaError, match="through more than 100 others"):
        register("long", {"$ref": "#/$defs/a999", "$defs": {"a0": {}, **names}})


def test_references_within_a_schema_and_to_registered_ones_work() -> None:
    """Definitions, anchors, embedded ids, recursion, unknown places, and the `$id` of what was registered."""
    register(
        "text", {"$id": "https://example.org/text", "type": "string", "$defs": {"short": {"maxLength": 3}}}
    )
    register(
        "tree",
        {
            "properties": {
                "name": {
                    "$ref": "https://example.org/text",
                    "allOf": [{"$ref": "https://example.org/text#/$defs/short"}],
                },
                "trees": {"items": {"$ref": "#"}},
                "anchored": {"$ref": "#place"},
                "embedded": {"$ref": "part"},
                "odd": {"$ref": "#/x-parts/0"},
                "around": {"$ref": "https://moai-patterns.example/schemas/context/1.0.json"},
            },
            "$defs": {"a": {"$anchor": "place", "const": 1}, "b": {"$id": "part", "const": 2}},
            "x-parts": [{"const": 3}],
        },
    )
    good = {
        "name": "abc",
        "trees": [{"trees": [{"name": "x"}]}],
        "anchored": 1,
        "embedded": 2,
        "odd": 3,
        "around": {},
    }
    assert valid("tree", good)
    wrong: dict[str, list[Any]] = {
        "name": ["abcd", 5],
        "trees": [[{"trees": [{"name": 5}]}]],
        "anchored": [2],
        "embedded": [1],
        "odd": [0],
        "around": [{"tags": 1}, None],
    }
    for name, values in wrong.items():
        for value in values:
            assert not valid("tree", {**good, name: value})
            assert all(
                v.path.startswith(f"$.data.{name}")
                for v in errors(record("tree", data={**good, name: value}))
            )


def test_a_reference_reaches_what_it_names_and_what_that_names_in_turn() -> None:
    """Not every kind there is: with thousands of them each registration and validator would take long."""
    register("word", {"$id": "https://example.org/word", "type": "string"})
    register("other", {"$id": "https://example.org/other", "type": "string"})
    register(
        "line",
        {
            "$id": "https://example.org/line",
            "$defs": {
                "part": {"$id": "https://example.org/part", "maxLength": 3},
                "words": {"items": {"$ref": "https://example.org/word"}},
            },
        },
    )
    register(
        "text",
        {
            "properties": {"a": {"$ref": "https://example.org/part"}, "b": {"$ref": "#/$defs/b"}},
            "$defs": {"b": {"$ref": "https://example.org/line#/$defs/words"}},
        },
    )
    register("short", {"$ref": "https://example.org/part"})
    for kind in ("text", "short"):
        made = registry.find(kind)
        assert made is not None
        assert {uri for uri in made.reach if uri.startswith("https://example.org/")} == {
            "https://example.org/line",
            "https://example.org/word",
        }
    assert valid("text", {"a": "abc", "b": ["x"]})
    assert not valid("text", {"a": "abcd"})
    assert not valid("text", {"b": [1]})
    assert valid("short", "abc")
    assert not valid("short", "abcd")
    assert [violation.path for violation in errors(record("text", data={"b": [1]}))] == ["$.data.b[0]"]


def test_nothing_is_fetched(tmp_path: Path) -> None:
    """Neither registration nor a check opens a connection or a file for a reference."""
    file = tmp_path / "schema.json"
    file.write_text('{"type": "string"}')
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        for target in (address, file.as_uri(), str(file), "//127.0.0.1/schema.json"):
            for schema in (
                {"$ref": target},
                {"$dynamicRef": target},
                {"$defs": {"unused": {"$ref": target}}},
                {"properties": {"a": {"items": {"$ref": f"{target}#/x"}}}},
                {"$schema": target},
                {"$id": target, "$ref": "other.json"},
                {"$ref": "#/x", "x": {"$ref": target}},
            ):
                with pytest.raises(SchemaError):
                    register("remote", schema)
        # Where a reference is only data, or an id only a name, nothing is looked up either.
        register("named", {"$id": address, "const": {"$ref": address}, "examples": [{"$ref": address}]})
        assert valid("named", {"$ref": address})
        assert errors(record("named", data=1))
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "keyword", ["pattern", "patternProperties", "propertyNames", "unevaluatedProperties"]
)
def test_no_expression_hangs(keyword: str) -> None:
    """Nested repeats over a long text take no longer than simple ones, also when the refusal is explained."""
    regex = "^(a+)+$"
    schemas: dict[str, dict[str, Any]] = {
        "pattern": {"properties": {"text": {"pattern": regex}}},
        "patternProperties": {"patternProperties": {regex: False}, "additionalProperties": {"type": "null"}},
        "propertyNames": {"propertyNames": {"pattern": regex}},
        "unevaluatedProperties": {"patternProperties": {regex: True}, "unevaluatedProperties": False},
    }
    register("hostile", schemas[keyword])
    text = "a" * 5000 + "b"
    program = threading.Thread(
        target=errors, args=(record("hostile", data={"text": text, text: 1}),), daemon=True
    )
    program.start()
    program.join(30)
    assert not program.is_alive()
    assert errors(record("hostile", data={"text": text, text: 1}))


def test_a_recursive_schema_that_branches_does_not_hang() -> None:
    """Two ways into each of ninety levels: the verdict comes at once, the explanation gives up in time."""
    branch = {"properties": {"a": {"$ref": "#"}}}
    register("maze", {"anyOf": [{**branch, "required": ["x"]}, {**branch, "required": ["y"]}]})
    data: dict[str, Any] = {}
    for _ in range(90):
        data = {"a": data}
    (violation,) = errors(record("maze", data=data))
    assert (violation.path, violation.rule) == ("$.data", "schema")
    assert "more ways than can be listed" in violation.sentence


def test_the_explanation_of_a_deep_value_ends_where_python_does() -> None:
    """A schema whose explanation needs more stack than there is still gets its verdict."""
    part: dict[str, Any] = {"properties": {"a": {"$ref": "#"}}, "minProperties": 1}
    for _ in range(15):
        part = {"allOf": [part]}
    register("deep", part)
    data: dict[str, Any] = {}
    for _ in range(95):
        data = {"a": data}
    assert [violation.rule for violation in errors(record("deep", data=data))] == ["schema"]

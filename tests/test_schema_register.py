"""Kinds of one's own: names, versions, schemas, and what registration refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from annotated_types import Ge

from forks import child, succeed
from moai_patterns import (
    PatternSchema,
    PatternType,
    SchemaError,
    ValidationError,
    json_schema,
    kinds,
    register,
)
from moai_patterns.schema import admit, errors
from moai_patterns.validation import registry
from schema_pools import NAN, Word, kinds_forgotten, nested, record


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Each test starts with the built-in kinds."""
    with kinds_forgotten():
        yield


class Review(TypedDict):
    """What a reviewer said."""

    verdict: str
    findings: NotRequired[Annotated[int, Ge(0)]]


SCHEMA = {"type": "object", "required": ["verdict"], "properties": {"verdict": {"enum": ["yes", "no"]}}}


def valid(kind: str, data: Any, **changes: Any) -> bool:
    """Whether a record of a kind is valid."""
    return PatternSchema.validate_pattern(record(kind, data=data, **changes))


def test_a_typed_dict_makes_a_kind() -> None:
    """Records of a registered TypedDict are measured by it."""
    register("review", Review)
    assert valid("review", {"verdict": "", "findings": 2, "more": None})
    assert not valid("review", {"verdict": "", "findings": -1})
    assert not valid("review", {})
    assert json_schema("review")["title"] == "Review"


def test_a_json_schema_makes_a_kind() -> None:
    """Records of a registered JSON Schema are measured by it; a missing `$id` and `$schema` are added."""
    register("review", SCHEMA)
    assert valid("review", {"verdict": "yes"})
    assert not valid("review", {"verdict": "perhaps"})
    added = {name: value for name, value in json_schema("review").items() if name not in SCHEMA}
    assert added == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://moai-patterns.example/schemas/review/1.0.json",
    }


def test_data_may_be_anything_that_its_schema_says() -> None:
    """`data` of a kind of one's own need not be an object."""
    register("score", {"type": "number"})
    assert valid("score", 0.5)
    assert not valid("score", {})
    register("anything", {})
    assert valid("anything", None)


def test_versions_stand_side_by_side() -> None:
    """Each record is measured by the version that it states; without one it is of version 1.0."""
    register("review", SCHEMA)
    register("review", {"required": ["stars"]}, version="2.0-rc.1")
    assert kinds()["review"] == ("1.0", "2.0-rc.1")
    assert valid("review", {"verdict": "no"})
    assert valid("review", {"verdict": "no"}, version="1.0")
    assert valid("review", {"stars": 5}, version="2.0-rc.1")
    assert not valid("review", {"stars": 5})
    assert json_schema("review", "2.0-rc.1")["$id"].endswith("/review/2.0-rc.1.json")


def test_a_kind_may_lack_the_first_version() -> None:
    """Then a record without a version is refused, and told which versions there are."""
    register("review", SCHEMA, version="3")
    (violation,) = errors(record("review", data={"verdict": "no"}, version="1.0"))
    assert violation == ("$.version", "version", "'review' has no version '1.0'; known are 3")
    (violation,) = errors(record("review", data={"verdict": "no"}))
    assert (violation.path, violation.rule) == ("$.version", "version")
    assert valid("review", {"verdict": "no"}, version="3")


def test_a_further_version_of_a_built_in_kind_leaves_the_first_alone() -> None:
    """Version 1.0 of a built-in kind is what the named checks go by."""
    register(PatternType.AGENT_USAGE, {"required": ["cost"]}, version="2.0")
    assert valid("agent_usage", {"cost": 1}, version="2.0")
    assert not PatternSchema.validate_agent_usage({"cost": 1})


def test_the_same_schema_again_does_nothing_and_another_one_is_refused() -> None:
    """A version that records may rely on never changes its meaning."""
    register("review", Review)
    register("review", Review)
    register("review", json_schema("review"))
    with pytest.raises(SchemaError, match=r"registered with another schema; .* a new version"):
        register("review", SCHEMA)
    with pytest.raises(SchemaError, match="registered with another schema"):
        register("task_completion", SCHEMA)
    assert valid("review", {"verdict": ""})


def test_true_and_one_make_different_schemas() -> None:
    """Schemas are compared as JSON, where `true` is not 1."""
    register("flag", {"const": True})
    with pytest.raises(SchemaError):
        register("flag", {"const": 1})


def test_a_schema_is_copied() -> None:
    """Changing what was registered, or what `json_schema` returned, changes nothing."""
    mine = json.loads(json.dumps(SCHEMA))
    register("review", mine)
    mine["required"].append("more")
    json_schema("review")["required"].append("more")
    json_schema("context")["properties"].clear()
    assert valid("review", {"verdict": "yes"}, context={})
    assert json_schema("review")["required"] == ["verdict"]
    assert json_schema("context")["properties"]


@pytest.mark.parametrize("kind", ["a", "A-b_c.d9", "x" * 64, Word("word")])
def test_a_name_is_accepted(kind: str) -> None:
    """Letters, digits, dash, underscore and single dots, a letter first, at most 64."""
    register(kind, {})
    assert valid(str(kind), None)


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "1a",
        "-a",
        ".a",
        "a/b",
        "a\\b",
        "..",
        "a..b",
        "a b",
        "a\x00",
        "a\n",
        "é",
        "x" * 65,
        None,
        5,
        b"a",
        ["a"],
        "\ud800",
    ],
)
def test_a_name_is_refused(kind: Any) -> None:
    """Whatever could name a path or mislead a reader is no kind."""
    with pytest.raises(SchemaError, match="is no name of a kind"):
        register(kind, {})


@pytest.mark.parametrize("kind", ["envelope", "context"])
def test_the_names_of_the_common_schemas_are_reserved(kind: str) -> None:
    """What every record has is no kind."""
    with pytest.raises(SchemaError, match="choose another kind"):
        register(kind, {})


@pytest.mark.parametrize("version", ["", ".1", "1/2", "1..2", "1 0", "x" * 33, None, 1.0, "1\n"])
def test_a_version_is_refused(version: Any) -> None:
    """A version becomes part of an `$id` and of a path."""
    with pytest.raises(SchemaError, match="is no name of a version"):
        register("review", {}, version)


REFUSED: list[tuple[Any, str]] = [
    (5, "takes a TypedDict or a JSON Schema as a dict, not the integer 5"),
    (int, "takes a TypedDict or a JSON Schema as a dict"),
    ([], "not an array of 0 items"),
    (True, "not the boolean true"),
    ({"type": "integr"}, r"cannot be used at \$\.type"),
    ({"properties": []}, r"cannot be used at \$\.properties"),
    ({"minLength": -1}, "less than the minimum"),
    ({"enum": "a" * 500}, r"\.\.\.$"),
    ({"x-timestamp": 1}, "x-timestamp is true or false"),
    ({"const": NAN}, r"no JSON: \$\.const: the number nan is not finite"),
    ({"const": (1,)}, "use a list"),
    ({1: 2}, "keys in JSON are texts"),
    ({"const": 2**63}, "does not fit into signed 64 bit"),
    ({"const": nested(101)}, "deeper than 100 levels"),
    (
        {"$schema": "http://json-schema.org/draft-07/schema#"},
        "only https://json-schema.org/draft/2020-12/schema",
    ),
    ({"$schema": 5}, "states a \\$schema"),
    ({"$defs": {"a": {"$id": "a", "$schema": "http://example.org/own"}}}, "only at its top"),
    ({"$id": "review.json"}, "give it an absolute URI of its own"),
    ({"$id": "https://example.org/a#b"}, "without a fragment"),
    ({"$id": 5}, "has the \\$id the integer 5"),
    ({"$id": "https://moai-patterns.example/schemas/envelope/1.0.json"}, "of its own"),
    ({"$id": "https://json-schema.org/draft/2020-12/schema"}, "give it an absolute URI of its own"),
    ({"$defs": {"a": {"$id": "https://json-schema.org/draft/2020-12/schema"}}}, "belongs to another schema"),
    (
        {"$defs": {"a": {"$id": "https://moai-patterns.example/schemas/context/1.0.json"}}},
        "belongs to another",
    ),
    ({"pattern": "(?=a)b"}, "look-around"),
    ({"pattern": "(a)\\1"}, "back-references"),
    ({"pattern": "("}, r"cannot be used at \$\.pattern: the regular expression is wrong"),
    ({"pattern": "(a{1000}){1000}"}, "large counted repeats"),
    ({"patternProperties": {"(?<!a)b": {}}}, "look-around"),
    ({"properties": {"a": {"items": {"pattern": "(?=a)"}}}}, r"\$\.properties\.a\.items\.pattern"),
    ({"$ref": "#/$defs/none"}, "leads to no schema"),
    ({"$ref": "#none"}, "leads to no schema"),
    ({"$ref": "#/title/0", "title": "abc"}, "leads to no schema"),
    ({"$ref": "#/list/a", "list": []}, "leads to no schema"),
    ({"$dynamicRef": "#none"}, "leads to no schema"),
    ({"$ref": "other.json"}, "nothing is fetched, so register"),
    ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, "leads to no schema"),
    ({"$ref": "#"}, "leads back to where it started"),
    ({"allOf": [{"$ref": "#"}]}, "leads back to where it started"),
    ({"$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"if": {"$ref": "#/$defs/a"}}}}, "leads back"),
    ({"dependentSchemas": {"a": {"$ref": "#"}}}, "leads back"),
    (
        {"$ref": "#/unknown", "unknown": {"$ref": "http://example.org/"}},
        "'http://example.org/' leads to no schema",
    ),
]


@pytest.mark.parametrize(("schema", "reason"), REFUSED, ids=lambda value: str(value)[:70])
def test_a_schema_is_refused_with_the_reason(schema: Any, reason: str) -> None:
    """A schema that cannot be run alike by all engines, safely and offline, does not become a kind."""
    with pytest.raises(SchemaError, match=reason):
        register("review", schema)
    assert "review" not in kinds()


def test_an_unknown_kind_names_the_known_ones() -> None:
    """A record of a kind that nobody registered is refused with the list of those there are."""
    with pytest.raises(
        ValidationError, match=r"no kind 'revue' is registered; known are task_completion, .*hook_event"
    ):
        admit(record("revue"))
    with pytest.raises(SchemaError, match=r"version '1\.0' of 'revue' is not registered; known are"):
        json_schema("revue")
    with pytest.raises(SchemaError, match=r"version '2\.0' of 'context' is not"):
        json_schema("context", "2.0")
    with pytest.raises(SchemaError, match="are texts, not an array of 1 item and the text"):
        json_schema(["a"])  # type: ignore[arg-type]


def test_long_lists_of_names_are_cut() -> None:
    """With many kinds the sentence stays one that a person reads."""
    for number in range(40):
        register(f"kind{number}", {})
    (violation,) = errors(record("revue"))
    assert violation.sentence.endswith(", ...")
    assert len(violation.sentence) < 500


def test_json_schema_takes_members_of_the_enum_and_the_common_names() -> None:
    """What describes every record is there under its name, the envelope by default."""
    assert json_schema(PatternType.AGENT_USAGE)["title"] == "AgentUsageData"
    assert json_schema("context")["title"] == "PatternContext"
    assert json_schema() == json_schema("envelope")


def test_threads_may_register_at_once() -> None:
    """Many threads registering the same and different kinds lose none and raise nothing."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(10):
                register(f"own{number}-{turn}", {"const": number})
                register("shared", SCHEMA)
                assert valid("shared", {"verdict": "no"})
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len([kind for kind in kinds() if kind.startswith("own")]) == 80


LOADED = """
import sys
import moai_patterns.schema as schema
record = {"pattern_id": "a", "pattern_type": "hook_event", "timestamp": "2025-11-29", "data": {"event": "e"}}
schema.admit(record)
schema.PatternSchema.validate_hook = schema.PatternSchema.validate_pattern(record)
schema.register("own", {"type": "object"})
assert not {"jsonschema", "referencing", "typeguard"} & set(sys.modules)
schema.errors({})
assert "jsonschema" in sys.modules and "typeguard" not in sys.modules
"""


def test_a_child_forked_amid_a_registration_can_register() -> None:
    """A lock that another thread held at the fork is free in the child."""
    stop = threading.Event()

    def hold() -> None:
        while not stop.is_set():
            with registry._LOCK:
                time.sleep(0.001)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        succeed([child(lambda: register("forked", {"type": "object"})) for _ in range(5)])
    finally:
        stop.set()
        thread.join()


def test_the_heavy_engines_load_when_they_are_needed() -> None:
    """Saving and registering load neither `jsonschema` nor `typeguard`; explaining loads the first."""
    subprocess.run([sys.executable, "-c", LOADED], check=True)


def test_the_schemas_are_not_read_from_files(root: Path, tmp_path: Path) -> None:
    """The package works where `schemas/` is not."""
    program = (
        f"import sys; sys.path.insert(0, {str(root)!r}); from moai_patterns import json_schema; json_schema()"
    )
    listed = subprocess.run(
        [sys.executable, "-v", "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert "schemas/" not in listed.stderr

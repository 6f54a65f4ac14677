"""The public JSON-Schema-Test-Suite against kinds of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moai_patterns import SchemaError, register
from moai_patterns.schema import errors
from moai_patterns.validation.verdict import admitted
from schema_pools import kinds_forgotten, record
from test_verdict_engines import explaining

# What the suite has and registration refuses: schemas to fetch, and dialects of one's own.
FETCHED = {
    "defs.json": {"validate definition against metaschema"},
    "dynamicRef.json": {
        "strict-tree schema, guards against misspelled properties",
        "tests for implementation dynamic anchor and reference link",
        "$ref and $dynamicAnchor are independent of order - $defs first",
        "$ref and $dynamicAnchor are independent of order - $ref first",
        "$ref to $dynamicRef finds detached $dynamicAnchor",
    },
    "ref.json": {"remote ref, containing refs itself"},
    "refRemote.json": {
        "remote ref",
        "fragment within remote ref",
        "anchor within remote ref",
        "ref within remote ref",
        "base URI change",
        "base URI change - change folder",
        "base URI change - change folder in subschema",
        "root ref in remote ref",
        "remote ref with ref to defs",
        "Location-independent identifier in remote ref",
        "retrieved nested refs resolve relative to their URI not $id",
        "remote HTTP ref with different $id",
        "remote HTTP ref with different URN $id",
        "remote HTTP ref with nested absolute ref",
        "$ref to $ref finds detached $anchor",
    },
}
DIALECTS = {
    "vocabulary.json": {
        "schema that uses custom metaschema with with no validation vocabulary",
        "ignore unrecognized optional vocabulary",
    }
}
# Where patternProperties and unevaluatedProperties meet, the explaining engine stands back.
UNEXPLAINED = "more ways than can be listed"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Each test starts with the built-in kinds."""
    with kinds_forgotten():
        yield


@pytest.fixture
def groups(shared_data: Path) -> list[tuple[str, dict[str, Any]]]:
    """The groups of cases with their files."""
    folder = shared_data / "json-schema-test-suite" / "draft2020-12"
    return [
        (path.name, group) for path in sorted(folder.glob("*.json")) for group in json.loads(path.read_text())
    ]


def as_kind(schema: Any, name: str) -> None:
    """Register a schema of the suite; what is `true` or `false` there is wrapped."""
    register(name, {"allOf": [schema]} if isinstance(schema, bool) else schema)


def test_the_verdict_is_that_of_the_suite(groups: list[tuple[str, dict[str, Any]]]) -> None:
    """Every case of every accepted schema has the suite's verdict, from both validators."""
    refused: dict[str, dict[str, set[str]]] = {"nothing is fetched": {}, "states a $schema": {}}
    wrong, cases = [], 0
    for number, (file, group) in enumerate(groups):
        kind = f"suite-{number}"
        try:
            as_kind(group["schema"], kind)
        except SchemaError as error:
            (why,) = (reason for reason in refused if reason in str(error))
            refused[why].setdefault(file, set()).add(group["description"])
            continue
        for case in group["tests"]:
            cases += 1
            whole = record(kind, data=case["data"])
            found = errors(whole)
            listed = not any(UNEXPLAINED in violation.sentence for violation in found)
            agreed = {admitted(whole) is not None, found == [], explained(whole, listed=listed)} == {
                case["valid"]
            }
            if not agreed:
                wrong.append((file, group["description"], case["description"]))
    assert wrong == []
    assert refused == {"nothing is fetched": FETCHED, "states a $schema": DIALECTS}
    assert cases > 1200


def explained(whole: Any, *, listed: bool) -> bool:
    """The verdict of the explaining engine alone, or where it stands back, that of the other."""
    from moai_patterns.validation.keywords import ExhaustedError

    try:
        return explaining(whole)
    except ExhaustedError:
        assert not listed or errors(whole) == []
        return admitted(whole) is not None

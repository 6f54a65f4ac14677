"""The tables of docs/schemas.md are those of the schemas."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from moai_patterns.records import BUILT_IN
from moai_patterns.schema import json_schema
from moai_patterns.validation.registry import RESERVED
from schema_pools import near_misses

NOUNS = {"string": "text", "object": "object", "array": "array", "null": "null"}


def meaning(schema: Any) -> str:
    """What a schema demands of a field, in words."""
    if not schema:
        return "anything"
    if "$ref" in schema:
        return "the context"
    if "anyOf" in schema:
        return "a registered kind"
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if schema.get("x-timestamp"):
        return "timestamp"
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    words = [NOUNS.get(types[0], types[0])]
    if "minLength" in schema:
        words.append(
            f"{schema['minLength']} to {schema['maxLength']} characters"
            if "maxLength" in schema
            else "not empty"
        )
    if "pattern" in schema:
        words.append(f"matches `{schema['pattern']}`")
    if "not" in schema:
        words.append("no `/`, `\\`, `..` or control character")
    if "minimum" in schema:
        words.append(
            f"{schema['minimum']} to {schema['maximum']}"
            if "maximum" in schema
            else f"at least {schema['minimum']}"
        )
    if "items" in schema:
        words.append(f"each item: {meaning(schema['items'])}")
    return ", ".join(words) + (", or null" if "null" in types else "")


def table(name: str) -> str:
    """The table of a schema's fields."""
    schema = json_schema(name)
    needed = schema.get("required", ())
    words = {field: meaning(part) for field, part in schema["properties"].items() if part is not False}
    if name == "envelope":
        words["data"] = "what its kind says"
    rows = [f"| `{field}` | {text} | {'yes' if field in needed else ''} |" for field, text in words.items()]
    return "\n".join(["| field | value | required |", "|---|---|---|", *rows]) + "\n"


@pytest.mark.parametrize("name", [*RESERVED, *BUILT_IN])
def test_the_table_of_a_schema_stands_in_the_documentation(name: str, root: Path) -> None:
    """Fields, rules and required keys, in order, for envelope, context and every kind."""
    assert table(name) in (root / "docs" / "schemas.md").read_text(encoding="utf-8")


def test_the_number_of_compared_records_is_about_the_stated_one(root: Path) -> None:
    """The page states the size of the comparison to the nearest thousand or so."""
    page = (root / "docs" / "schemas.md").read_text(encoding="utf-8")
    (stated,) = re.findall(r"over some ([0-9,]+) records", page)
    assert abs(sum(1 for _ in near_misses()) - int(stated.replace(",", ""))) < 1000

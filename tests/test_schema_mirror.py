"""From TypedDict to JSON Schema, and the files that are generated from it."""

from __future__ import annotations

import enum
import json
import re
import runpy
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NewType, NotRequired, Required, TypedDict, TypeVar

import pytest
import typing_extensions
from annotated_types import Ge, Gt, Interval, Le, Len, Lt, MaxLen, MinLen, MultipleOf, Predicate

from moai_patterns.errors import SchemaError
from moai_patterns.instant import instant
from moai_patterns.records import CommitHash, IsTimestamp, KindName, Lacks, Matches, PatternId, PatternType
from moai_patterns.validation import compiler, dialect
from moai_patterns.validation.mirror import DIALECT, GRAMMAR, fields, is_shape, mirror, mirror_annotation
from moai_patterns.validation.registry import BASE, CONTEXT, ENVELOPE
from schema_pools import POOL

Identity = NewType("Identity", str)
T = TypeVar("T")
shape_of: Any = TypedDict  # for shapes that are made as the tests go


class Number(enum.IntEnum):
    ONE = 1


class Mixed(enum.Enum):
    TEXT = "a"
    NUMBER = 1


class Odd(enum.Enum):
    PAIR = (1, 2)


class Leaf(TypedDict):
    """A leaf.

    More about it.
    """

    weight: float


class Tree(TypedDict, total=False):
    leaf: Required[Leaf]
    trees: list[Tree]
    other: Leaf
    note: NotRequired[str]


class Extended(typing_extensions.TypedDict):
    a: int


class Closed(typing_extensions.TypedDict, closed=True):
    a: int


class Extra(typing_extensions.TypedDict, extra_items=int):  # type: ignore[call-arg]
    a: int


class Child(Leaf, total=False):
    size: int
    colour: Required[str]


ANNOTATIONS: list[tuple[Any, dict[str, Any]]] = [
    (str, {"type": "string"}),
    (int, {"type": "integer"}),
    (float, {"type": "number"}),
    (bool, {"type": "boolean"}),
    (None, {"type": "null"}),
    (Any, {}),
    (object, {}),
    (list, {"type": "array"}),
    (list[Any], {"type": "array"}),
    (list[None], {"type": "array", "items": {"type": "null"}}),
    (list[list[int]], {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}),
    (dict, {"type": "object"}),
    (dict[str, Any], {"type": "object"}),
    (dict[str, bool], {"type": "object", "additionalProperties": {"type": "boolean"}}),
    (Literal["a", 1, True], {"enum": ["a", 1, True]}),
    (Literal["a"] | None, {"enum": ["a", None]}),
    (PatternType, {"enum": ["task_completion", "error_occurrence", "agent_usage", "user_correction"]}),
    (Literal[PatternType.AGENT_USAGE], {"enum": ["agent_usage"]}),
    (Number, {"enum": [1]}),
    (Mixed, {"enum": ["a", 1]}),
    (Identity, {"type": "string"}),
    (typing_extensions.TypeAliasType("Alias", list[int]), {"type": "array", "items": {"type": "integer"}}),
    (str | None, {"type": ["string", "null"]}),
    (int | str | None, {"type": ["integer", "string", "null"]}),
    (Annotated[int, Ge(0)] | None, {"type": ["integer", "null"], "minimum": 0}),
    (list[str] | None, {"type": ["array", "null"], "items": {"type": "string"}}),
    (
        Annotated[str, Lacks("a")] | None,
        {"anyOf": [{"type": "string", "not": {"pattern": "a"}}, {"type": "null"}]},
    ),
    (int | Literal["auto"], {"anyOf": [{"type": "integer"}, {"enum": ["auto"]}]}),
    (Annotated[int, Gt(0), Lt(9)], {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9}),
    (Annotated[float, Interval(ge=0, le=1)], {"type": "number", "minimum": 0, "maximum": 1}),
    (Annotated[float, Le(1.5), MultipleOf(0.5)], {"type": "number", "maximum": 1.5, "multipleOf": 0.5}),
    (Annotated[str, Len(1, 5)], {"type": "string", "minLength": 1, "maxLength": 5}),
    (Annotated[list[int], MinLen(1)], {"type": "array", "items": {"type": "integer"}, "minItems": 1}),
    (Annotated[dict[str, Any], MaxLen(3)], {"type": "object", "maxProperties": 3}),
    (Annotated[str, Matches("^a"), Lacks("b")], {"type": "string", "pattern": "^a", "not": {"pattern": "b"}}),
    (
        Annotated[str, Matches("a"), Matches("b")],
        {"type": "string", "pattern": "a", "allOf": [{"pattern": "b"}]},
    ),
    (Annotated[int, "how many"], {"type": "integer", "description": "how many"}),
]


@pytest.mark.parametrize(("annotation", "schema"), ANNOTATIONS, ids=lambda value: str(value)[:60])
def test_an_annotation_has_its_schema(annotation: Any, schema: dict[str, Any]) -> None:
    """Each supported annotation says in JSON Schema what it says in Python."""
    assert mirror_annotation(annotation) == schema


def test_a_timestamp_has_its_grammar_a_description_and_the_keyword() -> None:
    """A reader of the schema sees the form; the keyword makes this package look at the calendar too."""
    schema = mirror_annotation(Annotated[str, IsTimestamp()])
    assert schema.keys() == {"type", "description", "pattern", "x-timestamp"}
    assert schema["pattern"] == GRAMMAR


def test_the_published_grammar_is_the_one_that_is_read() -> None:
    """The pattern of the schemas refuses what `instant` refuses for its form, and nothing else."""
    matches = dialect.holds("pattern", GRAMMAR)
    texts = [value for value in POOL if type(value) is str and value.isprintable()]
    for text in texts:
        try:
            instant(text)
            formed = True
        except ValueError as error:
            formed = "the form is" not in str(error)
        assert matches(text) is formed


def test_an_object_names_its_fields_and_keeps_nested_shapes_apart() -> None:
    """Required keys, nested and recursive shapes, and the first paragraph of a docstring are kept."""
    schema = mirror(Tree, "https://example.org/tree.json")
    assert schema == {
        "$schema": DIALECT,
        "$id": "https://example.org/tree.json",
        "title": "Tree",
        "type": "object",
        "properties": {
            "leaf": {"$ref": "#/$defs/Leaf"},
            "trees": {"type": "array", "items": {"$ref": "#"}},
            "other": {"$ref": "#/$defs/Leaf"},
            "note": {"type": "string"},
        },
        "required": ["leaf"],
        "$defs": {
            "Leaf": {
                "description": "A leaf.",
                "type": "object",
                "properties": {"weight": {"type": "number"}},
                "required": ["weight"],
            }
        },
    }
    assert mirror(Tree, "https://example.org/tree.json") == schema


def test_shapes_of_one_name_stay_apart() -> None:
    """Two classes called alike get two definitions."""
    first, second = shape_of("Twin", {"a": int}), shape_of("Twin", {"b": str})
    schema = mirror(shape_of("Both", {"one": first, "two": second}), "https://example.org/x")
    assert sorted(schema["$defs"]) == ["Twin", "Twin_"]


def test_a_shape_that_has_a_document_of_its_own_is_referred_to() -> None:
    """The envelope refers to the context by its `$id`."""
    schema = mirror(Tree, "https://example.org/tree.json", {Leaf: "https://example.org/leaf.json"})
    assert schema["properties"]["leaf"] == {"$ref": "https://example.org/leaf.json"}
    assert "$defs" not in schema


def test_inherited_fields_keep_their_rules() -> None:
    """Totality belongs to the class that declares a field; Required and NotRequired go before it."""
    assert {name: field.required for name, field in fields(Child).items()} == {
        "weight": True,
        "size": False,
        "colour": True,
    }


def test_shapes_of_typing_extensions_work_alike() -> None:
    """Both kinds of TypedDict are shapes; nothing else is."""
    assert is_shape(Extended)
    assert mirror(Extended, "https://example.org/x")["required"] == ["a"]
    assert not any(map(is_shape, [dict, OrderedDict, int, {}, None, "shape"]))


class Unknown(TypedDict):
    a: Nowhere  # type: ignore[name-defined]  # noqa: F821


class Generics(TypedDict, Generic[T]):
    a: T


@pytest.mark.parametrize(
    "annotation",
    [
        *(bytes, tuple[int, ...], set[str], complex, Path, re.Pattern, OrderedDict, type, T),
        *(dict[int, str], dict[PatternType, str], list[bytes], Odd, Literal[b"a"]),
        *(
            Annotated[str, Ge(1)],
            Annotated[int, MinLen(1)],
            Annotated[int, Matches("a")],
            Annotated[int, object()],
        ),
        *(
            Annotated[int, Predicate(bool)],
            Annotated[int, Ge("a")],
            Annotated[bool, Ge(0)],
            Annotated[int | None, Ge(0)],
        ),
        *(int | bytes, Annotated[bytes, "raw"]),
    ],
    ids=lambda value: str(value).partition(" object at ")[0],
)
def test_an_annotation_without_a_schema_is_refused_by_name(annotation: Any) -> None:
    """What JSON Schema cannot say is a `SchemaError` naming the field and the annotation."""
    shape = shape_of("shape", {"fine": int, "wrong": annotation})
    with pytest.raises(SchemaError, match=r"^shape\.wrong is annotated .+, which has no JSON Schema; "):
        mirror(shape, "https://example.org/x")


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (Unknown, "annotations of Unknown cannot be resolved: name 'Nowhere' is not defined"),
        (Generics, r"Generics\.a is annotated ~T"),
        (Closed, "records are open"),
        (Extra, "records are open"),
    ],
)
def test_a_shape_that_cannot_be_mirrored_is_refused(shape: type, reason: str) -> None:
    """Unknown names, type variables and closed shapes are a `SchemaError`."""
    with pytest.raises(SchemaError, match=reason):
        mirror(shape, "https://example.org/x")


def test_the_generated_files_are_those_of_the_shapes(root: Path) -> None:
    """Nothing under `schemas/` and nothing in the generated module differs from what the shapes give."""
    made = compiler.files()
    assert {name: (root / name).read_text(encoding="utf-8") for name in made} == made
    present = {path.relative_to(root).as_posix() for path in (root / "schemas").rglob("*") if path.is_file()}
    assert present == {name for name in made if name.startswith("schemas/")}


def test_the_command_writes_the_generated_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m moai_patterns.validation.compiler DIRECTORY` writes all of them there."""
    monkeypatch.setattr(sys, "argv", ["compiler", str(tmp_path)])
    monkeypatch.delitem(sys.modules, "moai_patterns.validation.compiler")
    runpy.run_module("moai_patterns.validation.compiler", run_name="__main__")
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert written == set(compiler.files())


def test_every_published_schema_has_an_absolute_id_with_its_version(root: Path) -> None:
    """`$id` is the place of the file under a common base, `$schema` is 2020-12, and objects are open."""
    for path in sorted((root / "schemas").rglob("*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        assert schema["$schema"] == DIALECT
        assert schema["$id"] == BASE + path.relative_to(root / "schemas").as_posix()
        assert path.name == "1.0.json"
        assert "additionalProperties" not in schema


@pytest.mark.parametrize(
    "annotation",
    [dict[str, int], Annotated[list[int], MinLen(1)], Literal[1], int | Literal["a"], KindName],
    ids=str,
)
def test_no_code_is_generated_for_a_keyword_that_is_not_known(annotation: Any) -> None:
    """The generator refuses what its code would ignore."""
    schema = mirror(shape_of("shape", {"a": annotation}), "https://example.org/x")
    with pytest.raises(SchemaError, match="no code is generated for"):
        compiler.module(ENVELOPE, CONTEXT, {"shape": schema})


def test_no_code_is_generated_for_a_closed_object() -> None:
    """Nor for keywords beside the properties."""
    with pytest.raises(SchemaError, match="no code is generated for additionalProperties"):
        compiler.module({**ENVELOPE, "additionalProperties": False}, CONTEXT, {})


def test_the_translations_of_expressions_mean_the_same() -> None:
    """What stands in the generated code for a regular expression agrees with it on all short texts."""
    names: dict[str, Any] = {}
    exec(compiler.files()["moai_patterns/validation/compiled.py"], names)
    alphabet = ["/", "\\", "..", ".", "\x00", "\x1f", "\x7f", "\x80", "a", "g", "é", "0", "F", "\n", " ", "٣"]
    texts = [a + b + c for a in alphabet for b in alphabet for c in ("", "abcdef", *alphabet)]
    lacks = mirror_annotation(PatternId)["not"]["pattern"]
    matches = mirror_annotation(CommitHash)["pattern"]
    for text in texts:
        assert names["_path_like"](text) is dialect.holds("pattern", lacks)(text)
        hexadecimal = eval(compiler._MATCHES[matches].format("text"), {**names, "text": text})
        assert hexadecimal is dialect.holds("pattern", matches)(text)

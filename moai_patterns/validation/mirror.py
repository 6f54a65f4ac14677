"""TypedDict to JSON Schema 2020-12: the published mirror of the shapes in `records.py`.

The same class always gives the same document, key for key. Objects stay open: unknown keys are kept.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Required,
    TypeGuard,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, MaxLen, MinLen, MultipleOf

from moai_patterns.errors import SchemaError
from moai_patterns.instant import _grammar
from moai_patterns.records import IsTimestamp, Lacks, Matches

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TIMESTAMP = "x-timestamp"
"""The one keyword of our own: a text under it is a timestamp by `instant()`, not by its pattern alone."""

GRAMMAR = "^{}$".format(re.sub(r"\((?!\?)", "(?:", _grammar().pattern))
"""The form of a timestamp for readers of the schemas; which dates exist only `instant()` decides."""

_SCALARS: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
    None: "null",
}
_LIMITS: dict[type, tuple[str, str]] = {
    Ge: ("ge", "minimum"),
    Gt: ("gt", "exclusiveMinimum"),
    Le: ("le", "maximum"),
    Lt: ("lt", "exclusiveMaximum"),
    MultipleOf: ("multiple_of", "multipleOf"),
}
_LENGTHS = {"string": "Length", "array": "Items", "object": "Properties"}
# Keywords that say nothing about null, so that "or null" can join their type.
_SILENT_ABOUT_NULL = {
    *("type", "description", "pattern", TIMESTAMP, "items", "additionalProperties"),
    *(keyword for _, keyword in _LIMITS.values()),
    *(bound + what for bound in ("min", "max") for what in _LENGTHS.values()),
}

_SINGLE = frozenset({*_LIMITS, MinLen, MaxLen, Matches, Lacks, IsTimestamp, str})


class Field(NamedTuple):
    """One field of a TypedDict: its annotation without `Required` and `NotRequired`."""

    annotation: Any
    required: bool


def is_shape(value: object) -> TypeGuard[type]:
    """Tell whether a value is a TypedDict class, of `typing` or of `typing_extensions`."""
    return isinstance(value, type) and issubclass(value, dict) and hasattr(value, "__required_keys__")


@cache
def fields(shape: type) -> dict[str, Field]:
    """Return the fields of a TypedDict in the order of their declaration.

    Raises `SchemaError` for an annotation that names something unknown.

    >>> from moai_patterns.records import HookEventData
    >>> [name for name, field in fields(HookEventData).items() if field.required]
    ['event']
    """
    try:
        hints = get_type_hints(shape, include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise SchemaError(f"the annotations of {shape.__name__} cannot be resolved: {error}") from None
    required: frozenset[str] = shape.__required_keys__  # type: ignore[attr-defined]
    found = {}
    for name, hint in hints.items():
        # Annotations kept as text hide NotRequired from the class, which then calls the field required.
        wrapper = get_origin(hint)
        if wrapper in (Required, NotRequired):
            found[name] = Field(get_args(hint)[0], wrapper is Required)
        else:
            found[name] = Field(hint, name in required)
    return found


def mirror(shape: type, identity: str, elsewhere: Mapping[type, str] | None = None) -> dict[str, Any]:
    """Return the JSON Schema of a TypedDict.

    Parameters:
        shape: the class. Fields may be `str`, `int`, `float`, `bool`, `None`, `Any`, `Literal`, an enum of
            texts or integers, `list[...]`, `dict[str, ...]`, a TypedDict, a union of these, and `Annotated`
            with bounds and lengths of `annotated_types` or with `Matches`, `Lacks`, `IsTimestamp`.
        identity: its `$id`.
        elsewhere: `$id`s of TypedDicts that have documents of their own and are only referred to.

    Raises `SchemaError` naming the field and the annotation that JSON Schema cannot say.

    >>> from moai_patterns.records import HookEventData
    >>> mirror(HookEventData, "https://example.org/hook.json")["properties"]["event"]
    {'type': 'string', 'minLength': 1}
    """
    made = _Mirror(shape.__name__, {**(elsewhere or {}), shape: "#"})
    head = {"$schema": DIALECT, "$id": identity, "title": shape.__name__, **made.object(shape)}
    return {**head, **({"$defs": made.definitions} if made.definitions else {})}


def mirror_annotation(hint: Any) -> dict[str, Any]:
    """Return the JSON Schema of one annotation.

    >>> mirror_annotation(Annotated[int, Ge(0)] | None)
    {'type': ['integer', 'null'], 'minimum': 0}
    """
    return _Mirror("the value", {}).schema(hint)


class _Mirror:
    def __init__(self, place: str, references: dict[type, str]) -> None:
        self.place = place
        self.references = references
        self.definitions: dict[str, Any] = {}

    def object(self, shape: type) -> dict[str, Any]:
        if getattr(shape, "__closed__", None) or "NoExtraItems" not in repr(
            getattr(shape, "__extra_items__", "NoExtraItems")
        ):
            raise self.unsupported(shape, "records are open: leave out closed and extra_items")
        made: dict[str, Any] = {"type": "object", "properties": {}}
        description = shape.__dict__.get("__doc__")
        if description:
            made = {"description": inspect.cleandoc(description).partition("\n\n")[0], **made}
        outer = self.place
        needed = []
        for name, field in fields(shape).items():
            self.place = f"{shape.__name__}.{name}"
            made["properties"][name] = self.schema(field.annotation)
            needed += [name] if field.required else []
        self.place = outer
        return {**made, **({"required": needed} if needed else {})}

    def schema(self, hint: Any) -> dict[str, Any]:
        origin = get_origin(hint)
        if hint is Any or hint is object:
            return {}
        if origin is Annotated:
            return self.constrained(hint)
        if hint in _SCALARS:
            return {"type": _SCALARS[hint]}
        if origin in (Union, UnionType):
            return _union([self.schema(member) for member in get_args(hint)])
        if origin is Literal:
            return self.choice(hint, get_args(hint))
        if hint is list or origin is list:
            return {"type": "array", **self.each("items", *get_args(hint))}
        if hint is dict or origin is dict:
            key, value = get_args(hint) or (str, Any)
            if key is not str:
                raise self.unsupported(hint, "keys in JSON are texts: use dict[str, ...]")
            return {"type": "object", **self.each("additionalProperties", value)}
        return self.named(hint)

    def named(self, hint: Any) -> dict[str, Any]:
        if is_shape(hint):
            return {"$ref": self.reference(hint)}
        if inspect.isclass(hint) and issubclass(hint, Enum):
            return self.choice(hint, tuple(member.value for member in hint))
        if isinstance(hint, NewType):
            return self.schema(hint.__supertype__)
        if hasattr(hint, "__value__"):  # a `type` statement
            return self.schema(hint.__value__)
        reason = "JSON has no such values: use str, int, float, bool, None, list, dict or a TypedDict"
        raise self.unsupported(hint, reason)

    def reference(self, shape: type) -> str:
        if shape not in self.references:
            name = shape.__name__
            while name in self.definitions:  # another class of the same name
                name += "_"
            self.references[shape] = f"#/$defs/{name}"
            self.definitions[name] = {}
            self.definitions[name] = self.object(shape)
        return self.references[shape]

    def each(self, keyword: str, *hints: Any) -> dict[str, Any]:
        found = self.schema(hints[0]) if hints else {}
        return {keyword: found} if found else {}

    def choice(self, hint: Any, values: tuple[Any, ...]) -> dict[str, Any]:
        if not all(isinstance(value, (str, int, NoneType)) for value in values):
            raise self.unsupported(hint, "the values to choose from are texts, integers, booleans or None")
        return {"enum": [value.value if isinstance(value, Enum) else value for value in values]}

    def constrained(self, hint: Any) -> dict[str, Any]:
        base, *metadata = get_args(hint)
        made = self.schema(base)
        for mark in marks(metadata):
            if isinstance(mark, str):
                made = {**made, "description": mark}
                continue
            found = _keywords(mark, made.get("type"))
            if found is None:
                raise self.unsupported(hint, f"{mark!r} says nothing that JSON Schema can say about {base!r}")
            clash = made.keys() & found.keys()
            made = {**made, "allOf": [*made.get("allOf", ()), found]} if clash else {**made, **found}
        return made

    def unsupported(self, hint: Any, reason: str) -> SchemaError:
        shown = hint.__name__ if inspect.isclass(hint) else str(hint)
        return SchemaError(f"{self.place} is annotated {shown}, which has no JSON Schema; {reason}")


def marks(metadata: Iterable[Any]) -> Iterator[Any]:
    """Yield what stands in `Annotated`, intervals and lengths as their two ends."""
    for mark in metadata:
        # Asking whether a mark is a group costs 25 us.
        if type(mark) in _SINGLE or not isinstance(mark, GroupedMetadata):
            yield mark
        else:
            yield from mark


def _keywords(mark: Any, kind: Any) -> dict[str, Any] | None:
    """Return what a mark in `Annotated` says about a JSON type; None when it says nothing."""
    if type(mark) in _LIMITS and kind in ("integer", "number"):
        name, keyword = _LIMITS[type(mark)]
        bound = getattr(mark, name)
        return {keyword: bound} if isinstance(bound, (int, float)) else None
    if isinstance(mark, MinLen) and kind in _LENGTHS:
        return {f"min{_LENGTHS[kind]}": mark.min_length}
    if isinstance(mark, MaxLen) and kind in _LENGTHS:
        return {f"max{_LENGTHS[kind]}": mark.max_length}
    if kind != "string":
        return None
    if isinstance(mark, Matches):
        return {"pattern": mark.regex}
    if isinstance(mark, Lacks):
        return {"not": {"pattern": mark.regex}}
    if isinstance(mark, IsTimestamp):
        return {
            "description": inspect.cleandoc(IsTimestamp.__doc__ or ""),
            "pattern": GRAMMAR,
            TIMESTAMP: True,
        }
    return None


def _union(members: list[dict[str, Any]]) -> dict[str, Any]:
    """Join alternatives, into one schema where that says the same: errors then name the field itself."""
    if all(member.keys() == {"type"} for member in members):
        return {"type": [member["type"] for member in members]}
    rest = [member for member in members if member != {"type": "null"}]
    if len(rest) == 1 and len(members) == 2:
        (only,) = rest
        if only.keys() == {"enum"}:
            return {"enum": [*only["enum"], None]}
        if only.keys() <= _SILENT_ABOUT_NULL and isinstance(only.get("type"), str):
            return {**only, "type": [only["type"], "null"]}
    return {"anyOf": members}

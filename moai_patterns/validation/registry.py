"""The registry of kinds: which there are, in which versions, and the schema of each.

The built-in kinds come in through the same door as anybody's.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from moai_patterns.errors import SchemaError
from moai_patterns.records import BUILT_IN, KindName, Pattern, PatternContext
from moai_patterns.validation import dialect
from moai_patterns.validation.faults import describe, faults
from moai_patterns.validation.mirror import DIALECT, is_shape, mirror, mirror_annotation
from moai_patterns.validation.sound import encodable, exact

Schema = dict[str, Any]
Reach = dict[str, Schema]
T = TypeVar("T")

BASE = "https://moai-patterns.example/schemas/"
"""Where the `$id`s lie. No host answers there, and none is ever asked."""

FIRST = "1.0"
# One engine knows the metaschemas by heart, so nobody else may use their names.
_ABSOLUTE = re.compile(r"(?!https?://json-schema\.org/)[A-Za-z][A-Za-z0-9+.-]*:[^#]+").fullmatch
RESERVED = ("envelope", "context")
_NAME = dialect.compiled(mirror_annotation(KindName))
_VERSION = dialect.compiled(
    {
        "type": "string",
        "maxLength": 32,
        "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$",
        "not": {"pattern": r"\.\."},
    }
)


def identity(kind: str, version: str = FIRST) -> str:
    """Return the `$id` of a kind's schema; the rest after `BASE` is its file under `schemas/`.

    >>> identity("task_completion")
    'https://moai-patterns.example/schemas/task_completion/1.0.json'
    """
    return f"{BASE}{kind}/{version}.json"


CONTEXT = mirror(PatternContext, identity("context"))
ENVELOPE = mirror(Pattern, identity("envelope"), {PatternContext: CONTEXT["$id"]})
# What the store notes about a record stands under this name, so no record may bring one along.
ENVELOPE["properties"]["_meta"] = False


class _once(Generic[T]):  # noqa: N801 - a decorator
    """An attribute computed at first use, without the lock of `cached_property`: a fork may copy it held."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    def __get__(self, kind: Any, owner: type) -> T:
        made = kind.__dict__[self.make.__name__] = self.make(kind)
        return made


class Kind:
    """One version of a kind: its schema, and the validators that are compiled from it when first needed."""

    def __init__(self, name: str, version: str, schema: Schema, shape: type | None, reach: Reach) -> None:
        self.name = name
        self.version = version
        self.schema = schema
        self.shape = shape
        self.reach = {schema["$id"]: schema, **reach}
        """What references in a record's schema may lead to, by `$id`."""

    @_once
    def _known(self) -> dialect.Known:
        return dialect.resources(self.reach)

    @_once
    def payload(self) -> dialect.Validator:
        """The validator of `data` alone."""
        return dialect.compiled(self.schema, self._known)

    @_once
    def record_schema(self) -> Schema:
        """The schema of a whole record of this kind."""
        return enveloped({"$ref": self.schema["$id"]})

    @_once
    def record(self) -> dialect.Validator:
        """The validator of a whole record."""
        return dialect.compiled(self.record_schema, self._known)

    @_once
    def quick(self) -> dialect.Validator:
        """A validator that accepts most valid records, at half the time, and no invalid one."""
        payload = {"$ref": self.schema["$id"]} if _refers(self.schema) else _unnamed(self.schema)
        return dialect.compiled(_quick(payload), self._known)


def enveloped(payload: Schema) -> Schema:
    """Return the envelope's schema with one for `data` in it."""
    properties = {**ENVELOPE["properties"], "data": payload}
    return {"$schema": DIALECT, **_unnamed(ENVELOPE), "properties": properties}


def _quick(payload: Schema) -> Schema:
    made = enveloped(payload)
    context = dialect.sure_timestamps(_unnamed(CONTEXT))
    outer = dialect.sure_timestamps(made["properties"] | {"data": {}})
    return {**made, "properties": {**outer, "data": payload, "context": context}}


def _unnamed(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key not in ("$schema", "$id")}


_KINDS: dict[tuple[str, str], Kind] = {}
_LOCK = threading.RLock()
"""Held while a kind is added; whoever reads sees the registry before or after it."""
# A child has no thread that would release it. Where nothing can fork, there is nobody to be told.
getattr(os, "register_at_fork", dict)(
    before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
)


def find(name: str, version: str = FIRST) -> Kind | None:
    """Return a version of a kind, or None."""
    return _KINDS.get((name, version))


def known() -> dict[str, tuple[str, ...]]:
    """Return the registered kinds with their versions, each in the order of registration."""
    found: dict[str, tuple[str, ...]] = {}
    for name, version in tuple(_KINDS):
        found[name] = (*found.get(name, ()), version)
    return found


def documents() -> dict[str, Schema]:
    """Return every schema that a reference may name, by `$id`: envelope, context and all kinds."""
    schemas = [ENVELOPE, CONTEXT, *(kind.schema for kind in tuple(_KINDS.values()))]
    return {schema["$id"]: schema for schema in schemas}


def register(kind: str, schema: type | Mapping[str, Any], version: str = FIRST) -> None:
    """Make a kind known, or a further version of one; records of it can then be saved.

    Parameters:
        kind: 1 to 64 ASCII letters, digits, `_`, `-` and single dots, a letter first.
        schema: what `data` of such a record is: a TypedDict, or a JSON Schema 2020-12 as a dict, which is
            copied. Its `$ref`s stay within it or name the `$id` of a registered schema; its regular
            expressions have no look-around and no back-references. Without an `$id` it gets one.
        version: what records state as their `version`; at most 32 characters. Default "1.0", which is also
            what records without a version mean.

    Registering the same schema again does nothing. Raises `SchemaError` for a name, version or schema that
    cannot be used, and for another schema under a version that is taken.

    >>> register("review", {"type": "object", "required": ["verdict"]})
    >>> register("review", {"type": "object", "required": ["verdict"]})
    >>> known()["review"]
    ('1.0',)
    """
    name, version = _checked(kind, "kind", _NAME), _checked(version, "version", _VERSION)
    if name in RESERVED:
        raise SchemaError(f"{name!r} is the name of a schema that every record has; choose another kind")
    shape = schema if is_shape(schema) else None
    made = mirror(shape, identity(name, version)) if shape else _given(schema, name, version)
    with _LOCK:
        present = _KINDS.get((name, version))
        if present is None:
            _KINDS[name, version] = Kind(name, version, made, shape, _examined(made, name))
        elif _text(present.schema) != _text(made):
            raise SchemaError(
                f"version {version} of {name!r} is registered with another schema; "
                "stored records rely on it, so give the changed one a new version"
            )


def _checked(value: Any, what: str, rule: dialect.Validator) -> str:
    text = exact(value)
    if type(text) is not str or not encodable(text) or not rule.is_valid(text):
        raise SchemaError(
            f"{describe(value)} is no name of a {what}: "
            "use ASCII letters, digits, '_', '-' and single dots, a letter first (a version: or a digit)"
        )
    return text


def _text(schema: Schema) -> str:
    return json.dumps(schema, sort_keys=True)


def copied(schema: Schema) -> Schema:
    """Return a copy that the caller may change."""
    made: Schema = json.loads(json.dumps(schema))
    return made


def _given(schema: Any, name: str, version: str) -> Schema:
    """Return a copy of a JSON Schema with `$schema` and `$id`."""
    made, wrong = faults(schema)
    if not isinstance(made, dict):
        raise SchemaError(f"register() takes a TypedDict or a JSON Schema as a dict, not {describe(schema)}")
    if wrong:
        raise SchemaError(f"the schema of {name!r} is no JSON: {wrong[0].violation()}")
    return {"$schema": DIALECT, "$id": identity(name, version), **made}


def _examined(schema: Schema, name: str) -> Reach:
    """Return the schemas that one reaches; raise `SchemaError` unless both engines can run it in bounds."""
    place = f"the schema of {name!r}"
    if schema["$schema"] != DIALECT or any(_stated(part) for part in schema.values()):
        raise SchemaError(f"{place} states a $schema; only {DIALECT} is supported, and only at its top")
    others = documents()
    if not isinstance(schema["$id"], str) or schema["$id"] in others or not _ABSOLUTE(schema["$id"]):
        raise SchemaError(
            f"{place} has the $id {describe(schema['$id'])}; "
            "give it an absolute URI of its own, without a fragment, or none"
        )
    dialect.check_schema(schema)
    reach: Reach = {ENVELOPE["$id"]: ENVELOPE, CONTEXT["$id"]: CONTEXT}
    if _refers(schema):
        from moai_patterns.validation.references import reached

        found = reached(schema, others)
        for kind in _KINDS.values():
            if kind.schema["$id"] in found:
                reach |= kind.reach
    dialect.compiled(schema, dialect.resources(reach))
    return reach


def _stated(schema: Any) -> bool:
    """Tell whether some part of a schema states a `$schema`."""
    if isinstance(schema, dict):
        return isinstance(schema.get("$schema"), str) or any(map(_stated, schema.values()))
    return isinstance(schema, list) and any(map(_stated, schema))


def _refers(schema: Schema) -> bool:
    """Tell whether a schema may contain references, or parts that references may name."""
    return '"$' in _text(_unnamed(schema))


for _name, _shape in BUILT_IN.items():
    register(_name, _shape)

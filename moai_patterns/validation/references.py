"""What the `$ref`s of a schema may do: stay within it and the registered ones, and come to an end.

Neither engine stops at references that multiply (twenty definitions, each naming the one before twice, are
a million evaluations), so they are counted here, before the schema is accepted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from moai_patterns.errors import SchemaError
from moai_patterns.validation.faults import quote

_MOST = 10_000  # subschemas that apply to one value
_LONGEST = 100  # references in a row

_PART = ("not", "if", "then", "else")
_PARTS = ("allOf", "anyOf", "oneOf")

Schema = dict[str, Any]


def registry(known: Mapping[str, Schema]) -> Registry[Any]:
    """Return schemas, and the parts of them that have an `$id` of their own, by `$id`. Nothing is fetched."""
    registered = [(uri, DRAFT202012.create_resource(schema)) for uri, schema in known.items()]
    return Registry[Any]().with_resources(registered).crawl()


def reached(schema: Schema, known: Mapping[str, Schema]) -> set[str]:
    """Follow every reference of a schema; return the `$id`s of the other registered schemas they lead to.

    Raises `SchemaError` for a reference that leads nowhere, to what is not registered, back to where it
    started, or to more than 10,000 subschemas for one value; and for a part whose `$id` is taken.
    """
    places = {
        uri: (document, part)
        for document in known
        for uri, part in registry({document: known[document]}).items()
    }
    own = registry({schema["$id"]: schema})
    for uri in own:
        taken = uri in places and places[uri][1].contents != own[uri].contents
        if taken or "//json-schema.org/" in uri:
            raise SchemaError(f"the $id {quote(uri)} belongs to another schema")
    documents = set()

    def retrieve(uri: str) -> Resource[Any]:
        document, part = places[uri]
        documents.add(document)
        return part

    # mypy does not see what makes the fields of this class
    everything: Registry[Any] = Registry(retrieve=retrieve).combine(own)  # type: ignore[call-arg]
    _Walk().run(schema, everything.resolver(schema["$id"]))
    return documents


class _Walk:
    def __init__(self) -> None:
        self.weights: dict[int, int] = {}
        self.open: set[int] = set()
        self.queue: list[tuple[Any, Any]] = []

    def run(self, schema: Schema, resolver: Any) -> None:
        self.queue.append((schema, resolver))
        seen = set()
        while self.queue:
            schema, resolver = self.queue.pop()
            if isinstance(schema, dict) and id(schema) not in seen:
                seen.add(id(schema))
                self.weigh(schema, resolver, 0)
                parts = DRAFT202012.create_resource(schema).subresources()
                self.queue += [(part.contents, resolver.in_subresource(part)) for part in parts]

    def weigh(self, schema: Any, resolver: Any, chained: int) -> int:
        """Return how many subschemas apply to one value besides the schema itself."""
        if not isinstance(schema, dict):
            return 1
        place = id(schema)
        if place in self.open or chained > _LONGEST:
            raise SchemaError("a reference leads back to where it started, or through more than 100 others")
        if place not in self.weights:
            self.open.add(place)
            weight = 1 + sum(
                self.weigh(part, where, chained + 1) for part, where in self.applied(schema, resolver)
            )
            self.open.discard(place)
            if weight > _MOST:
                raise SchemaError(f"the references multiply: {weight} subschemas would apply to one value")
            self.weights[place] = weight
        return self.weights[place]

    def applied(self, schema: Schema, resolver: Any) -> Iterator[tuple[Any, Any]]:
        """Yield what applies to the same value as a schema does."""
        parts = [schema[keyword] for keyword in _PART if keyword in schema]
        parts += [part for keyword in _PARTS for part in schema.get(keyword, ())]
        parts += schema.get("dependentSchemas", {}).values()
        for part in parts:
            yield part, resolver.in_subresource(DRAFT202012.create_resource(part))
        for keyword in ("$ref", "$dynamicRef"):
            if keyword in schema:
                yield self.target(keyword, schema[keyword], resolver)

    def target(self, keyword: str, reference: str, resolver: Any) -> tuple[Any, Any]:
        try:
            found = resolver.lookup(reference)
        except (Unresolvable, ValueError):
            found = None
        if found is None or not isinstance(found.contents, (dict, bool)):
            raise SchemaError(
                f"{keyword} {quote(reference)} leads to no schema within this one or the registered ones; "
                "nothing is fetched, so register what it means first"
            )
        self.queue.append((found.contents, found.resolver))  # it may stand where no subschema is looked for
        return found.contents, found.resolver

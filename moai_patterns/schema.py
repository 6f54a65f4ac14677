"""What a valid record is: `PatternSchema`, the registry of kinds, and the one check that every save makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from moai_patterns.errors import SchemaError, ValidationError
from moai_patterns.records import BUILT_IN, Environment, PatternType, Severity
from moai_patterns.validation import registry, verdict
from moai_patterns.validation.faults import Violation as Violation
from moai_patterns.validation.faults import describe, quote
from moai_patterns.validation.mirror import fields
from moai_patterns.validation.registry import register as register
from moai_patterns.validation.sound import exact

_LISTED = 20  # violations in the message of an error; its `violations` hold all


def admit(record: Any) -> dict[str, Any]:
    """Return the plain copy of a valid record: what is stored. Enum members have become their text.

    Raises `ValidationError` naming every broken rule with its place.

    >>> stamp = "2025-11-29T10:00:00Z"
    >>> admit({"pattern_id": "a", "pattern_type": "hook_event", "timestamp": stamp, "data": {"event": 5}})
    Traceback (most recent call last):
    ...
    moai_patterns.errors.ValidationError: refused: $.data.event: must be a text, not the integer 5 (type)
    """
    copy = verdict.admitted(record)
    if copy is None:
        found = errors(record)
        raise ValidationError(_message(found), found)
    return copy


def _message(found: list[Violation]) -> str:
    if len(found) == 1:
        return f"refused: {found[0]}"
    more = [f"... and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
    return "\n  ".join([f"refused: {len(found)} rules are broken", *map(str, found[:_LISTED]), *more])


def errors(record: Any) -> list[Violation]:
    """Return every broken rule of a record; an empty list for a valid one. Never raises.

    >>> record = {"pattern_type": "hook_event", "timestamp": "2025-13-01", "data": {"event": ""}}
    >>> for violation in errors(record):
    ...     print(violation)
    $.timestamp: '2025-13-01' is no timestamp: there is no month 13 of the year 2025 (timestamp)
    $.data.event: must not be empty (minLength)
    $.pattern_id: is required, and missing (required)
    """
    from moai_patterns.validation.explain import (
        violations,  # jsonschema takes longer to load than everything else here
    )

    return violations(record)


def kinds() -> dict[str, tuple[str, ...]]:
    """Return the registered kinds with their versions.

    >>> kinds()["task_completion"]
    ('1.0',)
    """
    return registry.known()


def json_schema(kind: str = "envelope", version: str = registry.FIRST) -> dict[str, Any]:
    """Return a copy of the JSON Schema of a kind's `data`, or of `envelope` or `context`.

    Raises `SchemaError` for a kind or version that is not registered.

    >>> json_schema("task_completion")["required"]
    ['task_type', 'agent', 'duration_ms', 'success']
    """
    name, number = exact(kind), exact(version)
    if not isinstance(name, str) or not isinstance(number, str):
        raise SchemaError(f"kind and version are texts, not {describe(kind)} and {describe(version)}")
    if name in _EVERYWHERE and number == registry.FIRST:
        return registry.copied(_EVERYWHERE[name])
    found = registry.find(name, number)
    if found is None:
        raise SchemaError(f"version {quote(number)} of {quote(name)} is not registered; known are {_known()}")
    return registry.copied(found.schema)


def _known() -> str:
    return ", ".join(f"{kind} {' '.join(versions)}" for kind, versions in kinds().items())


_EVERYWHERE = dict(zip(registry.RESERVED, (registry.ENVELOPE, registry.CONTEXT), strict=True))


def drift(record: Any) -> list[str]:
    """Return the JSON paths of the keys that no schema names: they are kept, and worth a look.

    Raises `ValidationError` for a record that is not valid.

    >>> stamp = "2025-11-29T10:00:00Z"
    >>> data = {"event": "Stop", "mood": "calm"}
    >>> drift({"pattern_id": "a", "pattern_type": "hook_event", "timestamp": stamp, "data": data})
    ['$.data.mood']
    """
    return verdict.unnamed_keys(admit(record))


class PatternSchema:
    """The checks by the names of the document: each returns a bool and raises for no value whatsoever.

    `data` is measured by version 1.0 of its kind; a whole record by the version that it states.

    >>> PatternSchema.validate_context({"environment": "testing"})
    False
    """

    REQUIRED_FIELDS: Mapping[PatternType, tuple[str, ...]] = {
        kind: tuple(name for name, field in fields(BUILT_IN[kind.value]).items() if field.required)
        for kind in PatternType
    }
    VALID_SEVERITIES: frozenset[str] = frozenset(get_args(Severity))
    VALID_ENVIRONMENTS: frozenset[str] = frozenset(get_args(Environment))

    @staticmethod
    def validate_task_completion(data: object) -> bool:
        """Tell whether a value is valid `data` of a `task_completion`."""
        return verdict.valid_payload("task_completion", data)

    @staticmethod
    def validate_error_occurrence(data: object) -> bool:
        """Tell whether a value is valid `data` of an `error_occurrence`."""
        return verdict.valid_payload("error_occurrence", data)

    @staticmethod
    def validate_agent_usage(data: object) -> bool:
        """Tell whether a value is valid `data` of an `agent_usage`."""
        return verdict.valid_payload("agent_usage", data)

    @staticmethod
    def validate_user_correction(data: object) -> bool:
        """Tell whether a value is valid `data` of a `user_correction`."""
        return verdict.valid_payload("user_correction", data)

    @staticmethod
    def validate_context(context: object) -> bool:
        """Tell whether a value is a valid `context`; an empty one is."""
        return verdict.valid_context(context)

    @staticmethod
    def validate_pattern(pattern: object) -> bool:
        """Tell whether a value is a valid record."""
        return verdict.admitted(pattern) is not None

    @staticmethod
    def errors(record: object) -> list[Violation]:
        """Return every broken rule of a record; an empty list for a valid one. Never raises.

        >>> [violation.path for violation in PatternSchema.errors({"pattern_id": "a"})]
        ['$.pattern_type', '$.timestamp', '$.data']
        """
        return errors(record)

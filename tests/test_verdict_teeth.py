"""The comparison of the engines sees what each of them gets wrong alone."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema.validators import Draft202012Validator
from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from moai_patterns.records import BUILT_IN, Pattern
from moai_patterns.validation import compiled, compiler
from moai_patterns.validation.references import registry
from moai_patterns.validation.registry import documents
from moai_patterns.validation.sound import sound
from moai_patterns.validation.verdict import kind_of, snapshot
from schema_pools import near_misses
from test_verdict_engines import Engine, disagreements, hot_path


def without_the_look_at_json(value: Any) -> bool:
    """The fast engine on the record itself: it takes NaN, tuples and UUIDs for something else."""
    kind = kind_of(value)
    try:
        return kind is not None and kind.record.is_valid(value)
    except ValueError:  # it knows no subclasses of text
        return False


def with_pythons_expressions(value: Any) -> bool:
    """The explaining library as it comes: `$` matches before a last line break."""
    kind = kind_of(snapshot(value))
    if kind is None:
        return False
    plain = Draft202012Validator(kind.record_schema, registry=registry(documents()))
    return sound((value,)) > 0 and plain.is_valid(snapshot(value))


def typeguard_alone(value: Any) -> bool:
    """The TypedDicts without what typeguard was taught."""
    copy = snapshot(value)
    kind = kind_of(copy)
    try:
        if kind is None:
            return False
        every = CollectionCheckStrategy.ALL_ITEMS
        check_type(copy, Pattern, collection_check_strategy=every)
        check_type(copy["data"], BUILT_IN[kind.name], collection_check_strategy=every)
    except TypeCheckError:
        return False
    return True


def generated(*changes: tuple[str, str]) -> Engine:
    """The generated code with something changed in it."""
    source = compiler.files()["moai_patterns/validation/compiled.py"]
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    names: dict[str, Any] = {}
    exec(compile(source, "planted.py", "exec"), names)
    engine: Engine = names["valid"]
    return engine


PLANTED: dict[str, Engine] = {
    "no look at what JSON can hold": without_the_look_at_json,
    "Python's regular expressions": with_pythons_expressions,
    "typeguard alone": typeguard_alone,
    "a boolean is an integer": generated(("type(item) is int", "isinstance(item, int)")),
    "an integral float is none": generated(("    if type(item) is float:\n", "    if False:\n")),
    "any integral float is one": generated(
        (" and -9223372036854775808.0 <= item < 9223372036854775808.0", "")
    ),
    "NaN is a number": generated(("value - value != 0", "False")),
    "integers have no end": generated(("-9223372036854775808 <= value <= 9223372036854775807", "True")),
    "surrogates are text": generated(
        ("return False\n    return True\n\n\ndef exact", "return True\n    return True\n\n\ndef exact")
    ),
    "one level more": generated(("room: int = 100", "room: int = 101")),
    "one level less": generated(("room: int = 100", "room: int = 99")),
    "a second 60": generated(('text[17:19] < "60"', 'text[17:19] < "61"')),
    "a 30th of February": generated((' and month != "02"', "")),
    "an id with a backslash": generated(('"\\\\" in text', "False")),
    "an id with a control character": generated(("text.isprintable()", "True")),
    "an empty id": generated(("len(item) >= 1 and len(item) <= 255", "len(item) <= 255")),
    "a longer id": generated(("len(item) <= 255", "len(item) <= 256")),
    "any version": generated(('record.get("version", "1.0") != "1.0"', "False")),
    "a commit of 6 digits": generated(("7 <= len(item)", "6 <= len(item)")),
    "the first tag alone": generated(("for each in item)", "for each in item[:1])")),
    "a reserved member": generated(('        "_meta": ', '        "_mete": ')),
    "a missing key": generated(
        ('("task_type", "agent", "duration_ms", "success")', '("task_type", "agent")')
    ),
    "null for absence": generated(
        ("return _fits(item, _CONTEXT)", "return item is None or _fits(item, _CONTEXT)")
    ),
    "a wrong severity": generated(('"minor", "moderate"', '"Minor", "moderate"')),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_disagreement_is_seen(bug: str) -> None:
    """An engine with this bug gives another verdict on at least one near miss."""
    engines = {"fast": hot_path, bug: PLANTED[bug]}
    assert next(disagreements(engines, near_misses()), None) is not None


def test_the_generated_source_is_what_is_imported() -> None:
    """The code that the bugs are planted in is the code of the package."""
    with open(str(compiled.__file__), encoding="utf-8") as file:
        assert file.read() == compiler.files()["moai_patterns/validation/compiled.py"]
    assert next(disagreements({"fast": hot_path, "same": generated()}, near_misses()), None) is None

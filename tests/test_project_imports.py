"""What importing the package loads."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import moai_patterns
from sources import PACKAGE, imports

LOADED = """
import json, sys
before = set(sys.modules)
{statement}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement adds to those of a bare interpreter with json."""
    program = [sys.executable, "-c", LOADED.format(statement=statement)]
    output = subprocess.run(program, capture_output=True, text=True, check=True, env={}).stdout
    return set(json.loads(output))


def test_importing_the_package_loads_nothing_else() -> None:
    """The bare import loads one module and leaves everything else to the first use of a name."""
    assert loaded_by("import moai_patterns") == {"moai_patterns"}


def test_a_name_loads_what_it_needs_and_no_more() -> None:
    """An error class costs its own module, a query no third-party package at all."""
    loaded = loaded_by("from moai_patterns import ValidationError")
    assert {name for name in loaded if name.startswith("moai_patterns")} == {
        "moai_patterns",
        "moai_patterns.errors",
    }
    loaded = loaded_by("from moai_patterns import Query, field, PatternType")
    tops = {name.partition(".")[0] for name in loaded}
    assert tops - set(sys.stdlib_module_names) <= {"moai_patterns", "annotated_types", "typing_extensions"}


def test_type_checkers_see_the_same_public_names_as_the_interpreter() -> None:
    """The list for type checkers and the table for lazy loading name the same things."""
    listed = {
        alias.asname
        for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert listed == set(moai_patterns.__all__)
    assert all(found.typing or found.late for found in imports(PACKAGE / "__init__.py"))


def test_every_public_name_loads_and_is_documented() -> None:
    """Each public name exists, has a docstring of its own, and stays once loaded."""
    for name in moai_patterns.__all__:
        value = getattr(moai_patterns, name)
        assert value is getattr(moai_patterns, name)
        assert (value.__doc__ or "").strip(), name
    assert set(moai_patterns.__all__) <= set(dir(moai_patterns))


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as it does with any module."""
    assert not hasattr(moai_patterns, "PatternStore")

"""The order in which the modules build on one another, and where third-party packages come in."""

from __future__ import annotations

import graphlib
import sys

import pytest

from sources import imports, modules

# A file imports only from lower rows, or from its own unit: a module or a whole package.
ROWS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("bench", "collect", "domains", "repository", "scale", "strategies", "testing", "wrappers"),
    ("storage",),
    ("asking",),
    ("exchange",),
    ("maintenance",),
    ("lifecycle", "migrations", "notebook"),
    ("backup", "spool"),
    ("session",),
    ("saving", "backends.opening"),
    ("backends.filesystem", "backends.memory", "backends.sqlite"),
    ("backends.base", "backends.forking", "backends.locking", "backends.reserve"),
    ("backends.fileops", "backends.grouped"),
    ("arguments", "jsonlines", "results", "target"),
    ("shown", "tables"),
    ("aggregates", "query", "where"),
    ("conditions", "schema"),
    ("validation.compiler",),
    ("validation.explain",),
    ("validation.typed",),
    ("validation.verdict",),
    ("validation.keywords", "validation.registry", "validation.sentences"),
    ("validation.compiled", "validation.dialect", "validation.references"),
    ("validation.mirror",),
    ("moments", "periods", "records", "validation.faults"),
    ("instant", "location", "values"),
    ("errors", "identifiers", "lightjson", "validation.sound"),
)
ROW = {unit: len(ROWS) - number for number, units in enumerate(ROWS) for unit in units}

# Packages whose own file is empty stand with their lowest module.
EMPTY = {"backends": "backends.base", "validation": "validation.sound"}

# Where each third-party package may be imported, at the top or late; nothing else names it.
HOMES: dict[str, tuple[str, ...]] = {
    "altair": ("notebook",),
    "annotated_types": ("records", "validation.mirror", "validation.registry", "validation.typed"),
    "click": ("cli",),
    "diskcache": ("bench",),
    "duckdb": ("backends.filesystem", "notebook"),
    "hypothesis": ("testing",),
    "isal": ("backends.filesystem",),
    "jsonschema": ("validation.keywords", "validation.registry"),
    "langgraph": ("bench",),
    "lark": ("where",),
    "jsonschema_rs": ("validation.dialect", "validation.registry", "validation.verdict"),
    "orjson": ("backends", "bench", "cli", "exchange", "tables", "validation.verdict"),
    "pandas": ("results",),
    "polars": ("results",),
    "pyarrow": ("exchange", "notebook", "tables"),
    "pytest": ("testing",),
    "referencing": ("validation.references",),
    "rich": ("cli",),
    "sqlite_utils": ("backends.sqlite", "bench"),
    "sqlitedict": ("bench",),
    "tinydb": ("bench",),
    "typeguard": ("validation.typed",),
}


def unit_of(module: str) -> str | None:
    """The unit that a module of the package belongs to; None for the package's list of names."""
    inside = module.removeprefix("moai_patterns").removeprefix(".")
    parts = inside.split(".") if inside else []
    if inside in EMPTY:
        return EMPTY[inside]
    for length in range(len(parts), 0, -1):
        if (unit := ".".join(parts[:length])) in ROW:
            return unit
    return inside or None


@pytest.mark.parametrize("module", [name for name in modules() if name != "moai_patterns"])
def test_a_module_imports_only_from_lower_rows(module: str) -> None:
    """Nothing imports upwards or sideways, late imports included; annotations may look anywhere."""
    unit = unit_of(module)
    assert unit in ROW, f"{module} stands in no row: give it one"
    wrong = []
    for found in imports(modules()[module]):
        other = unit_of(found.module) if found.module.startswith("moai_patterns.") else None
        if other is not None and not found.typing and other != unit and ROW.get(other, 99) >= ROW[unit]:
            wrong.append(f"line {found.line}: {found.module}")
    assert wrong == []


def test_no_import_comes_back_to_where_it_started() -> None:
    """The graph of imports has no cycle, also within a package, where a late import may look back."""
    known = modules()
    graph = {
        module: {
            found.module
            for found in imports(path)
            if found.module in known and not found.typing and not found.late
        }
        for module, path in known.items()
        if module != "moai_patterns"
    }
    graphlib.TopologicalSorter({module: found - {module} for module, found in graph.items()}).prepare()


@pytest.mark.parametrize("module", modules())
def test_third_party_packages_are_imported_in_their_homes_only(module: str) -> None:
    """A package from elsewhere is imported by its home, so that it can be replaced in one place."""
    wrong = []
    for found in imports(modules()[module]):
        top = found.module.partition(".")[0]
        if top in sys.stdlib_module_names or top == "moai_patterns" or found.typing:
            continue
        inside = module.removeprefix("moai_patterns.")
        homes = HOMES.get(top, ())
        if not any(inside == home or inside.startswith(f"{home}.") for home in homes):
            wrong.append(f"line {found.line}: {found.module}")
    assert wrong == []

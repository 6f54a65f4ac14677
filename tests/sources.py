"""What the tests of the project itself read: its files, their syntax trees, imports and functions."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "moai_patterns"
GENERATED = frozenset({"moai_patterns.validation.compiled"})
BUILT = frozenset({".git", ".venv", "__pycache__", "build", "dist", "demo-output", ".hypothesis"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Import(NamedTuple):
    """One imported module; `late` inside a function, `typing` for annotations alone."""

    module: str
    line: int
    late: bool
    typing: bool


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project: what git tracks or would, or what is there in an unpacked sdist."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        named = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        found = [ROOT / name for name in named.split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not BUILT.intersection(path.relative_to(ROOT).parts)]
    return tuple(sorted(path for path in found if path.is_file()))


def relative(path: Path) -> str:
    """The path of a file below the root of the checkout, with slashes."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_bytes(), relative(path))


@cache
def modules() -> dict[str, Path]:
    """The modules of the package by their dotted name."""
    found = {}
    for path in files():
        if path.suffix == ".py" and path.is_relative_to(PACKAGE):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> list[Import]:
    """Every import statement of a file, and every `import_module` of a literal name."""
    found: list[Import] = []
    _collect(tree(path), found, late=False, typing=False)
    return found


def _collect(node: ast.AST, found: list[Import], *, late: bool, typing: bool) -> None:
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        for branch, annotations in ((node.body, True), (node.orelse, typing)):
            for statement in branch:
                _collect(statement, found, late=late, typing=annotations)
        return
    found += [Import(name, getattr(node, "lineno", 0), late, typing) for name in _imported(node)]
    within = late or isinstance(node, Function | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        _collect(child, found, late=within, typing=typing)


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        if node.level:
            raise AssertionError(f"a relative import in line {node.lineno}; write the whole name")
        known = modules()
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            yield whole if whole in known else str(node.module)
    elif isinstance(node, ast.Call) and node.args:
        name = ast.unparse(node.func).rpartition(".")[2]
        first = node.args[0]
        if name in ("import_module", "__import__") and isinstance(first, ast.Constant):
            yield str(first.value)


def functions(path: Path) -> Iterator[tuple[str, Function]]:
    """Every function and method of a file with its qualified name, nested ones included."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                yield prefix + child.name, child
                yield from walk(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")
            else:
                yield from walk(child, prefix)

    return walk(tree(path), "")


def parameters(function: Function) -> list[str]:
    """The names of a function's parameters without self and cls."""
    every = function.args
    named = [*every.posonlyargs, *every.args, *every.kwonlyargs]
    starred = [star for star in (every.vararg, every.kwarg) if star is not None]
    names = [argument.arg for argument in [*named, *starred]]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names

"""Words that say nothing are not used in names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from sources import ROOT, files, relative, tree

BANNED = frozenset({"manager", "handler", "processor", "helper", "util", "info", "enhanced", "unified", "v2"})
BANNED_FILES = BANNED | {"core", "common"}


def words(name: str) -> set[str]:
    """The words of a name, in lower case and the singular."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+\d*|\d+", name)
    return {part.lower().removesuffix("s") if len(part) > 4 else part.lower() for part in parts}


def defined(path: Path) -> Iterator[str]:
    """Every name that a file gives to something: functions, classes, parameters, variables."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def test_names_are_taken_apart_into_words() -> None:
    """The words of a name are found whatever its spelling; parts of longer words are none."""
    assert words("HTTPHandler_utils2") >= {"http", "handler"}
    assert words("load_v2") == {"load", "v2"}
    assert words("information_helpers") == {"information", "helper"}


def test_no_name_in_the_sources_uses_a_banned_word() -> None:
    """Managers, handlers, helpers and the like are called by what they do."""
    wrong = {
        f"{relative(path)}: {name}"
        for path in files()
        if path.suffix == ".py"
        for name in defined(path)
        if words(name) & BANNED
    }
    assert wrong == set()


def test_no_file_or_folder_is_named_by_a_banned_word() -> None:
    """There is no drawer for things without a place, such as utils or common."""
    wrong = {
        relative(path)
        for path in files()
        for part in path.relative_to(ROOT).parts
        if words(Path(part).stem) & BANNED_FILES
    }
    assert wrong == set()


def test_every_test_says_in_a_sentence_what_it_shows() -> None:
    """Each test function has a docstring that ends like a sentence."""
    silent = []
    for path in files():
        if path.name.startswith("test_") and path.suffix == ".py":
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    sentence = ast.get_docstring(node) or ""
                    if not sentence.rstrip("`)").endswith("."):
                        silent.append(f"{relative(path)}:{node.lineno} {node.name}")
    assert silent == []

"""Edit a JSON text in place: what is not edited keeps every byte, its order, indentation and line ends.

Parsing and writing anew would reflow arrays and numbers that somebody laid out by hand. So members
and elements are put into the text and taken out of it.

A container that was empty gets its first child behind one blank; one that is made here begins with
its first child or a new line. So taking the last child out again tells which of the two to leave.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from moai_patterns import jsonlines

_BLANKS = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_MARK = " "


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a text, from `start` to `end`; with its key, if it has one, it begins at `begin`."""

    value: Any
    begin: int
    start: int
    end: int
    children: dict[str | int, Node] = field(default_factory=dict)

    def at(self, path: Sequence[str | int]) -> Node:
        """Return the node at a path of keys and indexes. Raises `KeyError`."""
        node = self
        for step in path:
            node = node.children[step]
        return node


@dataclass(frozen=True, slots=True)
class Style:
    """How a text is laid out: the `unit` of its indentation (None: all on one line), and its line `end`."""

    unit: str | None
    end: str

    def render(self, value: Any, indent: str) -> str:
        """Return the text of a value that stands in a line indented by `indent`."""
        if self.unit is None:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return json.dumps(value, ensure_ascii=False, indent=self.unit).replace("\n", self.end + indent)


def parse(text: str, place: str) -> Node:
    """Return the tree of a JSON text. Raises `ValidationError` that begins with `place`.

    >>> parse('{"a": [{"b": 10}]}', "x").at(["a", 0, "b"]).value
    10
    """
    jsonlines.parse(text, place)
    return _node(text, _after_blanks(text, 0))


def style(text: str) -> Style:
    r"""Return the layout of a text; two blanks for one that has none yet.

    >>> style('{"a":1}').unit is None, style('{\n\t"a": 1\n}').unit == "\t", style("{}").unit == "  "
    (True, True, True)
    """
    end = "\r\n" if "\r\n" in text else "\n"
    indented = re.search(r"\n([ \t]+)[^ \t\r\n]", text)
    if indented:
        return Style(indented[1], end)
    bare = text.strip()
    return Style(None if bare.strip("{} \t\r\n") and "\n" not in bare else "  ", end)


def put_in(text: str, path: Sequence[str | int], value: Any, layout: Style, *, key: str | None = None) -> str:
    """Return the text with one more child, the last, in the container at `path`: in an object under `key`.

    >>> put_in('{"a": [1, 2]}', ["a"], 3, style('{"a": [1, 2]}'))
    '{"a": [1, 2, 3]}'
    """
    root = parse(text, "the text")
    parent = root.at(path)
    line = text[text.rfind("\n", 0, parent.start) + 1 : parent.start]
    indent = line[: len(line) - len(line.lstrip(" \t"))] + (layout.unit or "")
    fresh = layout.end + indent if layout.unit is not None else ""
    if parent.children:
        at, lead = _lead(text, parent)
        lead = fresh if lead == _MARK and len(parent.children) == 1 else lead
        indent = lead.rpartition("\n")[2] if "\n" in lead else indent
        return text[:at] + "," + lead + _member(key, value, layout, indent) + text[at:]
    at = parent.start + 1
    member = _member(key, value, layout, indent)
    if parent is root and parent.end == at + 1:
        return text[:at] + fresh + member + layout.end * (layout.unit is not None) + text[at:]
    return text[:at] + _MARK + member + text[at:]


def take_out(text: str, path: Sequence[str | int]) -> str:
    """Return the text without the value at `path`, and without containers that held nothing else.

    A container that was empty before `put_in` stays as it was.

    >>> take_out('{"a": 1, "b": {"c": [2]}}', ["b", "c", 0])
    '{"a": 1}'
    """
    root = parse(text, "the text")
    for depth in range(len(path) - 1, -1, -1):
        parent, gone = root.at(path[:depth]), root.at(path[: depth + 1])
        kept = list(parent.children.values())
        place = kept.index(gone)
        if place:
            return text[: kept[place - 1].end] + text[gone.end :]
        if len(kept) > 1:
            return text[: gone.begin] + text[kept[1].begin :]
        if text[parent.start + 1 : gone.begin] == _MARK:
            return text[: parent.start + 1] + text[gone.end :]
    return text[: root.start] + "{}" + text[root.end :]


def put_instead(text: str, path: Sequence[str | int], value: Any, layout: Style) -> str:
    """Return the text with another value at `path`.

    >>> put_instead('{"a": 1}', ["a"], "é", style("{}"))
    '{"a": "é"}'
    """
    old = parse(text, "the text").at(path)
    line = text[text.rfind("\n", 0, old.begin) + 1 : old.begin]
    return text[: old.start] + layout.render(value, line if not line.strip() else "") + text[old.end :]


def _lead(text: str, parent: Node) -> tuple[int, str]:
    """Return where the last child ends, and the blanks before it."""
    *before, last = parent.children.values()
    gap = text[before[-1].end if before else parent.start + 1 : last.begin]
    return last.end, gap.partition(",")[2] if before else gap


def _member(key: str | None, value: Any, layout: Style, indent: str) -> str:
    if key is None:
        return layout.render(value, indent)
    colon = ":" if layout.unit is None else ": "
    return json.dumps(key, ensure_ascii=False) + colon + layout.render(value, indent)


def _node(text: str, start: int, begin: int | None = None) -> Node:
    begin = start if begin is None else begin
    if text[start] not in "{[":
        value, end = _DECODER.raw_decode(text, start)
        return Node(value, begin, start, end)
    children: dict[str | int, Node] = {}
    at = _after_blanks(text, start + 1)
    while text[at] not in "}]":
        key: str | int = len(children)
        first = at
        if text[start] == "{":
            key, at = _DECODER.raw_decode(text, at)
            at = _after_blanks(text, _after_blanks(text, at) + 1)
        children[key] = child = _node(text, at, first)
        at = _after_blanks(text, child.end)
        if text[at] == ",":
            at = _after_blanks(text, at + 1)
    values = {key: child.value for key, child in children.items()}
    return Node(values if text[start] == "{" else list(values.values()), begin, start, at + 1, children)


def _after_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at

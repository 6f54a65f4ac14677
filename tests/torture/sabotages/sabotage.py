"""A bug to plant, as data: what a reviewer could overlook, and the test that does not."""

from __future__ import annotations

from typing import NamedTuple


class Sabotage(NamedTuple):
    """A patch of one file of the package.

    `breaks` says which promise it breaks, `file` is a path below `moai_patterns`, `old` stands in it
    exactly once and becomes `new`, and `test` is the node id of the test that must fail then: at the first
    try, but for a race, which processes that start together meet by chance.
    """

    name: str
    breaks: str
    file: str
    old: str
    new: str
    test: str
    tries: int = 1

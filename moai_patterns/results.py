"""What a query returns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Results(list[dict[str, Any]]):
    """The records that answer a query, as a list, and where to go on.

    `cursor` continues after the last record when given to the same query; it is None at the end.
    """

    def __init__(self, records: Iterable[dict[str, Any]] = (), cursor: str | None = None) -> None:
        super().__init__(records)
        self.cursor = cursor

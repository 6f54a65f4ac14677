"""Many saves by one writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from moai_patterns.backends.base import SingleWriter
from moai_patterns.identifiers import new_id
from moai_patterns.instant import isoformat
from moai_patterns.query import Record
from moai_patterns.saving import Saver
from moai_patterns.schema import admit


class Session:
    """Many saves by one writer: `with storage.session() as session: session.save(...)`.

    Each save is validated, acknowledged and visible by itself, as with `PatternStorage.save`; only the
    flush to the disk that the level `group` asks for comes once, when the session ends.
    """

    def __init__(self, saver: Saver, writer: SingleWriter, clock: Callable[[], int]) -> None:
        self._saver = saver
        self._writer = writer
        self._clock = clock

    def save(self, pattern: Mapping[str, Any]) -> Literal[True]:
        """Validate a record and store it. Raises like `PatternStorage.save`."""
        self._saver.save([admit(pattern)], "save", into=self._writer)
        return True

    def capture(self, kind: str, data: Mapping[str, Any], context: Mapping[str, Any] | None = None) -> str:
        """Store `data` as a new record of `kind` and return its id."""
        record = captured(kind, data, context, self._clock() // 1000)
        self._saver.save([record], "save", into=self._writer, fresh=True)
        return str(record["pattern_id"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


def captured(kind: str, data: Mapping[str, Any], context: Mapping[str, Any] | None, now: int) -> Record:
    """Return a validated record of `data`, stamped with a new id and the time in UTC microseconds.

    Raises `ValidationError`.
    """
    pattern: dict[str, Any] = {
        "pattern_id": new_id(now),
        "pattern_type": kind,
        "timestamp": isoformat(now),
        "data": data,
    }
    if context is not None:
        pattern["context"] = context
    return admit(pattern)

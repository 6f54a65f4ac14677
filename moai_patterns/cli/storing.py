"""JSON Lines into a store, in batches; what is refused is named by file and line."""

from __future__ import annotations

from itertools import islice
from typing import BinaryIO

from moai_patterns import jsonlines
from moai_patterns.cli.output import counted
from moai_patterns.errors import PatternError, ValidationError
from moai_patterns.query import Record
from moai_patterns.saving import Saved
from moai_patterns.schema import admit
from moai_patterns.storage import BATCH, PatternStorage

Line = tuple[str, bytes]


def name_of(source: BinaryIO) -> str:
    """Return what a source is called in messages."""
    return "standard input" if source.name == "<stdin>" else str(source.name)


def store_lines(storage: PatternStorage, source: BinaryIO) -> Saved:
    """Store a record a line and return what became of them.

    Each batch of 1,000 is all or nothing. Raises what storing raises; a `ValidationError` names file
    and line of the first refused record, every error says what of the file is stored.
    """
    total = Saved()
    lines = jsonlines.numbered(source, name_of(source))
    while batch := list(islice(lines, BATCH)):
        try:
            saved = _store(storage, batch)
        except PatternError as error:
            before = f"stored: {counted(sum(total), 'record')} before {batch[0][0]}, none from there on"
            error.add_note(before if any(total) else "nothing is stored")
            raise
        total = Saved(*map(sum, zip(total, saved, strict=True)))
    return total


def _store(storage: PatternStorage, batch: list[Line]) -> Saved:
    records = [jsonlines.record(line, place) for place, line in batch]
    try:
        return storage.save_batch(records)
    except ValidationError as error:
        raise _placed(batch, records) or error from None


def _placed(batch: list[Line], records: list[Record]) -> ValidationError | None:
    for (place, _), record in zip(batch, records, strict=True):
        try:
            admit(record)
        except ValidationError as error:
            return ValidationError(f"{place}: {error}", error.violations)
    return None


def told(saved: Saved) -> str:
    """Return the sentence on what became of records.

    >>> told(Saved(1, 0, 2))
    '3 records: 1 new, 0 revised, 2 unchanged'
    """
    return (
        f"{counted(sum(saved), 'record')}: {saved.added} new, {saved.revised} revised, "
        f"{saved.unchanged} unchanged"
    )

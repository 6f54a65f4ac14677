"""What a text holds, read by rules of its own, so that it can be told whether a door has lost any of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from moai_patterns.collect import claude_code, transcripts
from moai_patterns.collect.redact import redact
from torture.promise import must

_BLANK = b" \t\r\n"
_MARK = b"\xef\xbb\xbf"


def strict(raw: bytes) -> Any:
    """Return the one JSON value that a text is. Raises `ValueError` for what is none, or says a key twice."""
    try:
        return json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("too deep") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key twice")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def canonical(value: Any) -> str:
    """Return what is equal for equal JSON values only: 1 is not 1.0, nor true."""
    return json.dumps(value, sort_keys=True)


def lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a recording that hold something, with their numbers and without what is around."""
    for number, line in enumerate(raw.split(b"\n"), start=1):
        bare = line.removeprefix(_MARK).strip(_BLANK).strip(b"\0" + _BLANK)
        if bare.strip(b",]" + _BLANK):
            yield number, bare


def recording(raw: bytes, records: Iterable[dict[str, Any]], named: set[int], key: bytes) -> None:
    """Raise unless each line of a recording is carried by a record, as often as it stands there, or named.

    Parameters:
        raw: the recording.
        records: what was made of it.
        named: the numbers of the lines that the summary names.
        key: of the placeholders in the place of secrets.
    """
    carried = Counter(text for record in records for text in _carried(record))
    first = raw.removeprefix(_MARK).lstrip(_BLANK + b"\0")
    if first.startswith(b"[") or first.partition(b"\n")[0].strip(_BLANK) == b"{":
        must(bool(carried or named), "nothing of it is stored or named")  # its entries are no lines
        return
    wanted: Counter[str] = Counter()
    for number, line in lines(raw):
        try:
            value = strict(line)
        except ValueError:
            must(_raw(line, key) in carried or number in named, f"line {number} is neither kept nor named")
            continue
        text = canonical(redact(value, key)[0])
        text = text if text in carried else _raw(line, key)
        # A transcript may say a line again, which its uuid tells.
        wanted[text] = 1 if isinstance(value, dict) and "uuid" in value else wanted[text] + 1
        must(carried[text] >= wanted[text], f"line {number} is not kept: {line[:300]!r}")


def _raw(line: bytes, key: bytes) -> str:
    return "raw " + str(redact(line.decode("utf-8", "surrogateescape"), key)[0])


def _carried(record: dict[str, Any]) -> list[str]:
    """Return the values that a record carries, and the text of an entry that is kept as it was."""
    metadata = record["context"]["metadata"]
    if "raw" in record["data"]:
        return ["raw " + record["data"]["raw"]]
    if metadata["source"] != claude_code.SOURCE:
        return [canonical(line) for line in transcripts.rebuild(record)]
    return [] if "primary" in metadata else [canonical(claude_code.rebuild(record))]


def payload(raw: bytes, records: list[dict[str, Any]], key: bytes | None) -> None:
    """Raise unless exactly one of the records that a hook has stored carries the payload."""
    carriers = [record for record in records if "primary" not in record["context"]["metadata"]]
    must(len(carriers) == 1, f"{len(carriers)} records carry it: {carriers!r:.2000}")
    (carrier,) = carriers
    for record in records:
        said = record["context"]["metadata"].get("primary", carrier["pattern_id"])
        must(said == carrier["pattern_id"], "a derived record belongs to nothing")
    kept = claude_code.rebuild(carrier)
    if isinstance(kept, bytes):
        encoding = carrier["context"]["metadata"]["encoding"]
        must(bool(carrier["data"]["reason"]), "it is kept as a text for no reason")
        must(kept == _redacted(raw.decode(encoding), key).encode(encoding), f"kept is {kept[:300]!r}")
    else:
        value = strict(raw.removeprefix(_MARK))
        must(canonical(kept) == canonical(_redacted(value, key)), f"kept is {kept!r}")


def _redacted(value: Any, key: bytes | None) -> Any:
    return value if key is None else redact(value, key)[0]

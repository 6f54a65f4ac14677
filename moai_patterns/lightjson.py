"""JSON for the capture process: the parser and the writer of `json`, without what `json` imports.

`import json` brings `re`, `enum` and `collections` with it, for one pattern that skips blanks. That
alone costs half as much as starting the interpreter (a factor of 0.5 to 0.8 of `python -c pass` by
itself). The C parts below are the very ones that `json.loads` and `json.dumps` call; where an
interpreter has none, `json` does the work.
"""

from __future__ import annotations

try:
    from _json import encode_basestring, make_encoder, make_scanner
except ImportError:  # an interpreter without the C parts
    make_scanner = None  # type: ignore[assignment,misc]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BLANK = " \t\n\r"


class _Options:
    """What the scanner asks for, under the names of `json.JSONDecoder`."""

    strict = True
    object_hook = None
    parse_float = float
    parse_int = int

    def __init__(
        self,
        pairs: Callable[[list[tuple[str, Any]]], Any] | None,
        constant: Callable[[str], Any],
    ) -> None:
        self.object_pairs_hook = pairs
        self.parse_constant = constant


def loads(
    text: str,
    *,
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
    constant: Callable[[str], Any] | None = None,
) -> Any:
    """Return the value of a JSON text, exactly as `json.loads` does.

    Parameters:
        text: the document; a leading byte order mark is an error, as in `json`.
        pairs: called with the pairs of each object instead of making a dict (`object_pairs_hook`).
        constant: called with `NaN`, `Infinity` or `-Infinity` (`parse_constant`); default `float`.

    Raises `json.JSONDecodeError`, a `ValueError`, and `RecursionError`.

    >>> loads(' {"a": [1, 2.5, null]} ')
    {'a': [1, 2.5, None]}
    """
    if make_scanner is not None:
        start = len(text) - len(text.lstrip(_BLANK))
        try:
            scan: Any = make_scanner(_Options(pairs, constant or float))  # type: ignore[arg-type]
            value, end = scan(text, start)
            if not text[end:].strip(_BLANK):
                return value
        except (StopIteration, SystemError):
            # `json` finds the words for what is wrong here. SystemError: the C part of Python 3.11 takes
            # the error's class from `json.decoder`, and returns without one where that is not loaded.
            pass
    import json

    return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)


def dumps(value: Any) -> str:
    """Return the shortest JSON text of plain data: no blanks, letters beyond ASCII as they are.

    Raises `ValueError` for NaN, Infinity and a value that contains itself, and `TypeError` for what
    JSON has no form for.

    >>> dumps({"a": [1, None, "é"]})
    '{"a":[1,null,"é"]}'
    """
    if make_scanner is not None:
        encode = make_encoder({}, _refuse, encode_basestring, None, ":", ",", False, False, False)
        return "".join(encode(value, 0))
    import json

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def readable(value: Any) -> str:
    """Return plain data as JSON for people, exactly as `json.dumps` with an indent of 2 lays it out.

    Raises what `dumps` raises.

    >>> print(readable({"a": [], "b": [1]}))
    {
      "a": [],
      "b": [
        1
      ]
    }
    """
    if make_scanner is not None:
        encode = make_encoder({}, _refuse, encode_basestring, None, ":", ",", False, False, False)
        return _laid_out(value, "\n", encode)
    import json

    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)


def _laid_out(value: Any, end: str, encode: Callable[[Any, int], tuple[str, ...]]) -> str:
    inner = end + "  "
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, dict) and value:
        members = [f"{encode_basestring(key)}: {_laid_out(value[key], inner, encode)}" for key in value]
        return f"{{{inner}{f',{inner}'.join(members)}{end}}}"
    if isinstance(value, list) and value:
        return f"[{inner}{f',{inner}'.join([_laid_out(item, inner, encode) for item in value])}{end}]"
    return "".join(encode(value, 0))


def _refuse(value: object) -> Any:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

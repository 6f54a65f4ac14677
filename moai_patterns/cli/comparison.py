"""One comparison as text: a dotted path, an operator, a JSON value."""

from __future__ import annotations

import json
import re
from typing import Any

from moai_patterns.conditions import Condition, field, shortened
from moai_patterns.errors import QueryError

# A lazy value before blanks would be tried at each blank of a long run of them, to its end.
_FORM = re.compile(r"\s*([^\s=!<>]+)\s*(==|!=|<=|>=|<|>|=)\s*(.*)", re.DOTALL)
_OPENING = tuple('"[{')  # what begins so was meant as JSON
_OPERATORS = tuple("=!<>")


def comparison(text: str) -> Condition:
    """Return the condition that `PATH OPERATOR VALUE` states.

    The value is JSON; what is no JSON counts as text, unless it begins like a JSON text, array or
    object, or with a further operator. `=` means `==`. Raises `QueryError` for another form, and for
    a value that is missing or nested too deeply.

    >>> comparison("data.duration_ms >= 1000").matches({"data": {"duration_ms": 1000}})
    True
    >>> comparison("context.git_branch=main").matches({"data": {}, "context": {"git_branch": "main"}})
    True
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise QueryError(
            f"{shortened(text)} is no comparison: write PATH OPERATOR VALUE with = == != < <= > or >="
        )
    path, operator = found.groups()[:2]
    written = found[3].rstrip()
    if not written:
        place = f"at character {found.end(2)}, behind {operator}"
        raise QueryError(f'{shortened(text)} has no value {place}: write one, "" for the empty text')
    try:
        return _compared(field(path), operator, _value(written))
    except RecursionError:
        place = f"at character {found.start(3) + 1}"
        raise QueryError(f"the value {place} of {shortened(text)} is nested too deeply") from None
    except json.JSONDecodeError as error:
        place = f"at character {found.start(3) + error.pos + 1}"
        raise QueryError(f"{shortened(text)} has no value that can be read {place}: {error.msg}") from None


def _value(written: str) -> Any:
    if written.startswith(_OPERATORS):
        raise json.JSONDecodeError('a second operator; write text that begins so in "quotes"', written, 0)
    if written.startswith("'"):
        raise json.JSONDecodeError('text stands in double quotes: "main"', written, 0)
    try:
        return json.loads(written)
    except ValueError:
        if written.startswith(_OPENING):
            raise
        return written


def _compared(compared: field, operator: str, value: Any) -> Condition:
    outcomes = {
        "==": compared.__eq__,
        "=": compared.__eq__,
        "!=": compared.__ne__,
        "<": compared.__lt__,
        "<=": compared.__le__,
        ">": compared.__gt__,
        ">=": compared.__ge__,
    }
    return outcomes[operator](value)

"""One comparison as text: a dotted path, an operator, a JSON value."""

from __future__ import annotations

import json
import re
from typing import Any

from moai_patterns.conditions import Condition, field
from moai_patterns.errors import QueryError

_FORM = re.compile(r"\s*([^\s=!<>]+)\s*(==|!=|<=|>=|<|>|=)\s*(.*?)\s*", re.DOTALL)


def comparison(text: str) -> Condition:
    """Return the condition that `PATH OPERATOR VALUE` states.

    The value is JSON; what is no JSON counts as text. `=` means `==`. Raises `QueryError` for
    another form, and for a value that is missing or nested too deeply.

    >>> comparison("data.duration_ms >= 1000").matches({"data": {"duration_ms": 1000}})
    True
    >>> comparison("context.git_branch=main").matches({"data": {}, "context": {"git_branch": "main"}})
    True
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise QueryError(f"{text!r} is no comparison: write PATH OPERATOR VALUE with == != < <= > or >=")
    path, operator, written = found.groups()
    if not written:
        place = f"at character {found.end(2)}, behind {operator}"
        raise QueryError(f'{text!r} has no value {place}: write one, "" for the empty text')
    try:
        return _compared(field(path), operator, _value(written))
    except RecursionError:
        place = f"at character {found.start(3)}"
        raise QueryError(f"the value {place} of {text[:60]!r} is nested too deeply") from None


def _value(written: str) -> Any:
    try:
        return json.loads(written)
    except ValueError:
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

"""What JSON can hold: the limits that no schema states, on Python values.

Strings hold no lone surrogates, keys are strings, integers lie within signed 64 bit, floats are finite,
containers nest at most 100 deep, and there is nothing but `dict`, `list`, `str`, `int`, `float`, `bool`
and `None`. An instance of a subclass counts as what it extends: an enum member that is a `str` is its text.
This module imports nothing, and the generator copies its functions into `compiled.py`, because the
capture process runs them.

`type()` and base-class methods such as `dict.items(value)` stand where `isinstance` and methods would do:
an overridden method or a lying `__class__` then never runs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def sound(values: Iterable[Any], room: int = 100) -> int:
    """Grade values: 2 when JSON can hold them all, 1 when it can hold what `plain` makes of them, else 0.

    `room` is the number of container levels that each may take. Many values at once, because a call per
    leaf made the walk of a small record half as slow again.

    >>> sound([{"a": [1, 2.5, None]}]), sound([{"a": float("nan")}])
    (2, 0)
    """
    grade = 2
    for value in values:
        kind = type(value)
        if kind is str:
            if not (value.isascii() or encodable(value)):
                return 0
        elif kind is bool or value is None:
            pass
        elif kind is int:
            if not -9223372036854775808 <= value <= 9223372036854775807:
                return 0
        elif kind is float:
            if value - value != 0:
                return 0
        else:
            inner = _inside(value, kind, room)
            if not inner:
                return 0
            grade = min(grade, inner)
    return grade


def _inside(value: Any, kind: type, room: int) -> int:
    if kind is list:
        return sound(value, room - 1) if room else 0
    if kind is dict:
        for key in value:
            if type(key) is not str:
                break
            if not (key.isascii() or encodable(key)):
                return 0
        else:
            return sound(value.values(), room - 1) if room else 0
    base = exact(value)
    return 1 if base is not value and sound((base,), room) else 0


def encodable(text: str) -> bool:
    r"""Tell whether a text has a UTF-8 form, which lone surrogates lack.

    >>> encodable("é"), encodable("\ud800")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def exact(value: Any) -> Any:
    """Return an instance of a subclass, or a dict with keys of one, as the JSON type that it extends.

    Everything else comes back as it is, and so does what a container holds.

    >>> from moai_patterns.records import PatternType
    >>> exact(PatternType.AGENT_USAGE), exact(2.5), exact(b"bytes")
    ('agent_usage', 2.5, b'bytes')
    """
    kind = type(value)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int) and kind is not bool:
        return int.__int__(value)
    if issubclass(kind, float):
        return float.__float__(value)
    if issubclass(kind, list):
        return list.copy(value)
    if not issubclass(kind, dict):
        return value
    made: dict[str, Any] = {}
    for key, item in dict.items(value):
        if not issubclass(type(key), str):
            return value
        made[str.__str__(key)] = item
    return made if len(made) == dict.__len__(value) else value


def plain(value: Any) -> Any:
    """Return a deep copy of a value of grade 1 or 2 without any subclass.

    >>> from collections import OrderedDict
    >>> plain(OrderedDict(a=[True]))
    {'a': [True]}
    """
    base = exact(value)
    kind = type(base)
    if kind is dict:
        return {key: plain(item) for key, item in base.items()}
    if kind is list:
        return [plain(item) for item in base]
    return base

"""The TypedDicts at run time: `typeguard`, taught what it does not know.

Alone it takes `True` for an int, ignores `Annotated`, refuses unknown keys and looks at the first item of a
list only. What it learns here holds during our own checks: other users of typeguard in the process keep
its rules.
"""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Callable, Iterable
from enum import Enum
from inspect import isclass
from types import GenericAlias
from typing import Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from typeguard import (
    CollectionCheckStrategy,
    TypeCheckerCallable,
    TypeCheckError,
    TypeCheckMemo,
    check_type,
    check_type_internal,
    checker_lookup_functions,
)

from moai_patterns.records import IsTimestamp, Lacks, Matches, Pattern
from moai_patterns.validation.dialect import holds, is_integer, is_timestamp
from moai_patterns.validation.mirror import fields, is_shape, marks
from moai_patterns.validation.sound import exact
from moai_patterns.validation.verdict import kind_of, snapshot


def valid(record: Any) -> bool:
    """Tell whether a value is a record by the TypedDicts; `data` of a kind without one, by its schema.

    >>> record = {"pattern_id": "a", "pattern_type": "hook_event", "timestamp": "2025-11-29"}
    >>> valid({**record, "data": {"event": "Stop"}}), valid({**record, "data": {"event": 5}})
    (True, False)
    """
    copy = snapshot(record)
    kind = kind_of(copy)
    if kind is None or "_meta" in copy or not conforms(copy, Pattern):
        return False
    data = copy["data"]
    return kind.payload.is_valid(data) if kind.shape is None else conforms(data, kind.shape)


def conforms(value: Any, shape: Any) -> bool:
    """Tell whether a plain value is of a type, each item of it and each constraint in `Annotated`."""
    _ours.active = True
    try:
        check_type(value, shape, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS)
    except TypeCheckError:
        return False
    finally:
        _ours.active = False
    return True


class _Ours(threading.local):
    active = False


_ours = _Ours()


def _lookup(origin: Any, args: tuple[Any, ...], extras: tuple[Any, ...]) -> TypeCheckerCallable | None:
    if not _ours.active:
        return None
    limits = [mark for mark in marks(extras) if not isinstance(mark, str)]
    if limits:
        bare = GenericAlias(origin, args) if args else origin
        return lambda value, _, __, memo: _limited(value, bare, limits, memo)
    if is_shape(origin):
        return _check_shape
    return _check_enum if isclass(origin) and issubclass(origin, Enum) else _CHECKS.get(origin)


def _limited(value: Any, bare: Any, limits: Iterable[Any], memo: TypeCheckMemo) -> None:
    check_type_internal(value, bare, memo)
    for mark in limits:
        name, test = _LIMITS[type(mark)]
        if not test(value, getattr(mark, name) if name else None):
            raise TypeCheckError(f"breaks {mark}")


def _check_shape(value: Any, shape: Any, _: Any, memo: TypeCheckMemo) -> None:
    if not isinstance(value, dict):
        raise TypeCheckError("is not a dict")
    for name, field in fields(shape).items():
        if name in value:
            check_type_internal(value[name], field.annotation, memo)
        elif field.required:
            raise TypeCheckError(f"is missing the required key {name!r}")


def _check_int(value: Any, *_: Any) -> None:
    if not is_integer(value):
        raise TypeCheckError("is not an integer")


def _check_float(value: Any, *_: Any) -> None:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeCheckError("is not a finite number")


def _check_literal(value: Any, _: Any, choices: tuple[Any, ...], __: TypeCheckMemo) -> None:
    if not any(_equal(value, exact(choice)) for choice in choices):
        raise TypeCheckError(f"is none of {choices}")


def _check_enum(value: Any, members: Any, *_: Any) -> None:
    if not any(_equal(value, exact(member.value)) for member in members):
        raise TypeCheckError(f"is no value of {members.__name__}")


def _equal(one: Any, other: Any) -> bool:
    """Compare as JSON does: 1 equals 1.0 and not true."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


_CHECKS: dict[Any, TypeCheckerCallable] = {int: _check_int, float: _check_float, Literal: _check_literal}
_LIMITS: dict[type, tuple[str, Callable[[Any, Any], bool]]] = {
    Ge: ("ge", operator.ge),
    Gt: ("gt", operator.gt),
    Le: ("le", operator.le),
    Lt: ("lt", operator.lt),
    MultipleOf: ("multiple_of", lambda value, divisor: holds("multipleOf", divisor)(value)),
    MinLen: ("min_length", lambda value, least: len(value) >= least),
    MaxLen: ("max_length", lambda value, most: len(value) <= most),
    Matches: ("regex", lambda value, regex: holds("pattern", regex)(value)),
    Lacks: ("regex", lambda value, regex: not holds("pattern", regex)(value)),
    IsTimestamp: ("", lambda value, _: is_timestamp(value)),
}

checker_lookup_functions.insert(0, _lookup)

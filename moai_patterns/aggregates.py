"""What can be said of many records at once: how many, how long, how often.

One definition for every backend, which makes a `Tally` or adds to one:

- `sum_`, `mean` and `quantile` are about the numbers at a path; whatever else stands there is left out.
- `min_` and `max_` are about numbers and texts, where every number comes before every text.
- `distinct` and `count` of a path are about values that are there and not null.
- Sums are exact and rounded once, so the order in which records are read changes no digit.
- A quantile between two values is interpolated (definition 7 of Hyndman and Fan, 1996, as in NumPy).
- Where no record has a value there is no sum, mean, quantile, rate, least or greatest: it is None.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as slot
from fractions import Fraction
from itertools import accumulate
from typing import Any, Literal

from moai_patterns.conditions import field, spelled
from moai_patterns.errors import QueryError
from moai_patterns.periods import Periods
from moai_patterns.values import MISSING, reach, shortened

Kind = Literal["count", "sum", "mean", "min", "max", "quantile", "distinct", "success_rate"]
PERIOD = "period"
# A value in a form that is equal where JSON values are: numbers and texts are their own, others are tuples.
Cell = str | int | float | tuple[int, Any] | None
_BOOL, _JSON = 1, 4
_TRUE, _FALSE = (_BOOL, True), (_BOOL, False)


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure about a group of records; made by `count`, `sum_` and the others of this module."""

    kind: Kind
    path: tuple[str, ...] = ()
    share: float = 0.0

    def __str__(self) -> str:
        """Return it as it is asked for."""
        arguments = [spelled(self.path)] if self.path else []
        if self.kind == "quantile":
            arguments.append(str(self.share))
        return f"{self.kind}({', '.join(arguments)})"


def count(path: str | None = None, *steps: str) -> Metric:
    """How many records; with a path, how many in which it is there and not null."""
    return Metric("count") if path is None else Metric("count", _path(path, steps))


def sum_(path: str, *steps: str) -> Metric:
    """The sum of the numbers."""
    return Metric("sum", _path(path, steps))


def mean(path: str, *steps: str) -> Metric:
    """The mean of the numbers."""
    return Metric("mean", _path(path, steps))


def min_(path: str, *steps: str) -> Metric:
    """The least number; where there is none, the least text by code point."""
    return Metric("min", _path(path, steps))


def max_(path: str, *steps: str) -> Metric:
    """The greatest text by code point; where there is none, the greatest number."""
    return Metric("max", _path(path, steps))


def quantile(path: str, share: float) -> Metric:
    """The number below which a share of the numbers lies, from 0 (the least) to 1 (the greatest).

    Raises `QueryError` for another share.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise QueryError(f"a quantile is asked for by a share from 0 to 1, not {shortened(share)}")
    return Metric("quantile", _path(path, ()), float(share))


def distinct(path: str, *steps: str) -> Metric:
    """How many different values, null not counted."""
    return Metric("distinct", _path(path, steps))


def success_rate(path: str = "data.success", *steps: str) -> Metric:
    """The share of true among the bools."""
    return Metric("success_rate", _path(path, steps))


def _path(path: str, steps: Sequence[str]) -> tuple[str, ...]:
    found = field(path, *steps).path
    if found == ("timestamp",):
        raise QueryError("timestamp is a time: group by it with every=")
    return found


@dataclass(frozen=True)
class Aggregation:
    """What is asked about records, as a value.

    Parameters:
        group_by: paths; a group for each combination of their values, where what is missing counts as null.
        every: a group for each period too, in which it begins stands under `period`: see `Periods`.
        tz: the zone of the periods, in which they are returned. Default UTC.
        metrics: figures by the name that they get. Default `{"n": count()}`.

    Raises `QueryError` for what has no meaning, and for a name that stands twice.
    """

    group_by: Sequence[str] = ()
    every: str | None = None
    tz: str = "UTC"
    metrics: Mapping[str, Metric] | None = None
    keys: tuple[tuple[str, ...], ...] = slot(init=False, compare=False, repr=False, default=())
    paths: tuple[tuple[str, ...], ...] = slot(init=False, compare=False, repr=False, default=())
    periods: Periods | None = slot(init=False, compare=False, repr=False, default=None)

    def __post_init__(self) -> None:
        def fix(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        if isinstance(self.group_by, str) or not isinstance(self.group_by, Iterable):
            raise QueryError(f"group_by takes a list of paths, not {shortened(self.group_by)}")
        metrics = {"n": count()} if self.metrics is None else self.metrics
        if not isinstance(metrics, Mapping) or not all(
            isinstance(name, str) and isinstance(metric, Metric) for name, metric in metrics.items()
        ):
            raise QueryError('metrics takes names with figures, like {"n": count()}')
        fix("group_by", tuple(self.group_by))
        fix("metrics", dict(metrics))
        twice = [name for name, times in Counter(self.columns).items() if times > 1]
        if twice:
            raise QueryError(f"{shortened(twice[0])} stands twice among the columns; give it another name")
        fix("keys", tuple(_path(path, ()) for path in self.group_by))
        fix("paths", tuple(dict.fromkeys(metric.path for metric in metrics.values() if metric.path)))
        fix("periods", None if self.every is None else Periods(self.every, self.tz))
        if self.every is None and self.tz != "UTC":
            raise QueryError("tz is the zone of periods; give every= too")

    @property
    def columns(self) -> tuple[str, ...]:
        """The names in a row of the answer."""
        return (*([PERIOD] if self.every is not None else []), *self.group_by, *(self.metrics or ()))


def cell(value: Any) -> Cell:
    """Return a JSON value so that equal ones are equal, and nothing else is; `MISSING` counts as null.

    >>> cell(1.0) == cell(1), cell(True) == cell(1), cell({"a": 1, "b": 2}) == cell({"b": 2, "a": 1.0})
    (True, False, True)
    """
    kind = type(value)
    if kind is str or kind is int:
        return value  # type: ignore[no-any-return]
    if value is None or value is MISSING:
        return None
    if kind is bool:
        return _TRUE if value else _FALSE
    if kind is float:
        return int(value) if value.is_integer() and abs(value) < 2**63 else value
    return (_JSON, json.dumps(_plain(value), sort_keys=True, ensure_ascii=False))


def _plain(value: Any) -> Any:
    """Return a JSON value with one form for equal numbers."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return cell(value) if isinstance(value, float) else value


def _value(found: Cell) -> Any:
    if isinstance(found, tuple):
        return found[1] if found[0] == _BOOL else json.loads(found[1])
    return found


def _rank(found: Cell) -> tuple[int, Any]:
    """Sort cells: null, bools, numbers, texts, arrays and objects by their text."""
    if isinstance(found, tuple):
        return found
    if found is None:
        return (0, 0)
    return (3, found) if isinstance(found, str) else (2, found)


class Tally:
    """The groups of an aggregation, with how often each value was met at each path.

    Tallies of parts of a store add up to that of the whole.
    """

    def __init__(self, asked: Aggregation) -> None:
        self.asked = asked
        self._times: Counter[tuple[Any, ...]] = Counter()
        self._values: dict[tuple[Any, ...], tuple[Counter[Cell], ...]] = {}

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a stored record."""
        asked = self.asked
        key = [cell(reach(record, path)) for path in asked.keys]
        if asked.periods is not None:
            key.insert(0, asked.periods.begin(record["_meta"]["instant"]))
        self.count(tuple(key), 1)
        if asked.paths:
            for values, path in zip(self.values(tuple(key)), asked.paths, strict=True):
                values[cell(reach(record, path))] += 1

    def count(self, key: tuple[Cell, ...], times: int) -> None:
        """Count so many records of a group: the beginning of its period, if any, and its cells."""
        self._times[key] += times

    def values(self, key: tuple[Cell, ...]) -> tuple[Counter[Cell], ...]:
        """Return the counts of values of a group, one for each path of the aggregation, to be added to."""
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = tuple(Counter() for _ in self.asked.paths)
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Return the figures of each group, in their order; without any grouping always one row."""
        asked = self.asked
        if not asked.keys and asked.periods is None:
            self.count((), 0)
        return [self._row(key) for key in sorted(self._times, key=lambda key: [_rank(each) for each in key])]

    def _row(self, key: tuple[Any, ...]) -> dict[str, Any]:
        asked = self.asked
        shown: list[Any] = [_value(each) for each in key]
        if asked.periods is not None:
            shown[0] = asked.periods.clock(key[0])
        met = dict(zip(asked.paths, map(_Values, self.values(key)), strict=True))
        metrics = (asked.metrics or {}).values()
        figures = [
            _FIGURES[each.kind](met[each.path], each.share) if each.path else self._times[key]
            for each in metrics
        ]
        return dict(zip(asked.columns, (*shown, *figures), strict=True))


class _Values:
    """How often each value was met, sorted once for all figures that need it."""

    def __init__(self, times: Counter[Cell]) -> None:
        self.times = times
        self._numbers: list[tuple[int | float, int]] | None = None

    @property
    def numbers(self) -> list[tuple[int | float, int]]:
        """The numbers in their order, each with how often it was met."""
        if self._numbers is None:
            met = ((value, times) for value, times in self.times.items() if isinstance(value, (int, float)))
            self._numbers = sorted(met)
        return self._numbers

    @property
    def texts(self) -> list[str]:
        return [value for value in self.times if isinstance(value, str)]

    def known(self) -> int:
        return self.times.total() - self.times[None]

    def total(self) -> Fraction | int:
        whole = sum(value * times for value, times in self.numbers if isinstance(value, int))
        parts = [Fraction(value) * times for value, times in self.numbers if isinstance(value, float)]
        return whole + sum(parts) if parts else whole


def _sum(met: _Values, _: float) -> int | float | None:
    if not met.numbers:
        return None
    return _rounded(met.total())


def _mean(met: _Values, _: float) -> int | float | None:
    number = sum(times for _, times in met.numbers)
    return float(Fraction(met.total()) / number) if number else None


def _quantile(met: _Values, share: float) -> int | float | None:
    if not met.numbers:
        return None
    ends = list(accumulate(times for _, times in met.numbers))
    place = Fraction(str(share)) * (ends[-1] - 1)  # 0.95 as it was written
    low, high = (met.numbers[bisect_right(ends, int(at))][0] for at in (place, -(-place // 1)))
    part = place - int(place)
    return low if low == high else _rounded(Fraction(low) + (Fraction(high) - Fraction(low)) * part)


def _rounded(exact: Fraction | int) -> int | float:
    try:
        return float(exact) if exact.denominator > 1 else int(exact)
    except OverflowError:  # beyond every float
        return int(exact)


def _least(met: _Values, _: float) -> Any:
    return met.numbers[0][0] if met.numbers else min(met.texts, default=None)


def _greatest(met: _Values, _: float) -> Any:
    return max(met.texts, default=met.numbers[-1][0] if met.numbers else None)


def _rate(met: _Values, _: float) -> float | None:
    right, wrong = met.times[_TRUE], met.times[_FALSE]
    return right / (right + wrong) if right + wrong else None


_FIGURES: Mapping[Kind, Callable[[_Values, float], Any]] = {
    "count": lambda met, _: met.known(),
    "sum": _sum,
    "mean": _mean,
    "min": _least,
    "max": _greatest,
    "quantile": _quantile,
    "distinct": lambda met, _: len(met.times) - (None in met.times),
    "success_rate": _rate,
}

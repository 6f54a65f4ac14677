"""Figures as text: `p95=quantile(data.duration_ms, 0.95)`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from moai_patterns import aggregates
from moai_patterns.aggregates import Aggregation, Metric
from moai_patterns.errors import QueryError
from moai_patterns.values import shortened

_FORM = re.compile(r"(?:([\w.-]+)=)?([a-z_]+)(?:\(([^(),]*)(?:,\s*([0-9.]+))?\))?")
_FIGURES: dict[str, Callable[..., Metric]] = {
    "count": aggregates.count,
    "distinct": aggregates.distinct,
    "max": aggregates.max_,
    "mean": aggregates.mean,
    "min": aggregates.min_,
    "quantile": aggregates.quantile,
    "success_rate": aggregates.success_rate,
    "sum": aggregates.sum_,
}


def figures(asked: dict[str, Any]) -> Aggregation | None:
    """Take what `takes_figures` gave out of a call's options; None where nothing was asked for.

    Raises `QueryError` for what is no figure, path, period or zone.
    """
    group_by, every, tz = asked.pop("group_by"), asked.pop("every"), asked.pop("tz")
    found = metrics(asked.pop("figures"))
    return Aggregation(group_by, every, tz, found) if group_by or every or found else None


def metrics(written: Iterable[str]) -> dict[str, Metric] | None:
    """Return figures by their names, None for none. Raises `QueryError` for what is no figure.

    >>> metrics(["count", "p95=quantile(data.duration_ms, 0.95)"]).keys()
    dict_keys(['count', 'p95'])
    """
    found: dict[str, Metric] = {}
    for text in written:
        name, metric = _read(text)
        if name in found:
            raise QueryError(f"{shortened(name)} stands twice among the figures; give it another name")
        found[name] = metric
    return found or None


def _read(text: str) -> tuple[str, Metric]:
    form = _FORM.fullmatch(text.strip())
    make = None if form is None else _FIGURES.get(form[2])
    if form is None or make is None:
        known = ", ".join(_FIGURES)
        raise QueryError(
            f"{shortened(text)} is no figure: write NAME=FIGURE(PATH), like m=mean(data.duration_ms), "
            f"with one of {known}"
        )
    name, kind, path, share = form.groups()
    arguments: list[Any] = [path.strip()] if path else []
    if share is not None:
        arguments.append(_number(share))
    try:
        return name or text.strip(), make(*arguments)
    except TypeError:
        form_of = "quantile(PATH, SHARE)" if kind == "quantile" else f"{kind}(PATH)"
        raise QueryError(f"{shortened(text)} is written as {form_of}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise QueryError(f"{shortened(text)} is no share from 0 to 1") from None

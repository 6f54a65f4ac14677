"""Pictures of a store by Altair; what they draw is counted by the backend, so they stay small.

Needs the extra `plot`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any

from moai_patterns.aggregates import Aggregation, Metric, count, quantile
from moai_patterns.backends.base import BackendBase
from moai_patterns.errors import MissingExtraError
from moai_patterns.query import Query

if TYPE_CHECKING:
    import altair

_WIDTH = 640
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOST = 20  # bars that can be told apart


class Plots:
    """What `storage.plot` draws: each takes the parameters of `Query`, and returns a chart of Altair.

    >>> from moai_patterns import PatternStorage
    >>> with PatternStorage("memory") as storage:
    ...     _ = storage.capture("tool_use", {"tool_name": "Bash", "duration_ms": 5})
    ...     storage.plot.timeline(every="1h").to_dict()["mark"]["type"]
    'bar'
    """

    def __init__(self, backend: BackendBase) -> None:
        self._backend = backend

    def timeline(
        self, *, every: str = "1d", by: str = "pattern_type", tz: str = "UTC", **asked: Any
    ) -> altair.Chart:
        """Draw how many records there were in each period, coloured by the values at a path."""
        alt: Any = _altair()
        rows = self._rows(asked, Aggregation([by], every, tz, {"records": count()}))
        values = [
            {"period": _clock(row["period"]), "group": _named(row[by]), "records": row["records"]}
            for row in rows
        ]
        chart: altair.Chart = (
            alt.Chart(alt.InlineData(values), width=_WIDTH, title=f"Records every {every}")
            .mark_bar()
            .encode(
                x=alt.X("period:T", title=f"{every} ({tz})"),
                y=alt.Y("records:Q"),
                color=alt.Color("group:N", title=by),
                tooltip=["period:T", "group:N", "records:Q"],
            )
        )
        return chart

    def durations(
        self, *, path: str = "data.duration_ms", by: str = "data.tool_name", **asked: Any
    ) -> altair.LayerChart:
        """Draw how long things took for each value at a path: the middle half as a bar, 5 to 95 % as a line.

        The twenty with the longest median are shown.
        """
        alt: Any = _altair()
        figures: dict[str, Metric] = {f"p{share * 100:.0f}": quantile(path, share) for share in _SHARES}
        rows = self._rows(asked, Aggregation([by], metrics={"n": count(path), **figures}))
        longest = sorted((row for row in rows if row["n"]), key=lambda row: -row["p50"])[:_MOST]
        values = [
            {"group": _named(row[by]), "n": row["n"], **{name: row[name] for name in figures}}
            for row in longest
        ]
        told = ["group:N", "n:Q", *(f"{name}:Q" for name in figures)]
        base = alt.Chart(alt.InlineData(values), width=_WIDTH, title=f"{path} by {by}").encode(
            y=alt.Y("group:N", sort=None, title=None), tooltip=told
        )
        digits = len(str(int(max((row["p95"] for row in values), default=1))))
        marks = alt.Axis(values=[0, *(10**power for power in range(digits + 1))])
        scale = alt.X("p5:Q", scale=alt.Scale(type="symlog"), axis=marks, title=path)
        layers: altair.LayerChart = alt.layer(
            base.mark_rule().encode(x=scale, x2="p95"),
            base.mark_bar(height=10, opacity=0.7).encode(x="p25:Q", x2="p75"),
            base.mark_tick(color="black", size=14).encode(x="p50:Q"),
        )
        return layers

    def errors(self, *, by: str = "data.error_type", **asked: Any) -> altair.Chart:
        """Draw the most frequent errors, of the kind `error_occurrence` unless another is asked for."""
        alt: Any = _altair()
        asked = {"pattern_type": "error_occurrence", **asked}
        rows = self._rows(asked, Aggregation([by], metrics={"errors": count()}))
        most = sorted(rows, key=lambda row: -row["errors"])[:_MOST]
        values = [{"error": _named(row[by]), "errors": row["errors"]} for row in most]
        chart: altair.Chart = (
            alt.Chart(alt.InlineData(values), width=_WIDTH, title="Most frequent errors")
            .mark_bar(color="#c8553d")
            .encode(
                x=alt.X("errors:Q"),
                y=alt.Y("error:N", sort=None, title=None),
                tooltip=["error:N", "errors:Q"],
            )
        )
        return chart

    def heatmap(self, *, tz: str = "UTC", **asked: Any) -> altair.Chart:
        """Draw how many records there were at each hour of the days of a week, by the clocks of a zone."""
        alt: Any = _altair()
        rows = self._rows(asked, Aggregation((), "1h", tz, {"records": count()}))
        met: Counter[tuple[int, int]] = Counter()
        for row in rows:
            met[row["period"].weekday(), row["period"].hour] += row["records"]
        hours = [(day, hour) for day in range(7) for hour in range(24)]
        values = [{"day": _DAYS[day], "hour": hour, "records": met[day, hour]} for day, hour in hours]
        chart: altair.Chart = (
            alt.Chart(alt.InlineData(values), width=_WIDTH, title=f"Records by weekday and hour ({tz})")
            .mark_rect()
            .encode(
                x=alt.X("hour:O", title="hour"),
                y=alt.Y("day:O", sort=list(_DAYS), title=None),
                color=alt.Color("records:Q", scale=alt.Scale(scheme="blues")),
                tooltip=["day:O", "hour:O", "records:Q"],
            )
        )
        return chart

    def _rows(self, asked: Mapping[str, Any], figures: Aggregation) -> Sequence[dict[str, Any]]:
        return self._backend.aggregate(Query(**asked), figures).rows()


def _altair() -> ModuleType:
    try:
        import altair
    except ImportError:
        raise MissingExtraError("plot", "altair", "plot") from None
    return altair


def _clock(moment: datetime) -> str:
    """Return a time as the clocks of its zone show it: a chart knows no zone but that of who looks at it."""
    return moment.replace(tzinfo=None).isoformat()


def _named(value: Any) -> str:
    return "none" if value is None else str(value)

"""Clause 5: figures about what answers are those of the definition."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from moai_patterns.aggregates import Aggregation, Tally, count, distinct, max_, mean, min_, quantile, sum_
from moai_patterns.backends.base import Batch
from moai_patterns.conditions import field
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.answers import dense
from moai_patterns.testing.clauses import Clauses
from moai_patterns.testing.compare import content, must
from moai_patterns.testing.pools import HOUR, MIDNIGHT, stored
from moai_patterns.testing.questions import aggregation, answer, question

QUESTIONS = 120


class Figures(Clauses):
    """Clause 5."""

    def test_5_figures_equal_the_definition(self, tmp_path: Path) -> None:
        """Generated groups and figures over a dense store are those of matching and counting everything."""
        choose = random.Random(7)
        asked = [(question(choose.choice), aggregation(choose.choice)) for _ in range(QUESTIONS)]
        # Most questions leave little; half of the figures are about everything, or a part of the days.
        asked = [(query if at % 2 else _wide(choose), figures) for at, (query, figures) in enumerate(asked)]
        for form, store in self.forms(tmp_path / "store", dense(7, 40)):
            everything = content(store)
            by_revision = sorted(everything, key=lambda one: int(one["_meta"]["revision"]))
            heads = {one["pattern_id"]: one for one in by_revision}
            for query, figures in asked:
                wanted = Tally(figures)
                for record in answer(everything if query.revisions == "all" else heads.values(), query):
                    wanted.add(record)
                found = store.aggregate(query, figures).rows()
                must(_exactly(found) == _exactly(wanted.rows()), f"{figures} of {query!r}, {form}: {found}")

    def test_5_figures_tell_types_and_absence_apart(self, tmp_path: Path) -> None:
        """True is no number, 1 and 1.0 are one value, large integers add up exactly, null is no value."""
        most = 2**63 - 1
        values = (
            1,
            1.0,
            True,
            "1",
            0.5,
            False,
            None,
            2**53 + 1,
            [1],
            {"x": 1},
            "",
            most,
            most,
            -0.0,
        )
        records = [
            stored(f"r{at:02}", MIDNIGHT + at * HOUR, data={"v": value}) for at, value in enumerate(values)
        ]
        records.append(stored("missing", MIDNIGHT + DAY, data={"w": 1}))
        path = "data.v"
        figures = {
            "n": count(),
            "there": count(path),
            "sum": sum_(path),
            "mean": mean(path),
            "least": min_(path),
            "most": max_(path),
            "median": quantile(path, 0.5),
            "different": distinct(path),
        }
        total = 1 + 1 + 2**53 + 1 + 2 * (2**63 - 1)
        wanted = {
            "n": 15,
            "there": 13,
            "sum": total + 0.5,
            "mean": (total + 0.5) / 7,
            "least": 0,
            "most": "1",
            "median": 1,
            "different": 11,
        }
        for form, store in self.forms(tmp_path / "store", [Batch(records)]):
            rows = store.aggregate(Query(), Aggregation(metrics=figures)).rows()
            must(rows == [wanted], f"{form}: {rows}")
            groups = store.aggregate(Query(), Aggregation([path])).rows()
            keys = [row[path] for row in groups]
            order = [None, False, True, 0, 0.5, 1, 2**53 + 1, most, "", "1", [1], {"x": 1}]
            must(_exactly(keys) == _exactly(order), f"{form}: {keys}")
            must([row["n"] for row in groups] == [2, 1, 1, 1, 1, 2, 1, 2, 1, 1, 1, 1], f"{form}: {groups}")
            nothing = store.aggregate(Query(where=field(path) == "none"), Aggregation(metrics=figures)).rows()
            none = dict.fromkeys(figures, None) | {"n": 0, "there": 0, "different": 0}
            must(nothing == [none], f"{form}: {nothing}")
            must(
                store.aggregate(Query(ids=()), Aggregation([path])).rows() == [], f"{form}: groups of nothing"
            )


def _wide(choose: random.Random) -> Query:
    first = choose.choice((None, MIDNIGHT, MIDNIGHT - DAY, MIDNIGHT + HOUR))
    last = choose.choice((None, MIDNIGHT + DAY - 1, MIDNIGHT + 2 * DAY))
    return Query(choose.choice((None, None, ("task_completion", "own.Kind"))), first, last)


def _exactly(rows: Any) -> str:
    """Return what is equal for equal values of the same types."""
    return repr(rows)

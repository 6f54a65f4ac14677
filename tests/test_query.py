"""The one meaning of a query."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from moai_patterns import PatternType, Query, QueryError, field
from moai_patterns.instant import DAY, FIRST, LAST, instant
from moai_patterns.query import Order, Record


def stored(moment: int, identity: str = "a", revision: int = 1, **more: object) -> Record:
    """A stored record at an instant."""
    meta = {"instant": moment, "revision": revision, "seq": moment}
    return {"pattern_id": identity, "pattern_type": "k", "timestamp": "", "data": {}, "_meta": meta, **more}


def test_bounds_are_inclusive_to_the_microsecond() -> None:
    """A record at either bound answers; a microsecond beyond does not."""
    query = Query(start_date="2025-01-01T00:00:00Z", end_date="2025-01-01T00:00:01Z")
    start, end = instant("2025-01-01T00:00:00Z"), instant("2025-01-01T00:00:01Z")

    assert [query.matches(stored(m)) for m in (start - 1, start, end, end + 1)] == [False, True, True, False]


def test_bounds_come_in_every_natural_form() -> None:
    """Text, aware and naive datetimes, dates and microseconds all work."""
    moment = instant("2025-01-01T12:00:00Z")

    assert Query(start_date=datetime(2025, 1, 1, 12, tzinfo=UTC)).since == moment
    assert Query(start_date=moment).since == moment
    assert Query(start_date=date(2025, 1, 1)).since == instant("2025-01-01")
    assert Query(start_date=datetime(2025, 1, 1)).since == instant("2025-01-01T00:00")


@pytest.mark.parametrize(("zone", "since"), [("UTC0", FIRST), ("EST5", FIRST + DAY * 5 // 24)])
def test_a_naive_datetime_is_read_as_its_text_is(
    time_zone: Callable[[str], None], zone: str, since: int
) -> None:
    """Also at the beginning of the calendar, and where it lies before that, the refusal says so."""
    time_zone(zone)
    assert Query(start_date=datetime.min).since == instant("0001-01-01T00:00") == since
    time_zone("JST-9")
    with pytest.raises(QueryError, match=r"start_date: '0001-01-01T00:00:00' .* years 1 to 9999"):
        Query(start_date=datetime.min)


def test_a_datetime_that_clocks_leap_over_means_what_its_text_means(time_zone: Callable[[str], None]) -> None:
    """With `fold` 0 it is read by the offset before the leap, with 1 by the one after."""
    time_zone("Europe/Berlin")
    skipped = datetime(2025, 3, 30, 2, 30)

    assert Query(end_date=skipped).until == instant("2025-03-30T02:30") == instant("2025-03-30T01:30Z")
    assert Query(end_date=skipped.replace(fold=1)).until == instant("2025-03-30T00:30Z")


def test_an_end_that_is_a_date_covers_its_whole_day() -> None:
    """The last microsecond of the day answers, the first of the next does not."""
    assert Query(end_date="2025-01-01").until == instant("2025-01-02") - 1
    assert Query(end_date=date(2025, 12, 31)).until == instant("2026-01-01") - 1
    assert Query(end_date="9999-12-31").until == instant("9999-12-31T23:59:59.999999Z")
    assert Query(end_date="2025-01-01T00:00").until == instant("2025-01-01T00:00")


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_the_first_and_last_day_of_the_calendar_bound_nothing(
    time_zone: Callable[[str], None], zone: str
) -> None:
    """Also where a part of that local day lies outside of the years 1 to 9999 in UTC."""
    time_zone(zone)

    assert Query(start_date="0001-01-01").since == FIRST
    assert Query(end_date=date.max).until == LAST


@pytest.mark.parametrize(
    ("zone", "day", "first", "last"),
    [
        (
            "America/St_Johns",
            "2010-11-06",
            "2010-11-06T02:30Z",
            "2010-11-07T03:29:59.999999Z",
        ),
        (
            "America/Havana",
            "2025-11-01",
            "2025-11-01T04:00Z",
            "2025-11-02T03:59:59.999999Z",
        ),
        ("America/Havana", "2025-11-02", "2025-11-02T04:00Z", "2025-11-03T04:59:59.999999Z"),
        ("Africa/Cairo", "2025-04-25", "2025-04-24T22:00Z", "2025-04-25T20:59:59.999999Z"),
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00Z", "2011-12-30T09:59:59.999999Z"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00Z", "2011-12-30T09:59:59.999999Z"),  # there was none
    ],
)
def test_a_local_day_goes_from_its_first_to_its_last_moment(
    time_zone: Callable[[str], None], zone: str, day: str, first: str, last: str
) -> None:
    """Where clocks change at midnight too: a repeated hour counts whole, a day that never was is empty."""
    time_zone(zone)

    assert Query(start_date=day).since == instant(first)
    assert Query(end_date=day).until == instant(last)


def test_kinds_and_tags() -> None:
    """One kind, several, an enum member; any of the tags."""
    record = stored(1, context={"tags": ["x", "y"]})

    assert Query("k").matches(record)
    assert Query(["j", "k"]).matches(record)
    assert not Query(PatternType.AGENT_USAGE).matches(record)
    assert Query(PatternType.AGENT_USAGE).kinds == ("agent_usage",)
    assert Query(tags=["y", "z"]).matches(record)
    assert not Query(tags=["z"]).matches(record)
    assert not Query(tags=["x"]).matches(stored(1))
    assert Query(tags=[]).matches(stored(1))
    assert Query(ids=["a"]).matches(record)
    assert not Query(ids=[]).matches(record)
    assert Query(where={"context.tags.0": "x"}).matches(record)
    assert not Query(where={"context.tags.0": "y"}).matches(record)


@pytest.mark.parametrize("order", ["newest", "oldest", "arrival"])
@pytest.mark.parametrize("ordered", [True, False])
def test_paging_to_the_end_equals_one_scan(order: str, ordered: bool) -> None:
    """Cursor and limit come last, and ties at one instant are told apart by id and revision."""
    records = [stored(m, i, r) for m in (1, 2) for i in "abc" for r in (1, 2)]
    for number, record in enumerate(records):
        record["_meta"]["seq"] = number
    query = Query(limit=5, order=order, revisions="all")  # type: ignore[arg-type]
    whole = list(query.but(limit=None).select(records))
    if ordered:
        records = whole
    paged: list[Record] = []
    cursor = None
    while True:
        page = list(query.but(cursor=cursor).select(records, ordered=ordered))
        paged += page
        if not page:
            break
        cursor = query.cursor_after(page[-1])

    assert paged == whole
    assert whole == sorted(whole, key=query.key, reverse=order == "newest")


def test_limit_zero_is_empty() -> None:
    """A limit of 0 answers with nothing."""
    assert list(Query(limit=0).select([stored(1)])) == []


def test_but_changes_one_value() -> None:
    """A query is a value; another one is made from it."""
    assert Query("k").but(limit=3) == Query("k", limit=3)
    assert hash(Query("k")) == hash(Query("k"))


def test_a_query_does_not_change_with_what_it_was_made_of() -> None:
    """Iterators are read once, lists are copied, and every query has a hash."""
    tags, where = ["x"], {"data.x": [1, {"y": None}]}
    query = Query((kind for kind in ["k"]), tags=tags, ids=iter(["a"]), where=where)  # type: ignore[arg-type]
    tags.append("z")
    where["data.z"] = []

    assert query.but(limit=1).kinds == ("k",)
    assert query.but(limit=1).ids == ("a",)
    assert query == query.but(tags=["x"], where={"data.x": [1.0, {"y": None}]})
    assert hash(query) == hash(query.but(where={"data.x": [1.0, {"y": None}]}))
    assert Query("k") == Query(["k"])
    assert Query(tags=iter([])) == Query()  # type: ignore[arg-type]


def test_queries_for_true_and_for_one_differ() -> None:
    """Two queries are equal only when they ask the same: a bool never equals a number."""
    assert Query(where=field("data.x") == 1) == Query(where=field("data.x") == 1.0)
    assert Query(where=field("data.x") == 1) != Query(where=field("data.x") == True)  # noqa: E712
    assert Query(where=field("data.x").in_([[0]])) != Query(where=field("data.x").in_([[False]]))
    assert Query(where=field("data.x") == {}) != Query(where=field("data.x") == [])


@pytest.mark.parametrize("context", [None, 5, [], {"tags": None}, {"tags": "x"}, {"tags": {"x": 1}}])
def test_tags_that_are_no_list_answer_no_question(context: object) -> None:
    """Whatever a foreign store holds in the place of tags, asking for one does not fail."""
    assert not Query(tags=["x"]).matches(stored(1, context=context))
    assert Query(tags=["x"]).matches(stored(1, context={"tags": [{}, 5, "x"]}))


def test_a_datetime_is_read_by_its_own_rules(time_zone: Callable[[str], None]) -> None:
    """In a repeated hour `fold` decides, an offset may have seconds, and there are 9999 years."""
    time_zone("Europe/Berlin")
    first, second = datetime(2025, 10, 26, 2, 30), datetime(2025, 10, 26, 2, 30, fold=1)

    assert Query(start_date=first).since == instant("2025-10-26T00:30:00Z")
    assert Query(start_date=second).since == instant("2025-10-26T01:30:00Z")
    odd = timezone(timedelta(hours=1, seconds=7))
    assert Query(end_date=datetime(2025, 1, 1, 1, 0, 7, tzinfo=odd)).until == instant("2025-01-01T00:00Z")
    with pytest.raises(QueryError, match="years 1 to 9999"):
        Query(start_date=datetime(1, 1, 1, tzinfo=odd))


def cursor_of(*values: object) -> str:
    """A cursor made by hand."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


CURSOR = Query(order="oldest").cursor_after(stored(1))


@pytest.mark.parametrize(
    "values",
    [
        {"limit": -1},
        {"limit": 1.5},
        {"limit": True},
        {"order": "sideways"},
        {"revisions": "some"},
        {"start_date": "soon"},
        {"end_date": "2025-02-30"},
        {"start_date": 1.5},
        {"start_date": True},
        {"tags": "x"},
        {"tags": [1]},
        {"tags": 5},
        {"tags": ["\ud800"]},
        {"ids": "a"},
        {"pattern_type": 7},
        {"pattern_type": [7]},
        {"where": 3},
        {"cursor": "???"},
        {"cursor": "bm8="},
        {"cursor": CURSOR},
        {"cursor": "WzEsMiwzLDRd"},
        {"cursor": 5},
        {"cursor": cursor_of("newest", 1, "a", 10**30)},
        {"cursor": cursor_of("newest", float("inf"), "a", 1)},
        {"cursor": cursor_of("newest", 1, "a", float("nan"))},
        {"cursor": cursor_of("newest", True, "a", 1)},
        {"cursor": cursor_of("newest", 1, "\ud800", 1)},
        {"cursor": base64.urlsafe_b64encode(b"[" * 200_000).decode()},
    ],
)
def test_values_without_meaning_are_refused(values: dict[str, object]) -> None:
    """Every wrong value raises QueryError, which is a ValueError."""
    with pytest.raises(QueryError):
        Query(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["newest", "oldest", "arrival"])
def test_a_cursor_belongs_to_its_order(order: Order) -> None:
    """A place in one order is none in another, so a cursor is refused there with both named."""
    record = {"pattern_id": "a", "_meta": {"instant": 5, "revision": 1, "seq": 7}}
    cursor = Query(order=order).cursor_after(record)
    assert Query(order=order, cursor=cursor).after is not None
    others: set[Order] = {"newest", "oldest", "arrival"}
    for other in others - {order}:
        with pytest.raises(QueryError, match=f"the order {order}, not {other}"):
            Query(order=other, cursor=cursor)

"""Conditions as text."""

from __future__ import annotations

import random
from typing import Any

import pytest

from moai_patterns import Condition, QueryError, field, parse_condition
from moai_patterns.conditions import Either, condition
from moai_patterns.testing.pools import drawn
from moai_patterns.testing.questions import question

DATA = field("data.x")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("data.x == 1", DATA == 1),
        ("data.x=1", DATA == 1),
        ("data.x != -1.5e3", DATA != -1500.0),
        ("data.x<2 and data.x>=0", (DATA < 2) & (DATA >= 0)),
        ('data.x == "and \\" \\u00e4"', DATA == 'and " \u00e4'),
        ("data.x == main", DATA == "main"),
        ("data.x == feature/new-one", DATA == "feature/new-one"),
        ("data.x == 10-20", DATA == "10-20"),
        ("data.x == nothing", DATA == "nothing"),
        ("data.x == null or data.x is null", (DATA == None) | DATA.is_null()),  # noqa: E711
        ("data.x is not null", DATA != None),  # noqa: E711
        ("data.x == true", DATA == True),  # noqa: E712
        ('data.x == {"a": [1, {}], "b": null}', DATA == {"a": [1, {}], "b": None}),
        ("data.x in [1, two, [], false]", DATA.in_([1, "two", [], False])),
        ("data.x in []", DATA.in_([])),
        ("data.x not in [1]", DATA.exists() & ~DATA.in_([1])),
        ("data.x contains test", DATA.contains("test")),
        ('data.x startswith "a b"', DATA.startswith("a b")),
        ('data.x matches "^a+$"', DATA.matches("^a+$")),
        ("data.x exists", DATA.exists()),
        ("not data.x exists", ~DATA.exists()),
        ("not not data.x exists", DATA.exists()),
        ("not data.x == 1 and data.x == 2", ~(DATA == 1) & (DATA == 2)),
        ("data.x == 1 or data.x == 2 and data.x == 3", (DATA == 1) | ((DATA == 2) & (DATA == 3))),
        ("(data.x == 1 or data.x == 2) and data.x == 3", ((DATA == 1) | (DATA == 2)) & (DATA == 3)),
        ('data."a.b"."c d".0 == 1', field("data", "a.b", "c d", "0") == 1),
        ("data.not.in.is == 1", field("data.not.in.is") == 1),
        ("data.\u00e4-\u00f6 == \u00fc", field("data.\u00e4-\u00f6") == "\u00fc"),
        ("pattern_type == tool_use", field("pattern_type") == "tool_use"),
        ("timestamp >= 2025-11-29T10:00:00Z", field("timestamp") >= "2025-11-29T10:00:00Z"),
        ("timestamp < 2025-11-29", field("timestamp") < "2025-11-29"),
        ("  data.x\n==\t1  ", DATA == 1),
        ("true", condition({})),
        ("false", Either(())),
    ],
)
def test_a_text_means_what_the_expression_means(written: str, meant: Condition) -> None:
    """Every operator, value, path and way to join has its text."""
    assert parse_condition(written) == meant


@pytest.mark.parametrize(
    ("written", "character", "sentence"),
    [
        ("", 1, "expected a path"),
        ("data.x", 7, "expected == != <"),
        ("data.x ==", 10, "expected a value"),
        ("data.x ? 3", 8, "expected == != <"),
        ("data.x => 3", 8, "expected == != <"),
        ("data.x == == 3", 11, "expected a value"),
        ("data.x >= and data.y == 1", 11, "expected a value"),
        ("data.x == a b", 13, "expected and, or, the end"),
        ("data.x == 'a b'", 11, 'a text stands in "double quotes"'),
        ("(data.x == 1", 13, "expected )"),
        ("data.x == 1)", 12, "expected the end"),
        ("data.x in 5", 11, "expected ["),
        ("data.x in [1", 13, "expected a comma, ]"),
        ("data.x in [1,", 14, "expected a value"),
        ('data.x == {"a" 1}', 16, "expected a colon"),
        ("data.x is 3", 11, "expected null"),
        ("data.x not 3", 12, "expected in"),
        ("data.x == 1 or source.x == 2", 16, "begins with none of data, context"),
        ("data..x == 1", 5, "expected == != <"),
        ("data.x < true", 8, "only numbers and texts have an order"),
        ("data.x startswith 5", 8, "startswith takes a text"),
        ('data.x matches "(?=a)"', 8, "cannot be matched: the regular expression is wrong"),
        ("data.x == 99999999999999999999", 8, "no JSON value to compare with"),
        ("data.x == 1e999", 8, "no JSON value to compare with"),
        ('data.x == "\\q"', 11, "this is no JSON"),
        ('data."\\q" == 1', 1, "this is no JSON"),
        ("timestamp > yesterday", 11, "'yesterday' is no timestamp"),
        ("timestamp matches a", 11, "timestamp is a time"),
        ("timestamp is null", 1, "timestamp is compared with"),
    ],
)
def test_what_is_wrong_is_pointed_at(written: str, character: int, sentence: str) -> None:
    """The error names the character, says what was expected, and shows the text with a mark below it."""
    with pytest.raises(QueryError) as refused:
        parse_condition(written)
    said, shown, mark = str(refused.value).splitlines()
    assert said.startswith(f"character {character} of the condition: ")
    assert sentence in said
    assert shown.strip() in written
    assert mark == " " * (3 + character) + "^"


def test_a_long_text_is_shown_around_the_place() -> None:
    """Of a text of many lines the error shows one, without what would move a terminal's cursor."""
    with pytest.raises(QueryError) as refused:
        parse_condition("data.x == 1 or\n\x1b[0m" + "data.y == 1 or\n" * 500)
    assert all(len(line) < 120 for line in str(refused.value).splitlines())
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize(
    "written",
    [
        "(" * 200 + "data.x == 1" + ")" * 200,
        "not (data.y == 1 or " * 99 + "data.x == 1" + ")" * 99,
        "data.x == " + "[" * 30_000 + "]" * 30_000,
        "data.x == 1 and " * 200_000,
    ],
)
def test_what_is_too_long_or_nested_is_refused_or_read(written: str) -> None:
    """Parentheses that say nothing may nest; beyond 100 levels or 10,000 characters QueryError is raised."""
    if written.startswith("("):
        assert parse_condition(written) == (DATA == 1)
        return
    with pytest.raises(QueryError):
        parse_condition(written)


def test_a_condition_as_text_is_no_where() -> None:
    """where= takes no text, and the error says what makes a condition of it."""
    from moai_patterns import Query

    with pytest.raises(QueryError, match="parse_condition"):
        Query(where="data.x == 1")  # type: ignore[arg-type]
    with pytest.raises(QueryError):
        parse_condition(5)  # type: ignore[arg-type]


def test_a_generated_condition_is_written_and_read_back() -> None:
    """What a condition is written as reads as one that finds the same records."""
    choose = random.Random(11)
    records: list[dict[str, Any]] = [drawn(choose.choice) for _ in range(200)]
    conditions = [asked for _ in range(2000) if (asked := question(choose.choice).where) is not None]
    assert len(conditions) > 400
    found = 0
    for asked in conditions:
        assert isinstance(asked, Condition)
        read = parse_condition(str(asked))
        answer = [asked.matches(record) for record in records]
        assert [read.matches(record) for record in records] == answer, str(asked)
        found += sum(answer)
    assert found > 10_000

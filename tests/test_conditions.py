"""Conditions on paths of a record."""

import time
from datetime import UTC, datetime

import pytest

from moai_patterns import Condition, QueryError, field
from moai_patterns.conditions import condition
from moai_patterns.values import same

RECORD = {
    "pattern_id": "0198f2aa-0001",
    "pattern_type": "tool_use",
    "timestamp": "2025-11-29T10:00:00Z",
    "data": {
        "n": 7,
        "f": 7.5,
        "yes": True,
        "text": "beta",
        "null": None,
        "list": [1, {"deep": "x"}],
        "a.b": {"": "dotted"},
        "big": 2**62,
    },
    "context": {"git_branch": "main"},
}


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (field("data.n") == 7, True),
        (field("data.n") == 7.0, True),
        (field("data.n") != 7, False),
        (field("data.n") != 8, True),
        (field("data.n") < 7.5, True),
        (field("data.n") <= 7, True),
        (field("data.f") > 7, True),
        (field("data.f") >= 7.6, False),
        (field("data.yes") == True, True),  # noqa: E712  the operator is what is tested
        (field("data.yes") == 1, False),
        (field("data.yes") > 0, False),
        (field("data.n") == True, False),  # noqa: E712
        (field("data.text") >= "alpha", True),
        (field("data.text") < "alpha", False),
        (field("data.text") > 3, False),
        (field("data.n") > "3", False),
        (field("data.null") == None, True),  # noqa: E711
        (field("data.null").is_null(), True),
        (field("data.n").is_null(), False),
        (field("data.null") < 3, False),
        (field("data.absent").is_null(), False),
        (field("data.absent") != 3, False),
        (field("data.absent").exists(), False),
        (field("data.null").exists(), True),
        (~(field("data.absent") == 3), True),
        (field("data.list.0") == 1, True),
        (field("data.list.1.deep") == "x", True),
        (field("data.list.2") == 1, False),
        (field("data.list.-1").exists(), False),
        (field("data.list." + "9" * 30).exists(), False),
        (field("data.list") == [1, {"deep": "x"}], True),
        (field("data.list") == [True, {"deep": "x"}], False),
        (field("data.text.0").exists(), False),
        (field("data.n.deeper") == 7, False),
        (field("data.big") == 2**62, True),
        (field("data.big") == float(2**62) + 1024.0, False),
        (field("data.text").in_(["alpha", "beta"]), True),
        (field("data.yes").in_([1, 0]), False),
        (field("data.absent").in_([None]), False),
        (field("data.text").in_([]), False),
        ((field("data.n") == 7) & (field("context.git_branch") == "main"), True),
        ((field("data.n") == 7) & (field("data.n") == 8), False),
        ((field("data.n") == 8) | (field("data.text") == "beta"), True),
        ((field("data.n") == 8) | (field("data.n") == 9), False),
        (field("data.text").contains("et"), True),
        (field("data.text").contains("ET"), False),
        (field("data.text").contains(""), True),
        (field("data.text").contains(5), False),
        (field("data.list").contains(1.0), True),
        (field("data.list").contains(True), False),
        (field("data.list").contains({"deep": "x"}), True),
        (field("data.list").contains("x"), False),
        (field("data.n").contains(7), False),
        (field("data.a").contains("b"), False),
        (field("data.text").startswith("be"), True),
        (field("data.text").startswith("eta"), False),
        (field("data.list").startswith("1"), False),
        (field("data.text").matches("^b.*a$"), True),
        (field("data.text").matches("(?i)BETA"), True),
        (field("data.text").matches("et"), True),
        (field("data.text").matches("^eta"), False),
        (field("data.n").matches("7"), False),
        (field("data.absent").matches(""), False),
        (field("pattern_type") == "tool_use", True),
        (field("pattern_id").startswith("0198"), True),
        (field("version").exists(), False),
        (field("timestamp") == "2025-11-29T11:00:00+01:00", True),
        (field("timestamp") >= "2025-11-29T10:00:00Z", True),
        (field("timestamp") > "2025-11-29T10:00:00Z", False),
        (field("timestamp") <= datetime(2025, 11, 29, 10, tzinfo=UTC), True),
        (field("timestamp") < "2025-11-29T10:00:00.000001Z", True),
        (field("timestamp") != "2025-11-29T10:00:00Z", False),
        (field("timestamp").in_(["2025-11-28T10:00:00Z", "2025-11-29T10:00Z"]), True),
        (field("timestamp").exists(), True),
    ],
)
def test_a_comparison_has_one_meaning(test: Condition, expected: bool) -> None:
    """Numbers, texts, bools, null and missing values compare as written down."""
    assert test.matches(RECORD) is expected


def test_a_date_alone_is_the_whole_local_day() -> None:
    """Compared with a date, a timestamp lies before, on or after that day where this process is."""
    day, record = field("timestamp"), {"timestamp": "2025-11-29T23:59:59.999999"}
    assert (day == "2025-11-29").matches(record)
    assert not (day > "2025-11-29").matches(record)
    assert (day < "2025-11-30").matches(record)
    assert (day >= "2025-11-29").matches(record)
    assert not (day != "2025-11-29").matches(record)


def test_an_expression_that_would_backtrack_takes_linear_time() -> None:
    """What takes others exponential time is searched in one walk over the text."""
    began = time.process_time()
    assert not field("data.x").matches("^(a+)+$").matches({"data": {"x": "a" * 100_000 + "!"}})
    assert time.process_time() - began < 10  # elsewhere longer than anybody waits


def test_steps_may_contain_dots() -> None:
    """Further arguments of field() are single steps."""
    assert (field("data", "a.b") == {"": "dotted"}).matches(RECORD)


def test_a_mapping_asks_for_equality_of_all_its_paths() -> None:
    """where={...} holds when every path has its value."""
    assert condition({"data.n": 7, "data.text": "beta"}).matches(RECORD)
    assert not condition({"data.n": 7, "data.text": "gamma"}).matches(RECORD)


@pytest.mark.parametrize(
    "make",
    [
        lambda: field("timestamp") == 1,
        lambda: field("timestamp") == None,  # noqa: E711
        lambda: field("timestamp") < "yesterday",
        lambda: field("timestamp").contains("2025"),
        lambda: field("timestamp").is_null(),
        lambda: field("timestamp.hour"),
        lambda: field("pattern_id.0"),
        lambda: field("_meta.revision"),
        lambda: field("data.n").startswith(5),  # type: ignore[arg-type]
        lambda: field("data.n").contains(object()),
        lambda: field("data.n").matches("("),
        lambda: field("data.n").matches("(?=a)"),
        lambda: field("data.n").matches(r"(a)\1"),
        lambda: field("data.n").matches(None),  # type: ignore[arg-type]
        lambda: field("") == 1,
        lambda: field("data..x") == 1,
        lambda: field("data", "") == 1,
        lambda: field(3) == 1,  # type: ignore[arg-type]
        lambda: field("data.\ud800") == 1,
        lambda: field("data.n") == float("nan"),
        lambda: field("data.n") == float("inf"),
        lambda: field("data.n") == 2**63,
        lambda: field("data.n") == object(),
        lambda: field("data.n") == {1: 2},
        lambda: field("data.n") == "\ud800",
        lambda: field("data.n") < None,
        lambda: field("data.n") < True,
        lambda: field("data.n") >= [1],
        lambda: field("data.n").in_("text"),
        lambda: field("data.n").in_(5),  # type: ignore[arg-type]
        lambda: condition(5),
        lambda: bool(field("data.n") == 1),
        lambda: (field("data.n") == 1) & 5,  # type: ignore[operator]
        lambda: (field("data.n") == 1) and (field("data.n") == 2),
    ],
)
def test_what_has_no_meaning_is_refused(make: object) -> None:
    """Bad paths, values that JSON lacks, and `and` instead of & raise QueryError."""
    with pytest.raises(QueryError):
        make()  # type: ignore[operator]


def test_joining_and_negating_do_not_nest() -> None:
    """Thousands of conditions joined one by one, and a negation of a negation, stay flat."""
    either, both, turned = field("data.n") == 0, field("data.n") == 7, field("data.n") == 7
    for n in range(2000):
        either = (field("data.n") == n) | either if n % 2 else either | (field("data.n") == n)
        both = both & (field("data.n") < n + 8)
    for _ in range(3000):
        turned = ~turned

    assert either.matches(RECORD)
    assert both.matches(RECORD)
    assert turned.matches(RECORD)
    assert (either.levels, both.levels, turned.levels) == (2, 2, 1)


def test_what_nests_too_deep_is_refused() -> None:
    """Conditions and values of more than 100 levels raise QueryError, never RecursionError."""
    deep: Condition = field("data.n") == 7
    while deep.levels < 99:
        deep = (deep & (field("data.n") > 1)) | (field("data.n") < 1)
    assert deep.matches(RECORD)
    assert len({deep, deep & (field("data.n") == 1)}) == 2
    with pytest.raises(QueryError, match="100 levels"):
        ~(~(deep & deep) | deep)
    value: object = 1
    for _ in range(5000):
        value = [value]
    with pytest.raises(QueryError, match="100 levels"):
        field("data.n") == value  # noqa: B015  the comparison raises
    with pytest.raises(QueryError, match="100 levels"):
        field("data.n").in_([{"x": value}])


def test_equality_is_json_equality_at_any_depth() -> None:
    """Objects and arrays are compared member by member; a bool never equals a number."""
    assert same({"a": [1, 2.0]}, {"a": [1.0, 2]})
    assert not same({"a": [1]}, {"a": [True]})
    assert not same({"a": 1}, {"b": 1})
    assert not same([1], [1, 2])
    assert not same([], {})
    assert not same("1", 1)

"""Conditions on paths of a record."""

import pytest

from moai_patterns import Condition, QueryError, field
from moai_patterns.conditions import condition, same

RECORD = {
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
    ],
)
def test_a_comparison_has_one_meaning(test: Condition, expected: bool) -> None:
    """Numbers, texts, bools, null and missing values compare as written down."""
    assert test.matches(RECORD) is expected


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
        lambda: field("data.n") < None,  # type: ignore[operator]
        lambda: field("data.n") < True,
        lambda: field("data.n") >= [1],  # type: ignore[operator]
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

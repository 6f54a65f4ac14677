"""Arguments that nobody means well: refused in a sentence of one line, whatever they are."""

from __future__ import annotations

import time
from typing import Any

import pytest

from moai_patterns import PatternStorage, Query, QueryError, field, parse_condition
from stores import nested


class Unnamed:
    """A value that cannot be written."""

    def __repr__(self) -> str:
        raise RecursionError


class Plain(str):
    """A text that pretends to mean something else."""

    __slots__ = ()
    value = 5

    def encode(self, *_: Any) -> bytes:
        """Fail."""
        raise KeyError


ODD = [nested(100_000), nested(100_000, "a"), 10**5000, [10**5000], Unnamed(), [Unnamed()], {"a": Unnamed()}]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_what_has_no_short_form_is_refused_in_one(odd: Any) -> None:
    """Endless nesting, endless numbers and objects that fail to be written are refused like other values."""
    with PatternStorage("memory") as storage:
        for ask in (
            lambda: storage.delete(odd),
            lambda: storage.query([odd]),
            lambda: storage.query(tags=[odd]),
            lambda: storage.query(order=odd),
            lambda: storage.query(start_date=[odd]),  # type: ignore[call-overload]
            lambda: storage.query(limit=[odd]),  # type: ignore[call-overload]
            lambda: storage.query(where={"data.a": odd}),
            lambda: storage.get_many([odd]),
            lambda: field("data.a") < odd,
            lambda: field(odd),
        ):
            with pytest.raises(QueryError) as refused:
                ask()
            assert len(str(refused.value)) < 400


def test_an_endless_negative_limit_is_refused_in_one() -> None:
    """A number with more digits than Python writes is refused like any other negative one."""
    with pytest.raises(QueryError, match="limit must not be negative"):
        Query(limit=-(10**5000))


def test_a_text_of_another_class_is_taken_by_its_letters() -> None:
    """A subclass of text is its letters, whatever its methods and attributes say."""
    assert Query(tags=[Plain("a")]).tags == ("a",)
    with pytest.raises(QueryError, match="no cursor"):
        Query(cursor=Plain("a"))


def test_a_long_text_is_not_repeated_in_the_refusal() -> None:
    """A path, a tag or a comparison of a megabyte is refused in a sentence of one line."""
    long = "a" * 1_000_000
    for ask in (lambda: field(long), lambda: Query(tags=long), lambda: parse_condition(long)):
        with pytest.raises(QueryError) as refused:
            ask()
        assert len(str(refused.value)) < 400


def test_a_run_of_blanks_in_a_comparison_costs_no_time() -> None:
    """The value of a comparison may hold any number of blanks: they are looked at once."""
    began = time.process_time()
    blanks = " " * 2_000
    asked = parse_condition(f'{blanks}data.a{blanks}={blanks}"x{blanks}y" ')
    assert asked.matches({"data": {"a": f"x{blanks}y"}})
    assert time.process_time() - began < 10  # it took minutes

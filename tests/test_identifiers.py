"""Identifiers: UUID version 7, in the order in which they are made."""

from __future__ import annotations

import multiprocessing
import os
import threading
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moai_patterns.identifiers import new_id

NOW = 1_764_378_000_250_000
END = (1 << 48) * 1000


@given(st.integers(0, END - 1))
def test_an_identifier_is_a_uuid_of_version_7_that_holds_its_millisecond(now: int) -> None:
    """The layout is that of RFC 9562: 48 bits of milliseconds, version 7, variant 10."""
    new_id(END - 1)
    new_id(0)  # far back: the next one starts from its own moment
    made = uuid.UUID(new_id(now))

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert abs((made.int >> 80) - now // 1000) <= 10_000


def test_microseconds_order_identifiers_within_a_millisecond() -> None:
    """Ids of later microseconds sort later, whoever made them."""
    new_id(0)
    tenth = [new_id(NOW + moment)[:18] for moment in range(0, 1000, 100)]

    assert tenth == sorted(set(tenth))


@pytest.mark.parametrize("step", [0, -1, -9_000_000])
def test_a_thread_never_goes_back(step: int) -> None:
    """A clock that stands still or is corrected backwards still gives ascending ids."""
    made = [new_id(NOW + 10**12)]
    made += [new_id(NOW + 10**12 + step) for _ in range(1000)]

    assert made == sorted(set(made))


def test_a_moment_far_back_is_taken_as_it_is() -> None:
    """An import of old recordings does not stamp its ids with today."""
    new_id(NOW)

    assert uuid.UUID(new_id(NOW - 86_400_000_000)).int >> 80 == (NOW - 86_400_000_000) // 1000


def test_threads_share_one_order_without_repeating() -> None:
    """Each thread sees its own ids ascend, and none occurs twice."""
    made: list[list[str]] = [[] for _ in range(8)]

    def work(mine: list[str]) -> None:
        mine.extend(new_id(NOW) for _ in range(2000))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(mine == sorted(mine) for mine in made)
    assert len({identity for mine in made for identity in mine}) == 16_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_children_repeat_nothing() -> None:
    """Children of one parent draw their own random bits."""
    new_id(NOW)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        made = pool.map(new_id, [NOW] * 400)

    assert len(set(made)) == 400


@pytest.mark.parametrize("now", [-1, END])
def test_a_moment_that_the_form_cannot_hold_is_refused(now: int) -> None:
    """Before 1970 and after 48 bits of milliseconds there is no such identifier."""
    with pytest.raises(ValueError, match="no moment that an identifier can hold"):
        new_id(now)


def test_ids_of_other_threads_sort_by_their_microseconds() -> None:
    """Within a millisecond too: what one thread remembers of its last id says nothing to another."""
    made: list[str] = []
    for moment in range(900, 0, -50):  # so many that chance does not bring them into order
        thread = threading.Thread(target=lambda moment=moment: made.append(new_id(NOW + moment)))
        thread.start()
        thread.join()
    assert made == sorted(made, reverse=True)

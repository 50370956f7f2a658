"""Sequence numbers: what is missing is asked for again, what is double is dropped, and the numbers may wrap."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from madang.connect.opcua._decode import Publication
from madang.connect.opcua._link import Link
from madang.connect.opcua._publisher import Followed, Missing, Publisher


class Fed:
    """A publisher that is handed publications instead of asking a server."""

    def __init__(self, expected: int = 1) -> None:
        self.taken: list[int] = []
        self.missing: list[Missing] = []
        link = cast(Link, SimpleNamespace())
        self.publisher = Publisher(link, lambda one: self.taken.append(one.sequence), self.missing.append, lambda why: None)
        self.publisher.followed[7] = Followed(expected)

    def __call__(self, sequence: int, *, keep_alive: bool = False, at: int = 0) -> Fed:
        publication = Publication(7, sequence, at, keep_alive)
        if self.publisher._in_order(publication) and not keep_alive:
            cast(Any, self.publisher)._take(publication)
        return self


def test_numbers_without_a_hole_are_taken_one_after_the_other() -> None:
    fed = Fed()(1)(2)(3, keep_alive=True)(3)(4)

    assert (fed.taken, fed.missing) == ([1, 2, 3, 4], [])


def test_a_hole_is_told_with_its_bounds() -> None:
    fed = Fed()(1, at=100)(4, at=200)

    assert fed.taken == [1, 4]
    assert fed.missing == [Missing(7, 2, 2, 100, 200)]


def test_a_keep_alive_shows_a_hole_as_well() -> None:
    assert [one.count for one in Fed()(1)(3, keep_alive=True).missing] == [1]


def test_one_that_came_before_is_not_taken_twice() -> None:
    assert Fed()(1)(2)(2)(1)(3).taken == [1, 2, 3]


def test_a_server_that_begins_its_numbers_anew_is_not_dropped_in_silence() -> None:
    fed = Fed(5000)(5000)(5001)(1)(2)(3)

    assert fed.taken == [5000, 5001, 1, 2, 3]


def test_the_number_after_the_largest_is_one() -> None:
    fed = Fed(2**32 - 2)(2**32 - 2)(2**32 - 1)(1)(2)

    assert (fed.taken[-2:], fed.missing) == ([1, 2], [])


@given(st.sets(st.integers(1, 60)))
def test_taken_and_missing_together_are_all_numbers(lost: set[int]) -> None:
    fed = Fed()
    for number in range(1, 62):
        if number not in lost:
            fed(number)

    told = {one.first + offset for one in fed.missing for offset in range(one.count)}
    assert told == lost
    assert sorted([*fed.taken, *told]) == list(range(1, 62))

"""Keys that are written in two ways, and columns that name the same things."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.library import PART, ColumnCard
from madang.library._keys import constant_word, find_keys, match_keys, spellings, text_keys
from madang.plant import Bilingual, Kind, Role


def _card(name: str, role: Role = Role.UNKNOWN) -> ColumnCard:
    known = Bilingual("", "")
    return ColumnCard(name, name, role, Kind.UNKNOWN, None, None, known, 1.0, "accepted", "text")


@pytest.mark.parametrize("written", ["LOT-0012", "lot 12", "L0012 ", "０００12", "Lot_012", "로트 12", "12"])
def test_one_lot_has_one_key_however_it_is_written(written: str) -> None:
    assert spellings(written)[-1] == "12"


@pytest.mark.parametrize(
    ("one", "other"), [("A1-2", "A12"), ("LOT 1-12", "LOT 112"), ("A-12", "B-12"), ("12-A", "12-B"), ("12", "21")]
)
def test_two_lots_stay_two_lots(one: str, other: str) -> None:
    assert match_keys([one], [other]).candidates == ((),)


def test_an_exact_spelling_wins_over_a_like_one() -> None:
    matched = match_keys(["L12", "LOT-0012"], ["LOT-0012", "L12"])

    assert matched.candidates == ((1,), (0,))
    assert matched.level.tolist() == [0, 0]


def test_a_spelling_that_may_mean_two_keys_keeps_both_candidates() -> None:
    assert match_keys(["12"], ["LOT-0012", "L12"]).candidates == ((0, 1),)


def test_a_word_in_front_of_every_key_tells_nothing_and_one_that_changes_does() -> None:
    assert constant_word(["RH-1", "RH-2"]) == "rh"
    assert constant_word(["A-1", "B-2"]) is None
    assert match_keys(["1", "2"], ["RH-1", "RH-2"]).candidates == ((0,), (1,))
    assert match_keys(["1", "2"], ["A-1", "B-2"]).candidates == ((), ())


@given(
    st.lists(st.integers(0, 99_999), min_size=1, max_size=20, unique=True),
    st.sampled_from(["LOT-{:05d}", "lot {}", "L{:05d} "]),
)
def test_a_change_of_style_is_a_bijection(numbers: list[int], style: str) -> None:
    matched = match_keys([style.format(n) for n in numbers], [f"Lot_{n:06d}" for n in numbers])

    assert matched.candidates == tuple((at,) for at in range(len(numbers)))


def test_whole_numbers_read_as_decimals_and_blank_texts_are_keys_and_absence() -> None:
    keys = text_keys([pa.chunked_array([pa.array([12.0, None, 12.5])])])
    blank = text_keys([pa.chunked_array([pa.array(["a", "  ", None])])])

    assert [keys.spellings[code] if code >= 0 else None for code in keys.codes] == ["12", None, "12.5"]
    assert blank.codes.tolist()[1:] == [-1, -1]


def test_several_columns_make_one_key() -> None:
    keys = text_keys([pa.chunked_array([pa.array(["a", "a", None])]), pa.chunked_array([pa.array([1, 2, 3])])])

    assert len(set(keys.codes.tolist())) == 3
    assert keys.codes[2] == -1


def test_columns_that_share_their_values_are_the_key() -> None:
    lots = pa.table({PART: [0] * 20, "lot": [f"LOT-{n:03d}" for n in range(20)], "line": ["a", "b"] * 10})
    lab = pa.table({"sample": [f"L{n:03d}" for n in range(5, 20)], "who": ["kim"] * 15})

    found = find_keys(lots, lab, [_card("lot", Role.LOT), _card("line")], [_card("sample", Role.LOT), _card("who")])

    assert [(key.left, key.right) for key in found] == [("lot", "sample")]
    assert found[0].overlap == 1.0


def test_lot_5_and_tool_5_are_not_one_thing() -> None:
    lots = pa.table({"lot": [f"LOT-{n}" for n in range(20)]})
    tools = pa.table({"tool": [f"T{n}" for n in range(9)]})

    assert find_keys(lots, tools, [_card("lot", Role.LOT)], [_card("tool")]) == ()


def test_what_recurs_in_both_tables_is_a_category_and_no_key() -> None:
    names = [f"name{n % 6}" for n in range(60)]

    assert find_keys(pa.table({"a": names}), pa.table({"b": names}), [_card("a")], [_card("b")]) == ()

"""Worth is a distribution from ranges; quality is a share with its lower bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.errors import Json, UsageError
from madang.models._words import Score
from madang.models._worth import estimate_worth, lots_needed, share_in_tolerance, wilson_lower

MONEY: dict[str, Json] = {
    "currency": "KRW", "units_per_year": [90_000, 100_000, 110_000], "bad_share": [0.1, 0.2, 0.3],
    "loss_per_bad": [9_000, 10_000, 11_000], "avoided_share": [0.1, 0.3, 0.5], "cost_once": [30e6, 50e6, 70e6],
    "cost_per_year": [5e6, 10e6, 15e6],
}  # fmt: skip


def test_609_lots_show_ninety_percent_at_92_observed_and_98_at_95() -> None:
    assert lots_needed(0.90, observed=0.92) == 609
    assert lots_needed(0.90, observed=0.95) == 98


def test_an_observed_share_below_the_goal_shows_nothing() -> None:
    with pytest.raises(UsageError):
        lots_needed(0.90, observed=0.90)


@given(n=st.integers(1, 5_000), data=st.data())
def test_the_lower_bound_lies_below_the_share_and_rises_with_the_number_of_good_lots(n: int, data: st.DataObject) -> None:
    good = data.draw(st.integers(0, n))
    assert 0.0 <= wilson_lower(good, n) <= good / n + 1e-12
    if good < n:
        assert wilson_lower(good, n) <= wilson_lower(good + 1, n)


def test_the_share_counts_known_values_within_both_limits() -> None:
    share, bound, n = share_in_tolerance(np.array([1.0, 2.0, 3.0, np.nan, 4.0]), 2.0, 3.0)
    assert (share, n) == (0.5, 4)
    assert bound == pytest.approx(wilson_lower(2, 4))


@pytest.mark.parametrize(("low", "high"), [(None, None), (3.0, 1.0)])
def test_a_tolerance_that_says_nothing_is_refused(low: float | None, high: float | None) -> None:
    with pytest.raises(UsageError):
        share_in_tolerance(np.array([1.0]), low, high)


def test_no_ranges_give_no_worth() -> None:
    assert estimate_worth({}) is None
    assert estimate_worth({"currency": "KRW"}) is None


def test_the_middle_of_narrow_ranges_is_the_hand_calculation() -> None:
    money: dict[str, Json] = {
        "units_per_year": 100_000, "bad_share": 0.2, "loss_per_bad": 10_000, "avoided_share": 0.3, "cost_once": 50e6,
        "cost_per_year": 10e6,
    }  # fmt: skip
    worth = estimate_worth(money)
    assert worth is not None
    assert worth.p10 == worth.p50 == worth.p90 == pytest.approx(100_000 * 0.2 * 0.3 * 10_000 - 10e6)
    assert worth.payback_24m == 1.0
    assert worth.measure_first is None


def test_a_cost_that_two_years_cannot_pay_back_never_pays_back() -> None:
    worth = estimate_worth({**MONEY, "cost_once": [10e9, 11e9, 12e9]})
    assert worth is not None
    assert worth.payback_24m == 0.0


def test_the_widest_range_is_measured_first() -> None:
    worth = estimate_worth({**MONEY, "bad_share": [0.19, 0.2, 0.21], "avoided_share": [0.0, 0.3, 0.9]})
    assert worth is not None
    assert worth.measure_first is not None
    assert "avoided" in worth.measure_first.en


def test_the_same_seed_gives_the_same_worth_and_quantiles_stand_in_order() -> None:
    one, other = estimate_worth(MONEY, seed=3), estimate_worth(MONEY, seed=3)
    assert one == other
    assert one is not None
    assert one.p10 < one.p50 < one.p90
    assert 0.0 < one.payback_24m < 1.0


def test_the_improvement_of_a_study_stands_in_for_the_share_avoided() -> None:
    money = {k: v for k, v in MONEY.items() if k != "avoided_share"}
    worth = estimate_worth(money, Score(0.3, 0.1, 0.5))
    assert worth is not None
    assert worth == estimate_worth(MONEY)
    with pytest.raises(UsageError):
        estimate_worth(money)


@pytest.mark.parametrize(
    "broken",
    [
        {"bad_share": [0.3, 0.2, 0.1]}, {"bad_share": [0.1, 0.2, 1.2]}, {"loss_per_bad": "much"}, {"loss_per_bad": [1, 2]},
        {"units_per_year": [-1, 0, 1]}, {"lots": [1, 2, 3]}, {"currency": 7}, {"loss_per_bad": [1, float("nan"), 3]},
        {"loss_per_bad": True},
    ],
)  # fmt: skip
def test_bad_ranges_are_refused_with_their_name(broken: dict[str, Json]) -> None:
    with pytest.raises(UsageError) as caught:
        estimate_worth({**MONEY, **broken})
    assert caught.value.where["range"] in broken

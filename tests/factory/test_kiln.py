"""The built-in line obeys its physics, follows its seed, and knows what it planted."""

from __future__ import annotations

import time

import numpy as np
import pytest

from madang.factory.twin import CAUSES, CauseCode, KilnRun, simulate_kiln


@pytest.fixture(scope="module")
def planted() -> KilnRun:
    return simulate_kiln(3, lots=900)


def _over_lots(run: KilnRun, name: str, first: str, last: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the mean of a tag between two moments of every lot, the slow plain way."""
    out = []
    for a, b in zip(run.lots[first], run.lots[last], strict=True):
        inside = (run.time >= a) & (run.time < b)
        out.append(run.values[name][inside].mean())
    return np.array(out)


def test_the_same_seed_gives_the_same_plant_and_another_seed_another(planted: KilnRun) -> None:
    again, other = simulate_kiln(3, lots=900), simulate_kiln(4, lots=900)
    assert np.array_equal(planted.lab["residual"], again.lab["residual"])
    assert all(np.array_equal(planted.values[t.name], again.values[t.name]) for t in planted.tags)
    assert not np.array_equal(planted.lab["residual"], other.lab["residual"])


def test_two_or_three_causes_are_planted_and_together_they_carry_most_of_the_variation(planted: KilnRun) -> None:
    assert 2 <= len(planted.truth.causes) <= 3
    assert 0.45 < sum(c.share for c in planted.truth.causes) < 0.95
    assert all(c.share > 0.1 for c in planted.truth.causes)


@pytest.mark.parametrize("code", CAUSES)
def test_each_cause_moves_the_residual_lithium_the_way_it_says(code: CauseCode) -> None:
    run = simulate_kiln(11, lots=600, causes=[code])
    cause = run.truth.causes[0]
    column, result = cause.columns[0], run.lab["residual"]
    if code == "lane":
        right = run.lots["lane"] == "우"
        assert result[right].mean() - result[~right].mean() > 300.0
        return
    if column in run.values:
        window = ("soak_start", "soak_end") if cause.window == "soak" else ("charge", "discharge")
        met = _over_lots(run, column, *window)
        if cause.window == "discharge":
            met = np.interp(
                run.lots["discharge"].astype("datetime64[s]").astype(np.int64), run.time.astype(np.int64), run.values[column]
            )
    else:
        met = run.raw[{"Li/Me비": "ratio", "원료수분": "moisture"}[column]][run.lots["raw"]]
    correlation = float(np.corrcoef(met, result)[0, 1])
    assert correlation > 0.5 if cause.direction == "up" else correlation < -0.5


def test_where_nothing_is_planted_no_reading_explains_the_result() -> None:
    run = simulate_kiln(5, lots=1200, causes="none")
    assert run.truth.causes == ()
    soak = run.lots["soak_start"].astype("datetime64[s]").astype(np.int64) + 8000
    seconds = run.time.astype(np.int64)
    met = np.array([np.interp(soak, seconds, run.values[t.name]) for t in run.tags if np.std(run.values[t.name]) > 0])
    correlations = np.abs(np.corrcoef(np.vstack([met, run.lab["residual"]]))[-1, :-1])
    # Three weeks hold some fifteen independent stretches of a tag that drifts over a day or two: 0.35 is what chance gives to the
    # luckiest of sixty tags, and the planted ones are above 0.5.
    assert correlations.max() < 0.35
    assert np.median(correlations) < 0.12
    assert np.std(run.lab["residual"]) < 190.0


def test_a_worn_burner_stands_at_full_duty_while_its_zone_is_cold() -> None:
    run = simulate_kiln(2, lots=600, causes=["burner_drift"])
    zone = run.truth.causes[0].columns[0].split()[0]
    top, duty = run.values[f"{zone} 상부온도"], run.values[f"{zone} 버너출력"]
    target = run.values[f"{zone} 설정온도"]
    cold = top < target - 8.0
    assert cold.mean() > 0.1
    assert np.median(duty[cold]) > 98.0
    others = [run.values[f"Z{z} 버너출력"] for z in (4, 5, 6) if f"Z{z}" != zone]
    assert max(float(np.median(other)) for other in others) < 95.0


def test_the_zones_hold_their_set_points_when_nothing_is_wrong() -> None:
    run = simulate_kiln(6, lots=300, causes="none")
    for z in range(1, 9):
        gap = run.values[f"Z{z} 상부온도"] - run.values[f"Z{z} 설정온도"]
        assert abs(float(np.median(gap))) < 5.0
        assert float(np.std(gap)) < 3.0


def test_lots_take_about_twelve_hours_and_results_come_four_to_twenty_four_hours_after_the_sample(planted: KilnRun) -> None:
    hours = (planted.lots["discharge"] - planted.lots["charge"]).astype(np.int64) / 3600.0
    late = (planted.lab["resulted"] - planted.lab["sampled"]).astype(np.int64) / 3600.0
    assert hours.min() > 9.0
    assert hours.max() < 15.0
    assert late.min() >= 4.0 - 1e-3
    assert late.max() <= 24.0 + 1e-3
    assert len(set(planted.lots["lot"].tolist())) == len(planted.lots["lot"])


def test_the_parts_of_the_residual_lithium_add_up(planted: KilnRun) -> None:
    lab = planted.lab
    assert np.array_equal(lab["lioh"] + lab["carbonate"], lab["residual"])


def test_a_full_run_is_long_enough_for_a_last_block_of_609_lots_starts_near_eighty_percent_and_takes_seconds() -> None:
    begun = time.perf_counter()
    run = simulate_kiln(21)
    assert time.perf_counter() - begun < 15.0
    assert len(run.lots["lot"]) // 5 >= 609
    assert 0.74 <= run.truth.share_in_tolerance <= 0.87
    assert (run.time[-1] - run.time[0]) >= np.timedelta64(55, "D")
    assert len(run.tags) >= 40


@pytest.mark.slow
def test_the_line_starts_near_eighty_percent_on_many_seeds() -> None:
    shares = [simulate_kiln(seed).truth.share_in_tolerance for seed in range(100, 120)]
    assert 0.78 <= float(np.mean(shares)) <= 0.84
    assert min(shares) > 0.72
    assert max(shares) < 0.89


def test_too_few_lots_and_unknown_causes_are_refused() -> None:
    with pytest.raises(ValueError, match="60 lots"):
        simulate_kiln(0, lots=10)
    with pytest.raises(ValueError, match="causes are of"):
        simulate_kiln(0, lots=60, causes=["meteorite"])  # type: ignore[list-item]

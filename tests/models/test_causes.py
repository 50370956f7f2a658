"""Planted causes are named among tags that move with them, and nothing is named where nothing acts."""

from __future__ import annotations

import numpy as np
import pytest

from madang.models._causes import find_causes, look_at
from madang.models._frame import FloatArray, Frame, Series


def _walks(random: np.random.Generator, rows: int, memory: float, count: int) -> FloatArray:
    noise = random.standard_normal((rows, count))
    out = np.empty((rows, count))
    out[0] = noise[0]
    for t in range(1, rows):
        out[t] = memory * out[t - 1] + np.sqrt(1 - memory**2) * noise[t]
    return out


def _plant(
    seed: int, *, rows: int = 900, nuisance: int = 40, memory: float = 0.9, planted: bool = True
) -> tuple[Frame, set[str]]:
    """Three causes among tags that share moods and drift; the target wanders and drifts by itself too."""
    random = np.random.default_rng(seed)
    count = nuisance + 3
    moods = _walks(random, rows, memory, 5)
    tags = 0.7 * _walks(random, rows, memory, count) + 0.3 * moods @ random.standard_normal((5, count))
    tags += np.linspace(0, 1, rows)[:, None] * random.normal(0, 1.5, count)
    chosen = random.choice(count, 3, replace=False)
    effect = tags[:, chosen] @ (random.choice([-1, 1], 3) * random.uniform(0.6, 1.2, 3))
    own = _walks(random, rows, memory, 1)[:, 0] + np.linspace(0, 1.5, rows)
    y = own / own.std() + (1.2 * effect / effect.std() if planted else 0.0)
    names = [f"tag{k}" for k in range(count)]
    return _frame({**{n: tags[:, k] for k, n in enumerate(names)}, "y": y}), {names[k] for k in chosen}


def _frame(columns: dict[str, FloatArray], time: bool = False) -> Frame:
    n = len(columns["y"])
    at = np.datetime64("2024-01-01", "us") + np.arange(n) * np.timedelta64(600, "s").astype("timedelta64[us]")
    series = {name: Series(name, values) for name, values in columns.items()}
    return Frame(series, np.zeros(n, dtype=np.int64), np.arange(1, n + 1, dtype=np.int64), time=at if time else None)


def _named(frame: Frame, **more: int) -> list[str]:
    columns = [n for n in frame.series if n != "y"]
    seed = more.get("seed", 0)
    return [c.column for c in find_causes(frame, "y", "regression", columns, train=np.arange(len(frame) * 4 // 5), seed=seed)]


def test_three_planted_causes_are_named_among_forty_tags_that_move_with_them() -> None:
    complete = 0
    for seed in range(300, 310):
        frame, truth = _plant(seed)
        complete += truth <= set(_named(frame))
    assert complete >= 9


def test_nothing_is_named_where_nothing_acts() -> None:
    silent = sum(not _named(_plant(seed, planted=False)[0]) for seed in range(400, 410))
    assert silent >= 9


@pytest.mark.slow
@pytest.mark.parametrize(("memory", "nuisance"), [(0.0, 40), (0.6, 100), (0.95, 40)])
def test_causes_hold_over_many_plants(memory: float, nuisance: int) -> None:
    complete = silent = 0
    for seed in range(500, 520):
        frame, truth = _plant(seed, memory=memory, nuisance=nuisance)
        complete += truth <= set(_named(frame))
        silent += not _named(_plant(seed, memory=memory, nuisance=nuisance, planted=False)[0])
    assert complete >= 18
    assert silent >= 18


def test_two_series_that_only_drift_together_are_no_cause() -> None:
    random = np.random.default_rng(1)
    trend = np.linspace(0, 5, 600)
    frame = _frame({"x": trend + 0.3 * random.standard_normal(600), "y": trend + 0.3 * random.standard_normal(600)})
    assert _named(frame) == []


def test_a_cause_with_two_good_sides_points_both_ways() -> None:
    random = np.random.default_rng(2)
    x = random.standard_normal(800)
    frame = _frame({"x": x, "z": random.standard_normal(800), "y": (x - x.mean()) ** 2 + random.standard_normal(800)})
    (cause,) = find_causes(frame, "y", "regression", ["x", "z"], train=np.arange(640), seed=0)
    assert (cause.column, cause.direction) == ("x", "both")


def test_a_category_that_acts_is_named_with_its_value() -> None:
    random = np.random.default_rng(3)
    lane = random.integers(0, 3, 900).astype(float)
    y = 2.0 * (lane == 2) + random.standard_normal(900)
    frame = _frame({"x": random.standard_normal(900), "y": y}).with_series(Series("lane", lane, ("left", "middle", "right")))
    (cause,) = find_causes(frame, "y", "regression", ["x", "lane"], train=np.arange(720), seed=0)
    assert (cause.column, cause.direction) == ("lane", "category")
    assert "right" in cause.prove.en


def test_a_transport_delay_is_found_and_told() -> None:
    random = np.random.default_rng(4)
    x = _walks(random, 3_000, 0.7, 1)[:, 0]
    y = np.concatenate([np.zeros(6), x[:-6]]) + 0.5 * random.standard_normal(3_000)
    frame = _frame({"x": x, "z": _walks(random, 3_000, 0.7, 1)[:, 0], "y": y}, time=True)
    (cause,) = find_causes(frame, "y", "regression", ["x", "z"], train=np.arange(2_400), seed=0)
    assert (cause.column, cause.lag, cause.direction) == ("x", "60 min", "up")


def test_a_cause_of_a_rare_class_is_named() -> None:
    random = np.random.default_rng(5)
    x = random.standard_normal((1_500, 6))
    bad = (x[:, 0] + 0.7 * random.standard_normal(1_500) > 1.9).astype(float)
    frame = _frame({**{f"x{k}": x[:, k] for k in range(6)}, "y": bad})
    columns = [f"x{k}" for k in range(6)]
    (cause,) = find_causes(frame, "y", "classification", columns, train=np.arange(1_200), seed=0)
    assert (cause.column, cause.direction) == ("x0", "up")


def test_the_trial_that_would_prove_a_cause_states_the_true_change() -> None:
    covered = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        x = 850 + 3 * random.standard_normal(1_000)
        frame = _frame({"soak": x, "y": 3_300 - 20 * (x - 850) + 30 * random.standard_normal(1_000)})
        (cause,) = find_causes(frame, "y", "regression", ["soak"], train=np.arange(800), seed=0)
        low, high = cause.facts["low"], cause.facts["high"]
        assert isinstance(low, float)
        assert isinstance(high, float)
        assert (cause.direction, cause.facts["step"]) == ("down", 2.0)
        assert str(cause.facts["lots"]) in cause.prove.ko
        assert str(cause.facts["lots"]) in cause.refute.en
        assert -44 < low < high < -36
        covered += low <= -40.0 <= high
    assert covered >= 16


def test_the_same_seed_gives_the_same_causes_and_shares_add_up_to_one_at_most() -> None:
    frame, _ = _plant(301)
    columns = [n for n in frame.series if n != "y"]
    one, other = (find_causes(frame, "y", "regression", columns, train=np.arange(720), seed=5) for _ in range(2))
    assert one == other
    assert 0.99 <= sum(c.share for c in one) <= 1.0 + 1e-9


@pytest.mark.parametrize("rows", [0, 1, 30, 59])
def test_too_few_rows_name_nothing(rows: int) -> None:
    frame, _ = _plant(301)
    assert find_causes(frame, "y", "regression", ["tag1"], train=np.arange(rows), seed=0) == ()


def test_empty_and_constant_columns_are_passed_over() -> None:
    random = np.random.default_rng(8)
    frame = _frame({"none": np.full(300, np.nan), "flat": np.ones(300), "y": random.standard_normal(300)})
    assert _named(frame) == []
    assert (
        find_causes(
            _frame({"x": random.standard_normal(300), "y": np.ones(300)}),
            "y",
            "regression",
            ["x"],
            train=np.arange(300),
            seed=0,
        )
        == ()
    )


def test_rows_far_outside_their_interval_are_listed_first() -> None:
    frame = _frame({"y": np.array([0.0, 5.0, 1.0, -9.0, np.nan])})
    predictions = np.zeros(5)
    intervals = np.array([[-1.0, 1.0]] * 5)
    rows = look_at(frame, "y", predictions, intervals)
    assert [r["row"] for r in rows] == [4, 2]

"""Planted causes are named among tags that move with them, and nothing is named where nothing acts."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from madang.errors import Json
from madang.models._causes import find_causes, look_at, what_predicts
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
    # Two standard deviations away from the mean the result stands four higher.
    assert cause.facts["step"] == 2.0
    assert 3.4 < float(str(cause.facts["change"])) < 4.6
    assert "x만 평균보다 2 높인 것, 2 낮춘 것과 평균에 맞춘 것" in cause.prove.ko


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


def test_what_comes_with_the_result_or_after_it_is_never_a_cause() -> None:
    random = np.random.default_rng(6)
    x = random.standard_normal((900, 3))
    frame = _frame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": x.sum(axis=1)})
    known = {"a": "with_target", "b": "after_result", "c": "before"}
    for name, when in known.items():
        frame = frame.with_series(replace(frame[name], available=when))  # type: ignore[arg-type]
    train = np.arange(720)
    assert [c.column for c in find_causes(frame, "y", "regression", ["a", "b", "c"], train=train, seed=0)] == ["c"]
    assert find_causes(frame, "y", "regression", ["a", "b", "c"], train=train, seed=0, barred={"c"}) == ()


def test_a_forecast_names_what_was_set_before_and_never_the_calendar_or_readings_of_the_same_instant() -> None:
    random = np.random.default_rng(7)
    x = random.standard_normal((900, 3))
    frame = _frame({"reading": x[:, 0], "hour": x[:, 1], "plan": x[:, 2], "y": x.sum(axis=1)}, time=True)
    frame = frame.with_series(
        replace(frame["reading"], available="with_target"),
        replace(frame["hour"], available="calendar"),
        replace(frame["plan"], available="before"),
    )
    found = find_causes(frame, "y", "forecast", ["reading", "hour", "plan"], train=np.arange(720), seed=0)
    assert [c.column for c in found] == ["plan"]


def test_what_predicts_a_forecast_is_its_own_past_and_the_clock_where_they_do() -> None:
    random = np.random.default_rng(9)
    hours = np.arange(3_000)
    y = 5 * np.sin(2 * np.pi * hours / 24) + random.standard_normal(3_000)
    at = np.datetime64("2024-01-01", "us") + hours * np.timedelta64(3_600_000_000, "us")
    frame = replace(_frame({"y": y}), time=at)
    said = what_predicts(frame, "y", np.arange(2_400), 1)
    assert said is not None
    assert said.en == "the time of day and its own past values"
    assert said.ko == "하루 중 시각과 자기 과거 값을"
    assert (
        what_predicts(replace(frame, series={"y": Series("y", random.standard_normal(3_000))}), "y", np.arange(2_400), 1)
        is None
    )


def test_a_made_feature_is_told_in_words_and_its_own_tag_is_no_companion() -> None:
    random = np.random.default_rng(10)
    soak = 850 + 3 * random.standard_normal(900)
    columns = {
        "RHK1.T [유지 mean]": soak, "RHK1.T [승온 mean]": soak + 0.1 * random.standard_normal(900), "z": random.standard_normal(900),
        "RHK1.U [유지 mean]": soak + 0.5 * random.standard_normal(900), "y": 4 * soak + random.standard_normal(900),
    }  # fmt: skip
    made: dict[str, Json] = {
        name: {"column": name.split(" ")[0], "window": name.split("[")[1].split(" ")[0], "statistic": "mean", "table": "plc"}
        for name in columns
        if "[" in name
    }
    frame = _frame(columns).with_series(Series("RHK1.T [유지 mean]", soak, unit="Cel"), Series("y", columns["y"], unit="[ppm]"))
    frame = replace(frame, facts={"rows_are": "lots", "features": made})
    (cause,) = find_causes(frame, "y", "regression", [n for n in columns if n != "y"], train=np.arange(720), seed=0)
    assert (cause.column, cause.lag) == ("RHK1.T", "mean over the soak (유지)")
    assert cause.facts["lag_ko"] == "유지 구간 평균"
    assert cause.facts["together_with"] == ["RHK1.U"]
    assert "RHK1.T의 유지 구간 평균이 높은 로트일수록" in cause.evidence.ko
    assert "Lots in which RHK1.T, mean over the soak (유지), was higher had higher y" in cause.evidence.en
    assert "2 ℃" in cause.prove.ko
    assert "ppm (95 % interval)" in cause.prove.en


def test_causes_are_told_without_codes_of_units_zero_chances_or_lots_where_there_are_none() -> None:
    random = np.random.default_rng(11)
    x = random.standard_normal((900, 3))
    lane = random.integers(0, 3, 900).astype(float)
    frame = _frame({"line": x[:, 0], "bend": x[:, 1], "y": 2 * x[:, 0] + 2 * x[:, 1] ** 2 + 3 * (lane == 2) + 0.5 * x[:, 2]})
    frame = frame.with_series(
        replace(frame["line"], unit="Cel"), replace(frame["y"], unit="kW.h"), Series("lane", lane, ("left", "middle", "right"))
    )
    found = find_causes(frame, "y", "regression", ["line", "bend", "lane"], train=np.arange(720), seed=0)
    assert {c.direction for c in found} == {"up", "both", "category"}
    for cause in found:
        for text in (cause.evidence, cause.prove, cause.refute):
            for shown in (text.ko, text.en):
                assert not re.search(r"kW\.h|Cel|p ?= ?0\.000|\(s\)|\blots?\b|로트|\d%|은\(는\)|이\(가\)|만\(만\)", shown), (
                    shown
                )
        assert "p < 0.005" in cause.evidence.en
        assert "95 %" in cause.prove.en or cause.direction == "both"


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

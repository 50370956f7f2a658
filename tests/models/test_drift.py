"""What changed since training is told, what merely wanders is not."""

from __future__ import annotations

import numpy as np

from madang.models._drift import block_means, find_drift, memory_rows, stability_index
from madang.models._frame import FloatArray, Frame, Series


def _walk(random: np.random.Generator, n: int, memory: float) -> FloatArray:
    out = np.zeros(n)
    noise = random.standard_normal(n)
    for t in range(1, n):
        out[t] = memory * out[t - 1] + np.sqrt(1 - memory**2) * noise[t]
    return out


def _frame(**columns: FloatArray) -> Frame:
    n = len(next(iter(columns.values())))
    series = {name: Series(name, values) for name, values in columns.items()}
    return Frame(series, np.zeros(n, dtype=np.int64), np.arange(1, n + 1, dtype=np.int64))


def _cut(frame: Frame, at: int) -> tuple[Frame, Frame]:
    rows = np.arange(len(frame))
    return frame.take(rows[:at]), frame.take(rows[at:])


def test_slow_but_steady_columns_are_rarely_called_moved() -> None:
    alarms = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        frame = _frame(**{f"c{k}": _walk(random, 2_000, 0.95) for k in range(5)})
        train, last = _cut(frame, 1_600)
        alarms += len(find_drift(train, last, list(frame.series), seed=0).columns)
    assert alarms <= 10  # of 100 columns


def test_a_shifted_column_is_named_and_leaves_its_range() -> None:
    random = np.random.default_rng(3)
    moved = random.standard_normal(2_000)
    moved[1_600:] += 6
    frame = _frame(still=random.standard_normal(2_000), moved=moved)
    train, last = _cut(frame, 1_600)
    drift = find_drift(train, last, ["still", "moved"], seed=0)
    assert drift.columns == ("moved",)
    assert drift.found
    assert "moved" in drift.text.ko
    assert "moved" in drift.text.en


def test_a_shift_does_not_matter_while_the_error_stays() -> None:
    random = np.random.default_rng(4)
    moved = random.standard_normal(2_000)
    moved[1_600:] += 6
    train, last = _cut(_frame(moved=moved), 1_600)
    errors = np.abs(random.standard_normal(2_000))
    assert not find_drift(train, last, ["moved"], errors_train=errors[:1_600], errors_last=errors[1_600:]).matters
    assert find_drift(train, last, ["moved"], errors_train=errors[:1_600], errors_last=1.5 * errors[1_600:]).matters


def test_errors_that_wander_slowly_do_not_matter_often() -> None:
    alarms = 0
    for seed in range(40):
        errors = np.abs(_walk(np.random.default_rng(seed), 2_000, 0.97))
        train, last = _cut(_frame(x=np.random.default_rng(seed).standard_normal(2_000)), 1_600)
        alarms += find_drift(train, last, ["x"], errors_train=errors[:1_600], errors_last=errors[1_600:]).matters
    assert alarms <= 4


def test_a_new_category_is_outside_of_training() -> None:
    train = _frame(recipe=np.repeat([0.0, 1.0], 200))
    last = _frame(recipe=np.full(100, 2.0))
    assert find_drift(train, last, ["recipe"]).columns == ("recipe",)


def test_columns_without_values_are_passed_over() -> None:
    nothing = _frame(x=np.full(100, np.nan))
    drift = find_drift(nothing, nothing, ["x", "absent"])
    assert not drift.found


def test_the_memory_of_a_slow_series_is_longer() -> None:
    random = np.random.default_rng(5)
    assert memory_rows(random.standard_normal(4_000)) <= 2
    assert (
        10 <= memory_rows(_walk(random, 20_000, 0.9)) <= 40
    )  # integrated time of an AR(1) process: (1 + 0.9) / (1 - 0.9) = 19


def test_block_means_spread_more_for_slow_series() -> None:
    random = np.random.default_rng(6)
    slow, quick = _walk(random, 4_000, 0.95), random.standard_normal(4_000)
    assert np.std(block_means(slow, 300, random)) > 3 * np.std(block_means(quick, 300, random))


def test_equal_samples_have_a_stability_index_near_zero() -> None:
    random = np.random.default_rng(7)
    assert stability_index(random.standard_normal(5_000), random.standard_normal(5_000)) < 0.02

"""No feature knows what came after the instant of issue."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.models._features import Builder, Feature, Recipe, calendar
from madang.models._frame import Frame, Series
from madang.models._history import Timing, look
from madang.models._span import Span

EVERY_KIND: Recipe = (
    Feature("now", "a"),
    Feature("is", "kind", code=1.0),
    Feature("product", "a", "b"),
    Feature("ratio", "a", "b"),
    Feature("lag", "b", span=120.0),
    *(Feature("roll", "b", span=300.0, stat=s) for s in ("mean", "std", "min", "max", "slope")),
    Feature("target_lag", span=240.0),
    *(Feature("target_roll", span=300.0, stat=s) for s in ("mean", "max")),
    Feature("slot", code=2.0, span=300.0),
    Feature("result"),
    Feature("result", code=2.0),
    Feature("results", code=4.0, stat="median"),
    Feature("calendar", stat="hour"),
)


def _frame(rows: int, seed: int, groups: bool) -> Frame:
    rng = np.random.default_rng(seed)
    jumps = rng.choice([0, 30, 60, 60, 60, 120, 600], size=rows)
    time = np.datetime64("2024-05-01T00:00:00", "us") + np.cumsum(jumps).astype("timedelta64[s]")
    swap = rng.random(rows) < 0.05
    time[swap] = time[rng.permutation(np.flatnonzero(swap))]
    a, b = rng.normal(size=rows), rng.normal(size=rows)
    b[rng.random(rows) < 0.1] = np.nan
    series = {
        "a": Series("a", a),
        "b": Series("b", b),
        "kind": Series("kind", rng.integers(0, 3, rows).astype(np.float64), ("x", "y", "z")),
        "y": Series("y", np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows))),
    }
    group = rng.integers(0, 3, rows).astype(str) if groups else None
    return Frame(series, np.zeros(rows, dtype=np.int64), np.arange(1, rows + 1), time=time, group=group)


def _matrix(frame: Frame, timing: Timing) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    history, query, _ = look(frame, "y", timing)
    return Builder(history, query, timing).matrix(EVERY_KIND)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(5, 80),
    cut=st.floats(0.1, 0.95),
    seed=st.integers(0, 10_000),
    horizon=st.sampled_from([Span(rows=0), Span(seconds=120.0), Span(rows=3)]),
    delay=st.sampled_from([None, Span(rows=0), Span(rows=5), Span(seconds=200.0)]),
    groups=st.booleans(),
)
def test_leaving_out_later_records_changes_no_feature_of_earlier_ones(
    rows: int, cut: float, seed: int, horizon: Span, delay: Span | None, groups: bool
) -> None:
    frame = _frame(rows, seed, groups)
    timing = Timing(timed=True, step=60.0, horizon=horizon, delay=delay, by_group=groups, origin=1_714_521_600_000_000)
    kept = max(1, int(rows * cut))
    whole, part = _matrix(frame, timing), _matrix(frame.take(np.arange(kept)), timing)
    assert np.array_equal(whole[:kept], part, equal_nan=True)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(10, 60), seed=st.integers(0, 10_000), late=st.integers(1, 8))
def test_a_result_touches_nothing_before_it_returns(rows: int, seed: int, late: int) -> None:
    frame = _frame(rows, seed, groups=False)
    timing = Timing(timed=False, step=1.0, horizon=Span(rows=0), delay=Span(rows=late))
    place = rows // 2
    values = frame["y"].values.copy()
    values[place] = 1e6
    changed = frame.with_series(Series("y", values))
    before, after = _matrix(frame, timing), _matrix(changed, timing)
    assert np.array_equal(before[: place + late], after[: place + late], equal_nan=True)


def test_a_rolling_slope_is_the_slope_of_a_line() -> None:
    rows = 20
    series = {"a": Series("a", 3.0 * np.arange(rows, dtype=np.float64)), "y": Series("y", np.zeros(rows))}
    frame = Frame(series, np.zeros(rows, dtype=np.int64), np.arange(rows))
    timing = Timing(timed=False, step=1.0)
    history, query, _ = look(frame, "y", timing)
    slope = Builder(history, query, timing).column(Feature("roll", "a", span=5.0, stat="slope"))
    assert np.allclose(slope[4:], 3.0)


def test_the_calendar_is_that_of_korea() -> None:
    instant = np.array(["2024-05-05T15:30:00", "2024-05-06T00:00:00"], dtype="datetime64[us]")
    # 15:30 UTC on Sunday is 00:30 on Monday in Seoul.
    assert calendar(instant, "hour").tolist() == [0.5, 9.0]
    assert calendar(instant, "weekday").tolist() == [0.0, 0.0]
    assert calendar(instant, "shift").tolist() == [2.0, 0.0]

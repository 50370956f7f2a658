"""The kernels give what DuckDB gives, on random plants."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from madang.library._kernels import (
    Direction,
    Feature,
    as_of,
    as_of_by,
    downsample,
    range_slice,
    rolling_mean_std,
    time_above,
)
from madang.library._windows import window_features

_SEEDS = st.integers(0, 2**32 - 1)


def _readings(rng: np.random.Generator, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    time = np.sort(rng.integers(0, 400, n))
    value = np.round(rng.normal(700.0, 5.0, n), 3)
    value[rng.random(n) < 0.1] = np.nan
    return time, value


def _sql(query: str, **tables: pa.Table) -> dict[str, NDArray[np.float64]]:
    with duckdb.connect(config={"threads": 2}) as con:
        for name, table in tables.items():
            con.register(name, table)
        result: pa.Table = con.sql(query).to_arrow_table()
    return {name: result[name].cast(pa.float64()).to_numpy() for name in result.column_names}


def _table(**columns: NDArray[np.int64] | NDArray[np.float64]) -> pa.Table:
    return pa.table({n: pa.array(v, from_pandas=True) for n, v in columns.items()})


@settings(max_examples=40, deadline=None)
@given(seed=_SEEDS, n=st.integers(1, 120), windows=st.integers(1, 25))
def test_features_of_overlapping_nested_and_empty_windows_equal_duckdb(seed: int, n: int, windows: int) -> None:
    rng = np.random.default_rng(seed)
    time, value = _readings(rng, n)
    start = rng.integers(-20, 420, windows)
    end = start + rng.integers(-5, 150, windows)

    got = window_features(time, value, start, end)

    want = _sql(
        """select w.i, count(v) n, avg(v) mean, min(v) as min, max(v) as max, stddev_samp(v) std, arg_min(v, r) as first,
                  arg_max(v, r) as last, regr_slope(v, t) slope
           from w left join s on t >= a and t < b group by w.i order by w.i""",
        w=_table(i=np.arange(windows), a=start, b=end),
        s=_table(t=time, v=value, r=np.arange(n)),
    )
    np.testing.assert_array_equal(got.n, want["n"])
    for feature in ("mean", "min", "max", "std", "first", "last"):
        np.testing.assert_allclose(got[feature], want[feature], rtol=1e-11, atol=1e-9, err_msg=feature)
    np.testing.assert_allclose(got["slope"], want["slope"], rtol=1e-6, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=_SEEDS, n=st.integers(1, 120), windows=st.integers(1, 25))
def test_a_window_summed_up_alone_does_not_depend_on_the_others_to_the_last_bit(seed: int, n: int, windows: int) -> None:
    rng = np.random.default_rng(seed)
    time, value = _readings(rng, n)
    start = rng.integers(-20, 420, windows)
    end = start + rng.integers(-5, 150, windows)
    features: tuple[Feature, ...] = ("mean", "min", "max", "std", "first", "last")

    together = window_features(time, value, start, end, features, alone=True)
    shared = window_features(time, value, start, end, features)

    for at in range(windows):
        single = window_features(time, value, start[at : at + 1], end[at : at + 1], features, alone=True)
        for feature in features:
            np.testing.assert_array_equal(single[feature], together[feature][at : at + 1])
            np.testing.assert_allclose(single[feature], shared[feature][at : at + 1], rtol=1e-12, atol=1e-9)


def test_a_constant_reading_has_no_spread_however_large_it_is() -> None:
    time = np.arange(1000)
    value = np.where(time < 500, 1e9, 3.0)

    got = window_features(time, value, np.array([0, 500]), np.array([500, 1000]))

    assert got["std"].tolist() == [0.0, 0.0]
    assert got["slope"].tolist() == [0.0, 0.0]


def test_a_slope_of_instants_is_per_hour() -> None:
    time = np.datetime64("2024-01-01", "us") + np.arange(10) * np.timedelta64(6, "m")

    got = window_features(time, np.arange(0.0, 5.0, 0.5), time[:1], time[-1:] + np.timedelta64(1, "s"))

    assert got["slope"][0] == pytest.approx(5.0)


@settings(max_examples=40, deadline=None)
@given(seed=_SEEDS, n=st.integers(1, 60), direction=st.sampled_from(["backward", "forward", "nearest"]))
def test_an_as_of_match_is_the_one_a_person_would_find(seed: int, n: int, direction: Direction) -> None:
    rng = np.random.default_rng(seed)
    time = np.sort(rng.choice(1000, n, replace=False))
    at = rng.integers(-50, 1050, 40)

    got = as_of(time, at, tolerance=60, direction=direction)

    for question, found in zip(at, got, strict=True):
        near = [
            (abs(int(t) - int(question)), int(t), i)
            for i, t in enumerate(time)
            if abs(int(t) - int(question)) <= 60
            and (direction != "backward" or t <= question)
            and (direction != "forward" or t >= question)
        ]
        assert found == (min(near)[2] if near else -1)


@settings(max_examples=25, deadline=None)
@given(seed=_SEEDS)
def test_an_as_of_match_within_keys_equals_duckdb(seed: int) -> None:
    rng = np.random.default_rng(seed)
    key, time = rng.integers(0, 5, 80), rng.permutation(10_000)[:80]
    at_key, at = rng.integers(-1, 6, 50), rng.integers(0, 10_000, 50)

    got = as_of_by(key, time, at_key, at)

    want = _sql(
        "select q.i, s.r from q asof left join s on q.k = s.k and q.t >= s.t order by q.i",
        q=_table(i=np.arange(50), k=at_key, t=at),
        s=_table(r=np.arange(80), k=key, t=time),
    )
    np.testing.assert_array_equal(got, np.nan_to_num(want["r"], nan=-1.0))


@settings(max_examples=30, deadline=None)
@given(seed=_SEEDS, n=st.integers(1, 60))
def test_time_above_a_limit_equals_duckdb(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    time = np.sort(rng.choice(400, n, replace=False))
    value = rng.normal(700.0, 5.0, n)
    start = rng.integers(0, 400, 10)
    end = start + rng.integers(0, 200, 10)

    got = time_above(time, value, 701.0, start, end)

    want = _sql(
        """with h as (select t, v, lead(t) over (order by t) nx from s)
           select w.i, coalesce(sum(case when v > 701 then least(coalesce(nx, b), b) - t else 0 end), 0) d
           from w left join h on t >= a and t < b group by w.i order by w.i""",
        w=_table(i=np.arange(10), a=start, b=end),
        s=_table(t=time, v=value),
    )
    np.testing.assert_allclose(got, want["d"])


@settings(max_examples=30, deadline=None)
@given(seed=_SEEDS, n=st.integers(1, 200), buckets=st.integers(1, 30))
def test_a_thinned_trend_loses_no_spike_and_no_bad_reading(seed: int, n: int, buckets: int) -> None:
    rng = np.random.default_rng(seed)
    time, value = _readings(rng, n)
    quality = np.where(np.isnan(value), 0x80000000, 0).astype(np.int64)

    got = downsample(time, value, quality, buckets)

    assert len(got.start) <= buckets
    assert got.count.sum() == n
    assert got.worst.max() == quality.max()
    for at, first in enumerate(got.start):
        last = got.start[at + 1] if at + 1 < len(got.start) else time[-1] + 1
        inside = value[(time >= first) & (time < last)]
        if np.isnan(inside).all():
            assert np.isnan(got.minimum[at])
        else:
            assert got.minimum[at] == np.nanmin(inside)
            assert got.maximum[at] == np.nanmax(inside)


@settings(max_examples=30, deadline=None)
@given(seed=_SEEDS, n=st.integers(1, 100), span=st.integers(1, 120))
def test_rolling_statistics_equal_duckdb(seed: int, n: int, span: int) -> None:
    rng = np.random.default_rng(seed)
    time, value = _readings(rng, n)

    mean, std = rolling_mean_std(time, value, span)

    want = _sql(
        f"""select r, avg(v) over w mean, stddev_samp(v) over w std from s
            window w as (order by t range between {span - 1} preceding and current row) order by r""",
        s=_table(t=time, v=value, r=np.arange(n)),
    )
    np.testing.assert_allclose(mean, want["mean"], rtol=1e-10)
    np.testing.assert_allclose(std, want["std"], atol=1e-5)


def test_a_range_takes_its_first_instant_and_leaves_its_last() -> None:
    time = np.array([1, 2, 2, 3, 5])

    assert time[range_slice(time, 2, 3)].tolist() == [2, 2]
    assert time[range_slice(time, 4, 1)].tolist() == []


def test_kernels_take_tables_without_rows() -> None:
    none, nothing = np.empty(0, np.int64), np.empty(0)

    assert as_of(none, np.array([1])).tolist() == [-1]
    assert window_features(none, nothing, np.array([0]), np.array([9])).n.tolist() == [0]
    assert len(downsample(none, nothing, none, 5).start) == 0
    assert time_above(none, nothing, 1.0, np.array([0]), np.array([9])).tolist() == [0.0]

"""A thinned trend loses no spike, no bad value and no gap."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.api._trend import bucketed
from tests.console.conftest import TestClient

HOUR = 3_600_000_000


def test_a_short_series_is_shown_as_it_is() -> None:
    at = np.arange(5, dtype=np.int64) * HOUR
    value = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    trend = bucketed(at, value, np.isnan(value).astype(np.uint8) * np.uint8(2), 100, timed=True)
    assert trend.document()["low"] == [1.0, 2.0, None, 4.0, 5.0]
    assert trend.document()["worst"] == [0, 0, 2, 0, 0]
    assert trend.document()["at"] == [0.0, 3600.0, 7200.0, 10800.0, 14400.0]


def test_a_gap_of_a_short_series_breaks_the_line() -> None:
    at = np.array([0, 1, 2, 50, 51], dtype=np.int64) * HOUR
    trend = bucketed(at, np.ones(5), np.zeros(5, np.uint8), 100, timed=True)
    assert trend.document()["worst"] == [0, 0, 0, 3, 0, 0]
    assert trend.document()["low"] == [1.0, 1.0, 1.0, None, 1.0, 1.0]


def test_one_bad_second_and_one_spike_of_a_day_are_seen() -> None:
    at = np.arange(86_400, dtype=np.int64) * 1_000_000
    value = np.full(86_400, 20.0)
    quality = np.zeros(86_400, np.uint8)
    value[40_000] = 99.0
    value[70_000] = np.nan
    quality[70_000] = 2
    trend = bucketed(at, value, quality, 500, timed=True)
    assert np.nanmax(trend.high) == 99.0
    assert np.count_nonzero(trend.worst == 2) == 1
    assert len(trend.start) <= 500


def test_an_hour_without_readings_stays_a_gap() -> None:
    at = np.concatenate([np.arange(0, 30_000), np.arange(33_600, 60_000)]).astype(np.int64) * 1_000_000
    trend = bucketed(at, np.ones(len(at)), np.zeros(len(at), np.uint8), 600, timed=True)
    empty = trend.start[trend.worst == 3] / 1e6
    assert len(empty) > 20
    assert empty.min() >= 29_900
    assert empty.max() <= 33_600


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 3000), width=st.integers(1, 400))
def test_extremes_and_worst_quality_survive_any_thinning(seed: int, n: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, 10**12, n))
    value = rng.normal(size=n)
    quality = rng.choice(np.array([0, 1, 2], np.uint8), n, p=[0.9, 0.05, 0.05])
    value[quality == 2] = np.nan
    trend = bucketed(at, value, quality, width, timed=False)
    assert len(trend.start) <= max(width, n)
    assert np.all(np.diff(trend.start) >= 0)
    if np.isfinite(value).any():
        assert np.nanmin(trend.low) == np.nanmin(value)
        assert np.nanmax(trend.high) == np.nanmax(value)
    assert set(trend.worst[trend.worst < 3]) >= ({int(quality.max())} if n else set())


def test_zooming_asks_for_a_part_only(client: TestClient) -> None:
    url = "/api/v1/datasets/소성로/trend?column=1구역 온도&width=4000&from=2026-05-05T00:00:00Z&to=2026-05-06T00:00:00Z"
    trend = client.get(url).json()
    assert trend["readings"] == 97
    assert trend["at"][0] == 1_777_939_200.0
    assert trend["unit"] == "Cel"

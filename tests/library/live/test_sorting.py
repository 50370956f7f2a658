"""Samples are sorted by point, time and arrival, however many points there are and in whatever order they come."""

from __future__ import annotations

import numpy as np
import pytest

from madang.library._signals._samples import Samples, sort


@pytest.mark.parametrize("width", [1, 300, 4095, 4096, 4097, 65_536, 65_537, 100_000])
@pytest.mark.parametrize("late", [False, True], ids=["in order", "late ones too"])
@pytest.mark.parametrize("count", [2, 50, 5_000])
def test_samples_are_sorted_by_point_then_time_then_arrival(width: int, late: bool, count: int) -> None:
    rng = np.random.default_rng([width, late, count])
    point = rng.integers(7, 7 + width, count).astype(np.int32)
    point[0], point[-1] = 7, 6 + width
    time = rng.integers(0, 50, count) if late else np.arange(count)
    got = sort(Samples(point, time.astype(np.int64), rng.random(count), np.zeros(count, np.uint32)))
    expected = np.lexsort((np.arange(count), time, point))
    points, lengths = np.unique(point, return_counts=True)
    np.testing.assert_array_equal(got.order, expected)
    np.testing.assert_array_equal(got.time, time[expected])
    np.testing.assert_array_equal(got.points, points)
    np.testing.assert_array_equal(got.lengths, lengths)

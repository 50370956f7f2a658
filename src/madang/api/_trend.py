"""A trend thinned for the eye: minimum, maximum and worst quality of equal spans, so that no spike and no bad value is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madang.errors import Json

MAX_WIDTH = 8192


@dataclass(frozen=True)
class Trend:
    """Buckets in order; shape (bucket,) throughout."""

    timed: bool
    """Whether `start` counts microseconds since 1970 (UTC); else it counts rows from 1."""
    start: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    worst: NDArray[np.uint8]
    """Worst quality in the bucket: 0 good, 1 uncertain, 2 bad or missing, 3 no reading at all."""
    readings: int

    def document(self) -> dict[str, Json]:
        """Return the JSON form: seconds since 1970 (or row numbers), null where there is no good value."""

        def plain(values: NDArray[np.float64]) -> list[Json]:
            return [None if np.isnan(v) else float(v) for v in values]

        at = self.start / 1e6 if self.timed else self.start
        return {
            "timed": self.timed,
            "at": [float(x) for x in at],
            "low": plain(self.low),
            "high": plain(self.high),
            "worst": [int(w) for w in self.worst],
            "readings": self.readings,
        }


def bucketed(
    at: NDArray[np.int64], value: NDArray[np.float64], quality: NDArray[np.uint8], width: int, *, timed: bool
) -> Trend:
    """Thin sorted readings to at most `width` buckets of equal span.

    Args:
        at: Microseconds since 1970 or row numbers, sorted, shape (reading,).
        value: Readings, NaN where there is no good one.
        quality: 0 good, 1 uncertain, 2 bad or missing.
        width: Most buckets wanted, from 1 to `MAX_WIDTH`.
        timed: Whether `at` are instants.

    Returns:
        Buckets. Spans without any reading carry quality 3, so that a gap stays a gap.
    """
    width = max(1, min(MAX_WIDTH, width))
    if len(at) == 0:
        return Trend(timed, at, value, value, quality, 0)
    if len(at) <= width:
        return _with_gaps(Trend(timed, at, value, value, quality, len(at)))
    span = max(1, -(-int(at[-1] - at[0] + 1) // width))
    edges = at[0] + span * np.arange(width, dtype=np.int64)
    first = np.searchsorted(at, edges, side="left")
    counts = np.diff(np.append(first, len(at)))
    filled = counts > 0
    where: Any = first[filled]
    low = np.full(width, np.nan)
    high = np.full(width, np.nan)
    worst = np.full(width, 3, dtype=np.uint8)
    with np.errstate(invalid="ignore"):
        low[filled] = np.fmin.reduceat(value, where)
        high[filled] = np.fmax.reduceat(value, where)
    worst[filled] = np.maximum.reduceat(quality, where)
    # An empty span is a gap only where the readings are truly far apart; else the spans merely fall between two readings.
    usual = float(np.median(np.diff(at)))
    before, after = at[np.maximum(first - 1, 0)], at[np.minimum(first, len(at) - 1)]
    shown = filled | ((after - before) > max(3 * usual, span))
    return Trend(timed, edges[shown], low[shown], high[shown], worst[shown], len(at))


def _with_gaps(trend: Trend) -> Trend:
    """Put an empty bucket into every stretch that is much longer than the usual step, so that the line breaks there."""
    if not trend.timed or len(trend.start) < 3:
        return trend
    steps = np.diff(trend.start)
    usual = float(np.median(steps))
    after = np.flatnonzero(steps > max(3 * usual, 1.0)) + 1
    if len(after) == 0:
        return trend
    return Trend(
        True,
        np.insert(trend.start, after, trend.start[after - 1] + round(usual)),
        np.insert(trend.low, after, np.nan),
        np.insert(trend.high, after, np.nan),
        np.insert(trend.worst, after, 3),
        trend.readings,
    )

"""Small kernels over sorted slices: as-of, per-window features, ranges, buckets and rolling statistics.

They stand here because the hot reads of a plant (last value, trend, features per lot) are runs over arrays that the lake keeps
sorted by point and time; a general engine hashes or sorts them again. Each kernel is checked against DuckDB on random data.

Times are sorted int64 or datetime64 arrays; windows are half-open, ``start <= time < end``. NaN means absent and is left out of
every statistic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
TimeArray: TypeAlias = NDArray[np.datetime64] | NDArray[np.int64]

Direction = Literal["backward", "forward", "nearest"]
Feature = Literal["n", "mean", "min", "max", "std", "first", "last", "slope"]
ALL_FEATURES: tuple[Feature, ...] = ("n", "mean", "min", "max", "std", "first", "last", "slope")


def as_of(time: TimeArray, at: TimeArray, *, tolerance: int | None = None, direction: Direction = "backward") -> IntArray:
    """Return for each instant the index of the reading that held then, -1 where none does.

    Args:
        time: Times of the readings, sorted; of equal times the last reading wins.
        at: Instants asked for, in any order.
        tolerance: Greatest distance allowed, ends included, in the unit of `time`; None = any.
        direction: ``backward`` takes the last reading not later than the instant, ``forward`` the first not earlier,
            ``nearest`` the nearer of both (the earlier when equally near).

    >>> as_of(np.array([10, 20, 30]), np.array([9, 20, 29]), tolerance=5)
    array([-1,  1, -1])
    """
    whole, wanted = whole_times(time), whole_times(at)
    if len(whole) == 0:
        return np.full(len(wanted), -1, dtype=np.int64)
    if direction == "backward":
        found = _latest(whole, wanted)
    else:
        first_after = np.searchsorted(whole, wanted, side="left").astype(np.int64)
        found = np.where(first_after < len(whole), first_after, -1)
    if direction == "nearest":
        before, after = _latest(whole, wanted), found
        far = np.iinfo(np.int64).max
        to_before = np.where(before >= 0, wanted - whole[before], far)
        to_after = np.where(after >= 0, whole[after] - wanted, far)
        found = np.where(to_before <= to_after, before, after)
    if tolerance is not None:
        found = np.where((found >= 0) & (np.abs(whole[found] - wanted) <= tolerance), found, -1)
    return found


def _latest(whole: IntArray, wanted: IntArray) -> IntArray:
    """Return for each instant the index of the last time not later than it, -1 before the first."""
    if len(wanted) < 4 * len(whole) or bool((wanted[1:] < wanted[:-1]).any()):
        return np.searchsorted(whole, wanted, side="right").astype(np.int64) - 1
    # Many instants in order: it is cheaper to find where each time begins to hold.
    begins = np.searchsorted(wanted, whole, side="left")
    lengths = np.diff(np.concatenate(([0], begins, [len(wanted)])))
    return np.repeat(np.arange(-1, len(whole), dtype=np.int64), lengths)


def as_of_by(
    key: IntArray,
    time: TimeArray,
    at_key: IntArray,
    at: TimeArray,
    *,
    tolerance: int | None = None,
    direction: Direction = "backward",
) -> IntArray:
    """Return `as_of` within each key: the index into `key` and `time`, which may stand in any order.

    Args:
        key: Code of the key of each reading.
        time: Time of each reading.
        at_key: Code of the key of each question; -1 = no key, never matched.
        at: Instant of each question.
        tolerance: See `as_of`.
        direction: See `as_of`.
    """
    order = np.lexsort((whole_times(time), key))
    keys, times = key[order], whole_times(time)[order]
    result = np.full(len(at_key), -1, dtype=np.int64)
    asked_order = np.argsort(at_key, kind="stable")
    asked = at_key[asked_order]
    wanted = whole_times(at)
    for code in np.unique(asked[asked >= 0]):
        low, high = np.searchsorted(keys, code, side="left"), np.searchsorted(keys, code, side="right")
        if low == high:
            continue
        rows = asked_order[np.searchsorted(asked, code, side="left") : np.searchsorted(asked, code, side="right")]
        found = as_of(times[low:high], wanted[rows], tolerance=tolerance, direction=direction)
        result[rows] = np.where(found >= 0, order[low + found], -1)
    return result


def range_slice(time: TimeArray, first: np.datetime64 | int, last: np.datetime64 | int) -> slice:
    """Return the slice of sorted `time` with ``first <= time < last``."""
    whole = whole_times(time)
    low, high = np.searchsorted(whole, whole_times(np.asarray([first, last])), side="left")
    return slice(int(low), int(max(low, high)))


def time_above(time: TimeArray, value: FloatArray, limit: float, start: TimeArray, end: TimeArray) -> FloatArray:
    """Return for how long each window stood above a limit, each reading holding until the next one or the window's end.

    Args:
        time: Times of the readings, sorted.
        value: Readings; an absent one (NaN) holds nothing.
        limit: The limit, in the unit of `value`; a reading on it is not above.
        start: First instant of each window; what held before the first reading in it is not counted.
        end: End of each window.

    Returns:
        Duration in the unit of integer times, in seconds for datetime64 times.
    """
    whole, ends = whole_times(time), whole_times(end)
    low = np.searchsorted(whole, whole_times(start), side="left")
    high = np.maximum(low, np.searchsorted(whole, ends, side="left"))
    above = value > limit
    held = np.zeros(len(whole) + 1)
    if len(whole) > 1:
        np.cumsum(np.where(above[:-1], np.diff(whole), 0), out=held[1:-1])
    result = np.zeros(len(low))
    filled = np.flatnonzero(high > low)
    last = high[filled] - 1
    result[filled] = held[last] - held[low[filled]] + np.where(above[last], ends[filled] - whole[last], 0)
    return result / (1e6 if np.issubdtype(np.asarray(time).dtype, np.datetime64) else 1.0)


@dataclass(frozen=True)
class Buckets:
    """A trend thinned for the eye: what each bucket that holds a reading came to; every array has shape (bucket,)."""

    start: TimeArray
    """Start of each bucket, in the unit of the readings' times."""
    minimum: FloatArray
    """NaN where no reading of the bucket has a value, as in `maximum`, `first` and `last`."""
    maximum: FloatArray
    worst: IntArray
    """Greatest quality code; OPC UA codes grow from good over uncertain to bad."""
    count: IntArray
    """Readings, those without a value too."""
    first: FloatArray
    """Earliest value."""
    last: FloatArray
    """Latest value."""
    first_time: TimeArray
    """Time of the earliest reading."""
    last_time: TimeArray
    """Time of the latest reading."""
    broken: NDArray[np.bool_]
    """Whether so long nothing came before the bucket's first reading that no line may be drawn to it; see `breaks`."""
    width: int
    """Length of every bucket, in the unit of the readings' times (microseconds for datetime64)."""


def downsample(
    time: TimeArray, value: FloatArray, quality: IntArray, buckets: int, *, span: tuple[int, int] | None = None
) -> Buckets:
    """Return extremes, ends and worst quality of equal spans of time, so that no spike and no bad reading is lost from sight.

    Args:
        time: Times of the readings, sorted.
        value: Readings; NaN where the quality withholds them.
        quality: Quality code of each reading.
        buckets: How many spans, at least 1.
        span: First instant and the instant after the last of what is cut into buckets, in whole units of `time`; from the first to
            the last reading when None.

    Returns:
        At most `buckets` buckets, empty ones left out.
    """
    if buckets < 1:
        raise ValueError("a trend needs at least one bucket")
    whole = whole_times(time)
    begin, end = span if span is not None else ((int(whole[0]), int(whole[-1]) + 1) if len(whole) else (0, 1))
    width = max(1, -(-(end - begin) // buckets))
    edges = begin + width * np.arange(buckets + 1, dtype=np.int64)
    return bucketed(time, value, quality, edges, width)


def bucketed(time: TimeArray, value: FloatArray, quality: IntArray, edges: IntArray, width: int) -> Buckets:
    """Return what `downsample` returns for buckets between neighbouring `edges`, ascending; readings outside are left out."""
    whole = whole_times(time)
    cuts = np.searchsorted(whole, edges, side="left")
    kept = np.flatnonzero(np.diff(cuts))
    unit: Any = np.asarray(time).dtype
    if len(kept) == 0:
        none, no = np.empty(0), np.empty(0, np.int64)
        return Buckets(time[:0], none, none, no, no, none, none, time[:0], time[:0], np.empty(0, np.bool_), width)
    low, high = cuts[kept], cuts[kept + 1]
    inside, at = slice(int(low[0]), int(high[-1])), low - low[0]
    readings, codes = value[inside], quality[inside]
    with np.errstate(invalid="ignore"):
        minimum, maximum = np.minimum.reduceat(readings, at), np.maximum.reduceat(readings, at)
        if np.isnan(minimum).any():
            minimum, maximum = np.fmin.reduceat(readings, at), np.fmax.reduceat(readings, at)
            present = np.flatnonzero(~np.isnan(readings))
            first, last = (_present(readings, present, at, high - low[0], end) for end in (False, True))
        else:
            first, last = readings[at], readings[high - low[0] - 1]
    worst = np.maximum.reduceat(codes, at).astype(np.int64) if codes.any() else np.zeros(len(at), np.int64)
    count = (high - low).astype(np.int64)
    return Buckets(
        start=edges[kept].astype(unit),
        minimum=minimum,
        maximum=maximum,
        worst=worst,
        count=count,
        first=first,
        last=last,
        first_time=whole[low].astype(unit),
        last_time=whole[high - 1].astype(unit),
        broken=breaks(whole[low], whole[high - 1], count),
        width=width,
    )


def breaks(first: IntArray, last: IntArray, count: IntArray) -> NDArray[np.bool_]:
    """Say before which buckets nothing came for more than ten times the usual distance of two readings.

    Args:
        first: Time of the first reading of each bucket.
        last: Time of the last reading of each bucket.
        count: Readings of each bucket.
    """
    broken = np.zeros(len(first), dtype=np.bool_)
    if len(first) < 2:
        return broken
    jumps = first[1:] - last[:-1]
    steps = (last - first)[count > 1] / (count[count > 1] - 1)
    usual = float(np.median(np.concatenate((steps, jumps)) if len(steps) < len(jumps) else steps))
    broken[1:] = jumps > 10.0 * max(usual, 1.0)
    return broken


def _present(value: FloatArray, present: IntArray, low: IntArray, high: IntArray, latest: bool) -> FloatArray:
    """Return the earliest or latest value of each bucket; NaN where it has none."""
    if latest:
        at = np.searchsorted(present, high, side="left") - 1
        held = at >= 0
        held[held] = present[at[held]] >= low[held]
    else:
        at = np.searchsorted(present, low, side="left")
        held = at < len(present)
        held[held] = present[at[held]] < high[held]
    found = np.full(len(low), np.nan)
    found[held] = value[present[at[held]]]
    return found


def rolling_mean_std(time: TimeArray, value: FloatArray, span: int) -> tuple[FloatArray, FloatArray]:
    """Return mean and sample standard deviation over the readings of ``(time - span, time]``, absent ones left out.

    Sums run over values centred on the whole mean: exact to about 1e-8 of the spread of the whole series.

    Args:
        time: Times of the readings, sorted.
        value: Readings; NaN = absent.
        span: Length of the window in the unit of `time` (microseconds for datetime64[us]).
    """
    whole = whole_times(time)
    low = np.searchsorted(whole, whole - span, side="right")
    rises = bool((whole[1:] > whole[:-1]).all())
    high = np.arange(1, len(whole) + 1) if rises else np.searchsorted(whole, whole, side="right")
    absent = np.isnan(value)
    gaps = bool(absent.any())
    present = ~absent
    centre = float(np.mean(value[present] if gaps else value)) if len(value) and present.any() else 0.0
    centred = np.where(absent, 0.0, value - centre) if gaps else value - centre
    n = _between(present.astype(np.float64), low, high) if gaps else (high - low).astype(np.float64)
    total = _between(centred, low, high)
    variance = _between(np.square(centred, out=centred), low, high)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / n
        variance -= total * mean
        variance /= n - 1.0
        mean += centre
        np.maximum(variance, 0.0, out=variance)
        if gaps or bool((n < 2).any()):
            mean[n < 1], variance[n < 2] = np.nan, np.nan
    return mean, np.sqrt(variance, out=variance)


def _between(value: FloatArray, low: IntArray, high: IntArray) -> FloatArray:
    """Return the sums of ``value[low:high]``."""
    running = np.empty(len(value) + 1)
    running[0] = 0.0
    np.cumsum(value, out=running[1:])
    found: FloatArray = running[high]
    found -= running[low]
    return found


def whole_times(time: TimeArray | NDArray[np.datetime64]) -> IntArray:
    """Return times as int64 (microseconds for datetime64), without a copy where none is needed."""
    array = np.asarray(time)
    if np.issubdtype(array.dtype, np.datetime64):
        return array.astype("datetime64[us]", copy=False).view(np.int64)
    return array.astype(np.int64, copy=False)

"""Small kernels over sorted slices: as-of, per-window features, ranges, buckets and rolling statistics.

They stand here because the hot reads of a plant (last value, trend, features per lot) are runs over arrays that the lake keeps
sorted by point and time; a general engine hashes or sorts them again. Each kernel is checked against DuckDB on random data.

Times are sorted int64 or datetime64 arrays; windows are half-open, ``start <= time < end``. NaN means absent and is left out of
every statistic.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
TimeArray: TypeAlias = NDArray[np.datetime64] | NDArray[np.int64]

Direction = Literal["backward", "forward", "nearest"]
Feature = Literal["n", "mean", "min", "max", "std", "first", "last", "slope"]
ALL_FEATURES: tuple[Feature, ...] = ("n", "mean", "min", "max", "std", "first", "last", "slope")

_RUN = 1 << 18
"""Readings that one step of a window kernel touches: 2 MiB of float64, about what a core's cache holds."""


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
    whole, wanted = _whole(time), _whole(at)
    if len(whole) == 0:
        return np.full(len(wanted), -1, dtype=np.int64)
    before = np.searchsorted(whole, wanted, side="right").astype(np.int64) - 1
    first_after = np.searchsorted(whole, wanted, side="left").astype(np.int64)
    after = np.where(first_after < len(whole), first_after, -1)
    if direction == "backward":
        found = before
    elif direction == "forward":
        found = after
    else:
        far = np.iinfo(np.int64).max
        to_before = np.where(before >= 0, wanted - whole[before], far)
        to_after = np.where(after >= 0, whole[after] - wanted, far)
        found = np.where(to_before <= to_after, before, after)
    if tolerance is not None:
        found = np.where((found >= 0) & (np.abs(whole[found] - wanted) <= tolerance), found, -1)
    return found


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
    order = np.lexsort((_whole(time), key))
    keys, times = key[order], _whole(time)[order]
    result = np.full(len(at_key), -1, dtype=np.int64)
    asked_order = np.argsort(at_key, kind="stable")
    asked = at_key[asked_order]
    wanted = _whole(at)
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
    whole = _whole(time)
    low, high = np.searchsorted(whole, _whole(np.asarray([first, last])), side="left")
    return slice(int(low), int(max(low, high)))


@dataclass(frozen=True)
class WindowFeatures:
    """Statistics of one tag over windows, each of shape (window,); NaN where a window holds no reading."""

    n: IntArray
    values: dict[Feature, FloatArray]
    """The statistics asked for. ``std`` is that of the sample (n - 1), NaN below two readings; ``slope`` is the least-squares
    slope per hour of datetime64 times (per unit of time for integer times), NaN below two different times."""

    def __getitem__(self, feature: Feature) -> FloatArray:
        return self.n.astype(np.float64) if feature == "n" else self.values[feature]


def window_features(
    time: TimeArray,
    value: FloatArray,
    start: TimeArray,
    end: TimeArray,
    features: Collection[Feature] = ALL_FEATURES,
) -> WindowFeatures:
    """Return statistics of one tag's readings per window; windows may overlap, nest, be empty and stand in any order.

    Work is proportional to the readings covered (counted once per window that covers them) plus the readings between windows.

    Args:
        time: Times of the readings, sorted.
        value: Readings; NaN = absent.
        start: First instant of each window, included.
        end: End of each window, not included; a window that ends before it starts is empty.
        features: Which statistics to compute.
    """
    absent = np.isnan(value)
    if absent.any():
        time, value = time[~absent], value[~absent]
    whole = _whole(time)
    low = np.searchsorted(whole, _whole(start), side="left").astype(np.int64)
    high = np.maximum(low, np.searchsorted(whole, _whole(end), side="left").astype(np.int64))
    n = high - low
    made: dict[Feature, FloatArray] = {f: np.full(len(n), np.nan) for f in features if f != "n"}
    filled = np.flatnonzero(n)
    if "first" in made:
        made["first"][filled] = value[low[filled]]
    if "last" in made:
        made["last"][filled] = value[high[filled] - 1]
    if made.keys() - {"first", "last"}:
        per_hour = 3_600_000_000.0 if np.issubdtype(np.asarray(time).dtype, np.datetime64) else 1.0
        for windows in _disjoint_runs(low, high, filled):
            _reduce_run(whole, value, low[windows], high[windows], windows, made, per_hour)
    return WindowFeatures(n, made)


def features_by_tag(
    tag: NDArray[np.integer],
    time: TimeArray,
    value: FloatArray,
    start: TimeArray,
    end: TimeArray,
    features: Collection[Feature] = ALL_FEATURES,
    *,
    threads: int = 2,
) -> dict[int, WindowFeatures]:
    """Return `window_features` of every tag of a long table that is sorted by (tag, time), as the lake keeps it.

    Args:
        tag: Code of the tag of each reading, sorted.
        time: Times, sorted within each tag.
        value: Readings; NaN = absent.
        start: First instant of each window, included.
        end: End of each window, not included.
        features: Which statistics to compute.
        threads: How many tags are worked on at once; the kernels release the interpreter.
    """
    edges = [0, *(np.flatnonzero(np.diff(tag)) + 1).tolist(), len(tag)] if len(tag) else [0]
    slices = [slice(low, high) for low, high in itertools.pairwise(edges)]
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        made = pool.map(lambda part: window_features(time[part], value[part], start, end, features), slices)
        return {int(tag[part.start]): found for part, found in zip(slices, made, strict=True)}


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
    whole, ends = _whole(time), _whole(end)
    low = np.searchsorted(whole, _whole(start), side="left")
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
    """A trend thinned for the eye: extremes and the worst quality of each bucket that holds a reading; shape (bucket,)."""

    start: TimeArray
    """Start of each bucket, in the unit of the readings' times."""
    minimum: FloatArray
    maximum: FloatArray
    worst: IntArray
    """Greatest quality code; OPC UA codes grow from good over uncertain to bad."""
    count: IntArray


def downsample(time: TimeArray, value: FloatArray, quality: IntArray, buckets: int) -> Buckets:
    """Return min, max and worst quality of equal spans of time, so that no spike and no bad reading is lost from sight.

    Args:
        time: Times of the readings, sorted.
        value: Readings; NaN where the quality withholds them.
        quality: Quality code of each reading.
        buckets: How many spans, at least 1.

    Returns:
        At most `buckets` buckets, empty ones left out.
    """
    if buckets < 1:
        raise ValueError("a trend needs at least one bucket")
    whole = _whole(time)
    if len(whole) == 0:
        return Buckets(time[:0], np.empty(0), np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
    width = max(1, -(-int(whole[-1] - whole[0] + 1) // buckets))
    edges = whole[0] + width * np.arange(buckets, dtype=np.int64)
    first = np.searchsorted(whole, edges, side="left")
    counts = np.diff(np.append(first, len(whole)))
    kept = counts > 0
    at = first[kept]
    with np.errstate(invalid="ignore"):
        minimum, maximum = np.fmin.reduceat(value, at), np.fmax.reduceat(value, at)
    worst = np.maximum.reduceat(quality.astype(np.int64), at)
    return Buckets(edges[kept].astype(np.asarray(time).dtype), minimum, maximum, worst, counts[kept].astype(np.int64))


def rolling_mean_std(time: TimeArray, value: FloatArray, span: int) -> tuple[FloatArray, FloatArray]:
    """Return mean and sample standard deviation over the readings of ``(time - span, time]``, absent ones left out.

    Sums run over values centred on the whole mean: exact to about 1e-8 of the spread of the whole series.

    Args:
        time: Times of the readings, sorted.
        value: Readings; NaN = absent.
        span: Length of the window in the unit of `time` (microseconds for datetime64[us]).
    """
    whole = _whole(time)
    low = np.searchsorted(whole, whole - span, side="right")
    high = np.searchsorted(whole, whole, side="right")
    present = ~np.isnan(value)
    centre = float(np.mean(value[present])) if present.any() else 0.0
    centred = np.where(present, value - centre, 0.0)
    n, total, squares = (
        np.concatenate(([0.0], np.cumsum(part)))[high] - np.concatenate(([0.0], np.cumsum(part)))[low]
        for part in (present.astype(np.float64), centred, centred * centred)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(n > 0, centre + total / n, np.nan)
        variance = np.where(n > 1, (squares - total * total / n) / (n - 1), np.nan)
    return mean, np.sqrt(np.maximum(variance, 0.0))


def _whole(time: TimeArray | NDArray[np.datetime64]) -> IntArray:
    """Return times as int64 (microseconds for datetime64), without a copy where none is needed."""
    array = np.asarray(time)
    if np.issubdtype(array.dtype, np.datetime64):
        return array.astype("datetime64[us]", copy=False).view(np.int64)
    return array.astype(np.int64, copy=False)


def _disjoint_runs(low: IntArray, high: IntArray, filled: IntArray) -> Iterator[IntArray]:
    """Yield runs of windows that do not overlap and stand in order, each covering about `_RUN` readings.

    Overlapping windows are dealt to as few tracks as their depth needs, the earliest free track first.
    """
    order = filled[np.lexsort((high[filled], low[filled]))]
    while len(order):
        starts, ends = low[order], high[order]
        if np.all(starts[1:] >= ends[:-1]):
            track, order = order, order[:0]
        else:
            taken = _greedy_track(starts, ends)
            track, order = order[taken], order[~taken]
        edges = np.searchsorted(low[track], np.arange(low[track[0]], high[track[-1]], _RUN), side="left")
        for first, last in zip(edges, [*edges[1:], len(track)], strict=True):
            if last > first:
                yield track[first:last]


def _greedy_track(starts: IntArray, ends: IntArray) -> NDArray[np.bool_]:
    taken = np.zeros(len(starts), dtype=np.bool_)
    at, free_from = 0, int(starts[0])
    while at < len(starts):
        at = at + int(np.searchsorted(starts[at:], free_from, side="left"))
        if at == len(starts):
            break
        taken[at] = True
        free_from = max(int(ends[at]), int(starts[at]) + 1)
        at += 1
    return taken


def _reduce_run(
    whole: IntArray,
    value: FloatArray,
    low: IntArray,
    high: IntArray,
    windows: IntArray,
    made: dict[Feature, FloatArray],
    per_hour: float,
) -> None:
    """Fill the statistics of windows that are disjoint, in order and not empty."""
    base, stop = int(low[0]), int(high[-1])
    readings = value[base:stop]
    edges = np.stack((low, high), axis=1).ravel() - base
    edges = edges[:-1]  # the last end is the slice's end, which a reduction reaches by itself
    # a window that touches the next one leaves a segment of no length: reduceat would return one reading for it
    segments, own = np.unique(edges, return_index=True)
    is_window = own % 2 == 0
    touching = np.zeros(len(segments), dtype=np.bool_)
    touching[np.searchsorted(segments, low - base)] = True
    is_window |= touching
    lengths = np.diff(np.append(segments, stop - base))

    n = (high - low).astype(np.float64)
    if "min" in made:
        made["min"][windows] = np.minimum.reduceat(readings, segments)[is_window]
    if "max" in made:
        made["max"][windows] = np.maximum.reduceat(readings, segments)[is_window]
    if not made.keys() & {"mean", "std", "slope"}:
        return
    means = np.add.reduceat(readings, segments) / lengths
    if "mean" in made:
        made["mean"][windows] = means[is_window]
    if not made.keys() & {"std", "slope"}:
        return
    centred = readings - np.repeat(means, lengths)
    with np.errstate(invalid="ignore", divide="ignore"):
        if "slope" in made:
            elapsed = (whole[base:stop] - whole[base]) / per_hour
            elapsed -= np.repeat(np.add.reduceat(elapsed, segments) / lengths, lengths)
            cross = np.add.reduceat(elapsed * centred, segments)[is_window]
            spread = np.add.reduceat(elapsed * elapsed, segments)[is_window]
            different = whole[high - 1] > whole[low]
            made["slope"][windows] = np.where(different, cross / spread, np.nan)
        if "std" in made:
            np.square(centred, out=centred)
            squares = np.add.reduceat(centred, segments)[is_window]
            made["std"][windows] = np.where(n > 1, np.sqrt(squares / (n - 1)), np.nan)

"""Statistics of windows over sorted readings: each reading is summed up once, however windows overlap.

Windows are half-open, ``start <= time < end``. NaN means absent and is left out of every statistic.

Source:
    Means and moments of parts are put together after Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for
    computing sample variances, 1979.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from madang.library._kernels import ALL_FEATURES, Feature, FloatArray, IntArray, TimeArray, whole_times

_RUN = 1 << 16
"""Readings that one step touches: half a megabyte of float64, within a core's cache."""


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
    *,
    alone: bool = False,
) -> WindowFeatures:
    """Return statistics of one tag's readings per window; windows may overlap, nest, be empty and stand in any order.

    The borders of all windows cut the readings into segments; each reading is summed up once, in its segment, and a window is put
    together from its segments. So lots that share a furnace cost no more than lots that follow each other.

    Args:
        time: Times of the readings, sorted.
        value: Readings; NaN = absent.
        start: First instant of each window, included.
        end: End of each window, not included; a window that ends before it starts is empty.
        features: Which statistics to compute.
        alone: Whether each window is summed up by itself: its figures are then the same to the last bit whatever other windows are
            asked for (slopes excepted), at the price of reading what overlapping windows share once for each.

    Source:
        Means and moments of parts are put together after Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for
        computing sample variances, 1979.
    """
    whole = whole_times(time)
    low = np.searchsorted(whole, whole_times(start), side="left").astype(np.int64)
    high = np.maximum(low, np.searchsorted(whole, whole_times(end), side="left").astype(np.int64))
    made: dict[Feature, FloatArray] = {f: np.full(len(low), np.nan) for f in features if f != "n"}
    absent = np.isnan(value)
    gaps = bool(absent.any())
    present = np.flatnonzero(~absent) if gaps else None
    if present is None:
        first, beyond = low, high
    else:
        first, beyond = np.searchsorted(present, low), np.searchsorted(present, high)
    n = (beyond - first).astype(np.int64)
    filled = np.flatnonzero(n)
    if "first" in made:
        made["first"][filled] = value[first[filled] if present is None else present[first[filled]]]
    if "last" in made:
        made["last"][filled] = value[beyond[filled] - 1 if present is None else present[beyond[filled] - 1]]
    if len(filled) and made.keys() - {"first", "last"}:
        per_hour = 3_600_000_000.0 if np.issubdtype(np.asarray(time).dtype, np.datetime64) else 1.0
        for windows in _tracks(low, high, filled) if alone else (filled,):
            begin, stop = low[windows], high[windows]
            origin = int(whole[begin.min()])

            def summed(edges: IntArray, origin: int = origin) -> WindowSums:
                return sum_segments(whole, value, edges, made.keys(), origin, per_hour)

            sums = window_sums(begin, stop, made.keys(), summed)
            for feature, found in sums.features(made.keys()).items():
                made[feature][windows] = found
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


@dataclass(frozen=True)
class WindowSums:
    """What statistics of windows are put together from; sums of parts of a window can be added up. Every array has shape (window,)."""

    n: FloatArray
    mean: FloatArray
    squares: FloatArray
    """Sum of squared deviations from the mean."""
    minimum: FloatArray
    """Infinite where there is no reading, as `maximum` is minus infinite."""
    maximum: FloatArray
    elapsed: FloatArray
    """Mean time since the origin [h for instants]."""
    spread: FloatArray
    """Sum of squared deviations of time."""
    cross: FloatArray
    """Sum of products of both deviations."""

    @classmethod
    def empty(cls, count: int) -> WindowSums:
        """Return the sums of windows without a reading."""
        zeros = [np.zeros(count) for _ in range(6)]
        return cls(zeros[0], zeros[1], zeros[2], np.full(count, np.inf), np.full(count, -np.inf), *zeros[3:])

    def added(self, index: IntArray, at: IntArray, wanted: Set[str]) -> WindowSums:
        """Return the sums of the parts ``index[at[k]:at[k + 1]]`` for each k; no such run is empty.

        Source:
            Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979.
        """
        made = WindowSums.empty(len(at))
        counts = np.diff(np.append(at, len(index)))
        n_of, mean_of = self.n[index], self.mean[index]
        made.n[:] = np.add.reduceat(n_of, at)
        if "min" in wanted:
            made.minimum[:] = np.minimum.reduceat(self.minimum[index], at)
        if "max" in wanted:
            made.maximum[:] = np.maximum.reduceat(self.maximum[index], at)
        divisor = np.maximum(made.n, 1.0)
        made.mean[:] = np.add.reduceat(n_of * mean_of, at) / divisor
        apart = mean_of - np.repeat(made.mean, counts)
        if "std" in wanted:
            made.squares[:] = np.add.reduceat(self.squares[index] + n_of * apart * apart, at)
        if "slope" in wanted:
            elapsed_of = self.elapsed[index]
            made.elapsed[:] = np.add.reduceat(n_of * elapsed_of, at) / divisor
            away = elapsed_of - np.repeat(made.elapsed, counts)
            made.spread[:] = np.add.reduceat(self.spread[index] + n_of * away * away, at)
            made.cross[:] = np.add.reduceat(self.cross[index] + n_of * away * apart, at)
        return made

    def features(self, wanted: Set[str]) -> dict[Feature, FloatArray]:
        """Return those of min, max, mean, std and slope that are wanted; NaN where a window has too few readings."""
        n = self.n
        made: dict[Feature, FloatArray] = {}
        with np.errstate(invalid="ignore", divide="ignore"):
            if "min" in wanted:
                made["min"] = np.where(n > 0, self.minimum, np.nan)
            if "max" in wanted:
                made["max"] = np.where(n > 0, self.maximum, np.nan)
            if "mean" in wanted:
                made["mean"] = np.where(n > 0, self.mean, np.nan)
            if "std" in wanted:
                made["std"] = np.where(n > 1, np.sqrt(self.squares / (n - 1.0)), np.nan)
            if "slope" in wanted:
                # readings of one instant leave nothing but the rounding of their mean
                rounding = n * np.square(1e-12 * np.maximum(np.abs(self.elapsed), 1e-6))
                made["slope"] = np.where(self.spread > rounding, self.cross / self.spread, np.nan)
        return made


def window_sums(low: IntArray, high: IntArray, wanted: Set[str], segment_sums: Callable[[IntArray], WindowSums]) -> WindowSums:
    """Return the sums of the rows ``low <= row < high`` of each window (none empty), each row summed up once.

    Args:
        low: First row of each window.
        high: Row after the last of each window.
        wanted: Names of features.
        segment_sums: Gives the sums of the rows between neighbouring edges, such as `sum_segments`.
    """
    edges = np.unique(np.concatenate((low, high)))
    segments = segment_sums(edges)
    first, last = np.searchsorted(edges, low), np.searchsorted(edges, high)
    if (last - first == 1).all():
        return WindowSums(*(getattr(segments, f.name)[first] for f in fields(WindowSums)))
    made = WindowSums.empty(len(low))
    covered = np.cumsum(last - first)
    runs = np.searchsorted(covered, np.arange(0, int(covered[-1]), 4 * _RUN), side="left")
    for begin, stop in zip(runs, [*runs[1:], len(low)], strict=True):
        if begin == stop:
            continue
        counts = (last - first)[begin:stop]
        at = np.concatenate(([0], np.cumsum(counts)[:-1]))
        index = np.repeat(first[begin:stop] - at, counts) + np.arange(int(counts.sum()))
        part = segments.added(index, at, wanted)
        for item in fields(WindowSums):
            getattr(made, item.name)[begin:stop] = getattr(part, item.name)
    return made


def sum_segments(
    whole: IntArray, value: FloatArray, edges: IntArray, wanted: Set[str], origin: int, per_hour: float
) -> WindowSums:
    """Sum up the readings between neighbouring `edges`, in runs that fit a core's cache.

    Args:
        whole: Times of the rows; only looked at for slopes.
        value: Values of the rows; NaN = absent.
        edges: Rows, rising.
        wanted: Names of features.
        origin: Time from which elapsed time is counted, in the unit of `whole`.
        per_hour: How many of that unit make an hour.
    """
    count = len(edges) - 1
    made = WindowSums.empty(count)
    runs = np.searchsorted(edges[:-1], np.arange(edges[0], edges[-1], _RUN), side="left")
    for first, last in zip(runs, [*runs[1:], count], strict=True):
        if first == last:
            continue
        base, stop = int(edges[first]), int(edges[last])
        readings, at = value[base:stop], edges[first:last] - base
        lengths = np.diff(edges[first : last + 1])
        run = slice(first, last)
        with np.errstate(invalid="ignore"):
            lowest = np.minimum.reduceat(readings, at)
        absent = np.isnan(readings) if np.isnan(lowest).any() else None
        made.n[run] = lengths if absent is None else np.add.reduceat((~absent).astype(np.float64), at)
        if "min" in wanted:
            lowest = lowest if absent is None else np.fmin.reduceat(readings, at)
            made.minimum[run] = np.where(made.n[run] > 0, lowest, np.inf)
        if "max" in wanted:
            highest = np.maximum.reduceat(readings, at) if absent is None else np.fmax.reduceat(readings, at)
            made.maximum[run] = np.where(made.n[run] > 0, highest, -np.inf)
        if not wanted & {"mean", "std", "slope"}:
            continue
        divisor = np.maximum(made.n[run], 1.0)
        made.mean[run] = np.add.reduceat(readings if absent is None else np.where(absent, 0.0, readings), at) / divisor
        if not wanted & {"std", "slope"}:
            continue
        with np.errstate(invalid="ignore"):
            centred = readings - np.repeat(made.mean[run], lengths)
        if absent is not None:
            centred[absent] = 0.0
        if "slope" in wanted:
            elapsed = (whole[base:stop] - origin) / per_hour
            made.elapsed[run] = np.add.reduceat(elapsed if absent is None else np.where(absent, 0.0, elapsed), at) / divisor
            elapsed -= np.repeat(made.elapsed[run], lengths)
            if absent is not None:
                elapsed[absent] = 0.0
            made.cross[run] = np.add.reduceat(elapsed * centred, at)
            made.spread[run] = np.add.reduceat(np.square(elapsed, out=elapsed), at)
        if "std" in wanted:
            made.squares[run] = np.add.reduceat(np.square(centred, out=centred), at)
    return made


def _tracks(low: IntArray, high: IntArray, windows: IntArray) -> Iterator[IntArray]:
    """Deal windows to tracks on which none overlaps another: each then is one segment."""
    waiting = windows[np.lexsort((high[windows], low[windows]))]
    while len(waiting):
        starts = low[waiting]
        taken = np.zeros(len(waiting), dtype=np.bool_)
        at = 0
        while at < len(waiting):
            taken[at] = True
            at = max(at + 1, int(np.searchsorted(starts, high[waiting[at]], side="left")))
        yield waiting[taken]
        waiting = waiting[~taken]

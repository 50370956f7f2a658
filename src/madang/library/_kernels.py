"""Small kernels over sorted slices: as-of, per-window features, ranges, buckets and rolling statistics.

They stand here because the hot reads of a plant (last value, trend, features per lot) are runs over arrays that the lake keeps
sorted by point and time; a general engine hashes or sorts them again. Each kernel is checked against DuckDB on random data.

Times are sorted int64 or datetime64 arrays; windows are half-open, ``start <= time < end``. NaN means absent and is left out of
every statistic.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

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
    whole = _whole(time)
    low = np.searchsorted(whole, _whole(start), side="left").astype(np.int64)
    high = np.maximum(low, np.searchsorted(whole, _whole(end), side="left").astype(np.int64))
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
            sums = window_sums(whole, value, begin, stop, made.keys(), int(whole[begin.min()]), per_hour)
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
    whole = _whole(time)
    begin, end = span if span is not None else ((int(whole[0]), int(whole[-1]) + 1) if len(whole) else (0, 1))
    width = max(1, -(-(end - begin) // buckets))
    edges = begin + width * np.arange(buckets + 1, dtype=np.int64)
    return bucketed(time, value, quality, edges, width)


def bucketed(time: TimeArray, value: FloatArray, quality: IntArray, edges: IntArray, width: int) -> Buckets:
    """Return what `downsample` returns for buckets between neighbouring `edges`, ascending; readings outside are left out."""
    whole = _whole(time)
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


def window_sums(
    whole: IntArray, value: FloatArray, low: IntArray, high: IntArray, wanted: Set[str], origin: int, per_hour: float
) -> WindowSums:
    """Return the sums of the rows ``low <= row < high`` of each window (none empty), each row summed up once.

    Args:
        whole: Times of the rows; only looked at for slopes.
        value: Values of the rows; NaN = absent.
        low: First row of each window.
        high: Row after the last of each window.
        wanted: Names of features.
        origin: Time from which elapsed time is counted, in the unit of `whole`.
        per_hour: How many of that unit make an hour.
    """
    edges = np.unique(np.concatenate((low, high)))
    segments = _sum_segments(whole, value, edges, wanted, origin, per_hour)
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


def _sum_segments(
    whole: IntArray, value: FloatArray, edges: IntArray, wanted: Set[str], origin: int, per_hour: float
) -> WindowSums:
    """Sum up the readings between neighbouring `edges`, in runs that fit a core's cache."""
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

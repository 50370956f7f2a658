"""A point's trend of a span, thinned for the eye: no spike, no bad reading and no gap is lost from sight.

Each file gives its own part, so that memory stays flat however long the span; the parts are then put together. A large file whose
sketch is fine enough for the buckets is not read, but for the two ends of the span.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from madang.library._kernels import Buckets, breaks, bucketed
from madang.library._signals._index import Run, Snapshot
from madang.library._signals._sketch import WORTH, Sketch, read_sketch
from madang.library._signals._slices import THREADS, WITHOUT_THREADS, ToUnit, as_stored, read_run

IntArray = NDArray[np.int64]


def trend_of(snapshot: Snapshot, point: int, start: int, end: int, buckets: int, to_unit: ToUnit = as_stored) -> Buckets:
    """Return the trend of one point over ``start <= time < end``.

    Where sketches are used, buckets begin at whole multiples of their length, which may then be longer than asked for; the least,
    the greatest, the count and the worst quality of each are exact all the same.

    Args:
        snapshot: The version of the table.
        point: Number of the point.
        start: First instant [us since 1970].
        end: Instant after the last [us since 1970].
        buckets: How many at most, at least 1.
        to_unit: Converts from the source's unit.
    """
    if buckets < 1:
        raise ValueError("a trend needs at least one bucket")
    width = max(1, -(-(end - start) // buckets))
    runs = snapshot.runs(point, start, end)
    sketches = [_sketch(run, width) for run in runs]
    coarsest = max((s.width(r) or 0 for r, s in zip(runs, sketches, strict=True) if s is not None), default=0)
    if coarsest:
        width = -(-width // coarsest) * coarsest
        begin = start // width * width
    else:
        begin = start

    def part(asked: tuple[Run, Sketch | None]) -> list[Buckets]:
        return _parts(*asked, start, end, begin, width, to_unit)

    asked = list(zip(runs, sketches, strict=True))
    if len(runs) < 2 or sum(r.end - r.row for r, s in asked if s is None) < WITHOUT_THREADS:
        found = [p for one in asked for p in part(one)]
    else:
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            found = [p for parts in pool.map(part, asked) for p in parts]
    return _together([p for p in found if len(p.count)], start, begin, width)


def _sketch(run: Run, width: int) -> Sketch | None:
    if run.end - run.row < WORTH:
        return None
    found = read_sketch(run.file)
    own = None if found is None else found.width(run)
    return found if own is not None and own <= width else None


def _parts(run: Run, sketch: Sketch | None, start: int, end: int, begin: int, width: int, to_unit: ToUnit) -> list[Buckets]:
    """Return what one run gives, in order of time: from its sketch where that lies within the span, else from its samples."""
    own = None if sketch is None else sketch.width(run)
    if sketch is None or own is None:
        return _read(run, start, end, begin, width, to_unit)
    inner, outer = -(-start // own) * own, end // own * own
    if inner >= outer:
        return _read(run, start, end, begin, width, to_unit)
    found = [sketch.parts(run, inner, outer, to_unit)]
    if run.first < inner and start < inner:
        found = [*_read(run, start, inner, begin, width, to_unit), *found]
    if run.last >= outer and outer < end:
        found += _read(run, outer, end, begin, width, to_unit)
    return found


def _read(run: Run, start: int, end: int, begin: int, width: int, to_unit: ToUnit) -> list[Buckets]:
    """Return what a run's samples give: those with a value, and those without, each with the times of its own ends."""
    samples = read_run(run, start, end, to_unit)
    if len(samples) == 0:
        return []
    first, last = int(samples.time[0] - begin) // width, int(samples.time[-1] - begin) // width
    edges = begin + width * np.arange(first, last + 2, dtype=np.int64)
    value = samples.usable()
    absent = np.isnan(value)
    shares = (~absent, absent) if absent.any() else (slice(None),)
    return [bucketed(samples.time[s], value[s], samples.quality[s], edges, width) for s in shares]


def _together(parts: Sequence[Buckets], start: int, begin: int, width: int) -> Buckets:
    """Return the parts, which stand in order of arrival, as one trend."""
    if not parts:
        none = np.empty(0, np.int64)
        return bucketed(none, np.empty(0), none, np.array([begin, begin + width]), width)
    joined = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Buckets) if f.name != "width"}
    bucket = (joined["start"].astype(np.int64) - begin) // width
    order = np.argsort(bucket, kind="stable")
    at = np.flatnonzero(np.append(True, np.diff(bucket[order]) != 0))
    minimum, maximum = np.fmin.reduceat(joined["minimum"][order], at), np.fmax.reduceat(joined["maximum"][order], at)
    first_time = np.minimum.reduceat(joined["first_time"][order], at)
    last_time = np.maximum.reduceat(joined["last_time"][order], at)
    count = np.add.reduceat(joined["count"][order], at)
    return Buckets(
        start=np.maximum(begin + width * bucket[order][at], start),
        minimum=minimum,
        maximum=maximum,
        worst=np.maximum.reduceat(joined["worst"][order], at),
        count=count,
        first=_end(joined["first"], joined["first_time"], bucket, latest=False),
        last=_end(joined["last"], joined["last_time"], bucket, latest=True),
        first_time=first_time,
        last_time=last_time,
        broken=breaks(first_time, last_time, count),
        width=width,
    )


def _end(value: NDArray[np.float64], time: IntArray, bucket: IntArray, *, latest: bool) -> NDArray[np.float64]:
    """Return the value of each bucket's earliest or latest part that has one; of equal times as they arrived."""
    absent = np.isnan(value)
    order = np.lexsort((time, ~absent if latest else absent, bucket))
    fresh = np.diff(bucket[order]) != 0
    chosen = np.append(fresh, True) if latest else np.append(True, fresh)
    found: NDArray[np.float64] = value[order][chosen]
    return found

"""A point's trend of a span, thinned for the eye: no spike, no bad reading and no gap is lost from sight."""

from __future__ import annotations

from madang.library._kernels import Buckets, downsample
from madang.library._signals._index import Snapshot
from madang.library._signals._slices import ToUnit, as_stored, read_samples


def trend_of(snapshot: Snapshot, point: int, start: int, end: int, buckets: int, to_unit: ToUnit = as_stored) -> Buckets:
    """Return the trend of one point over ``start <= time < end``.

    Args:
        snapshot: The version of the table.
        point: Number of the point.
        start: First instant [us since 1970].
        end: Instant after the last [us since 1970].
        buckets: How many at most, at least 1.
        to_unit: Converts from the source's unit.
    """
    samples = read_samples(snapshot, point, start, end, to_unit)
    return downsample(samples.time, samples.usable(), samples.quality, buckets, span=(start, end))

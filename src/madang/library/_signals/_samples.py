"""Samples in the order of their arrival, held in arrays that are used again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from madang.library._signals._scales import FloatArray, Int32Array, IntArray

BoolArray = NDArray[np.bool_]
_FIRST: Final = 65_536
_COUNTED: Final = 4096
"""Width of the range of points up to which Arrow sorts by counting."""


@dataclass(frozen=True)
class Samples:
    """Samples of one dataset in the order of their arrival, all of shape (sample,)."""

    point: Int32Array
    time: IntArray
    """[us since 1970]"""
    number: FloatArray
    """NaN also where there is no number."""
    quality: NDArray[np.uint32]
    absent: BoolArray | None = None
    """Where there is neither number nor text; None = nowhere."""
    text: pa.Array | None = None
    """Null where there is no text; None = nowhere any."""

    def __len__(self) -> int:
        return len(self.point)


class Arena:
    """Room for samples that is not given back between commits: fresh memory costs more than what is done with it."""

    def __init__(self) -> None:
        self._count = 0
        self._point = np.empty(_FIRST, dtype=np.int32)
        self._time = np.empty(_FIRST, dtype=np.int64)
        self._number = np.empty(_FIRST, dtype=np.float64)
        self._quality = np.empty(_FIRST, dtype=np.uint32)
        self._absent: list[BoolArray | int] = []
        self._text: list[pa.Array | int] = []

    def _room(self, count: int) -> None:
        self._point = _wider(self._point, self._count, count)
        self._time = _wider(self._time, self._count, count)
        self._number = _wider(self._number, self._count, count)
        self._quality = _wider(self._quality, self._count, count)

    def __len__(self) -> int:
        return self._count

    def add(self, samples: Samples) -> None:
        """Append samples."""
        n = len(samples)
        begin, end = self._count, self._count + n
        if end > len(self._point):
            self._room(max(end, 4 * len(self._point)))
        self._point[begin:end] = samples.point
        self._time[begin:end] = samples.time
        self._number[begin:end] = samples.number
        self._quality[begin:end] = samples.quality
        self._absent.append(n if samples.absent is None else samples.absent)
        self._text.append(n if samples.text is None else samples.text)
        self._count = end

    def samples(self) -> Samples:
        """Return what is held, valid until `clear`."""
        n = self._count
        absent = text = None
        if any(not isinstance(a, int) for a in self._absent):
            absent = np.concatenate([np.zeros(a, dtype=np.bool_) if isinstance(a, int) else a for a in self._absent])
        if any(not isinstance(t, int) for t in self._text):
            text = pa.concat_arrays([pa.nulls(t, pa.string()) if isinstance(t, int) else t for t in self._text])
        return Samples(self._point[:n], self._time[:n], self._number[:n], self._quality[:n], absent, text)

    def clear(self) -> None:
        """Forget what is held; the room stays."""
        self._count = 0
        self._absent, self._text = [], []


def _wider(array: Any, used: int, count: int) -> Any:  # noqa: ANN401 (the same kind of array)
    """Copy what is used to a larger array; the rest is not touched, so it takes no memory yet."""
    wide = np.empty(count, dtype=array.dtype)
    wide[:used] = array[:used]
    return wide


def together(many: Sequence[Samples]) -> Samples:
    """Return several runs of samples as one, in their order."""
    arena = Arena()
    for samples in many:
        arena.add(samples)
    return arena.samples()


def chosen(samples: Samples, which: BoolArray) -> Samples:
    """Return some of the samples, in their order."""
    return Samples(
        samples.point[which],
        samples.time[which],
        samples.number[which],
        samples.quality[which],
        None if samples.absent is None else samples.absent[which],
        None if samples.text is None else samples.text.filter(pa.array(which)),
    )


def samples_of(batch: pa.RecordBatch, point_of: Int32Array) -> Samples:
    """Return a block's samples under the numbers of their points.

    Args:
        batch: Columns of `madang.connect.BLOCK_SCHEMA`.
        point_of: Point of each tag number.
    """
    number = batch.column("number")
    text = batch.column("text")
    texts = text if text.null_count < len(text) else None
    absent = None
    if number.null_count:
        none = number.is_null()
        if texts is not None:
            none = pc.and_(none, texts.is_null())
        absent = none.to_numpy(zero_copy_only=False)
    return Samples(
        point=point_of.take(batch.column("tag").to_numpy()),
        time=batch.column("time").view(pa.int64()).to_numpy(),
        number=number.to_numpy(zero_copy_only=False),
        quality=batch.column("quality").to_numpy(),
        absent=absent if absent is not None and absent.any() else None,
        text=texts,
    )


@dataclass(frozen=True)
class Sorted:
    """Samples by point, time and arrival."""

    samples: Samples
    order: IntArray
    """Places in `samples`, shape (sample,)."""
    time: IntArray
    """Times in that order [us since 1970]."""
    points: Int32Array
    """The points, rising, shape (point,)."""
    starts: IntArray
    """First place of each point in `order`, shape (point,)."""

    def __len__(self) -> int:
        return len(self.order)

    @property
    def lengths(self) -> IntArray:
        """Samples of each point."""
        return np.diff(np.append(self.starts, len(self.order)))

    def some(self, which: BoolArray) -> Sorted:
        """Return some of the samples, in the same order; `which` is by place in `order`."""
        lengths = np.add.reduceat(which.astype(np.int64), self.starts)
        there = lengths > 0
        starts = np.append(0, np.cumsum(lengths[there])[:-1])
        return Sorted(self.samples, self.order[which], self.time[which], self.points[there], starts)


def gathered(array: Any, places: IntArray) -> Any:  # noqa: ANN401 (the same kind of array)
    """Return ``array[places]``, in two thirds of the time and not to be written to; `places` must all be there."""
    return pc.take(pa.array(array), pa.array(places), boundscheck=False).to_numpy()


def _by_point(point: Int32Array, low: int, high: int) -> IntArray:
    """Places in the order of the points, then of arrival: a counting sort for few points, a radix sort for more."""
    if high - low < _COUNTED:
        order: IntArray = pc.sort_indices(pa.array(point)).to_numpy().view(np.int64)
        return order
    key = np.subtract(point, low, dtype=np.int32).astype(np.uint16) if high - low < 65536 else point
    return np.argsort(key, kind="stable")


def sort(samples: Samples) -> Sorted:
    """Sort samples, at least one, by point, time and arrival.

    Samples of one point mostly come in the order of their times, so a stable sort by point alone is tried first: it costs a pass or two.
    """
    point = samples.point
    low, high = int(point.min()), int(point.max())
    order = _by_point(point, low, high)
    if high - low < 65536:
        counted = np.bincount(point - low)
        points = (np.flatnonzero(counted) + low).astype(np.int32)
        lengths = counted[counted > 0]
    else:
        points, lengths = np.unique(point, return_counts=True)
    starts = np.zeros(len(lengths), dtype=np.int64)
    np.cumsum(lengths[:-1], out=starts[1:])
    time = gathered(samples.time, order)
    falls = np.flatnonzero(time[1:] < time[:-1]) + 1
    runs = np.searchsorted(starts, falls, side="right") - 1
    mixed = np.unique(runs[starts[runs] != falls]).tolist()
    if mixed:
        order, time = order.copy(), time.copy()
    for run in mixed:
        part = slice(int(starts[run]), int(starts[run] + lengths[run]))
        by_time = np.argsort(time[part], kind="stable")
        order[part], time[part] = order[part][by_time], time[part][by_time]
    return Sorted(samples, order, time, points, starts)

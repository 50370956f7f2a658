"""Samples in the order of their arrival become sorted columns of counts, numbers and texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from madang.library._signals._book import Book
from madang.library._signals._layout import Column
from madang.library._signals._scales import LARGEST, FloatArray, Int32Array, IntArray, Scale

BoolArray = NDArray[np.bool_]


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


def together(many: Sequence[Samples]) -> Samples:
    """Return several runs of samples as one, in their order."""
    if len(many) == 1:
        return many[0]
    absent = None
    if any(s.absent is not None for s in many):
        absent = np.concatenate([s.absent if s.absent is not None else np.zeros(len(s), dtype=np.bool_) for s in many])
    text = None
    if any(s.text is not None for s in many):
        text = pa.concat_arrays([s.text if s.text is not None else pa.nulls(len(s), pa.string()) for s in many])
    return Samples(
        point=np.concatenate([s.point for s in many]),
        time=np.concatenate([s.time for s in many]),
        number=np.concatenate([s.number for s in many]),
        quality=np.concatenate([s.quality for s in many]),
        absent=absent,
        text=text,
    )


def sorted_order(point: Int32Array, time: IntArray) -> tuple[IntArray, IntArray]:
    """Return the order by point, time and arrival, and the first place of each point in it.

    Samples of one point mostly come in the order of their times, so a stable sort by point alone is tried first: it is a radix sort.
    """
    n = len(point)
    if n == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    low, high = int(point.min()), int(point.max())
    rising = bool((point[1:] >= point[:-1]).all())
    if rising:
        order = np.arange(n, dtype=np.int64)
        sorted_point = point
    else:
        key = (point - low).astype(np.uint16) if high - low < 65536 else point
        order = np.argsort(key, kind="stable")
        sorted_point = point[order]
    starts = np.flatnonzero(np.concatenate(([True], sorted_point[1:] != sorted_point[:-1])))
    sorted_time = time if rising else time[order]
    falls = sorted_time[1:] < sorted_time[:-1]
    falls[starts[1:] - 1] = False
    if falls.any():
        ends = np.append(starts[1:], n)
        for run in np.unique(np.searchsorted(starts, np.flatnonzero(falls), side="right") - 1):
            part = slice(int(starts[run]), int(ends[run]))
            order[part] = order[part][np.argsort(sorted_time[part], kind="stable")]
    return order, starts


def encode(samples: Samples, order: IntArray, book: Book) -> list[Column]:
    """Return the sorted columns of some samples: counts where they hold a number exactly, else numbers; texts; no value as counts.

    Args:
        samples: The samples.
        order: Which of them, sorted by point, time and arrival; whole points.
        book: Scales of the points; points without one get their first.
    """
    columns = []
    if samples.text is not None:
        chosen = samples.text.take(pa.array(order))
        there = chosen.is_valid().to_numpy(zero_copy_only=False)
        if there.any():
            columns.append(_texts(samples, order[there], chosen.drop_null(), book))
            order = order[~there]
    if len(order):
        columns += _numbers(samples, order, book)
    return columns


def _texts(samples: Samples, order: IntArray, text: pa.Array, book: Book) -> Column:
    point, time = samples.point[order], samples.time[order]
    starts = _starts(point)
    version = np.zeros(len(starts), dtype=np.int32)
    return Column("texts", point, time, text, samples.quality[order], starts, version, (Scale(),))


def _starts(point: Int32Array, version: Int32Array | None = None) -> IntArray:
    fresh = np.ones(len(point), dtype=np.bool_)
    fresh[1:] = point[1:] != point[:-1]
    if version is not None:
        fresh[1:] |= version[1:] != version[:-1]
    return np.flatnonzero(fresh)


def _numbers(samples: Samples, order: IntArray, book: Book) -> list[Column]:
    point, time, number = samples.point[order], samples.time[order], samples.number[order]
    quality = samples.quality[order]
    absent = None if samples.absent is None else samples.absent[order]
    if absent is not None and not absent.any():
        absent = None
    starts, version = _runs(point, time, number, book)
    lengths = np.diff(np.append(starts, len(point)))
    found, exact = _counts(number, lengths, version, book)
    if absent is not None:
        exact |= absent
    _look_again(point, time, number, absent, exact, starts, lengths, version, book)
    if exact.all():
        value = pa.array(found, pa.int32(), mask=absent)
        return [_column("counts", point, time, value, quality, starts, version, book)]
    columns = []
    each = np.repeat(version, lengths)
    if exact.any():
        mask = None if absent is None else absent[exact]
        chosen, which = point[exact], each[exact]
        runs = _starts(chosen, which)
        value = pa.array(found[exact], pa.int32(), mask=mask)
        columns.append(_column("counts", chosen, time[exact], value, quality[exact], runs, which[runs], book))
    rest = ~exact
    chosen, which = point[rest], each[rest]
    runs = _starts(chosen, which)
    value = pa.array(number[rest], pa.float64())
    columns.append(_column("numbers", chosen, time[rest], value, quality[rest], runs, which[runs], book))
    return columns


def _column(
    kind: str,
    point: Int32Array,
    time: IntArray,
    value: pa.Array,
    quality: NDArray[np.uint32],
    starts: IntArray,
    version: Int32Array,
    book: Book,
) -> Column:
    """A column with only the scales that it uses; -1 (no scale yet) is the plain one."""
    used, index = np.unique(version, return_inverse=True)
    scales = tuple(book.scales[i] if i >= 0 else Scale() for i in used.tolist())
    return Column(kind, point, time, value, quality, starts, index.astype(np.int32), scales)  # type: ignore[arg-type]


def _runs(point: Int32Array, time: IntArray, number: FloatArray, book: Book) -> tuple[IntArray, Int32Array]:
    """Return the first sample of each run and its scale; a point without one gets its first from its finite numbers."""
    starts = _starts(point)
    heads = point[starts]
    version = book.newest[heads].copy()
    ends = np.append(starts[1:], len(point))
    for run in np.flatnonzero(version < 0).tolist():
        own = number[starts[run] : ends[run]]
        own = own[np.isfinite(own)]
        if len(own):
            version[run] = book.first_scale(int(heads[run]), own)
    early = np.flatnonzero(time[starts] < book.since[heads])
    if len(early) == 0:
        return starts, version
    begins, which = [starts], [version]
    drop = np.zeros(len(starts), dtype=np.bool_)
    for run in early.tolist():
        drop[run] = True
        own = time[starts[run] : ends[run]]
        cuts = {0, *np.searchsorted(own, book.thresholds(int(heads[run]))).tolist()}
        places = sorted(c for c in cuts if c < len(own))
        begins.append(np.array(places, dtype=np.int64) + starts[run])
        which.append(np.array([book.version_at(int(heads[run]), int(own[c])) for c in places], dtype=np.int32))
    begins[0], which[0] = starts[~drop], version[~drop]
    found, scales = np.concatenate(begins), np.concatenate(which)
    by_place = np.argsort(found, kind="stable")
    return found[by_place], scales[by_place].astype(np.int32)


def _counts(number: FloatArray, lengths: IntArray, version: Int32Array, book: Book) -> tuple[Int32Array, BoolArray]:
    """Counts of all samples at once, each by the scale of its run, and where they give the number back bit by bit."""
    scales = book.scales
    table = np.array([(s.scale, s.divisor, s.offset, s.rounding == 32) for s in scales] + [(1.0, 1.0, 0.0, 0.0)])
    mine = table[version]
    used = np.unique(version)
    chosen = table[used]
    spread = [
        None if (chosen[:, i] == plain).all() else np.repeat(mine[:, i], lengths) for i, plain in enumerate((1.0, 1.0, 0.0))
    ]
    scale, divisor, offset = spread
    with np.errstate(invalid="ignore", over="ignore"):
        raw = number.copy() if offset is None else number - offset
        if divisor is not None:
            raw *= divisor
        if scale is not None:
            raw /= scale
        np.rint(raw, out=raw)
        inside = np.abs(raw) <= LARGEST
        if not inside.all():
            raw[~inside] = 0.0
        found = raw.astype(np.int32)
        raw += 0.0
        back = raw if scale is None else np.multiply(raw, scale, out=raw)
        if divisor is not None:
            back /= divisor
        if offset is not None:
            back += offset
        if chosen[:, 3].any():
            single = np.repeat(mine[:, 3] > 0, lengths)
            back[single] = back[single].astype(np.float32)
    return found, inside & (back.view(np.int64) == number.view(np.int64))


def _look_again(
    point: Int32Array,
    time: IntArray,
    number: FloatArray,
    absent: BoolArray | None,
    exact: BoolArray,
    starts: IntArray,
    lengths: IntArray,
    version: Int32Array,
    book: Book,
) -> None:
    book.seen(point[starts], time[starts + lengths - 1])
    misfits = np.add.reduceat((~exact).astype(np.int64), starts)
    young = np.fromiter((book.is_young(p) for p in point[starts].tolist()), dtype=np.bool_, count=len(starts))
    for run in np.flatnonzero((misfits > 0) | young).tolist():
        part = slice(int(starts[run]), int(starts[run] + lengths[run]))
        own = number[part] if absent is None else number[part][~absent[part]]
        own = own[np.isfinite(own)]
        if len(own) and version[run] >= 0:
            book.look_again(int(point[starts[run]]), own, int(misfits[run]))


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
        point=point_of[batch.column("tag").to_numpy()],
        time=batch.column("time").cast(pa.int64()).to_numpy(),
        number=number.to_numpy(zero_copy_only=False),
        quality=batch.column("quality").to_numpy(),
        absent=absent if absent is not None and absent.any() else None,
        text=texts,
    )

"""The forms in which signals leave the library: side by side on one clock, one record per sample, or as they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from madang.library._signals._index import Snapshot
from madang.library._signals._points import Point
from madang.library._signals._slices import Samples, as_stored, read_samples
from madang.library._signals._table import unit_of

SAMPLES_AT_ONCE = 2_000_000
"""Samples of a point that are held in memory at once."""
_CLASSES = pa.array(["good", "uncertain", "bad"])


def stored_schema(texts: bool) -> pa.Schema:
    """Return the columns of `stored`."""
    fields = [
        pa.field("point", pa.string()),
        pa.field("time", pa.timestamp("us", tz="UTC")),
        pa.field("value", pa.float64()),
        pa.field("quality", pa.int64()),
    ]
    return pa.schema([*fields[:3], pa.field("text", pa.string()), fields[3]] if texts else fields)


def stored(
    snapshot: Snapshot, points: Sequence[Point], start: int | None, end: int | None, *, as_written: bool
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return every sample, point by point in order of time, with its OPC UA code.

    Args:
        snapshot: The version.
        points: Which points.
        start: First instant [us since 1970].
        end: Instant after the last [us since 1970].
        as_written: Values in the source's unit, not in that of the card.
    """
    schema = stored_schema(has_texts(snapshot, points))

    def batches() -> Iterator[pa.RecordBatch]:
        for point, samples in _streamed(snapshot, points, start, end, as_written=as_written):
            names = _repeated(point.name, len(samples))
            times = pa.array(samples.time, pa.timestamp("us", tz="UTC"))
            columns = [names, times, pa.array(samples.value, from_pandas=True), pa.array(samples.quality)]
            if "text" in schema.names:
                columns.insert(3, pa.nulls(len(samples), pa.string()) if samples.text is None else samples.text)
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return schema, batches()


def long(
    snapshot: Snapshot, points: Sequence[Point], start: int | None, end: int | None, *, as_written: bool
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return one record per sample: time, name, value, and quality in a word; values are texts where any point has texts.

    A value of bad quality is left empty, as in the long form of records.
    """
    texts = has_texts(snapshot, points)
    kind = pa.string() if texts else pa.float64()
    schema = pa.schema(
        [("time", pa.timestamp("us", tz="UTC")), ("name", pa.string()), ("value", kind), ("quality", pa.string())]
    )

    def batches() -> Iterator[pa.RecordBatch]:
        for point, samples in _streamed(snapshot, points, start, end, as_written=as_written):
            value = pa.array(samples.usable(), from_pandas=True)
            absent = np.isnan(samples.value) & (samples.quality < 0x4000_0000)
            if texts:
                value = value.cast(pa.string())
                if samples.text is not None:
                    good = pa.array(samples.quality < 0x8000_0000)
                    said = pc.if_else(good, samples.text, pa.scalar(None, pa.string()))
                    value = pc.coalesce(said, value)
                    absent &= samples.text.is_null().to_numpy(zero_copy_only=False)
            grade = np.minimum(samples.quality >> 30, 2)
            grade[absent] = 2
            columns = [
                pa.array(samples.time, pa.timestamp("us", tz="UTC")),
                _repeated(point.name, len(samples)),
                value,
                _CLASSES.take(pa.array(grade)),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return schema, batches()


def has_texts(snapshot: Snapshot, points: Sequence[Point]) -> bool:
    """Whether any of the points has a text."""
    wanted = np.array([p.id for p in points], dtype=np.int64)
    return any(f.kind == "texts" and bool(np.isin(f.points, wanted).any()) for f in snapshot.files)


def _streamed(
    snapshot: Snapshot, points: Sequence[Point], start: int | None, end: int | None, *, as_written: bool
) -> Iterator[tuple[Point, Samples]]:
    for point in points:
        runs = snapshot.runs(point.id, start, end)
        if not runs:
            continue
        low = max(min(r.first for r in runs), start if start is not None else -(2**62))
        high = min(max(r.last for r in runs) + 1, end if end is not None else 2**62)
        pieces = max(1, -(-sum(r.end - r.row for r in runs) // SAMPLES_AT_ONCE))
        width = max(1, -(-(high - low) // pieces))
        for begin in range(low, high, width):
            to_unit = as_stored if as_written else unit_of(point)
            samples = read_samples(snapshot, point.id, begin, min(begin + width, high), to_unit)
            if len(samples):
                yield point, samples


def _repeated(text: str, count: int) -> pa.Array:
    return pa.array([text]).take(pa.array(np.zeros(count, dtype=np.int64)))

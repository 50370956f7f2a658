"""A point's samples of a span of time, as sorted arrays: only the row groups and columns that are needed are decoded."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from madang.library._signals._index import Run, Snapshot
from madang.library._signals._scales import physical

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

THREADS = 2
"""Decoding threads of one read."""
WITHOUT_THREADS = 300_000
"""Rows below which a read is done in the caller's thread."""


@dataclass(frozen=True)
class Samples:
    """Samples of one point in order of their own time; several of one time in the order in which they came."""

    time: IntArray
    """Source times [us since 1970, UTC], shape (sample,)."""
    value: FloatArray
    """Physical values in the unit of the point; NaN where the sample has a text or no value."""
    quality: IntArray
    """OPC UA status codes."""
    text: pa.Array | None = None
    """Texts of a point that has any; null where the sample has a number or no value."""
    unit: str | None = None
    """Unit of the values."""

    def __len__(self) -> int:
        return len(self.time)

    @property
    def instants(self) -> NDArray[np.datetime64]:
        """The times as datetime64[us]."""
        return self.time.view("datetime64[us]")

    def usable(self) -> FloatArray:
        """Return the values with NaN where the quality is bad: what statistics and charts may use."""
        bad = self.quality >= 0x8000_0000
        return np.where(bad, np.nan, self.value) if bad.any() else self.value

    def head(self, limit: int | None) -> Samples:
        """Return the earliest `limit` samples; all of them when None."""
        if limit is None or limit >= len(self):
            return self
        text = None if self.text is None else self.text.slice(0, limit)
        return Samples(self.time[:limit], self.value[:limit], self.quality[:limit], text, self.unit)

    def tail(self, count: int) -> Samples:
        """Return the latest `count` samples."""
        at = max(0, len(self) - count)
        text = None if self.text is None else self.text.slice(at)
        return Samples(self.time[at:], self.value[at:], self.quality[at:], text, self.unit)

    def table(self) -> pa.Table:
        """Return time, value, quality, and text where there is any, as an Arrow table."""
        columns = {
            "time": pa.array(self.time, pa.timestamp("us", tz="UTC")),
            "value": pa.array(self.value, from_pandas=True),
            "quality": pa.array(self.quality),
        }
        return pa.table(columns if self.text is None else {**columns, "text": self.text})


NO_SAMPLES = Samples(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))


ToUnit = Callable[[str | None], tuple[float, float] | None]
"""Gives (a, b) of ``a * value + b`` from the unit that a source spells to the unit of a card; None: as it is."""


def as_stored(_unit: str | None) -> None:
    """Leave values in the source's unit."""


def read_samples(
    snapshot: Snapshot, point: int, start: int | None = None, end: int | None = None, to_unit: ToUnit = as_stored
) -> Samples:
    """Return a point's samples of ``start <= time < end`` in one version of a table.

    Args:
        snapshot: The version.
        point: Number of the point.
        start: First instant [us since 1970]; from the first sample on when None.
        end: Instant after the last [us since 1970]; to the last sample when None.
        to_unit: Converts each run from the unit that was the source's then.
    """
    runs = snapshot.runs(point, start, end)
    if sum(r.end - r.row for r in runs) < WITHOUT_THREADS or len(runs) == 1:
        pieces = [read_run(run, start, end, to_unit) for run in runs]
    else:
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            pieces = list(pool.map(lambda run: read_run(run, start, end, to_unit), runs))
    return merged([p for p in pieces if len(p)])


def read_run(run: Run, start: int | None = None, end: int | None = None, to_unit: ToUnit = as_stored) -> Samples:
    """Return the samples of one run in ``start <= time < end``."""
    file = run.file
    groups = _groups(run, start, end)
    if len(groups) == 0:
        return NO_SAMPLES
    good = all(file.all_good(g) for g in groups)
    names = ["time", file.column] if good else ["time", file.column, "quality"]
    table = _reader(run).read_row_groups(groups, columns=names, use_threads=len(groups) > 1)
    base = int(file.group_rows[groups[0]])
    low, high = max(run.row - base, 0), min(run.end - base, table.num_rows)
    time = times(table.column("time").slice(low, high - low))
    first = 0 if start is None else int(np.searchsorted(time, start, side="left"))
    last = len(time) if end is None else int(np.searchsorted(time, end, side="left"))
    last = max(first, last)
    cells = table.column(file.column).slice(low + first, last - first)
    quality = np.zeros(last - first, np.int64) if good else numbers(table.column("quality").slice(low + first, last - first))
    if file.kind == "texts":
        text = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
        return Samples(time[first:last], np.full(last - first, np.nan), quality, text, run.scale.unit)
    value = physical_values(cells, run)
    by = to_unit(run.scale.unit)
    if by is not None and by != (1.0, 0.0):
        value = value * by[0] + by[1]
    return Samples(time[first:last], value, quality, None, run.scale.unit)


def _groups(run: Run, start: int | None, end: int | None) -> list[int]:
    """Row groups of a run that may hold samples of the span."""
    borders = run.file.group_rows
    first = int(np.searchsorted(borders, run.row, side="right")) - 1
    beyond = int(np.searchsorted(borders, run.end, side="left"))
    groups = list(range(first, beyond))
    if len(groups) < 3 or (start is None and end is None):
        return groups
    kept = []
    for group in groups:
        whole = run.row <= borders[group] and borders[group + 1] <= run.end
        low, high = run.file.group_times(group) if whole else (run.first, run.last)
        if (end is None or low < end) and (start is None or high >= start):
            kept.append(group)
    # An outer row group is shared with another point, so that its times say nothing: it is needed only beside a kept one,
    # or where the span reaches over that end of the run.
    if kept and kept[0] == first and len(kept) > 1 and start is not None and run.file.group_times(first + 1)[0] < start:
        kept = kept[1:]
    if len(kept) > 1 and kept[-1] == beyond - 1 and end is not None and run.file.group_times(beyond - 2)[1] >= end:
        kept = kept[:-1]
    return list(range(kept[0], kept[-1] + 1)) if kept else []


def _reader(run: Run) -> pq.ParquetFile:
    return pq.ParquetFile(run.file.path, metadata=run.file.metadata, memory_map=True)


def times(column: pa.ChunkedArray) -> IntArray:
    """Return stored times as microseconds since 1970."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    whole: IntArray = array.view(pa.int64()).to_numpy(zero_copy_only=False)
    return np.multiply(whole, 1000) if column.type.unit == "ms" else whole


def numbers(column: pa.ChunkedArray) -> IntArray:
    """Return a column of integers without nulls as int64."""
    whole: IntArray = column.to_numpy().astype(np.int64, copy=False)
    return whole


def physical_values(column: pa.ChunkedArray, run: Run) -> FloatArray:
    """Return stored counts or numbers as physical values in the source's unit; NaN where there is none."""
    array: Any = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    absent = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    stored = (array.fill_null(0) if absent is not None else array).to_numpy()
    value: FloatArray = physical(stored, run.scale) if run.file.kind == "counts" else stored
    if absent is not None:
        value = value.copy() if not value.flags.writeable else value
        value[absent] = np.nan
    return value


def merged(pieces: Sequence[Samples]) -> Samples:
    """Return pieces, which stand in order of arrival, as one in order of time."""
    if len(pieces) < 2:
        return pieces[0] if pieces else NO_SAMPLES
    by_time = sorted(pieces, key=lambda p: int(p.time[0]))
    apart = all(a.time[-1] < b.time[0] for a, b in itertools.pairwise(by_time))
    pieces = by_time if apart else pieces
    time = np.concatenate([p.time for p in pieces])
    value = np.concatenate([p.value for p in pieces])
    quality = np.concatenate([p.quality for p in pieces])
    text = None
    if any(p.text is not None for p in pieces):
        text = pa.concat_arrays([pa.nulls(len(p), pa.string()) if p.text is None else p.text.cast(pa.string()) for p in pieces])
    unit = max(pieces, key=lambda p: int(p.time[-1])).unit
    if apart:
        return Samples(time, value, quality, text, unit)
    order = np.argsort(time, kind="stable")
    return Samples(time[order], value[order], quality[order], None if text is None else text.take(pa.array(order)), unit)

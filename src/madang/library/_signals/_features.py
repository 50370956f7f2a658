"""Statistics per point and window (lot, shift, phase), file by file: a pure function of one file, and the adding up of its parts.

`window_parts` needs nothing but the file and a task of plain numbers, so it runs in threads here and, unchanged, in the workers of a
cluster (``mapInArrow``); a window that reaches over several files has a part in each.

Source:
    Parts of means and moments are put together after Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing
    sample variances, 1979.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from madang.library._kernels import Feature
from madang.library._signals._index import SignalFile, Snapshot
from madang.library._signals._scales import physical
from madang.library._signals._slices import THREADS, ToUnit, numbers
from madang.library._windows import WindowSums, sum_segments, window_sums

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

GROUPS_AT_ONCE: Final = 4
"""Row groups that are decoded together: half a million rows."""
_PER_HOUR: Final = 3_600_000_000.0
_SUMS: Final = tuple(f.name for f in fields(WindowSums))
PARTS_SCHEMA: Final = pa.schema(
    [
        ("point", pa.int64()),
        ("window", pa.int64()),
        ("arrived", pa.int64()),
        *((name, pa.float64()) for name in _SUMS),
        ("first", pa.float64()),
        ("first_time", pa.int64()),
        ("last", pa.float64()),
        ("last_time", pa.int64()),
    ]
)
"""What one file holds of each point and window; `arrived` is the rank of the file by the arrival of its samples."""


@dataclass(frozen=True)
class FileTask:
    """What is asked of one file: plain values alone, so that it can be sent anywhere as JSON."""

    path: str
    points: tuple[int, ...]
    """Numbers of the points, rising."""
    start: tuple[int, ...]
    """First instant of each window [us since 1970]."""
    end: tuple[int, ...]
    """Instant after the last of each window [us since 1970]."""
    features: tuple[Feature, ...]
    units: tuple[tuple[int, str | None, float, float], ...] = ()
    """(point, unit as written, a, b): values become ``a * value + b``."""
    arrived: int = 0

    def text(self) -> str:
        """Return the task as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> FileTask:
        """Return the task of a JSON text."""
        raw = json.loads(text)
        return cls(
            path=raw["path"],
            points=tuple(raw["points"]),
            start=tuple(raw["start"]),
            end=tuple(raw["end"]),
            features=tuple(raw["features"]),
            units=tuple((p, u, a, b) for p, u, a, b in raw["units"]),
            arrived=raw["arrived"],
        )


def window_parts(task: FileTask, file: SignalFile | None = None) -> Iterator[pa.RecordBatch]:
    """Yield what one file holds of each point and window, as batches of `PARTS_SCHEMA`; values of bad quality are left out.

    Args:
        task: What is asked.
        file: The file, where it is open already.
    """
    file = file or SignalFile.open(Path(task.path))
    if file.kind == "texts":
        return
    start, end = np.array(task.start, dtype=np.int64), np.array(task.end, dtype=np.int64)
    if len(start) == 0:
        return
    begin, beyond = int(start.min()), int(end.max())
    wanted = np.isin(file.points, np.array(task.points, dtype=np.int64)) & (file.first < beyond) & (file.last >= begin)
    runs = np.flatnonzero(wanted)
    reader = pq.ParquetFile(file.path, metadata=file.metadata, memory_map=True)
    most = int(np.diff(file.group_rows).max(initial=0)) * GROUPS_AT_ONCE
    room = np.empty(min(most, int(file.group_rows[-1])))
    for groups in _chunks(file, runs):
        yield from _chunk_parts(file, reader, groups, runs, start, end, task, room)


def _chunks(file: SignalFile, runs: IntArray) -> Iterator[list[int]]:
    """Yield the row groups in which the runs stand, a few neighbours at a time."""
    if len(runs) == 0:
        return
    first = np.searchsorted(file.group_rows, file.rows[runs], side="right") - 1
    beyond = np.searchsorted(file.group_rows, file.rows[runs + 1], side="left")
    needed = np.zeros(len(file.group_rows), dtype=np.int64)
    np.add.at(needed, first, 1)
    np.add.at(needed, beyond, -1)
    groups = np.flatnonzero(np.cumsum(needed) > 0)
    at = 0
    while at < len(groups):
        stop = at + 1
        while stop < len(groups) and stop - at < GROUPS_AT_ONCE and groups[stop] == groups[stop - 1] + 1:
            stop += 1
        yield groups[at:stop].tolist()
        at = stop


def _chunk_parts(
    file: SignalFile,
    reader: pq.ParquetFile,
    groups: list[int],
    runs: IntArray,
    start: IntArray,
    end: IntArray,
    task: FileTask,
    room: FloatArray,
) -> Iterator[pa.RecordBatch]:
    base, stop = int(file.group_rows[groups[0]]), int(file.group_rows[groups[-1] + 1])
    good = all(file.all_good(g) for g in groups)
    columns = ["time", file.column] if good else ["time", file.column, "quality"]
    table = reader.read_row_groups(groups, columns=columns, use_threads=False)
    ticks, length = _ticks(table.column("time"))
    inside = runs[(file.rows[runs] < stop) & (file.rows[runs + 1] > base)]
    held = _held(file, inside, base, stop, ticks, -(-start // length), -(-end // length))
    if len(held.low) == 0:
        return
    cells = table.column(file.column).combine_chunks()
    scales = _Scales.of(file, held.run, task)
    wanted = set(task.features)
    if file.kind == "counts" and good and not cells.null_count and scales.plain and "slope" not in wanted:
        sums, first, last = _of_counts(cells.to_numpy(), held, scales, wanted, room)
        rows = held.low, held.high - 1
    else:
        absent = cells.is_null().to_numpy(zero_copy_only=False)
        if not good:
            absent |= numbers(table.column("quality")) >= 0x8000_0000
        value = _values(file, cells.fill_null(0).to_numpy(), held, absent, task)
        origin = int(start.min()) // 3_600_000_000 * 3_600_000_000 // length
        sums = window_sums(
            held.low,
            held.high,
            wanted,
            lambda edges: sum_segments(ticks, value, edges, wanted, origin, _PER_HOUR / length),
        )
        held, sums, rows = _present(held, sums, value)
        first, last = value[rows[0]], value[rows[1]]
    arrays = {
        "point": file.points[held.run].astype(np.int64),
        "window": held.window,
        "arrived": np.full(len(held.low), task.arrived, dtype=np.int64),
        **{name: getattr(sums, name) for name in _SUMS},
        "first": first,
        "first_time": ticks[rows[0]] * length,
        "last": last,
        "last_time": ticks[rows[1]] * length,
    }
    yield pa.RecordBatch.from_arrays([pa.array(arrays[n]) for n in PARTS_SCHEMA.names], schema=PARTS_SCHEMA)


@dataclass(frozen=True)
class _Held:
    """Which rows of a chunk each window of each run holds; none is empty. Every array has shape (run and window,)."""

    low: IntArray
    high: IntArray
    window: IntArray
    run: IntArray
    """Index into the file's runs."""
    rows: Sequence[tuple[int, slice]]
    """Every run of the chunk with its rows there."""


def _held(file: SignalFile, runs: IntArray, base: int, stop: int, ticks: IntArray, start: IntArray, end: IntArray) -> _Held:
    none = np.empty(0, dtype=np.int64)
    low, high, window, run = [none], [none], [none], [none]
    rows = []
    for at in runs.tolist():
        mine = slice(max(int(file.rows[at]), base) - base, min(int(file.rows[at + 1]), stop) - base)
        begun = np.searchsorted(ticks[mine], start, side="left") + mine.start
        ended = np.searchsorted(ticks[mine], end, side="left") + mine.start
        filled = np.flatnonzero(ended > begun)
        if len(filled):
            rows.append((at, mine))
            low.append(begun[filled])
            high.append(ended[filled])
            window.append(filled)
            run.append(np.full(len(filled), at, dtype=np.int64))
    return _Held(np.concatenate(low), np.concatenate(high), np.concatenate(window), np.concatenate(run), rows)


@dataclass(frozen=True)
class _Scales:
    """How the counts of each row of `_Held` become values: ``(count * scale / divisor + offset) * a + b``."""

    scale: FloatArray
    divisor: FloatArray
    offset: FloatArray
    a: FloatArray
    b: FloatArray
    plain: bool
    """Whether that is a rising straight line for all, so that sums of counts can be turned into sums of values."""

    @classmethod
    def of(cls, file: SignalFile, run: IntArray, task: FileTask) -> _Scales:
        units = {(p, u): (a, b) for p, u, a, b in task.units}
        mine, back = np.unique(run, return_inverse=True)
        scales = [file.versions[int(file.version[r])] for r in mine.tolist()]
        by = [units.get((int(file.points[r]), s.unit), (1.0, 0.0)) for r, s in zip(mine.tolist(), scales, strict=True)]
        columns = [[s.scale for s in scales], [s.divisor for s in scales], [s.offset for s in scales]]
        columns += [[a for a, _ in by], [b for _, b in by]]
        plain = all(s.rounding == 64 and s.scale > 0 and s.divisor > 0 for s in scales) and all(a > 0 for a, _ in by)
        spread = [np.array(c, dtype=np.float64)[back] for c in columns]
        return cls(spread[0], spread[1], spread[2], spread[3], spread[4], plain)

    def values(self, counts: FloatArray) -> FloatArray:
        """Return the values of counts, one per row, bit by bit as `physical` gives them."""
        found: FloatArray = (counts * self.scale / self.divisor + self.offset) * self.a + self.b
        return found


def _of_counts(
    stored: NDArray[np.int32], held: _Held, scales: _Scales, wanted: Set[str], room: FloatArray
) -> tuple[WindowSums, FloatArray, FloatArray]:
    """Return sums, first and last values of windows, summed up as whole counts from the first count of each run.

    Such sums are exact in float64, so the squared deviations lose nothing unless the values stand far from the run's first one
    compared with their spread; those segments are summed up again around their own mean.
    """
    from_first = np.zeros(int(held.run.max()) + 1)
    for at, rows in held.rows:
        first = stored[rows.start]
        np.subtract(stored[rows], first, out=room[rows], dtype=np.float64)
        from_first[at] = first

    def summed(edges: IntArray) -> WindowSums:
        made = WindowSums.empty(len(edges) - 1)
        inside, at = slice(int(edges[0]), int(edges[-1])), edges[:-1] - edges[0]
        counts, shifted = stored[inside], room[inside]
        made.n[:] = np.diff(edges)
        made.minimum[:] = np.minimum.reduceat(counts, at)
        made.maximum[:] = np.maximum.reduceat(counts, at)
        if not wanted & {"mean", "std"}:
            return made
        total = np.add.reduceat(shifted, at)
        made.mean[:] = total / made.n
        if "std" in wanted:
            squares = np.add.reduceat(np.square(shifted, out=shifted), at)
            made.squares[:] = squares - total * made.mean
            unsure = (made.squares * 1e-10 < squares * 2.0**-52) | ~np.isfinite(made.squares)
            for k in np.flatnonzero(unsure & (made.minimum < made.maximum)).tolist():
                part = counts[edges[k] - edges[0] : edges[k + 1] - edges[0]].astype(np.float64)
                made.squares[k] = float(np.sum(np.square(part - part.mean())))
            made.squares[made.minimum == made.maximum] = 0.0
        return made

    sums = window_sums(held.low, held.high, wanted, summed)
    slope = scales.scale / scales.divisor * scales.a
    sums = WindowSums(
        n=sums.n,
        mean=scales.values(from_first[held.run]) + sums.mean * slope,
        squares=sums.squares * slope * slope,
        minimum=scales.values(sums.minimum),
        maximum=scales.values(sums.maximum),
        elapsed=sums.elapsed,
        spread=sums.spread,
        cross=sums.cross,
    )
    return sums, scales.values(stored[held.low].astype(np.float64)), scales.values(stored[held.high - 1].astype(np.float64))


def _values(
    file: SignalFile, stored: NDArray[np.generic], held: _Held, absent: NDArray[np.bool_], task: FileTask
) -> FloatArray:
    """Return the values of a chunk in the units of their points; NaN where there is none or its quality is bad."""
    units = {(p, u): (a, b) for p, u, a, b in task.units}
    value = np.zeros(len(stored))
    for at, rows in held.rows:
        scale = file.versions[int(file.version[at])]
        value[rows] = physical(stored[rows], scale) if file.kind == "counts" else stored[rows]  # type: ignore[arg-type]
        a, b = units.get((int(file.points[at]), scale.unit), (1.0, 0.0))
        if (a, b) != (1.0, 0.0):
            value[rows] = value[rows] * a + b
    value[absent] = np.nan
    return value


def _present(held: _Held, sums: WindowSums, value: FloatArray) -> tuple[_Held, WindowSums, tuple[IntArray, IntArray]]:
    """Leave out windows without a value, and return the first and last row with one of the others."""
    if not np.isnan(value[held.low]).any() and not np.isnan(value[held.high - 1]).any():
        return held, sums, (held.low, held.high - 1)
    kept = np.flatnonzero(sums.n > 0)
    present = np.flatnonzero(~np.isnan(value))
    held = _Held(held.low[kept], held.high[kept], held.window[kept], held.run[kept], held.rows)
    first = present[np.searchsorted(present, held.low, side="left")]
    last = present[np.searchsorted(present, held.high, side="left") - 1]
    return held, WindowSums(*(getattr(sums, name)[kept] for name in _SUMS)), (first, last)


def _ticks(column: pa.ChunkedArray) -> tuple[IntArray, int]:
    """Return stored times as they are, and the length of their unit [us]."""
    whole: IntArray = column.combine_chunks().view(pa.int64()).to_numpy()
    return whole, 1000 if column.type.unit == "ms" else 1


def put_together(
    parts: pa.Table, points: Sequence[int], windows: int, features: Sequence[Feature]
) -> dict[Feature, FloatArray]:
    """Return each feature of shape (point, window) from the parts of all files; NaN where a window holds no value.

    Args:
        parts: Batches of `window_parts` in any order.
        points: Numbers of the points, in the order wanted.
        windows: How many windows there are.
        features: Which features.
    """
    place = {p: k for k, p in enumerate(points)}
    made = {f: np.full((len(points), windows), 0.0 if f == "n" else np.nan) for f in features}
    if len(parts) == 0:
        return made
    column = {name: parts.column(name).to_numpy() for name in PARTS_SCHEMA.names}
    row = np.array([place[int(p)] for p in np.unique(column["point"])])[np.unique(column["point"], return_inverse=True)[1]]
    cell = row * windows + column["window"]
    order = np.lexsort((column["arrived"], cell))
    at = np.flatnonzero(np.append(True, np.diff(cell[order]) != 0))
    sums = WindowSums(*(column[name] for name in _SUMS)).added(order, at, set(features))
    cells = cell[order][at]
    found: dict[Feature, FloatArray] = {"n": sums.n, **sums.features(set(features))}
    for feature, by_time in (("first", "first_time"), ("last", "last_time")):
        if feature in features:
            # of equal times the first that arrived is first and the last that arrived is last
            ranked = np.lexsort((column["arrived"], column[by_time], cell))
            ends = np.flatnonzero(np.append(np.diff(cell[ranked]) != 0, True)) if feature == "last" else at
            found["first" if feature == "first" else "last"] = column[feature][ranked][ends]
    for feature in features:
        made[feature].reshape(-1)[cells] = found[feature]
    return made


def tasks(
    snapshot: Snapshot,
    points: Mapping[int, ToUnit],
    start: IntArray,
    end: IntArray,
    features: Sequence[Feature],
) -> list[tuple[FileTask, SignalFile]]:
    """Return the tasks of the files that may hold samples of the points and windows.

    Args:
        snapshot: The version.
        points: Numbers of the points, each with what converts to its unit.
        start: First instant of each window [us since 1970].
        end: Instant after the last [us since 1970].
        features: Which features.
    """
    if len(start) == 0:
        return []
    begin, beyond = int(start.min()), int(end.max())
    wanted = np.array(sorted(points), dtype=np.int64)
    found = []
    for rank, file in enumerate(snapshot.files):
        if file.kind == "texts" or file.begin >= beyond or file.end < begin:
            continue
        held = np.flatnonzero(np.isin(file.points, wanted))
        if len(held) == 0:
            continue
        pairs = {(int(file.points[r]), file.versions[int(file.version[r])].unit) for r in held.tolist()}
        units = tuple((p, u, *by) for p, u in sorted(pairs, key=str) if (by := points[p](u)) is not None and by != (1.0, 0.0))
        mine = tuple(sorted({p for p, _ in pairs}))
        task = FileTask(str(file.path), mine, tuple(start.tolist()), tuple(end.tolist()), tuple(features), units, rank)
        found.append((task, file))
    return found


def features_of(
    snapshot: Snapshot,
    points: Mapping[int, ToUnit],
    start: IntArray,
    end: IntArray,
    features: Sequence[Feature],
    threads: int = THREADS,
) -> dict[Feature, FloatArray]:
    """Return each feature of shape (point, window), the points in the order of `points`; files are worked on by threads."""
    asked = tasks(snapshot, points, start, end, features)

    def run(one: tuple[FileTask, SignalFile]) -> list[pa.RecordBatch]:
        return list(window_parts(*one))

    pieces = [piece for task in asked for piece in _split(task, threads)]
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        batches: Iterable[pa.RecordBatch] = [b for found in pool.map(run, pieces) for b in found]
    return put_together(pa.Table.from_batches(list(batches), schema=PARTS_SCHEMA), list(points), len(start), features)


def _split(task: tuple[FileTask, SignalFile], threads: int) -> list[tuple[FileTask, SignalFile]]:
    """Share the points of a large file between threads."""
    asked, file = task
    if threads < 2 or len(asked.points) < 2 * threads or int(file.rows[-1]) < 1_000_000:
        return [task]
    cut = -(-len(asked.points) // (2 * threads))
    pieces = [asked.points[k : k + cut] for k in range(0, len(asked.points), cut)]
    return [(FileTask(**{**asked.__dict__, "points": piece}), file) for piece in pieces]

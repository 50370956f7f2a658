"""Statistics per point and window (lot, shift, phase), file by file: a pure function of one file, and the adding up of its parts.

`window_parts` needs nothing but the file and a task of plain numbers, so it runs in threads here and, unchanged, in the workers of a
cluster (``mapInArrow``); a window that reaches over several files has a part in each.

Source:
    Parts of means and moments are put together after Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing
    sample variances, 1979.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from madang.library._kernels import Feature, WindowSums, window_sums
from madang.library._signals._index import SignalFile, Snapshot
from madang.library._signals._scales import physical
from madang.library._signals._slices import THREADS, ToUnit, numbers, times

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
    units = {(p, u): (a, b) for p, u, a, b in task.units}
    runs = np.flatnonzero(wanted)
    reader = pq.ParquetFile(file.path, metadata=file.metadata, memory_map=True)
    for groups in _chunks(file, runs):
        yield from _chunk_parts(file, reader, groups, runs, start, end, task, units)


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
    units: Mapping[tuple[int, str | None], tuple[float, float]],
) -> Iterator[pa.RecordBatch]:
    base, stop = int(file.group_rows[groups[0]]), int(file.group_rows[groups[-1] + 1])
    good = all(file.all_good(g) for g in groups)
    columns = ["time", file.column] if good else ["time", file.column, "quality"]
    table = reader.read_row_groups(groups, columns=columns, use_threads=False)
    time = times(table.column("time"))
    cells = table.column(file.column).combine_chunks()
    absent = cells.is_null().to_numpy(zero_copy_only=False) if cells.null_count else None
    if not good:
        bad = numbers(table.column("quality")) >= 0x8000_0000
        absent = bad if absent is None else absent | bad
    stored = (cells.fill_null(0) if cells.null_count else cells).to_numpy()
    value = np.empty(len(stored))
    inside = runs[(file.rows[runs] < stop) & (file.rows[runs + 1] > base)]
    low, high, point, window = [], [], [], []
    for at in inside.tolist():
        run = file.run(at)
        rows = slice(max(run.row, base) - base, min(run.end, stop) - base)
        part = stored[rows]
        value[rows] = physical(part, run.scale) if file.kind == "counts" else part
        by = units.get((int(file.points[at]), run.scale.unit))
        if by is not None:
            value[rows] = value[rows] * by[0] + by[1]
        begun = np.searchsorted(time[rows], start, side="left") + rows.start
        ended = np.searchsorted(time[rows], end, side="left") + rows.start
        held = np.flatnonzero(ended > begun)
        low.append(begun[held])
        high.append(ended[held])
        window.append(held)
        point.append(np.full(len(held), file.points[at]))
    if absent is not None:
        value[absent] = np.nan
    lows, highs = np.concatenate(low or [np.empty(0, np.int64)]), np.concatenate(high or [np.empty(0, np.int64)])
    if len(lows) == 0:
        return
    sums = window_sums(time, value, lows, highs, set(task.features), int(start.min()), _PER_HOUR)
    first, last = lows, highs - 1
    kept = np.ones(len(lows), dtype=np.bool_)
    if np.isnan(value[first]).any() or np.isnan(value[last]).any():
        present = np.flatnonzero(~np.isnan(value))
        kept = sums.n > 0
        first, last = first.copy(), last.copy()
        first[kept] = present[np.searchsorted(present, lows[kept], side="left")]
        last[kept] = present[np.searchsorted(present, highs[kept], side="left") - 1]
    arrays = {
        "point": np.concatenate(point),
        "window": np.concatenate(window),
        "arrived": np.full(len(lows), task.arrived, dtype=np.int64),
        **{name: getattr(sums, name) for name in _SUMS},
        "first": value[first],
        "first_time": time[first],
        "last": value[last],
        "last_time": time[last],
    }
    yield pa.RecordBatch.from_arrays([pa.array(arrays[n][kept]) for n in PARTS_SCHEMA.names], schema=PARTS_SCHEMA)


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

"""The newest sample of every point as the lake has it: for a table of last values that is made anew, and where there is none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow.parquet as pq

from madang.library._signals._index import Run, SignalFile, Snapshot
from madang.library._signals._last import UNKNOWN, LastRow
from madang.library._signals._slices import numbers, physical_values


def last_rows(snapshot: Snapshot, points: Sequence[int] | None = None) -> list[LastRow]:
    """Return the newest sample of points, those that have one; when each was received is not known any more.

    Values are in the source's unit, as in the table of last values. Each row group is read once, whatever number of points end in it.

    Args:
        snapshot: The version.
        points: Numbers of the points; all when None.
    """
    newest: dict[int, Run] = {}
    wanted = None if points is None else np.array(points, dtype=np.int64)
    for file in snapshot.files:
        mine = np.arange(len(file.points)) if wanted is None else np.flatnonzero(np.isin(file.points, wanted))
        for at in mine.tolist():
            point = int(file.points[at])
            if point not in newest or int(file.last[at]) >= newest[point].last:
                newest[point] = file.run(at)
    by_group: dict[tuple[str, int], list[tuple[int, Run]]] = defaultdict(list)
    for point, run in newest.items():
        group = int(np.searchsorted(run.file.group_rows, run.end - 1, side="right")) - 1
        by_group[str(run.file.path), group].append((point, run))
    return [row for (_, group), ends in by_group.items() for row in _ends(ends[0][1].file, group, ends)]


def _ends(file: SignalFile, group: int, ends: Sequence[tuple[int, Run]]) -> Iterator[LastRow]:
    opened = pq.ParquetFile(file.path, metadata=file.metadata, memory_map=True)
    table = opened.read_row_group(group, columns=[file.column, "quality"], use_threads=False)
    quality = numbers(table.column("quality"))
    cells = table.column(file.column)
    for point, run in ends:
        at = run.end - 1 - int(file.group_rows[group])
        cell = cells.slice(at, 1)
        text = cell[0].as_py() if file.kind == "texts" else None
        number = None if file.kind == "texts" else float(physical_values(cell, run)[0])
        absent = number is None or (np.isnan(number) and file.kind == "counts")
        value = None if absent else number
        yield LastRow(point, run.last, UNKNOWN, value, text, int(quality[at]), unit=run.scale.unit, from_lake=True)

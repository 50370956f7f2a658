"""A stretch of signals as one file of records, the same bytes for the same version and question."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from madang.errors import InputError, Json
from madang.library._export import write_batches
from madang.library._instants import iso
from madang.library._signals._resample import SAMPLES, How, grid_schema, resampled
from madang.library._signals._table import SignalTable
from madang.library._signals._times import instant
from madang.library._where import Where
from madang.plant import unit_of

if TYPE_CHECKING:
    from madang.library._signals._points import Point
    from madang.library._signals._reads import SignalReads


def write_snapshot(
    reads: SignalReads,
    table: SignalTable,
    out: Path,
    name: str,
    *,
    every: timedelta | None,
    start: datetime | None,
    end: datetime | None,
    points: Sequence[str] | None,
    how: How,
    reader: str,
) -> dict[str, Json]:
    """Write the file that `Library.snapshot` brings in; return what is said about it.

    Raises:
        InputError: The name is that of signals, or there is nothing in the period.
        RefusedError: The decision point said no.
    """
    if any(d.name == name for d in reads.datasets()):
        raise InputError(
            "dataset_of_another_kind",
            ko=f"‘{name}’은(는) 신호 데이터셋이라 기록을 넣을 수 없어요.",
            en=f"“{name}” is a signals dataset; records cannot stand there.",
            next_ko="--as 로 다른 이름을 주세요.",
            next_en="Give another name with --as.",
            where={"dataset": name},
        )
    chosen, decision = reads.decided(table, points, reader, "snapshot")
    snapshot = table.snapshot()
    grid = reads.grid(table, snapshot, chosen, Where(time=(start, end)), every)
    if grid.count == 0 or not chosen:
        raise InputError(
            "nothing_to_snapshot",
            ko=f"‘{table.dataset.name}’의 이 기간에는 값이 없어요.",
            en=f"“{table.dataset.name}” has no samples in this period.",
            next_ko="--from 과 --to 를 넓히세요.",
            next_en="Widen --from and --to.",
            where={"dataset": table.dataset.name},
        )
    whole = grid_schema(chosen)
    said: dict[str, Json] = {
        "from_version": f"{table.dataset.name}@{snapshot.version}",
        "every_seconds": grid.every / 1e6,
        "how": how,
        "time_first": iso(instant(grid.first)),
        "time_last": iso(instant(grid.first + grid.every * grid.count)),
    }
    names = [f.name for f in whole if f.name != SAMPLES]
    titles = _titles(chosen)
    schema = pa.schema(
        [whole.field(n).with_name(titles.get(n, n)) for n in names], metadata={b"madang.snapshot": json.dumps(said).encode()}
    )
    batches = (
        pa.RecordBatch.from_arrays([b.column(n) for n in names], schema=schema) for b in resampled(snapshot, chosen, grid, how)
    )
    rows = write_batches(schema, batches, out)
    return said | {"rows": rows, "columns": [*schema.names], "log_index": decision.log_index}


def _titles(points: Sequence[Point]) -> dict[str, str]:
    """Return the column name of each point that its source gives a name for people: a verdict should not speak of node ids.

    The unit stands in brackets, as the head of an export would have it. A name that two points share keeps the tag beside it.
    """
    shared = Counter(p.label.ko or p.label.en for p in points if p.label is not None)
    titles: dict[str, str] = {}
    for point in points:
        label = "" if point.label is None else point.label.ko or point.label.en
        if not label:
            continue
        unit = "" if point.unit is None else unit_of(point.unit).display
        title = label if shared[label] == 1 else f"{label} ({point.tag})"
        titles[point.name] = f"{title} [{unit}]" if unit else title
    return titles

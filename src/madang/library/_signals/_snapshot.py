"""A stretch of signals as one file of records, the same bytes for the same version and question."""

from __future__ import annotations

import json
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

if TYPE_CHECKING:
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
    schema = pa.schema([f for f in whole if f.name != SAMPLES], metadata={b"madang.snapshot": json.dumps(said).encode()})
    names = schema.names
    batches = (
        pa.RecordBatch.from_arrays([b.column(n) for n in names], schema=schema) for b in resampled(snapshot, chosen, grid, how)
    )
    rows = write_batches(schema, batches, out)
    return said | {"rows": rows, "columns": [*names], "log_index": decision.log_index}

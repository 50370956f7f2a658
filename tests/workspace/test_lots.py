"""A trend shows which lot was made when, from the one dataset that says it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from tests.library.live.plant import BEGIN, T0, Clock, MemorySpool, opened

from madang.connect import Rows
from madang.errors import InputError
from madang.library import Library
from madang.workspace._lots import Lots

HOUR = timedelta(hours=1)
WALL = pa.field("시각", pa.timestamp("us"), metadata={b"zone": b"Asia/Seoul"})


def _fill(library: Library, clock: Clock, connection: str, lots: list[tuple[str, float, float | None]]) -> None:
    """Bring a table of lots into the lake; hours are counted from BEGIN."""

    def wall(hours: float | None) -> datetime | None:
        return None if hours is None else (BEGIN + 9 * HOUR).replace(tzinfo=None) + hours * HOUR

    schema = pa.schema(
        [
            pa.field("번호", pa.int64()),
            pa.field("로트번호", pa.string()),
            WALL.with_name("투입일시"),
            WALL.with_name("배출일시"),
        ]
    )
    columns = [[*range(len(lots))], [lot[0] for lot in lots], [wall(lot[1]) for lot in lots], [wall(lot[2]) for lot in lots]]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    spool = MemorySpool(connection)
    intake = library.live(threads=1)
    intake.attach(connection, spool, None)
    spool.append(Rows("생산로트", ("번호",), pa.record_batch(arrays, schema=schema), T0))
    intake.step(clock.go(), force=True)
    intake.close()


def test_lots_that_were_under_way_in_a_span_are_found_in_the_only_dataset_that_has_them(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path / "w", clock) as library:
        _fill(library, clock, "mes", [("L1", 0, 1), ("L2", 1, 2), ("L3", 2, 3), ("L4", 3, None)])
        lots = Lots(library, "owner")
        found = lots.between(BEGIN + 1.5 * HOUR, BEGIN + 2.5 * HOUR)
        assert [(lot.name, lot.start, lot.end) for lot in found] == [
            ("L2", BEGIN + HOUR, BEGIN + 2 * HOUR),
            ("L3", BEGIN + 2 * HOUR, BEGIN + 3 * HOUR),
        ]
        assert [(lot.name, lot.end) for lot in lots.between(BEGIN + 4 * HOUR, BEGIN + 5 * HOUR)] == [("L4", None)]
        assert (
            lots.between(BEGIN + 400 * HOUR, BEGIN + 500 * HOUR) == []
        )  # no lot is under way for weeks where lots take an hour


def test_of_two_datasets_with_lots_one_has_to_be_named(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path / "w", clock) as library:
        _fill(library, clock, "mes", [("L1", 0, 1)])
        _fill(library, clock, "mes2", [("M1", 0, 1), ("M2", 10, 11)])
        lots = Lots(library, "owner")
        span = BEGIN, BEGIN + HOUR
        assert lots.between(*span) == []
        assert [lot.name for lot in lots.between(*span, "mes2.생산로트")] == ["M1"]
        assert [lot.name for lot in lots.between(BEGIN + 10 * HOUR, BEGIN + 11 * HOUR)] == ["M2"]
        with pytest.raises(InputError):
            lots.between(*span, "없는 데이터셋")


def test_a_table_of_steps_is_none_of_lots(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path / "w", clock) as library:
        _fill(library, clock, "mes", [("L1", 0, 1), ("L1", 1, 2)])
        lots = Lots(library, "owner")
        assert lots.between(BEGIN, BEGIN + HOUR) == []
        with pytest.raises(InputError) as refused:
            lots.between(BEGIN, BEGIN + HOUR, "mes.생산로트")
        assert refused.value.code == "no_lot_times"

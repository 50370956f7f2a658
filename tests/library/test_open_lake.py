"""The lake opens without Madang: DuckDB with open.sql and Polars see the rows that Madang reads, from a moved folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from madang.library import Library
from tests.library.plant_files import open_library, write_meter

POLARS = """
import json, sys
import polars as pl
frame = pl.scan_delta(sys.argv[1]).sort("_part", "_row").collect()
rows = frame.with_columns(pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%S")).rows()
print(json.dumps([frame.columns, rows]))
sys.stdout.flush()
import os; os._exit(0)  # polars beside deltalake can abort while the interpreter shuts down
"""


def madang_rows(library: Library, dataset: str) -> list[dict[str, Any]]:
    table = library.read(dataset, reader="owner", purpose="show", form="stored").table
    rows: list[dict[str, Any]] = table.sort_by([("_part", "ascending"), ("_row", "ascending")]).to_pylist()
    return rows


def duckdb_rows(lake: Path, dataset: str, *, here: Path) -> list[dict[str, Any]]:
    """Rows of the view, in a session of its own that was begun in another directory."""
    script = f"""
import duckdb, json, sys
con = duckdb.connect(config={{"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}})
con.execute("SET VARIABLE lake = $${lake}$$")
con.execute(open({str(lake / "open.sql")!r}, encoding="utf-8").read())
con.execute("SET TimeZone = 'UTC'")
sys.stdout.write(con.sql('''SELECT to_json(t) FROM "{dataset}" t ORDER BY _part, _row''').fetchall().__repr__())
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=here, capture_output=True, text=True, check=True)
    return [json.loads(row) for (row,) in eval(done.stdout)]


def polars_rows(lake: Path, folder: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", POLARS, str(lake / "tables" / folder / "records")], capture_output=True, text=True, check=True
    )
    names, rows = json.loads(done.stdout)
    return [dict(zip(names, row, strict=True)) for row in rows]


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Times as text to the second, so that three programs' rows can be compared."""
    return [
        {
            k: (v.strftime("%Y-%m-%dT%H:%M:%S") if hasattr(v, "strftime") else v.replace(" ", "T")[:19] if k == "시각" else v)
            for k, v in row.items()
        }
        for row in rows
    ]


@pytest.fixture
def grown(tmp_path: Path) -> tuple[Path, Library]:
    """A dataset after appends, a correction, a widened type, an added column and a compaction, and later appends."""
    library = open_library(tmp_path / "작업 공간")
    for month in (1, 2, 3):
        library.intake([write_meter(tmp_path / f"계량 {month:02d}.csv", first=month * 1000)])
    library.intake([write_meter(tmp_path / "계량 02.csv", first=2000, records=250, change={(2000, 1): "1.5"})])
    library.compact("계량 01")
    library.intake([write_meter(tmp_path / "계량 04.csv", first=4000, change={(4000, 2): "3.25"})])
    added = ("시각", "로 온도 [Cel]", "압력", "상태 (새;a.b) {x}='y'")
    library.intake([write_meter(tmp_path / "계량 05.csv", first=5000, columns=added)])
    library.intake([write_meter(tmp_path / "계량 01.csv", first=1000, records=200)])
    return tmp_path, library


def test_duckdb_polars_and_madang_read_the_same_rows_from_a_moved_folder(grown: tuple[Path, Library]) -> None:
    tmp_path, library = grown
    dataset = "계량 01"
    wanted = plain(madang_rows(library, dataset))
    assert len(wanted) == 200 + 250 + 300 + 300 + 300
    library.close()
    (tmp_path / "elsewhere").mkdir()
    assert plain(duckdb_rows(tmp_path / "작업 공간/lake", dataset, here=tmp_path / "elsewhere")) == wanted
    # Polars 2.1 cannot open a Delta table below a folder whose name has a blank or Korean letters; a moved one it can.
    moved = tmp_path / "moved"
    (tmp_path / "작업 공간").rename(moved)
    assert plain(duckdb_rows(moved / "lake", dataset, here=tmp_path / "elsewhere")) == wanted
    found = plain(polars_rows(moved / "lake", "d000001"))
    names = list(wanted[0])
    assert [{n: row[n] for n in names} for row in found] == wanted


def test_a_checkpoint_and_the_commits_after_it_are_both_read(tmp_path: Path) -> None:
    from deltalake import DeltaTable

    library = open_library(tmp_path / "ws")
    library.intake([write_meter(tmp_path / "m_1.csv", first=1000)])
    library.intake([write_meter(tmp_path / "m_2.csv", first=2000)])
    records = tmp_path / "ws/lake/tables/d000001/records"
    DeltaTable(str(records)).create_checkpoint()
    library.intake([write_meter(tmp_path / "m_1.csv", first=1000, records=10)])
    library.close()
    for old in ("00000000000000000000.json", "00000000000000000000.checkpoint.parquet"):
        (records / "_delta_log" / old).unlink()
    assert len(duckdb_rows(tmp_path / "ws/lake", "m_1", here=tmp_path)) == 310


def test_the_current_directory_is_taken_for_the_lake_without_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
    monkeypatch.chdir(tmp_path / "ws" / "lake")
    session = duckdb.connect()
    session.execute(Path("open.sql").read_text(encoding="utf-8"))
    assert session.sql('SELECT count(*) FROM "meter"').fetchall() == [(300,)]
    assert session.sql("SELECT count(*) FROM madang_columns WHERE dataset = 'meter'").fetchall() == [(4,)]


def test_views_of_remarks_and_quarantine_stand_beside_the_records(tmp_path: Path) -> None:
    file = write_meter(tmp_path / "meter.csv", change={(3, 1): "ERR"})
    file.write_text(file.read_text(encoding="utf-8") + "short\n", encoding="utf-8")
    with open_library(tmp_path / "ws") as library:
        library.intake([file])
    session = duckdb.connect()
    session.execute(f"SET VARIABLE lake = '{tmp_path}/ws/lake'")
    session.execute((tmp_path / "ws/lake/open.sql").read_text(encoding="utf-8"))
    assert session.sql('SELECT _row, "column", flag, original FROM "meter.flags"').fetchall() == [(4, "로 온도", "bad", "ERR")]
    assert session.sql('SELECT _row, text FROM "meter.quarantine"').fetchall() == [(301, "short")]


def test_a_lake_without_datasets_opens_too(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        report = library.intake([write_meter(tmp_path / "meter.csv")])
        library.undo(str(report.id))
    session = duckdb.connect()
    session.execute(f"SET VARIABLE lake = '{tmp_path}/ws/lake'")
    session.execute((tmp_path / "ws/lake/open.sql").read_text(encoding="utf-8"))
    assert session.sql('SELECT count(*) FROM "meter"').fetchall() == [(0,)]

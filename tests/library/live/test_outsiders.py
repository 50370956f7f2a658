"""DuckDB and Polars read the lake without Madang and see what went in."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from madang.connect import Rows
from madang.library import Library
from tests.library.live.plant import T0, Clock, MemorySpool, Sample, bits, opened, signals_folder

SECOND = 1_000_000


def _plant(library: Library, clock: Clock) -> list[Sample]:
    spool = MemorySpool()
    intake = library.live(threads=1)
    intake.attach("plant", spool, None)
    rng = np.random.default_rng(5)
    sent: list[Sample] = []
    for turn in range(6):
        at = T0 + turn * 100 * SECOND
        decimals = np.round(rng.normal(20, 1, 100), 1 if turn < 3 else 3).tolist()
        single = np.round(rng.normal(3, 1, 100), 2).astype(np.float32).astype(np.float64).tolist()
        samples: list[Sample] = [
            *(("온도", at + n * SECOND, v, 0x40000000 if n % 7 == 0 else 0) for n, v in enumerate(decimals)),
            *(("level", at + n * SECOND, v, 0) for n, v in enumerate(single)),
            *(("any'thing", at + n * SECOND, float(v), 0) for n, v in enumerate(rng.normal(size=10))),
            ("state", at, "run", 0),
            ("level", at + 200, None, 0x80310000),
        ]
        sent += samples
        spool.put(samples, units={"온도": "℃" if turn < 5 else "degF"})
        intake.step(clock.go(), force=True)
    spool.append(Rows("lots", ("lot",), pa.record_batch({"lot": ["L1", "L2"], "qty": [1, 2]}), T0))
    spool.append(Rows("lots", ("lot",), pa.record_batch({"lot": ["L1"]}), T0, "delete"))
    intake.step(clock.go(), force=True)
    intake.close()
    return sent


def _session(root: Path) -> duckdb.DuckDBPyConnection:
    session = duckdb.connect()
    session.execute("SET VARIABLE lake = ?", [str(root / "lake")])
    session.execute((root / "lake" / "open.sql").read_text(encoding="utf-8"))
    return session


def test_a_plain_duckdb_session_sees_physical_values_units_and_tables_as_they_are_now(tmp_path: Path) -> None:
    root, clock = tmp_path / "w", Clock()
    with opened(root, clock) as library:
        sent = _plant(library, clock)
        for gathered in (False, True):
            if gathered:
                library.resort(everything=True)
            with _session(root) as session:
                rows = session.sql("SELECT point, epoch_us(time), value, text, quality FROM plant").fetchall()
                found = sorted((p, t, bits(x if x is not None else s), q) for p, t, x, s, q in rows)
                assert found == sorted((tag, time, bits(value), quality) for tag, time, value, quality in sent)
                units = session.sql(
                    "SELECT DISTINCT unit FROM plant WHERE point = '온도' ORDER BY min(time) OVER (PARTITION BY unit)"
                )
                assert [u for (u,) in units.fetchall()] == ["℃", "degF"]
                assert session.sql('SELECT * FROM "plant.lots"').fetchall() == [("L2", 2)]
                assert session.sql('SELECT count(*) FROM "plant.lots.history"').fetchall() == [(3,)]
                assert session.sql("SELECT count(*) FROM madang_points").fetchall() == [(4,)]


def test_polars_and_the_delta_library_see_the_same_counts(tmp_path: Path) -> None:
    root, clock = tmp_path / "w", Clock()
    with opened(root, clock) as library:
        sent = _plant(library, clock)
        folder = str(signals_folder(root))
        before = pl.scan_delta(folder).select("point", "time", "value", "number", "text", "quality").collect()
        library.resort(everything=True)
        after = pl.scan_delta(folder).select("point", "time", "value", "number", "text", "quality").collect()
        assert len(before) == len(sent)
        order = ["point", "time", "value", "number", "text", "quality"]
        assert before.sort(order).equals(after.sort(order))

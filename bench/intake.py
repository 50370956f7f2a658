"""Intake of a clean CSV against DuckDB's CSV to Parquet, in the same run.

    ./run bench intake --mb 1000

Writes a seeded clean export (time, 20 measured columns with the resolution of a 12-bit converter, a counter, a state), has DuckDB copy
it to zstd Parquet, and Madang take it in (original kept, hashed, profiled, registered). Each is a process of its own; peak memory is
the process's own. Prints one JSON line: seconds, ratio (Madang / DuckDB; goal <= 2.5), peak memory (goal < 1,024 MB).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

BLOCK = 100_000


def write_export(path: Path, megabytes: int, seed: int) -> int:
    """Write the export and return its records."""
    rng = np.random.default_rng(seed)
    begin = np.datetime64("2026-01-01T00:00:00", "s")
    rows = 0
    levels = rng.uniform(20, 900, 20)
    with path.open("wb") as stream:
        while stream.tell() < megabytes * 1_000_000:
            columns: dict[str, pa.Array] = {"time": pa.array((begin + np.arange(rows, rows + BLOCK)).astype(str))}
            for tag, level in enumerate(levels):
                counts = np.round(rng.normal(0, 12, BLOCK)).astype(np.int64)
                columns[f"TI{101 + tag} [Cel]"] = pa.array(np.round(level + counts * 0.05, 2))
            columns["count"] = pa.array(np.arange(rows, rows + BLOCK) // 7)
            columns["state"] = pa.array(np.array(["RUN", "IDLE", "SETUP"])[(np.arange(rows, rows + BLOCK) // 5000) % 3])
            table = pa.table(columns)
            pa_csv.write_csv(table, stream, pa_csv.WriteOptions(include_header=rows == 0, quoting_style="none"))
            rows += BLOCK
    return rows


DUCKDB = """
import duckdb, sys
con = duckdb.connect()
con.execute("SET threads = 2")
con.execute("SET enable_progress_bar = false")
con.execute(f"COPY (FROM read_csv('{sys.argv[1]}')) TO '{sys.argv[2]}' (FORMAT parquet, COMPRESSION zstd)")
"""

MADANG = """
import sys
from pathlib import Path
from madang.workspace import Workspace
with Workspace.open(Path(sys.argv[2])) as workspace:
    report = workspace.library.intake([Path(sys.argv[1])])
    (table,) = report.tables
    assert table.tally.kept == int(sys.argv[3]), table.tally
"""


def timed(program: str, *arguments: str) -> tuple[float, float]:
    """Run a program; return its wall time [s] and peak memory [MB]."""
    before = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program, *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - before
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"a run ended with {process.returncode}")
    unit = 1024 if sys.platform == "darwin" else 1
    return seconds, usage.ru_maxrss / unit / 1024


def main(arguments: list[str]) -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=1000, help="size of the export [MB]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3, help="runs of each; the median counts")
    parser.add_argument("--folder", type=Path, default=Path("bench-intake"), help="made, and removed at the end")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True)
    try:
        export = given.folder / "export.csv"
        rows = write_export(export, given.mb, given.seed)
        duckdb_runs, madang_runs = [], []
        for run in range(given.runs):
            duckdb_runs.append(timed(DUCKDB, str(export), str(given.folder / "out.parquet")))
            madang_runs.append(timed(MADANG, str(export), str(given.folder / f"ws{run}"), str(rows)))
            shutil.rmtree(given.folder / f"ws{run}")
        peer, own = (sorted(runs)[len(runs) // 2][0] for runs in (duckdb_runs, madang_runs))
        print(
            json.dumps(
                {
                    "bench": "intake",
                    "mb": round(export.stat().st_size / 1e6),
                    "rows": rows,
                    "seed": given.seed,
                    "runs": given.runs,
                    "duckdb_seconds": round(peer, 2),
                    "madang_seconds": round(own, 2),
                    "ratio": round(own / peer, 2),
                    "madang_peak_mb": round(max(m for _, m in madang_runs)),
                    "duckdb_peak_mb": round(max(m for _, m in duckdb_runs)),
                }
            )
        )
    finally:
        shutil.rmtree(given.folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

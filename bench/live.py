"""From the spool into the lake: durable, sorted, committed; bytes per point; and two usual ways of writing Parquet in the same run.

    ./run bench live --assets 5 --hours 6

The samples of the seeded plant (`bench._plant_signals`) lie durable in a spool, in the order of their times. Timed is what `LiveIntake`
does until all of them are committed and flushed (2 threads). `bytes_per_point` counts all files of the table, log and quality included,
as committed; `bytes_per_point_resorted` after the re-sort and the removal of what it replaced. Beside it DuckDB's COPY to zstd
Parquet, sorted by point and time, and pyarrow's own defaults, flushed. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench._plant_signals import TAGS, Signals, arriving, signals


def fill_spool(folder: Path, of: Signals, rows: int) -> float:
    """Spool the samples; return the seconds it took until they were durable."""
    from madang.connect import Block, Spool, Tag

    blocks = [Block(b, received=0) for b in arriving(of, rows)]
    begun = time.perf_counter()
    with Spool.open(folder, clock=lambda: datetime.now(UTC)) as spool:
        for point in range(1, int(of.point.max()) + 1):
            spool.tags.number_of(Tag(f"A{(point - 1) // TAGS:03d}.T{(point - 1) % TAGS:03d}", unit="℃"))
        last = 0
        for block in blocks:
            last = spool.append_block(block)
        spool.wait(last, 600)
        return time.perf_counter() - begun


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, the log included."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def flushed(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def peers(of: Signals, folder: Path) -> dict[str, float]:
    """Write the same samples with DuckDB and with pyarrow's defaults; return rates and bytes per point."""
    import duckdb

    table = next(iter([pa.Table.from_batches(list(arriving(of, 1_000_000)))]))
    n = len(table)
    out: dict[str, float] = {}
    path = folder / "duckdb.parquet"
    with duckdb.connect() as con:
        con.execute("SET threads = 2")
        con.execute("SET enable_progress_bar = false")
        con.register("arrived", table)
        begun = time.perf_counter()
        con.execute(
            f"COPY (SELECT tag, time, number, quality FROM arrived ORDER BY tag, time) TO '{path}' "
            "(FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)"
        )
        flushed(path)
    out["duckdb_mpts"] = n / (time.perf_counter() - begun) / 1e6
    out["duckdb_bytes_per_point"] = path.stat().st_size / n
    path = folder / "pyarrow.parquet"
    begun = time.perf_counter()
    ordered = table.select(["tag", "time", "number", "quality"]).sort_by([("tag", "ascending"), ("time", "ascending")])
    pq.write_table(ordered, path)
    flushed(path)
    out["pyarrow_mpts"] = n / (time.perf_counter() - begun) / 1e6
    out["pyarrow_bytes_per_point"] = path.stat().st_size / n
    return out


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run bench live")
    parser.add_argument("--assets", type=int, default=5)
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--rows", type=int, default=100_000, help="samples of a spooled block")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=None, help="keep the workspace here")
    parser.add_argument("--no-peers", action="store_true")
    given = parser.parse_args(arguments)
    from madang.connect import Spool
    from madang.library import Library

    of = signals(given.assets, given.hours)
    n = len(of)
    folder = Path(tempfile.mkdtemp(prefix="bench-live-"))
    try:
        spooled = fill_spool(folder / "spool", of, given.rows)
        if given.no_peers:
            del of
        gc.collect()
        result: dict[str, float | int | str] = {"bench": "live", "points": n, "spool_mpts": round(n / spooled / 1e6, 2)}
        root = given.keep or folder / "workspace"
        with (
            Library.open(root, clock=lambda: datetime.now(UTC), zone="Asia/Seoul") as library,
            Spool.open(folder / "spool", clock=lambda: datetime.now(UTC)) as spool,
        ):
            intake = library.live(threads=given.threads)
            begun = time.perf_counter()
            intake.attach("plant", spool, None)
            done = intake.step(datetime.now(UTC), force=True)
            seconds = time.perf_counter() - begun
            intake.close()
            if done.connections["plant"].samples != n:
                print(f"{done.connections['plant'].samples} of {n} samples were committed")
                return 1
            table = root / "lake" / "tables" / "d000001" / "signals"
            result |= {
                "seconds": round(seconds, 2),
                "commit_mpts": round(n / seconds / 1e6, 2),
                "bytes_per_point": round(size_of(table) / n, 4),
                "files": sum(1 for _ in table.glob("*.parquet")),
            }
            begun = time.perf_counter()
            library.resort(everything=True)
            result["resort_mpts"] = round(n / (time.perf_counter() - begun) / 1e6, 2)
            before = size_of(table)
            library._keeping.retain(datetime.now(UTC), rules=(), keep=timedelta(0), dry_run=False)
            result |= {
                "bytes_per_point_with_old_files": round(before / n, 4),
                "bytes_per_point_resorted": round(size_of(table) / n, 4),
                "files_resorted": sum(1 for _ in table.glob("*.parquet")),
            }
        result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        if not given.no_peers:
            result |= {k: round(v, 3) for k, v in peers(of, folder).items()}
            result["ratio_to_duckdb"] = round(float(result["commit_mpts"]) / float(result["duckdb_mpts"]), 2)
        print(json.dumps(result))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0

"""Reading the lake: each job by the library and by DuckDB over the same files, in one run, with equal answers or not at all.

    ./run bench lake [--quick] [--rounds 7] [--memory 2] [--keep DIR] [--no-big]

The seeded plant (`bench._plant_signals`, 98 million points) and one point of 31.5 million samples are written by the library's own
writer. Every job runs in a process of its own, so that its peak memory is its own. ``--memory`` runs each under a limit of so many GiB
by a control group where the system lets us; where it does not, the peak is compared with the limit, and the output says so.
Jobs ending in ``_10x`` repeat the small reads in a lake ten times as long: their cost must not grow. The time of the processor stands
beside the time of the clock, since other work on the machine lengthens only the latter.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench._lake_jobs import measured
from bench._lake_made import make_plant, make_year, table_folder
from bench._plant_signals import ASSETS, HOURS

PLANT = ("last", "range", "trend", "asof", "rolling", "features")
YEAR = ("open_year", "zoom_year")
BIG = ("last", "range", "trend")
GOALS = {"last": 1, "range": 5, "trend": 6, "asof": 280, "rolling": 220, "features": 1000, "open_year": 1500, "zoom_year": 300}
"""Milliseconds; of `zoom_year` the 95th percentile, of the others the median."""


@contextmanager
def limited(gib: float) -> Iterator[str | None]:
    """Yield the process file of a control group with a memory limit; None where none can be made."""
    names = [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")]
    for base, setting in names:
        group = Path(base) / f"madang-bench-{os.getpid()}"
        if not (Path(base) / "cgroup.procs").exists():
            continue
        try:
            group.mkdir()
            (group / setting).write_text(str(int(gib * 2**30)))
        except OSError:
            if group.is_dir():
                group.rmdir()
            continue
        try:
            yield str(group / "cgroup.procs")
        finally:
            group.rmdir()
        return
    yield None


def _enter(procs: str | None) -> None:
    if procs is not None:
        Path(procs).write_text(str(os.getpid()))


def run_job(engine: str, root: Path, job: str, rounds: int, procs: str | None) -> dict[str, Any]:
    """Run one job in a fresh process."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=_enter, initargs=(procs,)) as pool:
        return pool.submit(measured, engine, str(root), job, rounds).result()


def agree(ours: tuple[float, ...], theirs: tuple[float, ...]) -> bool:
    """Whether two answers are the same up to the order of a sum."""
    return len(ours) == len(theirs) and all(
        abs(a - b) <= 1e-7 * max(1.0, abs(a), abs(b)) for a, b in zip(ours, theirs, strict=True)
    )


def figure(job: str, seconds: list[float]) -> float:
    """Return a job's figure [ms]: the 95th percentile of zooms, the median of the rest."""
    ordered = sorted(seconds)
    return 1000 * (ordered[int(0.95 * (len(ordered) - 1))] if job == "zoom_year" else statistics.median(ordered))


def compare(root: Path, job: str, rounds: int, procs: str | None, limit: float | None, label: str) -> dict[str, Any]:
    """Run one job by both; the row of the table."""
    count = 40 if job == "zoom_year" else rounds
    ours = run_job("madang", root, job, count, procs)
    theirs = run_job("duckdb", root, job, min(count, 2) if job in ("features", "rolling") else count, procs)
    if job != "zoom_year" and not agree(ours["answer"], theirs["answer"]):
        raise SystemExit(f"{label}: the answers differ: {ours['answer']} {theirs['answer']}")
    mine, other = figure(job, ours["seconds"]), figure(job, theirs["seconds"])
    row = {
        "job": label,
        "ms": round(mine, 3),
        "cpu_ms": round(1000 * statistics.median(ours["cpu"]), 3),
        "duckdb_ms": round(other, 3),
        "duckdb_cpu_ms": round(1000 * statistics.median(theirs["cpu"]), 3),
        "ratio": round(mine / other, 3),
        "goal_ms": GOALS[job],
        "peak_mib": round(ours["peak_mib"]),
        "duckdb_peak_mib": round(theirs["peak_mib"]),
    }
    if limit is not None:
        row["limit_gib"], row["limit_by"] = limit, "cgroup" if procs else "peak only"
        if procs is None and ours["peak_mib"] > limit * 1024:
            raise SystemExit(f"{label}: {ours['peak_mib']:.0f} MiB is above the limit")
    print(
        f"{label:12s} {mine:10.3f} ms ({row['cpu_ms']:9.3f} of processor)   duckdb {other:10.3f} ms ({row['duckdb_cpu_ms']:9.3f})"
        f"   ratio {mine / other:6.3f}   goal {GOALS[job]:5d} ms"
        f"   {ours['peak_mib']:5.0f} MiB   duckdb {theirs['peak_mib']:5.0f} MiB",
        flush=True,
    )
    return row


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="4 assets and 30 days")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", type=float, help="limit of each job [GiB]")
    parser.add_argument("--keep", type=Path, help="folder to keep the lakes in, or to take them from")
    parser.add_argument("--no-big", action="store_true", help="without the lake ten times as long")
    parser.add_argument("--jobs", default="", help="names of jobs, with commas; all when left out")
    parser.add_argument(
        "--scale", action="store_true", help="the same function per file by threads and by a Spark Connect server"
    )
    asked = parser.parse_args(arguments)
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="madang-lake-"))
    assets, days = (4, 30) if asked.quick else (ASSETS, 365)
    wanted = set(asked.jobs.split(",")) if asked.jobs else {*PLANT, *YEAR, *(f"{j}_10x" for j in BIG)}
    try:
        plant, year, big = folder / f"plant{assets}", folder / f"year{days}", folder / f"big{assets}"
        if not plant.exists():
            make_plant(plant, assets)
        if asked.scale:
            from bench._lake_scale import compare_engines

            return compare_engines(plant)
        if wanted & set(YEAR) and not year.exists():
            make_year(year, days)
        if not asked.no_big and any(j.endswith("_10x") for j in wanted) and not big.exists():
            make_plant(big, assets, times=10)
        points = int(assets * HOURS * 3600 * (5 * 10 + 60 + 35 * 0.1))
        size = sum(p.stat().st_size for p in table_folder(plant).rglob("*") if p.is_file())
        print(f"{points:,} points, {size / points:.4f} bytes per point with the log, the sketches and the quality", flush=True)
        rows = []
        with limited(asked.memory) if asked.memory else no_limit() as procs:
            if asked.memory and procs is None:
                print("no control group can be made here: peaks are compared with the limit instead")
            jobs = [(plant, j, j) for j in PLANT] + [(year, j, j) for j in YEAR]
            jobs += [] if asked.no_big else [(big, j, f"{j}_10x") for j in BIG]
            for root, job, label in jobs:
                if label in wanted:
                    rows.append(compare(root, job, asked.rounds, procs, asked.memory, label))
        print(
            json.dumps({"points": points, "bytes_per_point": round(size / points, 4), "load": os.getloadavg()[0], "rows": rows})
        )
    finally:
        if asked.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


@contextmanager
def no_limit() -> Iterator[None]:
    """Yield nothing."""
    yield None


if __name__ == "__main__":
    raise SystemExit(main())

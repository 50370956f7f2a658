"""Features per lot and tag over 50 million readings: Madang's kernels beside DuckDB, in one run.

    nice python bench/join.py [--readings 50000000] [--lots 10000] [--tags 20] [--rounds 3]

Both get the same readings in memory (DuckDB its own table, loaded before the clock starts), two threads, and must agree. Each runs
in a process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time as clock
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

THREADS = 2


@dataclass(frozen=True)
class Plant:
    tag: NDArray[np.int32]
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    engine: str
    seconds: float
    seconds_of_rounds: tuple[float, ...]
    peak_rss_mib: float
    data_mib: float
    groups: int
    checksum: tuple[float, ...]


def make_plant(readings: int, lots: int, tags: int, seed: int = 20) -> Plant:
    """Return readings every second of each tag, sorted by tag and time, and lots with short pauses between them."""
    rng = np.random.default_rng(seed)
    each = readings // tags
    time = np.tile(np.arange(each, dtype=np.int64) * 1_000_000, tags)
    value = rng.normal(700.0, 5.0, each * tags)
    tag = np.repeat(np.arange(tags, dtype=np.int32), each)
    edges = np.sort(rng.choice(each, 2 * lots, replace=False)).astype(np.int64) * 1_000_000
    return Plant(tag, time, value, edges[::2], edges[1::2])


def checksum(
    mean: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], std: NDArray[np.float64]
) -> tuple[float, ...]:
    return tuple(float(np.nansum(part)) for part in (mean, low, high, std))


def run_kernels(plant: Plant, rounds: int) -> Run:
    from madang.library._windows import features_by_tag

    seconds: list[float] = []
    sums: tuple[float, ...] = ()
    groups = 0
    for _ in range(rounds):
        began = clock.perf_counter()
        made = features_by_tag(
            plant.tag, plant.time, plant.value, plant.start, plant.end, ("n", "mean", "min", "max", "std"), threads=THREADS
        )
        seconds.append(clock.perf_counter() - began)
        groups = sum(int(np.count_nonzero(found.n)) for found in made.values())
        sums = checksum(*(np.concatenate([found[f] for found in made.values()]) for f in ("mean", "min", "max", "std")))
    return finish("madang kernels", plant, seconds, groups, sums)


def run_duckdb(plant: Plant, rounds: int) -> Run:
    import duckdb
    import pyarrow as pa

    con = duckdb.connect(config={"threads": THREADS})
    con.register("readings_in", pa.table({"tag": plant.tag, "time": plant.time, "value": plant.value}))
    con.register("lots_in", pa.table({"lot": np.arange(len(plant.start)), "a": plant.start, "b": plant.end}))
    con.execute("create table readings as from readings_in; create table lots as from lots_in")
    query = """select lot, tag, count(*) n, avg(value) mean, min(value) low, max(value) high, stddev_samp(value) std
               from readings asof join lots on time >= a where time < b group by lot, tag"""
    seconds: list[float] = []
    sums: tuple[float, ...] = ()
    groups = 0
    for _ in range(rounds):
        began = clock.perf_counter()
        result = con.sql(query).to_arrow_table()
        seconds.append(clock.perf_counter() - began)
        groups = result.num_rows
        sums = checksum(*(result[name].to_numpy() for name in ("mean", "low", "high", "std")))
    return finish("duckdb", plant, seconds, groups, sums)


def finish(engine: str, plant: Plant, seconds: list[float], groups: int, sums: tuple[float, ...]) -> Run:
    data = sum(part.nbytes for part in (plant.tag, plant.time, plant.value)) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Run(engine, min(seconds), tuple(round(s, 3) for s in seconds), peak, data, groups, sums)


def work(engine: str, readings: int, lots: int, tags: int, rounds: int) -> Run:
    plant = make_plant(readings, lots, tags)
    return {"kernels": run_kernels, "duckdb": run_duckdb}[engine](plant, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readings", type=int, default=50_000_000)
    parser.add_argument("--lots", type=int, default=10_000)
    parser.add_argument("--tags", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    runs = []
    for engine in ("kernels", "duckdb"):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            runs.append(pool.apply(work, (engine, asked.readings, asked.lots, asked.tags, asked.rounds)))
    ours, bare = runs
    if ours.groups != bare.groups or not np.allclose(ours.checksum, bare.checksum, rtol=1e-9):
        raise SystemExit(f"the engines disagree: {ours} {bare}")
    print(json.dumps({"runs": [asdict(run) for run in runs], "ratio": round(ours.seconds / bare.seconds, 3)}, indent=1))


if __name__ == "__main__":
    main()

"""The jobs of the lake's bench, each by Madang's library and by DuckDB over the same live files, with a checksum of the answer."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench._lake_made import DATASET, DAY, NOW, YEAR_BEGIN, table_folder
from bench._plant_signals import BEGIN, HOURS, TAGS, lots

if TYPE_CHECKING:
    from madang.library import Buckets
    from madang.library._signals._table import SignalView

THREADS = 2
HOUR = 3_600_000_000
WHO = {"reader": "owner", "purpose": "bench"}
Answer = tuple[float, ...]
Job = Callable[[], Answer]


def name_of(point: int) -> str:
    return f"A{(point - 1) // TAGS:03d}.T{(point - 1) % TAGS:03d}"


def assets_of(root: Path) -> int:
    from madang.library import Library

    with Library.open(root, clock=lambda: NOW, zone="UTC") as library:
        return len(library.points(DATASET)) // TAGS


class Madang:
    """The library, as a program would use it; a view per job, as a screen has."""

    name = "madang"

    def __init__(self, root: Path) -> None:
        from madang.library import Library

        self.library = Library.open(root, clock=lambda: NOW, zone="UTC")
        self.assets = len(self.library.points(DATASET)) // TAGS

    def _view(self, *points: str) -> SignalView:
        return self.library.view(DATASET, list(points) or None, **WHO)

    def last(self) -> Job:
        point = name_of(3)
        view = self._view(point)
        return lambda: (view.last()[0].value,)

    def range(self) -> Job:
        point = name_of(3)
        view = self._view(point)
        start, end = at(BEGIN + HOUR), at(BEGIN + 2 * HOUR)

        def run() -> Answer:
            found = view.range(point, start, end)
            return len(found), float(found.value.sum())

        return run

    def trend(self) -> Job:
        point = name_of(3)
        view = self._view(point)
        start, end = at(BEGIN), at(BEGIN + int(HOURS * HOUR))
        return lambda: extremes(view.trend(start, end, 1000)[point])

    def asof(self) -> Job:
        from madang.library import as_of

        fast = [name_of(a * TAGS + 3) for a in range(self.assets)]
        slow = [name_of(a * TAGS + 71) for a in range(self.assets)]
        view = self._view(*fast, *slow)

        def one(pair: tuple[str, str]) -> Answer:
            left, right = view.range(pair[0], None, None), view.range(pair[1], None, None)
            found = as_of(right.time, left.time)
            held = found >= 0
            return int(held.sum()), float(right.value[found[held]].sum())

        def run() -> Answer:
            with ThreadPoolExecutor(THREADS) as pool:
                return tuple(float(sum(c)) for c in zip(*pool.map(one, zip(fast, slow, strict=True)), strict=True))

        return run

    def rolling(self) -> Job:
        from madang.library import rolling_mean_std

        points = [name_of(a * TAGS + 3) for a in range(max(1, self.assets // 2))]
        view = self._view(*points)

        def one(point: str) -> Answer:
            samples = view.range(point, None, None)
            mean, std = rolling_mean_std(samples.time, samples.value, 60_000_000)
            return float(mean.sum()), float(np.nansum(std))

        def run() -> Answer:
            with ThreadPoolExecutor(THREADS) as pool:
                return tuple(float(sum(c)) for c in zip(*pool.map(one, points), strict=True))

        return run

    def features(self) -> Job:
        table = lots(self.assets)
        asset = table["asset"].to_numpy()
        views = [self._view(*(name_of(a * TAGS + t + 1) for t in range(TAGS))) for a in range(self.assets)]
        windows = [table.filter(asset == a) for a in range(self.assets)]

        def one(k: int) -> Answer:
            made = views[k].features(windows[k], ("n", "mean", "min", "max", "std"), threads=1)
            return tuple(float(np.nansum(made[f].to_numpy())) for f in ("n", "mean", "min", "max", "std"))

        def run() -> Answer:
            with ThreadPoolExecutor(THREADS) as pool:
                return tuple(float(sum(c)) for c in zip(*pool.map(one, range(len(views))), strict=True))

        return run

    def open_year(self) -> Job:
        view = self._view("Y1")
        days = self.library.card(DATASET)["rows"] // 3 // 86_400  # type: ignore[operator]
        start, end = at(YEAR_BEGIN), at(YEAR_BEGIN + int(days) * DAY)
        return lambda: extremes(view.trend(start, end, 1000)["Y1"])[:3]

    def zoom_year(self) -> Job:
        view = self._view("Y1")
        days = self.library.card(DATASET)["rows"] // 3 // 86_400  # type: ignore[operator]
        places = zooms(int(days))

        def run() -> Answer:
            start, end = next(places)
            return extremes(view.trend(at(start), at(end), 1000)["Y1"])[:3]

        return run

    def close(self) -> None:
        self.library.close()


class DuckDb:
    """DuckDB over the list of live files, with the scale of each point at hand."""

    name = "duckdb"

    def __init__(self, root: Path) -> None:
        import duckdb

        from madang.library._signals._index import FileIndex

        snapshot = FileIndex(table_folder(root)).snapshot()
        files = [str(f.path) for f in snapshot.files]
        scales = {int(p): f.versions[int(v)] for f in snapshot.files for p, v in zip(f.points, f.version, strict=True)}
        self.assets = max(scales) // TAGS
        self.days = snapshot.samples // 3 // 86_400
        self.con = duckdb.connect(config={"threads": THREADS})
        self.con.execute("set TimeZone = 'UTC'")
        self.con.execute("set enable_progress_bar = false")
        self.con.execute(f"create view raw as select point, epoch_us(time) t, value, time from read_parquet({files!r})")
        self.con.execute("create table scales (point int, scale double, divisor double, offs double)")
        self.con.executemany(
            "insert into scales values (?, ?, ?, ?)", [(p, s.scale, s.divisor, s.offset) for p, s in scales.items()]
        )
        self.scales = scales

    def _value(self, point: int) -> str:
        by = self.scales[point]
        return f"(value * {by.scale!r} / {by.divisor!r} + {by.offset!r})"

    def _one(self, sql: str) -> Answer:
        row = self.con.execute(sql).fetchone()
        return tuple(0.0 if v is None else float(v) for v in row or ())

    def last(self) -> Job:
        return lambda: self._one(f"select arg_max({self._value(3)}, t) from raw where point = 3")

    def range(self) -> Job:
        sql = f"select t, {self._value(3)} v from raw where point = 3 and {between(BEGIN + HOUR, BEGIN + 2 * HOUR)} order by t"

        def run() -> Answer:
            found = self.con.sql(sql).to_arrow_table()
            return len(found), float(found["v"].to_numpy().sum())

        return run

    def trend(self) -> Job:
        end = BEGIN + int(HOURS * HOUR)
        return lambda: self._buckets(3, BEGIN, end, -(-(end - BEGIN) // 1000))

    def _buckets(self, point: int, start: int, end: int, width: int) -> Answer:
        found = self.con.sql(
            f"""select (t - {start}) // {width} b, min({self._value(point)}) lo, max({self._value(point)}) hi, count(*) n
                from raw where point = {point} and {between(start, end)} group by b"""
        ).to_arrow_table()
        low, high, n = (found[c].to_numpy() for c in ("lo", "hi", "n"))
        return float(n.sum()), float(low.min()), float(high.max()), float(low.sum()), float(high.sum())

    def asof(self) -> Job:
        fast = ", ".join(str(a * TAGS + 3) for a in range(self.assets))
        slow = ", ".join(str(a * TAGS + 71) for a in range(self.assets))
        value = "value * scale / divisor + offs"
        return lambda: self._one(
            f"""with a as (select point // {TAGS} asset, t from raw where point in ({fast})),
                     b as (select raw.point // {TAGS} asset, t, {value} v from raw join scales using (point) where point in ({slow}))
                select count(*), sum(v) from a asof join b on a.asset = b.asset and a.t >= b.t"""
        )

    def rolling(self) -> Job:
        points = ", ".join(str(a * TAGS + 3) for a in range(max(1, self.assets // 2)))
        value = "value * scale / divisor + offs"
        return lambda: self._one(
            f"""with x as (select point, t, {value} v from raw join scales using (point) where point in ({points}))
                select sum(m), sum(s) from (select avg(v) over w m, stddev_samp(v) over w s from x
                window w as (partition by point order by t range between 59999999 preceding and current row))"""
        )

    def features(self) -> Job:
        self.con.register("lots_in", lots(self.assets))
        self.con.execute('create or replace table lots as select lot, asset, epoch_us(start) a, epoch_us("end") b from lots_in')
        return lambda: self._one(
            f"""with x as (select lot, p.point, count(*) n, avg(v) m, min(v) lo, max(v) hi, stddev_samp(v) s
                           from (select raw.point, (raw.point - 1) // {TAGS} asset, t, value * scale / divisor + offs v
                                 from raw join scales using (point)) p
                           join lots on p.asset = lots.asset and p.t >= a and p.t < b group by lot, p.point)
                select sum(n), sum(m), sum(lo), sum(hi), sum(s) from x"""
        )

    def open_year(self) -> Job:
        end = YEAR_BEGIN + self.days * DAY
        return lambda: self._buckets(2, YEAR_BEGIN, end, -(-(end - YEAR_BEGIN) // 1000))[:3]

    def zoom_year(self) -> Job:
        places = zooms(self.days)

        def run() -> Answer:
            start, end = next(places)
            return self._buckets(2, start, end, -(-(end - start) // 1000))[:3]

        return run

    def close(self) -> None:
        self.con.close()


def at(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def between(start: int, end: int) -> str:
    return f"time >= make_timestamptz({start}) and time < make_timestamptz({end})"


def extremes(found: Buckets) -> Answer:
    return (
        float(found.count.sum()),
        float(found.minimum.min()),
        float(found.maximum.max()),
        float(found.minimum.sum()),
        float(found.maximum.sum()),
    )


def zooms(days: int) -> Iterator[tuple[int, int]]:
    """Yield spans from a hundredth to a half of all, at random places, the same for every engine."""
    rng = np.random.default_rng(7)
    while True:
        length = int(days * DAY * 10 ** rng.uniform(-2, -0.3))
        start = YEAR_BEGIN + int(rng.uniform(0, days * DAY - length))
        yield start, start + length


def measured(engine: str, root: str, job: str, rounds: int) -> dict[str, Any]:
    """Run one job of one engine in this process: warm once, then `rounds` times."""
    import resource

    opened: Any = {"madang": Madang, "duckdb": DuckDb}[engine](Path(root))
    run = getattr(opened, job)()
    answers = [run()]
    seconds, cpu = [], []
    for _ in range(rounds):
        begun, worked = clock.perf_counter(), clock.process_time()
        answers.append(run())
        seconds.append(clock.perf_counter() - begun)
        cpu.append(clock.process_time() - worked)
    opened.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu": cpu, "answer": answers[-1], "peak_mib": peak}

"""Every kernel over files agrees with DuckDB over the same samples."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.connect import Tag
from madang.library._kernels import Feature, bucketed, downsample
from madang.library._signals._features import PARTS_SCHEMA, FileTask, features_of, put_together, tasks, window_parts
from madang.library._signals._index import FileIndex, SignalFile, Snapshot
from madang.library._signals._scales import Scale
from madang.library._signals._sketch import read_sketch, write_sketch
from madang.library._signals._slices import as_stored, read_samples
from madang.library._signals._trend import trend_of
from tests.library.signal_files import Run, SignalsOnDisk, written

FEATURES: tuple[Feature, ...] = ("n", "mean", "min", "max", "std", "first", "last", "slope")
SCALES = (Scale(), Scale(divisor=10.0), Scale(0.25, 1.0, -40.0), Scale(divisor=100.0, rounding=32), None)
BAD = 0x808C0000


class Drawn:
    """Samples of a few points, dealt to commits, with their table for DuckDB."""

    def __init__(self, root: Path, seed: int) -> None:
        rng = np.random.default_rng(seed)
        root.mkdir()
        files: list[SignalFile] = []
        columns: list[tuple[int, int, float | None, int, int]] = []
        for commit in range(int(rng.integers(1, 5))):
            runs = []
            for point in range(1, 5):
                n = int(rng.integers(0, 60))
                if n == 0 or rng.random() < 0.2:
                    continue
                scale = SCALES[int(rng.integers(len(SCALES)))]
                step = 1 if rng.random() < 0.3 else 1000
                time = np.sort(rng.integers(-50, 1000, n)) * step
                value: list[float | None] = []
                for count in rng.integers(-500, 500, n).tolist():
                    if scale is not None and rng.random() < 0.05:
                        value.append(None)
                    elif scale is None:
                        value.append(float(rng.normal(0, 1)))
                    else:
                        exact = count * scale.scale / scale.divisor + scale.offset
                        value.append(float(np.float32(exact)) if scale.rounding == 32 else exact)
                quality = np.where(rng.random(n) < (0.1 if rng.random() < 0.5 else 0.0), BAD, 0)
                runs.append(Run(point, time, value, quality, scale))
                rows = zip(time.tolist(), value, quality.tolist(), strict=True)
                columns += [(point, t, v, q, commit) for t, v, q in rows]
            if runs:
                level = int(rng.integers(0, 2))
                files += [SignalFile.open(root / f.path, (-level, commit)) for f in written(root, runs, level)]
        self.snapshot = Snapshot.of(1, files)
        made = [[row[k] for row in columns] for k in range(4)]
        self.table = pa.table(
            {
                "point": pa.array(made[0], pa.int64()),
                "time": pa.array(made[1], pa.int64()),
                "value": pa.array(made[2], pa.float64()),
                "quality": pa.array(made[3], pa.int64()),
            }
        )
        starts = rng.integers(-100, 900_000, 6)
        self.start = starts.astype(np.int64)
        self.end = (starts + rng.integers(0, 400_000, 6)).astype(np.int64)

    def sql(self, query: str, **tables: pa.Table) -> pa.Table:
        with duckdb.connect() as con:
            con.register("samples", self.table)
            for name, table in tables.items():
                con.register(name, table)
            return con.sql(query).to_arrow_table()


drawn = given(seed=st.integers(0, 2**32))
quick = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp()


def fresh(folder: Path) -> Path:
    import uuid

    return folder / uuid.uuid4().hex


@quick
@drawn
def test_windows_of_files_agree_with_duckdb(folder: Path, seed: int) -> None:
    case = Drawn(fresh(folder), seed)
    windows = pa.table({"w": np.arange(len(case.start)), "a": case.start, "b": case.end})
    want = case.sql(
        """select w, point, count(*) n, avg(value) mean, min(value) min, max(value) max, stddev_samp(value) std,
                  regr_slope(value, (time - 0) / 3.6e9) slope, min(time) first_time, max(time) last_time
           from samples, windows where time >= a and time < b and quality = 0 and value is not null group by w, point""",
        windows=windows,
    ).to_pylist()
    got = features_of(case.snapshot, dict.fromkeys(range(1, 5), as_stored), case.start, case.end, FEATURES)
    assert int((got["n"] > 0).sum()) == len(want)
    for row in want:
        cell = row["point"] - 1, row["w"]
        assert got["n"][cell] == row["n"]
        assert got["min"][cell] == row["min"]
        assert got["max"][cell] == row["max"]
        assert got["mean"][cell] == pytest.approx(row["mean"], rel=1e-12, abs=1e-12)
        if row["n"] > 1:
            assert got["std"][cell] == pytest.approx(row["std"], rel=1e-9, abs=1e-9)
        if row["slope"] is not None and row["last_time"] > row["first_time"]:
            assert got["slope"][cell] == pytest.approx(row["slope"], rel=1e-6, abs=1e-6 * abs(row["slope"]) + 1e-3)
        samples = read_samples(case.snapshot, row["point"], int(case.start[row["w"]]), int(case.end[row["w"]]))
        usable = samples.usable()
        usable = usable[~np.isnan(usable)]
        assert (got["first"][cell], got["last"][cell]) == (usable[0], usable[-1])


@quick
@drawn
def test_parts_of_files_add_up_to_the_same_in_any_order_and_after_a_journey_as_text(folder: Path, seed: int) -> None:
    case = Drawn(fresh(folder), seed)
    units = dict.fromkeys(range(1, 5), as_stored)
    wanted = features_of(case.snapshot, units, case.start, case.end, FEATURES, threads=1)
    batches = []
    for task, _ in reversed(tasks(case.snapshot, units, case.start, case.end, FEATURES)):
        batches += list(window_parts(FileTask.of(task.text())))
    parts = pa.Table.from_batches(batches, schema=PARTS_SCHEMA)
    got = put_together(parts, [1, 2, 3, 4], len(case.start), FEATURES)
    for feature in FEATURES:
        np.testing.assert_allclose(got[feature], wanted[feature], rtol=1e-9, atol=1e-9)


@quick
@drawn
def test_a_range_holds_every_sample_in_order_of_time(folder: Path, seed: int) -> None:
    case = Drawn(fresh(folder), seed)
    for point in range(1, 5):
        want = case.sql(f"select time, value, quality from samples where point = {point} order by time")
        got = read_samples(case.snapshot, point)
        assert got.time.tolist() == want["time"].to_pylist()
        pairs = sorted(zip(got.time.tolist(), np.nan_to_num(got.value, nan=1e9).tolist(), got.quality.tolist(), strict=True))
        rows = want.to_pylist()
        assert pairs == sorted((r["time"], 1e9 if r["value"] is None else r["value"], r["quality"]) for r in rows)
        part = read_samples(case.snapshot, point, 100_000, 400_000)
        assert part.time.tolist() == [t for t in got.time.tolist() if 100_000 <= t < 400_000]


@quick
@drawn
def test_a_trend_loses_no_extreme_no_count_and_no_bad_reading(folder: Path, seed: int) -> None:
    case = Drawn(fresh(folder), seed)
    begin, end, buckets = -60_000, 1_000_000, 37
    width = -(-(end - begin) // buckets)
    for point in range(1, 5):
        want = case.sql(
            f"""select (time - {begin}) // {width} b, count(*) n, max(quality) worst,
                       min(value) filter (quality = 0) lo, max(value) filter (quality = 0) hi, min(time) f, max(time) l
                from samples where point = {point} and time >= {begin} and time < {end} group by b order by b"""
        ).to_pylist()
        got = trend_of(case.snapshot, point, begin, end, buckets)
        assert ((np.asarray(got.start, dtype=np.int64) - begin) // width).tolist() == [r["b"] for r in want]
        assert got.count.tolist() == [r["n"] for r in want]
        assert got.worst.tolist() == [r["worst"] for r in want]
        assert [None if np.isnan(x) else x for x in got.minimum] == [r["lo"] for r in want]
        assert [None if np.isnan(x) else x for x in got.maximum] == [r["hi"] for r in want]
        assert (got.first_time.tolist(), got.last_time.tolist()) == ([r["f"] for r in want], [r["l"] for r in want])


def test_a_line_breaks_where_nothing_came_for_long() -> None:
    time = np.concatenate((np.arange(0, 1000, 10), np.arange(5000, 6000, 10)))
    got = downsample(time, np.ones(200), np.zeros(200, np.int64), 60)
    assert got.start[got.broken].tolist() == [5000]
    assert not downsample(np.arange(0, 90, 10), np.ones(9), np.zeros(9, np.int64), 900).broken.any()


def test_noise_on_a_level_far_from_the_first_count_keeps_its_spread(tmp_path: Path) -> None:
    plant = SignalsOnDisk(tmp_path, [Tag("p")])
    values = [0.0] + [1e9 + k % 2 for k in range(1000)]
    plant.commit(Run(1, range(1001), values, scale=Scale()))
    got = features_of(FileIndex(plant.folder).snapshot(), {1: as_stored}, np.array([1]), np.array([2000]), ("n", "mean", "std"))
    assert got["mean"][0, 0] == 1e9 + 0.5
    assert got["std"][0, 0] == pytest.approx(np.std(values[1:], ddof=1), rel=1e-12)


@pytest.mark.parametrize("buckets", [3, 7, 40, 400])
def test_a_trend_from_sketches_has_the_extremes_of_the_samples(tmp_path: Path, buckets: int) -> None:
    rng = np.random.default_rng(3)
    files = []
    for part in range(3):
        time = (np.arange(40_000) + 40_000 * part) * 500_000 + rng.integers(0, 400, 40_000) * 1000
        time[20_000:] += 90_000_000_000 if part == 2 else 0
        quality = np.where(rng.random(40_000) < 0.001, BAD, 0)
        runs = [Run(1, time, np.round(rng.normal(700, 5, 40_000), 1), quality, Scale(divisor=10.0)), Run(2, [part], [1.0])]
        for file in written(tmp_path, runs, 3):
            assert write_sketch(tmp_path / file.path) == (file.rows > 1)
            files.append(SignalFile.open(tmp_path / file.path, (part,)))
    late = Run(1, [777_000_000, 30_000_000_000], [-5.0, 2000.0], 0, Scale(divisor=10.0))
    files.append(SignalFile.open(tmp_path / written(tmp_path, [late])[0].path, (9,)))
    snapshot = Snapshot.of(1, files)
    start, end = 1_234_567, 140_000_000_000
    got = trend_of(snapshot, 1, start, end, buckets)
    samples = read_samples(snapshot, 1, start, end)
    origin = start if got.width % 4_096_000_000 else start // got.width * got.width
    edges = origin + got.width * np.arange(-(-(end - origin) // got.width) + 1)
    want = bucketed(samples.time, samples.usable(), samples.quality, edges, got.width)
    assert len(got.start) <= buckets + 1
    for name in ("minimum", "maximum", "worst", "count", "first", "last", "first_time", "last_time", "broken"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name), err_msg=name)


def test_a_damaged_sketch_is_not_believed(tmp_path: Path) -> None:
    (file,) = written(tmp_path, [Run(1, np.arange(40_000) * 1_000_000, np.ones(40_000), 0, Scale())], 3)
    opened = SignalFile.open(tmp_path / file.path)
    assert write_sketch(opened.path)
    place = opened.path.with_suffix(".sketch")
    whole = place.read_bytes()
    for damaged in (whole[:-8], b"", b"x" + whole[1:], whole[:20]):
        place.write_bytes(damaged)
        assert read_sketch(opened) is None
        assert trend_of(Snapshot.of(1, [opened]), 1, 0, 40_000_000_000, 2).count.sum() == 40_000

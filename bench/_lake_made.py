"""Lakes for the bench: the seeded plant by the library's own writer, the same ten times as long, and one point over a year."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench._plant_signals import BEGIN, HOURS, TAGS, tag_samples

DATASET = "plant"
DAY = 86_400_000_000
YEAR_BEGIN = BEGIN // DAY * DAY
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_plant(root: Path, assets: int, hours: float = HOURS, times: int = 1) -> int:
    """Write the plant as day files, one per asset; `times` above 1 adds the same samples that many times, later each time.

    Returns:
        Samples written.
    """
    from madang.connect import Tag
    from madang.library._lake import Lake
    from madang.library._signals._book import Book
    from madang.library._signals._commit import LiveTable
    from madang.library._signals._last import LastValues
    from madang.library._signals._layout import TABLE_SCHEMA
    from madang.library._signals._points import add_points, make_live_dataset
    from madang.library._signals._samples import Samples, sort
    from madang.library._signals._sketch import write_sketch
    from madang.library._signals._write import write_samples
    from madang.library._state import State

    root.mkdir(parents=True)
    lake, state = Lake(root / "lake"), State(root)
    with state.begin() as db:
        dataset = make_live_dataset(db, lake, DATASET, "signals", NOW)
        tags = [Tag(f"A{a:03d}.T{t:03d}", unit="℃") for a in range(assets) for t in range(TAGS)]
        add_points(db, dataset.id, "plc", tags, NOW)
    table = LiveTable(lake, f"{dataset.folder}/signals", TABLE_SCHEMA)
    book = Book([], dict.fromkeys(range(1, assets * TAGS + 1), "℃"), dict)
    rows = 0
    with LastValues.open(lake.root / "last" / f"{dataset.folder}.bin", writable=True) as last:
        for asset in range(assets):
            made = [tag_samples(asset, tag, hours) for tag in range(TAGS)]
            lengths = [len(t) for t, _ in made]
            point = np.repeat(np.arange(asset * TAGS + 1, (asset + 1) * TAGS + 1, dtype=np.int32), lengths)
            time, number = np.concatenate([t for t, _ in made]), np.concatenate([v for _, v in made])
            quality = np.zeros(len(point), np.uint32)
            for again in range(times):
                shifted = time + again * int(hours * 3_600_000_000)
                files = write_samples(table.folder, sort(Samples(point, shifted, number, quality)), book, level=3)
                table.commit(files, [], NOW)
                for file in files:
                    write_sketch(table.folder / file.path)
                rows += len(point)
                last.put(point, shifted, int(shifted.max()), number, quality)
    state.close()
    return rows


def make_year(root: Path, days: int, points: int = 3) -> int:
    """Write points at 1 Hz, a file a day, each with its sketch; return the samples of one point."""
    from madang.connect import Tag
    from madang.library._lake import ROW_GROUP, Lake
    from madang.library._signals._commit import LiveTable
    from madang.library._signals._layout import TABLE_SCHEMA, SignalFileWriter
    from madang.library._signals._points import add_points, make_live_dataset
    from madang.library._signals._scales import Scale
    from madang.library._signals._sketch import write_sketch
    from madang.library._state import State

    root.mkdir(parents=True)
    lake, state = Lake(root / "lake"), State(root)
    with state.begin() as db:
        dataset = make_live_dataset(db, lake, DATASET, "signals", NOW)
        add_points(db, dataset.id, "plc", [Tag(f"Y{k}", unit="℃") for k in range(points)], NOW)
    table = LiveTable(lake, f"{dataset.folder}/signals", TABLE_SCHEMA)
    rng = np.random.default_rng(365)
    seconds = np.arange(86_400)
    point = np.repeat(np.arange(1, points + 1, dtype=np.int32), len(seconds))
    version = np.zeros(len(point), dtype=np.int32)
    for day in range(days):
        time = np.tile(YEAR_BEGIN + day * DAY + seconds * 1_000_000, points)
        level = 7000 + 300 * np.sin(np.tile(seconds, points) / 9000 + day)
        counts = np.round(level + rng.normal(0, 3, len(point))).astype(np.int32)
        writer = SignalFileWriter(table.folder, "counts", level=3, milliseconds=True)
        for begin in range(0, len(point), ROW_GROUP):
            part = slice(begin, begin + ROW_GROUP)
            writer.write(point[part], time[part], pa.array(counts[part]), None, version[part], [Scale(divisor=10.0, unit="℃")])
        file = writer.close()
        table.commit([file], [], NOW)
        write_sketch(table.folder / file.path)
    state.close()
    return days * 86_400


def table_folder(root: Path) -> Path:
    """Return the folder of the lake's only signals table."""
    return next((root / "lake" / "tables").glob("*/signals"))

"""Small exports as files, read the way a workspace reads them: the layout of the first file is the template of the next."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from madang.connect import Layout, ReadOptions, TableReader, Tally, find_tables, open_table
from madang.library import PartCard, ReadResult
from madang.models._assemble import read_of
from madang.models._model import SavedModel
from madang.models._predict import predict


def write_csv(path: Path, header: Sequence[str], columns: Sequence[Sequence[object]]) -> Path:
    """Write columns as a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(zip(*columns, strict=True))
    return path


def opened(path: Path, template: Layout | None = None) -> TableReader:
    """Open the one table of a file."""
    options = ReadOptions(keep_duplicates=template is not None)
    return open_table(next(iter(find_tables([path], options))), options, template)


def read(path: Path) -> ReadResult:
    """Read a file as the library would hand it to a study."""
    reader = opened(path)
    chunks = list(reader.chunks())
    plain = read_of(pa.Table.from_batches([c.rows for c in chunks]), dataset=path.stem)
    part = PartCard(0, path.name, "0" * 64, reader.layout, Tally(*(4 * [0])), None, None)
    return replace(plain, parts=(part,))


def predicted(model: SavedModel, path: Path) -> str:
    """Answer a file and return the lines."""
    out = io.StringIO()
    predict(model, [opened(path, model.layouts[0])], out)
    return out.getvalue()


def stamps(count: int, minutes: int = 15) -> list[str]:
    """Instants as an export writes them, from 2024-03-04 00:00."""
    start = np.datetime64("2024-03-04T00:00", "m")
    return [str(start + np.timedelta64(minutes * k, "m")).replace("T", " ") for k in range(count)]


def load_curve(count: int, seed: int = 0) -> tuple[list[str], list[float], list[float]]:
    """A daily load with weekends, and a reading that follows it."""
    rng = np.random.default_rng(seed)
    place = np.arange(count)
    hour = (place / 4) % 24
    weekday = (place // 96) % 7
    level = 40 + 30 * np.sin((hour - 8) / 24 * 2 * np.pi) * (weekday < 5)
    noise = np.zeros(count)
    for k in range(1, count):
        noise[k] = 0.8 * noise[k - 1] + rng.normal(0, 3)
    load = level + noise
    return (
        stamps(count),
        [round(float(v), 3) for v in load],
        [round(float(v), 3) for v in load * 0.4 + rng.normal(0, 0.5, count)],
    )

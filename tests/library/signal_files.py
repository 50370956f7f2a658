"""Small signals datasets for tests, written by the library's own layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from madang.connect import Tag
from madang.library import Library
from madang.library._lake import ROW_GROUP, Lake
from madang.library._signals._commit import LiveTable, add_action, remove_action
from madang.library._signals._layout import TABLE_SCHEMA, FileKind, SignalFile, SignalFileWriter
from madang.library._signals._points import add_points, make_live_dataset
from madang.library._signals._scales import Scale
from madang.library._state import State

NOW = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000


@dataclass(frozen=True)
class Run:
    """Samples of one point: times [us], values (None = the source gave none) or texts, qualities."""

    point: int
    time: Sequence[int] | NDArray[np.int64]
    value: Sequence[float | str | None] | NDArray[np.float64]
    quality: Sequence[int] | NDArray[np.int64] | int = 0
    scale: Scale | None = None
    """How the values become counts; None keeps them as float64."""


class SignalsOnDisk:
    """A workspace with one signals dataset."""

    def __init__(self, root: Path, tags: Sequence[Tag] = (), dataset: str = "kiln", connection: str = "plc") -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.lake = Lake(root / "lake")
        self.state = State(root)
        with self.state.begin() as db:
            self.dataset = make_live_dataset(db, self.lake, dataset, "signals", NOW)
            self.points: Mapping[str, int] = add_points(db, self.dataset.id, connection, tags, NOW)
        self.table = LiveTable(self.lake, f"{self.dataset.folder}/signals", TABLE_SCHEMA)
        self.folder = self.table.folder

    def library(self) -> Library:
        """Open the workspace at a fixed time."""
        return Library.open(self.root, clock=lambda: NOW, zone="Asia/Seoul")

    def commit(self, *runs: Run, level: int = 0) -> list[SignalFile]:
        """Write one commit."""
        files = self.write(runs, level)
        self.table.commit(files, [], NOW)
        return files

    def write(self, runs: Sequence[Run], level: int = 0) -> list[SignalFile]:
        """Write files without a commit."""
        return written(self.folder, runs, level)

    def resort(self, old: Sequence[SignalFile], *runs: Run, level: int) -> list[SignalFile]:
        """Replace files by others with the same samples."""
        files = self.write(runs, level)
        with self.table.lock.held():
            self.table.log.refresh()
            time_ms = self.table.log.next_time(int(NOW.timestamp() * 1000))
            actions = [remove_action(f.path, f.size, time_ms) for f in old]
            actions += [add_action(f, time_ms, data_change=False) for f in files]
            assert self.table.log.append(actions, operation="OPTIMIZE", time_ms=time_ms)
        return files


def written(folder: Path, runs: Sequence[Run], level: int = 0) -> list[SignalFile]:
    """Write runs into a folder, one file for each kind."""
    found = []
    kinds: tuple[FileKind, ...] = ("counts", "numbers", "texts")
    for kind in kinds:
        mine = sorted((r for r in runs if len(r.time) and _kind(r) == kind), key=lambda r: (r.point, r.time[0]))
        if mine:
            found.append(_write(folder, kind, mine, level))
    return found


def _kind(run: Run) -> FileKind:
    if any(isinstance(v, str) for v in run.value):
        return "texts"
    return "numbers" if run.scale is None and any(v is not None for v in run.value) else "counts"


def _write(folder: Path, kind: FileKind, runs: Sequence[Run], level: int) -> SignalFile:
    whole = all((np.asarray(r.time, dtype=np.int64) % 1000 == 0).all() for r in runs)
    writer = SignalFileWriter(folder, kind, level=level, milliseconds=whole)
    scales: list[Scale] = []
    index, values, qualities = [], [], []
    for run in runs:
        scale = run.scale or Scale()
        if scale not in scales:
            scales.append(scale)
        index.append(scales.index(scale))
        if kind == "counts":
            counts = [None if v is None else round((float(v) - scale.offset) * scale.divisor / scale.scale) for v in run.value]
            values.append(pa.array(counts, pa.int32()))
        else:
            values.append(pa.array(list(run.value), pa.float64() if kind == "numbers" else pa.string()))
        qualities.append(np.broadcast_to(np.asarray(run.quality, dtype=np.uint32), len(run.time)))
    lengths = [len(r.time) for r in runs]
    point = np.repeat(np.array([r.point for r in runs], np.int32), lengths)
    version = np.repeat(np.array(index, np.int32), lengths)
    time = np.concatenate([np.asarray(r.time, dtype=np.int64) for r in runs])
    value, quality = pa.concat_arrays(values), np.concatenate(qualities)
    for begin in range(0, len(point), ROW_GROUP):
        part = slice(begin, begin + ROW_GROUP)
        writer.write(point[part], time[part], value[part], quality[part], version[part], scales)
    return writer.close()

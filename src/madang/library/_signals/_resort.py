"""Small files of many commits become large sorted ones: the same samples, found faster, in fewer bytes.

Level 0 are commits, 1 about sixteen of those, 2 an hour, 3 a day. The oldest files are always taken first, so a file of a higher level
holds what arrived earlier than any of a lower one. The old files stay on disk for readers that hold them open and for time travel.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from madang.errors import Json
from madang.library._lake import FILE_ROWS, ROW_GROUP, sync_folder
from madang.library._signals._commit import LiveTable, add_action, remove_action
from madang.library._signals._layout import FileKind, Footer, SignalFile, SignalFileWriter, read_runs
from madang.library._signals._samples import Samples, sort
from madang.library._signals._scales import Int32Array, IntArray, Scale
from madang.library._signals._sketch import write_sketch

GATHER: Final = 16
"""Commits that make a file of level 1."""
_AT_ONCE: Final = 2_000_000
"""Samples that are held in memory."""
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
HIGHEST: Final = 3
SKETCHED: Final = 2
"""From this level on files have a sketch beside them, for trends over long spans."""


Keep: TypeAlias = "Callable[[Part], Part]"
"""Chooses samples of a part."""


@dataclass(frozen=True)
class Resorted:
    """What a re-sort did."""

    files_before: int
    files_after: int
    samples: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class Input:
    path: str
    size: int
    arrived: int
    """Time of its commit [ms since 1970]; of a re-sorted file, that of its newest commit."""
    footer: Footer


def resort(
    table: LiveTable,
    now: datetime,
    *,
    everything: bool = False,
    pause: Callable[[float], None] = time.sleep,
    share: float = 1.0,
) -> Resorted:
    """Gather what is due: sixteen commits, an hour that is over, a day that is over.

    Args:
        table: The table of a signals dataset.
        now: The time; an hour and a day are over by it.
        everything: Gather all files into the highest level, whatever their age.
        pause: Waits some seconds; for `share`.
        share: Share of the time in which it works, from 0 to 1; it rests between stretches, so that the intake keeps its pace.

    Returns:
        What was done, over all gatherings.
    """
    at = int(now.timestamp() * 1000)
    total = Resorted(0, 0, 0, 0, 0)
    while True:
        inputs = inputs_of(table)
        group = _everything(inputs) if everything else _due(inputs, at)
        if group is None:
            return total
        level, chosen = group
        begun = time.perf_counter()
        made = [f for kind in ("counts", "numbers", "texts") for f in write_anew(table.folder, kind, chosen, level)]
        if not replace_files(table, chosen, made):
            return total
        if level >= SKETCHED:
            for file in made:
                with contextlib.suppress(OSError):  # it only repeats its file
                    write_sketch(table.folder / file.path)
        total = Resorted(
            total.files_before + len(chosen),
            total.files_after + len(made),
            total.samples + sum(f.rows for f in made),
            total.bytes_before + sum(i.size for i in chosen),
            total.bytes_after + sum(f.size for f in made),
        )
        if share < 1.0:
            pause((time.perf_counter() - begun) * (1.0 / share - 1.0))


def inputs_of(table: LiveTable) -> list[Input]:
    found = [
        Input(path, int(str(a["size"])), int(str(a["modificationTime"])), Footer.of(pq.read_metadata(table.folder / path)))
        for path, a in table.live().items()
    ]
    return sorted(found, key=lambda i: (-i.footer.level, i.arrived, i.path))


def _everything(inputs: Sequence[Input]) -> tuple[int, list[Input]] | None:
    kinds = [i.footer.kind for i in inputs]
    done = len(kinds) == len(set(kinds)) and all(i.footer.level == HIGHEST for i in inputs)
    if not inputs or done or not any(i.footer.level < HIGHEST for i in inputs):
        return None
    return HIGHEST, list(inputs)


def _due(inputs: Sequence[Input], now: int) -> tuple[int, list[Input]] | None:
    """Return the oldest group that is due, and its level: a day, else an hour, else sixteen commits."""
    for level, length in ((3, _DAY_MS), (2, _HOUR_MS)):
        spans: dict[int, list[Input]] = defaultdict(list)
        for one in inputs:
            if one.footer.level < level:
                spans[one.arrived // length].append(one)
        for span in sorted(spans):
            if (span + 1) * length <= now:
                return level, spans[span]
            break
    commits: dict[int, list[Input]] = defaultdict(list)
    for one in inputs:
        if one.footer.level == 0:
            commits[one.arrived].append(one)
    if len(commits) < GATHER:
        return None
    # Sixteen of one hour: a file never reaches over the end of an hour.
    first = min(commits) // _HOUR_MS
    chosen = [c for c in sorted(commits) if c // _HOUR_MS == first][:GATHER]
    return 1, [i for c in chosen for i in commits[c]]


def replace_files(
    table: LiveTable,
    old: Sequence[Input],
    new: Sequence[SignalFile],
    *,
    data_change: bool = False,
    operation: str = "OPTIMIZE",
    marks: Sequence[str] = (),
) -> bool:
    """Put files in the place of others in one commit, with marks that say so; False when another process did it in the meantime."""
    sync_folder(table.folder)
    arrived = max(i.arrived for i in old)
    # Of samples with one time but of two kinds, the kind that arrived last goes on to stand last.
    newest = {kind: max(i.arrived for i in old if i.footer.kind == kind) for kind in {i.footer.kind for i in old}}
    with table.lock.held():
        while True:
            live = table.live()
            if any(i.path not in live for i in old):
                table.discard(new)
                return False
            time_ms = table.log.next_time(arrived)
            actions = [remove_action(i.path, i.size, time_ms, data_change=data_change) for i in old]
            actions += [add_action(f, newest.get(f.kind, arrived), data_change=data_change) for f in new]
            actions += [{"txn": {"appId": mark, "version": 1, "lastUpdated": time_ms}} for mark in marks]
            if table.log.append(actions, operation=operation, time_ms=time_ms):
                break
        if table.log.checkpoint_due():
            table.log.checkpoint()
    return True


def write_anew(
    folder: Path, kind: FileKind, inputs: Sequence[Input], level: int, keep: Keep | None = None, thinned: int = 0
) -> list[SignalFile]:
    """Write the samples of one kind anew, point range by point range; where `keep` says so, only those that it returns."""
    mine = [i for i in inputs if i.footer.kind == kind]
    if not mine:
        return []
    milliseconds = all(pq.read_schema(folder / i.path).field("time").type.unit == "ms" for i in mine)
    made: list[SignalFile] = []
    writer: SignalFileWriter | None = None
    rows = 0
    try:
        for points in ranges(mine):
            part = Part.read(folder, mine, points)
            if keep is not None:
                part = keep(part)
                if len(part) == 0:
                    continue
            if writer is not None and rows + len(part) > FILE_ROWS:
                made.append(writer.close())
                writer, rows = None, 0
            if writer is None:
                writer = SignalFileWriter(folder, kind, level=level, milliseconds=milliseconds, thinned=thinned)
            part.write(writer)
            rows += len(part)
        if writer is not None:
            made.append(writer.close())
        return made
    except BaseException:
        if writer is not None:
            writer.discard()
        for file in made:
            (folder / file.path).unlink(missing_ok=True)
        raise


def ranges(inputs: Sequence[Input]) -> list[tuple[int, int]]:
    """Ranges of points, first and last, that hold about as many samples as fit."""
    points = np.concatenate([i.footer.points for i in inputs])
    rows = np.concatenate([np.diff(i.footer.rows) for i in inputs])
    known, place = np.unique(points, return_inverse=True)
    sizes = np.bincount(place, weights=rows)
    group = (np.cumsum(sizes) - sizes) // _AT_ONCE
    heads = np.flatnonzero(np.diff(group, prepend=-1.0))
    tails = np.append(heads[1:], len(known)) - 1
    return [(int(known[a]), int(known[b])) for a, b in zip(heads, tails, strict=True)]


@dataclass(frozen=True)
class Part:
    """The samples of a range of points, in the order of their arrival."""

    samples: Samples
    value: pa.Array
    version: Int32Array
    scales: Sequence[Scale]

    def __len__(self) -> int:
        return len(self.samples)

    @classmethod
    def read(cls, folder: Path, inputs: Sequence[Input], points: tuple[int, int]) -> Part:
        """Read a range of points of all files, oldest arrival first."""
        scales: dict[Scale, int] = {}
        columns: list[tuple[Int32Array, IntArray, pa.Array, IntArray, Int32Array]] = []
        for one in inputs:
            footer = one.footer
            low, high = np.searchsorted(footer.points, points[0]), np.searchsorted(footer.points, points[1], side="right")
            if low == high:
                continue
            table = read_runs(folder / one.path, footer, np.arange(low, high))
            index = np.array([scales.setdefault(s, len(scales)) for s in footer.versions], dtype=np.int32)
            value = table.column(2).combine_chunks()
            columns.append(
                (
                    table["point"].to_numpy().astype(np.int32),
                    table["time"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy(),
                    value.combine_chunks() if isinstance(value, pa.ChunkedArray) else value,
                    table["quality"].to_numpy(),
                    index[footer.version[table["run"].to_numpy()]],
                )
            )
        point, times, values, quality, version = zip(*columns, strict=True)
        samples = Samples(
            np.concatenate(point),
            np.concatenate(times),
            np.empty(0),
            np.concatenate(quality).astype(np.uint32),
        )
        return cls(samples, pa.concat_arrays(values), np.concatenate(version), tuple(scales))

    def some(self, which: IntArray) -> Part:
        """Return the samples at some places, in their order."""
        of = self.samples
        samples = Samples(of.point[which], of.time[which], of.number, of.quality[which])
        return Part(samples, self.value.take(pa.array(which)), self.version[which], self.scales)

    def write(self, writer: SignalFileWriter) -> None:
        """Write them sorted."""
        ordered = sort(self.samples)
        for begin in range(0, len(ordered), ROW_GROUP):
            part = ordered.order[begin : begin + ROW_GROUP]
            quality = self.samples.quality[part]
            writer.write(
                self.samples.point[part],
                ordered.time[begin : begin + ROW_GROUP],
                self.value.take(pa.array(part)),
                quality if quality.any() else None,
                self.version[part],
                self.scales,
            )


def levels(files: Mapping[str, dict[str, Json]]) -> dict[int, int]:
    """Count live files by level, as their names say."""
    counted: dict[int, int] = defaultdict(int)
    for path in files:
        counted[int(path[1 : path.index("-")])] += 1
    return dict(counted)

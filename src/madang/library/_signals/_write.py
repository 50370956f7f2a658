"""Sorted samples become files: counts where a scale holds a number exactly, else numbers; texts; no value as counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from madang.library._lake import ROW_GROUP
from madang.library._signals._book import Book
from madang.library._signals._layout import FileKind, SignalFile, SignalFileWriter
from madang.library._signals._samples import BoolArray, Samples, Sorted, gathered
from madang.library._signals._scales import LARGEST, FloatArray, Int32Array, IntArray, Scale


def write_samples(folder: Path, ordered: Sorted, book: Book, *, level: int = 0) -> list[SignalFile]:
    """Write samples as sorted, flushed files; the caller flushes the folder and commits.

    Args:
        folder: The table's folder.
        ordered: The samples, at least one.
        book: Scales of the points; points without one get their first, and points are looked at again with what came.
        level: Level of the files.
    """
    files = Files(folder, level, _whole_milliseconds(ordered.time))
    try:
        if ordered.samples.text is not None:
            there = ordered.samples.text.is_valid().to_numpy(zero_copy_only=False)[ordered.order]
            if there.any():
                _write_texts(files, ordered.some(there))
                ordered = ordered.some(~there)
        if len(ordered):
            _write_numbers(files, ordered, book)
        return files.close()
    except BaseException:
        files.discard()
        raise


class Files:
    """The files of one commit, each begun when the first sample of its kind comes."""

    def __init__(self, folder: Path, level: int, milliseconds: bool) -> None:
        self._folder = folder
        self._level = level
        self._milliseconds = milliseconds
        self._open: dict[FileKind, SignalFileWriter] = {}

    def of(self, kind: FileKind) -> SignalFileWriter:
        """Return the writer of a kind."""
        if kind not in self._open:
            self._open[kind] = SignalFileWriter(self._folder, kind, level=self._level, milliseconds=self._milliseconds)
        return self._open[kind]

    def close(self) -> list[SignalFile]:
        """Finish and flush all."""
        return [writer.close() for writer in self._open.values()]

    def discard(self) -> None:
        """Give all up."""
        for writer in self._open.values():
            writer.discard()


def _whole_milliseconds(time: IntArray) -> bool:
    return not any(
        (part - part // 1000 * 1000).any() for part in (time[i : i + ROW_GROUP] for i in range(0, len(time), ROW_GROUP))
    )


def _write_texts(files: Files, ordered: Sorted) -> None:
    samples = ordered.samples
    assert samples.text is not None
    plain = np.zeros(ROW_GROUP, dtype=np.int32)
    for begin in range(0, len(ordered), ROW_GROUP):
        part, time = ordered.order[begin : begin + ROW_GROUP], ordered.time[begin : begin + ROW_GROUP]
        text = samples.text.take(pa.array(part))
        text = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
        files.of("texts").write(samples.point[part], time, text, samples.quality[part], plain[: len(part)], (Scale(),))


def _write_numbers(files: Files, ordered: Sorted, book: Book) -> None:
    samples = ordered.samples
    runs = _Runs(ordered, book)
    scales = [*book.scales, Scale()]
    table = np.array([(s.scale, s.divisor, s.offset, s.rounding == 32) for s in scales])
    misfits = np.zeros(len(runs.starts), dtype=np.int64)
    strange = _Strange(files, samples, scales)
    good = _Quality(samples)
    for begin in range(0, len(ordered), ROW_GROUP):
        part, time = ordered.order[begin : begin + ROW_GROUP], ordered.time[begin : begin + ROW_GROUP]
        window = runs.window(begin, len(part))
        point, version = window.points(), window.versions()
        found, exact = _counts(gathered(samples.number, part), version, window.used, table)
        mask = None
        if samples.absent is not None:
            mask = samples.absent[part]
            exact |= mask
            mask = mask if mask.any() else None
        if not exact.all():
            _keep_together(point, time, exact, mask)
            off = ~exact
            np.add.at(misfits, window.runs()[off], 1)
            strange.add(part[off], time[off], version[off])
            part, time, point, version, found = part[exact], time[exact], point[exact], version[exact], found[exact]
            mask = None if mask is None else mask[exact]
        if len(part):
            files.of("counts").write(point, time, pa.array(found, mask=mask), good.of(part), version, scales)
    strange.close()
    _look_again(ordered, runs, misfits, book)


class _Quality:
    """Quality codes of places; mostly all are good."""

    def __init__(self, samples: Samples) -> None:
        self._codes = samples.quality if samples.quality.any() else None

    def of(self, part: IntArray) -> NDArray[np.uint32] | None:
        """Return the codes, None where all are good."""
        return None if self._codes is None else self._codes[part]


class _Strange:
    """Numbers that no scale holds, gathered into row groups of their own."""

    def __init__(self, files: Files, samples: Samples, scales: Sequence[Scale]) -> None:
        self._files = files
        self._samples = samples
        self._scales = scales
        self._parts: list[IntArray] = []
        self._times: list[IntArray] = []
        self._versions: list[Int32Array] = []
        self._count = 0

    def add(self, part: IntArray, time: IntArray, version: Int32Array) -> None:
        """Take samples."""
        self._parts.append(part)
        self._times.append(time)
        self._versions.append(version)
        self._count += len(part)
        if self._count >= ROW_GROUP:
            self.close()

    def close(self) -> None:
        """Write what is there."""
        if self._count == 0:
            return
        part, time, version = np.concatenate(self._parts), np.concatenate(self._times), np.concatenate(self._versions)
        of = self._samples
        for i in range(0, len(part), ROW_GROUP):
            some = slice(i, i + ROW_GROUP)
            at = part[some]
            values = pa.array(of.number[at])
            self._files.of("numbers").write(of.point[at], time[some], values, of.quality[at], version[some], self._scales)
        self._parts, self._times, self._versions, self._count = [], [], [], 0


class _Runs:
    """Stretches of one point under one scale; a scale of -1 is none yet, and stands for the plain one."""

    def __init__(self, ordered: Sorted, book: Book) -> None:
        self.starts, self.points = ordered.starts, ordered.points
        self.version = book.newest[self.points].copy()
        ends = np.append(self.starts[1:], len(ordered))
        for run in np.flatnonzero(self.version < 0).tolist():
            number = ordered.samples.number[ordered.order[self.starts[run] : ends[run]]]
            number = number[np.isfinite(number)]
            if len(number):
                self.version[run] = book.first_scale(int(self.points[run]), number)
        self._split(ordered.time, ends, book)
        self.ends = np.append(self.starts[1:], len(ordered))

    def _split(self, times: IntArray, ends: IntArray, book: Book) -> None:
        """Cut the runs in which another version of the point is valid first."""
        early = np.flatnonzero(times[self.starts] < book.since[self.points])
        if len(early) == 0:
            return
        columns = [[np.delete(c, early)] for c in (self.starts, self.points, self.version)]
        for run in early.tolist():
            time, point = times[self.starts[run] : ends[run]], int(self.points[run])
            cuts = {0, *np.searchsorted(time, book.thresholds(point)).tolist()}
            for place in sorted(c for c in cuts if c < len(time)):
                found = (self.starts[run] + place, point, book.version_at(point, int(time[place])))
                for column, value in zip(columns, found, strict=True):
                    column.append(np.array([value], dtype=column[0].dtype))
        starts, points, version = (np.concatenate(c) for c in columns)
        by_place = np.argsort(starts, kind="stable")
        self.starts, self.points, self.version = starts[by_place], points[by_place], version[by_place]

    def window(self, begin: int, count: int) -> _Window:
        """Return what of the runs lies in a stretch of samples."""
        low = int(np.searchsorted(self.starts, begin, side="right")) - 1
        high = int(np.searchsorted(self.starts, begin + count, side="left"))
        lengths = np.minimum(self.ends[low:high], begin + count) - np.maximum(self.starts[low:high], begin)
        return _Window(self, low, high, lengths)


@dataclass(frozen=True)
class _Window:
    """A stretch of samples and the runs in it."""

    of: _Runs
    low: int
    high: int
    lengths: IntArray

    @property
    def used(self) -> Int32Array:
        """The scales that occur."""
        return np.unique(self.of.version[self.low : self.high])

    def points(self) -> Int32Array:
        """Point of each sample."""
        return np.repeat(self.of.points[self.low : self.high], self.lengths)

    def versions(self) -> Int32Array:
        """Scale of each sample."""
        return np.repeat(self.of.version[self.low : self.high], self.lengths)

    def runs(self) -> IntArray:
        """Run of each sample."""
        return np.repeat(np.arange(self.low, self.high), self.lengths)


def _counts(number: FloatArray, version: Int32Array, used: Int32Array, table: FloatArray) -> tuple[Int32Array, BoolArray]:
    """Counts of samples, each by its scale, and where they give the number back bit by bit."""
    mine = table[used]
    scale, divisor, offset = (
        None if (mine[:, i] == plain).all() else (mine[0, i] if len(used) == 1 else table[:, i][version])
        for i, plain in enumerate((1.0, 1.0, 0.0))
    )
    with np.errstate(invalid="ignore", over="ignore"):
        raw = number.copy() if offset is None else number - offset
        if divisor is not None:
            raw *= divisor
        if scale is not None:
            raw /= scale
        np.rint(raw, out=raw)
        inside = np.abs(raw) <= LARGEST
        if not inside.all():
            raw[~inside] = 0.0
        found = raw.astype(np.int32)
        raw += 0.0
        if scale is not None:
            raw *= scale
        if divisor is not None:
            raw /= divisor
        if offset is not None:
            raw += offset
        if mine[:, 3].any():
            single = table[:, 3][version] > 0
            raw[single] = raw[single].astype(np.float32)
    inside &= raw.view(np.int64) == number.view(np.int64)
    return found, inside


def _keep_together(point: Int32Array, time: IntArray, exact: BoolArray, absent: BoolArray | None) -> None:
    """Let numbers of one point and time go the way of one that no scale holds, so that they stay in the order of their arrival."""
    same = (point[1:] == point[:-1]) & (time[1:] == time[:-1])
    if not same.any():
        return
    group = np.cumsum(np.append(True, ~same)) - 1
    strange = np.zeros(int(group[-1]) + 1, dtype=np.bool_)
    strange[group[~exact]] = True
    moved = strange[group]
    exact &= ~moved if absent is None else ~moved | absent


def _look_again(ordered: Sorted, runs: _Runs, misfits: IntArray, book: Book) -> None:
    """Tell the book until when points have numbers now, and what may ask for a better scale."""
    book.seen(runs.points, ordered.time[runs.ends - 1])
    young = np.fromiter((book.is_young(p) for p in runs.points.tolist()), dtype=np.bool_, count=len(runs.points))
    for run in np.flatnonzero((misfits > 0) | young).tolist():
        number = ordered.samples.number[ordered.order[runs.starts[run] : runs.ends[run]]]
        number = number[np.isfinite(number)]
        if len(number) and runs.version[run] >= 0:
            book.look_again(int(runs.points[run]), number, int(misfits[run]))

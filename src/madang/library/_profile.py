"""What a stream of chunks shows about each column, counted once while it is stored, in bounded memory."""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from madang.connect import ROW, LongColumns
from madang.errors import Json
from madang.library._cards import ColumnStats
from madang.plant import ValueFlag

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Tags: TypeAlias = tuple[list[str], Ints]
"""Names of a chunk's tags, and the place of each record's tag among them."""

SHIFT_HOURS = 8
"""Three shifts of eight hours."""
SHIFT_START_HOUR = 6
"""Local hour at which the first shift of a day begins; a setting of the workspace replaces it."""
_HOUR = 3_600_000_000
DISTINCT_CAP = 1000
"""Distinct values are counted up to here; beyond it a column has `many`."""
_SAMPLE = 8192
SKETCH = 256
"""Smallest record hashes kept of each part."""


def shift_of(times: pa.Array, zone: str, start_hour: int = SHIFT_START_HOUR) -> Ints:
    """Return the shift number of each UTC instant: shifts counted from local 1970-01-01 at the first shift's hour; -1 unknown."""
    local = pc.local_timestamp(times.cast(pa.timestamp("us", tz=zone)))
    ticks = local.cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy(zero_copy_only=False)
    known = ticks != np.iinfo(np.int64).min
    return np.where(known, (ticks - start_hour * _HOUR) // (SHIFT_HOURS * _HOUR), -1).astype(np.int64)


@dataclass
class ColumnProfile:
    """Counts and sums of one column (of a long table: of one tag)."""

    rows: int = 0
    nulls: int = 0
    n: int = 0
    flags: Counter[str] = field(default_factory=Counter)
    sums: list[float] = field(default_factory=list)
    low: float | None = None
    high: float | None = None
    distinct: set[object] = field(default_factory=set)
    many: bool = False
    rows_by_shift: Counter[int] = field(default_factory=Counter)
    missing_by_shift: Counter[int] = field(default_factory=Counter)
    flags_by_shift: dict[str, Counter[int]] = field(default_factory=dict)

    def add(self, column: pa.Array, shifts: Ints | None, doubtful: Mask | None = None) -> None:
        """Take the next values of the column, in source order; those whose source doubts them do not count as good."""
        self.rows += len(column)
        self.nulls += column.null_count
        if column.null_count and shifts is not None:
            _count(self.missing_by_shift, shifts[pc.is_null(column).to_numpy(zero_copy_only=False)])
        good = column if doubtful is None else column.filter(pa.array(~doubtful))
        self.n += len(good) - good.null_count
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            self._add_numbers(good)
        if not self.many and not pa.types.is_timestamp(column.type):
            self.distinct.update(v for v in pc.unique(column.slice(0, _SAMPLE)).to_pylist() if v is not None)
            if len(self.distinct) > DISTINCT_CAP:
                self.many, self.distinct = True, set()

    def _add_numbers(self, column: pa.Array) -> None:
        if len(column) == column.null_count:
            return
        ends = pc.min_max(column)
        low, high = float(ends["min"].as_py()), float(ends["max"].as_py())
        self.sums.append(float(pc.sum(column).as_py()))
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def remark(self, flag: str, count: int, shifts: Ints | None) -> None:
        """Count cells that carry a remark."""
        self.flags[flag] += count
        if shifts is not None:
            _count(self.flags_by_shift.setdefault(flag, Counter()), shifts)

    @property
    def bad(self) -> int:
        """Cells that held a code for a bad value."""
        return self.flags[ValueFlag.BAD]

    @property
    def stuck(self) -> int:
        """Cells whose value did not move for longer than the sensor's noise allows."""
        return self.flags[ValueFlag.STUCK]

    @property
    def stats(self) -> ColumnStats | None:
        """Sums over the good numbers, None for other columns."""
        if self.low is None or self.high is None:
            return None
        return ColumnStats(self.n, math.fsum(self.sums), self.low, self.high)


class TableProfile:
    """Profiles of all columns of one part, with its clock and its fingerprint.

    Args:
        time_column: Name of the time column, if the table has one.
        long: The long form's columns, when the table is long: profiles are then kept per tag.
        zone: IANA zone in which shifts are counted.
        shift_start: Local hour of the first shift.
    """

    def __init__(self, time_column: str | None, long: LongColumns | None, zone: str, shift_start: int) -> None:
        self.time_column = time_column
        self.long = long
        self.zone = zone
        self.shift_start = shift_start
        self.columns: dict[str, ColumnProfile] = {}
        self.rows = 0
        self.time_low: int | None = None
        self.time_high: int | None = None
        self.rows_by_shift: Counter[int] = Counter()
        self.instants_by_shift: Counter[int] = Counter()
        self._steps: list[Ints] = []
        self._sketch: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)

    def add(self, batch: pa.RecordBatch, flags: pa.RecordBatch) -> None:
        """Take the next chunk: stored values and the remarks on its cells."""
        self.rows += batch.num_rows
        rows: Ints = batch.column(ROW).to_numpy()
        shifts = self._clock(batch)
        tags: Tags | None = None
        doubtful = _doubtful(flags, rows)
        if self.long is None:
            for name in batch.schema.names:
                if not name.startswith("_"):
                    self.columns.setdefault(name, ColumnProfile()).add(batch.column(name), shifts, doubtful.get(name))
        else:
            tags = self._add_long(batch, self.long, shifts, doubtful.get(self.long.value))
        self._add_flags(flags, rows, shifts, tags)
        self._fingerprint(batch)

    def _clock(self, batch: pa.RecordBatch) -> Ints | None:
        if self.time_column is None or self.time_column not in batch.schema.names or not batch.num_rows:
            return None
        times = batch.column(self.time_column)
        if not pa.types.is_timestamp(times.type):
            return None
        shifts = shift_of(times, self.zone, self.shift_start)
        _count(self.rows_by_shift, shifts)
        ticks: Ints = times.drop_null().cast(pa.int64()).to_numpy()
        if not len(ticks):
            return shifts
        self.time_low = int(ticks.min()) if self.time_low is None else min(self.time_low, int(ticks.min()))
        self.time_high = int(ticks.max()) if self.time_high is None else max(self.time_high, int(ticks.max()))
        steps: Ints = np.ediff1d(ticks).astype(np.int64)
        if times.null_count or (steps <= 0).any():
            ticks = np.unique(ticks)
            steps = np.ediff1d(ticks).astype(np.int64)
            instants = pa.array(ticks, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
            _count(self.instants_by_shift, shift_of(instants, self.zone, self.shift_start))
        else:
            _count(self.instants_by_shift, shifts)
        if len(self._steps) < 8:
            self._steps.append(steps)
        return shifts

    def _add_long(self, batch: pa.RecordBatch, long: LongColumns, shifts: Ints | None, doubtful: Mask | None) -> Tags:
        tags = batch.column(long.tag).cast(pa.string()).fill_null("").dictionary_encode()
        codes: Ints = tags.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(tags.dictionary) + 1))
        values = batch.column(long.value).take(pa.array(order))
        sorted_shifts = None if shifts is None else shifts[order]
        names = tags.dictionary.to_pylist()
        for code, name in enumerate(names):
            low, high = int(bounds[code]), int(bounds[code + 1])
            column = self.columns.setdefault(name, ColumnProfile())
            part = None if sorted_shifts is None else sorted_shifts[low:high]
            column.add(values.slice(low, high - low), part, None if doubtful is None else doubtful[order[low:high]])
            if part is not None:
                _count(column.rows_by_shift, part)
        if self.time_column is not None and self.time_column in batch.schema.names:
            self.columns.setdefault(self.time_column, ColumnProfile()).add(batch.column(self.time_column), shifts)
        return names, codes

    def _add_flags(self, flags: pa.RecordBatch, rows: Ints, shifts: Ints | None, tags: Tags | None) -> None:
        """Count remarks by column and kind; a remark on a record that is not in the chunk has no shift and no tag."""
        if not flags.num_rows or not len(rows):
            return
        flagged: Ints = flags.column("row").to_numpy()
        order = np.argsort(rows, kind="stable")
        place = order[np.minimum(np.searchsorted(rows, flagged, sorter=order), len(rows) - 1)]
        here = rows[place] == flagged
        columns = flags.column("column").dictionary_encode()
        kinds = flags.column("flag").dictionary_encode()
        column_of = columns.indices.to_numpy(zero_copy_only=False)
        kind_of = kinds.indices.to_numpy(zero_copy_only=False)
        for code, name in enumerate(columns.dictionary.to_pylist()):
            for kind, flag in enumerate(kinds.dictionary.to_pylist()):
                mine = place[here & (column_of == code) & (kind_of == kind)]
                if not len(mine):
                    continue
                if tags is None or self.long is None or name != self.long.value:
                    self._remark(name, flag, mine, shifts)
                    continue
                for tag in np.unique(tags[1][mine]):
                    self._remark(tags[0][tag], flag, mine[tags[1][mine] == tag], shifts)

    def _remark(self, name: str, flag: str, places: Ints, shifts: Ints | None) -> None:
        column = self.columns.setdefault(name, ColumnProfile())
        column.remark(flag, len(places), None if shifts is None else shifts[places])

    def _fingerprint(self, batch: pa.RecordBatch) -> None:
        """Keep the smallest hashes of the records' values, whatever the order and names of columns; times do not count."""
        if not batch.num_rows:
            return
        total = np.zeros(batch.num_rows, dtype=np.uint64)
        numeric = [
            c
            for n, c in zip(batch.schema.names, batch.columns, strict=True)
            if not n.startswith("_") and (pa.types.is_floating(c.type) or pa.types.is_integer(c.type))
        ]
        for column in numeric:
            values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            total += _mix((values + 0.0).view(np.uint64))
        if self.long is not None or not numeric:
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                wanted = self.long is None or name == self.long.tag
                if wanted and not name.startswith("_") and pa.types.is_string(column.type):
                    coded = column.fill_null("").dictionary_encode()
                    hashes = np.array([zlib.crc32(v.encode()) for v in coded.dictionary.to_pylist()], dtype=np.uint64)
                    total += _mix(hashes[coded.indices.to_numpy(zero_copy_only=False)])
        total = _mix(total)
        if len(self._sketch) == SKETCH:
            total = total[total < self._sketch[-1]]
        self._sketch = np.unique(np.concatenate((self._sketch, total)))[:SKETCH]

    @property
    def sketch(self) -> bytes:
        """The part's fingerprint, for `likeness`."""
        return self._sketch.astype("<u8").tobytes()

    @property
    def sampling_us(self) -> int | None:
        """Usual distance of neighbouring instants [us], None when there is no clock."""
        steps = np.concatenate(self._steps) if self._steps else np.empty(0, dtype=np.int64)
        return int(np.median(steps)) if len(steps) else None

    @property
    def regular(self) -> bool:
        """Whether nearly all neighbouring instants are the usual distance apart: then absent records can be counted."""
        steps = np.concatenate(self._steps) if self._steps else np.empty(0, dtype=np.int64)
        if len(steps) < 20:
            return False
        usual = float(np.median(steps))
        return float(np.mean(np.abs(steps - usual) <= 0.1 * usual)) >= 0.8

    def shift_document(self) -> bytes:
        """Counts by shift as compressed JSON: what `shift_quality` needs later."""
        document = {
            "rows": _by_text(self.rows_by_shift),
            "instants": _by_text(self.instants_by_shift),
            "regular": self.regular,
            "time_low": self.time_low,
            "time_high": self.time_high,
            "sampling_us": self.sampling_us,
            "zone": self.zone,
            "shift_start": self.shift_start,
            "columns": {
                name: {
                    "missing": _by_text(c.missing_by_shift),
                    "bad": _by_text(c.flags_by_shift.get(ValueFlag.BAD, {})),
                    "stuck": _by_text(c.flags_by_shift.get(ValueFlag.STUCK, {})),
                    "rows": _by_text(c.rows_by_shift),
                    "distinct": None if c.many else len(c.distinct),
                    "total": c.rows,
                }
                for name, c in self.columns.items()
            },
        }
        return zlib.compress(json.dumps(document, ensure_ascii=False, sort_keys=True).encode())


def _doubtful(flags: pa.RecordBatch, rows: Ints) -> dict[str, Mask]:
    """Cells that their source calls uncertain, by column."""
    mine = flags.filter(pc.equal(flags.column("flag"), str(ValueFlag.UNCERTAIN))) if flags.num_rows else flags
    if not mine.num_rows:
        return {}
    names = np.array(mine.column("column").to_pylist(), dtype=object)
    numbers: Ints = mine.column("row").to_numpy()
    return {name: np.isin(rows, numbers[names == name]) for name in sorted(set(names))}


def read_shift_document(blob: bytes) -> dict[str, Any]:
    """The value of `TableProfile.shift_document`."""
    document: dict[str, Any] = json.loads(zlib.decompress(blob))
    return document


def likeness(first: bytes, second: bytes) -> float:
    """Estimate how much of two parts' records is shared (Jaccard, 0 to 1), from their fingerprints.

    Source:
        Bottom-k sketch: E. Cohen and H. Kaplan, Summarizing data using bottom-k sketches, PODC 2007.
    """
    a = np.frombuffer(first, dtype="<u8")
    b = np.frombuffer(second, dtype="<u8")
    if not len(a) or not len(b):
        return 0.0
    union = np.union1d(a, b)[:SKETCH]
    return float(np.isin(union, a).__and__(np.isin(union, b)).sum() / len(union))


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter 64-bit words (finaliser of splitmix64, S. Vigna 2015)."""
    x = bits.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    return x


def _count(counter: Counter[int], shifts: Ints) -> None:
    """Count shifts run by run: records mostly come in the order of time, so there are few runs."""
    if not len(shifts):
        return
    starts = np.concatenate(([0], np.flatnonzero(shifts[1:] != shifts[:-1]) + 1))
    if len(starts) > 1000:
        found, counts = np.unique(shifts, return_counts=True)
    else:
        found, counts = shifts[starts], np.diff(np.concatenate((starts, [len(shifts)])))
    for shift, number in zip(found.tolist(), counts.tolist(), strict=True):
        counter[shift] += number


def _by_text(counter: Mapping[int, int]) -> dict[str, Json]:
    return {str(k): v for k, v in sorted(counter.items()) if k >= 0}

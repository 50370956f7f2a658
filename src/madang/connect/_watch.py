"""Watches a stream of records: equal records, time that runs back, sensors that stand still, counters that start again.

Every watch looks back only, so that a file cut after any record says the same of the records before the cut.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from madang.connect._times import NO_TIME, Instants

Hashes = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_NULL = np.uint64(0x5851F42D4C957F2D)
_BLOOM_BITS = 1 << 28
_IN_MEMORY = 12_000_000


def _mixed(values: Hashes) -> Hashes:
    """Spread 64 bits evenly (finaliser of SplitMix64; Steele, Lea, Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    return values ^ (values >> np.uint64(31))


def record_hashes(columns: Sequence[Any]) -> Hashes:
    """Return one hash per record over all its columns (Arrow arrays of one length)."""
    count = len(columns[0]) if columns else 0
    out = np.zeros(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for place, column in enumerate(columns, start=1):
            out = _mixed(out + _column_hashes(column) + _GOLDEN * np.uint64(place))
    return out


def _column_hashes(column: Any) -> Hashes:  # noqa: ANN401 - pyarrow is untyped
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_string(column.type):
        hashes = _text_hashes(column)
    elif pa.types.is_floating(column.type):
        hashes = (pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False) + 0.0).view(np.uint64)
    elif pa.types.is_timestamp(column.type):
        hashes = pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False).view(np.uint64)
    else:
        hashes = pc.fill_null(pc.cast(column, pa.int64()), 0).to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)
    if column.null_count:
        hashes = np.where(column.is_null().to_numpy(zero_copy_only=False), _NULL, hashes)
    return hashes


def _text_hashes(column: Any) -> Hashes:  # noqa: ANN401 - pyarrow is untyped
    buffers = column.buffers()
    count = len(column)
    if not count or buffers[2] is None:
        return np.zeros(count, dtype=np.uint64)
    offsets = np.frombuffer(buffers[1], dtype=np.int32)[column.offset : column.offset + count + 1].astype(np.int64)
    start, stop = int(offsets[0]), int(offsets[-1])
    data = np.zeros(stop - start + 8, dtype=np.uint8)
    data[: stop - start] = np.frombuffer(buffers[2], dtype=np.uint8)[start:stop]
    words = np.ndarray((stop - start + 1,), dtype="<u8", buffer=data, strides=(1,))
    begin = offsets[:-1] - start
    length = offsets[1:] - offsets[:-1]
    out = length.astype(np.uint64) * _GOLDEN
    for step in range(0, int(length.max(initial=0)), 8):
        active = np.flatnonzero(length > step) if step else slice(None)
        left = length[active] - step
        shift = (np.maximum(8 - left, 0) * 8).astype(np.uint64)
        word = np.where(left > 0, (words[np.minimum(begin[active] + step, len(words) - 1)] << shift) >> shift, np.uint64(0))
        word = np.where(shift >= 64, np.uint64(0), word)
        out[active] = _mixed(out[active] + word)
    return out


def text_hash(column: int, text: str) -> np.uint64:
    """Return the hash of a remark's original text, which is part of its record."""
    return np.uint64(int.from_bytes(hashlib.blake2b(f"{column}\0{text}".encode(), digest_size=8).digest(), "little"))


class EqualRecords:
    """Finds records that agree with an earlier one in every field.

    Records are compared by a hash of 64 bits over all fields; two different records of a file of ten million meet by chance
    once in about 300,000 files. Beyond 12 million records the older hashes wait on disk.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Hashes, Rows] | tuple[int, int]] = []
        self._pending: list[tuple[Hashes, Rows]] = []
        self._bloom: npt.NDArray[np.uint8] | None = None
        self._held = 0
        self._spill: IO[bytes] | None = None
        self._latest = NO_TIME

    def earlier(self, hashes: Hashes, rows: Rows, times: Instants | None) -> Rows:
        """Return for each record the number of the first equal one before it, 0 when there is none."""
        out = np.zeros(len(hashes), dtype=np.int64)
        if not len(hashes):
            return out
        if times is not None and self._runs_forward(times):
            self._latest = int(times[-1])
            self._pending.append((hashes, rows))
            if sum(len(waiting) for waiting, _ in self._pending) > _IN_MEMORY:
                self._take_in()
            return out
        if times is not None and len(there := times[times != NO_TIME]):
            self._latest = max(self._latest, int(there.max()))
        self._take_in()
        self._find_before(hashes, out)
        self._find_within(hashes, rows, out)
        fresh = out == 0
        self._remember(hashes[fresh], rows[fresh])
        return out

    def _take_in(self) -> None:
        """Remember the records that need no search as long as the time runs forward."""
        for waiting in self._pending:
            self._remember(*waiting)
        self._pending.clear()

    def _runs_forward(self, times: Instants) -> bool:
        return bool(times[0] != NO_TIME and times[0] > self._latest and (np.diff(times) > 0).all())

    def _find_before(self, hashes: Hashes, out: Rows) -> None:
        if self._bloom is None:
            return
        maybe = np.flatnonzero(self._seen(hashes))
        for run in self._runs:
            if not len(maybe):
                return
            known, known_rows = self._load(run)
            place = np.minimum(np.searchsorted(known, hashes[maybe]), len(known) - 1)
            equal = known[place] == hashes[maybe]
            out[maybe[equal]] = known_rows[place[equal]]
            maybe = maybe[~equal]

    @staticmethod
    def _find_within(hashes: Hashes, rows: Rows, out: Rows) -> None:
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        starts = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        if starts.all():
            return
        first = order[np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))]
        again = order[~starts]
        of = rows[first[~starts]]
        open_yet = out[again] == 0
        out[again[open_yet]] = of[open_yet]

    def _remember(self, hashes: Hashes, rows: Rows) -> None:
        if not len(hashes):
            return
        if self._bloom is None:
            self._bloom = np.zeros(_BLOOM_BITS // 8, dtype=np.uint8)
        for place in self._places(hashes):
            np.bitwise_or.at(self._bloom, place >> 3, (1 << (place & 7)).astype(np.uint8))
        order = np.argsort(hashes, kind="stable")
        self._runs.append((hashes[order], rows[order]))
        self._held += len(hashes)
        if self._held > _IN_MEMORY:
            self._to_disk()

    def _seen(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        assert self._bloom is not None
        seen = np.ones(len(hashes), dtype=bool)
        for place in self._places(hashes):
            seen &= ((self._bloom[place >> 3] >> (place & 7).astype(np.uint8)) & 1).astype(bool)
        return seen

    @staticmethod
    def _places(hashes: Hashes) -> tuple[Rows, Rows]:
        low = (hashes & np.uint64(_BLOOM_BITS - 1)).astype(np.int64)
        high = (hashes >> np.uint64(36)).astype(np.int64)
        return low, high

    def _load(self, run: tuple[Hashes, Rows] | tuple[int, int]) -> tuple[Hashes, Rows]:
        first, second = run
        if isinstance(first, int):
            assert self._spill is not None and isinstance(second, int)
            self._spill.seek(first)
            data = self._spill.read(second * 16)
            return np.frombuffer(data, np.uint64, second), np.frombuffer(data, np.int64, second, offset=second * 8)
        assert not isinstance(second, int)
        return first, second

    def _to_disk(self) -> None:
        if self._spill is None:
            self._spill = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the watch
        moved: list[tuple[Hashes, Rows] | tuple[int, int]] = []
        for run in self._runs:
            first, second = run
            if isinstance(first, int) or isinstance(second, int):
                moved.append(run)
                continue
            self._spill.seek(0, 2)
            start = self._spill.tell()
            self._spill.write(first.tobytes() + second.tobytes())
            moved.append((start, len(first)))
        self._runs = moved
        self._held = 0


@dataclass
class TimeOrder:
    """Sees where the time of a stream runs back, within groups where the time runs forward only there."""

    latest: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    behind: int = 0
    examples: list[int] = field(default_factory=list)
    steps_back: int = 0
    set_back: int = 0
    """Steps back after which the time ran on from the earlier instant for a while: a clock that was set back."""
    set_back_examples: list[int] = field(default_factory=list)

    def see(self, times: Instants, rows: Rows, groups: dict[str, Rows] | None) -> None:
        """Look at the next records; ``groups`` holds the indices of each group, None means one group."""
        parts = groups if groups is not None else {"": np.arange(len(times))}
        for name, where in parts.items():
            there = where[times[where] != NO_TIME]
            if len(there):
                self._see_group(name, times[there], rows[there])

    def _see_group(self, name: str, times: Instants, rows: Rows) -> None:
        before = self.latest.get(name, NO_TIME)
        top = np.maximum.accumulate(np.concatenate([[before], times]))
        late = times < top[:-1]
        self.latest[name] = int(top[-1])
        previous = np.concatenate([[self.last.get(name, NO_TIME)], times[:-1]])
        self.last[name] = int(times[-1])
        if not late.any():
            return
        late_rows = np.unique(rows[late])
        self.behind += len(late_rows)
        self.steps_back += int((times < previous).sum())
        self.examples.extend(late_rows[: max(0, 10 - len(self.examples))].tolist())
        self._see_set_back(name, times, previous, late, rows)

    def _see_set_back(self, name: str, times: Instants, previous: Instants, late: npt.NDArray[np.bool_], rows: Rows) -> None:
        """Count episodes that begin with one step back and run on evenly past the point where the clock had been.

        A block of records exported out of place also begins with a step back, but ends with a jump.
        """
        edges = np.diff(np.concatenate([[False], late, [False]]).astype(np.int8))
        for start, stop in zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True):
            if stop - start < 5 or stop >= len(times) or times[start] >= previous[start]:
                continue
            steps = np.diff(times[start : stop + 1])
            if (steps > 0).all() and steps[-1] <= 2 * np.median(steps):
                self.set_back += 1
                if len(self.set_back_examples) < 10:
                    self.set_back_examples.append(int(rows[start]))


@dataclass
class StandStill:
    """Counts how long each quantity has shown the same value, and says which records lie beyond the limit."""

    limits: dict[str, list[float]]
    """Per quantity: the longest ordinary run, then the values at which it rests by nature."""
    from_start: bool = False
    """Whether a run beyond the limit is told from its first record (within one call), not from where it passes the limit."""
    _value: dict[str, float] = field(default_factory=dict)
    _length: dict[str, int] = field(default_factory=dict)

    def beyond(self, name: str, values: Floats) -> Rows:
        """Return the indices of records whose value has not moved for longer than the limit of ``name``.

        Zero is no standstill (a machine that is off shows it), and a gap does not end one.
        """
        known = self.limits.get(name)
        finite = np.isfinite(values)
        there = np.flatnonzero(finite)
        none = np.zeros(0, dtype=np.int64)
        if known is None or not len(there):
            return none
        solid = values if len(there) == len(values) else values[there]
        same_as_before = bool(solid[0] == self._value.get(name, np.nan))
        carried = self._length.get(name, 0) if same_as_before else 0
        edges = np.flatnonzero(solid[1:] != solid[:-1]) + 1
        starts = np.concatenate([[0], edges])
        lengths = np.diff(np.concatenate([starts, [len(solid)]]))
        lengths[0] += carried
        self._value[name] = float(solid[-1])
        self._length[name] = int(lengths[-1])
        beyond = [
            there[start + (0 if self.from_start else max(0, int(known[0]) - (carried if start == 0 else 0))) : stop]
            for start, stop in self._long_runs(starts, lengths - np.where(starts == 0, carried, 0), lengths, known, solid)
        ]
        return np.concatenate(beyond) if beyond else none

    @staticmethod
    def _long_runs(starts: Rows, here: Rows, lengths: Rows, known: list[float], solid: Floats) -> list[tuple[int, int]]:
        """Return where runs beyond the limit start and stop, those at a value of rest left out."""
        long = np.flatnonzero(lengths > known[0])
        rests = {0.0, *known[1:]}
        return [(int(starts[run]), int(starts[run] + here[run])) for run in long if float(solid[starts[run]]) not in rests]


@dataclass
class Rollovers:
    """Counts how often each counter starts again at its register size."""

    limits: dict[str, float]
    rows: dict[str, list[int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    _last: dict[str, float] = field(default_factory=dict)

    def see(self, name: str, values: Floats, rows: Rows) -> None:
        """Look at the next values of one counter."""
        there = np.isfinite(values)
        solid, where = values[there], rows[there]
        if not len(solid):
            return
        before = np.concatenate([[self._last.get(name, solid[0])], solid[:-1]])
        self._last[name] = float(solid[-1])
        limit = self.limits[name]
        wrapped = (before > 0.9 * limit) & (solid < 0.1 * limit)
        if wrapped.any():
            self.counts[name] = self.counts.get(name, 0) + int(wrapped.sum())
            kept = self.rows.setdefault(name, [])
            kept.extend(where[wrapped][: max(0, 10 - len(kept))].tolist())

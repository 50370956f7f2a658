"""Points side by side on one clock: what each came to in equal spans of time, and from how many samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from madang.library._signals._index import Snapshot
from madang.library._signals._points import Point
from madang.library._signals._slices import THREADS, Samples, ToUnit, as_stored, read_samples
from madang.library._signals._table import HELD, unit_of

How = Literal["auto", "mean", "last", "held"]
"""``mean`` of the span's values; ``last`` value in the span; ``held``: the value that stood at the span's end, whenever it came.
``auto``: held for texts, states, set points, recipes and lots, mean for the rest."""
_PERIODS = tuple(
    int(s * 1_000_000)
    for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400)
)
ROWS_AT_ONCE = 131_072
TIME = "time"
SAMPLES = "samples"


@dataclass(frozen=True)
class Grid:
    """Equal spans of time, cut at whole multiples of their length since 1970."""

    first: int
    """Start of the first span [us since 1970]."""
    every: int
    """Length of a span [us]."""
    count: int

    @classmethod
    def over(cls, start: int, end: int, every: int) -> Grid:
        """Return the spans that cover ``start <= time < end``."""
        first = start // every * every
        return cls(first, every, max(0, -(-(end - first) // every)))

    def edges(self) -> NDArray[np.int64]:
        """Return the starts of the spans and the end of the last, shape (span + 1,)."""
        return self.first + self.every * np.arange(self.count + 1, dtype=np.int64)

    def pieces(self, spans: int) -> Iterator[Grid]:
        """Yield the grid in pieces of at most `spans` spans."""
        for at in range(0, self.count, spans):
            yield Grid(self.first + at * self.every, self.every, min(spans, self.count - at))


def default_period(snapshot: Snapshot, points: Sequence[Point]) -> int:
    """Return a round period in which nine of ten points have a sample [us]; a second where nothing is known.

    A point's usual distance of samples is taken from its longest stretch in one file, so that a single wrong time says nothing.
    """
    wanted = np.array([p.id for p in points], dtype=np.int64)
    longest: dict[int, tuple[int, float]] = {}
    for file in snapshot.files:
        rows = np.diff(file.rows)
        for at in np.flatnonzero(np.isin(file.points, wanted) & (rows > 1)).tolist():
            count, point = int(rows[at]), int(file.points[at])
            if count > longest.get(point, (1, 0.0))[0]:
                longest[point] = count, float(file.last[at] - file.first[at]) / (count - 1)
    steps = [step for _, step in longest.values() if step > 0]
    if not steps:
        return 1_000_000
    usual = float(np.quantile(steps, 0.9)) * 0.999
    return next((p for p in _PERIODS if p >= usual), _PERIODS[-1])


def how_of(point: Point, how: How) -> Literal["mean", "last", "held"]:
    """Return how a point is brought to the clock."""
    if how != "auto":
        return how
    return "held" if point.data_type == "text" or point.role in HELD else "mean"


def resampled(
    snapshot: Snapshot, points: Sequence[Point], grid: Grid, how: How = "auto", *, as_written: bool = False
) -> Iterator[pa.RecordBatch]:
    """Yield the grid's spans as records: ``time`` (the END of the span), each point's value, and how many ``samples`` of all.

    A record holds what was known by its time and nothing later, so that a forecast from it cannot look ahead. A span without
    samples gives null, not the value before it, unless the value is ``held``. Values of bad quality count as none.

    Args:
        snapshot: The version.
        points: The columns, in their order.
        grid: The spans.
        how: See `How`.
        as_written: Values in the source's unit, not in that of the card.
    """
    schema = grid_schema(points)
    before: dict[int, float | str | None] = {}
    rows = max(1024, min(ROWS_AT_ONCE, 8_000_000 // max(1, len(points))))
    for piece in grid.pieces(rows):
        edges = piece.edges()

        def column(point: Point, edges: NDArray[np.int64] = edges) -> tuple[pa.Array, NDArray[np.int64]]:
            samples = read_samples(
                snapshot, point.id, int(edges[0]), int(edges[-1]), as_stored if as_written else unit_of(point)
            )
            cuts = np.searchsorted(samples.time, edges, side="left")
            kind = how_of(point, how)
            if kind == "held" and point.id not in before:
                before[point.id] = _held_before(snapshot, point, int(edges[0]), as_stored if as_written else unit_of(point))
            made = _column(samples, cuts, kind, point, before)
            return made, np.diff(cuts)

        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            made = list(pool.map(column, points))
        counted = np.sum([m[1] for m in made], axis=0) if made else np.zeros(piece.count)
        times = pa.array(edges[1:], pa.timestamp("us", tz="UTC"))
        yield pa.RecordBatch.from_arrays([times, *(m[0] for m in made), pa.array(counted, pa.int64())], schema=schema)


def grid_schema(points: Sequence[Point]) -> pa.Schema:
    """Return the columns of `resampled`; the unit of each stands in its field's metadata."""

    def field(point: Point) -> pa.Field:
        unit = point.unit or point.unit_source
        kind = pa.string() if point.data_type == "text" else pa.float64()
        return pa.field(point.name, kind, metadata=None if unit is None else {b"unit": unit.encode()})

    return pa.schema([pa.field(TIME, pa.timestamp("us", tz="UTC")), *(field(p) for p in points), pa.field(SAMPLES, pa.int64())])


def _column(
    samples: Samples,
    cuts: NDArray[np.int64],
    how: Literal["mean", "last", "held"],
    point: Point,
    before: dict[int, float | str | None],
) -> pa.Array:
    if point.data_type == "text":
        return _texts(samples, cuts, how, point.id, before)
    value = samples.usable()
    present = ~np.isnan(value)
    n = _sums(present.astype(np.float64), cuts)
    filled = n > 0
    if how == "mean":
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.where(filled, _sums(np.where(present, value, 0.0), cuts) / n, np.nan)
    else:
        at = np.flatnonzero(present)
        newest = np.searchsorted(at, cuts[1:], side="left") - 1
        found = np.full(len(cuts) - 1, np.nan)
        if how == "last":
            found[filled] = value[at[newest[filled]]]
        else:
            known = newest >= 0
            held = before.get(point.id)
            found[~known] = np.nan if held is None else float(held)
            found[known] = value[at[newest[known]]]
            before[point.id] = float(found[-1]) if len(found) else held
    return pa.array(found, from_pandas=True)


def _texts(
    samples: Samples,
    cuts: NDArray[np.int64],
    how: Literal["mean", "last", "held"],
    point: int,
    before: dict[int, float | str | None],
) -> pa.Array:
    texts: list[str | None] = [None] * len(samples) if samples.text is None else samples.text.to_pylist()
    bad = samples.quality >= 0x8000_0000
    at = np.array([k for k, t in enumerate(texts) if t is not None and not bad[k]], dtype=np.int64)
    newest = np.searchsorted(at, cuts[1:], side="left") - 1
    oldest = np.searchsorted(at, cuts[:-1], side="left")
    carried = before.get(point)
    found: list[str | None] = []
    for new, old in zip(newest.tolist(), oldest.tolist(), strict=True):
        if new >= 0 and (how == "held" or new >= old):
            found.append(texts[at[new]])
        else:
            found.append(str(carried) if how == "held" and carried is not None else None)
    if how == "held" and found:
        before[point] = found[-1]
    return pa.array(found, pa.string())


def _held_before(snapshot: Snapshot, point: Point, start: int, to_unit: ToUnit) -> float | str | None:
    """Return the newest usable value before an instant, looked for in ever longer spans."""
    span = 60_000_000
    runs = snapshot.runs(point.id, None, start)
    if not runs:
        return None
    earliest = min(r.first for r in runs)
    while True:
        samples = read_samples(snapshot, point.id, max(earliest, start - span), start, to_unit)
        bad = samples.quality >= 0x8000_0000
        for at in range(len(samples) - 1, -1, -1):
            text = None if samples.text is None else samples.text[at].as_py()
            if not bad[at] and (text is not None or not np.isnan(samples.value[at])):
                return text if text is not None else float(samples.value[at])
        if start - span <= earliest:
            return None
        span *= 16


def _sums(value: NDArray[np.float64], cuts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum between neighbouring cuts; 0 where nothing lies between them."""
    found = np.zeros(len(cuts) - 1)
    filled = np.flatnonzero(np.diff(cuts))
    if len(filled):
        found[filled] = np.add.reduceat(value[: cuts[-1]], cuts[:-1][filled])
    return found


def totals(batches: Sequence[pa.RecordBatch], points: Sequence[Point]) -> Mapping[str, int]:
    """Return for each point how many spans have a value."""
    return {p.name: sum(len(b) - b.column(p.name).null_count for b in batches) for p in points}

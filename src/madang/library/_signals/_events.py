"""Saved conditions, and the events that they find: a dataset of records with one row for each time a condition held."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from madang.errors import InputError, Json
from madang.library._signals._conditions import Compare, Condition, Intervals, intervals_of
from madang.library._signals._index import Snapshot
from madang.library._signals._points import Point
from madang.library._signals._slices import merged, read_samples
from madang.library._signals._table import unit_of

if TYPE_CHECKING:
    from madang.library._signals._slices import Samples

KIND = "condition"
SAMPLES_AT_ONCE = 2_000_000
EVENTS_SCHEMA = pa.schema(
    [
        ("condition", pa.string()),
        ("start", pa.timestamp("us", tz="UTC")),
        ("end", pa.timestamp("us", tz="UTC")),
        pa.field("seconds", pa.float64(), metadata={b"unit": b"s"}),
    ]
)


@dataclass(frozen=True)
class SavedCondition:
    """A condition that is kept under a name, with what it found last."""

    name: str
    dataset: str
    condition: Condition
    events: int
    """How often it held in the version it was evaluated on."""
    last: str | None
    """Start of the newest event."""
    events_dataset: str
    evaluated: str
    """Version it was evaluated on."""

    def document(self) -> dict[str, Json]:
        """Return the fields as documents show them."""
        return {
            "name": self.name,
            "dataset": self.dataset,
            "expression": self.condition.document(),
            **self.condition.text().fields("text"),
            "events": self.events,
            "last": self.last,
            "events_dataset": self.events_dataset,
            "evaluated": self.evaluated,
        }


def evaluate(
    snapshot: Snapshot, points: Sequence[Point], condition: Condition, start: int | None = None, end: int | None = None
) -> Intervals:
    """Return when a condition held in ``start <= time < end``; samples are read a few millions at a time.

    Args:
        snapshot: The version.
        points: The points that the condition is about.
        condition: The condition.
        start: First instant [us since 1970]; from the first sample on when None.
        end: Instant after the last [us since 1970].
    """
    by_name = {p.name: p for p in points}
    known: dict[Compare, Intervals] = {}

    def leaf(compare: Compare) -> Intervals:
        if compare not in known:
            known[compare] = _leaf(snapshot, by_name[compare.point], compare, start, end)
        return known[compare]

    return condition.held(leaf)


def _leaf(snapshot: Snapshot, point: Point, compare: Compare, start: int | None, end: int | None) -> Intervals:
    runs = snapshot.runs(point.id, start, end)
    none = np.empty(0, np.int64)
    found = Intervals(none, none)
    if not runs:
        return found
    bounds = sorted({*(r.first for r in runs), *(r.last + 1 for r in runs)})
    rows = sum(r.end - r.row for r in runs)
    cuts = bounds if rows > SAMPLES_AT_ONCE else [bounds[0], bounds[-1]]
    before: Samples | None = None
    for low, high in itertools.pairwise(cuts):
        begin = low if start is None else max(low, start)
        beyond = high if end is None else min(high, end)
        samples = read_samples(snapshot, point.id, begin, beyond, unit_of(point)) if beyond > begin else None
        if samples is None or len(samples) == 0:
            continue
        whole = samples if before is None else merged([before, samples])
        found = found | intervals_of(compare, whole)
        before = whole.tail(1)
    return found


def events_table(found: Sequence[tuple[str, Intervals]]) -> pa.Table:
    """Return intervals of several conditions as records, in order of time."""
    names = [name for name, held in found for _ in range(len(held.start))]
    start = np.concatenate([h.start for _, h in found]) if found else np.empty(0, np.int64)
    end = np.concatenate([h.end for _, h in found]) if found else np.empty(0, np.int64)
    order = np.argsort(start, kind="stable")
    utc = pa.timestamp("us", tz="UTC")
    columns = [
        pa.array([names[k] for k in order.tolist()], pa.string()),
        pa.array(start[order], utc),
        pa.array(end[order], utc),
        pa.array((end - start)[order] / 1e6),
    ]
    return pa.table(columns, schema=EVENTS_SCHEMA)


def checked_label(name: str) -> str:
    """Return the name of a condition without outer blanks.

    Raises:
        InputError: It is empty, too long, or holds what a name cannot.
    """
    text = name.strip()
    if not text or len(text) > 80 or any(c in text for c in "@/\n\r\t"):
        raise InputError(
            "bad_condition_name",
            ko="조건 이름은 1~80자이고 @ / 를 쓸 수 없어요.",
            en="The name of a condition has 1 to 80 characters and no @ or /.",
            next_ko="예: 과열",
            next_en="For example: overheated",
            where={"name": text[:100]},
        )
    return text

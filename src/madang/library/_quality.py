"""How good the data of a version are, per column and per shift, from counts kept when they came in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from madang.errors import Json
from madang.library._cards import ColumnCard
from madang.library._instants import iso
from madang.library._profile import SHIFT_HOURS, read_shift_document

_SHIFT_US = SHIFT_HOURS * 3_600_000_000
SHIFTS_SHOWN = 400
"""A card lists at most this many shifts, the newest."""


@dataclass(frozen=True)
class ShiftQuality:
    """One shift of a version."""

    start: datetime
    """First instant of the shift (UTC)."""
    records: int
    expected: float | None
    """Instants that a clock with the usual step would have given; None when the readings have no regular clock."""
    complete: float | None
    """Share of the expected instants that are there, 0 to 1."""
    missing: int
    bad: int
    stuck: int
    score: float
    """Completeness times the share of cells that are there, good and moving; 0 to 1."""


@dataclass(frozen=True)
class Quality:
    """The quality of a version."""

    score: float | None
    shifts: tuple[ShiftQuality, ...]
    columns: dict[str, float]
    sampling_seconds: float | None
    regular: bool


def quality_of(profiles: Sequence[bytes], cards: Sequence[ColumnCard]) -> Quality:
    """Add the counts of a version's parts up and score them.

    A column's score is the share of its cells that are present, not bad and not stuck, times the completeness of the records. The
    cells of a shift are scored over the columns that are not wholly empty in the version.

    Source:
        House definition; completeness and validity in the sense of ISO 8000-8.
    """
    documents = [read_shift_document(p) for p in profiles]
    timed = [d for d in documents if d["rows"]]
    regular = bool(timed) and all(d["regular"] for d in timed)
    steps = sorted(d["sampling_us"] for d in timed if d["sampling_us"])
    step = steps[len(steps) // 2] if steps else None
    empty = {c.name for c in cards if c.stats is None and c.type in ("number", "integer")}
    shifts = _shifts(timed, step if regular else None, empty) if timed else ()
    total = sum(s.records for s in shifts)
    complete = _share(sum(s.expected or s.records for s in shifts), shifts)
    columns = {}
    for card in cards:
        rows = sum(d["columns"].get(card.name, {}).get("total", 0) for d in documents)
        if rows:
            lost = min(rows, card.missing + card.bad + card.stuck)
            columns[card.name] = round((1 - lost / rows) * complete, 4)
    score = round(sum(s.score * s.records for s in shifts) / total, 4) if total else _plain(columns)
    return Quality(score, shifts, columns, None if step is None else step / 1e6, regular)


def _plain(columns: dict[str, float]) -> float | None:
    return round(sum(columns.values()) / len(columns), 4) if columns else None


def _share(expected: float, shifts: Sequence[ShiftQuality]) -> float:
    there = sum((s.complete if s.complete is not None else 1.0) * (s.expected or s.records) for s in shifts)
    return there / expected if expected else 1.0


def _shifts(documents: Sequence[dict[str, Any]], step: int | None, empty: set[str]) -> tuple[ShiftQuality, ...]:
    zone = ZoneInfo(documents[0]["zone"])
    hour = documents[0]["shift_start"]
    rows = _added(d["rows"] for d in documents)
    instants = _added(d["instants"] for d in documents)
    cells, stuck = Counter[int](), Counter[int]()
    # A bad cell is kept as a null with a remark, so it is among the absent ones.
    missing, bad = Counter[int](), Counter[int]()
    for document in documents:
        part_rows = {int(k): v for k, v in document["rows"].items()}
        for name, column in document["columns"].items():
            if name in empty:
                continue
            own = {int(k): v for k, v in column["rows"].items()}
            cells.update(own or part_rows)
            for counter, key in ((missing, "missing"), (bad, "bad"), (stuck, "stuck")):
                counter.update({int(k): v for k, v in column[key].items()})
    spans = [(d["time_low"], d["time_high"]) for d in documents]
    found = []
    for shift in sorted(_covered(rows, spans, zone, hour) if step else rows):
        start = _start(shift, zone, hour)
        expected = _expected(start, spans, step) if step else None
        complete = None if not expected else min(1.0, instants[shift] / expected)
        lost = missing[shift] + stuck[shift]
        valid = 1 - min(cells[shift], lost) / cells[shift] if cells[shift] else 0.0
        score = round(valid * (1.0 if complete is None else complete), 4)
        found.append(
            ShiftQuality(
                start, rows[shift], expected, complete, max(0, missing[shift] - bad[shift]), bad[shift], stuck[shift], score
            )
        )
    return tuple(found)


def _covered(rows: Counter[int], spans: Sequence[tuple[int, int]], zone: ZoneInfo, hour: int) -> set[int]:
    """Shifts with records, and shifts inside a part's span that have none (a gap counts as absent)."""
    found = set(rows)
    for low, high in spans:
        inside = [s for s in rows if low <= _ticks(_start(s, zone, hour)) + _SHIFT_US and _ticks(_start(s, zone, hour)) <= high]
        if inside and max(inside) - min(inside) < 100_000:
            found |= set(range(min(inside), max(inside) + 1))
    return found


def _expected(start: datetime, spans: Sequence[tuple[int, int]], step: int) -> float:
    """Instants that a shift should have: the part of it that lies inside the parts' spans, in steps."""
    low = _ticks(start)
    inside = 0
    for first, last in _joined(spans):
        inside += max(0, min(low + _SHIFT_US, last + step) - max(low, first))
    return inside / step


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def _added(counters: Any) -> Counter[int]:  # noqa: ANN401 (counts out of JSON)
    total: Counter[int] = Counter()
    for counter in counters:
        total.update({int(k): v for k, v in counter.items()})
    return total


def _start(shift: int, zone: ZoneInfo, hour: int) -> datetime:
    local = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None) + timedelta(hours=hour + SHIFT_HOURS * shift)
    return local.replace(tzinfo=zone).astimezone(UTC)


def _ticks(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def scored(cards: Sequence[ColumnCard], quality: Quality) -> tuple[ColumnCard, ...]:
    """Cards with their quality scores."""
    return tuple(replace(c, quality=quality.columns.get(c.name)) for c in cards)


def shift_rows(quality: Quality, zone: str) -> list[Json]:
    """Shifts as a card shows them, the newest last."""
    local = ZoneInfo(zone)
    return [
        {
            "start": iso(s.start),
            "local": s.start.astimezone(local).strftime("%Y-%m-%d %H:%M"),
            "records": s.records,
            "expected": None if s.expected is None else round(s.expected, 1),
            "complete": None if s.complete is None else round(s.complete, 4),
            "missing": s.missing,
            "bad": s.bad,
            "stuck": s.stuck,
            "score": s.score,
        }
        for s in quality.shifts[-SHIFTS_SHOWN:]
    ]

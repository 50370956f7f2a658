"""Signals datasets in the list, on a card and in a search, beside the datasets of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from madang.errors import Json
from madang.library._instants import iso
from madang.library._report import column_document
from madang.library._signals._index import Snapshot
from madang.library._signals._points import Point
from madang.library._signals._resample import default_period
from madang.library._signals._table import SignalTable
from madang.library._signals._times import instant
from madang.plant import Bilingual

SAID_BY_PEOPLE = ("process", "equipment", "licence", "owner", "importance", "description")
_UNSAID = Bilingual("아직 아무도 적지 않았어요.", "Nobody has said it yet.")
_LIVE = Bilingual(
    "끝없이 이어지는 값이라 점수를 매기지 않아요. 품질 코드는 값마다 있어요.",
    "Values come without end, so there is no score; each value has its quality code.",
)
_NO_UNIT = Bilingual("단위가 적혀 있지 않아요.", "No unit is written.")


def listed(table: SignalTable) -> dict[str, Json]:
    """Return a signals dataset in short, with the fields that datasets of records have."""
    snapshot = table.snapshot()
    points = list(table.points().values())
    first, last = _span(snapshot)
    return {
        "dataset": table.dataset.name,
        "kind": "signals",
        "version": max(0, snapshot.version),
        "rows": snapshot.samples,
        "columns": len(points),
        "time_first": first,
        "time_last": last,
        "quality": None,
        "asks": sum(p.status == "ask" for p in points),
        "quarantined": 0,
        "created": table.dataset.created,
        "sources": _sources(points),
        "layout": "signals",
    }


def card(table: SignalTable, zone: str) -> dict[str, Json]:
    """Return the card of a version; its columns are the points."""
    snapshot = table.snapshot()
    points = list(table.points().values())
    held = snapshot.points()
    first, last = _span(snapshot)
    lowest, highest = table.index.versions()
    dataset = table.dataset
    unknown: dict[str, Json] = {"quality": _LIVE.fields("reason"), "shifts.expected": _LIVE.fields("reason")}
    document: dict[str, Json] = {
        "dataset": dataset.name,
        "kind": "signals",
        "version": max(0, snapshot.version),
        "created": dataset.created,
        "reason": "live",
        "party": "owner",
        "rows": snapshot.samples,
        "rows_read": snapshot.samples,
        "rows_quarantined": 0,
        "rows_duplicate": 0,
        "quarantined": 0,
        "layout": "signals",
        "time_column": "time",
        "time_first": first,
        "time_last": last,
        "zone": "UTC",
        "zone_assumed": False,
        "columns": [_column(p, held.get(p.id)) for p in points],
        "quality": None,
        "sampling_seconds": default_period(snapshot, points) / 1e6 if held else None,
        "sampling_regular": False,
        "shift_zone": zone,
        "shifts": [],
        "source": [*_sources(points)],
        "parts": [],
        "versions": [],
        "versions_kept": {"first": lowest, "last": max(0, highest)},
        "files": len(snapshot.files),
        "lineage": {"inputs": [], "from_versions": [], "steps": [], "made_of_it": []},
    }
    for field in SAID_BY_PEOPLE:
        said = dataset.facts.get(field)
        document[field] = said if said is not None else ("unclassified" if field == "importance" else None)
        if said is None:
            unknown[field] = _UNSAID.fields("reason")
    if not held:
        unknown["time_first"] = unknown["time_last"] = unknown["sampling_seconds"] = _UNSAID.fields("reason")
    no_unit = [p.name for p in points if p.unit is None and p.data_type in ("number", "integer")]
    if no_unit:
        unknown["columns.unit"] = {**_NO_UNIT.fields("reason"), "columns": [*no_unit[:200]]}
    document["unknown"] = unknown
    return document


def _column(point: Point, held: tuple[int, int, int] | None) -> dict[str, Json]:
    return column_document(replace(point.card, stats=None)) | {
        "id": point.id,
        "connection": point.connection,
        "tag": point.tag,
        "samples": 0 if held is None else held[0],
        "time_first": None if held is None else iso(instant(held[1])),
        "time_last": None if held is None else iso(instant(held[2])),
        "low": point.low,
        "high": point.high,
    }


def _sources(points: Sequence[Point]) -> list[Json]:
    return [*sorted({p.connection for p in points})]


def _span(snapshot: Snapshot) -> tuple[str | None, str | None]:
    span = snapshot.span
    return (None, None) if span is None else (iso(instant(span[0])), iso(instant(span[1])))

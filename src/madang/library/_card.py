"""The dataset card and the list of datasets, filled from what was counted; what nobody knows is said to be unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from madang.errors import Json
from madang.library._catalogue import (
    Dataset,
    StoredPart,
    Version,
    all_datasets,
    all_versions,
    parts_of,
    resolve,
    version_of,
)
from madang.library._instants import iso
from madang.library._quality import Quality, quality_of, scored, shift_rows
from madang.library._report import columns_document, finding_document
from madang.library._state import dumps, loads, objects, steps
from madang.plant import Bilingual

if TYPE_CHECKING:
    from sqlalchemy import Connection

SAID_BY_PEOPLE = ("process", "equipment", "licence", "owner", "importance", "description")
"""Fields of a card that files do not tell; `Library.describe` fills them."""


def list_datasets(db: Connection) -> dict[str, Json]:
    """Return every dataset's newest version in short."""
    return {"datasets": [_short(db, d) for d in all_datasets(db)]}


def _short(db: Connection, dataset: Dataset) -> dict[str, Json]:
    version = version_of(db, dataset, dataset.latest)
    parts = parts_of(db, dataset, version.parts) if version is not None else ()
    cards = version.columns if version is not None else ()
    quality = quality_of([p.profile for p in parts], cards)
    first, last = _span(parts)
    return {
        "dataset": dataset.name,
        "version": dataset.latest,
        "rows": sum(p.card.tally.kept for p in parts),
        "columns": len(cards),
        "time_first": first,
        "time_last": last,
        "quality": quality.score,
        "asks": sum(c.status == "ask" for c in cards),
        "quarantined": sum(p.card.tally.quarantined for p in parts),
        "created": version.created if version is not None else dataset.created,
        "sources": [p.card.source for p in parts],
        "layout": parts[-1].card.layout.layout if parts else None,
    }


def card(db: Connection, name: str, zone: str) -> dict[str, Json]:
    """Return the card of a version."""
    dataset, version = resolve(db, name)
    parts = parts_of(db, dataset, version.parts)
    quality = quality_of([p.profile for p in parts], version.columns)
    first, last = _span(parts)
    layouts = [p.card.layout for p in parts]
    time_column = next((x.time_column for x in reversed(layouts) if x.time_column), None)
    unknown: dict[str, Json] = {}
    document: dict[str, Json] = {
        "dataset": dataset.name,
        "version": version.id.number,
        "created": version.created,
        "reason": version.reason,
        "party": version.party,
        "rows": sum(p.card.tally.kept for p in parts),
        "rows_read": sum(p.card.tally.read for p in parts),
        "rows_quarantined": sum(p.card.tally.quarantined for p in parts),
        "rows_duplicate": sum(p.card.tally.duplicate for p in parts),
        "quarantined": sum(p.card.tally.quarantined for p in parts),
        "layout": layouts[-1].layout if layouts else None,
        "time_column": time_column,
        "time_first": first,
        "time_last": last,
        "zone": layouts[-1].zone if layouts else zone,
        "zone_assumed": any(x.zone_assumed for x in layouts),
        "columns": columns_document(scored(version.columns, quality)),
        "quality": quality.score,
        "sampling_seconds": quality.sampling_seconds,
        "sampling_regular": quality.regular,
        "shift_zone": zone,
        "shifts": shift_rows(quality, zone),
        "source": [*sorted({p.card.source for p in parts})],
        "parts": [_part(p) for p in parts],
        "versions": [_version(db, dataset, v) for v in all_versions(db, dataset)],
        "lineage": _lineage(db, dataset, version),
    }
    for field in SAID_BY_PEOPLE:
        said = dataset.facts.get(field)
        document[field] = said if said is not None else ("unclassified" if field == "importance" else None)
        if said is None:
            unknown[field] = _reason(_UNSAID)
    if time_column is None:
        unknown["time_first"] = unknown["time_last"] = _reason(_NO_TIME)
    if quality.sampling_seconds is None:
        unknown["sampling_seconds"] = _reason(_NO_TIME if time_column is None else _FEW_TIMES)
    elif not quality.regular:
        unknown["shifts.expected"] = _reason(_IRREGULAR)
    if quality.score is None:
        unknown["quality"] = _reason(_NO_RECORDS)
    no_unit = [c.name for c in version.columns if c.unit is None and c.type in ("number", "integer")]
    if no_unit:
        unknown["columns.unit"] = {**_reason(_NO_UNIT), "columns": [*no_unit[:200]]}
    document["unknown"] = unknown
    return document


_UNSAID = Bilingual("파일에는 적혀 있지 않고 아직 아무도 적지 않았어요.", "The files do not say it and nobody has said it yet.")
_NO_TIME = Bilingual("시각 열이 없어요.", "There is no time column.")
_FEW_TIMES = Bilingual("서로 다른 시각이 너무 적어요.", "There are too few distinct instants.")
_IRREGULAR = Bilingual(
    "기록 간격이 일정하지 않아 빠진 기록을 셀 수 없어요.",
    "The readings have no regular clock, so absent ones cannot be counted.",
)
_NO_RECORDS = Bilingual("기록이 없어요.", "There are no records.")
_NO_UNIT = Bilingual("단위가 적혀 있지 않고 이름에서도 알 수 없어요.", "No unit is written and the name does not tell it.")


def _reason(text: Bilingual) -> dict[str, Json]:
    return text.fields("reason")


def _span(parts: Sequence[StoredPart]) -> tuple[str | None, str | None]:
    firsts = [p.card.time_first for p in parts if p.card.time_first is not None]
    lasts = [p.card.time_last for p in parts if p.card.time_last is not None]
    return iso(min(firsts, default=None)), iso(max(lasts, default=None))


def _part(part: StoredPart) -> dict[str, Json]:
    card, layout = part.card, part.card.layout
    return {
        "part": card.index,
        "source": card.source,
        "sha256": card.sha256,
        "bytes": part.size,
        "added": part.added,
        "format": layout.format,
        "encoding": layout.encoding,
        "separator": layout.separator,
        "decimal": layout.decimal,
        "thousands": layout.thousands,
        "preamble_lines": layout.preamble_lines,
        "header_rows": layout.header_rows,
        "units_row": layout.units_row,
        "layout": layout.layout,
        "time_column": layout.time_column,
        "time_format": layout.time_format,
        "zone": layout.zone,
        "zone_assumed": layout.zone_assumed,
        "time_first": iso(card.time_first),
        "time_last": iso(card.time_last),
        "rows_read": card.tally.read,
        "rows_kept": card.tally.kept,
        "rows_quarantined": card.tally.quarantined,
        "rows_duplicate": card.tally.duplicate,
        "steps_off": [*sorted(part.disabled)],
        "findings": [finding_document(f) for f in card.findings],
    }


def _version(db: Connection, dataset: Dataset, version: Version) -> dict[str, Json]:
    parts = parts_of(db, dataset, version.parts)
    return {
        "version": version.id.number,
        "created": version.created,
        "party": version.party,
        "reason": version.reason,
        "rows": sum(p.card.tally.kept for p in parts),
        "sources": [p.card.source for p in parts],
    }


def _lineage(db: Connection, dataset: Dataset, version: Version) -> dict[str, Json]:
    """From which files and by which steps the version came, and what was made of it."""
    from sqlalchemy import select

    parts = parts_of(db, dataset, version.parts)
    done = db.execute(select(steps).where(steps.c.dataset == dataset.id).order_by(steps.c.id)).all()
    origins = {p.origin for p in parts}
    made = db.execute(select(objects).where(objects.c.inputs.contains(dumps(str(version.id)))).order_by(objects.c.id)).all()
    return {
        "inputs": [
            {"source": p.card.source, "sha256": p.card.sha256, "original": f"objects/{p.object[:2]}/{p.object}"} for p in parts
        ],
        "from_versions": [*version.parents],
        "steps": [
            {
                "id": f"u{s.id}",
                "kind": s.kind,
                "step": s.subject,
                "party": s.party,
                "time": s.time,
                "undone": s.undone,
                **{f"reason_{k}": loads(s.detail)[k] for k in ("ko", "en") if k in loads(s.detail)},
            }
            for s in done
            if s.kind != "reading" or loads(s.detail)["origin"] in origins
        ],
        "made_of_it": [
            {"kind": o.kind, "name": o.name, "version": o.version, "created": o.created}
            for o in made
            if str(version.id) in loads(o.inputs)
        ],
    }


def quality(db: Connection, dataset: Dataset, version: Version) -> Quality:
    """The quality of one version."""
    return quality_of([p.profile for p in parts_of(db, dataset, version.parts)], version.columns)

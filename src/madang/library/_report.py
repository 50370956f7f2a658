"""The published document of an intake: field names are a contract."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from madang.connect import Layout, Tally
from madang.errors import Json, MadangError
from madang.library._cards import ColumnCard
from madang.library._instants import iso
from madang.plant import Finding


@dataclass(frozen=True)
class TableReport:
    """What became of one table."""

    source: str
    dataset: str
    version: int
    part: int
    sha256: str
    layout: Layout
    tally: Tally
    time_first: datetime | None
    time_last: datetime | None
    columns: tuple[ColumnCard, ...]
    findings: tuple[Finding, ...]
    added: bool
    """False when the library already had it."""


@dataclass(frozen=True)
class IntakeReport:
    """What an intake did; `document` is the published ``intake/1``."""

    tables: tuple[TableReport, ...]
    errors: tuple[MadangError, ...]
    """Inputs that could not be read, while others could."""
    id: str | None
    """To hand to ``undo``; None when nothing was added."""
    skipped: tuple[str, ...] = ()
    """Files of folders that are documents, programs or pictures, not tables."""

    def document(self) -> dict[str, Json]:
        """Return the fields of ``intake/1`` (without the envelope that a face adds)."""
        return {
            "intake": self.id,
            "tables": [_table(t) for t in self.tables],
            "errors": [e.document() for e in self.errors],
            "skipped": [*self.skipped],
        }


def _table(table: TableReport) -> dict[str, Json]:
    layout = table.layout
    return {
        "source": table.source,
        "dataset": table.dataset,
        "version": table.version,
        "part": table.part,
        "added": table.added,
        "sha256": table.sha256,
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
        "time_first": iso(table.time_first),
        "time_last": iso(table.time_last),
        "rows_read": table.tally.read,
        "rows_kept": table.tally.kept,
        "rows_quarantined": table.tally.quarantined,
        "rows_duplicate": table.tally.duplicate,
        "columns": columns_document(table.columns),
        "findings": [finding_document(f) for f in table.findings],
        "steps": [{"id": s.id, "reversible": s.reversible, **s.reason.fields("reason")} for s in layout.steps],
    }


def columns_document(columns: Sequence[ColumnCard]) -> list[Json]:
    """Columns as reports and cards show them."""
    return [column_document(c) for c in columns]


def column_document(card: ColumnCard) -> dict[str, Json]:
    """One column as reports and cards show it; an absent number comes with its reason."""
    stats: Json = None
    reason: dict[str, Json] = {}
    if card.stats is not None:
        numbers = {"sum": card.stats.sum, "min": card.stats.min, "max": card.stats.max}
        stats = {"n": card.stats.n} | {k: v if v is not None and math.isfinite(v) else None for k, v in numbers.items()}
        if any(v is None for v in stats.values()):
            reason = {"stats_reason": "the column holds infinite values"}
    elif card.type in ("number", "integer"):
        reason = {"stats_reason": "no good value"}
    else:
        reason = {"stats_reason": "not a column of numbers"}
    return {
        "source_name": card.source_name,
        "name": card.name,
        "role": str(card.role),
        "kind_of_quantity": str(card.kind),
        "type": card.type,
        "unit_source": card.unit_source,
        "unit": card.unit,
        "unit_reason": card.unit_reason.en,
        **card.unit_reason.fields("unit_reason"),
        "confidence": round(card.confidence, 4),
        "status": card.status,
        "missing": card.missing,
        "bad": card.bad,
        "stuck": card.stuck,
        "stats": stats,
        **reason,
        "point": card.point,
        "quality": card.quality,
    }


def finding_document(finding: Finding) -> dict[str, Json]:
    """One finding as reports show it."""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "rows": finding.rows,
        "examples": list(finding.examples),
        **finding.message.fields("message"),
        "column": finding.column,
        "undo": finding.undo,
        "facts": finding.facts,
    }

"""Keeps what was brought in, knows what it means, and decides every read.

Bring files in, look at what they are, and read them through the one door:

    with Library.open(folder, clock=lambda: datetime.now(UTC), zone="Asia/Seoul") as library:
        report = library.intake([Path("meter.csv")])
        library.card(report.tables[0].dataset)
        library.read(report.tables[0].dataset, reader="owner", purpose="show").table

A dataset is a list of immutable versions (``meter@1``, ``meter@2``); a version is a list of parts, each one source table that was
read. Nothing is changed in place: a correction, an undo or a mapping makes a new version, and the older ones keep their bytes.
"""

from __future__ import annotations

from madang.library._cards import (
    PART,
    ColumnCard,
    ColumnStats,
    Decision,
    MappingStatus,
    PartCard,
    ReadResult,
    VersionId,
)
from madang.library._decide import Answer, DecisionPoint, OwnerMay, Request
from madang.library._library import Library
from madang.library._report import IntakeReport, TableReport
from madang.library._where import Form, Where

__all__ = [
    "PART",
    "Answer",
    "ColumnCard",
    "ColumnStats",
    "Decision",
    "DecisionPoint",
    "Form",
    "IntakeReport",
    "Library",
    "MappingStatus",
    "OwnerMay",
    "PartCard",
    "ReadResult",
    "Request",
    "TableReport",
    "VersionId",
    "Where",
]

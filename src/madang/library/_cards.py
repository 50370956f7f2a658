"""What the library says about a dataset: columns, parts, versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import pyarrow as pa

from madang.connect import Layout, Tally
from madang.errors import Json
from madang.plant import Bilingual, Finding, Kind, Role

PART = "_part"
"""Name of the int32 column that says which part (source file) of a version a record came from."""

MappingStatus = Literal["proposed", "accepted", "ask"]


@dataclass(frozen=True)
class ColumnStats:
    """Sums over the good values of a column, in the column's `unit`."""

    n: int
    sum: float
    min: float | None
    max: float | None


@dataclass(frozen=True)
class ColumnCard:
    """What is known about one column (of a long table: about one tag)."""

    source_name: str
    name: str
    role: Role
    kind: Kind
    unit_source: str | None
    unit: str | None
    """UCUM code; None = unknown."""
    unit_reason: Bilingual
    confidence: float
    """From 0 to 1, of role, kind and unit together."""
    status: MappingStatus
    type: Literal["number", "integer", "text", "boolean", "time"]
    missing: int = 0
    bad: int = 0
    stuck: int = 0
    stats: ColumnStats | None = None
    point: str | None = None
    """Path of the mapped point of a line document, when mapped."""
    quality: float | None = None
    """Score from 0 to 1."""
    proposal: dict[str, Json] | None = None
    """What the standardiser proposed, where a person decided otherwise; None where the card still is the proposal."""


@dataclass(frozen=True)
class PartCard:
    """One source table inside a version."""

    index: int
    source: str
    sha256: str
    layout: Layout
    tally: Tally
    time_first: datetime | None
    time_last: datetime | None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class VersionId:
    """``dataset@number``; the number counts from 1."""

    dataset: str
    number: int

    def __str__(self) -> str:
        return f"{self.dataset}@{self.number}"


@dataclass(frozen=True)
class Decision:
    """The answer of the decision point to one read."""

    allow: bool
    reader: str
    purpose: str
    version: VersionId | None
    columns: tuple[str, ...]
    clause: str
    reason: Bilingual
    log_index: int


@dataclass(frozen=True)
class ReadResult:
    """What one read gave."""

    table: pa.Table
    """`PART`, `madang.connect.ROW`, then the granted columns, in the order of parts and records.
    A long dataset is pivoted to wide unless it was asked for as stored."""
    columns: tuple[ColumnCard, ...]
    version: VersionId
    parts: tuple[PartCard, ...]
    decision: Decision
    facts: Mapping[str, Json] = field(default_factory=dict)

"""Keeps what was brought in, knows what it means, and decides every read."""

from __future__ import annotations

from madang.library._cards import (
    PART, ColumnCard, ColumnStats, Decision, MappingStatus, PartCard, ReadResult, VersionId,
)

__all__ = ["PART", "ColumnCard", "ColumnStats", "Decision", "MappingStatus", "PartCard", "ReadResult", "VersionId"]

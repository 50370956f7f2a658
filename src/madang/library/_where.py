"""Which records of a version are asked for, and in which form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Form = Literal["wide", "stored", "long"]


@dataclass(frozen=True)
class Where:
    """Which records to read; everything when empty. Intervals include their first and exclude their last end."""

    parts: tuple[int, ...] | None = None
    """Numbers of parts (`PartCard.index`)."""
    sources: tuple[str, ...] | None = None
    """Names of source files."""
    rows: tuple[int, int] | None = None
    """First and last source record, both included, per part."""
    time: tuple[datetime | None, datetime | None] | None = None
    """From (included) and until (excluded)."""

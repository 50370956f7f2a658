"""Intervals that were not got: each is a record with cause, bounds, points, and whether it was filled later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

GapCause = Literal[
    "disconnected",
    "source_restarted",
    "server_overflow",
    "broker_overflow",
    "sequence_jump",
    "spool_dropped",
    "spool_thinned",
    "disk_full",
    "collector_stopped",
    "paused",
    "clock_jump",
    "out_of_range",
    "bad_tag",
    "spool_damaged",
]
Backfilled = Literal["no", "part", "yes", "impossible"]


@dataclass(frozen=True)
class Gap:
    """One interval that was not got. It is open while `until` is None."""

    id: str
    """``NAME-000001``; the connection's name and a number counted from 1."""
    connection: str
    cause: GapCause
    since: datetime
    """Last instant known to be held, or the start of what was lost (UTC)."""
    until: datetime | None
    """First instant held again."""
    tags: tuple[str, ...] | None = None
    """Names of the tags concerned; None = all of the connection."""
    samples: int | None = None
    """How many samples were lost, where that is known."""
    backfilled: Backfilled = "no"
    filled: int = 0
    """Samples that came later."""
    note: str = ""
    """What the peer or the system said, without values."""

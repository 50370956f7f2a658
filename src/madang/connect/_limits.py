"""How much a spool may take, and how full it is."""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

OverflowPolicy = Literal["block", "drop_oldest", "thin"]


@dataclass(frozen=True)
class SpoolLimits:
    """How much a spool may take, and what happens when that is not enough.

    Policies: ``block``: nothing more is taken until there is room, so the peer waits. ``drop_oldest``: the oldest file is deleted.
    ``thin``: from four fifths of the limit on, samples that are neither the first, the smallest nor the largest of their minute so far
    are left out, and the next one kept carries the overflow bits; when that does not help, the oldest file is deleted. Raw messages and
    rows are never thinned. Each of them stands in the ledger.
    """

    bytes: int = 10 * 2**30
    """Most bytes on disk."""
    floor: int = 2 * 2**30
    """Bytes that stay free on the disk."""
    policy: OverflowPolicy = "block"
    segment_bytes: int = 64 * 2**20
    """A file is ended when it has reached this; it is what is deleted at once."""
    keep_bytes: int = 8 * 2**20
    """Released bytes that stay, so that what is sent twice can be recognised after a restart."""
    queue_bytes: int = 64 * 2**20
    """Most bytes in memory that are not durable yet; then appending waits."""
    window: float = 0.005
    """Least time between two flushes while more keeps coming [s]."""

    @property
    def segment(self) -> int:
        """Bytes at which a file is ended: small enough that one file is a small part of the limit."""
        return max(4096, min(self.segment_bytes, self.bytes // 8))


@dataclass(frozen=True)
class SpoolDepth:
    """What is in a spool and not yet in the lake."""

    frames: int
    samples: int
    """Samples, messages and records."""
    bytes: int
    oldest: datetime | None
    """When the oldest of it was received (UTC)."""
    bytes_per_second: float
    """What came in over about the last minute, as it stands on disk."""
    hours_to_full: float | None
    """How long it would last if nothing were taken out; None while nothing comes."""


class InflowRate:
    """Bytes a second over the last stretch of time.

    Args:
        span: The stretch [s].
    """

    def __init__(self, span: float = 60.0) -> None:
        self._span = span
        self._lock = threading.Lock()
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, now: float, size: int) -> None:
        """Count bytes that came at a moment of a steady clock [s]."""
        with self._lock:
            if self._seen and now - self._seen[-1][0] < 1.0:
                now, size = self._seen[-1][0], self._seen.pop()[1] + size
            self._seen.append((now, size))
            while now - self._seen[0][0] > self._span:
                self._seen.popleft()

    def per_second(self, now: float) -> float:
        """Return the rate [bytes/s] at a moment of the same clock."""
        with self._lock:
            recent = [(at, size) for at, size in self._seen if now - at <= self._span]
        return sum(size for _, size in recent) / max(1.0, now - recent[0][0]) if recent else 0.0


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free on a folder's disk."""
    if hasattr(os, "statvfs"):
        disk = os.statvfs(folder)
        return disk.f_bavail * disk.f_frsize
    import shutil  # pragma: no cover (another system)

    return shutil.disk_usage(folder).free  # pragma: no cover

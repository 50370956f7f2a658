"""Makes room on disk for what comes, as the policy says, and notes what that cost."""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from madang.connect._ledger import Ledger
from madang.connect._limits import SpoolLimits
from madang.connect._segments import Segment
from madang.connect._store import SegmentStore

_SLACK: Final = 8192
"""Bytes that a commit may need beside its frames: the head of a new file, a line of the ledger."""
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
THIN_FROM: Final = 0.8
THIN_UNTIL: Final = 0.7


def instant(received: int) -> datetime:
    """Return a received time [us since 1970] as an instant."""
    return datetime.fromtimestamp(received / 1e6, UTC)


def is_no_space(error: OSError) -> bool:
    """Whether an error says that the disk, or a quota on it, is full."""
    return error.errno in _NO_SPACE


class Room:
    """The policy of one spool. Called by its writing thread alone.

    Args:
        store: The files.
        ledger: Where losses and pauses are noted, before they happen.
        limits: What is allowed.
        clock: Tells the time of a pause.
        free: Tells the free bytes of a folder's disk.
    """

    def __init__(
        self,
        store: SegmentStore,
        ledger: Ledger,
        limits: SpoolLimits,
        clock: Callable[[], datetime],
        free: Callable[[Path], int],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._limits = limits
        self._clock = clock
        self._free = free
        self._pause: str | None = None
        self._in_vain = -(2**62)
        """Room that was left when deleting a file gave none: others take what is freed, and deleting more would only lose more."""
        self._dropping: tuple[str, int] | None = None
        """Gap that grows while one file after another is dropped, and the sequence at which the next would begin."""

    def left(self) -> int:
        """Return the bytes that may still be written; below 0 where more is taken than is allowed."""
        return min(self._limits.bytes - self._store.size, self._free(self._store.folder) - self._limits.floor)

    def fullness(self) -> float:
        """Return how full the spool is, from 0 to 1."""
        used = self._store.size
        return used / (used + max(0, self.left())) if used else 0.0

    def make(self, size: int) -> bool:
        """Return whether `size` bytes may be written now, after what the policy does about it."""
        need = size + _SLACK
        if self.left() >= need:
            return True
        self._store.forget(0)
        if self._limits.policy != "block":
            self._drop_until(need)
        if self.left() >= need:
            return True
        self.pause("spool limit" if self._limits.bytes - self._store.size < need else "disk floor")
        return False

    def _drop_until(self, need: int) -> None:
        """Delete the oldest files, as long as that can help and does help."""
        while (left := self.left()) < need <= left + self._store.size and left > self._in_vain:
            if not self._drop():
                return
            self._in_vain = left if self.left() <= left else self._in_vain

    def make_by_force(self) -> None:
        """Free something after the disk turned out to be full."""
        before = self._store.size
        self._store.forget(0)
        if self._store.size == before and (self._limits.policy == "block" or not self._drop()):
            self.pause("disk full")

    def pause(self, note: str) -> None:
        """Note that nothing is taken for now."""
        if self._pause is None:
            self._pause = self._ledger.open("disk_full", self._clock(), note=note)

    def resume(self) -> None:
        """Note that a write succeeded."""
        self._in_vain = -(2**62)
        if self._pause is not None:
            self._ledger.close(self._pause, self._clock())
            self._pause = None

    def _drop(self) -> bool:
        """Delete the oldest file with its loss noted first; returns whether there was one."""
        oldest = self._store.oldest()
        if oldest is None:
            return False
        segment, until = oldest
        lost = self._store.unreleased(segment)
        if lost.samples:
            self._note(segment, lost.samples, instant(lost.oldest), instant(until))
        self._store.drop(segment)
        return True

    def _note(self, segment: Segment, samples: int, since: datetime, until: datetime) -> None:
        key = f"dropped {segment.path.name}"
        if self._dropping is not None and self._dropping[1] == segment.first:
            gap = self._dropping[0]
        else:
            gap = self._ledger.open("spool_dropped", since, key=f"{key} first", note=f"from frame {segment.first}")
        self._ledger.grow(gap, until, samples, key=key)
        self._dropping = (gap, segment.last + 1)

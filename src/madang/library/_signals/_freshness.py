"""How fresh one connection's samples are, and how far its peer's clock and ours are apart."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np

from madang.connect import Block
from madang.library._signals._samples import Samples
from madang.library._signals._times import instant

_LOOKED_AT: Final = 512
"""Samples of a block whose times are looked at for the difference of the clocks, evenly spread."""
_NOT_GOOD: Final = np.uint32(0x4000_0000)
"""OPC UA status codes below it are good (OPC 10000-4, 7.39.1)."""


class Freshness:
    """Watches what passes; a few passes over whole arrays for each block."""

    def __init__(self) -> None:
        self._newest: int | None = None
        self._skews: list[tuple[float, int]] = []

    def see(self, samples: Samples, block: Block) -> None:
        """Take note of a block's samples."""
        if len(samples) == 0:
            return
        self._good_until(_newest_good(samples), block.received)
        if block.origin == "live":
            times = samples.time[:: max(1, len(samples) // _LOOKED_AT)]
            self._skews.append((float(block.received - np.median(times)), len(samples)))

    def see_rows(self, received: int) -> None:
        """Take note of records: they have no quality, and no time that is known to be theirs.

        Args:
            received: When they were received [us since 1970].
        """
        self._good_until(received, received)

    def _good_until(self, time: int | None, received: int) -> None:
        if time is None:
            return
        time = min(time, received)  # a clock that is ahead must not make a dead connection look fresh
        if self._newest is None or time > self._newest:
            self._newest = time

    @property
    def newest_good(self) -> datetime | None:
        """Time of the newest sample with good quality and a value (UTC), never after it was received; None = none came."""
        return None if self._newest is None else instant(self._newest)

    def skew(self) -> float | None:
        """Return the median of time of reception - source time [s] of the live samples since the last call; None = there were none."""
        seen, self._skews = self._skews, []
        if not seen:
            return None
        value, weight = np.array([s for s, _ in seen]), np.array([n for _, n in seen])
        order = np.argsort(value)
        middle = np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)
        return float(value[order][middle]) / 1e6


def _newest_good(samples: Samples) -> int | None:
    good = samples.quality < _NOT_GOOD
    if samples.absent is not None:
        good &= ~samples.absent
    if bool(good.all()):
        return int(samples.time.max())
    return int(samples.time[good].max()) if bool(good.any()) else None

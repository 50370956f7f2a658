"""How far a server's clock is from ours: estimated and shown, never used to change a value's time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from madang.plant import Bilingual

_SHOWN: Final = 2.0
"""Differences below this are not worth a word [s]."""
_JUMP: Final = 5.0
"""A change of the difference beyond this is a jump of one of the clocks [s]."""


class ServerClock:
    """The difference between the server's clock and ours; above 0: the server is ahead."""

    def __init__(self) -> None:
        self.skew: float | None = None
        """[s]"""
        self.uncertain: float = 0.0
        """Half of the time the question took [s]."""
        self.newest = 0
        """The server's newest time of publishing [us since 1970]."""

    @property
    def skew_us(self) -> int:
        """The difference [us]; 0 while it is not known."""
        return int((self.skew or 0.0) * 1_000_000)

    def asked(self, answer: datetime, before: datetime, after: datetime) -> float | None:
        """Take the server's time that was asked between two instants of ours; returns by how much a clock jumped [s].

        Source:
            D. L. Mills, Internet time synchronization, 1991: the difference lies within half of the round trip.
        """
        middle = before + (after - before) / 2
        skew = (answer - middle) / timedelta(seconds=1)
        uncertain = abs((after - before) / timedelta(seconds=2))
        jump = None if self.skew is None else skew - self.skew
        self.skew, self.uncertain = skew, uncertain
        return jump if jump is not None and abs(jump) > _JUMP + uncertain else None

    def heard(self, published: int, received: int) -> None:
        """Take note of the time at which the server says it published [us]."""
        self.newest = max(self.newest, published)
        if self.skew is None and published > 0:
            self.skew = (published - received) / 1_000_000

    def text(self) -> Bilingual | None:
        """Say the difference, where it is worth a word."""
        if self.skew is None or abs(self.skew) < _SHOWN + self.uncertain:
            return None
        ahead = self.skew > 0
        seconds = f"{abs(self.skew):,.0f}"
        return Bilingual(
            f"서버의 시계가 우리보다 {seconds}초 {'빨라요' if ahead else '느려요'}",
            f"the server's clock is {seconds} s {'ahead of' if ahead else 'behind'} ours",
        )

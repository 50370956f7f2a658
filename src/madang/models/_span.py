"""Lengths of time as people write them: ``1h``, ``15min``, ``24rows``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from madang.errors import UsageError

_SECONDS = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "초": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0, "분": 60.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "hours": 3600.0, "시간": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0, "일": 86400.0,
    "w": 604800.0, "week": 604800.0, "weeks": 604800.0, "주": 604800.0,
}  # fmt: skip
_ROWS = {"row", "rows", "행"}
_PATTERN = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([A-Za-z가-힣]+)\s*$")


@dataclass(frozen=True)
class Span:
    """A length of time in seconds, or a number of rows; exactly one of the two."""

    seconds: float | None = None
    rows: int | None = None

    @property
    def text(self) -> str:
        """The span as a person would write it."""
        if self.rows is not None:
            return f"{self.rows}rows"
        seconds = self.seconds or 0.0
        for unit, size in (("w", 604800.0), ("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
            if seconds >= size and abs(seconds / size - round(seconds / size)) < 1e-9:
                return f"{round(seconds / size)}{unit}"
        return f"{seconds:g}s"


NOTHING = Span(rows=0)


def parse_span(text: str | None, option: str) -> Span | None:
    """Read a length of time such as ``15min`` or ``24rows``.

    Args:
        text: What the person wrote; None stays None.
        option: Name of the option, for the error.

    Raises:
        UsageError: The text is not a number followed by a unit, or rows are not whole.

    >>> parse_span("15min", "--horizon")
    Span(seconds=900.0, rows=None)
    >>> parse_span("24rows", "--lab-delay")
    Span(seconds=None, rows=24)
    """
    if text is None or not text.strip():
        return None
    found = _PATTERN.match(text)
    unit = found.group(2).lower() if found else ""
    amount = float(found.group(1)) if found else 0.0
    if unit in _ROWS and amount == int(amount):
        return Span(rows=int(amount))
    if unit in _SECONDS:
        return Span(seconds=amount * _SECONDS[unit])
    raise UsageError(
        "bad_span",
        ko=f"{option}의 값 '{text}'을(를) 알 수 없어요.",
        en=f"The value '{text}' of {option} is not understood.",
        next_ko="'15min', '8h', '1d' 또는 '24rows'처럼 숫자와 단위를 적어 주세요.",
        next_en="Write a number and a unit, such as '15min', '8h', '1d' or '24rows'.",
        where={"option": option},
    )

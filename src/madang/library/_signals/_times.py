"""Between aware instants and microseconds since 1970, exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import overload

from madang.errors import InputError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LEAST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND
_MOST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND


@overload
def micros(at: datetime) -> int: ...
@overload
def micros(at: None) -> None: ...
@overload
def micros(at: datetime | None) -> int | None: ...
def micros(at: datetime | None) -> int | None:
    """Return an instant as whole microseconds since 1970; None stays None.

    Raises:
        InputError: The time has no zone.

    >>> micros(datetime(2106, 2, 7, 6, 28, 16, 5, tzinfo=UTC))
    4294967296000005
    """
    if at is None:
        return None
    if at.tzinfo is None:
        raise InputError(
            "naive_time",
            ko="시간대가 없는 시각으로는 읽을 수 없어요.",
            en="A period needs times with a zone.",
            next_ko="시간대(예: Asia/Seoul)를 붙여 주세요.",
            next_en="Give the times a zone, such as Asia/Seoul.",
        )
    return (at - EPOCH) // _MICROSECOND


def instant(at: int) -> datetime:
    """Return microseconds since 1970 as an aware instant, held within the years that a datetime knows."""
    return EPOCH + min(max(at, _LEAST), _MOST) * _MICROSECOND

"""Where things stand and when they happened: equipment paths (ISA-95), intervals of time, parties."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from madang.errors import InputError
from madang.plant._words import Bilingual

LEVELS = ("enterprise", "site", "area", "line", "unit")
"""The house's five levels of equipment, from ISA-95."""


@dataclass(frozen=True, order=True)
class EquipmentPath:
    """A place in the hierarchy of equipment, from the enterprise down to at most one unit.

    >>> path = EquipmentPath.parse("hanbit/pohang/firing/rhk1/kiln")
    >>> path.level, str(path.parent)
    ('unit', 'hanbit/pohang/firing/rhk1')
    >>> EquipmentPath.parse("hanbit/pohang").holds(path)
    True
    """

    parts: tuple[str, ...]
    """One to five names, without blanks or slashes."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.parts) <= len(LEVELS) or any(not part.strip() or "/" in part for part in self.parts):
            text = "/".join(self.parts)
            raise InputError(
                "bad_equipment_path",
                ko=f"설비 경로 {text!r} 는 1~5개의 이름이어야 해요(기업/사업장/구역/라인/유닛).",
                en=f"Equipment path {text!r} needs one to five names: enterprise/site/area/line/unit.",
                next_ko="이름 사이를 / 로 나누고 빈 이름은 지워 주세요.",
                next_en="Separate the names with / and leave none empty.",
                where={"path": text},
            )

    @classmethod
    def parse(cls, text: str) -> EquipmentPath:
        """Read ``enterprise/site/area/line/unit`` or a beginning of it."""
        return cls(tuple(part.strip() for part in text.split("/")))

    @property
    def level(self) -> str:
        """Name of the lowest level that the path reaches."""
        return LEVELS[len(self.parts) - 1]

    @property
    def parent(self) -> EquipmentPath | None:
        """The place one level up; None above the enterprise."""
        return EquipmentPath(self.parts[:-1]) if len(self.parts) > 1 else None

    def holds(self, other: EquipmentPath) -> bool:
        """Whether `other` is this place or lies in it."""
        return other.parts[: len(self.parts)] == self.parts

    def __str__(self) -> str:
        return "/".join(self.parts)


@dataclass(frozen=True, order=True)
class Interval:
    """A stretch of time: the start is in it, the end is not. Both are aware and kept in UTC.

    >>> from datetime import timedelta
    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> shift = Interval(start, start + timedelta(hours=8))
    >>> start in shift, start + timedelta(hours=8) in shift, shift.seconds
    (True, False, 28800.0)
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise InputError(
                "naive_time",
                ko="시간대가 없는 시각으로는 구간을 만들 수 없어요.",
                en="An interval needs times with a zone.",
                next_ko="시간대(예: Asia/Seoul)를 붙여 주세요.",
                next_en="Give the times a zone, such as Asia/Seoul.",
            )
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        object.__setattr__(self, "end", self.end.astimezone(UTC))
        if self.end < self.start:
            raise InputError(
                "reversed_interval",
                ko="구간의 끝이 시작보다 앞에 있어요.",
                en="The interval ends before it starts.",
                next_ko="시작과 끝을 바꿔 주세요.",
                next_en="Exchange start and end.",
            )

    @property
    def seconds(self) -> float:
        """Length [s]."""
        return (self.end - self.start).total_seconds()

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def overlap(self, other: Interval) -> Interval | None:
        """Return the stretch that both share, None when they only touch or lie apart."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Interval(start, end) if start < end else None


@dataclass(frozen=True)
class Party:
    """A firm, site, person or agency that can own data and sign."""

    id: str
    """Stable, lower case, without blanks."""
    name: Bilingual
    kind: Literal["firm", "site", "person", "agency"] = "firm"

"""What the library says about a point and its newest sample."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from madang.errors import Json
from madang.library._cards import MappingStatus
from madang.library._instants import iso
from madang.plant import Bilingual, Kind, Role, quality_class, quality_text


@dataclass(frozen=True)
class PointCard:
    """One point of a signals dataset."""

    point: str
    """Its name in queries; unique in the dataset and lasting."""
    id: int
    connection: str
    tag: str
    """The source's name for it."""
    label: Bilingual | None
    kind: Kind
    role: Role
    data_type: str
    """number, integer, boolean or text, as the source says."""
    unit: str | None
    """UCUM code; None = unknown, and values are then in the source's unit."""
    unit_source: str | None
    low: float | None
    """Engineering range in the source's unit, where the source says it."""
    high: float | None
    status: MappingStatus
    samples: int
    """In the version asked for."""
    first: datetime | None
    last: datetime | None

    def document(self) -> dict[str, Json]:
        """Return the fields as documents show them."""
        return {
            "point": self.point,
            "id": self.id,
            "connection": self.connection,
            "tag": self.tag,
            "label_ko": self.label.ko if self.label else None,
            "label_en": self.label.en if self.label else None,
            "kind_of_quantity": str(self.kind),
            "role": str(self.role),
            "data_type": self.data_type,
            "unit": self.unit,
            "unit_source": self.unit_source,
            "low": self.low,
            "high": self.high,
            "status": self.status,
            "samples": self.samples,
            "time_first": iso(self.first),
            "time_last": iso(self.last),
        }


@dataclass(frozen=True)
class LastValue:
    """The newest sample of one point, as old as it is."""

    point: str
    value: float | None
    """In `unit`; None where the sample is a text or has no value."""
    text: str | None
    time: datetime
    """The source's own time of the value, never that of reading it."""
    received: datetime | None
    """None where the table was made anew from the lake, which does not keep it for each sample."""
    quality: int
    """OPC UA status code."""
    age: float
    """Since `time` [s]; negative where the source's clock is ahead."""
    stale: bool
    """Whether it may have changed since without anybody knowing; see `SignalView.last`."""
    unit: str | None

    def document(self) -> dict[str, Json]:
        """Return the fields as documents show them."""
        text = quality_text(self.quality)
        return {
            "point": self.point,
            "value": self.value,
            "text": self.text,
            "time": iso(self.time),
            "received": iso(self.received),
            "quality": self.quality,
            "quality_class": str(quality_class(self.quality)),
            "quality_ko": text.ko,
            "quality_en": text.en,
            "age_seconds": round(self.age, 3),
            "stale": self.stale,
            "unit": self.unit,
        }

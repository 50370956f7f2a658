"""Lots of the living plant: what they are, what happens to them, what the laboratory finds in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]

EventKind = Literal["charged", "soak_start", "soak_end", "discharged"]


@dataclass
class LiveLot:
    """One lot on its way through the kiln; times are seconds of the plant, absent until they have come."""

    number: int
    name: str
    lane: int
    layer: int
    raw: RawLot
    charge: float
    entered: float
    """Way of the belt when it was charged [m]."""
    shift: str
    operator: str
    saggars: int
    mass: float
    """[kg]"""
    bed: FloatArray
    powder: list[float] = field(default_factory=list)
    soak: list[tuple[float, float, float]] = field(default_factory=list)
    flow_sum: FloatArray = field(default_factory=lambda: np.zeros(3))
    flow_count: FloatArray = field(default_factory=lambda: np.zeros(3))
    soak_start: float | None = None
    soak_end: float | None = None
    discharge: float | None = None
    sampled: float | None = None
    resulted: float | None = None
    true_value: float | None = None
    """Residual lithium without laboratory error [ppm]."""
    crystallite: float = 0.0
    """True crystallite size [nm]."""
    result: LabResult | None = None
    """What the laboratory finds; it is told at `resulted`."""


@dataclass(frozen=True)
class LabResult:
    """What the laboratory finds in one lot."""

    residual: float
    """[ppm]"""
    lioh: float
    carbonate: float
    capacity: float
    """[mAh/g]"""
    crystallite: float
    """[nm]"""
    d50: float
    """[um]"""


@dataclass(frozen=True)
class RawLot:
    """One raw lot and its certificate."""

    number: int
    name: str
    supplier: str
    drawn: tuple[float, float, float, float]
    """How its ratio, its moisture, its surface and what no certificate says lie off their means [standard deviations]."""
    ratio: float
    """Molar ratio of lithium to metal on the certificate [-]."""
    moisture: float
    """[%]"""
    bet: float
    """[m2/g]"""


@dataclass(frozen=True)
class PlantEvent:
    """Something that happened to a lot."""

    at: float
    """Second of the plant."""
    kind: EventKind
    lot: LiveLot

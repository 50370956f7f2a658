"""Sees a column that goes on in another unit: its level jumps by exactly a factor between units while the others go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_STEPS: tuple[tuple[float, float], ...] = (
    (1.8, 32.0), (10.0, 0.0), (14.5038, 0.0), (98.0665, 0.0), (9.80665, 0.0), (100.0, 0.0), (1000.0, 0.0), (101.972, 0.0), (1.0, 273.15),
)  # fmt: skip
"""Scale and offset of changes that plants make: °C to °F and K, MPa to bar, bar to psi, kgf/cm2 to kPa, mmAq to Pa, kilo."""
_FEWEST = 40
_NEAR = 20
_EXACT = 0.02


@dataclass(frozen=True)
class UnitChange:
    """Where a column goes on in another unit."""

    index: int
    """Index of the first value in the new unit."""
    scale: float
    offset: float


def find_unit_change(name: str, columns: Mapping[str, Floats]) -> UnitChange | None:
    """Return the change of unit in a column; None unless everything speaks for one.

    The values before and after must not overlap, must agree in level (within two in a hundred) and in spread once converted, both
    near the jump and over all, and no other column may jump at that moment.

    Args:
        name: The column.
        columns: All columns of numbers of the table in source order, NaN where there is no value.
    """
    values = columns[name]
    there = np.flatnonzero(np.isfinite(values))
    solid = values[there]
    if len(solid) < 2 * _FEWEST or len(columns) < 2 or len(np.unique(solid)) < 10:
        return None
    place = int(np.argmax(np.abs(np.diff(solid)))) + 1
    before, after = solid[:place], solid[place:]
    if min(len(before), len(after)) < _FEWEST or not (before.max() < after.min() or after.max() < before.min()):
        return None
    for scale, offset in _STEPS:
        for factor, shift in ((scale, offset), (1 / scale, -offset / scale)):
            if _agrees(before, after, factor, shift) and not _others_jump(name, columns, int(there[place])):
                return UnitChange(int(there[place]), factor, shift)
    return None


def _agrees(before: Floats, after: Floats, scale: float, offset: float) -> bool:
    made = before * scale + offset
    near, far = float(np.median(made[-_NEAR:])), float(np.median(after[:_NEAR]))
    if abs(far - near) > _EXACT * abs(near):
        return False
    one, two = _spread(made), _spread(after)
    if one <= 0 or not 0.5 <= two / one <= 2.0:
        return False
    return abs(float(np.median(after)) - float(np.median(made))) <= max(one, two)


def _spread(values: Floats) -> float:
    low, high = np.quantile(values, [0.05, 0.95])
    return float(high - low)


def _others_jump(name: str, columns: Mapping[str, Floats], index: int) -> bool:
    """Whether another column changes its level at that moment: then the plant changed, not a unit."""
    for other, values in columns.items():
        if other == name:
            continue
        before = values[max(0, index - 3 * _NEAR) : index]
        after = values[index : index + _NEAR]
        before, after = before[np.isfinite(before)], after[np.isfinite(after)]
        if len(before) < _NEAR or not len(after):
            continue
        level = float(np.median(before[-_NEAR:]))
        if abs(float(np.median(after)) - level) > max(1.5 * _spread(before), 0.05 * abs(level)):
            return True
    return False

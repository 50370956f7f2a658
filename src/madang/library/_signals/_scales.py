"""How counts become values: decimals, steps of a converter, and values that were float32 on their way.

A scale is accepted only where it gives the value back bit by bit, so a wrong guess costs bytes and never truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Int32Array = NDArray[np.int32]

LARGEST: Final = 2**31 - 1
"""The smallest int32 stays free; counts are within plus and minus this."""
_DECIMALS: Final = 9
_SPANS: Final = (
    255,
    256,
    1000,
    1023,
    1024,
    4000,
    4095,
    4096,
    8191,
    8192,
    10000,
    16383,
    16384,
    27648,
    32000,
    32767,
    32768,
    65535,
    65536,
)
"""Full scales of converters: 8 to 16 bits, with and without the end, and those of PLC analog modules (27648 of Siemens)."""
_ENOUGH: Final = 32
"""Samples below which a common step of the values is not believed."""
_DISTINCT: Final = 4
_FEW: Final = 256
"""Numbers on which scales are tried out; every number is checked when it is written."""


@dataclass(frozen=True)
class Scale:
    """Physical value = ``value * scale / divisor + offset`` in float64, then rounded to float32 where `rounding` is 32."""

    scale: float = 1.0
    divisor: float = 1.0
    offset: float = 0.0
    unit: str | None = None
    """Unit of the physical value as the source spells it."""
    rounding: Literal[32, 64] = 64


def physical(value: Int32Array, by: Scale) -> FloatArray:
    """Return the physical values of counts, shape (sample,)."""
    found = value.astype(np.float64)
    if by.scale != 1.0:
        found *= by.scale
    if by.divisor != 1.0:
        found /= by.divisor
    if by.offset != 0.0:
        found += by.offset
    if by.rounding == 64:
        return found
    with np.errstate(over="ignore"):
        return found.astype(np.float32).astype(np.float64)


def counts(number: FloatArray, by: Scale) -> tuple[Int32Array, NDArray[np.bool_]]:
    """Return counts, and where they give the number back bit by bit (so never for NaN, infinities and -0.0)."""
    with np.errstate(invalid="ignore", over="ignore"):
        raw = number - by.offset if by.offset != 0.0 else number.copy()
        if by.divisor != 1.0:
            raw *= by.divisor
        if by.scale != 1.0:
            raw /= by.scale
        np.rint(raw, out=raw)
        inside = np.abs(raw) <= LARGEST
        if not inside.all():
            raw[~inside] = 0.0
        found = raw.astype(np.int32)
        back = physical(found, by)
    return found, inside & (back.view(np.int64) == number.view(np.int64))


def find_scale(number: FloatArray, unit: str | None = None) -> Scale:
    """Return the scale that gives back the most of a point's numbers, the coarsest that does.

    Args:
        number: Finite numbers of one point, shape (sample,), at least one.
        unit: The source's unit.
    """
    best, share = Scale(unit=unit), -1.0
    # The first in a row show the steps, the others the whole range.
    few = number if len(number) <= _FEW else np.concatenate([number[: _FEW // 2], number[:: len(number) // _FEW]])
    for candidate in _candidates(few, unit):
        exact = float(counts(few, candidate)[1].mean())
        if exact > share:
            best, share = candidate, exact
        if exact == 1.0:
            break
    if share < 0.5:
        return Scale(unit=unit)
    return _coarser(number, best)


def _candidates(number: FloatArray, unit: str | None) -> Iterator[Scale]:
    for k in range(_DECIMALS + 1):
        yield Scale(divisor=10.0**k, unit=unit)
    with np.errstate(over="ignore"):
        narrow = number.astype(np.float32).astype(np.float64)
    single = bool((narrow.view(np.int64) == number.view(np.int64)).all())
    if single:
        for k in range(1, 7):
            yield Scale(divisor=10.0**k, unit=unit, rounding=32)
    yield from _converter(number, unit, single)


def _converter(number: FloatArray, unit: str | None, single: bool) -> Iterator[Scale]:
    """Scales of a converter whose steps are seen as the smallest difference of values."""
    distinct = np.unique(number)
    if len(distinct) < _DISTINCT:
        return
    steps = np.diff(distinct)
    step = float(steps[steps > steps.max() * 1e-9].min())
    ways: tuple[Literal[32, 64], ...] = (64, 32) if single else (64,)
    for span in _SPANS:
        full = float(f"{step * span:.6g}")
        if abs(full / span - step) < step * 1e-4:
            for rounding in ways:
                yield Scale(scale=full, divisor=float(span), unit=unit, rounding=rounding)
                yield Scale(scale=full / span, unit=unit, rounding=rounding)


def _common(values: IntArray) -> int:
    """Greatest common divisor; a few mostly show that there is none."""
    few = int(np.gcd.reduce(values[:_ENOUGH]))
    return few if few == 1 else int(np.gcd.reduce(values))


def _coarser(number: FloatArray, by: Scale) -> Scale:
    """Return the scale with the common step of its counts taken into it, where values enough were seen."""
    found, exact = counts(number, by)
    good = found[exact].astype(np.int64)
    if by.scale != 1.0 or len(good) < _ENOUGH or len(np.unique(good[:4096])) < _DISTINCT:
        return by
    for step, rest in ((_common(good), 0), (_common(np.diff(good)), None)):
        if step <= 1:
            continue
        offset = 0.0 if rest == 0 else float((good[0] % step) / by.divisor)
        wider = Scale(float(step), by.divisor, offset, by.unit, by.rounding)
        if bool(counts(number[exact], wider)[1].all()):
            return wider
    return by

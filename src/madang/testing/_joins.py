"""A plant whose systems disagree: lots, laboratory and control system with the true partner of every row beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True)
class JoinPlant:
    """Tables of three systems, and what belongs to what."""

    lots: pa.Table
    """``lot``, ``start``, ``end``, ``recipe``: a lot number is used again months later for some lots."""
    lab: pa.Table
    """``sample_lot`` (spelled as the laboratory spells), ``sampled``, ``result_time``, ``purity``, ``remark``."""
    signal: pa.Table
    """``time``, ``charging`` (switches on at each start), ``temperature``; on the control system's clock."""
    true_lot: NDArray[np.int64]
    """Row of `lots` that each row of `lab` belongs to; -1 where there is none (or where nothing could tell)."""
    undecidable: NDArray[np.bool_]
    """Rows of `lab` that nothing in the tables can decide: a careful join lists them."""
    final: NDArray[np.int64]
    """Row of `lab` that holds for each row of `lots` (the latest result); -1 where none was reported."""
    offset_minutes: float
    """How far the control system's clock runs ahead of the lot system's."""
    lab_minutes: float
    """How far the laboratory's clock runs ahead of the lot system's."""


def join_plant(seed: int, *, lots: int = 240) -> JoinPlant:
    """Return a plant with skewed clocks, late, repeated and corrected results, re-used and split lot numbers.

    Args:
        seed: Everything random follows from it.
        lots: How many lots, at least 60.
    """
    rng = np.random.default_rng([seed, 31])
    interval = rng.uniform(0.6, 2.2, lots) + np.where(rng.random(lots) < 0.03, rng.uniform(4.0, 30.0, lots), 0.0)
    # the second half is months after the first, as when a plant starts counting again
    interval[lots // 2] += 24.0 * rng.uniform(60.0, 150.0)
    begun = np.cumsum(interval)
    start = np.datetime64("2024-02-01T00:00:00", "us") + (begun * 3.6e9).astype("timedelta64[us]")
    length = rng.uniform(7.0, 9.0, lots)
    end = start + (length * 3.6e9).astype("timedelta64[us]")

    number = np.arange(1, lots + 1)
    again = rng.choice(np.arange(lots // 2, lots), max(2, lots // 15), replace=False)
    number[again] = rng.choice(np.arange(1, lots // 2), len(again), replace=False)
    lot_style, lab_style = (int(s) for s in rng.choice(4, 2))
    names = [_spell(int(n), lot_style) for n in number]
    split = rng.choice(np.arange(lots // 4, lots // 2), 2, replace=False)
    table = {"lot": list(names), "start": start, "end": end, "recipe": rng.choice(["R1", "R2"], lots)}

    lab_minutes = float(rng.integers(-15, 16))
    rows = _lab_rows(rng, number, end, lab_style, set(split.tolist()), set(number[again].tolist()))
    order = np.argsort([row.resulted for row in rows], kind="stable")
    rows = [rows[i] for i in order]
    skew = np.timedelta64(int(lab_minutes * 60), "s")
    sampled = np.array([np.datetime64("NaT") if row.sampled is None else row.sampled + skew for row in rows], "datetime64[us]")
    resulted = np.array([row.resulted + skew for row in rows], "datetime64[us]")
    for at in split:
        # a lot that was split: two lots carry its number with a letter behind it, the laboratory wrote the bare number
        table["lot"][at] = f"{names[at]}-A"
    halves = {
        "lot": [f"{names[at]}-B" for at in split], "start": start[split], "end": end[split],
        "recipe": np.asarray(table["recipe"])[split],
    }  # fmt: skip
    true = np.array([row.lot for row in rows], dtype=np.int64)
    final = np.full(lots + len(split), -1, dtype=np.int64)
    for at, row in enumerate(rows):
        if row.lot >= 0 and not row.undecidable:
            final[row.lot] = at
    offset = float(rng.choice([-14.0, -6.0, 3.0, 11.0, 17.0]))
    return JoinPlant(
        pa.table({k: pa.array(np.concatenate([np.asarray(v), np.asarray(halves[k])])) for k, v in table.items()}),
        pa.table({
            "sample_lot": [row.name for row in rows], "sampled": pa.array(sampled), "result_time": pa.array(resulted),
            "purity": [row.value for row in rows], "remark": [row.remark for row in rows],
        }),
        _signal(rng, start, offset),
        true,
        np.array([row.undecidable for row in rows]),
        final,
        offset,
        lab_minutes,
    )  # fmt: skip


@dataclass(frozen=True)
class _LabRow:
    name: str
    sampled: np.datetime64 | None
    resulted: np.datetime64
    value: float
    remark: str
    lot: int
    undecidable: bool = False


def _spell(number: int, style: int) -> str:
    return (f"LOT-{number:04d}", f"lot {number}", f"L{number:04d}", f"{number:04d}")[style]


def _lab_rows(
    rng: np.random.Generator,
    number: NDArray[np.int64],
    end: NDArray[np.datetime64],
    style: int,
    split: set[int],
    twice: set[int],
) -> list[_LabRow]:
    rows = []
    for lot, (n, finished) in enumerate(zip(number.tolist(), end, strict=True)):
        if rng.random() < 0.04:
            continue  # never tested
        hand = int(rng.integers(0, 4)) if rng.random() < 0.05 else style
        name = _spell(n, hand) + (" " if rng.random() < 0.1 else "")
        if rng.random() < 0.05:
            name = name.translate({ord(c): 0xFF10 + i for i, c in enumerate("0123456789")})  # full width digits
        sampled = finished + np.timedelta64(round(rng.uniform(0.2, 2.5) * 3.6e9), "us")
        resulted = sampled + np.timedelta64(round(rng.uniform(4.0, 24.0) * 3.6e9), "us")
        value = round(float(rng.normal(99.0, 0.3)), 3)
        blind = rng.random() < 0.01
        open_ = lot in split or (blind and n in twice)
        owner = -1 if lot in split else lot
        rows.append(_LabRow(name, None if blind else sampled, resulted, value, "", owner, open_))
        if rng.random() < 0.05:
            again = round(value + float(rng.normal(0.0, 0.2)), 3)
            later = resulted + int(rng.integers(2, 9)) * _HOUR
            rows.append(_LabRow(name, None if blind else sampled, later, again, "corrected", owner, open_))
    for k in range(3):
        at = end[int(rng.integers(0, len(end)))]
        rows.append(_LabRow(_spell(90_000 + k, style), at, at + 6 * _HOUR, 99.0, "", -1))
    return rows


def _signal(rng: np.random.Generator, start: NDArray[np.datetime64], offset: float) -> pa.Table:
    """Return one-minute readings around the lots; the long pause between the campaigns is not recorded."""
    minute = np.timedelta64(1, "m")
    parts = []
    for half in (start[: len(start) // 2], start[len(start) // 2 :]):
        first, last = half[0] - 3 * _HOUR, half[-1] + 12 * _HOUR
        parts.append(np.arange(first.astype("datetime64[m]"), last.astype("datetime64[m]"), minute))
    time = np.concatenate(parts).astype("datetime64[us]")
    charging = np.zeros(len(time))
    at = np.searchsorted(time, start)
    for minutes in range(4):
        charging[np.minimum(at + minutes, len(time) - 1)] = 1.0
    temperature = 700.0 + np.convolve(rng.normal(0.0, 0.3, len(time) + 89), np.ones(90) / 9.0, mode="valid")
    clock = time + np.timedelta64(round(offset * 60), "s")
    return pa.table({"time": pa.array(clock), "charging": charging, "temperature": temperature})

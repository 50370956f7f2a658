"""A seeded plant as its controllers would send it: 12- and 16-bit converters with drift and noise, set points, states.

Each tag has its own random stream, so any part of the plant is the same whether it is made alone or with the rest. Of the tags 5 % come
at 10 Hz, 60 % at 1 Hz, 35 % at 0.1 Hz; 30 % have up to 7 ms of jitter. The whole plant (40 assets, 100 tags, 6 h) has 98 million
points; the noise and jitter alone hold about 0.41 byte per point, which no lossless form can go below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

BEGIN = 1_760_000_000_000_000
"""First instant [us since 1970]."""
ASSETS, TAGS, HOURS = 40, 100, 6.0
SEED = 20251001


@dataclass(frozen=True)
class Signals:
    """Samples sorted by point and time, each of shape (sample,)."""

    point: NDArray[np.int32]
    """Counted from 1: asset x tags + tag + 1."""
    time: NDArray[np.int64]
    """[us since 1970]"""
    number: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.point)


def tag_samples(asset: int, tag: int, hours: float, seed: int = SEED) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return times [us] and values of one tag."""
    rng = np.random.default_rng([seed, asset, tag])
    rate = 10.0 if tag < 5 else (1.0 if tag < 65 else 0.1)
    n = int(hours * 3600 * rate)
    time = BEGIN + np.arange(n, dtype=np.int64) * int(1_000_000 / rate)
    if tag % 10 < 3:
        time = time + rng.integers(0, 8, n) * 1000
    drift = np.cumsum(rng.normal(0, 0.02 / np.sqrt(rate), n)) + 3 * np.sin(np.arange(n) / rate / 1700 + asset)
    kind = (tag * 7 + asset) % 10
    if kind < 7:
        full, noise = (4095, float(rng.choice([0.5, 1.0, 2.0]))) if kind < 4 else (65535, float(rng.choice([2.0, 4.0, 8.0])))
        counts = np.clip(np.rint(full / 2 + drift * full / 400 + rng.normal(0, noise, n)), 0, full)
        scale = round(250 / 4095, 6) if full == 4095 else 10.0 ** -int(rng.integers(1, 3))
    elif kind < 9:
        counts, scale = np.repeat(rng.integers(100, 900, n // 300 + 1), 300)[:n].astype(np.float64), 0.5
    else:
        counts, scale = (np.cumsum(rng.random(n) < 0.002 / rate) & 1).astype(np.float64), 1.0
    return time, np.round(counts * scale, 6)


def signals(assets: int = ASSETS, hours: float = HOURS, seed: int = SEED) -> Signals:
    """Return the plant, or its first assets, sorted by point and time."""
    points, times, numbers = [], [], []
    for asset in range(assets):
        for tag in range(TAGS):
            time, number = tag_samples(asset, tag, hours, seed)
            points.append(np.full(len(time), asset * TAGS + tag + 1, dtype=np.int32))
            times.append(time)
            numbers.append(number)
    return Signals(np.concatenate(points), np.concatenate(times), np.concatenate(numbers))


def arriving(of: Signals, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the samples in the order of their times, as blocks of a connection whose tag numbers are the points."""
    from madang.connect import BLOCK_SCHEMA

    order = np.argsort(of.time, kind="stable")
    for begin in range(0, len(order), rows):
        part = order[begin : begin + rows]
        yield pa.record_batch(
            [
                pa.array(of.point[part]),
                pa.array(of.time[part], pa.timestamp("us", tz="UTC")),
                pa.array(of.number[part]),
                pa.nulls(len(part), pa.string()),
                pa.array(np.zeros(len(part), dtype=np.uint32)),
            ],
            schema=BLOCK_SCHEMA,
        )


def lots(assets: int = ASSETS, hours: float = HOURS, seed: int = SEED) -> pa.Table:
    """Return lots of 5 to 15 minutes per asset: ``lot``, ``asset``, ``start``, ``end``."""
    rng = np.random.default_rng([seed, 1])
    rows: list[tuple[int, int, int, int]] = []
    for asset in range(assets):
        at = 0
        while at < hours * 3600 - 900:
            lasting = int(rng.integers(300, 900))
            rows.append((len(rows), asset, BEGIN + at * 1_000_000, BEGIN + (at + lasting) * 1_000_000))
            at += lasting
    lot, asset_of, start, end = (np.array(c, dtype=np.int64) for c in zip(*rows, strict=True))
    instant = pa.timestamp("us", tz="UTC")
    return pa.table({"lot": lot, "asset": asset_of, "start": pa.array(start, instant), "end": pa.array(end, instant)})

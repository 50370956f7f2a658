"""Leaves samples out when a spool gets full, so that extremes and everything that is not plainly good stay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from madang.connect._blocks import BLOCK_SCHEMA, Block
from madang.plant import OVERFLOW_BITS

EVERY: Final = 60_000_000
"""Length of a stretch [us]."""


@dataclass
class _Run:
    stretch: int
    low: float
    high: float
    left_out: bool
    """Whether the newest sample of the tag was left out."""


class Thinner:
    """Keeps, of each tag and stretch of source time, the first number and each that is smaller or larger than all before it.

    Kept as well: texts, samples without a value, NaN, and whatever is not good. The first kept after one left out carries the
    overflow bits: the values before it are not all there. What is kept depends on the past alone, so nothing waits.
    """

    def __init__(self) -> None:
        self._runs: dict[int, _Run] = {}

    def thin(self, block: Block) -> tuple[Block, int]:
        """Return the block with what is kept, in its order, and how many samples were left out."""
        batch = block.batch
        tag = batch.column("tag").to_numpy(zero_copy_only=False)
        stretch = batch.column("time").cast(pa.int64()).to_numpy(zero_copy_only=False) // EVERY
        value = batch.column("number").to_numpy(zero_copy_only=False)
        quality = batch.column("quality").to_numpy(zero_copy_only=False)
        plain = ~np.isnan(value) & (quality >> 30 == 0)
        keep = ~plain
        if plain.any():
            where = np.flatnonzero(plain)
            keep[where] = self._extremes(tag[where], stretch[where], value[where])
        marked = self._after_left_out(tag, keep)
        lost = int(len(keep) - keep.sum())
        if not lost and not marked.any():
            return block, 0
        flagged = np.where(marked, quality | np.uint32(OVERFLOW_BITS), quality)
        columns = [batch.column(name) for name in BLOCK_SCHEMA.names[:-1]] + [pa.array(flagged, pa.uint32())]
        kept = pa.RecordBatch.from_arrays(columns, schema=BLOCK_SCHEMA).filter(pa.array(keep))
        return replace(block, batch=kept), lost

    def _extremes(
        self, tag: npt.NDArray[np.int32], stretch: npt.NDArray[np.int64], value: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        known = [(t, r) for t in np.unique(tag).tolist() if (r := self._runs.get(t)) is not None]
        past_tag = np.array([t for t, _ in known for _ in (0, 1)], np.int32)
        past_stretch = np.array([r.stretch for _, r in known for _ in (0, 1)], np.int64)
        past_value = np.array([v for _, r in known for v in (r.low, r.high)], np.float64)
        count = len(past_tag)
        tags, stretches = np.concatenate([past_tag, tag]), np.concatenate([past_stretch, stretch])
        values = np.concatenate([past_value, value])
        order = np.lexsort((np.arange(len(tags)), stretches, tags))
        begins = np.empty(len(order), bool)
        begins[0] = True
        begins[1:] = (np.diff(tags[order]) != 0) | (np.diff(stretches[order]) != 0)
        group = np.cumsum(begins)
        rank = np.unique(values, return_inverse=True)[1].astype(np.int64).reshape(-1)[order]
        lowest = np.minimum.accumulate(rank - group * len(order))
        highest = np.maximum.accumulate(rank + group * len(order))
        fresh = begins.copy()
        fresh[1:] |= (np.diff(lowest) < 0) | (np.diff(highest) > 0)
        kept = np.empty(len(order), bool)
        kept[order] = fresh
        self._remember(tags[order], stretches[order], values[order])
        return kept[count:]

    def _remember(self, tags: npt.NDArray[np.int32], stretches: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
        ends = np.append(np.flatnonzero(np.diff(tags)), len(tags) - 1)
        for end in ends.tolist():
            number, newest = int(tags[end]), int(stretches[end])
            begin = end
            while begin and tags[begin - 1] == number and stretches[begin - 1] == newest:
                begin -= 1
            part = values[begin : end + 1]
            run = self._runs.setdefault(number, _Run(newest, 0.0, 0.0, False))
            run.stretch, run.low, run.high = newest, float(part.min()), float(part.max())

    def _after_left_out(self, tag: npt.NDArray[np.int32], keep: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        order = np.argsort(tag, kind="stable")
        tags, kept = tag[order], keep[order]
        begins = np.ones(len(order), bool)
        begins[1:] = np.diff(tags) != 0
        before = np.zeros(len(order), bool)
        before[1:] = ~kept[:-1]
        for at in np.flatnonzero(begins).tolist():
            run = self._runs.get(int(tags[at]))
            before[at] = run is not None and run.left_out
        for at in np.append(np.flatnonzero(begins)[1:] - 1, len(order) - 1).tolist() if len(order) else ():
            run = self._runs.get(int(tags[at]))
            if run is not None:
                run.left_out = not bool(kept[at])
        marked = np.empty(len(order), bool)
        marked[order] = before & kept
        return marked

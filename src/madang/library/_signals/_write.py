"""Sorted files of one commit: the samples are sorted, encoded and written in as many threads as there are."""

from __future__ import annotations

import uuid
from concurrent.futures import Executor
from pathlib import Path

import numpy as np

from madang.library._signals._book import Book
from madang.library._signals._encode import IntArray, Samples, encode, sorted_order
from madang.library._signals._layout import SignalFile, write_file

_WORTH = 262_144
"""Samples below which a second file costs more than a second thread saves."""


def write_samples(
    folder: Path, samples: Samples, book: Book, *, level: int = 0, pool: Executor | None = None, threads: int = 1
) -> list[SignalFile]:
    """Write samples as sorted, flushed files; the caller flushes the folder and commits.

    Args:
        folder: The table's folder.
        samples: In the order of their arrival.
        book: Scales of the points.
        level: Level of the files.
        pool: Where the parts are written; None = here.
        threads: How many parts are worth while.
    """
    order, starts = sorted_order(samples.point, samples.time)
    parts = _parts(order, starts, min(threads, max(1, len(order) // _WORTH)))

    def one(part: IntArray) -> list[SignalFile]:
        return [write_file(folder, f"l{level}-{uuid.uuid4()}.parquet", c, level) for c in encode(samples, part, book)]

    made = map(one, parts) if pool is None or len(parts) == 1 else pool.map(one, parts)
    return [file for files in made for file in files]


def _parts(order: IntArray, starts: IntArray, count: int) -> list[IntArray]:
    """Cut an order into about equal parts of whole points."""
    if count <= 1 or len(starts) < count:
        return [order]
    wanted = np.arange(1, count) * (len(order) // count)
    cuts = np.unique(starts[np.minimum(np.searchsorted(starts, wanted), len(starts) - 1)])
    bounds = [0, *(int(c) for c in cuts if 0 < c < len(order)), len(order)]
    return [order[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]

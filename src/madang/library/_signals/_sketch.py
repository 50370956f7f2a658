"""A sketch of a large file: what each stretch of about eight thousand samples came to, so that a year is drawn without being read.

It stands beside its file as ``<name>.sketch`` and only repeats it: without one, or with a damaged one, the samples are read. The
stretches are whole multiples of a power of two seconds since 1970, so that stretches of many files fit into the same buckets.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from madang.library._kernels import Buckets, bucketed
from madang.library._signals._index import Run, SignalFile
from madang.library._signals._slices import ToUnit, read_run

IntArray = NDArray[np.int64]

STRETCH: Final = 8192
"""Samples of a stretch, about."""
WORTH: Final = 4 * STRETCH
"""Samples of a run below which it is read as it is."""
_SECOND: Final = 1_000_000
_MAGIC: Final = b"MDGSKT1\n"
_ROW: Final = np.dtype(
    [
        ("block", "<i8"),
        ("first_time", "<i8"),
        ("last_time", "<i8"),
        ("minimum", "<f8"),
        ("maximum", "<f8"),
        ("first", "<f8"),
        ("last", "<f8"),
        ("count", "<u4"),
        ("worst", "<u4"),
    ]
)


@dataclass(frozen=True)
class Sketch:
    """The stretches of one file, memory-mapped."""

    runs: dict[int, tuple[int, int, int]]
    """First row of a run in its file -> (length of its stretches [us], first and beyond-last place in `rows`)."""
    rows: Any

    def width(self, run: Run) -> int | None:
        """Return the length of a run's stretches [us]; None where it has none."""
        found = self.runs.get(run.row)
        return None if found is None else found[0]

    def parts(self, run: Run, start: int, end: int, to_unit: ToUnit) -> Buckets:
        """Return the whole stretches of a run in ``start <= time < end``, both whole multiples of its stretch."""
        width, low, high = self.runs[run.row]
        rows = self.rows[low:high]
        begin, beyond = np.searchsorted(rows["block"], [start // width, end // width])
        rows = rows[begin:beyond]
        a, b = to_unit(run.scale.unit) or (1.0, 0.0)
        low_value, high_value = rows["minimum"] * a + b, rows["maximum"] * a + b
        return Buckets(
            start=rows["block"] * width,
            minimum=np.fmin(low_value, high_value),
            maximum=np.fmax(low_value, high_value),
            worst=rows["worst"].astype(np.int64),
            count=rows["count"].astype(np.int64),
            first=rows["first"] * a + b,
            last=rows["last"] * a + b,
            first_time=rows["first_time"],
            last_time=rows["last_time"],
            broken=np.zeros(len(rows), dtype=np.bool_),
            width=width,
        )


def sketch_path(path: Path) -> Path:
    """Return where the sketch of a file stands."""
    return path.with_suffix(".sketch")


def write_sketch(path: Path) -> bool:
    """Write the sketch of a file of signals beside it, whole or not at all; a file without large runs gets none.

    Args:
        path: A finished Parquet file of signals, usually of level 2 or 3.

    Returns:
        Whether there is a sketch now.
    """
    file = SignalFile.open(path)
    if file.kind == "texts":
        return False
    runs: list[tuple[int, int, int]] = []
    pieces = []
    for at in np.flatnonzero(np.diff(file.rows) >= WORTH).tolist():
        run = file.run(int(at))
        found = _stretches(run)
        runs.append((run.row, _width(run), len(found)))
        pieces.append(found)
    if not runs:
        return False
    head = json.dumps({"runs": runs}, separators=(",", ":")).encode()
    head += b" " * (-(len(_MAGIC) + 8 + len(head)) % 8)
    draft = path.with_name(f".{path.stem}.{os.getpid()}.sketch.tmp")
    try:
        draft.write_bytes(_MAGIC + len(head).to_bytes(8, "little") + head + np.concatenate(pieces).tobytes())
        draft.replace(sketch_path(path))
    finally:
        draft.unlink(missing_ok=True)
    return True


def read_sketch(file: SignalFile) -> Sketch | None:
    """Return the sketch of a file; None where there is none, or none that can be trusted."""
    path = sketch_path(file.path)
    try:
        raw = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError):
        return None
    if bytes(raw[:8]) != _MAGIC:
        return None
    length = int.from_bytes(bytes(raw[8:16]), "little")
    try:
        runs = json.loads(bytes(raw[16 : 16 + length]))["runs"]
    except (ValueError, KeyError, TypeError):
        return None
    body = raw[16 + length :]
    ends = np.cumsum([0, *(n for _, _, n in runs)]).tolist()
    if len(body) != ends[-1] * _ROW.itemsize:
        return None
    places = {row: (width, ends[k], ends[k + 1]) for k, (row, width, _) in enumerate(runs)}
    return Sketch(places, np.frombuffer(body, dtype=_ROW))


def _width(run: Run) -> int:
    """Return the power of two of seconds in which a run has about `STRETCH` samples [us]."""
    step = max(1, run.last - run.first) / max(1, run.end - run.row - 1)
    return _SECOND << max(0, math.ceil(math.log2(max(1.0, step * STRETCH / _SECOND))))


def _stretches(run: Run) -> Any:  # noqa: ANN401 (a structured array)
    samples = read_run(run)
    width = _width(run)
    blocks = np.unique(samples.time // width)
    edges = np.append(blocks, blocks[-1] + 1) * width
    # a long pause leaves blocks out, so each stretch is closed by its own end
    edges = np.unique(np.concatenate((edges, (blocks + 1) * width)))
    made = bucketed(samples.time, samples.usable(), samples.quality, edges, width)
    rows = np.zeros(len(made.count), dtype=_ROW)
    rows["block"] = made.start.astype(np.int64) // width
    for name in _ROW.names or ():
        if name != "block":
            rows[name] = getattr(made, name)
    return rows

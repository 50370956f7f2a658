"""What the lake has already: backfilled samples that are kept are not kept twice, and points know until when they have numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from madang.errors import Json
from madang.library._signals._layout import Footer, read_runs
from madang.library._signals._samples import Samples, together
from madang.library._signals._scales import IntArray, physical

_NUMBER, _TEXT, _NOTHING = 0, 1, 2


class Kept:
    """The samples of a table's live files.

    Args:
        folder: The table's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._footers: dict[str, Footer] = {}

    def footer(self, path: str) -> Footer:
        """Return a file's footer; a file never changes, so it is read once."""
        if path not in self._footers:
            self._footers[path] = Footer.of(pq.read_metadata(self._folder / path))
        return self._footers[path]

    def until(self, files: Mapping[str, dict[str, Json]]) -> dict[int, int]:
        """Return the latest time of each point that has numbers [us since 1970]."""
        self._forget_all_but(files)
        found: dict[int, int] = {}
        for path in files:
            footer = self.footer(path)
            if footer.kind != "texts":
                for point, last in zip(footer.points.tolist(), footer.last.tolist(), strict=True):
                    found[point] = max(found.get(point, last), last)
        return found

    def between(self, files: Mapping[str, dict[str, Json]], points: IntArray, first: int, last: int) -> Samples | None:
        """Return the samples of some points in an interval, both ends included; more may come, None when there are none."""
        self._forget_all_but(files)
        found = []
        for path, action in files.items():
            if not _overlaps(action, first, last):
                continue
            footer = self.footer(path)
            mine = np.isin(footer.points, points) & (footer.first <= last) & (footer.last >= first)
            runs = np.flatnonzero(mine)
            if len(runs):
                found.append(_samples(read_runs(self._folder / path, footer, runs), footer))
        return together(found) if found else None

    def _forget_all_but(self, files: Mapping[str, dict[str, Json]]) -> None:
        """Drop footers of files that are not live any more: an intake that runs for months sees very many."""
        for path in self._footers.keys() - files.keys():
            del self._footers[path]


def _overlaps(action: Mapping[str, Json], first: int, last: int) -> bool:
    stats = json.loads(str(action["stats"]))
    low, high = (stats.get(k, {}).get("time") for k in ("minValues", "maxValues"))
    if low is None or high is None:
        return True
    return _micros(low) <= last and _micros(high) + 999 >= first


def _micros(text: str) -> int:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)


def _samples(table: pa.Table, footer: Footer) -> Samples:
    n = len(table)
    number = np.full(n, np.nan)
    absent = text = None
    if footer.kind == "counts":
        value = table["value"].combine_chunks()
        absent = value.is_null().to_numpy(zero_copy_only=False)
        count = value.fill_null(0).to_numpy().astype(np.int32)
        version = footer.version[table["run"].to_numpy()]
        for index, scale in enumerate(footer.versions):
            mine = version == index
            number[mine] = physical(count[mine], scale)
        number[absent] = np.nan
    elif footer.kind == "numbers":
        number = table["number"].to_numpy()
    else:
        text = table["text"].combine_chunks()
        text = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    time = table["time"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    quality = table["quality"].to_numpy().astype(np.uint32)
    return Samples(table["point"].to_numpy().astype(np.int32), time, number, quality, absent, text)


def new_among(blocks: Sequence[Samples], kept: Sequence[Samples]) -> list[NDArray[np.bool_]]:
    """Return for each backfilled block which of its samples are not kept yet.

    A sample is the same when point, time, value (bit by bit) and quality are. Of equal samples as many count as kept as there are:
    three in the history of a source and two in the lake make one new one. Blocks count one after the other.
    """
    everything = [*kept, *blocks]
    groups, count = _groups(everything)
    sizes = np.cumsum([0, *(len(s) for s in everything)])
    there = np.bincount(groups[: sizes[len(kept)]], minlength=count)
    fresh = []
    for index in range(len(blocks)):
        mine = groups[sizes[len(kept) + index] : sizes[len(kept) + index + 1]]
        order = np.argsort(mine, kind="stable")
        ordered = mine[order]
        begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else np.empty(0, int)
        turn = np.arange(len(mine)) - np.repeat(begins, np.diff(np.append(begins, len(mine))))
        new = np.empty(len(mine), dtype=np.bool_)
        new[order] = turn >= there[ordered]
        fresh.append(new)
        there = np.maximum(there, np.bincount(mine, minlength=count))
    return fresh


def _groups(many: Sequence[Samples]) -> tuple[NDArray[np.int64], int]:
    """Number equal samples equally."""
    whole = together(many)
    kind = np.zeros(len(whole), dtype=np.int64)
    value = np.where(np.isnan(whole.number), np.nan, whole.number).view(np.int64).copy()
    if whole.absent is not None:
        kind[whole.absent] = _NOTHING
        value[whole.absent] = 0
    if whole.text is not None:
        coded = whole.text.dictionary_encode()
        there = whole.text.is_valid().to_numpy(zero_copy_only=False)
        kind[there] = _TEXT
        value[there] = coded.indices.fill_null(0).to_numpy()[there]
    table = np.column_stack([whole.point.astype(np.int64), whole.time, kind, value, whole.quality.astype(np.int64)])
    keys = np.ascontiguousarray(table).view(np.dtype((np.void, table.dtype.itemsize * table.shape[1]))).ravel()
    _, groups = np.unique(keys, return_inverse=True)
    return groups.astype(np.int64), int(groups.max(initial=-1)) + 1

"""A recording in memory, sorted by time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from madang.connect._blocks import BLOCK_SCHEMA
from madang.errors import InputError
from madang.plant import BAD, GOOD, UNCERTAIN

_WORDS: Final = {"good": GOOD, "uncertain": UNCERTAIN, "bad": BAD}


@dataclass(frozen=True)
class Recording:
    """Samples of a file."""

    tags: tuple[str, ...]
    """Names, in the order of their first samples."""
    numeric: tuple[bool, ...]
    """For each tag whether all its values are numbers."""
    batch: pa.RecordBatch
    """Columns of `BLOCK_SCHEMA`, sorted by time; ``tag`` counts from 0 into `tags`."""
    times: npt.NDArray[np.int64]
    """[us since 1970]"""

    @classmethod
    def read(cls, path: Path, zone: str) -> Recording:
        """Read a Parquet or CSV file.

        Args:
            path: The file.
            zone: Zone of times that do not say theirs.

        Raises:
            InputError: There is no such file, or it lacks a column (``recording_unreadable``).
        """
        try:
            table = pq.read_table(path) if path.suffix.lower() == ".parquet" else _csv(path)
            return cls._of(table, zone)
        except (OSError, KeyError, pa.ArrowException) as error:
            raise InputError(
                "recording_unreadable",
                ko=f"기록 파일을 읽을 수 없어요 ({type(error).__name__}).",
                en=f"The recording cannot be read ({type(error).__name__}).",
                next_ko="time, tag, value 열이 있는 Parquet이나 CSV 파일의 경로를 적어 주세요. quality 열은 없어도 돼요.",
                next_en="Give the path of a Parquet or CSV file with columns time, tag and value; quality may be missing.",
                where={"file": path.name},
            ) from error

    @classmethod
    def _of(cls, table: pa.Table, zone: str) -> Recording:
        table = table.combine_chunks()
        names, time = table["tag"].cast(pa.string()), _instants(table["time"], zone)
        number, text = _values(table["value"])
        quality = (
            _codes(table["quality"]) if "quality" in table.column_names else pa.nulls(len(table), pa.uint32()).fill_null(0)
        )
        order = pc.sort_indices(pa.table({"time": time}), sort_keys=[("time", "ascending")])
        encoded = pc.dictionary_encode(names.take(order)).combine_chunks()
        columns = [
            encoded.indices.cast(pa.int32()),
            time.take(order),
            number.take(order),
            text.take(order),
            quality.take(order),
        ]
        whole = pa.table(
            [c if isinstance(c, pa.Array) else c.combine_chunks() for c in columns], schema=BLOCK_SCHEMA
        ).combine_chunks()
        batches = whole.to_batches()
        batch = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=BLOCK_SCHEMA)
        worded = set(pc.unique(batch.column("tag").filter(batch.column("text").is_valid())).to_pylist())
        tags = tuple(str(name) for name in encoded.dictionary.to_pylist())
        times = batch.column("time").cast(pa.int64()).to_numpy(zero_copy_only=False)
        return cls(tags, tuple(i not in worded for i in range(len(tags))), batch, times)

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def newest_before(self, end: int) -> dict[int, int]:
        """Return for each tag the row of its newest sample among the first `end` rows."""
        tags = self.batch.column("tag").to_numpy(zero_copy_only=False)[:end]
        found, last = np.unique(tags[::-1], return_index=True)
        return {int(tag): end - 1 - int(row) for tag, row in zip(found, last, strict=True)}


def _csv(path: Path) -> pa.Table:
    texts = {name: pa.string() for name in ("time", "tag", "value", "quality")}
    return pa_csv.read_csv(path, convert_options=pa_csv.ConvertOptions(column_types=texts, strings_can_be_null=True))


def _instants(column: pa.ChunkedArray, zone: str) -> pa.ChunkedArray:
    kind = pa.timestamp("us", "UTC")
    if pa.types.is_timestamp(column.type):
        return column.cast(kind) if column.type.tz else pc.assume_timezone(column.cast(pa.timestamp("us")), zone).cast(kind)
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64()).cast(kind)
    zoned = pc.match_substring_regex(column, r"(Z|[+-]\d\d:?\d\d)$")
    with_zone = pc.if_else(zoned, column, None).cast(kind)
    without = pc.assume_timezone(pc.if_else(zoned, None, column).cast(pa.timestamp("us")), zone).cast(kind)
    return pc.coalesce(with_zone, without)


def _values(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        return column.cast(pa.float64()), pa.chunked_array([pa.nulls(len(column), pa.string())])
    plain = column.cast(pa.string())
    is_number = pc.match_substring_regex(plain, r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$")
    number = pc.utf8_trim_whitespace(pc.if_else(is_number, plain, None)).cast(pa.float64())
    return number, pc.if_else(is_number, None, plain)


def _codes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_string(column.type):
        return column.cast(pa.uint32()).fill_null(0)
    words = [str(word or "good").strip().lower() for word in column.to_pylist()]
    return pa.chunked_array([pa.array([_WORDS[w] if w in _WORDS else int(w, 0) for w in words], pa.uint32())])

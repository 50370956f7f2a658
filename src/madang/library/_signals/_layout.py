"""The file format of signals: sorted Parquet files of counts, numbers or texts, each with a footer that finds any point in it.

See docs/decisions/0005. A file says by itself what its counts mean, so it can be read without the catalogue.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from madang.errors import Json
from madang.library._lake import ROW_GROUP
from madang.library._signals._scales import Int32Array, IntArray, Scale, physical

__all__ = ["TABLE_SCHEMA", "Column", "Footer", "SignalFile", "physical", "read_runs", "write_file"]

FileKind = Literal["counts", "numbers", "texts"]
FORMAT: Final = 1
FOOTER: Final = b"madang.signals"
_VALUE: Final = {"counts": "value", "numbers": "number", "texts": "text"}
_VALUE_TYPE: Final = {"counts": pa.int32(), "numbers": pa.float64(), "texts": pa.string()}

TABLE_SCHEMA: Final = pa.schema(
    [
        pa.field("point", pa.int32()),
        pa.field("time", pa.timestamp("us", tz="UTC")),
        pa.field("value", pa.int32()),
        pa.field("number", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("quality", pa.int64()),
    ]
)
"""Columns of the Delta table; a file holds one of ``value``, ``number`` and ``text``."""


@dataclass(frozen=True)
class Footer:
    """Where each point stands in a file. A run is a stretch of one point under one scale."""

    kind: FileKind
    level: int
    points: Int32Array
    """Point of each run, shape (run,), rising; a point whose scale changes stands in two runs."""
    rows: IntArray
    """First row of each run, then the count of all rows, shape (run + 1,)."""
    first: IntArray
    """Earliest time of each run [us since 1970]."""
    last: IntArray
    """Latest time of each run [us since 1970], included."""
    versions: tuple[Scale, ...]
    version: Int32Array
    """Index into `versions`, shape (run,)."""

    def text(self) -> bytes:
        """Return the footer as it stands in the file."""
        table = np.empty((5, len(self.points)), dtype=np.int64)
        table[0] = np.diff(self.points, prepend=np.int32(0))
        table[1] = np.diff(self.rows)
        table[2] = np.diff(self.first, prepend=np.int64(0))
        table[3] = self.last - self.first
        table[4] = self.version
        packed = pa.compress(table.tobytes(), codec="zstd", asbytes=True)
        document: dict[str, Json] = {
            "format": FORMAT,
            "kind": self.kind,
            "level": self.level,
            "runs": len(self.points),
            "versions": [[v.scale, v.divisor, v.offset, v.unit, v.rounding] for v in self.versions],
            "packed": base64.b64encode(packed).decode(),
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def of(cls, metadata: pq.FileMetaData) -> Footer:
        """Read the footer of an open file.

        Raises:
            ValueError: The file is not one of signals, or of a newer format.
        """
        kept = (metadata.metadata or {}).get(FOOTER)
        if kept is None:
            raise ValueError("not a file of signals")
        document = json.loads(kept)
        if document["format"] > FORMAT:
            raise ValueError(f"format {document['format']} of signals is newer than {FORMAT}")
        runs = document["runs"]
        size = 5 * runs * 8
        raw = pa.decompress(base64.b64decode(document["packed"]), size, codec="zstd", asbytes=True) if runs else b""
        table = np.frombuffer(raw, dtype=np.int64).reshape(5, runs)
        first = np.cumsum(table[2])
        rows = np.zeros(runs + 1, dtype=np.int64)
        np.cumsum(table[1], out=rows[1:])
        return cls(
            kind=document["kind"],
            level=document["level"],
            points=np.cumsum(table[0]).astype(np.int32),
            rows=rows,
            first=first,
            last=first + table[3],
            versions=tuple(Scale(*v) for v in document["versions"]),
            version=table[4].astype(np.int32),
        )


@dataclass(frozen=True)
class SignalFile:
    """One written file, and what a Delta log says about it."""

    path: str
    size: int
    rows: int
    kind: FileKind
    points: tuple[int, int]
    """First and last point."""
    time: tuple[int, int]
    """Earliest and latest time [us since 1970]."""

    def stats(self) -> str:
        """Return the statistics of an ``add`` action: times rounded outwards to milliseconds, as Delta keeps them."""
        first, last = self.time[0] // 1000, -(-self.time[1] // 1000)
        low, high = (str(np.datetime64(t, "ms")) + "Z" for t in (first, last))
        return json.dumps(
            {
                "numRecords": self.rows,
                "minValues": {"point": self.points[0], "time": low},
                "maxValues": {"point": self.points[1], "time": high},
                "nullCount": {"point": 0, "time": 0, "quality": 0},
            },
            separators=(",", ":"),
        )


@dataclass(frozen=True)
class Column:
    """Sorted samples of one kind, ready to be written."""

    kind: FileKind
    point: Int32Array
    """Shape (sample,), rising."""
    time: IntArray
    """[us since 1970], rising within a point."""
    value: pa.Array
    """Counts, numbers or texts; null where the source gave no value (only in counts)."""
    quality: NDArray[np.uint32]
    starts: IntArray
    """First sample of each run."""
    version: Int32Array
    """Index into `versions`, one per run."""
    versions: tuple[Scale, ...]


def write_file(folder: Path, name: str, column: Column, level: int) -> SignalFile:
    """Write and flush one file; the caller flushes the folder.

    Args:
        folder: Where the table's files stand.
        name: The file's name.
        column: What to write, at least one sample.
        level: 0 for a commit, then as the re-sorting says.
    """
    n = len(column.point)
    whole, exact = np.divmod(column.time, 1000)
    milliseconds = not exact.any()
    unit = "ms" if milliseconds else "us"
    ticks = whole if milliseconds else column.time
    name_of = _VALUE[column.kind]
    schema = pa.schema(
        [
            pa.field("point", pa.int32(), nullable=False),
            pa.field("time", pa.timestamp(unit, tz="UTC"), nullable=False),
            pa.field(name_of, _VALUE_TYPE[column.kind], nullable=column.kind == "counts"),
            pa.field("quality", pa.int64(), nullable=False),
        ]
    )
    table = pa.Table.from_arrays(
        [
            pa.array(column.point, pa.int32()),
            pa.array(ticks, pa.timestamp(unit, tz="UTC")),
            column.value,
            pa.array(column.quality.astype(np.int64), pa.int64()),
        ],
        schema=schema,
    )
    ends = np.append(column.starts[1:], n) - 1
    footer = Footer(
        kind=column.kind,
        level=level,
        points=column.point[column.starts],
        rows=np.append(column.starts, n),
        first=column.time[column.starts],
        last=column.time[ends],
        versions=column.versions,
        version=column.version,
    )
    path = folder / name
    with path.open("wb") as stream:
        writer = pq.ParquetWriter(stream, schema, **_options(column.kind))
        writer.write_table(table, row_group_size=ROW_GROUP)
        writer.add_key_value_metadata({FOOTER: footer.text()})
        writer.close()
        stream.flush()
        os.fsync(stream.fileno())
        size = stream.tell()
    return SignalFile(
        path=name,
        size=size,
        rows=n,
        kind=column.kind,
        points=(int(column.point[0]), int(column.point[-1])),
        time=(int(footer.first.min()), int(footer.last.max())),
    )


def _options(kind: FileKind) -> dict[str, object]:
    dictionary = ["point", "quality"]
    encoding = {"time": "DELTA_BINARY_PACKED"}
    if kind == "counts":
        encoding["value"] = "DELTA_BINARY_PACKED"
    else:
        dictionary.append(_VALUE[kind])
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": dictionary,
        "column_encoding": encoding,
        "write_statistics": True,
        "store_schema": False,
        "version": "2.6",
    }


def read_runs(path: Path, footer: Footer, wanted: Sequence[int] | IntArray) -> pa.Table:
    """Return the rows of some runs of a file, in their order, with a column ``run``; whole row groups are read.

    Args:
        path: The file.
        footer: Its footer.
        wanted: Indexes of runs, rising.
    """
    opened = pq.ParquetFile(path)
    runs = np.asarray(wanted, dtype=np.int64)
    rows = np.concatenate([np.arange(footer.rows[r], footer.rows[r + 1]) for r in runs] or [np.empty(0, np.int64)])
    groups = np.unique(rows // ROW_GROUP)
    table = opened.read_row_groups(groups.tolist())
    place = np.searchsorted(groups, rows // ROW_GROUP) * ROW_GROUP + rows % ROW_GROUP
    lengths = np.diff(footer.rows)[runs]
    return table.take(pa.array(place)).append_column("run", pa.array(np.repeat(runs, lengths)))

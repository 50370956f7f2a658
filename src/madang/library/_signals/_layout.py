"""The file format of signals: sorted Parquet files of counts, numbers or texts, each with a footer that finds any point in it.

See docs/decisions/0005. A file says by itself what its counts mean, so it can be read without the catalogue.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import uuid
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

__all__ = ["TABLE_SCHEMA", "Footer", "SignalFile", "SignalFileWriter", "physical", "read_runs"]

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
    thinned: int = 0
    """Width of the spans of which only some samples were kept [us]; 0 = every sample is here."""

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
        if self.thinned:
            document["thinned"] = self.thinned
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
            thinned=document.get("thinned", 0),
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


class SignalFileWriter:
    """Writes one file, one row group at a time; `close` flushes it, and the caller flushes the folder.

    Args:
        folder: Where the table's files stand.
        kind: What the file holds.
        level: 0 for a commit, then as the re-sorting says.
        milliseconds: Whether every time that will come is whole milliseconds.
        thinned: See `Footer`.
    """

    def __init__(self, folder: Path, kind: FileKind, *, level: int, milliseconds: bool, thinned: int = 0) -> None:
        self._path = folder / f"l{level}-{uuid.uuid4()}.parquet"
        self._thinned = thinned
        self._kind: FileKind = kind
        self._level = level
        self._unit = "ms" if milliseconds else "us"
        self._schema = pa.schema(
            [
                pa.field("point", pa.int32(), nullable=False),
                pa.field("time", pa.timestamp(self._unit, tz="UTC"), nullable=False),
                pa.field(_VALUE[kind], _VALUE_TYPE[kind], nullable=kind == "counts"),
                pa.field("quality", pa.int64(), nullable=False),
            ]
        )
        self._stream = self._path.open("wb")
        self._writer = pq.ParquetWriter(self._stream, self._schema, **_options(kind))
        self._rows = 0
        self._runs: list[tuple[Int32Array, Int32Array, IntArray, IntArray, IntArray]] = []
        self._scales: dict[Scale, int] = {}

    def write(
        self,
        point: Int32Array,
        time: IntArray,
        value: pa.Array,
        quality: NDArray[np.uint32] | None,
        version: Int32Array,
        scales: Sequence[Scale],
    ) -> None:
        """Append samples, sorted and after those before; at most `ROW_GROUP` of them.

        Args:
            point: Shape (sample,), rising.
            time: [us since 1970], rising within a point.
            value: Counts, numbers or texts; null where the source gave no value (only in counts).
            quality: OPC UA status codes; None = all good.
            version: Index into `scales` of each sample.
            scales: The scales.
        """
        fresh = np.ones(len(point), dtype=np.bool_)
        np.not_equal(point[1:], point[:-1], out=fresh[1:])
        fresh[1:] |= version[1:] != version[:-1]
        starts = np.flatnonzero(fresh)
        ends = np.append(starts[1:], len(point))
        own = np.array([self._scale(scales[i]) for i in version[starts].tolist()], dtype=np.int32)
        self._runs.append((point[starts], own, ends - starts, time[starts], time[ends - 1]))
        ticks = time // 1000 if self._unit == "ms" else time
        wide = _zeros(len(point)) if quality is None else pa.array(quality.astype(np.int64))
        columns = [pa.array(point), pa.array(ticks).view(self._schema.field("time").type), value, wide]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema), row_group_size=ROW_GROUP)
        self._rows += len(point)

    def _scale(self, scale: Scale) -> int:
        return self._scales.setdefault(scale, len(self._scales))

    def close(self) -> SignalFile:
        """Finish and flush the file, which holds at least one sample."""
        footer = self._footer()
        self._writer.add_key_value_metadata({FOOTER: footer.text()})
        self._writer.close()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        size = self._stream.tell()
        self._stream.close()
        return SignalFile(
            path=self._path.name,
            size=size,
            rows=self._rows,
            kind=self._kind,
            points=(int(footer.points[0]), int(footer.points[-1])),
            time=(int(footer.first.min()), int(footer.last.max())),
        )

    def discard(self) -> None:
        """Give the file up."""
        with contextlib.suppress(OSError):
            self._writer.close()
        self._stream.close()
        self._path.unlink(missing_ok=True)

    def _footer(self) -> Footer:
        point, version, rows, first, last = (np.concatenate(c) for c in zip(*self._runs, strict=True))
        fresh = np.ones(len(point), dtype=np.bool_)
        fresh[1:] = (point[1:] != point[:-1]) | (version[1:] != version[:-1])
        heads = np.flatnonzero(fresh)
        tails = np.append(heads[1:], len(point)) - 1
        begins = np.append(0, np.cumsum(rows))
        return Footer(
            kind=self._kind,
            level=self._level,
            points=point[heads],
            rows=np.append(begins[heads], self._rows),
            first=first[heads],
            last=last[tails],
            versions=tuple(self._scales),
            version=version[heads],
            thinned=self._thinned,
        )


_NO_QUALITY = pa.array(np.zeros(ROW_GROUP, dtype=np.int64))


def _zeros(count: int) -> pa.Array:
    return _NO_QUALITY.slice(0, count)


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
        "max_rows_per_page": ROW_GROUP,
        "write_batch_size": ROW_GROUP,
        "version": "2.6",
    }


def read_runs(path: Path, footer: Footer, wanted: Sequence[int] | IntArray) -> pa.Table:
    """Return the rows of some runs of a file, in their order, with a column ``run``; whole row groups are read.

    Args:
        path: The file.
        footer: Its footer.
        wanted: Indexes of runs, rising.
    """
    with pq.ParquetFile(path) as opened:
        begins = np.cumsum([0, *(opened.metadata.row_group(g).num_rows for g in range(opened.num_row_groups))])
        runs = np.asarray(wanted, dtype=np.int64)
        rows = np.concatenate([np.arange(footer.rows[r], footer.rows[r + 1]) for r in runs] or [np.empty(0, np.int64)])
        of_row = np.searchsorted(begins, rows, side="right") - 1
        groups = np.unique(of_row)
        table = opened.read_row_groups(groups.tolist())
    offsets = np.cumsum([0, *np.diff(begins)[groups]])
    place = offsets[np.searchsorted(groups, of_row)] + rows - begins[of_row]
    lengths = np.diff(footer.rows)[runs]
    return table.take(pa.array(place)).append_column("run", pa.array(np.repeat(runs, lengths)))

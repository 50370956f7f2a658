"""A small hand-written reader of files for the library's tests: the simplest thing that keeps the reader's promises."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from madang.connect import ROW, CellType, Chunk, Layout, LongColumns, ReadingStep, ReadOptions, SourceColumn, TableSource, Tally
from madang.errors import InputError
from madang.plant import Bilingual, Finding

_EMPTY_FLAGS = pa.schema([("row", pa.int64()), ("column", pa.string()), ("flag", pa.string()), ("original", pa.string())])
_EMPTY_QUARANTINE = pa.schema([("row", pa.int64()), ("reason", pa.string()), ("text", pa.string())])
_EMPTY_DUPLICATES = pa.schema([("row", pa.int64()), ("of_row", pa.int64())])


class PlainFiles:
    """Reads comma-separated files with a header, ISO times and decimal points.

    ``ERR`` is a bad value, an empty cell is missing, a record of another length is set aside, a record equal to the one before
    it is a duplicate; a column ``quality`` with 64 calls the ``value`` uncertain. A header ``name [unit]`` carries a unit. Columns ``tag`` and ``value`` make a long table. With the
    reading step ``drop_zero`` (always proposed) a negative number is called bad; undoing it keeps the number.
    """

    def find(self, path: Path) -> Sequence[TableSource]:
        data = path.read_bytes()
        if data.startswith(b"\x00"):
            raise InputError("not_a_table", ko="표가 아니에요.", en="This is not a table.", where={"file": path.name})
        return [TableSource(path.name, path, hashlib.sha256(data).hexdigest(), len(data), "csv")]

    def open(self, source: TableSource, options: ReadOptions, template: Layout | None) -> PlainReader:
        return PlainReader(source, options, template)


class PlainReader:
    """One file being read."""

    def __init__(self, source: TableSource, options: ReadOptions, template: Layout | None) -> None:
        self.source = source
        self._options = options
        with source.path.open(encoding="utf-8", newline="") as stream:
            self._records = list(csv.reader(stream))
        header = self._records[0]
        body = [r for r in self._records[1:] if len(r) == len(header)]
        known = {} if template is None else {c.name: c.type for c in template.columns}
        columns = []
        for at, text in enumerate(header):
            name, _, unit = text.partition(" [")
            found = _type_of([r[at] for r in body])
            columns.append(
                SourceColumn(text, name, found if found != "text" else known.get(name, found), unit.rstrip("]") or None)
            )
        names = [c.name for c in columns]
        long = LongColumns("tag", "value") if {"tag", "value"} <= set(names) else None
        time = next((c.name for c in columns if c.type == "time"), None)
        step = ReadingStep("negative_is_bad", Bilingual("음수는 나쁜 값이에요.", "Negative numbers are bad values."))
        self.layout = Layout(
            format="csv",
            columns=tuple(columns),
            layout="long" if long else "wide",
            encoding="utf-8",
            separator=",",
            time_column=time,
            time_format="%Y-%m-%dT%H:%M:%S" if time else None,
            zone=options.zone,
            zone_assumed=not options.zone_given,
            long=long,
            steps=(step,),
        )
        self._tally = Tally(0, 0, 0, 0)
        self._findings: list[Finding] = []

    @property
    def tally(self) -> Tally:
        return self._tally

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(self._findings)

    def chunks(self) -> Iterator[Chunk]:
        size = self._options.chunk_rows
        body = self._records[1:]
        before: list[str] | None = None
        for start in range(0, max(1, len(body)), size):
            kept: list[tuple[int, list[str]]] = []
            aside: list[tuple[int, str, str]] = []
            twice: list[tuple[int, int]] = []
            for row, record in enumerate(body[start : start + size], start=start + 1):
                if len(record) != len(self.layout.columns):
                    aside.append((row, "wrong number of cells", ",".join(record)))
                elif record == before:
                    twice.append((row, row - 1))
                else:
                    kept.append((row, record))
                    before = record
            yield self._chunk(kept, aside, twice)

    def _chunk(
        self, kept: list[tuple[int, list[str]]], aside: list[tuple[int, str, str]], twice: list[tuple[int, int]]
    ) -> Chunk:
        flags: list[tuple[int, str, str, str]] = []
        arrays = [pa.array([row for row, _ in kept], pa.int64())]
        names = [c.name for c in self.layout.columns]
        for at, column in enumerate(self.layout.columns):
            cells = []
            for row, record in kept:
                value = _value(record[at], column.type)
                negative = isinstance(value, float | int) and value < 0 and "negative_is_bad" not in self._options.disabled
                if record[at] == "ERR" or negative:
                    flags.append((row, column.name, "bad", record[at]))
                    value = None
                if "quality" in names and record[names.index("quality")] == "64" and column.name == "value":
                    flags.append((row, column.name, "uncertain", "64"))
                cells.append(value)
            arrays.append(pa.array(cells, _ARROW[column.type]))
        counts = self._tally
        self._tally = Tally(
            counts.read + len(kept) + len(aside) + len(twice),
            counts.kept + len(kept),
            counts.quarantined + len(aside),
            counts.duplicate + len(twice),
        )
        return Chunk(
            rows=pa.RecordBatch.from_arrays(arrays, names=[ROW, *(c.name for c in self.layout.columns)]),
            flags=_batch(flags, _EMPTY_FLAGS),
            quarantine=_batch(aside, _EMPTY_QUARANTINE),
            duplicates=_batch(twice, _EMPTY_DUPLICATES),
        )


_ARROW = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
}


def _batch(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.RecordBatch.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _type_of(cells: Sequence[str]) -> CellType:
    said = [c for c in cells if c not in ("", "ERR")]
    for kind in ("integer", "number", "time"):
        if said and all(_value(c, kind) is not None for c in said):
            return kind
    return "text"


def _value(cell: str, kind: str) -> float | int | str | datetime | None:
    if cell == "" or cell == "ERR":
        return None
    try:
        if kind == "integer":
            return int(cell)
        if kind == "number":
            return float(cell)
        if kind == "time":
            return datetime.fromisoformat(cell).replace(tzinfo=UTC)
    except ValueError:
        return None
    return cell

"""A version as a file that every other program reads; the same version gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from madang.connect import ROW
from madang.errors import InputError
from madang.library._cards import PART, ColumnCard
from madang.library._lake import ROW_GROUP, replacing
from madang.library._read import Opened
from madang.plant import ValueFlag

ExportForm = Literal["wide", "long", "source"]
Units = Literal["unit", "source"]
_LONG = pa.schema([("time", pa.timestamp("us", tz="UTC")), ("row", pa.int64()), ("name", pa.string())])


def write_batches(schema: pa.Schema, batches: Iterator[pa.RecordBatch], out: Path) -> int:
    """Write batches as CSV, JSON lines or Parquet by the file's ending; the file appears whole or not at all.

    Returns:
        Rows written.

    Raises:
        InputError: The ending is not one of csv, jsonl, parquet.
    """
    kinds: dict[str, Callable[[pa.Schema, IO[bytes]], _Sink]] = {".csv": _Csv, ".jsonl": _JsonLines, ".parquet": _Parquet}
    kind = kinds.get(out.suffix.lower())
    if kind is None:
        raise InputError(
            "unknown_ending",
            ko=f"‘{out.name}’: 쓸 수 있는 파일은 .csv, .parquet, .jsonl 이에요.",
            en=f"“{out.name}”: files that can be written end in .csv, .parquet or .jsonl.",
            next_ko="파일 이름의 끝을 바꾸세요.",
            next_en="Change the ending of the file name.",
            where={"out": str(out)},
        )
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise InputError(
            "cannot_write",
            ko=f"‘{out}’에 쓸 수 없어요. 폴더가 있는지 확인하세요.",
            en=f"“{out}” cannot be written; check that its folder exists.",
            next_ko="있는 폴더 안의 파일 이름을 주세요.",
            next_en="Give a file name in a folder that exists.",
            where={"out": str(out)},
        )
    rows = 0
    with replacing(out.absolute()) as stream:
        sink = kind(schema, stream)
        for batch in batches:
            sink.write(batch)
            rows += batch.num_rows
        sink.close()
    return rows


class _Sink:
    def __init__(self, schema: pa.Schema, stream: IO[bytes]) -> None:
        self._schema = schema
        self._stream = stream

    def write(self, batch: pa.RecordBatch) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is left to write, unless the format has an end."""


class _Csv(_Sink):
    """UTF-8, comma, decimal point, header; times in UTC with Z; absent values empty."""

    def __init__(self, schema: pa.Schema, stream: IO[bytes]) -> None:
        super().__init__(schema, stream)
        stream.write((",".join(_quoted(n) for n in schema.names) + "\n").encode())

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            cells = [_cells(c) for c in batch.columns]
            lines = pc.binary_join_element_wise(*cells, ",", null_handling="replace", null_replacement="")
            self._stream.write(("\n".join(lines.to_pylist()) + "\n").encode())


def _cells(column: pa.Array) -> pa.Array:
    """A column as CSV text; only texts that need quotes get them."""
    if pa.types.is_timestamp(column.type):
        return _times_as_text(column)
    if not pa.types.is_string(column.type):
        return column.cast(pa.string())
    marked = pc.match_substring_regex(column, '[",\\r\\n]')
    if not pc.any(marked).as_py():
        return column
    doubled = pc.replace_substring(column, '"', '""')
    return pc.if_else(marked, pc.binary_join_element_wise('"', doubled, '"', ""), column)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(c in name for c in ',"\r\n') else name


def _times_as_text(column: pa.Array) -> pa.Array:
    if not pa.types.is_timestamp(column.type):
        return column
    text = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.string())
    return pc.replace_substring(pc.replace_substring_regex(text, r"\.000000Z$", "Z"), " ", "T")


class _JsonLines(_Sink):
    """One object per record; absent values are null."""

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [_times_as_text(c).to_pylist() for c in batch.columns]
        names = batch.schema.names
        lines = []
        for record in zip(*columns, strict=True):
            found = {n: (v if not isinstance(v, float) or np.isfinite(v) else None) for n, v in zip(names, record, strict=True)}
            lines.append(json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        self._stream.write(("\n".join(lines) + "\n").encode() if lines else b"")


class _Parquet(_Sink):
    def __init__(self, schema: pa.Schema, stream: IO[bytes]) -> None:
        import pyarrow.parquet as pq

        super().__init__(schema, stream)
        self._writer = pq.ParquetWriter(stream, schema, compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch, row_group_size=ROW_GROUP)

    def close(self) -> None:
        self._writer.close()


def wide_batches(table: pa.Table, wanted: Sequence[str]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The wanted columns of a table, without part and row."""
    chosen = table.select([n for n in wanted if n in table.schema.names])
    return chosen.schema, iter(chosen.to_batches(max_chunksize=ROW_GROUP))


def stored_batches(opened: Opened, units: Units) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Records as they were stored, streamed, without part and row."""
    schema = opened.schema(units)
    keep = [n for n in schema.names if n not in (PART, ROW)]
    out = pa.schema([schema.field(n) for n in keep])
    return out, (pa.RecordBatch.from_arrays([b.column(n) for n in keep], schema=out) for b in opened.batches(units))


Flags = Callable[[int], pa.Table]
"""Gives the remarks of a part: ``_row``, ``column``, ``flag``."""


def long_batches(opened: Opened, units: Units, flags: Flags) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """One record per value with its quality: good, uncertain or bad."""
    numbers = all(c.type in ("number", "integer", "boolean", "time") for c in opened.cards)
    value = pa.float64() if numbers else pa.string()
    schema = pa.schema([*_LONG, ("value", value), ("quality", pa.string())])
    return schema, _long(opened, units, flags, schema)


def _long(opened: Opened, units: Units, flags: Flags, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    part, remarks = -1, _Remarks(None)
    for batch in opened.batches(units):
        if not batch.num_rows:
            continue
        if batch.column(PART)[0].as_py() != part:
            part = batch.column(PART)[0].as_py()
            remarks = _Remarks(flags(part))
        yield from (
            _long_of_long(opened, batch, remarks, schema) if opened.long else _long_of_wide(opened, batch, remarks, schema)
        )


class _Remarks:
    """The qualities that a part's remarks give to single cells."""

    def __init__(self, table: pa.Table | None) -> None:
        self._by_column: dict[str, tuple[Any, Any]] = {}
        if table is None:
            return
        for column in pc.unique(table["column"]).to_pylist():
            mine = table.filter(pc.equal(table["column"], column))
            rows = mine[ROW].to_numpy()
            bad = pc.equal(mine["flag"], str(ValueFlag.BAD)).to_numpy(zero_copy_only=False)
            known = pc.equal(mine["flag"], str(ValueFlag.CONVERTED)).to_numpy(zero_copy_only=False)
            order = np.argsort(rows, kind="stable")
            self._by_column[column] = rows[order], np.where(bad, 2, np.where(known, 0, 1))[order]

    def of(self, column: str, rows: Any, absent: Any) -> pa.Array:  # noqa: ANN401 (NumPy arrays)
        """Quality of each cell; an absent value is bad."""
        grade = np.where(absent, 2, 0)
        if column in self._by_column:
            known, remark = self._by_column[column]
            for at, worst in zip(np.searchsorted(rows, known), remark, strict=True):
                if at < len(rows) and at >= 0 and not absent[at]:
                    grade[at] = max(grade[at], worst)
        return pa.array(np.array(["good", "uncertain", "bad"])[grade], pa.string())


def _long_of_long(opened: Opened, batch: pa.RecordBatch, remarks: _Remarks, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    long = opened.long
    if long is None:
        return
    time = next((p.card.layout.time_column for p in opened.parts if p.card.layout.time_column), None)
    values = batch.column(long.value)
    yield _record(
        schema,
        batch.column(time) if time is not None else pa.nulls(batch.num_rows, schema.field("time").type),
        batch.column(ROW),
        batch.column(long.tag),
        values,
        remarks.of(long.value, batch.column(ROW).to_numpy(), pc.is_null(values).to_numpy(zero_copy_only=False)),
    )


def _long_of_wide(opened: Opened, batch: pa.RecordBatch, remarks: _Remarks, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    time = next((c.name for c in opened.version.columns if c.type == "time" and c.name in batch.schema.names), None)
    cards: list[ColumnCard] = [c for c in opened.cards if c.name != time and c.name in batch.schema.names]
    if not cards:
        return
    rows = batch.column(ROW)
    times = batch.column(time) if time is not None else pa.nulls(batch.num_rows, schema.field("time").type)
    pieces = []
    for card in cards:
        values = batch.column(card.name)
        absent = pc.is_null(values).to_numpy(zero_copy_only=False)
        names = pa.array([card.name], pa.string()).take(pa.array(np.zeros(batch.num_rows, dtype=np.int64)))
        pieces.append(_record(schema, times, rows, names, values, remarks.of(card.name, rows.to_numpy(), absent)))
    together = pa.Table.from_batches(pieces).combine_chunks()
    # Record by record, its columns in their order: the order in which a reader of the source meets them.
    order = np.arange(len(together)).reshape(len(cards), batch.num_rows).T.ravel()
    yield from together.take(pa.array(order)).combine_chunks().to_batches()


def _record(
    schema: pa.Schema, times: pa.Array, rows: pa.Array, names: pa.Array, values: pa.Array, quality: pa.Array
) -> pa.RecordBatch:
    wanted = schema.field("value").type
    if pa.types.is_timestamp(values.type):
        values = _times_as_text(values)
    values = values if values.type == wanted else values.cast(wanted)
    return pa.RecordBatch.from_arrays([times, rows, names, values, quality], schema=schema)

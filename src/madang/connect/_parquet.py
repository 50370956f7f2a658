"""Parquet files as typed columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from madang.connect._bytes import GZIP, broken_container, whole_bytes
from madang.connect._cells import Cell, CellTable
from madang.connect._tables import ReadOptions, TableSource

# A damaged footer or page raises whatever its decoder meets first.
_BROKEN = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, UnicodeDecodeError)


def open_parquet(source: TableSource, options: ReadOptions) -> CellTable:
    """Open a Parquet file: names and types are its own, nested records become dotted columns.

    Raises:
        InputError: The file is damaged, locked with keys, or holds no columns; also while reading.
    """
    try:
        schema = _open(source).schema_arrow
        names, units = [], []
        for field in _flat_fields(schema):
            names.append(field.name)
            unit = (field.metadata or {}).get(b"unit")
            units.append(unit.decode("utf-8", "replace") if unit else None)
    except _BROKEN as error:
        raise broken_container(source.path, source.member, error) from error

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in _open(source).iter_batches(batch_size=options.chunk_rows, use_threads=True):
                yield _plain_batch(batch, tuple(names))
        except _BROKEN as error:
            raise broken_container(source.path, source.member, error) from error

    return CellTable(rows=_rows_of(batches), header=tuple(names), units=tuple(units) if any(units) else None, arrow=batches)


def _open(source: TableSource) -> Any:  # noqa: ANN401 - pyarrow is untyped
    import pyarrow.parquet as pq

    with source.path.open("rb") as file:
        packed = source.member is not None or file.read(2) == GZIP
    if packed:
        return pq.ParquetFile(pa.BufferReader(whole_bytes(source.path, source.member)))
    return pq.ParquetFile(source.path)


def _flat_fields(schema: pa.Schema) -> list[Any]:
    table = schema.empty_table()
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return list(table.schema)


def _plain_batch(batch: pa.RecordBatch, names: tuple[str, ...]) -> pa.RecordBatch:
    table = pa.Table.from_batches([batch])
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    columns = [_plain_column(column.combine_chunks()) for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, names=list(names))


def _plain_column(column: pa.Array) -> pa.Array:
    """Bring a column to one of: bool, int64, float64, string, timestamp, date, time."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain_column(column.dictionary_decode())
    if pa.types.is_boolean(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        return column
    if pa.types.is_integer(kind):
        if pa.types.is_uint64(kind) and len(column) and (pc.max(column).as_py() or 0) > 2**63 - 1:
            return column.cast(pa.float64(), safe=False)
        return column.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64(), safe=False)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.string())
    if pa.types.is_duration(kind):
        return pc.divide(column.cast(pa.duration("us")).cast(pa.int64()).cast(pa.float64(), safe=False), 1e6)
    # Lists, maps and bytes have no cell of their own; their text keeps them readable.
    return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())


def _rows_of(batches: Callable[[], Iterator[pa.RecordBatch]]) -> Callable[[], Iterator[list[Cell]]]:
    def rows() -> Iterator[list[Cell]]:
        for batch in batches():
            columns = [column.to_pylist() for column in batch.columns]
            for place in range(batch.num_rows):
                yield [column[place] for column in columns]

    return rows

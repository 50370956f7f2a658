"""Reads a small hand-made file and holds what came of it in plain Python, for the tests of this room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from madang.connect import Layout, ReadOptions, TableReader, find_tables, open_table
from madang.plant import Finding


@dataclass(frozen=True)
class Reading:
    """Everything that came of one table."""

    reader: TableReader
    rows: pa.Table
    flags: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]
    duplicates: list[dict[str, Any]]

    @property
    def layout(self) -> Layout:
        return self.reader.layout

    def column(self, name: str) -> list[Any]:
        values: list[Any] = self.rows.column(name).to_pylist()
        return values

    def times(self) -> list[str]:
        """Return the main time as UTC texts."""
        name = self.layout.time_column
        assert name is not None
        return [f"{value:%Y-%m-%d %H:%M:%S}" for value in self.column(name) if isinstance(value, datetime)]

    def finding(self, code: str) -> Finding:
        (found,) = [entry for entry in self.reader.findings if entry.code == code]
        return found

    @property
    def codes(self) -> set[str]:
        return {entry.code for entry in self.reader.findings}


def read(path: Path, options: ReadOptions | None = None, template: Layout | None = None) -> Reading:
    """Read the only table of a file to its end; the counts must add up whatever it holds."""
    (source,) = find_tables([path])
    reader = open_table(source, options or ReadOptions(), template)
    chunks = list(reader.chunks())
    rows = pa.Table.from_batches([chunk.rows for chunk in chunks]) if chunks else pa.table({})
    flags = [entry for chunk in chunks for entry in chunk.flags.to_pylist()]
    quarantine = [entry for chunk in chunks for entry in chunk.quarantine.to_pylist()]
    duplicates = [entry for chunk in chunks for entry in chunk.duplicates.to_pylist()]
    numbers = sorted(
        {*(rows.column("_row").to_pylist() if chunks else []), *(e["row"] for e in quarantine), *(e["row"] for e in duplicates)}
    )
    assert numbers == list(range(1, reader.tally.read + 1)), "a record was lost or counted twice"
    return Reading(reader, rows, flags, quarantine, duplicates)


def read_text(folder: Path, text: str, encoding: str = "utf-8", options: ReadOptions | None = None) -> Reading:
    """Write a text as a file and read it."""
    path = folder / "export.csv"
    path.write_bytes(text.encode(encoding))
    return read(path, options)


def series(count: int, header: str = "time,temp,state", row: str = "{time},{value},RUN", start_hour: int = 0) -> list[str]:
    """Return the lines of a small clean export: one record a minute, values that never repeat."""
    lines = [header] if header else []
    for index in range(count):
        minute = start_hour * 60 + index
        time = f"2024-03-{1 + minute // 1440:02d} {minute % 1440 // 60:02d}:{minute % 60:02d}:00"
        lines.append(row.format(time=time, value=f"{20 + (index * 37 % 101) / 10:.1f}", index=index))
    return lines

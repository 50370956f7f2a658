"""Brings files in, and can prove what it did not get."""

from __future__ import annotations

from madang.connect._cells import Cell, CellTable
from madang.connect._discover import find_tables
from madang.connect._open import open_table
from madang.connect._tables import (
    ROW,
    CellType,
    Chunk,
    FileFormat,
    Layout,
    LongColumns,
    ReadingStep,
    ReadOptions,
    SourceColumn,
    TableLayout,
    TableReader,
    TableSource,
    Tally,
)

__all__ = [
    "ROW",
    "Cell",
    "CellTable",
    "CellType",
    "Chunk",
    "FileFormat",
    "Layout",
    "LongColumns",
    "ReadOptions",
    "ReadingStep",
    "SourceColumn",
    "TableLayout",
    "TableReader",
    "TableSource",
    "Tally",
    "find_tables",
    "open_table",
]

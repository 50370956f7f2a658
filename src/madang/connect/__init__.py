"""Brings files in, and can prove what it did not get."""

from __future__ import annotations

from madang.connect._cells import Cell, CellTable
from madang.connect._discover import find_tables, passed_over
from madang.connect._open import fits, lacking, open_table
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
from madang.connect._template import Misfit

__all__ = [
    "ROW",
    "Cell",
    "CellTable",
    "CellType",
    "Chunk",
    "FileFormat",
    "Layout",
    "LongColumns",
    "Misfit",
    "ReadOptions",
    "ReadingStep",
    "SourceColumn",
    "TableLayout",
    "TableReader",
    "TableSource",
    "Tally",
    "find_tables",
    "fits",
    "lacking",
    "open_table",
    "passed_over",
]

"""Opens the tables of containers that are not text; everything after the raw cells is the business of the common engine."""

from __future__ import annotations

from madang.connect._cells import CellTable
from madang.connect._tables import ReadOptions, TableSource


def open_cells(source: TableSource, options: ReadOptions = ReadOptions()) -> CellTable:  # noqa: B008 - a frozen value
    """Open one table as raw cells.

    Raises:
        InputError: The container is damaged, locked, or does not hold the table; also while its rows are read.
    """
    match source.format:
        case "xlsx" | "xls":
            from madang.connect._workbook import open_sheet

            return open_sheet(source, options)
        case "json" | "jsonl":
            from madang.connect._json import open_json

            return open_json(source, options)
        case "parquet":
            from madang.connect._parquet import open_parquet

            return open_parquet(source, options)
        case "sqlite":
            from madang.connect._database import open_relation

            return open_relation(source, options)
        case _:
            raise ValueError(f"{source.format} is a text format and has no opener")

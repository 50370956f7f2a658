"""The seam to formats that are not text: a table as a stream of raw cells.

An opener (workbook, JSON, database file, Parquet) knows its container; everything that follows (header, units row, time,
values, rows, flags) is found out by the same engine that reads text, so that a trouble has one cure whatever file it came in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import TypeAlias

import pyarrow as pa

from madang.errors import Json
from madang.plant import Finding

Cell: TypeAlias = "bool | int | float | str | datetime | date | time | None"


@dataclass(frozen=True)
class CellTable:
    """One table as its container shows it, before any reading decision."""

    rows: Callable[[], Iterator[list[Cell]]]
    """Opens a fresh stream of raw cells from the first physical row; called more than once, so it starts anew each time.
    Rows may differ in length. Numbers and times stay native; text is handed on as written."""
    header: tuple[str, ...] | None = None
    """Names of the columns when the container itself names them (Parquet, SQLite, JSON objects). `rows` then yields records
    only. When None the engine looks for preamble, header rows and a units row in the cells."""
    units: tuple[str | None, ...] | None = None
    """Units that the container itself gives for the columns (nested records, Parquet metadata), beside `header`."""
    findings: tuple[Finding, ...] = ()
    """What the opener noticed: hidden sheets and columns, merged headers, formulas, members that could not be read."""
    details: dict[str, Json] = field(default_factory=dict)
    """What the opener needs to find the same table again in a later file of the kind; kept in ``Layout.details``."""
    header_rows: int | None = None
    """How many rows at the start are header, when the container knows (merged cells); None leaves it to the engine."""
    arrow: Callable[[], Iterator[pa.RecordBatch]] | None = None
    """Fast path of a typed columnar container: batches with one column per `header` name, in that order."""


class UnreadRow(list[Cell]):
    """A record that its container could not take apart: `CellTable.rows` yields it in its place, so that it is counted.

    It belongs into quarantine. As a list it holds the one cell of its original text.
    """

    def __init__(self, text: str, reason: str) -> None:
        super().__init__([text])
        self.text = text
        """The original record."""
        self.reason = reason
        """Short word, such as ``json`` or ``width``."""

"""Brings readings, records and files in, and can prove what it did not get.

Files: `find_tables`, `open_table`. Live sources: a `Source` hands `Block`s, `Message`s and `Rows` to a `Sink`; the `Spool` makes them
durable before the peer is told so; the library pulls from the spool. What was not got stands in the gap ledger.
"""

from __future__ import annotations

from madang.connect._blocks import BLOCK_SCHEMA, Block, DataType, Decoded, Message, Origin, Reject, Rows, Tag
from madang.connect._cells import Cell, CellTable
from madang.connect._collector import Collector, CollectorStatus
from madang.connect._discover import find_tables, passed_over
from madang.connect._frames import Frame
from madang.connect._gaps import Backfilled, Gap, GapCause
from madang.connect._ledger import Ledger
from madang.connect._limits import OverflowPolicy, SpoolDepth, SpoolLimits
from madang.connect._lock import FileLock
from madang.connect._open import fits, lacking, open_table
from madang.connect._registry import kinds, make_source
from madang.connect._source import (
    Actuator,
    Capability,
    ConnectionSettings,
    ConnectionState,
    Decoder,
    Sink,
    Source,
    SourceDescription,
    TestName,
    TestStep,
    WriteOutcome,
)
from madang.connect._spool import Spool
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
from madang.connect._tagbook import TagBook
from madang.connect._template import Misfit

__all__ = [
    "BLOCK_SCHEMA",
    "ROW",
    "Actuator",
    "Backfilled",
    "Block",
    "Capability",
    "Cell",
    "CellTable",
    "CellType",
    "Chunk",
    "Collector",
    "CollectorStatus",
    "ConnectionSettings",
    "ConnectionState",
    "DataType",
    "Decoded",
    "Decoder",
    "FileFormat",
    "FileLock",
    "Frame",
    "Gap",
    "GapCause",
    "Layout",
    "Ledger",
    "LongColumns",
    "Message",
    "Misfit",
    "Origin",
    "OverflowPolicy",
    "ReadOptions",
    "ReadingStep",
    "Reject",
    "Rows",
    "Sink",
    "Source",
    "SourceColumn",
    "SourceDescription",
    "Spool",
    "SpoolDepth",
    "SpoolLimits",
    "TableLayout",
    "TableReader",
    "TableSource",
    "Tag",
    "TagBook",
    "Tally",
    "TestName",
    "TestStep",
    "WriteOutcome",
    "find_tables",
    "fits",
    "kinds",
    "lacking",
    "make_source",
    "open_table",
    "passed_over",
]

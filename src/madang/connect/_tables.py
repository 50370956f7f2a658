"""What a reader of files hands on: a layout (every reading decision, as data) and a stream of chunks."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import pyarrow as pa

from madang.errors import InputError, Json
from madang.plant import Bilingual, Finding

FileFormat = Literal["csv", "tsv", "fixed", "whitespace", "jsonl", "json", "parquet", "xlsx", "xls", "sqlite", "shdr"]
TableLayout = Literal["wide", "long", "transposed", "nested"]
CellType = Literal["number", "integer", "text", "boolean", "time"]

ROW = "_row"
"""Name of the column that carries the source record number (1-based, int64) in every chunk and every stored table."""


@dataclass(frozen=True)
class TableSource:
    """One table inside an input: a file, a member of an archive, a sheet, or a table of a database file."""

    source: str
    """Path inside the input, with ``#sheet`` or ``#member`` after it: what a report shows."""
    path: Path
    """The file on disk that holds it."""
    sha256: str
    """Of the whole file's bytes (of the member's bytes for an archive member)."""
    size: int
    """Bytes of the file or member."""
    format: FileFormat
    member: str | None = None
    """Archive member, when the file is an archive."""
    part: str | None = None
    """Sheet, or table of a database, and the number of the table on the sheet when there are several."""


@dataclass(frozen=True)
class ReadOptions:
    """What a caller may fix before reading; everything else is found out."""

    zone: str = "Asia/Seoul"
    """IANA zone for local times that do not say theirs."""
    zone_given: bool = False
    """Whether a person chose the zone; when not, the report shows it as an assumption."""
    disabled: frozenset[str] = frozenset()
    """Reading decisions not to make (see `ReadingStep.id`): how an undo is carried out."""
    keep_duplicates: bool = False
    """Whether proven duplicate records stay in the stream (prediction answers every record)."""
    chunk_rows: int = 131_072
    tolerant: bool = False
    """Whether a template is laid over a file that lacks some of its columns, or has them in another unit, separator or encoding.
    What a record holds then depends on the header and the records before it, never on how many records the file has."""


@dataclass(frozen=True)
class ReadingStep:
    """One recorded, reversible decision about how a table was read."""

    id: str
    """Stable within a layout, such as ``midnight_row:date``."""
    reason: Bilingual
    reversible: bool = True


@dataclass(frozen=True)
class SourceColumn:
    """A column as its source shows it."""

    source_name: str
    """The header as found (joined by `` / `` over several header rows), or ``c1`` without a header."""
    name: str
    """Unique name used from here on: the header without its unit and stray blanks."""
    type: CellType
    unit_text: str | None = None
    """The unit as the header, the units row or a nested record wrote it."""


@dataclass(frozen=True)
class LongColumns:
    """Which columns of a long table hold what (names)."""

    tag: str
    value: str
    quality: str | None = None
    unit: str | None = None


@dataclass(frozen=True)
class Layout:
    """How a table is read: the template that a later file of its kind is read with."""

    format: FileFormat
    columns: tuple[SourceColumn, ...]
    layout: TableLayout = "wide"
    encoding: str | None = None
    separator: str | None = None
    decimal: str = "."
    thousands: str | None = None
    preamble_lines: int = 0
    header_rows: int = 1
    units_row: bool = False
    time_column: str | None = None
    time_format: str | None = None
    zone: str = "Asia/Seoul"
    zone_assumed: bool = False
    long: LongColumns | None = None
    steps: tuple[ReadingStep, ...] = ()
    details: dict[str, Json] = field(default_factory=dict)
    """What the reader of this format needs beside (bad-value words, widths, time order, ...); JSON values only."""

    def to_json(self) -> dict[str, Json]:
        """Return the layout as JSON values; `from_json` gives an equal layout back."""
        document = {name: getattr(self, name) for name in _PLAIN_FIELDS}
        document["columns"] = [
            {"source_name": column.source_name, "name": column.name, "type": column.type, "unit_text": column.unit_text}
            for column in self.columns
        ]
        document["long"] = asdict(self.long) if self.long is not None else None
        document["steps"] = [
            {"id": step.id, "reason_ko": step.reason.ko, "reason_en": step.reason.en, "reversible": step.reversible}
            for step in self.steps
        ]
        document["details"] = copy.deepcopy(self.details)
        return document

    @classmethod
    def from_json(cls, document: dict[str, Json]) -> Layout:
        """Make a layout from `to_json`'s values.

        Raises:
            InputError: The document is no layout.
        """
        try:
            return cls._made_from(cast("dict[str, Any]", document))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                "not_a_layout",
                ko="저장된 읽기 틀을 이해할 수 없어요.",
                en="The saved reading template cannot be understood.",
                next_ko="원본 파일에서 틀을 다시 만들어 주세요.",
                next_en="Learn the template again from an original file.",
                where={"reason": type(error).__name__},
            ) from error

    @classmethod
    def _made_from(cls, document: dict[str, Any]) -> Layout:
        return cls(
            **{name: document[name] for name in _PLAIN_FIELDS},
            columns=tuple(SourceColumn(**column) for column in document["columns"]),
            long=LongColumns(**document["long"]) if document["long"] is not None else None,
            steps=tuple(
                ReadingStep(step["id"], Bilingual(step["reason_ko"], step["reason_en"]), step["reversible"])
                for step in document["steps"]
            ),
            details=copy.deepcopy(document["details"]),
        )


_PLAIN_FIELDS = (
    "format", "layout", "encoding", "separator", "decimal", "thousands", "preamble_lines", "header_rows", "units_row",
    "time_column", "time_format", "zone", "zone_assumed",
)  # fmt: skip


@dataclass(frozen=True)
class Chunk:
    """A run of records that were read, with what is remarkable about single cells."""

    rows: pa.RecordBatch
    """`ROW`, then the layout's columns: float64 (number), int64 (integer), string, bool, timestamp[us, UTC] (time).
    A long table keeps its long form (tag, time, value, quality ...). Good values only: a bad cell is null here."""
    flags: pa.RecordBatch
    """Sparse remarks: ``row`` int64, ``column`` string, ``flag`` string (`madang.plant.ValueFlag`), ``original`` string."""
    quarantine: pa.RecordBatch
    """Records that could not be read: ``row`` int64, ``reason`` string, ``text`` string (the original record)."""
    duplicates: pa.RecordBatch
    """Proven duplicates left out: ``row`` int64, ``of_row`` int64."""


@dataclass(frozen=True)
class Tally:
    """Counts of source records: read = kept + quarantined + duplicate, always."""

    read: int
    kept: int
    quarantined: int
    duplicate: int

    def __post_init__(self) -> None:
        if self.read != self.kept + self.quarantined + self.duplicate:
            raise ValueError(f"records were lost: {self}")


class TableReader(Protocol):
    """One table being read. `chunks` is consumed once; `tally` and `findings` are complete after it."""

    source: TableSource
    layout: Layout

    def chunks(self) -> Iterator[Chunk]:
        """Yield the records in source order, in bounded memory."""
        ...

    @property
    def tally(self) -> Tally:
        """Counts of the records seen so far."""
        ...

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was noticed about the table so far."""
        ...

"""One table read into flushed files that nothing names yet: the part of an intake that may fail without a trace."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from madang.connect import ROW, Layout, ReadOptions, TableReader, TableSource, Tally
from madang.errors import InputError
from madang.library._cards import PART, ColumnCard
from madang.library._catalogue import FLAGS_SCHEMA, QUARANTINE_SCHEMA, StoredColumns, cell_type
from madang.library._lake import PartWriter, StoredFile, conform
from madang.library._meaning import Proposer, converted, converted_by_tag, scaling
from madang.library._personal_watch import PersonalWatch, preamble_findings
from madang.library._profile import ColumnProfile, TableProfile
from madang.plant import Finding, ValueFlag


class TableFiles(Protocol):
    """The reader of files: which tables an input holds, and a reader for each (`madang.connect`)."""

    def find(self, path: Path) -> Sequence[TableSource]:
        """Return the tables of one file."""
        ...

    def open(self, source: TableSource, options: ReadOptions, template: Layout | None) -> TableReader:
        """Open one table; a template says how an earlier table of its kind was read."""
        ...


@dataclass
class Staged:
    """One table that was read: its files lie in the staging folder until they are committed."""

    source: TableSource
    part: int
    layout: Layout
    options: ReadOptions
    tally: Tally
    findings: list[Finding]
    cards: list[ColumnCard]
    stored: StoredColumns
    profile: TableProfile
    records: tuple[StoredFile, ...]
    flags: tuple[StoredFile, ...]
    quarantine: tuple[StoredFile, ...]
    flag_count: int
    folder: Path = Path()
    object: str = ""
    place: str = ""
    """Where the file came from, see `StoredPart.place`."""
    origin: int = 0
    """First reading of this table, when it is read again."""
    time_first: datetime | None = None
    time_last: datetime | None = None
    shifts: bytes = b""

    @property
    def empty(self) -> frozenset[str]:
        """Stored columns without a single value."""
        if self.layout.long is not None:
            return frozenset()
        seen = self.profile.columns
        return frozenset(name for name, _ in self.stored if name not in seen or seen[name].n == 0)


def _check_names(layout: Layout, source: TableSource) -> None:
    """Refuse a table with a column of the name that the library gives its own column of part numbers."""
    if any(column.name == PART for column in layout.columns):
        raise InputError(
            "reserved_column",
            ko=f"‘{source.source}’에 마당이 쓰는 이름 ‘{PART}’의 열이 있어요.",
            en=f"“{source.source}” has a column “{PART}”, a name that Madang uses itself.",
            next_ko="그 열의 이름을 바꾸거나 빼고 다시 들여오세요.",
            next_en="Rename that column or leave it out, and bring the file in again.",
            where={"source": source.source, "column": PART},
        )


@dataclass
class _Streams:
    records: PartWriter
    flags: PartWriter
    quarantine: PartWriter
    written: list[tuple[StoredFile, ...]] = field(default_factory=list)

    def close(self) -> tuple[tuple[StoredFile, ...], tuple[StoredFile, ...], tuple[StoredFile, ...]]:
        return self.records.close(), self.flags.close(), self.quarantine.close()

    def discard(self) -> None:
        for writer in (self.records, self.flags, self.quarantine):
            writer.discard()


def stage(
    reader: TableReader,
    options: ReadOptions,
    part: int,
    folder: Path,
    *,
    propose: Proposer,
    decide: Callable[[ColumnCard], ColumnCard],
    zone: str,
    shift_start: int,
    progress: Callable[[int], None] | None = None,
) -> Staged:
    """Read a table once: convert, profile and write its records, remarks and quarantine, all flushed.

    Args:
        reader: The table, unread.
        options: How it is read.
        part: Number of the part.
        folder: Staging folder; the files are named after the part.
        propose: Gives the columns' cards from the first records.
        decide: Replaces a card by what people decided earlier.
        zone: IANA zone of shifts.
        shift_start: Local hour of the first shift.
        progress: Told the records read so far.
    """
    layout = reader.layout
    _check_names(layout, reader.source)
    profile = TableProfile(layout.time_column, layout.long, zone, shift_start)
    streams = _Streams(
        PartWriter(folder / "records", f"p{part:08d}", part),
        PartWriter(folder / "flags", f"p{part:08d}", part),
        PartWriter(folder / "quarantine", f"p{part:08d}", part),
    )
    meaning = _Meaning(layout, propose, decide)
    personal = PersonalWatch()
    flag_count = 0
    try:
        with _Behind(streams) as behind:
            for chunk in reader.chunks():
                rows, flags = finite(meaning.convert(chunk.rows), chunk.flags)
                behind.put("records", _with_part(rows, part))
                if flags.num_rows:
                    behind.put("flags", _with_part(flags, part, FLAGS_SCHEMA))
                    flag_count += flags.num_rows
                if chunk.quarantine.num_rows:
                    behind.put("quarantine", _with_part(chunk.quarantine, part, QUARANTINE_SCHEMA))
                profile.add(rows, flags)
                personal.look(rows)
                personal.look_aside(chunk.quarantine)
                if progress is not None:
                    progress(reader.tally.read)
        records, flags, quarantine = streams.close()
    except BaseException:
        streams.discard()
        raise
    layout = reader.layout
    cards = [_counted(card, profile.columns.get(card.name)) for card in meaning.cards_for(layout)]
    staged = Staged(
        source=reader.source,
        part=part,
        layout=layout,
        options=options,
        tally=reader.tally,
        findings=list(reader.findings),
        cards=cards,
        stored=meaning.stored(layout),
        profile=profile,
        records=records,
        flags=flags,
        quarantine=quarantine,
        flag_count=flag_count,
        folder=folder,
        time_first=_instant(profile.time_low),
        time_last=_instant(profile.time_high),
        shifts=profile.shift_document(),
    )
    staged.findings.extend(personal.findings())
    staged.findings.extend(preamble_findings(reader.source, layout))
    return staged


class _Meaning:
    """The cards of a table while it streams; tags of a long table may turn up at any time."""

    def __init__(self, layout: Layout, propose: Proposer, decide: Callable[[ColumnCard], ColumnCard]) -> None:
        self._layout = layout
        self._propose = propose
        self._decide = decide
        self.cards: dict[str, ColumnCard] = {}
        self._scale: dict[str, tuple[float, float]] = {}
        self._stored: StoredColumns | None = None

    def convert(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the records with numbers in their cards' units."""
        long = self._layout.long
        if long is None:
            if not self.cards and rows.num_rows:
                self._learn(rows)
            columns = [
                converted(column, self._scale[name]) if name in self._scale else column
                for name, column in zip(rows.schema.names, rows.columns, strict=True)
            ]
        else:
            tags = rows.column(long.tag)
            new = [t for t in tags.unique().to_pylist() if t is not None and t not in self.cards]
            if new:
                self._learn(rows)
            columns = list(rows.columns)
            at = rows.schema.get_field_index(long.value)
            if any(name in self._scale for name in self.cards) and pa.types.is_floating(columns[at].type):
                columns[at] = converted_by_tag(columns[at], tags, self._scale)
        batch = pa.RecordBatch.from_arrays(columns, names=rows.schema.names)
        if self._stored is None:
            self._stored = tuple((f.name, cell_type(f.type)) for f in batch.schema if f.name != ROW)
        return batch

    def _learn(self, rows: pa.RecordBatch) -> None:
        for proposal in self._propose(self._layout, rows):
            if proposal.name in self.cards:
                continue
            card = self._decide(proposal)
            self.cards[card.name] = card
            by = scaling(card)
            if by is not None:
                self._scale[card.name] = by

    def cards_for(self, layout: Layout) -> list[ColumnCard]:
        """All cards; a table without records is proposed from its header alone."""
        if not self.cards:
            empty = pa.RecordBatch.from_pydict(
                {ROW: pa.array([], pa.int64())} | {c.name: pa.array([], pa.string()) for c in layout.columns}
            )
            self._learn(empty)
        return list(self.cards.values())

    def stored(self, layout: Layout) -> StoredColumns:
        """Names and types as they were written."""
        return self._stored if self._stored is not None else tuple((c.name, c.type) for c in layout.columns)


class _Behind:
    """Writes in a second thread while the next chunk is read; at most a few chunks wait."""

    def __init__(self, streams: _Streams) -> None:
        self._streams = streams
        self._queue: queue.Queue[tuple[str, pa.RecordBatch] | None] = queue.Queue(maxsize=3)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="madang-intake-writer", daemon=True)

    def __enter__(self) -> _Behind:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._queue.put(None)
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def put(self, table: str, batch: pa.RecordBatch) -> None:
        if self._error is not None:
            raise self._error
        self._queue.put((table, batch))

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is None:
                try:
                    getattr(self._streams, item[0]).write(item[1])
                except BaseException as error:  # handed to the reading thread
                    self._error = error


def finite(rows: pa.RecordBatch, flags: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Take infinite values and NaN for what they are: bad values, remarked, with the value withheld."""
    columns = list(rows.columns)
    remarks = [flags]
    numbers = rows.column(ROW)
    for at, (name, column) in enumerate(zip(rows.schema.names, rows.columns, strict=True)):
        if not pa.types.is_floating(column.type):
            continue
        good = np.isfinite(column.to_numpy(zero_copy_only=False))
        if int(np.count_nonzero(good)) == len(column) - column.null_count:
            continue
        bad = pa.array(~good & column.is_valid().to_numpy(zero_copy_only=False))
        original = column.filter(bad).cast(pa.string())
        columns[at] = pc.if_else(bad, pa.scalar(None, column.type), column)
        words = {"row": numbers.filter(bad), "column": [name] * len(original), "flag": [str(ValueFlag.BAD)] * len(original)}
        remarks.append(pa.RecordBatch.from_pydict({**words, "original": original}, schema=flags.schema))
    if len(remarks) == 1:
        return rows, flags
    together = pa.Table.from_batches(remarks).combine_chunks().to_batches()
    return pa.RecordBatch.from_arrays(columns, names=rows.schema.names), together[0]


def _with_part(batch: pa.RecordBatch, part: int, schema: pa.Schema | None = None) -> pa.RecordBatch:
    number = pa.repeat(pa.scalar(part, pa.int32()), batch.num_rows)
    names = [PART] + [ROW if name == "row" and schema is not None else name for name in batch.schema.names]
    out = pa.RecordBatch.from_arrays([number, *batch.columns], names=names)
    return out if schema is None else conform(out, schema)


def _counted(card: ColumnCard, profile: ColumnProfile | None) -> ColumnCard:
    if profile is None:
        return card
    missing = max(0, profile.nulls - profile.bad)
    return replace(card, missing=missing, bad=profile.bad, stuck=profile.stuck, stats=profile.stats, quality=None)


def _instant(ticks: int | None) -> datetime | None:
    if ticks is None:
        return None
    try:
        return datetime.fromtimestamp(ticks // 1_000_000, UTC).replace(microsecond=ticks % 1_000_000)
    except (OverflowError, ValueError, OSError):
        return None


def changed_while_read(source: TableSource) -> InputError:
    """A file that was still being written."""
    return InputError(
        "file_changed",
        ko=f"‘{source.source}’ 파일이 읽는 동안 바뀌었어요. 아직 쓰는 중인 파일 같아요.",
        en=f"“{source.source}” changed while it was read; it seems to be still being written.",
        next_ko="쓰기가 끝난 뒤 다시 들여오세요.",
        next_en="Bring it in again when it is complete.",
        where={"source": source.source},
        retry=True,
    )

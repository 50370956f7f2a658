"""The read side of followed tables: the records that are there now, or were at a version, as any dataset is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from madang.connect import ROW, CellType, SourceColumn
from madang.errors import InputError, Json
from madang.library._cards import PART, ColumnCard, ReadResult, VersionId
from madang.library._catalogue import Dataset
from madang.library._export import write_batches
from madang.library._lake import Lake
from madang.library._mapping import decisions_of
from madang.library._meaning import converted, decided, scaling
from madang.library._read import Door
from madang.library._report import column_document
from madang.library._signals._columns import OWN, SEEN, kept_type
from madang.library._signals._points import live_dataset, live_datasets
from madang.library._signals._state_of_rows import current
from madang.library._state import State
from madang.library._where import Where
from madang.plant import Bilingual

if TYPE_CHECKING:
    from deltalake import DeltaTable

SAID_BY_PEOPLE = ("process", "equipment", "licence", "owner", "importance", "description")
_UNSAID = Bilingual("아직 아무도 적지 않았어요.", "Nobody has said it yet.")
_FOLLOWED = Bilingual("계속 바뀌는 표라 점수를 매기지 않아요.", "The table changes without end, so there is no score.")


@dataclass(frozen=True)
class RowsTable:
    """A followed table at one version."""

    dataset: Dataset
    facts: dict[str, Json]
    folder: Path
    opened: DeltaTable

    @property
    def version(self) -> VersionId:
        """Its number is that of the Delta table."""
        return VersionId(self.dataset.name, int(self.opened.version()))

    @property
    def key(self) -> list[str]:
        """The source's key columns."""
        key = self.facts.get("key")
        return [str(k) for k in key] if isinstance(key, list) else []

    def types(self) -> dict[str, Any]:
        """Columns of the source and their kept types."""
        schema = pa.schema(self.opened.schema().to_arrow())
        return {f.name: kept_type(f.type) for f in schema if f.name not in OWN}

    def records(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the records that were there, in the order of their newest entries, then ``_seen``."""
        types = self.types()
        files = pa.table(self.opened.get_add_actions())["path"].to_pylist()
        names = list(types) if columns is None else [c for c in types if c in set(columns)]
        found = current(self.folder, files, self.key, [*names, SEEN])
        return found.cast(pa.schema([*((n, types[n]) for n in names), (SEEN, OWN[SEEN])]))


class RowsReads:
    """Finds followed tables and reads them.

    Args:
        lake: The table store.
        state: The catalogue.
        door: Decides and records reads.
    """

    def __init__(self, lake: Lake, state: State, door: Door) -> None:
        self._lake = lake
        self._state = state
        self._door = door

    def datasets(self) -> tuple[Dataset, ...]:
        """Return every followed table, by name."""
        with self._state.reading() as db:
            found = live_datasets(db, "rows")
        return tuple(d for d in found if (self._lake.folder(d.table("rows")) / "_delta_log").is_dir())

    def find(self, name: str | VersionId) -> RowsTable | None:
        """Return the followed table that a name means, None where it is none.

        Raises:
            InputError: There is the table, but not the version.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        text, number = str(name), None
        with self._state.reading() as db:
            found = live_dataset(db, text)
            if found is None and "@" in text:
                stem, _, tail = text.rpartition("@")
                found = live_dataset(db, stem)
                number = int(tail) if tail.isdecimal() else -1
        if found is None or found[1] != "rows":
            return None
        dataset, _, facts = found
        folder = self._lake.folder(dataset.table("rows"))
        newest = DeltaTable(str(folder))
        try:
            opened = newest if number is None else DeltaTable(str(folder), version=number)
        except (DeltaError, OverflowError, ValueError) as error:
            raise InputError(
                "no_such_version",
                ko=f"‘{dataset.name}’에는 그 판이 없거나 이제 보관하지 않아요. 가장 새 판은 {newest.version()}이에요.",
                en=f"“{dataset.name}” has no such version, or keeps it no more; the newest is {newest.version()}.",
                next_ko=f"예: {dataset.name}@{newest.version()}",
                next_en=f"For example: {dataset.name}@{newest.version()}",
                where={"dataset": dataset.name, "asked": text},
            ) from error
        return RowsTable(dataset, facts, folder, opened)

    def cards(self, table: RowsTable, records: pa.Table) -> tuple[ColumnCard, ...]:
        """Propose what the columns are, as those of files are proposed, then as people decided."""
        from madang.library._standardise import propose_columns

        types = table.types()
        columns = [SourceColumn(n, n, _cell_type(types[n])) for n in records.column_names if n in types]
        samples = {c.name: _plain(records[c.name].slice(0, 20_000).combine_chunks()) for c in columns}
        proposals = propose_columns(columns, samples, table_hint=str(table.facts.get("table", "")))
        with self._state.reading() as db:
            said = decisions_of(db)
        return tuple(
            decided(
                ColumnCard(
                    source_name=c.source_name,
                    name=c.name,
                    role=p.role,
                    kind=p.kind,
                    unit_source=p.unit_source,
                    unit=p.unit,
                    unit_reason=p.unit_reason,
                    confidence=p.confidence,
                    status=p.status,
                    type=c.type,
                    missing=records[c.name].null_count,
                ),
                said,
                table.dataset.id,
            )
            for c, p in zip(columns, proposals, strict=True)
        )

    def read(
        self,
        table: RowsTable,
        *,
        reader: str,
        purpose: str,
        columns: Sequence[str] | None,
        where: Where,
        units: Literal["unit", "source"],
    ) -> ReadResult:
        """Read the records; see `Library.read`.

        Raises:
            InputError: A column is not known.
            RefusedError: The decision point said no.
        """
        known = list(table.types())
        unknown = [c for c in columns or () if c not in known]
        if unknown:
            raise InputError(
                "no_such_column",
                ko=f"‘{table.version}’에 ‘{unknown[0]}’ 열이 없어요.",
                en=f"“{table.version}” has no column “{unknown[0]}”.",
                next_ko=f"madang library card {table.dataset.name} 로 열 이름을 확인하세요.",
                next_en=f"See the names with: madang library card {table.dataset.name}",
                where={"dataset": table.dataset.name, "asked": [*unknown], "known": [*known[:200]]},
            )
        decision = self._door.ask(table.version, reader, purpose, tuple(columns or known))
        records = table.records()
        cards = self.cards(table, records)
        records = _within(records, cards, where)
        wanted = [c for c in cards if columns is None or c.name in columns]
        if columns is not None:
            wanted.sort(key=lambda c: list(columns).index(c.name))
        out: dict[str, Any] = {
            PART: pa.array(np.zeros(len(records), dtype=np.int32)),
            ROW: pa.array(np.arange(1, len(records) + 1), pa.int64()),
        }
        for card in wanted:
            column = records[card.name].combine_chunks()
            if units == "unit":
                column = _plain(column)
                by = scaling(card)
                column = column if by is None else converted(column, by)
            out[card.name] = column
        return ReadResult(pa.table(out), tuple(wanted), table.version, (), decision, {"form": "wide", "units": units})

    def export(
        self,
        table: RowsTable,
        out: Path,
        *,
        units: Literal["unit", "source"],
        columns: Sequence[str] | None,
        reader: str,
        where: Where,
    ) -> dict[str, Json]:
        """Write the records to a file; see `Library.export`."""
        found = self.read(table, reader=reader, purpose="export", columns=columns, where=where, units=units)
        plain = found.table.select([n for n in found.table.column_names if n not in (PART, ROW)])
        if units == "source":
            plain = plain.cast(
                pa.schema(
                    [
                        (f.name, pa.string() if pa.types.is_decimal(f.type) and out.suffix != ".parquet" else f.type)
                        for f in plain.schema
                    ]
                )
            )
        rows = write_batches(plain.schema, iter(plain.to_batches(max_chunksize=131_072)), out)
        return {
            "dataset": table.dataset.name,
            "version": table.version.number,
            "out": str(out),
            "form": "wide",
            "units": units,
            "columns": [*plain.column_names],
            "rows": rows,
            "log_index": found.decision.log_index,
        }

    def listed(self, dataset: Dataset) -> dict[str, Json]:
        """Return a followed table in short, with the fields that datasets of records have."""
        table = self.find(dataset.name)
        assert table is not None
        records = table.records([])
        first, last = _span(records)
        return {
            "dataset": dataset.name,
            "kind": "rows",
            "version": table.version.number,
            "rows": len(records),
            "columns": len(table.types()),
            "time_first": first,
            "time_last": last,
            "quality": None,
            "asks": 0,
            "quarantined": 0,
            "created": dataset.created,
            "sources": [table.facts.get("connection")],
            "layout": "rows",
        }

    def card(self, table: RowsTable, zone: str) -> dict[str, Json]:
        """Return the card of a followed table."""
        records = table.records()
        cards = self.cards(table, records)
        first, last = _span(records)
        entries = sum(int(n or 0) for n in pa.table(table.opened.get_add_actions())["num_records"].to_pylist())
        unknown: dict[str, Json] = {"quality": _FOLLOWED.fields("reason")}
        document: dict[str, Json] = {
            "dataset": table.dataset.name,
            "kind": "rows",
            "version": table.version.number,
            "created": table.dataset.created,
            "reason": "live",
            "party": "owner",
            "rows": len(records),
            "rows_read": entries,
            "rows_quarantined": 0,
            "rows_duplicate": 0,
            "quarantined": 0,
            "entries": entries,
            "connection": table.facts.get("connection"),
            "table": table.facts.get("table"),
            "key": table.facts.get("key"),
            "findings": table.facts.get("findings", []),
            "layout": "rows",
            "time_column": next((c.name for c in cards if c.type == "time"), None),
            "time_first": first,
            "time_last": last,
            "zone": table.facts.get("zone", zone),
            "zone_assumed": False,
            "columns": [column_document(c) for c in cards],
            "quality": None,
            "sampling_seconds": None,
            "sampling_regular": False,
            "shift_zone": zone,
            "shifts": [],
            "source": [table.facts.get("connection")],
            "parts": [],
            "versions": [],
            "lineage": {"inputs": [], "from_versions": [], "steps": [], "made_of_it": []},
        }
        for field in SAID_BY_PEOPLE:
            said = table.dataset.facts.get(field)
            document[field] = said if said is not None else ("unclassified" if field == "importance" else None)
            if said is None:
                unknown[field] = _UNSAID.fields("reason")
        document["unknown"] = unknown
        return document


def _cell_type(of: Any) -> CellType:  # noqa: ANN401 (an Arrow type)
    if pa.types.is_integer(of):
        return "integer"
    if pa.types.is_floating(of) or pa.types.is_decimal(of):
        return "number"
    if pa.types.is_boolean(of):
        return "boolean"
    if pa.types.is_timestamp(of) or pa.types.is_date(of):
        return "time"
    return "text"


def _plain(column: pa.Array) -> pa.Array:
    """A column in the types that records have: decimals as numbers, dates as instants, bytes as hexadecimal text."""
    if pa.types.is_decimal(column.type):
        return column.cast(pa.float64(), safe=False)
    if pa.types.is_date(column.type):
        return column.cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
    if pa.types.is_binary(column.type):
        return pa.array([None if v is None else v.hex() for v in column.to_pylist()], pa.string())
    return column


def _within(records: pa.Table, cards: Sequence[ColumnCard], where: Where) -> pa.Table:
    if where.time is not None:
        name = next((c.name for c in cards if c.type == "time"), SEEN)
        time = _plain(records[name].combine_chunks())
        for bound, compare in zip(where.time, (pc.greater_equal, pc.less), strict=True):
            if bound is not None:
                keep = compare(time, pa.scalar(bound, pa.timestamp("us", tz="UTC")))
                records, time = records.filter(keep), time.filter(keep)
    if where.rows is not None:
        first, last = where.rows
        records = records.slice(first - 1, last - first + 1)
    return records


def _span(records: pa.Table) -> tuple[str | None, str | None]:
    if len(records) == 0:
        return None, None
    bounds = pc.min_max(records[SEEN])
    return tuple(bounds[k].as_py().isoformat().replace("+00:00", "Z") for k in ("min", "max"))

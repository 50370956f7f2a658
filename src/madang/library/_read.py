"""The one door: every read names its reader, purpose, version and columns, is decided, and is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from madang.connect import ROW, LongColumns
from madang.errors import InputError, Json, RefusedError
from madang.library._cards import PART, ColumnCard, Decision, ReadResult, VersionId
from madang.library._catalogue import (
    StoredPart,
    Version,
    files_of,
    parts_of,
    records_schema,
    resolve,
    union_columns,
)
from madang.library._decide import Answer, DecisionPoint, Request
from madang.library._instants import iso
from madang.library._lake import Lake
from madang.library._meaning import scaling
from madang.library._state import State, decisions, dumps, loads
from madang.library._where import Form, Where

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Door:
    """Reads versions of datasets.

    Args:
        lake: The table store.
        state: The catalogue.
        decide: The decision point.
        clock: Gives the time of each recorded decision.
    """

    def __init__(self, lake: Lake, state: State, decide: DecisionPoint, clock: Callable[[], datetime]) -> None:
        self._lake = lake
        self._state = state
        self._decide = decide
        self._clock = clock

    def read(
        self,
        name: str | VersionId,
        *,
        reader: str,
        purpose: str,
        columns: Sequence[str] | None,
        where: Where,
        form: Form,
        units: Literal["unit", "source"],
    ) -> ReadResult:
        """Read records; see `Library.read`."""
        opened = self.open(name, reader=reader, purpose=purpose, columns=columns, where=where)
        batches = list(opened.batches(units))
        table = pa.Table.from_batches(batches, schema=opened.schema(units)).combine_chunks()
        if opened.long is not None and form == "wide":
            table = pivot(table, opened.parts, opened.cards, _names(opened, columns))
        elif opened.long is None and form == "long":
            table = melt(table, opened.cards)
        return ReadResult(
            table=table,
            columns=opened.cards,
            version=opened.version.id,
            parts=tuple(p.card for p in opened.parts),
            decision=opened.decision,
            facts={"form": form, "units": units},
        )

    def open(self, name: str | VersionId, *, reader: str, purpose: str, columns: Sequence[str] | None, where: Where) -> Opened:
        """Decide a read and return what may be streamed."""
        with self._state.reading() as db:
            dataset, version = resolve(db, name)
            chosen = _chosen_parts(parts_of(db, dataset, version.parts), where)
            files = files_of(db, dataset, "records", [p.card.index for p in chosen])
        cards = version.columns
        wanted = _wanted(version, cards, columns)
        decision = self.ask(version.id, reader, purpose, tuple(c.name for c in wanted))
        stored, _ = union_columns([(p.stored, p.empty) for p in chosen])
        long = _long_of(chosen)
        if long is None:
            names = {c.name for c in wanted}
            stored = tuple((n, k) for n, k in stored if n in names) if columns is not None else stored
            if columns is not None:
                order = {c.name: i for i, c in enumerate(wanted)}
                stored = tuple(sorted(stored, key=lambda c: order[c[0]]))
        return Opened(
            self._lake, dataset.table("records"), version, chosen, files, tuple(wanted), stored, long, where, decision
        )

    def ask(self, version: VersionId, reader: str, purpose: str, columns: tuple[str, ...]) -> Decision:
        """Decide one read and record the answer.

        Raises:
            RefusedError: The decision point said no; the error names the clause.
        """
        request = Request(reader, purpose, version, columns)
        return self._record(request, self._decide.decide(request))

    def recheck(self, decision: Decision) -> Decision:
        """Decide a read again that goes on, such as that of a screen that polls; only an answer that has changed is recorded.

        Raises:
            RefusedError: The decision point says no by now.
        """
        request = Request(decision.reader, decision.purpose, decision.version, decision.columns)
        answer = self._decide.decide(request)
        if (answer.allow, answer.clause) == (decision.allow, decision.clause):
            return decision
        return self._record(request, answer)

    def _record(self, request: Request, answer: Answer) -> Decision:
        from sqlalchemy import func, select

        version = request.version
        name, number = (None, None) if version is None else (version.dataset, version.number)
        with self._state.begin() as db:
            last = db.execute(select(func.max(decisions.c.index))).scalar()
            index = 0 if last is None else last + 1
            db.execute(
                decisions.insert().values(
                    index=index,
                    time=iso(self._clock()),
                    reader=request.reader,
                    purpose=request.purpose,
                    dataset=name or "",
                    version=number,
                    columns=dumps(list(request.columns)),
                    allow=answer.allow,
                    clause=answer.clause,
                )
            )
        if not answer.allow:
            raise RefusedError(
                "read_refused",
                ko=answer.reason.ko,
                en=answer.reason.en,
                next_ko="소유자로 읽거나, 약정을 맺은 뒤 다시 하세요.",
                next_en="Read as the owner, or make an agreement first.",
                where={
                    "dataset": name,
                    "version": number,
                    "reader": request.reader,
                    "purpose": request.purpose,
                    "clause": answer.clause,
                    "log_index": index,
                },
            )
        return Decision(True, request.reader, request.purpose, version, request.columns, answer.clause, answer.reason, index)


@dataclass(frozen=True)
class Opened:
    """A read that was allowed."""

    lake: Lake
    table: str
    version: Version
    parts: tuple[StoredPart, ...]
    files: tuple[Any, ...]
    cards: tuple[ColumnCard, ...]
    stored: tuple[tuple[str, str], ...]
    long: LongColumns | None
    where: Where
    decision: Decision

    def schema(self, units: Literal["unit", "source"]) -> pa.Schema:
        """Columns of the stream: part, row, then the stored columns."""
        schema = records_schema(self.stored)
        if units == "source":
            for name in self._scales():
                at = schema.get_field_index(name)
                if at >= 0:
                    schema = schema.set(at, pa.field(name, pa.float64()))
        return schema

    def batches(self, units: Literal["unit", "source"] = "unit") -> Iterator[pa.RecordBatch]:
        """Stream the records in the order of parts and source records."""
        schema = records_schema(self.stored)
        out = self.schema(units)
        condition = self._condition()
        for part in self.parts:
            scales = _part_scales(part) if units == "source" else {}
            tags = {c.name for c in self.cards}
            for batch in self.lake.batches(self.table, self.files, [part.card.index], schema, condition):
                if self.long is not None and self.cards != self.version.columns:
                    batch = batch.filter(pc.is_in(batch.column(self.long.tag), value_set=pa.array(sorted(tags), pa.string())))
                yield _unscaled(batch, scales, out, self.long) if units == "source" else batch

    def _scales(self) -> set[str]:
        return {name for part in self.parts for name in _part_scales(part)}

    def _condition(self) -> Any:  # noqa: ANN401 (an Arrow expression)
        condition = None
        if self.where.rows is not None:
            first, last = self.where.rows
            condition = (pc.field(ROW) >= first) & (pc.field(ROW) <= last)
        if self.where.time is not None:
            time = next((p.card.layout.time_column for p in self.parts if p.card.layout.time_column), None)
            if time is None:
                raise InputError(
                    "no_time_column",
                    ko=f"‘{self.version.id}’에는 시각 열이 없어서 기간으로 고를 수 없어요.",
                    en=f"“{self.version.id}” has no time column, so a period cannot be chosen.",
                    next_ko="행 번호로 고르세요.",
                    next_en="Choose by row numbers.",
                    where={"dataset": str(self.version.id)},
                )
            for bound, later in zip(self.where.time, (False, True), strict=True):
                if bound is not None:
                    at = pa.scalar(bound, pa.timestamp("us", tz="UTC"))
                    one = pc.field(time) < at if later else pc.field(time) >= at
                    condition = one if condition is None else condition & one
        return condition


def _names(opened: Opened, columns: Sequence[str] | None) -> list[str] | None:
    """The columns that were asked for by the names they bear here, whether asked by those or by the source's."""
    return None if columns is None else [c.name for c in opened.cards]


def _part_scales(part: StoredPart) -> dict[str, tuple[float, float]]:
    found = {}
    for card in part.columns:
        by = scaling(card)
        if by is not None:
            found[card.name] = by
    return found


def _unscaled(
    batch: pa.RecordBatch, scales: dict[str, tuple[float, float]], schema: pa.Schema, long: LongColumns | None
) -> pa.RecordBatch:
    columns = list(batch.columns)
    if long is not None and scales:
        at = batch.schema.get_field_index(long.value)
        coded = batch.column(long.tag).fill_null("").dictionary_encode()
        pairs = [scales.get(n, (1.0, 0.0)) for n in coded.dictionary.to_pylist()]
        codes = coded.indices.to_numpy(zero_copy_only=False)
        scale, offset = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
        if pa.types.is_floating(columns[at].type):
            values = columns[at].to_numpy(zero_copy_only=False)
            columns[at] = pa.array((values - offset[codes]) / scale[codes], pa.float64(), from_pandas=True)
    elif long is None:
        for name, (scale_by, offset_by) in scales.items():
            at = batch.schema.get_field_index(name)
            if at >= 0:
                values = columns[at].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
                columns[at] = pa.array((values - offset_by) / scale_by, pa.float64(), from_pandas=True)
    columns = [c if c.type == f.type else c.cast(f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _chosen_parts(parts: Sequence[StoredPart], where: Where) -> tuple[StoredPart, ...]:
    chosen = [p for p in parts if where.parts is None or p.card.index in where.parts]
    return tuple(p for p in chosen if where.sources is None or p.card.source in where.sources)


def _long_of(parts: Sequence[StoredPart]) -> LongColumns | None:
    return next((p.card.layout.long for p in parts if p.card.layout.long is not None), None)


def _wanted(version: Version, cards: Sequence[ColumnCard], columns: Sequence[str] | None) -> list[ColumnCard]:
    if columns is None:
        return list(cards)
    by_name = {c.name: c for c in cards} | {c.source_name: c for c in cards if c.source_name not in {d.name for d in cards}}
    unknown = [c for c in columns if c not in by_name]
    if unknown:
        raise InputError(
            "no_such_column",
            ko=f"‘{version.id}’에 ‘{unknown[0]}’ 열이 없어요.",
            en=f"“{version.id}” has no column “{unknown[0]}”.",
            next_ko=f"madang library card {version.id} 로 열 이름을 확인하세요.",
            next_en=f"See the names with: madang library card {version.id}",
            where={"dataset": str(version.id), "asked": list(unknown), "known": [*(c.name for c in cards[:200])]},
        )
    return [by_name[c] for c in columns]


def pivot(table: pa.Table, parts: Sequence[StoredPart], cards: Sequence[ColumnCard], columns: Sequence[str] | None) -> pa.Table:
    """Turn a long table into one column per tag: one row per part and instant, ordered by time within a part.

    Where a tag has several values at one instant the last record counts. The row number is that of the instant's first record.
    """
    long = _long_of(parts)
    if long is None:
        raise ValueError("only a long table can be pivoted")
    time = next(p.card.layout.time_column for p in parts if p.card.layout.long is not None)
    value_type = table.schema.field(long.value).type
    tags = [c.name for c in cards if c.name != time and (columns is None or c.name in columns)]
    part = table[PART].to_numpy()
    rows = table[ROW].to_numpy()
    has_time = time is not None and time in table.schema.names
    ticks = table[time].cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy() if has_time else rows.astype(np.int64)
    order = np.lexsort((rows, ticks, part))
    part, rows, ticks = part[order], rows[order], ticks[order]
    fresh = np.ones(len(part), dtype=bool)
    if len(part):
        fresh[1:] = (part[1:] != part[:-1]) | (ticks[1:] != ticks[:-1])
    group = np.cumsum(fresh) - 1
    starts = np.flatnonzero(fresh)
    coded = table[long.tag].combine_chunks().cast(pa.string()).fill_null("").dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    names = coded.dictionary.to_pylist()
    codes = coded.indices.to_numpy(zero_copy_only=False)[order]
    values = table[long.value].combine_chunks()
    first_row = np.minimum.reduceat(rows, starts) if len(starts) else np.empty(0, np.int64)
    out: dict[str, Any] = {PART: pa.array(part[starts], pa.int32()), ROW: pa.array(first_row, pa.int64())}
    if has_time:
        instants = ticks[starts]
        known = instants != np.iinfo(np.int64).min
        out[str(time)] = pa.array(instants, pa.int64(), mask=~known).cast(pa.timestamp("us", tz="UTC"))
    for tag in tags:
        mine = np.flatnonzero(codes == names.index(tag)) if tag in names else np.empty(0, np.int64)
        take = np.full(len(starts), -1, dtype=np.int64)
        take[group[mine]] = order[mine]
        index = pa.array(take, pa.int64(), mask=take < 0)
        out[tag] = values.take(index) if len(values) else pa.nulls(len(starts), value_type)
    return pa.table(out)


def melt(table: pa.Table, cards: Sequence[ColumnCard]) -> pa.Table:
    """Turn a wide table into one record per row and number column: part, row, time, name, value."""
    time = next((c.name for c in cards if c.type == "time" and c.name in table.schema.names), None)
    pieces = []
    for card in cards:
        if card.type not in ("number", "integer", "boolean") or card.name not in table.schema.names:
            continue
        columns = {PART: table[PART], ROW: table[ROW]}
        if time is not None:
            columns["time"] = table[time]
        columns["name"] = pa.array([card.name]).take(pa.array(np.zeros(len(table), dtype=np.int64)))
        columns["value"] = table[card.name].cast(pa.float64(), safe=False)
        pieces.append(pa.table(columns))
    if not pieces:
        return table
    joined = pa.concat_tables(pieces)
    return joined.sort_by([(PART, "ascending"), (ROW, "ascending")])


def decision_log(db: Connection, first: int = 0) -> list[dict[str, Json]]:
    """Recorded answers from an index on."""
    from sqlalchemy import select

    rows = db.execute(select(decisions).where(decisions.c.index >= first).order_by(decisions.c.index))
    return [{**r._mapping, "columns": loads(r.columns)} for r in rows]

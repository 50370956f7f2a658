"""The tables of one plant: which of them are one table in several files, and which one holds the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from madang.connect import ROW
from madang.errors import InputError, Json
from madang.library import PART, ColumnCard, ReadResult, RowTimes, TableView, row_times
from madang.models._assemble_names import find_name, source_names
from madang.models._assemble_table import part_places
from madang.plant import Bilingual, Role


@dataclass(frozen=True)
class PlantTable:
    """One table of the plant."""

    view: TableView
    times: RowTimes | None
    sources: tuple[str, ...]
    """Names of its files, by part."""
    versions: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.view.name

    @property
    def rows(self) -> int:
        return int(self.view.table.num_rows)

    def card(self, name: str) -> ColumnCard:
        """Return what is known about a column."""
        return next(card for card in self.view.columns if card.name == name)


def plant_tables(reads: Sequence[ReadResult]) -> tuple[PlantTable, ...]:
    """Return the tables of the plant; reads with the same columns (a file a month) become one table."""
    groups: list[list[ReadResult]] = []
    for read in reads:
        names = _names(read)
        for group in groups:
            known = _names(group[0])
            if len(names & known) >= 0.8 * max(len(names), len(known)) and len(names & known) >= 2:
                group.append(read)
                break
        else:
            groups.append([read])
    return tuple(_one(group) for group in groups)


def _names(read: ReadResult) -> set[str]:
    return {card.name for card in read.columns}


def _one(reads: Sequence[ReadResult]) -> PlantTable:
    first = reads[0]
    tables: list[pa.Table] = []
    sources: list[str] = []
    units = {card.name: card.unit for card in first.columns}
    notes: list[Json] = []
    for read in reads:
        table = read.table
        shift = len(sources)
        if PART in table.column_names:
            part = table[PART].to_numpy().astype(np.int64)
            part = shift + (part_places(part, [card.index for card in read.parts]) if read.parts else part)
        else:
            part = np.full(table.num_rows, shift, dtype=np.int64)
        for card in read.columns:
            if card.name in units and card.unit != units[card.name] and card.name in table.column_names:
                # the same tag in another unit would be a step in the data that never was in the plant
                table = table.drop_columns([card.name])
                notes.append({"column": card.name, "table": str(read.version), "unit": card.unit})
        if ROW not in table.column_names:
            table = table.append_column(ROW, pa.array(np.arange(1, table.num_rows + 1, dtype=np.int64)))
        if PART in table.column_names:
            table = table.drop_columns([PART])
        tables.append(table.append_column(PART, pa.array(part)))
        sources += [card.source for card in read.parts] or [str(read.version)]
    cards = {card.name: card for read in reversed(reads) for card in read.columns}
    ordered = tuple(cards[name] for name in dict.fromkeys(card.name for read in reads for card in read.columns))
    joined = tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")
    view = TableView(first.version.dataset, joined, ordered, {"other_units": notes})
    return PlantTable(view, row_times(view), tuple(sources), tuple(str(read.version) for read in reads))


@dataclass(frozen=True)
class Target:
    """Where the target stands."""

    table: PlantTable
    column: str
    reason: Bilingual


def find_target(tables: Sequence[PlantTable], asked: str | None) -> Target:
    """Return the table and column that hold the target: the one named, else the strongest candidate.

    A name may be ``table:column`` where several tables have such a column.

    Raises:
        InputError: No table has that column, several have it, or none was named and nothing looks like a result.
    """
    if asked is not None:
        return _named(tables, asked)
    ranked = sorted(
        ((_strength(table, card), -at, -place, table, card) for at, table in enumerate(tables)
         for place, card in enumerate(table.view.columns) if _may_be_target(table, card)),
        key=lambda found: found[:3], reverse=True,
    )  # fmt: skip
    if not ranked or ranked[0][0] <= 0:
        listed = ", ".join(table.name for table in tables)
        raise InputError(
            "no_target",
            ko=f"무엇을 예측할지 찾지 못했습니다. 살펴본 표: {listed}.",
            en=f"Nothing to predict was found in: {listed}.",
            next_ko="--target 으로 열 이름을 알려 주세요.",
            next_en="Name the column with --target.",
            where={"tables": [table.name for table in tables]},
        )
    table, card = ranked[0][3], ranked[0][4]
    reason = Bilingual(
        f"'{table.name}'의 '{card.name}'이(가) 결과로 보여요.", f"'{card.name}' of '{table.name}' looks like the result."
    )
    return Target(table, card.name, reason)


def _may_be_target(table: PlantTable, card: ColumnCard) -> bool:
    return card.type in ("number", "integer", "boolean") and card.name in table.view.table.column_names


def _strength(table: PlantTable, card: ColumnCard) -> float:
    reported = table.times is not None and table.times.result is not None
    by_role = {Role.TARGET_CANDIDATE: 3.0, Role.RESULT: 2.0}.get(card.role, 0.0)
    if by_role == 0.0:
        # what is measured in a table that says when results came is a result, whatever its name says
        return 0.5 if reported and card.role is Role.ACTUAL and card.type == "number" else 0.0
    return by_role + (1.0 if reported else 0.0) + 0.5 * card.confidence


def _named(tables: Sequence[PlantTable], asked: str) -> Target:
    prefix, colon, column = asked.partition(":")
    within = [table for table in tables if colon and table.name.casefold() == prefix.strip().casefold()]
    wanted = column.strip() if within else asked
    found: list[Target] = []
    for table in within or tables:
        names = {n: s for n, s in source_names(table.view.columns).items() if n in table.view.table.column_names}
        try:
            name = find_name(wanted, names, "target")
        except InputError as error:
            if error.code != "unknown_column":
                raise
            continue
        reason = Bilingual(f"사용자가 '{table.name}'의 '{name}'을(를) 지정했어요.", f"'{name}' of '{table.name}' was given.")
        found.append(Target(table, name, reason))
    if len(found) > 1:
        reported = [target for target in found if target.table.times is not None and target.table.times.result is not None]
        found = reported if len(reported) == 1 else found
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(f"{target.table.name}:{target.column}" for target in found)
        raise InputError(
            "ambiguous_column",
            ko=f"'{asked}' 열이 여러 표에 있습니다: {listed}.",
            en=f"Several tables have '{asked}': {listed}.",
            next_ko="표 이름까지 적어 주세요.",
            next_en="Write the table's name too, as listed.",
            where={"argument": "target", "column": asked},
        )
    everything = {n: s for table in tables for n, s in source_names(table.view.columns).items()}
    return Target(tables[0], find_name(asked, everything, "target"), Bilingual("", ""))


def part_and_row(table: PlantTable, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the part and the source record number of some rows of a table."""
    return (
        table.view.table[PART].to_numpy().astype(np.int64)[rows],
        table.view.table[ROW].to_numpy().astype(np.int64)[rows],
    )


def is_signal(table: PlantTable) -> bool:
    """Whether a table is a run of readings: points in time at a steady step, mostly numbers, many rows."""
    if table.times is None or table.times.windows or table.times.result is not None or table.rows < 100:
        return False
    kinds = [card for card in table.view.columns if card.name in table.view.table.column_names and card.type != "time"]
    numbers = [card for card in kinds if card.type in ("number", "integer", "boolean")]
    if len(numbers) < 0.5 * len(kinds) or not numbers:
        return False
    at = table.times.start[~np.isnat(table.times.start)].astype(np.int64)
    steps = np.diff(at if np.all(at[1:] >= at[:-1]) else np.sort(at))
    moved = steps[steps > 0]
    if len(moved) < max(50, 0.5 * table.rows - 1):
        return False
    usual = float(np.median(moved))
    return float(np.mean(np.abs(moved - usual) <= 0.2 * usual)) >= 0.7

"""New exports of one plant, joined as a saved study joined its own: same tables, keys, clocks and windows, nothing found anew.

What decides how the tables become one row per lot is kept with the model (`joined_facts`), because finding it again in new files
would let a later row change an earlier answer. A file that is absent is a table without rows, so every lot still gets a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from madang.connect import ROW
from madang.errors import InputError, Json
from madang.library import PART, KeyCandidate, Phase, ReadResult, RowTimes, TableView, instants_of
from madang.models._assemble import _log_flags, _Plant
from madang.models._assemble_before import Before, before_of
from madang.models._assemble_columns import series_of, texts_of
from madang.models._assemble_lots import (
    IntArray,
    Link,
    PhaseTable,
    join_to,
    listed_phases,
    own_phases,
    phase_table,
    taken_times,
)
from madang.models._assemble_signals import _LABELS, Signal, _held_highest, last_part, same_series, signal_of, thirds
from madang.models._assemble_tables import PlantTable, find_target, is_signal, part_and_row, plant_tables
from madang.models._frame import Frame, Series, TimeArray
from madang.models._model import SavedModel
from madang.models._words import StudyRequest
from madang.plant import Bilingual, Kind, Role

_AS_LEARNED = Bilingual("학습할 때 이은 대로예요.", "As it was joined when it was learned.")
_TYPES = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("us", "UTC"),
}
_STEPS = ("ramp", "soak", "cool")


def joined_facts(reads: Sequence[ReadResult], raw: Frame, request: StudyRequest) -> dict[str, Json]:
    """Return what a later assembly of new files must repeat: ``{"plant": ...}``, or nothing where rows are no listed lots.

    Args:
        reads: What the study read, in its order.
        raw: The frame that was assembled from it.
        request: What the study was asked.
    """
    if raw.facts.get("rows_are") != "lots" or not raw.facts.get("join"):
        return {}
    tables = plant_tables(reads)
    target = find_target(tables, request.target)
    if is_signal(target.table):
        return {}
    plant = _Plant(tables, target, request, frozenset(), True, Before())
    lots, to_results = plant._lots()
    if not any(lots is table for table in tables) or lots.times is None or not lots.times.windows:
        return {}
    steps = phase_table(lots, tables)
    used = {id(lots), id(target.table)} | ({id(steps.table)} if steps is not None else set())
    records, signals, logs = plant._sort_out(lots, used)
    features = raw.facts.get("features")
    made = set(features) if isinstance(features, dict) else set()
    plan: dict[str, Json] = {
        "tables": _described(reads, tables),
        "lots": lots.name,
        "target": {"table": target.table.name, "column": target.column},
        "results": None if to_results is None else _linked(to_results),
        "records": [_linked(joined.link) for joined in records],
        "signals": [table.name for table in signals],
        "logs": [table.name for table in logs],
        "steps": None if steps is None else {**_linked(steps.link), "column": steps.column},
        "group": plant._group_column(lots),
        "columns": [
            {"name": s.name, "table": s.origin, "categories": None if s.categories is None else [*s.categories]}
            for s in raw
            if s.name not in made
        ],
        "facts": {name: raw.facts.get(name) for name in ("join", "features", "target")},
    }
    return {"plant": plan}


def _described(reads: Sequence[ReadResult], tables: Sequence[PlantTable]) -> list[Json]:
    """Return of each table its name, the places of its columns among the model's, and which of them are times of its rows."""
    made: list[Json] = []
    for table in tables:
        places: dict[str, int] = {}
        place = 0
        for read in reads:
            for card in read.columns:
                if str(read.version) in table.versions:
                    places.setdefault(card.name, place)
                place += 1
        times: Json = None
        if table.times is not None:
            t = table.times
            times = {"start": t.start_column, "end": t.end_column, "result": t.result_column, "inner": [*t.inner]}
        made.append({"name": table.name, "columns": [*places.values()], "times": times})
    return made


def _linked(found: Link) -> dict[str, Json]:
    return {"left": found.left.name, "right": found.right.name, "left_column": found.key.left, "right_column": found.key.right}


def plan_of(model: SavedModel) -> dict[str, Any]:
    """Return how the model's tables were joined.

    Raises:
        InputError: The model was saved without it, or its rows are not the lots that a table lists.
    """
    plan = model.facts.get("plant")
    if isinstance(plan, dict):
        return plan
    raise InputError(
        "joined_model",
        ko="이 모델은 로트 목록 없이 여러 파일을 이어 배워서 새 파일에 쓸 수 없어요.",
        en="This model was learned from joined files without a list of lots, and cannot answer new files.",
        next_ko="library join 으로 이은 표 하나로 다시 study 해 주세요.",
        next_en="Study one table made by library join instead.",
        where={"model": model.name},
    )


def by_table(model: SavedModel, columns_of: Mapping[int, Sequence[str]]) -> dict[str, list[int]]:
    """Return for each table of the plan which of some files are its own, in their order.

    A file was opened with a template, so its columns are those of one table; the table that shares most of them is meant.

    Args:
        model: What a study saved.
        columns_of: Number of the file -> names of its columns.
    """
    names = {str(t["name"]): {model.columns[at].name for at in t["columns"]} for t in plan_of(model)["tables"]}
    found: dict[str, list[int]] = {name: [] for name in names}
    for number, columns in columns_of.items():
        own = set(columns) - {ROW, PART}
        share, best = max(
            ((len(own & known) / max(1, len(own | known)), name) for name, known in names.items()), key=lambda pair: pair[0]
        )
        if share > 0:
            found[best].append(number)
    return found


def lots_name(model: SavedModel) -> str:
    """Return the table whose records are answered."""
    return str(plan_of(model)["lots"])


def plant_table(model: SavedModel, name: str, table: pa.Table | None, sources: Sequence[str]) -> PlantTable:
    """Return new records as the table the study knew; absent columns are empty, and so is an absent table."""
    described = next(t for t in plan_of(model)["tables"] if t["name"] == name)
    cards = tuple(model.columns[at].card() for at in described["columns"])
    rows = 0 if table is None else table.num_rows
    if table is None:
        table = pa.table({ROW: pa.array([], pa.int64()), PART: pa.array([], pa.int32())})
    for card in cards:
        if card.name not in table.column_names:
            table = table.append_column(card.name, pa.nulls(rows, _TYPES[card.type]))
        elif pa.types.is_null(table.schema.field(card.name).type):
            at = table.column_names.index(card.name)
            table = table.set_column(at, card.name, pa.nulls(rows, _TYPES[card.type]))
    return PlantTable(TableView(name, table, cards), _times(table, described["times"]), tuple(sources), ())


def _times(table: pa.Table, named: Mapping[str, Any] | None) -> RowTimes | None:
    if named is None:
        return None
    result = named["result"]
    return RowTimes(
        instants_of(table[named["start"]]), instants_of(table[named["end"]]), None if result is None else instants_of(table[result]),
        named["start"], named["end"], result, tuple(named["inner"]),
    )  # fmt: skip


def joined_frame(model: SavedModel, tables: Mapping[str, PlantTable]) -> Frame:
    """Return one row per record of the list of lots, with the columns that the study had."""
    plan = plan_of(model)
    return _Again(plan, tables, before_of(plan["facts"])).frame()


@dataclass
class _Again:
    """The tables of new files on their way to the frame that an earlier assembly made."""

    plan: Mapping[str, Any]
    tables: Mapping[str, PlantTable]
    before: Before

    def frame(self) -> Frame:
        lots = self.tables[self.plan["lots"]]
        target = self.tables[self.plan["target"]["table"]]
        here = np.arange(lots.rows, dtype=np.int64)
        results = here if self.plan["results"] is None else self._partner(self.plan["results"])
        reached: dict[str, IntArray] = {lots.name: here, target.name: results}
        for named in self.plan["records"]:
            near = reached[named["left"]]
            reached[named["right"]] = np.append(self._partner(named), -1)[near]
        series: dict[str, Series] = {}
        for column in self.plan["columns"]:
            rows = reached.get(column["table"])
            made = None if rows is None else self._column(column, rows)
            if made is not None:
                series[column["name"]] = made
        series.update(self._features(lots))
        part, row = part_and_row(lots, here)
        key = self.plan["group"]
        return Frame(
            series=series,
            part=part,
            row=row,
            time=None if lots.times is None else lots.times.end,
            result_time=self._result_time(target, results),
            group=None if key is None else texts_of(lots.view.table[key]),
            sources=lots.sources,
        )

    def _partner(self, named: Mapping[str, Any]) -> IntArray:
        left, right = self.tables[named["left"]], self.tables[named["right"]]
        if not left.rows or not right.rows:
            return np.full(left.rows, -1, dtype=np.int64)
        key = KeyCandidate(named["left_column"], named["right_column"], 1.0, 1.0, _AS_LEARNED)
        return np.asarray(join_to(left, right, Link(left, right, key)).partner, dtype=np.int64)

    def _column(self, column: Mapping[str, Any], rows: IntArray) -> Series | None:
        """Return a column of a table at the rows of the lots, coded by the categories of the study."""
        table, name = self.tables[column["table"]], column["name"]
        fitting = [c for c in table.view.columns if name == c.name or name.startswith(f"{c.name} (")]
        if not fitting:
            return None
        card = max(fitting, key=lambda c: len(c.name))
        taken = table.view.table[card.name].take(pa.array(rows, mask=rows < 0))
        made = series_of(card, taken, table.name, {card.name})
        if made is None:
            return None
        known = column["categories"]
        if known is None or made.categories is None:
            absent = (known is None) != (made.categories is None)
            values = np.full(len(rows), np.nan) if absent else made.values
            return replace(made, name=name, values=values, categories=None if known is None else tuple(known))
        code = {text: float(place) for place, text in enumerate(known)}
        recoded = np.array([*(code.get(text, np.nan) for text in made.categories), np.nan])
        place = np.where(np.isfinite(made.values), made.values, len(made.categories)).astype(np.int64)
        return replace(made, name=name, values=recoded[place], categories=tuple(known))

    def _features(self, lots: PlantTable) -> dict[str, Series]:
        """Return what signals and logs did while each lot was made; absent where a file is absent or does not reach the lot."""
        parts = self._parts(lots)
        facts = self.before.features or {}
        made = {name: Series(name, np.full(lots.rows, np.nan), available="before") for name in facts}
        signals = [
            signal_of(table.view, table.times)
            for table in (self.tables[name] for name in self.plan["signals"])
            if table.times is not None and table.rows
        ]
        for signal in signals:
            wanted = self.before.features_of(signal, signals)
            if not wanted:
                continue
            steps = parts
            if len(parts) <= 2:
                steps = (*parts[:1], *self._inner(signal, parts[0], wanted), *parts[1:])
            for feature in same_series(signal, self.before.offset_of(signal), steps, wanted):
                made[feature.series.name] = feature.series
        for name in self.plan["logs"]:
            if not self.tables[name].rows:
                continue
            for feature in _log_flags(self.tables[name], parts[0], always=True):
                if feature.series.name in facts:
                    made[feature.series.name] = feature.series
        return made

    def _parts(self, lots: PlantTable) -> tuple[Phase, ...]:
        times = lots.times
        if times is None:  # `joined_facts` keeps no plan without times of the lots
            return ()
        whole = Phase("lot", Bilingual("로트 전체", "whole lot"), times.start, times.end)
        named = self.plan["steps"]
        listed: tuple[Phase, ...] = ()
        if named is not None and self.tables[named["right"]].rows and lots.rows:
            steps = self.tables[named["right"]]
            key = KeyCandidate(named["left_column"], named["right_column"], 1.0, 1.0, _AS_LEARNED)
            listed = listed_phases(lots, PhaseTable(steps, Link(lots, steps, key), named["column"]))
        return (whole, *(listed or own_phases(lots)), last_part(whole))

    def _inner(self, signal: Signal, whole: Phase, wanted: Mapping[str, Mapping[str, Json]]) -> tuple[Phase, ...]:
        """Return the steps that the study saw in the set point, each lot by itself, or thirds where it saw none."""
        if not any(str(facts["window"]) in _STEPS for facts in wanted.values()):
            return thirds(whole)
        shift = self.before.offset_of(signal).shift
        start = np.full(len(whole.start), np.datetime64("NaT"), dtype="datetime64[us]")
        end = start.copy()
        points = [
            c.name for c in signal.view.columns if c.role is Role.SET_POINT and c.kind in {Kind.TEMPERATURE, Kind.UNKNOWN}
        ]
        for tag in (t for t in signal.tags if t in points):
            first, last = _held_highest(signal.time - shift, signal.tags[tag], whole)
            empty = np.isnat(start)
            start[empty], end[empty] = first[empty], last[empty]
        borders = ((whole.start, start), (start, end), (end, whole.end))
        return tuple(Phase(n, label, a, b) for n, label, (a, b) in zip(_STEPS, _LABELS, borders, strict=True))

    def _result_time(self, target: PlantTable, rows: IntArray) -> TimeArray | None:
        """Return when each result became known, on the lots' clock as it was found when it was learned."""
        if target.times is None:
            return None
        known = taken_times(target.view.table[target.times.result_column or target.times.end_column], rows)
        offset = self.before.offsets.get(target.name)
        return known if offset is None or not offset.supported else known - offset.shift

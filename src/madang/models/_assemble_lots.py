"""The lots of a plant: which table lists them, what else is known of each, and which result came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from madang.connect import ROW
from madang.errors import Json
from madang.library import (
    AMBIGUOUS,
    PART,
    SURE,
    Instants,
    KeyCandidate,
    Matched,
    Outcome,
    Phase,
    RowTimes,
    TableView,
    find_keys,
    instants_of,
    match_tables,
    notes_of,
    phases,
    text_keys,
)
from madang.models._assemble_tables import PlantTable, Target
from madang.plant import Bilingual

IntArray = NDArray[np.int64]

_FEWEST_LOTS = 8


@dataclass(frozen=True)
class Link:
    """Two tables that name the same things."""

    left: PlantTable
    right: PlantTable
    key: KeyCandidate

    def document(self) -> dict[str, Json]:
        """Return the link for a report."""
        return {
            "left": self.left.name, "right": self.right.name, "left_column": self.key.left, "right_column": self.key.right,
            "score": self.key.score, **self.key.reason.fields("reason"),
        }  # fmt: skip


@dataclass(frozen=True)
class Joined:
    """How one table went to the lots."""

    table: PlantTable
    partner: IntArray
    """Row of `table` for each lot; -1 = none."""
    matched: Matched
    link: Link

    def document(self) -> dict[str, Json]:
        """Return counts and notes for a report."""
        outcomes = Counter(int(outcome) for outcome in self.matched.outcome)
        joined = outcomes[Outcome.JOINED]
        ambiguous = sum(outcomes[outcome] for outcome in AMBIGUOUS)
        rows = len(self.matched.outcome)
        sentence = Bilingual(
            f"'{self.link.key.left}'와(과) '{self.link.key.right}'(으)로 '{self.table.name}'을(를) 이었어요: "
            f"{rows:,}개 중 {joined:,}개 이음, {rows - joined - ambiguous:,}개 짝 없음, {ambiguous:,}개는 애매해서 뺐어요.",
            f"'{self.table.name}' was joined by '{self.link.key.left}' and '{self.link.key.right}': {joined:,} of {rows:,} joined, "
            f"{rows - joined - ambiguous:,} without a partner, {ambiguous:,} ambiguous and left out.",
        )
        return {
            "table": self.table.name, "left_column": self.link.key.left, "right_column": self.link.key.right, "rows": rows,
            "joined": joined, "unmatched": rows - joined - ambiguous, "ambiguous": ambiguous,
            "superseded": len(self.matched.superseded), "ambiguous_keys": self._ambiguous_keys(), **sentence.fields("sentence"),
            "notes": [dict(note.fields("text")) for note in notes_of(self.matched)],
        }  # fmt: skip

    def _ambiguous_keys(self) -> list[Json]:
        """Return the keys of the first fifty rows that were left out because nothing decides them."""
        rows = np.flatnonzero(np.isin(self.matched.outcome, [int(outcome) for outcome in AMBIGUOUS]))[:50]
        keys = text_keys([self.link.left.view.table[self.link.key.left]])
        return [keys.spellings[keys.codes[row]] for row in rows]


def link(left: PlantTable, right: PlantTable) -> Link | None:
    """Return how two tables are linked by a key, or None."""
    found = find_keys(left.view.table, right.view.table, left.view.columns, right.view.columns)
    return Link(left, right, found[0]) if found and found[0].score >= SURE else None


def join_to(left: PlantTable, right: PlantTable, by: Link) -> Joined:
    """Return the row of `right` that belongs to each row of `left`."""
    matched = match_tables(left.view, right.view, ((by.key.left, by.key.right),))
    return Joined(right, np.where(matched.outcome == Outcome.JOINED, matched.partner, -1), matched, by)


def rows_per_key(table: PlantTable, column: str) -> float:
    """Return how many rows carry one key, on average."""
    codes = text_keys([table.view.table[column]]).codes
    known = codes[codes >= 0]
    return len(known) / max(1, len(np.unique(known)))


def list_of_lots(target: Target, tables: Sequence[PlantTable]) -> tuple[PlantTable, Link | None]:
    """Return the table that has one row per lot with its start and end, and how the target's table is linked to it.

    The target's own table is the list where it shows starts and ends itself, or where no other table does.
    """
    own = target.table
    if own.times is not None and own.times.windows:
        return own, None
    best: tuple[float, PlantTable, Link] | None = None
    for table in tables:
        if table is own or table.times is None or not table.times.windows:
            continue
        found = link(table, own)
        if found is None or rows_per_key(table, found.key.left) > 1.5:
            continue
        if best is None or found.key.score > best[0]:
            best = (found.key.score, table, found)
    return (own, None) if best is None else (best[1], best[2])


@dataclass(frozen=True)
class PhaseTable:
    """A table that lists the steps of every lot, one row per lot and step."""

    table: PlantTable
    link: Link
    column: str
    """Names the step."""


def phase_table(lots: PlantTable, tables: Sequence[PlantTable]) -> PhaseTable | None:
    """Return the table with the steps of the lots: windows, the lots' key, and a column of few names that repeat in every lot."""
    for table in tables:
        if table is lots or table.times is None or not table.times.windows:
            continue
        found = link(lots, table)
        if found is None:
            continue
        many = rows_per_key(table, found.key.right)
        if many < 1.8:
            continue
        for card in table.view.columns:
            if card.name == found.key.right or card.type != "text" or card.name not in table.view.table.column_names:
                continue
            steps = text_keys([table.view.table[card.name]])
            different = len(np.unique(steps.codes[steps.codes >= 0]))
            if 2 <= different <= 20 and abs(different - many) <= 0.5 + 0.2 * different:
                return PhaseTable(table, found, card.name)
    return None


def listed_phases(lots: PlantTable, listed: PhaseTable) -> tuple[Phase, ...]:
    """Return each step of the lots, in the order of time; unknown (NaT) where a lot does not show it."""
    steps = text_keys([listed.table.view.table[listed.column]])
    made: list[tuple[float, Phase]] = []
    for code in np.unique(steps.codes[steps.codes >= 0]):
        rows = np.flatnonzero(steps.codes == code)
        view = replace(listed.table.view, table=listed.table.view.table.take(pa.array(rows)))
        matched = match_tables(lots.view, view, ((listed.link.key.left, listed.link.key.right),))
        partner = np.where(matched.outcome == Outcome.JOINED, matched.partner, -1)
        times = listed.table.times
        if times is None or np.count_nonzero(partner >= 0) < _FEWEST_LOTS:
            continue
        start, end = _taken(times.start[rows], partner), _taken(times.end[rows], partner)
        name = steps.spellings[code].strip()
        middle = np.nanmedian(((start - _anchor(lots, start)) / np.timedelta64(1, "s")).astype(np.float64))
        made.append((float(middle), Phase(name, Bilingual(name, name), start, end)))
    return tuple(phase for _, phase in sorted(made, key=lambda found: (found[0], found[1].name)))


def _anchor(lots: PlantTable, start: Instants) -> Instants:
    return start[~np.isnat(start)][:1] if lots.times is None else lots.times.start


def _taken(values: Instants, index: IntArray) -> Instants:
    taken = values[np.maximum(index, 0)].copy() if len(values) else np.full(len(index), np.datetime64("NaT", "us"))
    taken[index < 0] = np.datetime64("NaT")
    return taken


def taken_times(column: pa.ChunkedArray, index: IntArray) -> Instants:
    """Return instants of a column at some rows; NaT at -1."""
    return _taken(instants_of(column), index)


def lots_of_steps(listed: PhaseTable) -> PlantTable:
    """Return a list of lots made of a table of their steps: the lot lasts from its first step to its last.

    A step that comes a second time under one number begins another use of the number.
    """
    table, times = listed.table.view.table, listed.table.times
    keys, steps = text_keys([table[listed.link.key.right]]), text_keys([table[listed.column]])
    if times is None:
        return listed.table
    order = np.lexsort((times.start, keys.codes))
    order = order[(keys.codes[order] >= 0) & ~np.isnat(times.start[order])]
    first: list[int] = []
    seen: set[int] = set()
    for place, row in enumerate(order):
        step = int(steps.codes[row])
        if place == 0 or keys.codes[row] != keys.codes[order[place - 1]] or step in seen:
            first.append(place)
            seen = set()
        seen.add(step)
    start, end = times.start[order], times.end[order]
    made = pa.table({
        listed.link.key.right: pa.array([keys.spellings[keys.codes[order[place]]] for place in first], pa.string()),
        "start": start[first], "end": np.maximum.reduceat(end, first) if first else end,
        PART: table[PART].take(pa.array(order[first])), ROW: table[ROW].take(pa.array(order[first])),
    })  # fmt: skip
    cards = tuple(card for card in listed.table.view.columns if card.name == listed.link.key.right)
    view = TableView(listed.table.name, made, cards)
    return PlantTable(view, RowTimes(made["start"].to_numpy(), made["end"].to_numpy(), None, "start", "end", None),
                      listed.table.sources, listed.table.versions)  # fmt: skip


def own_phases(lots: PlantTable) -> tuple[Phase, ...]:
    """Return the steps that inner time columns of the list of lots mark."""
    return () if lots.times is None else phases(lots.view, lots.times)


def lots_of_signal(signal: PlantTable, column: str) -> PlantTable:
    """Return a list of lots made of a signal that names the lot of every reading: first and last time of each run of the name."""
    keys = text_keys([signal.view.table[column]])
    times: RowTimes | None = signal.times
    if times is None:
        return signal
    order = np.argsort(times.start, kind="stable")
    order = order[~np.isnat(times.start[order]) & (keys.codes[order] >= 0)]
    codes, at = keys.codes[order], times.start[order]
    first = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1]))) if len(codes) else np.empty(0, np.int64)
    last = np.append(first[1:], len(codes)) - 1
    whole = signal.view.table
    table = pa.table({
        column: pa.array([keys.spellings[code] for code in codes[first]], pa.string()), "first": at[first], "last": at[last],
        PART: whole[PART].take(pa.array(order[first])), ROW: whole[ROW].take(pa.array(order[first])),
    })  # fmt: skip
    cards = tuple(card for card in signal.view.columns if card.name == column)
    view = TableView(f"{signal.name} ({column})", table, cards)
    made = RowTimes(at[first], at[last], None, "first", "last", None)
    return PlantTable(view, made, signal.sources, signal.versions)

"""What was read from the library becomes the one table a study learns from.

One table is a frame as it stands. Several exports of one plant become one row per lot: the table with the target, the list of
lots that it names, everything else that is known of each lot, and what the signals did while the lot was made. Nothing that is
known only after the result becomes an input, and ``facts["join"]`` says what was done, before any result is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from madang.errors import InputError, Json
from madang.library import (
    ClockOffset,
    ColumnCard,
    Phase,
    ReadResult,
    is_instant,
    lot_events,
    offset_of_events,
    offset_of_samples,
)
from madang.models._assemble_around import around_signal
from madang.models._assemble_before import Before, before_of
from madang.models._assemble_columns import series_of, texts_of
from madang.models._assemble_lots import (
    IntArray,
    Joined,
    Link,
    join_to,
    link,
    list_of_lots,
    listed_phases,
    lots_of_signal,
    lots_of_steps,
    own_phases,
    phase_table,
    rows_per_key,
    taken_times,
)
from madang.models._assemble_names import find_name, source_names
from madang.models._assemble_signals import (
    MadeFeature,
    Signal,
    before_samples,
    distinct_series,
    last_part,
    recipe_phases,
    same_series,
    signal_of,
    thirds,
    window_series,
)
from madang.models._assemble_table import frame_from_arrow, frame_of, read_of
from madang.models._assemble_tables import PlantTable, Target, find_target, is_signal, part_and_row, plant_tables
from madang.models._frame import Availability, FloatArray, Frame, Series, TimeArray
from madang.models._leaks_words import holds_results, says_after
from madang.models._words import StudyRequest
from madang.plant import Bilingual, Kind, Role

__all__ = ["assemble", "frame_from_arrow", "frame_of", "read_of"]

_DENSE = 20.0
"""Readings per lot from which a table that names the lot is a signal."""


def assemble(
    reads: Sequence[ReadResult],
    request: StudyRequest,
    *,
    keep: Collection[str] = (),
    with_target: bool = True,
    like: Mapping[str, Json] | None = None,
) -> Frame:
    """Return the frame of one table, or of several exports of one plant.

    Args:
        reads: What the library gave; files of one kind (a history per month) may come as one read or as several.
        request: Names given by a person; each is looked up among names and source names of every table.
        keep: Text columns that stay categories however many texts they hold (a saved study's own columns).
        with_target: Whether lots without a result are left out. A prediction keeps them.
        like: ``facts`` of the frame a model learned from: the same target, offsets of clocks and made columns, none of them found
            anew, so that later rows change nothing about earlier ones.

    Returns:
        The frame. Beside the facts of `frame_of`, ``facts["rows_are"]`` is ``lots`` or ``records``, ``facts["features"]`` says
        of each made column its source column, window and statistic, and ``facts["join"]`` explains the join in sentences.

    Raises:
        InputError: No table, a name that fits no column or several, or nothing that the target's table could be joined to.
    """
    if not reads:
        raise InputError(
            "no_tables", ko="읽은 표가 없습니다.", en="There is no table to study.",
            next_ko="파일이나 폴더를 지정해 주세요.", next_en="Give files or a folder.",
        )  # fmt: skip
    if len(reads) == 1:
        return frame_of(reads[0], request, keep=keep)
    tables = plant_tables(reads)
    before = before_of(like)
    target = find_target(tables, request.target or before.target)
    if len(tables) == 1:
        return _frame_of_one(tables[0], reads, request, keep)
    if is_signal(target.table):
        return around_signal(tables, target, request, keep)
    return _Plant(tables, target, request, frozenset(keep), with_target, before).frame()


def _frame_of_one(table: PlantTable, reads: Sequence[ReadResult], request: StudyRequest, keep: Collection[str]) -> Frame:
    parts = tuple(part for read in reads for part in read.parts)
    whole = replace(reads[0], table=table.view.table, columns=table.view.columns, parts=parts)
    return replace(frame_of(whole, request, keep=keep), sources=table.sources)


@dataclass
class _Plant:
    """The tables of one plant on their way to one frame: each step notes what it did."""

    tables: tuple[PlantTable, ...]
    target: Target
    request: StudyRequest
    keep: frozenset[str]
    with_target: bool
    before: Before
    documents: list[Json] = field(default_factory=list)
    sentences: list[Bilingual] = field(default_factory=list)
    offsets: dict[str, Json] = field(default_factory=dict)
    unused: list[Json] = field(default_factory=list)

    def frame(self) -> Frame:
        """Return one row per lot (or per result, where no table lists lots)."""
        self.sentences.append(self.target.reason)
        _check_excluded(self.tables, self.request)
        lots, to_results = self._lots()
        results = None if to_results is None else self._results(lots, to_results)
        rows = np.arange(lots.rows, dtype=np.int64) if results is None else results.partner
        index = self._kept(lots, rows)
        if self.with_target and len(index) == 0:
            raise self._nothing_joined(lots)
        steps = phase_table(lots, self.tables)
        used = {id(lots), id(self.target.table)} | ({id(steps.table)} if steps is not None else set())
        records, signals, logs = self._sort_out(lots, used)
        parts = self._parts(lots, () if steps is None else listed_phases(lots, steps))

        features: list[MadeFeature] = []
        ends = set() if to_results is None else {to_results.key.left, to_results.key.right}
        columns = [*self._columns_of(self.target.table, rows, after=True, keys=ends)]
        if results is not None:
            columns += self._columns_of(lots, np.arange(lots.rows, dtype=np.int64), after=False, keys=ends)
        for joined in records:
            after = self._booked_after(lots, joined)
            columns += self._columns_of(joined.table, joined.partner, after=after, keys={joined.link.key.right})
        dropped = {"uncovered": 0, "constant": 0, "alike": 0, "repeated": 0}
        on_clock = self._on_lots_clock(lots, signals)
        for signal, offset in on_clock:
            steps_of = parts
            if len(parts) <= 2:
                steps_of = (*parts[:1], *(recipe_phases(signal, offset, parts[0]) or thirds(parts[0])), *parts[1:])
            if self.before.features is not None:
                wanted = self.before.features_of(signal, [s for s, _ in on_clock])
                features += same_series(signal, offset, steps_of, wanted)
                continue
            made = window_series(signal, offset, steps_of)
            features += made.kept
            for why, count in made.dropped.items():
                dropped[why] += count
        for log in logs:
            features += _log_flags(log, parts[0], always=self.before.features is not None)
        kept = tuple(features)
        if self.before.features is None:
            kept, dropped["repeated"] = distinct_series(features)
        return self._finish(lots, rows, index, columns, kept, parts, dropped)

    def _nothing_joined(self, lots: PlantTable) -> InputError:
        target = self.target.table
        return InputError(
            "nothing_joined",
            ko=f"'{target.name}'의 '{self.target.column}' 값이 이어진 로트가 하나도 없습니다.",
            en=f"No lot of '{lots.name}' was joined to a value of '{self.target.column}' in '{target.name}'.",
            next_ko="두 표의 로트 번호와 기간이 겹치는지 확인해 주세요.",
            next_en="Check that the lot numbers and the dates of the two tables overlap.",
            where={"target": target.name, "lots": lots.name, "column": self.target.column},
        )

    def _lots(self) -> tuple[PlantTable, Link | None]:
        """Return the list of lots and how the results' table is linked to it; the results themselves where nothing lists lots."""
        lots, to_results = list_of_lots(self.target, self.tables)
        if to_results is not None or (lots.times is not None and lots.times.windows):
            return lots, to_results
        steps = phase_table(lots, self.tables)
        made = [] if steps is None else [lots_of_steps(steps)]
        for table in self.tables:
            found = link(table, lots) if table is not lots and _names_lots(table) else None
            if found is not None and rows_per_key(table, found.key.left) > _DENSE:
                made.append(lots_of_signal(table, found.key.left))
        for table in made:
            back = link(table, lots)
            if back is not None:
                return table, back
        return lots, None

    def _results(self, lots: PlantTable, by: Link) -> Joined:
        joined = join_to(lots, self.target.table, by)
        self._say(joined)
        return joined

    def _say(self, joined: Joined) -> None:
        document = joined.document()
        self.documents.append(document)
        self.sentences.append(Bilingual(str(document["sentence_ko"]), str(document["sentence_en"])))

    def _kept(self, lots: PlantTable, rows: IntArray) -> IntArray:
        """Return the lots that become rows: all, or those whose result is known."""
        if not self.with_target:
            return np.arange(lots.rows, dtype=np.int64)
        column = self.target.table.view.table[self.target.column]
        known = np.append(np.asarray(column.is_valid()), False)
        return np.flatnonzero(known[rows]).astype(np.int64)

    def _sort_out(self, lots: PlantTable, used: set[int]) -> tuple[list[Joined], list[PlantTable], list[PlantTable]]:
        """Say of every other table whether it tells of lots, is a signal, or is a log; join the first kind."""
        records: list[Joined] = []
        signals, logs, waiting = [], [], []
        for table in self.tables:
            if id(table) in used:
                continue
            if is_signal(table):
                signals.append(table)
            elif _is_log(table):
                logs.append(table)
            else:
                waiting.append(table)
        reached: list[tuple[PlantTable, IntArray]] = [(lots, np.arange(lots.rows, dtype=np.int64))]
        while waiting:
            hop = next(
                (
                    (table, near, at, found)
                    for near, at in reached
                    for table in waiting
                    if (found := link(near, table)) is not None
                ),
                None,
            )
            if hop is None:
                break
            table, near, at, found = hop
            waiting.remove(table)
            joined = join_to(near, table, found)
            partner = np.append(joined.partner, -1)[at]
            self._say(joined)
            if np.any(partner >= 0):
                records.append(replace(joined, partner=partner))
                reached.append((table, partner))
        for table in waiting:
            reason = Bilingual(
                f"'{table.name}'은(는) 로트와 이을 열이 없어 쓰지 않았어요.",
                f"'{table.name}' has no key to the lots; not used.",
            )
            self.unused.append({"table": table.name, **reason.fields("reason")})
            self.sentences.append(reason)
        return records, signals, logs

    def _parts(self, lots: PlantTable, listed: tuple[Phase, ...]) -> tuple[Phase, ...]:
        """Return the whole lot and its steps; without windows, spans before the sample."""
        times = lots.times
        if times is None:
            nothing = np.full(lots.rows, np.datetime64("NaT"), dtype="datetime64[us]")
            return (Phase("lot", Bilingual("로트 전체", "whole lot"), nothing, nothing),)
        if not times.windows:
            self.sentences.append(
                Bilingual("로트의 시작과 끝을 몰라 시료를 뜨기 전 시간대별로 신호를 모았어요.",
                          "Starts and ends of lots are not known; signals are summed up over spans before each sample.")
            )  # fmt: skip
            return before_samples(times.start)
        whole = Phase("lot", Bilingual("로트 전체", "whole lot"), times.start, times.end)
        steps = listed or own_phases(lots)
        if steps:
            names = ", ".join(step.name for step in steps)
            self.sentences.append(Bilingual(f"로트의 단계: {names}.", f"Steps of a lot: {names}."))
        return (whole, *steps, last_part(whole))

    def _on_lots_clock(self, lots: PlantTable, tables: Sequence[PlantTable]) -> list[tuple[Signal, ClockOffset]]:
        """Return the signals with the offset of their clocks; a system that shows no events takes that of one recorded alike."""
        signals = [signal_of(table.view, table.times) for table in tables if table.times is not None]
        if self.before.features is not None:
            self.offsets.update({signal.view.name: self.before.offset_of(signal).document() for signal in signals})
            return [(signal, self.before.offset_of(signal)) for signal in signals]
        events = {} if lots.times is None or not lots.times.windows else lot_events(lots.view, lots.times)
        found = [offset_of_events(events, {n: (s.time, v) for n, v in s.tags.items()}) for s in signals]
        made = []
        for signal, offset in zip(signals, found, strict=True):
            own = offset
            if not offset.supported:
                alike = [
                    (s.view.name, o) for s, o in zip(signals, found, strict=True) if o.supported and _recorded_alike(s, signal)
                ]
                if alike:
                    name, other = alike[0]
                    reason = Bilingual(
                        f"'{name}'와(과) 같은 시각에 기록되어 같은 시계로 봤어요.",
                        f"Recorded at the same instants as '{name}': the same clock.",
                    )
                    own = replace(other, evidence=reason)
            self.offsets[signal.view.name] = own.document()
            if own.supported:
                self.sentences.append(
                    Bilingual(
                        f"'{signal.view.name}'의 시계는 로트 시각보다 {own.minutes:+.1f}분 차이가 나서 맞췄어요. {own.evidence.ko}",
                        f"The clock of '{signal.view.name}' differs from the lots' by {own.minutes:+.1f} min and was set right. "
                        f"{own.evidence.en}",
                    )
                )
            made.append((signal, own))
        return made

    def _booked_after(self, lots: PlantTable, joined: Joined) -> bool:
        """Whether the rows of a table were written after their lots were finished, most of the time."""
        times = joined.table.times
        if times is None or lots.times is None:
            return False
        written = times.start_column if times.result is None else str(times.result_column)
        at = taken_times(joined.table.view.table[written], joined.partner)
        known = ~(np.isnat(at) | np.isnat(lots.times.end))
        return bool(known.any()) and float(np.mean(at[known] > lots.times.end[known])) > 0.5

    def _columns_of(self, table: PlantTable, rows: IntArray, *, after: bool, keys: Collection[str] = ()) -> list[Series]:
        """Return a table's columns at some rows, with when each is known; the keys of the join are no columns of the lot."""
        excluded = _excluded(table, self.request) | {*keys}
        made = []
        index = pa.array(rows, mask=rows < 0)
        for card in table.view.columns:
            if card.name in excluded or card.name not in table.view.table.column_names:
                continue
            column = table.view.table[card.name]
            if is_instant(column.type):
                continue
            wanted = self.keep | ({self.target.column} if table is self.target.table else set())
            series = series_of(card, column.take(index), table.name, wanted)
            if series is not None:
                is_target = table is self.target.table and card.name == self.target.column
                made.append(series if is_target else replace(series, available=_known(series, card, after)))
        return made

    def _finish(
        self, lots: PlantTable, rows: IntArray, index: IntArray, columns: Sequence[Series], features: Sequence[MadeFeature],
        parts: Sequence[Phase], dropped: dict[str, int],
    ) -> Frame:  # fmt: skip
        series: dict[str, Series] = {}
        repeated: list[Json] = []
        target_table = self.target.table
        for made in columns:
            at = made.values[index]
            mine = made.name == self.target.column and made.origin == target_table.name
            anew = self.before.features is None
            twin = None if mine or not anew else next((s.name for s in series.values() if _same(s, made, at)), None)
            if twin is not None:
                repeated.append({"column": made.name, "table": made.origin, "same_as": twin})
                continue
            if not mine and anew and not _moves(at):
                dropped["constant"] += 1
                continue
            name = _free(made, series)
            series[name] = replace(made, name=name, values=at)
        facts: dict[str, Json] = {}
        for feature in features:
            name = _free(feature.series, series)
            series[name] = replace(feature.series, name=name, values=feature.series.values[index])
            facts[name] = feature.facts
        part, row = part_and_row(target_table, np.maximum(rows[index], 0))
        if lots is not target_table and not self.with_target:
            part, row = part_and_row(lots, index)
        end = None if lots.times is None else lots.times.end
        result_time = self._result_time(lots, rows)
        key = self._group_column(lots)
        names = {n: source for table in self.tables for n, source in source_names(table.view.columns).items() if n in series}
        join: dict[str, Json] = {
            "target": {"table": target_table.name, "column": self.target.column, **self.target.reason.fields("reason")},
            "lots": lots.name,
            "rows": len(index),
            "joins": self.documents,
            "offsets": self.offsets,
            "windows": [{"name": p.name, **p.label.fields("label")} for p in parts],
            "dropped": {**dropped},
            "repeated": repeated,
            "unused": self.unused,
            "sentences": [dict(sentence.fields("text")) for sentence in self.sentences],
        }
        return Frame(
            series=series,
            part=part,
            row=row,
            time=None if end is None else end[index],
            result_time=None if result_time is None else result_time[index],
            group=None if key is None else texts_of(lots.view.table[key])[index],
            sources=lots.sources if lots is not target_table and not self.with_target else target_table.sources,
            facts={
                "dataset": ", ".join(version for table in self.tables for version in table.versions),
                "target": self.target.column,
                "time": None if lots.times is None else _choice([lots.times.end_column], _TIME),
                "order": None,
                "group": None if key is None else _choice([key], _GROUP),
                "result_time": None,
                "excluded": [*self.request.exclude],
                "left_out": [],
                "source_names": {**names, **{n: n for n in series if n not in names}},
                "rows_are": "lots",
                "features": facts,
                "join": join,
            },
        )

    def _group_column(self, lots: PlantTable) -> str | None:
        """Return the column of the list of lots that names the lot: the one given, else the one the results were joined by."""
        names = {n: s for n, s in source_names(lots.view.columns).items() if n in lots.view.table.column_names}
        for asked in (*([self.request.lot] if self.request.lot else []), *self.request.group):
            with suppress(InputError):
                return find_name(asked, names, "lot")
        return _lot_key(lots, self.target.table)

    def _result_time(self, lots: PlantTable, rows: IntArray) -> TimeArray | None:
        """Return when each result became known, on the lots' clock."""
        times = self.target.table.times
        if times is None:
            return None
        table = self.target.table.view.table
        known = taken_times(table[times.result_column or times.end_column], rows)
        if lots is self.target.table or lots.times is None or not lots.times.windows:
            return known
        offset = offset_of_samples(lots.times.start, taken_times(table[times.start_column], rows))
        if not offset.supported:
            return known
        self.offsets[self.target.table.name] = offset.document()
        self.sentences.append(
            Bilingual(
                f"'{self.target.table.name}'의 시각을 {-offset.minutes:+.0f}분 옮겼어요. {offset.evidence.ko}",
                f"The times of '{self.target.table.name}' were moved by {-offset.minutes:+.0f} min. {offset.evidence.en}",
            )
        )
        return known - offset.shift


_TIME = Bilingual("로트가 끝난 시각이에요.", "The end of the lot.")
_GROUP = Bilingual("로트 번호예요.", "The lot number.")


def _choice(columns: Sequence[str], reason: Bilingual) -> Json:
    return {"columns": [*columns], "given": False, **reason.fields("reason")}


def _names_lots(table: PlantTable) -> bool:
    """Whether a table may be a signal that names the lot of each reading."""
    return table.times is not None and not table.times.windows and table.rows >= 100


def _is_log(table: PlantTable) -> bool:
    """Whether a table is a log that people write: times and texts, no numbers, and texts that hardly repeat or are free."""
    if table.times is None or table.times.windows:
        return False
    kinds = {card.type for card in table.view.columns if card.name in table.view.table.column_names}
    return "text" in kinds and not kinds & {"number", "integer", "boolean"}


def _recorded_alike(one: Signal, other: Signal) -> bool:
    """Whether two signals begin, end and step together: one clock wrote both."""
    if min(len(one.time), len(other.time)) < 2:
        return False
    step = max(np.median(np.diff(s.time).astype(np.int64)) for s in (one, other))
    ends = [abs(int((one.time[at] - other.time[at]).astype(np.int64))) for at in (0, -1)]
    shared = len(np.intersect1d(one.time[:5000], other.time[:5000]))
    inside = one.time[0] <= other.time[0] and other.time[-1] <= one.time[-1]
    return bool(max(ends) <= 2 * step or (inside and shared > 0) or shared >= 1000)


def _excluded(table: PlantTable, request: StudyRequest) -> set[str]:
    names = source_names(table.view.columns)
    found = set()
    for asked in request.exclude:
        try:
            found.add(find_name(asked, names, "exclude"))
        except InputError as error:
            if error.code != "unknown_column":
                raise
    return found


def _check_excluded(tables: Sequence[PlantTable], request: StudyRequest) -> None:
    """Refuse a name to exclude that no table has."""
    everything = {n: source for table in tables for n, source in source_names(table.view.columns).items()}
    for asked in request.exclude:
        if not any(_excluded(table, replace(request, exclude=(asked,))) for table in tables):
            find_name(asked, everything, "exclude")


def _known(series: Series, card: ColumnCard, after: bool) -> Availability:
    """Return when a column of a lot is known: results, consequences and money come after, the rest was there before."""
    said = says_after(card.name) or says_after(card.source_name) or holds_results(series)
    if after or said or card.kind is Kind.MONEY or card.role in {Role.RESULT, Role.TARGET_CANDIDATE}:
        return "after_result"
    return "before"


def _moves(values: FloatArray) -> bool:
    known = values[np.isfinite(values)]
    return len(known) > 0 and bool(np.any(known != known[0]))


def _same(one: Series, other: Series, values: FloatArray) -> bool:
    """Whether two columns tell the same: equal numbers, or equal texts behind the codes."""
    if one.categories != other.categories or len(one.values) != len(values):
        return False
    return bool(np.array_equal(one.values, values, equal_nan=True))


def _free(made: Series, taken: dict[str, Series]) -> str:
    name = made.name if made.name not in taken else f"{made.name} ({made.origin.split(':')[0]})"
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free


def _lot_key(lots: PlantTable, results: PlantTable) -> str | None:
    """Return the column of the list of lots that names the lot."""
    if lots is not results:
        found = link(lots, results)
        if found is not None:
            return found.key.left
    named = [c.name for c in lots.view.columns if c.role is Role.LOT and c.name in lots.view.table.column_names]
    return named[0] if named else None


def _log_flags(log: PlantTable, whole: Phase, *, always: bool) -> list[MadeFeature]:
    """Return how many entries people wrote while each lot was made: a flag, never the text."""
    if log.times is None or np.isnat(whole.start).all():
        return []
    at = np.sort(log.times.start[~np.isnat(log.times.start)])
    low, high = np.searchsorted(at, whole.start), np.searchsorted(at, whole.end)
    counts = np.where(np.isnat(whole.start), np.nan, (high - low).astype(np.float64))
    if not always and not _moves(counts):
        return []
    name = f"{log.name} [entries]"
    series = Series(name, counts, None, Role.ACTUAL, Kind.COUNT, None, "before", f"{log.name}: entries / lot")
    return [MadeFeature(series, {"column": log.name, "table": log.name, "window": "lot", "statistic": "entries"})]

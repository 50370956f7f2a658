"""Joining tables of different systems by lot, serial number or time; what cannot be decided is listed, never joined.

Three joins stand here. *By key*: a lot number, whatever its spelling, with time to tell two uses of one number apart, and the latest
of repeated results. *By time*: the reading that held at an instant. *By window*: statistics of signals between the start and
the end of each lot, or of each of its phases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from madang.connect import ROW
from madang.errors import InputError, Json
from madang.library._cards import PART, ColumnCard, ReadResult
from madang.library._clocks import ClockOffset, no_offset, offset_of_events
from madang.library._join_match import AMBIGUOUS, REASONS, Matched, Outcome, Side, match_rows
from madang.library._join_times import (
    Instants,
    Phase,
    RowTimes,
    TableView,
    instants_of,
    is_instant,
    phases,
    row_times,
)
from madang.library._kernels import Feature, as_of
from madang.library._keys import LEVELS, SURE, find_keys, text_keys
from madang.library._windows import window_features
from madang.plant import Bilingual, Role

By: TypeAlias = Literal["lot", "serial", "time"] | tuple[str, ...]

_WINDOW_FEATURES: tuple[Feature, ...] = ("mean", "min", "max", "std")
_LISTED = 1000
"""Ambiguous rows that a report lists; all are counted."""


@dataclass(frozen=True)
class AmbiguousRow:
    """A row that could be joined in more than one way, and therefore was not."""

    row: int
    """Source record number in the left table (1-based)."""
    candidates: tuple[int, ...]
    """Source record numbers in the right table, at most ten."""
    reason: Bilingual

    def document(self) -> dict[str, Json]:
        """Return the row for a report."""
        return {"row": self.row, "candidates": [*self.candidates], **self.reason.fields("reason")}


@dataclass(frozen=True)
class JoinResult:
    """What a join gave. Every row of the left table is joined, unmatched or ambiguous."""

    table: pa.Table
    """The joined rows in the order of the left table: its columns, then the right one's (a name that both have gets the right
    table's name behind it)."""
    rows_left: int
    rows_joined: int
    unmatched: tuple[int, ...]
    """Source record numbers of the left rows that nothing was found for."""
    ambiguous: tuple[AmbiguousRow, ...]
    keys: tuple[tuple[str, str], ...] = ()
    """Columns that were compared: (left, right)."""
    notes: tuple[Bilingual, ...] = ()
    """What was found and assumed: spellings, usual distance, corrections, offset of the clocks."""
    superseded: tuple[tuple[int, int], ...] = ()
    """Results that a later one replaced: (record number, record number of the one that holds) in the right table."""
    offset: ClockOffset | None = None
    partner: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """For each joined row, the position of its partner in the right table; empty for joins by window."""

    def document(self) -> dict[str, Json]:
        """Return the fields of a ``join/1`` document."""
        return {
            "rows_left": self.rows_left,
            "rows_joined": self.rows_joined,
            "rows_unmatched": len(self.unmatched),
            "rows_ambiguous": len(self.ambiguous),
            "ambiguous": [row.document() for row in self.ambiguous[:_LISTED]],
            "ambiguous_listed": min(len(self.ambiguous), _LISTED),
            "unmatched": [*self.unmatched[:_LISTED]],
            "keys": [{"left": left, "right": right} for left, right in self.keys],
            "superseded": len(self.superseded),
            "clock_offset": None if self.offset is None else self.offset.document(),
            "notes": [dict(note.fields("text")) for note in self.notes],
        }


def view_of(read: ReadResult) -> TableView:
    """Return what the library gave as a table to join."""
    return TableView(read.version.dataset, read.table, read.columns, read.facts)


class Reads(Protocol):
    """The one door of the library, as a join needs it."""

    def read(self, name: str, /, *, reader: str, purpose: str) -> ReadResult:
        """Return a dataset's rows, after the decision was made and recorded."""
        ...


def join_datasets(
    library: Reads,
    left: str,
    right: str,
    *,
    reader: str,
    purpose: str = "quality",
    by: str | By | None = None,
    tolerance: str | timedelta | None = None,
    delay: str | timedelta | None = None,
    windows: str | None = None,
    known_at: datetime | None = None,
) -> JoinResult:
    """Join two datasets of a library; every table of the join is read through its one door, with its own decision.

    Args:
        library: The library.
        left: Dataset (or ``dataset@version``) whose rows are kept.
        right: Dataset that is looked up.
        reader: Who reads.
        purpose: What for.
        by: See `join_tables`; names may also come as one text, ``lot,serial``.
        tolerance: See `join_tables`; ``10m`` and the like.
        delay: See `join_tables`; ``30m`` and the like.
        windows: Dataset with the start and end of each lot.
        known_at: See `join_tables`.

    Raises:
        InputError: A column, key or time is missing, or a span of time cannot be read.
    """
    names = _by_of(by)

    def view(name: str) -> TableView:
        return view_of(library.read(name, reader=reader, purpose=purpose))

    return join_tables(
        view(left), view(right), by=names, tolerance=None if tolerance is None else span_of(tolerance),
        delay=timedelta(0) if delay is None else span_of(delay), windows=None if windows is None else view(windows),
        known_at=known_at,
    )  # fmt: skip


def _by_of(by: str | By | None) -> By | None:
    """Return what a join goes by; names may come as one text with commas."""
    if by is None or isinstance(by, tuple):
        return by
    named: dict[str, By] = {"lot": "lot", "serial": "serial", "time": "time"}
    return named.get(by) or tuple(name.strip() for name in by.split(",") if name.strip())


_SPAN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|sec|m|min|h|d)\s*")
_SECONDS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def span_of(text: str | timedelta) -> timedelta:
    """Return a span of time written like ``10m``, ``30 s``, ``1.5h`` or ``2d``.

    Raises:
        InputError: It is not written so.
    """
    if isinstance(text, timedelta):
        return text
    found = _SPAN.fullmatch(text.casefold())
    if found is None:
        raise InputError(
            "bad_span",
            ko=f"'{text}'을(를) 시간 길이로 읽을 수 없어요. 30s, 10m, 1.5h, 2d 처럼 적어 주세요.",
            en=f"'{text}' is not a span of time; write 30s, 10m, 1.5h or 2d.",
            next_ko="시간 길이를 고쳐 다시 실행해 주세요.",
            next_en="Correct the span and run again.",
            where={"span": text},
        )
    return timedelta(seconds=float(found[1]) * _SECONDS[found[2]])


def join_tables(
    left: TableView,
    right: TableView,
    *,
    by: By | None = None,
    tolerance: timedelta | None = None,
    delay: timedelta = timedelta(0),
    windows: TableView | None = None,
    offset: ClockOffset | None = None,
    known_at: datetime | None = None,
) -> JoinResult:
    """Join two tables; every left row gets at most one partner.

    Args:
        left: Table whose rows are kept.
        right: Table that is looked up.
        by: ``lot`` or ``serial`` (columns of that role or name), ``time``, or names of key columns: those both tables have, or
            ``left name=right name``. None: the best key found, else time.
        tolerance: By time, how old the reading may be (None: twice the usual step of the right table). By key, how far beyond the
            usual distance in time a partner may lie (None: found from the data).
        delay: Transport delay: a left row at time t belongs to the right table's reading at ``t - delay``.
        windows: Lots with start and end; the right table is then a signal, summed up per lot (and per phase where the lots show
            inner times or a column of phases).
        offset: How far the right table's clock runs ahead; None: found for joins by window, zero for the others.
        known_at: Only what was known then: results that became known later are left out.

    Raises:
        InputError: A column, a key or a time that the join needs is missing.
    """
    if windows is not None:
        return _join_windows(left, right, windows, by, delay, offset)
    if known_at is not None:
        right = _known_at(right, known_at)
    if by == "time":
        return _join_time(left, right, tolerance, delay, offset)
    keys = _key_columns(left, right, by)
    if keys is None:
        return _join_time(left, right, tolerance, delay, offset)
    return _join_keys(left, right, keys, tolerance)


def match_tables(
    left: TableView, right: TableView, keys: Sequence[tuple[str, str]], *, tolerance: timedelta | None = None
) -> Matched:
    """Return the partner of every left row by key columns (left name, right name), without making a table."""
    mine = Side(text_keys([left.table[a] for a, _ in keys]), row_times(left), np.zeros(left.table.num_rows, dtype=np.int64))
    theirs = Side(text_keys([right.table[b] for _, b in keys]), row_times(right), _content(right.table))
    return match_rows(mine, theirs, tolerance=None if tolerance is None else _us(tolerance))


def notes_of(matched: Matched) -> tuple[Bilingual, ...]:
    """Return what the matching by key found, as sentences."""
    notes = []
    joined = matched.outcome == Outcome.JOINED
    for level in range(1, len(LEVELS)):
        count = int(np.count_nonzero(joined & (matched.level == level)))
        if count:
            what = LEVELS[level]
            notes.append(
                Bilingual(
                    f"{count}행은 번호의 적는 방식이 달라요: {what.ko}.", f"{count} rows spell the key differently: {what.en}."
                )
            )
    if matched.superseded:
        count = len(matched.superseded)
        notes.append(
            Bilingual(
                f"다시 나온 결과가 있어 먼저 나온 {count}건 대신 가장 늦은 결과를 썼어요.",
                f"{count} results were replaced by a later one of the same lot; the latest holds.",
            )
        )
    if matched.distance is not None:
        low, high = matched.distance.low / 3.6e9, matched.distance.high / 3.6e9
        notes.append(
            Bilingual(
                f"두 표의 시각 차이는 보통 {low:.1f}~{high:.1f}시간이에요({matched.distance.pairs}쌍).",
                f"The tables usually lie {low:.1f} to {high:.1f} h apart ({matched.distance.pairs} pairs).",
            )
        )
    return tuple(notes)


def record_numbers(table: pa.Table) -> NDArray[np.int64]:
    """Return the source record number of every row (1, 2, 3 ... for tables that carry none)."""
    if ROW in table.column_names:
        numbers: NDArray[np.int64] = table[ROW].to_numpy().astype(np.int64)
        return numbers
    return np.arange(1, table.num_rows + 1, dtype=np.int64)


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _content(table: pa.Table) -> NDArray[np.int64]:
    """Return a code of each row's content: equal codes are equal rows, times and record numbers left out."""
    names = [n for n in table.column_names if n not in (PART, ROW) and not is_instant(table.schema.field(n).type)]
    code = np.zeros(table.num_rows, dtype=np.int64)
    for name in names:
        column = table[name].combine_chunks()
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        values = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        _, code = np.unique(code * (len(encoded.dictionary) + 2) + values + 1, return_inverse=True)
    return code.astype(np.int64)


def _known_at(view: TableView, instant: datetime) -> TableView:
    times = row_times(view)
    if times is None or times.result is None:
        return view
    at = np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us")
    kept = ~(times.result > at)
    return TableView(view.name, view.table.filter(pa.array(kept)), view.columns, view.facts)


def _key_columns(left: TableView, right: TableView, by: By | None) -> tuple[tuple[str, str], ...] | None:
    """Return the pairs of key columns; None when there is no key and time must do."""
    if by is None or isinstance(by, str):
        if by == "lot" or by == "serial":
            pair = tuple(_column_of_role(view, by) for view in (left, right))
            if pair[0] is not None and pair[1] is not None:
                return ((pair[0], pair[1]),)
        found = find_keys(left.table, right.table, left.columns, right.columns)
        if found and found[0].score >= SURE:
            return ((found[0].left, found[0].right),)
        if by is None and row_times(left) is not None and row_times(right) is not None:
            return None
        raise InputError(
            "no_key",
            ko="두 표를 이을 번호 열을 찾지 못했어요.",
            en="No key column was found that both tables have.",
            next_ko="--by 에 두 표에 모두 있는 열 이름을 적거나 --by time 을 써 주세요.",
            next_en="Name a column that both tables have with --by, or use --by time.",
            where={"left": left.name, "right": right.name, "by": by},
        )
    pairs: list[tuple[str, str]] = []
    for name in by:
        mine, equals, theirs = name.partition("=")
        if equals:
            pairs.append((_must(left, mine), _must(right, theirs)))
        elif name in ("lot", "serial") and not (_named(left, name) and _named(right, name)):
            pairs += _key_columns(left, right, name) or ()  # type: ignore[arg-type]
        else:
            pairs.append((_must(left, name), _must(right, name)))
    return tuple(pairs)


def _named(view: TableView, asked: str) -> str | None:
    names = {n: n for n in view.table.column_names} | {c.source_name: c.name for c in view.columns}
    folded = {"".join(n.casefold().split()): column for n, column in names.items()}
    return names.get(asked) or folded.get("".join(asked.casefold().split()))


def _must(view: TableView, asked: str) -> str:
    found = _named(view, asked)
    if found is None:
        listed = ", ".join(n for n in view.table.column_names if n not in (PART, ROW))
        raise InputError(
            "unknown_column",
            ko=f"'{view.name}'에 '{asked}' 열이 없습니다. 있는 열: {listed}.",
            en=f"'{view.name}' has no column '{asked}'. Columns: {listed}.",
            next_ko="열 이름을 고쳐 다시 실행해 주세요.",
            next_en="Correct the name and run again.",
            where={"dataset": view.name, "column": asked},
        )
    return found


_SERIAL = ("serial", "시리얼", "s/n", "sn", "제조번호", "일련번호")


def _column_of_role(view: TableView, by: Literal["lot", "serial"]) -> str | None:
    """Return the only column that names lots (or serial numbers); None when there is none or more than one."""

    def fits(card: ColumnCard) -> bool:
        if by == "lot":
            return card.role is Role.LOT
        plain = f"{card.name} {card.source_name}".casefold()
        return card.role is Role.IDENTIFIER and any(word in plain for word in _SERIAL)

    found = [c.name for c in view.columns if c.name in view.table.column_names and fits(c)]
    return found[0] if len(found) == 1 else _named(view, by)


def _join_keys(left: TableView, right: TableView, keys: tuple[tuple[str, str], ...], tolerance: timedelta | None) -> JoinResult:
    matched = match_tables(left, right, keys, tolerance=tolerance)
    kept = np.flatnonzero(matched.outcome == Outcome.JOINED)
    partner = matched.partner[kept]
    numbers, theirs = record_numbers(left.table), record_numbers(right.table)
    ambiguous = tuple(
        AmbiguousRow(
            int(numbers[row]),
            tuple(int(theirs[c]) for c in matched.candidates.get(int(row), ())),
            REASONS[Outcome(int(matched.outcome[row]))],
        )
        for row in np.flatnonzero(np.isin(matched.outcome, [int(o) for o in AMBIGUOUS]))
    )
    lost = ~np.isin(matched.outcome, [int(Outcome.JOINED), *(int(o) for o in AMBIGUOUS)])
    dropped = {b for a, b in keys if a == b}
    table = _beside(left.table.take(pa.array(kept)), right.table.take(pa.array(partner)), right.name, dropped)
    return JoinResult(
        table, left.table.num_rows, len(kept), tuple(numbers[lost].tolist()), ambiguous, keys, notes_of(matched),
        tuple((int(theirs[a]), int(theirs[b])) for a, b in matched.superseded), None, partner,
    )  # fmt: skip


def _beside(left: pa.Table, right: pa.Table, name: str, dropped: set[str]) -> pa.Table:
    """Return two tables of equal length side by side; record and part numbers of the right one stay behind."""
    table = left
    for column in right.column_names:
        if column in (PART, ROW) or column in dropped:
            continue
        label = column if column not in table.column_names else f"{column} ({name})"
        table = table.append_column(_free(label, table), right[column])
    return table


def _free(label: str, table: pa.Table) -> str:
    number, free = 1, label
    while free in table.column_names:
        number += 1
        free = f"{label} {number}"
    return free


def _times_or_refuse(view: TableView) -> RowTimes:
    times = row_times(view)
    if times is None:
        raise InputError(
            "no_time",
            ko=f"'{view.name}'에 시각 열이 없어 시각으로 이을 수 없어요.",
            en=f"'{view.name}' has no column of times, so it cannot be joined by time.",
            next_ko="번호 열로 이으려면 --by lot 을 써 주세요.",
            next_en="Join by a key with --by lot instead.",
            where={"dataset": view.name},
        )
    return times


def _join_time(
    left: TableView, right: TableView, tolerance: timedelta | None, delay: timedelta, offset: ClockOffset | None
) -> JoinResult:
    mine, theirs = _times_or_refuse(left), _times_or_refuse(right)
    shift = np.timedelta64(_us(delay), "us") - (offset.shift if offset is not None else np.timedelta64(0, "us"))
    at = mine.start - shift
    numbers, right_numbers = record_numbers(left.table), record_numbers(right.table)
    if theirs.windows:
        found, rivals = _inside(at, theirs)
    else:
        found, rivals = _held(at, theirs.start, right, tolerance)
    ambiguous = tuple(
        AmbiguousRow(int(numbers[row]), tuple(int(right_numbers[c]) for c in rivals[row]), REASONS[Outcome.TIMES])
        for row in sorted(rivals)
    )
    kept = np.flatnonzero(found >= 0)
    lost = found < 0
    lost[list(rivals)] = False
    table = _beside(left.table.take(pa.array(kept)), right.table.take(pa.array(found[kept])), right.name, set())
    return JoinResult(
        table, left.table.num_rows, len(kept), tuple(numbers[lost].tolist()), ambiguous,
        ((mine.start_column, theirs.start_column),), (), (), offset, found[kept],
    )  # fmt: skip


def _held(
    at: Instants, time: Instants, right: TableView, tolerance: timedelta | None
) -> tuple[NDArray[np.int64], dict[int, tuple[int, ...]]]:
    """Return the reading that held at each instant, and the instants at which two different readings claim to."""
    order = np.argsort(time, kind="stable")
    order = order[: len(time) - int(np.count_nonzero(np.isnat(time)))]
    times = time[order]
    if tolerance is not None:
        reach = _us(tolerance)
    else:
        steps = np.diff(np.unique(times)).astype(np.int64)
        reach = 2 * int(np.median(steps)) if len(steps) else 0
    asked = np.flatnonzero(~np.isnat(at))
    found = np.full(len(at), -1, dtype=np.int64)
    hit = as_of(times, at[asked], tolerance=reach)
    content = _content(right.table)
    rivals: dict[int, tuple[int, ...]] = {}
    first = np.searchsorted(times, times[np.maximum(hit, 0)], side="left") if len(times) else hit
    for row, low, high in zip(asked, first, hit, strict=True):
        if high < 0:
            continue
        same = order[low : high + 1]
        if len(same) > 1 and len(np.unique(content[same])) > 1:
            rivals[int(row)] = tuple(same[:10].tolist())
        else:
            found[row] = order[high]
    return found, rivals


def _inside(at: Instants, times: RowTimes) -> tuple[NDArray[np.int64], dict[int, tuple[int, ...]]]:
    """Return the window that holds each instant, and the instants that lie in several windows."""
    usable = np.flatnonzero(~(np.isnat(times.start) | np.isnat(times.end)))
    order = usable[np.argsort(times.start[usable], kind="stable")]
    start, end = times.start[order], times.end[order]
    latest_end = np.maximum.accumulate(end) if len(end) else end
    found = np.full(len(at), -1, dtype=np.int64)
    rivals: dict[int, tuple[int, ...]] = {}
    for row in np.flatnonzero(~np.isnat(at)):
        high = int(np.searchsorted(start, at[row], side="right"))
        low = int(np.searchsorted(latest_end[:high], at[row], side="right"))
        holding = order[low:high][end[low:high] > at[row]]
        if len(holding) == 1:
            found[row] = holding[0]
        elif len(holding) > 1:
            rivals[int(row)] = tuple(holding[:10].tolist())
    return found, rivals


def lot_phases(view: TableView, times: RowTimes) -> tuple[Phase, ...]:
    """Return the whole window of each lot and, where its inner times show them, its phases."""
    whole = Phase("lot", Bilingual("로트 전체", "whole lot"), times.start, times.end)
    return (whole, *phases(view, times))


def _join_windows(
    left: TableView, right: TableView, windows: TableView, by: By | None, delay: timedelta, offset: ClockOffset | None
) -> JoinResult:
    """Sum up a signal per lot of `windows` and put it beside the left rows that belong to the lot."""
    times = _times_or_refuse(windows)
    if not times.windows:
        raise InputError(
            "no_windows",
            ko=f"'{windows.name}'에 로트의 시작과 끝 시각이 없어요.",
            en=f"'{windows.name}' does not show the start and the end of lots.",
            next_ko="시작·종료 시각 열이 있는 표를 --windows 에 적어 주세요.",
            next_en="Give a table with start and end times with --windows.",
            where={"dataset": windows.name},
        )
    same = left.table is windows.table or left.name == windows.name
    if same:
        joined = JoinResult(
            left.table, left.table.num_rows, left.table.num_rows, (), (), partner=np.arange(left.table.num_rows)
        )
    else:
        keyed = _key_columns(left, windows, None if by == "time" else by)
        if keyed is None:
            joined = _join_time(left, windows, None, timedelta(0), None)
        else:
            joined = _join_keys(left, windows, keyed, None)
    features, found = window_table(windows, times, right, delay=delay, offset=offset)
    table = joined.table
    for name in features.column_names:
        label = _free(name, table)
        table = table.append_column(label, features[name].take(pa.array(joined.partner)))
    return JoinResult(
        table, joined.rows_left, joined.rows_joined, joined.unmatched, joined.ambiguous, joined.keys,
        (*joined.notes, found.evidence), joined.superseded, found, joined.partner,
    )  # fmt: skip


def window_table(
    windows: TableView,
    times: RowTimes,
    signal: TableView,
    *,
    delay: timedelta = timedelta(0),
    offset: ClockOffset | None = None,
    features: Sequence[Feature] = _WINDOW_FEATURES,
) -> tuple[pa.Table, ClockOffset]:
    """Return one row per window with the statistics of every number of a signal, named ``tag phase feature``.

    Args:
        windows: The lots.
        times: Their start and end.
        signal: Table with a time and readings.
        delay: Transport delay: the window of a lot is looked up that much earlier in the signal.
        offset: Offset of the signal's clock; None: found from the starts and ends of the lots.
        features: Which statistics.
    """
    at = _times_or_refuse(signal).start
    order = np.argsort(at, kind="stable")
    order = order[: len(at) - int(np.count_nonzero(np.isnat(at)))]
    readings = signal_numbers(signal, order)
    if offset is None:
        offset = offset_of_events(lot_events(windows, times), {n: (at[order], v) for n, v in readings.items()})
    shift = offset.shift - np.timedelta64(_us(delay), "us")
    made: dict[str, NDArray[np.float64]] = {}
    parts = lot_phases(windows, times)
    for tag, values in readings.items():
        for part in parts:
            start, end = _empty_where_unknown(part.start + shift, part.end + shift)
            found = window_features(at[order], values, start, end, features)
            middle = "" if part.name == "lot" else f" {part.name}"
            made.update({f"{tag}{middle} {feature}": found[feature] for feature in features})
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in made.items()}), offset


def signal_numbers(signal: TableView, order: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return the numbers of a signal by tag, in the order given, NaN where absent; identifiers are not readings."""
    skip = {PART, ROW} | {c.name for c in signal.columns if c.role in {Role.IDENTIFIER, Role.LOT}}
    in_order = bool(np.all(order == np.arange(signal.table.num_rows))) if len(order) == signal.table.num_rows else False
    made: dict[str, NDArray[np.float64]] = {}
    for tag in signal.table.schema:
        if tag.name in skip or not (
            pa.types.is_floating(tag.type) or pa.types.is_integer(tag.type) or pa.types.is_boolean(tag.type)
        ):
            continue
        values: NDArray[np.float64] = signal.table[tag.name].cast(pa.float64(), safe=False).to_numpy()
        made[tag.name] = values if in_order else values[order]
    return made


def lot_events(view: TableView, times: RowTimes) -> Mapping[str, Instants]:
    """Return the instants of lots that a control system may have seen too: start, end and the borders between."""
    borders = dict.fromkeys((times.start_column, times.end_column, *times.inner))
    return {name: instants_of(view.table[name]) for name in borders}


def _empty_where_unknown(start: Instants, end: Instants) -> tuple[Instants, Instants]:
    unknown = np.isnat(start) | np.isnat(end)
    never = np.datetime64(0, "us")
    return np.where(unknown, never, start), np.where(unknown, never, end)


def no_clock_search() -> ClockOffset:
    """Return the offset to hand in when clocks are to be taken as they are (how a found offset is undone)."""
    return no_offset(Bilingual("시계 차이를 보정하지 않도록 정했어요.", "Clocks are taken as they are, as asked."))

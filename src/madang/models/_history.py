"""Which past a prediction may use: clocks, horizons, late results, and looking back without ever looking ahead.

A `History` holds the rows whose readings can be looked back at, a `Query` the rows to predict. Every look back is an as-of search in
the query's own run at or before the instant of issue, and never beyond the query's place in the source. So a prediction
cannot depend on a row that came after it, which is what makes cutting a file harmless.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from madang.models._frame import BoolArray, FloatArray, Frame, IntArray, TimeArray
from madang.models._span import NOTHING, Span


@dataclass(frozen=True)
class Timing:
    """When readings and results are known, fixed on the training rows."""

    timed: bool
    """Whether the clock runs in seconds (else it counts rows)."""
    step: float
    """Usual distance of two rows [s], or 1 [row]."""
    horizon: Span = NOTHING
    """How long before its instant a prediction is issued."""
    delay: Span | None = None
    """How late a result returns; None = results do not return while predicting."""
    by_group: bool = False
    """Whether each group is a history of its own."""
    origin: int = 0
    """Instant that the clock counts from [us since 1970], so that readings stay exact."""

    @property
    def returns(self) -> bool:
        """Whether past targets may be used at all."""
        return self.delay is not None

    def length(self, span: Span | None) -> float:
        """Return a span in clock units, rows counted at the usual step."""
        if span is None:
            return 0.0
        if span.rows is not None:
            return span.rows * self.step
        return float(span.seconds or 0.0) if self.timed else float(np.ceil((span.seconds or 0.0) / self.step))


@dataclass(frozen=True)
class History:
    """Rows that can be looked back at, sorted by run and clock."""

    values: Mapping[str, FloatArray]
    target: FloatArray
    run: IntArray
    clock: FloatArray
    known_at: FloatArray
    """Clock at which the target of the row became known; infinity = not yet."""
    starts: IntArray = field(init=False)
    ends: IntArray = field(init=False)
    runs: IntArray = field(init=False)

    def __post_init__(self) -> None:
        runs, starts = np.unique(self.run, return_index=True)
        order = np.argsort(starts, kind="stable")
        ends = np.append(starts[order][1:], len(self.run)).astype(np.int64)
        object.__setattr__(self, "runs", runs[order].astype(np.int64))
        object.__setattr__(self, "starts", starts[order].astype(np.int64))
        object.__setattr__(self, "ends", ends)

    def __len__(self) -> int:
        return len(self.run)


@dataclass(frozen=True)
class Query:
    """Rows to predict."""

    values: Mapping[str, FloatArray]
    """What the record itself says, for the columns that are known when the prediction is issued."""
    run: IntArray
    clock: FloatArray
    issue: FloatArray
    """Newest clock whose readings may be used."""
    limit: IntArray
    """Last index of the history that lies before the record in the source (itself included); -1 = none."""
    wall: TimeArray | None = None
    """Instant of each row (UTC), for the calendar."""

    def __len__(self) -> int:
        return len(self.run)


def as_of(history: History, query: Query, instant: FloatArray, clock: FloatArray | None = None) -> IntArray:
    """Return, for each query, the last history index of its run whose clock is at or before an instant; -1 when there is none.

    Args:
        history: Rows to search.
        query: Rows that ask; nothing after their `limit` is found.
        instant: Clock asked for, one for each query.
        clock: Another clock than the rows' own (it must rise within each run).
    """
    clock = history.clock if clock is None else clock
    found = np.full(len(query), -1, dtype=np.int64)
    if not len(history):
        return found
    if len(history.runs) == 1 and not np.any(query.run != history.runs[0]):
        found = (np.searchsorted(clock, instant, side="right") - 1).astype(np.int64)
        return np.where(np.isnan(instant), -1, np.minimum(found, query.limit))
    places: dict[int, tuple[int, int]] = {
        int(r): (int(a), int(b)) for r, a, b in zip(history.runs, history.starts, history.ends, strict=True)
    }
    order = np.argsort(query.run, kind="stable")
    runs, first = np.unique(query.run[order], return_index=True)
    for position, run in enumerate(runs):
        chosen = order[first[position] : (first[position + 1] if position + 1 < len(first) else len(order))]
        if int(run) not in places:
            continue
        start, end = places[int(run)]
        inside = np.searchsorted(clock[start:end], instant[chosen], side="right") - 1
        found[chosen] = np.where(inside >= 0, inside + start, -1)
    return np.where(np.isnan(instant), -1, np.minimum(found, query.limit))


def results_known(history: History, query: Query) -> tuple[IntArray, IntArray, IntArray]:
    """Say which results each query may know.

    Returns:
        The history rows in the order in which their results became known (by run), and for each query the place after the last
        known one and the place of the first one of its run.
    """
    usable = np.flatnonzero(np.isfinite(history.known_at) & np.isfinite(history.target))
    run_place = np.searchsorted(history.starts, usable, side="right")
    order = usable[np.lexsort((usable, history.known_at[usable], run_place))]
    stream = History(
        values={},
        target=history.target[order],
        run=history.run[order],
        clock=history.known_at[order],
        known_at=history.known_at[order],
    )
    everything = Query(
        values={},
        run=query.run,
        clock=query.clock,
        issue=query.issue,
        limit=np.full(len(query), len(order) - 1, dtype=np.int64),
    )
    last = as_of(stream, everything, query.issue)
    first_of = {int(r): int(a) for r, a in zip(stream.runs, stream.starts, strict=True)}
    if len(first_of) == 1 and len(history.runs) == 1:
        first = np.full(len(query), next(iter(first_of.values())), dtype=np.int64)
    else:
        first = np.array([first_of.get(int(r), 0) for r in query.run], dtype=np.int64)
    return order, np.where(last >= 0, last + 1, first), first


def timing_of(frame: Frame, *, horizon: Span, delay: Span | None, by_group: bool) -> Timing:
    """Fix the clock of a study on its rows.

    Args:
        frame: Training rows in the order of the study.
        horizon: How long before its instant a prediction is issued.
        delay: How late results return; None when they do not.
        by_group: Whether each group is a history of its own.
    """
    if frame.time is None or np.isnat(frame.time).all():
        return Timing(timed=False, step=1.0, horizon=horizon, delay=delay, by_group=by_group)
    known = ~np.isnat(frame.time)
    instants = frame.time[known].astype("datetime64[us]").astype(np.int64)
    origin = int(instants.min())
    run = _runs(frame, by_group)[known]
    gaps = np.diff(instants) / 1e6
    gaps = gaps[(np.diff(run) == 0) & (gaps > 0)]
    step = float(np.median(gaps)) if len(gaps) else 1.0
    return Timing(timed=True, step=step, horizon=horizon, delay=delay, by_group=by_group, origin=origin)


def _runs(frame: Frame, by_group: bool) -> IntArray:
    if by_group and frame.group is not None:
        names, first, codes = np.unique(frame.group, return_index=True, return_inverse=True)
        rank = np.empty(len(names), dtype=np.int64)
        rank[np.argsort(first, kind="stable")] = np.arange(len(names))
        return rank[codes].astype(np.int64)
    if frame.time is None:
        return frame.part.astype(np.int64)
    return np.zeros(len(frame), dtype=np.int64)


def look(frame: Frame, target: str, timing: Timing, *, past: Frame | None = None) -> tuple[History, Query, IntArray]:
    """Turn rows in source order into a history and the queries on it.

    A row whose instant lies before an earlier row's instant (or is unknown) is predicted, but never becomes history: rows before it were
    answered without it.

    Args:
        frame: Rows to predict, in the order of their source.
        target: Name of the target; the frame need not have it.
        timing: Clock of the study.
        past: Rows before the frame, used as history only.

    Returns:
        The history, the queries (one for each row of the frame, same order), and the history index of each row of the frame (-1 = not part
        of the history).
    """
    whole = frame if past is None or not len(past) else _after(past, frame)
    before = len(whole) - len(frame)
    run = _runs(whole, timing.by_group)
    clock = _clock(whole, run, timing)
    joins = _in_order(run, clock)
    clock = _told_apart(run, clock, joins)
    members = np.flatnonzero(joins)
    order = members[np.argsort(run[members], kind="stable")]
    place = np.full(len(whole), -1, dtype=np.int64)
    place[order] = np.arange(len(order))
    values = {s.name: s.values[order] for s in whole if s.name != target}
    answer = whole[target].values if target in whole.series else np.full(len(whole), np.nan)
    known_at, issue = _instants(whole, run, clock, joins, timing)
    history = History(
        values=values,
        target=answer[order],
        run=run[order],
        clock=clock[order],
        known_at=np.where(np.isfinite(known_at), known_at, np.inf)[order],
    )
    limit = _limits(run, joins, place)
    query = Query(
        values={s.name: s.values[before:] for s in whole if s.name != target},
        run=run[before:],
        clock=clock[before:],
        issue=issue[before:],
        limit=limit[before:],
        wall=None if whole.time is None else whole.time[before:],
    )
    return history, query, place[before:]


def _after(past: Frame, frame: Frame) -> Frame:
    """Put rows of the past before the rows of a frame; columns that only one of them has are dropped from the past or left empty."""
    from dataclasses import replace

    series = {}
    for s in frame:
        old = past.series[s.name].values if s.name in past.series else np.full(len(past), np.nan)
        series[s.name] = replace(s, values=np.concatenate([old, s.values]))
    for s in past:
        if s.name not in series:
            series[s.name] = replace(s, values=np.concatenate([s.values, np.full(len(frame), np.nan)]))

    def both(a: TimeArray | None, b: TimeArray | None) -> TimeArray | None:
        if a is None or b is None:
            return None
        return np.concatenate([a, b])

    group = None
    if frame.group is not None:
        old_group = past.group if past.group is not None else np.full(len(past), "", dtype=frame.group.dtype)
        group = np.concatenate([old_group.astype(str), frame.group.astype(str)])
    return replace(
        frame,
        series=series,
        part=np.concatenate([np.full(len(past), -1, dtype=np.int64), frame.part]),
        row=np.concatenate([past.row, frame.row]),
        time=both(past.time, frame.time),
        result_time=both(past.result_time, frame.result_time),
        group=group,
    )


def _clock(frame: Frame, run: IntArray, timing: Timing) -> FloatArray:
    if timing.timed and frame.time is not None:
        instants = frame.time.astype("datetime64[us]")
        seconds = (instants.astype(np.int64) - timing.origin) / 1e6
        return np.where(np.isnat(instants), np.nan, seconds)
    return _count(run).astype(np.float64)


def _count(run: IntArray) -> IntArray:
    """Number the rows of each run from 0, in their order."""
    order = np.argsort(run, kind="stable")
    sorted_run = run[order]
    new = np.concatenate([[True], sorted_run[1:] != sorted_run[:-1]]) if len(run) else np.zeros(0, dtype=bool)
    first = np.maximum.accumulate(np.where(new, np.arange(len(run)), 0)) if len(run) else np.zeros(0, dtype=np.int64)
    counted = np.empty(len(run), dtype=np.int64)
    counted[order] = np.arange(len(run)) - first
    return counted


def _in_order(run: IntArray, clock: FloatArray) -> BoolArray:
    """Say which rows do not go back behind an earlier row of their run."""
    order = np.argsort(run, kind="stable")
    keep = np.zeros(len(run), dtype=bool)
    sorted_run = run[order]
    bounds = (
        np.flatnonzero(np.concatenate([[True], sorted_run[1:] != sorted_run[:-1], [True]]))
        if len(run)
        else np.array([], dtype=int)
    )
    for start, end in itertools.pairwise(bounds):
        rows = order[start:end]
        reading = np.where(np.isnan(clock[rows]), -np.inf, clock[rows])
        newest = np.concatenate([[-np.inf], np.maximum.accumulate(reading)[:-1]])
        keep[rows] = (reading >= newest) & np.isfinite(reading)
    return keep


def _limits(run: IntArray, joins: BoolArray, place: IntArray) -> IntArray:
    """For each row, the history index of the newest history row of its run at or before it in the source."""
    order = np.argsort(run, kind="stable")
    sorted_run = run[order]
    reached = np.where(joins[order], place[order], -1)
    limit = np.full(len(run), -1, dtype=np.int64)
    bounds = (
        np.flatnonzero(np.concatenate([[True], sorted_run[1:] != sorted_run[:-1], [True]]))
        if len(run)
        else np.array([], dtype=int)
    )
    for start, end in itertools.pairwise(bounds):
        limit[order[start:end]] = np.maximum.accumulate(reached[start:end])
    return limit


def _instants(
    frame: Frame, run: IntArray, clock: FloatArray, joins: BoolArray, timing: Timing
) -> tuple[FloatArray, FloatArray]:
    """Return when each row's result becomes known and when its prediction is issued, on the clock.

    A result is never known at or before the issue of its own row: with a horizon the issue lies before the row, without one the
    result is known just after it.
    """
    issue = clock
    if timing.horizon.rows or timing.horizon.seconds:
        issue = np.minimum(_moved(run, clock, joins, timing, timing.horizon, -1), np.nextafter(clock, -np.inf))
    if not timing.returns:
        return np.full(len(frame), np.inf), issue
    known = _moved(run, clock, joins, timing, timing.delay or NOTHING, +1)
    if frame.result_time is not None and timing.timed:
        instants = frame.result_time.astype("datetime64[us]")
        stated = (instants.astype(np.int64) - timing.origin) / 1e6
        known = np.where(np.isnat(instants), known, stated)
    earliest = clock if timing.horizon.rows or timing.horizon.seconds else np.nextafter(clock, np.inf)
    return np.maximum(known, earliest), issue


def _moved(run: IntArray, clock: FloatArray, joins: BoolArray, timing: Timing, span: Span, sign: int) -> FloatArray:
    """Move the clock by a span: by seconds, or by whole rows of the same run (infinite where there is no such row)."""
    if not span.rows and not span.seconds:
        return clock
    if span.rows is None or not timing.timed:
        return np.asarray(clock + sign * timing.length(span))
    moved = np.full(len(clock), sign * np.inf)
    order = np.argsort(run, kind="stable")
    if len(order) <= span.rows:
        return moved
    earlier, later = order[: -span.rows], order[span.rows :]
    same = run[later] == run[earlier]
    if sign > 0:
        # A row that came late cannot say when it came: the result counts as known from the next row that is in order.
        moved[earlier[same]] = _next_in_order(run, clock, joins)[later[same]]
    else:
        moved[later[same]] = clock[earlier[same]]
    return moved


def _next_in_order(run: IntArray, clock: FloatArray, joins: BoolArray) -> FloatArray:
    """For each row, the clock of the first row of its run, from itself on in the source, that is in order; infinite = none yet."""
    following = np.full(len(clock), np.inf)
    for chosen in _by_run(run):
        reading = np.where(joins[chosen], clock[chosen], np.inf)
        following[chosen] = np.minimum.accumulate(reading[::-1])[::-1]
    return following


def _told_apart(run: IntArray, clock: FloatArray, joins: BoolArray) -> FloatArray:
    """Give rows of the same instant clocks that differ in the last bits, in the order of their source.

    So that "at or before" never takes a row that came after in the source.
    """
    apart = clock.copy()
    for chosen in _by_run(run):
        rows = chosen[joins[chosen]]
        same = np.concatenate([[False], clock[rows][1:] == clock[rows][:-1]]) if len(rows) else np.zeros(0, dtype=bool)
        if not same.any():
            continue
        place = np.arange(len(rows))
        first = np.maximum.accumulate(np.where(same, 0, place))
        apart[rows] = clock[rows] + (place - first) * np.spacing(np.abs(clock[rows]) + 1.0)
    return apart


def _by_run(run: IntArray) -> list[IntArray]:
    """The rows of each run, in the order of their source."""
    order = np.argsort(run, kind="stable").astype(np.int64)
    return np.split(order, np.flatnonzero(np.diff(run[order])) + 1) if len(run) else []

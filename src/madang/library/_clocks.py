"""Clocks of two systems that do not agree: how far one runs ahead, found from what both of them saw.

An offset is only believed where many events of one system meet events of the other at one distance and at no other. What cannot be
told apart from a clock (a delay between the two recordings that never changes) is part of the offset; the evidence says which
events were compared. Without support the offset is zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from madang.errors import Json
from madang.library._join_times import Instants
from madang.plant import Bilingual

FloatArray = NDArray[np.float64]

_MINUTE = 60_000_000
_REACH = 13 * 60
"""Offsets looked for, in minutes to either side: a wrong zone (9 h) and some more."""
_ENOUGH = 15
"""Events that an offset is found from, at least."""
_NEAR = 3.0
"""Two offsets nearer than this are one [min]."""


@dataclass(frozen=True)
class ClockOffset:
    """How far the clock of a system runs ahead of a reference clock."""

    minutes: float
    """Subtract it from the system's times to have them on the reference clock; 0 when not supported."""
    low: float
    """Lower end of the interval over parts of the time [min]."""
    high: float
    supported: bool
    events: int
    """Events that agree."""
    evidence: Bilingual

    @property
    def shift(self) -> np.timedelta64:
        """What to subtract from the system's times."""
        return np.timedelta64(round(self.minutes * _MINUTE), "us")

    def document(self) -> dict[str, Json]:
        """Return the offset for a report."""
        return {
            "minutes": round(self.minutes, 2), "low": round(self.low, 2), "high": round(self.high, 2),
            "supported": self.supported, "events": self.events, **self.evidence.fields("evidence"),
        }  # fmt: skip


def no_offset(evidence: Bilingual) -> ClockOffset:
    """Return an offset of zero for want of support."""
    return ClockOffset(0.0, 0.0, 0.0, False, 0, evidence)


_NOTHING = Bilingual(
    "두 시스템이 함께 본 사건이 부족해 시계 차이를 0으로 봤어요.",
    "Too few events seen by both systems; the clocks are taken to agree.",
)


def offset_of_events(events: Mapping[str, Instants], signals: Mapping[str, tuple[Instants, FloatArray]]) -> ClockOffset:
    """Find the offset of a control system's clock against the clock that recorded lots.

    Starts and ends of lots are compared with the edges of switching signals, steps of set points and counts of counters.

    Args:
        events: Instants by the name of their column (lot start, lot end ...), on the reference clock.
        signals: Sorted times and readings by tag, on the clock in question.

    Returns:
        Offset of the signals' clock, with the span of the offsets of four parts of the time as interval.
    """
    best: tuple[tuple[float, ...], ClockOffset] | None = None
    trains = {name: times for name, instants in events.items() if len(times := _distinct(instants)) >= _ENOUGH}
    for tag, (time, value) in signals.items() if trains else ():
        for rank, (edge, edges, step) in enumerate(_edges(time, value)):
            for event_name, times in trains.items():
                found = _meeting(times, edges) if 0.3 * len(times) <= len(edges) <= 12 * len(times) else None
                if found is None:
                    continue
                share, minutes, low, high, agreeing = found
                evidence = Bilingual(
                    f"'{event_name}' {len(times)}건 중 {agreeing}건이 '{tag}' 신호의 {edge.ko}과 {minutes:+.1f}분 차이로 만나요.",
                    f"{agreeing} of {len(times)} instants of '{event_name}' meet {edge.en} of '{tag}' at {minutes:+.1f} min.",
                )
                order = (-round(share, 1), rank, high - low, abs(minutes))
                if best is None or order < best[0]:
                    # nothing is known finer than the step of the recording
                    best = (order, ClockOffset(minutes, low - step, high + step, True, agreeing, evidence))
    return no_offset(_NOTHING) if best is None else best[1]


def offset_of_signals(
    reference: tuple[Instants, FloatArray],
    other: tuple[Instants, FloatArray],
    *,
    step: int = _MINUTE,
    reach_minutes: int = _REACH,
) -> ClockOffset:
    """Find the offset of one signal's clock against another's by the peak of the correlation of their changes.

    Args:
        reference: Sorted times and readings on the reference clock.
        other: The same for the clock in question, of a quantity that moves with the reference.
        step: Grid on which both are compared [us].
        reach_minutes: Largest offset looked for, to either side [min].

    Returns:
        The offset, or zero when no distance stands out: the peak must exceed six times the usual size of the correlation, in each
        half of the time at the same place.
    """
    a, b = (_on_grid(time, value, reference, other, step) for time, value in (reference, other))
    if a is None or b is None or len(a) < 200:
        return no_offset(_NOTHING)
    halves = [slice(0, len(a) // 2), slice(len(a) // 2, len(a)), slice(0, len(a))]
    reach = min(reach_minutes * _MINUTE // step, len(a) // 4)
    peaks = [_peak(a[part], b[part], int(reach)) for part in halves]
    lags = [lag for lag, _ in peaks]
    if min(z for _, z in peaks) < 6.0 or max(lags) - min(lags) > 2:
        return no_offset(_NOTHING)
    minutes, half = lags[2] * step / _MINUTE, 0.5 * step / _MINUTE
    low, high = (bound * step / _MINUTE for bound in (min(lags), max(lags)))
    evidence = Bilingual(
        f"두 신호의 변화가 {minutes:+.1f}분 차이에서 가장 잘 맞아요.",
        f"The changes of the two signals agree best at {minutes:+.1f} min.",
    )
    return ClockOffset(minutes, low - half, high + half, True, len(a), evidence)


def offset_of_samples(started: Instants, sampled: Instants) -> ClockOffset:
    """Find a laboratory clock that is whole hours behind: samples that were taken before their lot had begun.

    Only an impossibility is evidence; a sample that comes late may simply have come late.

    Args:
        started: Start of the lot of each sample, on the reference clock.
        sampled: Time of each sample, on the clock in question.
    """
    known = ~(np.isnat(started) | np.isnat(sampled))
    lags = (sampled[known] - started[known]).astype("timedelta64[us]").astype(np.int64) / _MINUTE
    if len(lags) < _ENOUGH or np.mean(lags < 0) < 0.5:
        return no_offset(_NOTHING)
    for hours in (9, 8, 1):
        minutes = -60.0 * hours
        if np.mean(lags - minutes >= 0) >= 0.99 and np.quantile(lags, 0.02) - minutes < 24 * 60:
            evidence = Bilingual(
                f"시료의 {np.mean(lags < 0):.0%}가 로트가 시작하기 전 시각이에요. 시간대를 {hours}시간 잘못 적은 것으로 봤어요.",
                f"{np.mean(lags < 0):.0%} of the samples lie before their lot began; taken as a zone wrong by {hours} h.",
            )
            return ClockOffset(minutes, minutes, minutes, True, len(lags), evidence)
    return no_offset(_NOTHING)


def _distinct(instants: Instants) -> NDArray[np.int64]:
    """Return sorted instants [us]; those within two minutes of each other are one event."""
    times = np.unique(instants[~np.isnat(instants)].astype("datetime64[us]").astype(np.int64))
    if len(times) == 0:
        return times
    return times[np.concatenate(([True], np.diff(times) > 2 * _MINUTE))]


_RISE = Bilingual("켜짐", "the rise")
_FALL = Bilingual("꺼짐", "the fall")
_COUNT = Bilingual("증가", "a count")
_STEP = Bilingual("급변", "a step")


def _edges(time: Instants, value: FloatArray) -> Iterator[tuple[Bilingual, NDArray[np.int64], float]]:
    """Yield trains of edges of a signal, the plainest kind first, and the step of its recording [min]."""
    absent = np.isnan(value)
    present = ~absent if absent.any() else slice(None)
    at, reading = time[present].astype("datetime64[us]").view(np.int64), value[present]
    if len(at) < 2 * _ENOUGH:
        return
    change = np.diff(reading)
    moved = int(np.count_nonzero(change))
    usual_step = int(np.median(np.diff(at[:20_000])))
    if moved == 0:
        return
    if moved < 0.3 * len(change):
        trains = [(_RISE if _switches(reading) else _COUNT, change > 0), (_FALL, change < 0)]
    else:
        noise = float(np.median(np.abs(change[:: max(1, len(change) // 50_000)]))) * 1.4826
        if noise == 0:
            return
        trains = [(_STEP, np.abs(change) > 10.0 * noise)]
    for kind, mask in trains:
        index = np.flatnonzero(mask)
        if len(index) >= _ENOUGH:
            # the change happened between two readings; after a long gap, nobody knows when
            index = index[at[index + 1] - at[index] <= 3 * max(usual_step, 1)]
            yield kind, (at[index] + at[index + 1]) // 2, usual_step / _MINUTE


def _switches(reading: FloatArray) -> bool:
    return len(np.unique(reading[:: max(1, len(reading) // 20_000)])) <= 4


def _meeting(events: NDArray[np.int64], edges: NDArray[np.int64]) -> tuple[float, float, float, float, int] | None:
    """Return (share of events, offset, low, high [min], events that agree) where edges meet events at one distance only."""
    if len(edges) < _ENOUGH:
        return None
    inside = events[(events >= edges[0] - _REACH * _MINUTE) & (events <= edges[-1] + _REACH * _MINUTE)]
    if len(inside) < _ENOUGH:
        return None
    reach = _REACH * _MINUTE
    first, last = np.searchsorted(edges, inside - reach), np.searchsorted(edges, inside + reach)
    counts = last - first
    if counts.sum() == 0 or counts.sum() > 20_000_000:
        return None
    index = np.repeat(first - np.concatenate(([0], np.cumsum(counts)[:-1])), counts) + np.arange(counts.sum())
    distance = (edges[index] - np.repeat(inside, counts)) / _MINUTE
    of_event = np.repeat(np.arange(len(inside)), counts)
    bins = np.floor(distance + _REACH).astype(np.int64).clip(0, 2 * _REACH - 1)
    histogram = np.bincount(bins, minlength=2 * _REACH).astype(np.float64)
    smooth = np.convolve(histogram, [1.0, 1.0, 1.0], mode="same")
    peak = int(np.argmax(smooth))
    rivals = smooth.copy()
    rivals[max(0, peak - int(_NEAR) - 2) : peak + int(_NEAR) + 3] = 0.0
    centre = float(np.median(distance[np.abs(bins - peak) <= 1]))
    near = np.abs(distance - centre) <= 1.5
    agreeing = len(np.unique(of_event[near]))
    share = agreeing / len(inside)
    if agreeing < _ENOUGH or share < 0.5 or rivals.max() > 0.6 * smooth[peak]:
        return None
    parts = [float(np.median(distance[near & (of_event // max(1, -(-len(inside) // 4)) == part)]))
             for part in range(4) if np.any(near & (of_event // max(1, -(-len(inside) // 4)) == part))]  # fmt: skip
    if max(parts) - min(parts) > _NEAR:
        return None
    return share, float(np.median(distance[near])), min(parts), max(parts), agreeing


def _on_grid(
    time: Instants, value: FloatArray, one: tuple[Instants, FloatArray], two: tuple[Instants, FloatArray], step: int
) -> FloatArray | None:
    """Return a signal's changes on the grid of the span that two signals share, clipped against single spikes."""
    if min(len(one[0]), len(two[0])) < 50:
        return None
    low, high = (max(one[0][0], two[0][0]), min(one[0][-1], two[0][-1]))
    grid = np.arange(low.astype("datetime64[us]").astype(np.int64), high.astype("datetime64[us]").astype(np.int64), step)
    present = ~np.isnan(value)
    at = time[present].astype("datetime64[us]").astype(np.int64)
    if len(grid) < 3 or len(at) < 50:
        return None
    change = np.diff(np.interp(grid, at, value[present]))
    spread = float(np.std(change))
    return None if spread == 0 else np.asarray(np.clip(change / spread, -5.0, 5.0), dtype=np.float64)


def _peak(a: FloatArray, b: FloatArray, reach: int) -> tuple[int, float]:
    """Return the lag at which b follows a best, and the height of that peak in usual correlations."""
    from scipy.signal import fftconvolve

    full = fftconvolve(b - b.mean(), (a - a.mean())[::-1], mode="full")
    middle = len(a) - 1
    window = np.abs(full[middle - reach : middle + reach + 1])
    usual = float(np.median(window)) * 1.4826
    at = int(np.argmax(window))
    return at - reach, float(window[at] / usual) if usual > 0 else 0.0

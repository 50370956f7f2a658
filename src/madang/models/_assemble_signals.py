"""Signals of a control system as features of lots: what each tag did between two instants of every lot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from madang.errors import Json
from madang.library import (
    ALL_FEATURES,
    ClockOffset,
    Feature,
    Instants,
    Phase,
    RowTimes,
    TableView,
    signal_numbers,
    window_features,
)
from madang.models._frame import FloatArray, Series
from madang.plant import Bilingual, Kind, Role

_LABELS = (Bilingual("승온", "ramp"), Bilingual("유지", "soak"), Bilingual("냉각", "cool"))
_THIRDS = (Bilingual("처음 1/3", "first third"), Bilingual("가운데 1/3", "middle third"), Bilingual("마지막 1/3", "last third"))
_END = Bilingual("끝 무렵", "end")
_COVERED = 0.3
"""Share of lots that a feature must be known of."""
_ALIKE = 0.95
"""Correlation above which a second feature of one tag says nothing new."""


@dataclass(frozen=True)
class Signal:
    """A table of readings, sorted by time, on its own clock."""

    view: TableView
    time: Instants
    tags: Mapping[str, FloatArray]


@dataclass(frozen=True)
class MadeFeature:
    """A feature and where it comes from."""

    series: Series
    facts: dict[str, Json]


@dataclass(frozen=True)
class MadeFeatures:
    """Features of the lots, and how many were not kept."""

    kept: tuple[MadeFeature, ...]
    dropped: dict[str, int]
    """Reason -> count: ``uncovered``, ``constant``, ``alike``."""


def signal_of(view: TableView, times: RowTimes) -> Signal:
    """Return a table as a signal: its rows with a known time, in order of time."""
    at = times.start
    if np.isnat(at).any() or np.any(at[1:] < at[:-1]):
        order = np.argsort(at, kind="stable")
        order = order[: len(at) - int(np.count_nonzero(np.isnat(at)))].astype(np.int64)
    else:
        order = np.arange(len(at), dtype=np.int64)
    return Signal(view, at[order], signal_numbers(view, order))


def window_series(signal: Signal, offset: ClockOffset, parts: Sequence[Phase], *, threads: int = 2) -> MadeFeatures:
    """Return what each tag did in each part of the lots, without what is constant, unknown or said already.

    The mean of every part, and the spread over the whole lot; the mean and the extremes of the whole lot where it has no parts. A
    counter is never averaged (its level only tells the date): it gives what it counted.

    Args:
        signal: Readings on their own clock.
        offset: How far that clock runs ahead of the lots'.
        parts: The whole lot first, then its phases; on the lots' clock.
        threads: How many tags are worked on at once.
    """
    from concurrent.futures import ThreadPoolExecutor

    cards = {card.name: card for card in signal.view.columns}

    def of_tag(tag: str) -> tuple[list[MadeFeature], dict[str, int]]:
        values, card = signal.tags[tag], cards.get(tag)
        role = Role.ACTUAL if card is None else card.role
        counted = role is Role.COUNTER or _counts(values)
        made = list(_counted(signal, tag, values, offset, parts) if counted else _measured(signal, tag, values, offset, parts))
        kind, unit = (Kind.UNKNOWN, None) if card is None else (card.kind, card.unit)
        kept: list[MadeFeature] = []
        dropped = {"uncovered": 0, "constant": 0, "alike": 0}
        for part, statistic, numbers in made:
            why = _useless(numbers, [feature.series.values for feature in kept])
            if why is not None:
                dropped[why] += 1
                continue
            name = f"{tag} [{part} {statistic}]"
            series = Series(name, numbers, None, role, kind, unit, "before", f"{signal.view.name}: {tag}, {statistic} / {part}")
            kept.append(MadeFeature(series, {"column": tag, "table": signal.view.name, "window": part, "statistic": statistic}))
        return kept, dropped

    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        results = list(pool.map(of_tag, signal.tags))
    total = {"uncovered": 0, "constant": 0, "alike": 0}
    for _, dropped in results:
        for why, count in dropped.items():
            total[why] += count
    return MadeFeatures(tuple(feature for kept, _ in results for feature in kept), total)


def same_series(
    signal: Signal, offset: ClockOffset, parts: Sequence[Phase], wanted: Mapping[str, Mapping[str, Json]]
) -> tuple[MadeFeature, ...]:
    """Return the features that an earlier assembly made, by name, whatever they are worth here.

    Args:
        signal: Readings on their own clock.
        offset: How far that clock runs ahead of the lots'.
        parts: The parts of the lots, by name as before.
        wanted: Name of the feature -> its ``column``, ``window`` and ``statistic``.
    """
    by_name = {part.name: part for part in parts}
    made = []
    for name, facts in wanted.items():
        tag, part = str(facts["column"]), by_name.get(str(facts["window"]))
        if tag not in signal.tags or part is None:
            continue
        values, statistic = signal.tags[tag], str(facts["statistic"])
        if statistic == "increase":
            numbers = _counted(signal, tag, values, offset, (part,), alone=True)[0][2]
        else:
            feature = next(known for known in ALL_FEATURES if known == statistic)
            numbers = _of_windows(signal.time, values, part, offset, (feature,), alone=True)[feature]
        origin = f"{signal.view.name}: {tag}, {statistic} / {part.name}"
        made.append(MadeFeature(Series(name, numbers, available="before", origin=origin), dict(facts)))
    return tuple(made)


def distinct_series(features: Sequence[MadeFeature]) -> tuple[tuple[MadeFeature, ...], int]:
    """Return the features without those that repeat another one's numbers exactly, and how many were repeats."""
    seen: dict[bytes, str] = {}
    kept = []
    for feature in features:
        key = np.nan_to_num(feature.series.values, nan=-1.2345e300).tobytes()
        if key not in seen:
            seen[key] = feature.series.name
            kept.append(feature)
    return tuple(kept), len(features) - len(kept)


_Made = tuple[str, str, FloatArray]


def _measured(signal: Signal, tag: str, values: FloatArray, offset: ClockOffset, parts: Sequence[Phase]) -> Sequence[_Made]:
    whole, steps = parts[0], parts[1:]
    wanted: tuple[Feature, ...] = ("std",) if steps else ("mean", "std", "min", "max")
    # of parts that say the same, the longest speaks for the others
    longest = sorted(steps, key=lambda part: -_length(part))
    made = [(part.name, "mean", _of_windows(signal.time, values, part, offset, ("mean",))["mean"]) for part in longest]
    found = _of_windows(signal.time, values, whole, offset, wanted)
    return [*made, *((whole.name, statistic, found[statistic]) for statistic in wanted)]


def _length(part: Phase) -> float:
    known = (part.end - part.start)[~(np.isnat(part.start) | np.isnat(part.end))]
    return float(np.median(known.astype(np.int64))) if len(known) else 0.0


def _counted(
    signal: Signal, tag: str, values: FloatArray, offset: ClockOffset, parts: Sequence[Phase], *, alone: bool = False
) -> Sequence[_Made]:
    present = np.flatnonzero(~np.isnan(values))
    steps = np.diff(values[present])
    # a counter that starts again lost one step: what it counted then is not known
    steps[steps < 0] = np.nan
    time = signal.time[present[1:]]
    found = _of_windows(time, steps, parts[0], offset, ("mean", "n"), alone=alone)
    return [(parts[0].name, "increase", found["mean"] * found["n"])]


def _of_windows(
    time: Instants, values: FloatArray, part: Phase, offset: ClockOffset, wanted: tuple[Feature, ...], *, alone: bool = False
) -> Mapping[Feature, FloatArray]:
    start, end = part.start + offset.shift, part.end + offset.shift
    unknown = np.isnat(start) | np.isnat(end)
    never = np.datetime64(0, "us")
    found = window_features(time, values, np.where(unknown, never, start), np.where(unknown, never, end), wanted, alone=alone)
    return {feature: found[feature] for feature in wanted}


def _counts(values: FloatArray) -> bool:
    """Whether a tag only ever grows but for a few resets, so that its level says no more than the date."""
    present = values[~np.isnan(values)]
    if len(present) < 50:
        return False
    steps = np.diff(present)
    falls = int(np.count_nonzero(steps < 0))
    rises = int(np.count_nonzero(steps > 0))
    return bool(rises >= 20 and falls <= max(3, rises // 500) and float(present.max() - present.min()) > 0)


def _useless(numbers: FloatArray, kept: Sequence[FloatArray]) -> str | None:
    present = np.isfinite(numbers)
    if np.count_nonzero(present) < max(3.0, _COVERED * len(present)):
        return "uncovered"
    known = numbers[present]
    if float(known.max() - known.min()) <= 1e-9 * max(1.0, float(np.max(np.abs(known)))):
        return "constant"
    for other in kept:
        both = present & np.isfinite(other)
        if np.count_nonzero(both) >= 10 and _correlation(numbers[both], other[both]) > _ALIKE:
            return "alike"
    return None


def _correlation(a: FloatArray, b: FloatArray) -> float:
    da, db = a - a.mean(), b - b.mean()
    size = float(np.sqrt(np.dot(da, da) * np.dot(db, db)))
    return abs(float(np.dot(da, db))) / size if size > 0 else 0.0


def recipe_phases(signal: Signal, offset: ClockOffset, whole: Phase) -> tuple[Phase, ...]:
    """Return ramp, soak and cool of each lot from a set point that rises, holds its highest value and falls; () without one.

    Args:
        signal: Readings on their own clock; columns of role set point are looked at.
        offset: How far that clock runs ahead of the lots'.
        whole: Window of each lot, on the lots' clock.
    """
    wanted = {c.name for c in signal.view.columns if c.role is Role.SET_POINT and c.kind in {Kind.TEMPERATURE, Kind.UNKNOWN}}
    for tag in signal.tags:
        if tag not in wanted:
            continue
        found = _held_highest(signal.time - offset.shift, signal.tags[tag], whole)
        known = ~np.isnat(found[0])
        if np.mean(known) >= 0.8:
            start, end = found
            return tuple(
                Phase(name, label, a, b)
                for name, label, a, b in zip(
                    ("ramp", "soak", "cool"), _LABELS, (whole.start, start, end), (start, end, whole.end), strict=True
                )
            )
    return ()


def _held_highest(time: Instants, values: FloatArray, whole: Phase) -> tuple[Instants, Instants]:
    """Return when each lot's set point reached its highest value and when it left it; NaT where it does not move."""
    start = np.full(len(whole.start), np.datetime64("NaT"), dtype="datetime64[us]")
    end = start.copy()
    low, high = np.searchsorted(time, whole.start), np.searchsorted(time, whole.end)
    for lot in np.flatnonzero(high - low >= 3):
        inside = values[low[lot] : high[lot]]
        top, bottom = float(np.nanmax(inside, initial=-np.inf)), float(np.nanmin(inside, initial=np.inf))
        if not np.isfinite(top - bottom) or top - bottom <= 0.1 * abs(top):
            continue
        at = np.flatnonzero(inside >= top - 0.02 * (top - bottom))
        start[lot], end[lot] = time[low[lot] + at[0]], time[low[lot] + at[-1]]
    return start, end


def thirds(whole: Phase) -> tuple[Phase, ...]:
    """Return the first, middle and last third of each lot's time."""
    length = (whole.end - whole.start) / 3
    borders = [whole.start, whole.start + length, whole.end - length, whole.end]
    return tuple(
        Phase(name, label, borders[k], borders[k + 1])
        for k, (name, label) in enumerate(zip(("first third", "middle third", "last third"), _THIRDS, strict=True))
    )


def last_part(whole: Phase) -> Phase:
    """Return the end of each lot: its last twentieth, at least ten minutes, where what it meets outside begins to act."""
    length = np.maximum((whole.end - whole.start) // 20, np.timedelta64(10, "m"))
    return Phase("end", _END, np.maximum(whole.end - length, whole.start), whole.end)


def _before(far: int, near: int) -> Bilingual:
    return Bilingual(f"채취 {far}~{near}시간 전", f"{far} to {near} h before the sample")


def before_samples(at: Instants) -> tuple[Phase, ...]:
    """Return spans before each sample, for lines whose lots have no window: the transport delay lies in one of them."""
    hours = ((4, 0), (1, 0), (4, 1), (12, 4))
    return tuple(
        Phase(f"{far}-{near} h before", _before(far, near), at - np.timedelta64(far, "h"), at - np.timedelta64(near, "h"))
        for far, near in hours
    )

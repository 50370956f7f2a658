"""Which features each family of candidates gets, from the setting of a study and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from madang.models._features import DAY, Feature, Recipe
from madang.models._frame import Series
from madang.models._history import Timing
from madang.plant import Kind

MOST_LEVELS = 12
"""Categories of a column that get an indicator of their own."""
PAIRED_UP_TO = 10
"""Numeric columns up to which every pair is multiplied and subtracted."""


@dataclass(frozen=True)
class Recipes:
    """Features for the simple, the linear and the tree candidates."""

    persistence: Recipe
    seasonal: Recipe
    linear: Recipe
    rules: Recipe
    trees: Recipe
    inputs: Recipe
    """What the record itself says (or the newest reading before the issue): watched for values outside the training range."""


def seasons(timing: Timing, rows: int) -> tuple[float, ...]:
    """Return the day and the week in clock units, as far as the record is long enough to have seen two of them."""
    if not timing.timed or timing.step <= 0:
        return ()
    return tuple(s for s in (DAY, 7 * DAY) if timing.step * 3 <= s <= rows * timing.step / 2.5)


def forecast_recipes(own: Sequence[Series], past: Sequence[Series], timing: Timing, rows: int) -> Recipes:
    """Features for a forecast: nothing of the instant itself but what is known ahead.

    Args:
        own: Columns known when the prediction is issued (plans, calendar).
        past: Columns whose past alone may be used.
        timing: Clock of the study.
        rows: Training rows.
    """
    step = timing.step
    ahead = timing.length(timing.horizon) + timing.length(timing.delay)
    cycle = seasons(timing, rows)
    calendar = _calendar(timing)
    # Neighbours of the same time in earlier cycles, and repeats of the cycle that were known in time.
    cyclic: list[Feature] = []
    for season in cycle:
        for repeat in range(1, 8 if season == DAY else 5):
            back = season * repeat
            if back >= ahead:
                cyclic.append(Feature("target_lag", span=back))
        first = season * int(np.ceil(ahead / season))
        cyclic += [Feature("target_lag", span=first + k * step) for k in (-2, -1, 1, 2) if first + k * step >= ahead]
        cyclic += [Feature("slot", code=4, span=season)] if season >= ahead else []
    windows = _windows(timing, rows)
    recent = [Feature("result", code=float(k)) for k in (0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 15, 23)]
    rolled = [Feature("target_roll", span=w, stat=s) for w in windows for s in ("mean", "std", "min", "max", "slope")]
    known = _now(own)
    numeric = [s for s in past if not s.categorical]
    numeric = numeric[: max(1, 160 // 8)]
    others_few = [Feature("lag", s.name, span=k * step) for s in numeric for k in (0, 1)]
    others = [*others_few, *(Feature("lag", s.name, span=k * step) for s in numeric for k in (2, 3))]
    others += [Feature("roll", s.name, span=w, stat="mean") for s in numeric for w in windows[:3]]
    states = [Feature("lag", s.name) for s in past if s.categorical]
    return Recipes(
        persistence=(Feature("result"),),
        seasonal=_same_time(cycle, ahead),
        linear=(*known, *calendar, *recent, *cyclic, *rolled, *others_few, *_dummies(calendar)),
        rules=(*known, *calendar[:3], *recent[:2], *cyclic[:3], *others_few[:10]),
        trees=(*known, *calendar, *recent, *cyclic, *rolled, *others, *states),
        inputs=(*_plain(own), *(Feature("lag", s.name) for s in numeric)),
    )


def row_recipes(
    own: Sequence[Series], past: Sequence[Series], timing: Timing | None, rows: int, longest: float = 12.0
) -> Recipes:
    """Features for a regression or classification of each record from its own readings, with their recent past where rows are a series.

    Args:
        own: Columns known when the prediction is issued.
        past: Columns whose past alone may be used.
        timing: Clock of the study; None when rows have no order.
        rows: Training rows.
        longest: Longest transport delay looked for [row].
    """
    own_features = _now(own)
    made = _pairs([s for s in own if not s.categorical])
    recent: list[Feature] = []
    rolled: list[Feature] = []
    results: list[Feature] = []
    if timing is not None:
        numeric = [s for s in (*own, *past) if not s.categorical][: 30 if rows < 50_000 else 20]
        backs = [float(k) for k in (1, 2, 3, 6, 12) if k <= longest]
        # Neighbours in a list of pieces share no process; in a series that is sampled they do.
        lasting = [s for s in numeric if timing.timed or _persists(s)]
        recent = [Feature("lag", s.name, span=k * timing.step) for s in lasting for k in backs]
        rolled = [
            Feature("roll", s.name, span=w * timing.step, stat="mean") for s in lasting for w in (4.0, 12.0) if w <= longest
        ]
        if timing.returns:
            results = [Feature("result", code=float(k)) for k in (0, 1, 2)]
            results += [Feature("results", code=float(n), stat="median") for n in (5, 25)]
    inputs = _plain(own) or tuple(Feature("lag", s.name) for s in past if not s.categorical)
    cycle = seasons(timing, rows) if timing is not None and timing.returns else ()
    ahead = 0.0 if timing is None else timing.length(timing.delay)
    return Recipes(
        persistence=(Feature("result"),) if results else (),
        seasonal=_same_time(cycle, ahead),
        linear=(*own_features, *recent, *rolled),
        rules=(*own_features, *made),
        trees=(*own_features, *made, *(rolled if timing is not None else ()), *results),
        inputs=inputs,
    )


def _same_time(cycle: Sequence[float], ahead: float) -> Recipe:
    """The same time one cycle ago, the longest cycle first (a week knows its Sundays)."""
    made = []
    for season in sorted(cycle, reverse=True):
        first = season * max(1, int(np.ceil(ahead / season)))
        made.append(Feature("target_lag", span=first))
    return tuple(made)


def _windows(timing: Timing, rows: int) -> list[float]:
    widths = [4.0, 12.0, 24.0]
    if timing.timed:
        widths = [w for w in (3600.0 / timing.step, 4 * 3600.0 / timing.step, DAY / timing.step) if w >= 3] or widths
        widths = sorted({4.0, *widths})
    return [w * timing.step for w in widths if w <= rows / 4]


def _calendar(timing: Timing) -> list[Feature]:
    if not timing.timed:
        return []
    parts = [
        "hour",
        "weekday",
        "week_hour",
        "weekend",
        "shift",
        "day_sin",
        "day_cos",
        "half_day_sin",
        "half_day_cos",
        "day_of_month",
    ]
    if timing.step >= DAY:
        parts = ["weekday", "weekend", "day_of_month", "month"]
    return [Feature("calendar", stat=p) for p in parts]


def _dummies(calendar: Sequence[Feature]) -> list[Feature]:
    """Weekday indicators for linear candidates."""
    return [Feature("calendar", stat=f"is_weekday_{d}") for d in range(7)] if calendar else []


def _now(own: Sequence[Series]) -> list[Feature]:
    made = []
    for series in own:
        if not series.categorical:
            made.append(Feature("now", series.name))
            continue
        codes, counts = np.unique(series.values[np.isfinite(series.values)], return_counts=True)
        common = codes[np.argsort(-counts, kind="stable")][:MOST_LEVELS]
        made += [Feature("is", series.name, code=float(c)) for c in np.sort(common)]
    return made


def _plain(own: Sequence[Series]) -> Recipe:
    return tuple(Feature("now", s.name) for s in own)


_PHYSICS = (
    (Kind.TORQUE, Kind.ROTATIONAL_SPEED), (Kind.VOLTAGE, Kind.ELECTRIC_CURRENT), (Kind.FORCE, Kind.VELOCITY), (Kind.PRESSURE, Kind.VOLUME_FLOW),
    (Kind.ACTIVE_POWER, Kind.DURATION), (Kind.TORQUE, Kind.DURATION), (Kind.MASS_FLOW, Kind.TEMPERATURE), (Kind.DENSITY, Kind.VOLUME),
)  # fmt: skip
"""Pairs of kinds whose product is a quantity of its own (power, work, heat, mass)."""


def _pairs(numeric: Sequence[Series]) -> list[Feature]:
    """Products, differences and ratios that mean something: by kinds of quantity, by twin names, and all pairs of a few columns."""
    made: list[Feature] = []
    few = len(numeric) <= PAIRED_UP_TO
    for place, a in enumerate(numeric):
        for b in numeric[place + 1 :]:
            alike = a.kind is b.kind and (a.kind is not Kind.UNKNOWN or (few and a.unit == b.unit and _same_scale(a, b)))
            twins = _stem(a.name) == _stem(b.name) and _stem(a.name) != ""
            physical = (a.kind, b.kind) in _PHYSICS or (b.kind, a.kind) in _PHYSICS
            if few or physical:
                made.append(Feature("product", a.name, b.name))
            if twins or (alike and (few or a.kind in (Kind.TEMPERATURE, Kind.PRESSURE))):
                made.append(Feature("difference", b.name, a.name))
            if few and not alike:
                made.append(Feature("ratio", a.name, b.name))
            if twins and not few:
                made.append(Feature("ratio", a.name, b.name))
    return made[:120]


def _persists(series: Series) -> bool:
    """Whether a reading is much closer to the one before it than to the tenth before it."""
    level = series.values[np.isfinite(series.values)]
    if len(level) < 40 or level.min() == level.max():
        return False
    steps, far = np.diff(level), level[10:] - level[:-10]
    return float(np.mean(steps**2)) < 0.5 * float(np.mean(far**2))


def _same_scale(a: Series, b: Series) -> bool:
    """Whether two columns of unknown kind hold numbers of one size, so that their difference may mean something."""
    x, y = a.values[np.isfinite(a.values)], b.values[np.isfinite(b.values)]
    if not len(x) or not len(y):
        return False
    apart = abs(float(np.median(x)) - float(np.median(y)))
    return apart <= 0.2 * max(abs(float(np.median(x))), abs(float(np.median(y))))


_ENDS = re.compile(
    r"(minimum|maximum|min|max|low|high|upper|lower|inlet|outlet|in|out|start|end|before|after|최소|최대|상한|하한|입구|출구)"
)


def _stem(name: str) -> str:
    """A name without the word that tells it from its twin; empty when there is no such word."""
    plain = re.sub(r"[^a-z0-9가-힣]+", "_", name.lower())
    words = [w for w in plain.split("_") if w]
    rest = [w for w in words if not _ENDS.fullmatch(re.sub(r"\d+$", "", w))]
    return "_".join(rest) if len(rest) < len(words) else ""

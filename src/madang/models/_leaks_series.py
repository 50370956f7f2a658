"""Columns made from the target itself: shifted, averaged, summed up, or divided by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from madang.models._frame import BoolArray, FloatArray
from madang.models._leaks_view import View, block_of

_REACH: Final = 8
_FEWEST: Final = 120
_SAME: Final = 0.9995
_SHAPED: Final = 4_000
"""Rows that medians, extremes and spreads are compared on."""
_WIDTHS: Final = (*range(2, 41), 48, 50, 60, 72, 96, 100, 120, 144, 168, 192, 200, 240, 288, 336)

Origin = Literal["shift_past", "shift_future", "window", "past_window", "sum", "shape"]


@dataclass(frozen=True)
class Made:
    """How a column follows from the target's series."""

    origin: Origin
    score: float
    """R² between the column and what it is made of [-]."""
    rows: int
    """Shift or width in rows."""


@dataclass(frozen=True)
class Windows:
    """Moving averages of the target."""

    values: FloatArray
    """Centred on the target's mean, NaN where the window leaves the rows, shape (row, window)."""
    unit: FloatArray
    """The same with zeros for NaN and of length 1."""
    places: tuple[tuple[int, int, int], ...]
    """Width, first and last row relative to the present."""
    shapes: tuple[tuple[int, FloatArray], ...]
    """Medians, extremes, spreads and rates of change of the last rows of the target, with their widths."""
    shifts: FloatArray
    """The centred target from `_REACH` rows before to `_REACH` rows after, shape (row, shift); zeros outside."""


def made_from_target(x: FloatArray, view: View, windows: Windows) -> Made | None:
    """Say whether a column is a shift, a moving average or a running sum of the target; None when it is not.

    Args:
        x: The column at the view's rows.
        view: The rows and the target.
        windows: From `target_windows`.
    """
    y = view.y
    n = len(y)
    if not view.contiguous or n < _FEWEST or view.classes > 2:
        return None
    known = np.isfinite(x)
    if known.mean() < 0.7 or float(np.nanstd(x)) == 0 or float(np.std(y)) == 0:
        return None
    shifted = _shift(x, y, view)
    if shifted is not None:
        return shifted
    summed = _sum(x, y)
    if summed is not None:
        return summed
    averaged = _average(x, known, windows)
    if averaged is not None:
        return averaged
    return _shaped(x, y, windows) or _linear_window(x, known, y, windows)


def target_windows(view: View) -> Windows:
    """Return the moving averages that columns are compared with."""
    y = view.y
    n = len(y)
    if not view.contiguous or n < _FEWEST or view.classes > 2:
        return Windows(np.empty((n, 0)), np.empty((n, 0)), (), (), np.empty((n, 0)))
    sums = np.concatenate([[0.0], np.cumsum(y - y.mean())])
    at = np.arange(n)
    columns: list[FloatArray] = []
    places: list[tuple[int, int, int]] = []
    for width in _WIDTHS:
        if width > n // 4:
            break
        for first in dict.fromkeys((-width + 1, -width, -(width // 2), -((width - 1) // 2), 0, 1)):
            low, high = at + first, at + first + width
            inside = (low >= 0) & (high <= n)
            column = np.where(inside, (sums[np.clip(high, 0, n)] - sums[np.clip(low, 0, n)]) / width, np.nan)
            columns.append(column)
            places.append((width, first, first + width - 1))
    values = np.stack(columns, axis=1)
    unit = np.nan_to_num(values)
    unit /= np.sqrt((unit**2).sum(axis=0)) + 1e-300
    padded = np.concatenate([np.zeros(_REACH), y - y.mean(), np.zeros(_REACH)])
    shifts = np.stack([padded[k : k + n] for k in range(2 * _REACH + 1)], axis=1)
    shapes = () if view.classes else tuple(_shapes(y[-_SHAPED:]))
    return Windows(values, unit, tuple(places), shapes, shifts)


def _correlation(a: FloatArray, b: FloatArray) -> float:
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 60:
        return 0.0
    a, b = a[known] - a[known].mean(), b[known] - b[known].mean()
    size = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return 0.0 if size <= 1e-300 else float(np.sum(a * b)) / size


def _shift(x: FloatArray, y: FloatArray, view: View) -> Made | None:
    """A copy of the target from other rows, with or without a little noise."""
    reach = int(min(max(32, 2 * view.horizon), 200, len(y) // 8))
    at_home = _correlation(x, y) ** 2
    centred = np.where(np.isfinite(x), x - np.nanmean(x), 0.0)
    n = len(y)
    size = 2 * n
    rough = np.fft.irfft(np.conj(np.fft.rfft(centred, size)) * np.fft.rfft(y - y.mean(), size), size)
    places = [k for k in range(-reach, reach + 1) if k]
    near = sorted(places, key=lambda k: -abs(rough[k]))[:5]
    best = (0.0, 0)
    for k in near:
        a, b = (x[:-k], y[k:]) if k > 0 else (x[-k:], y[:k])
        score = _correlation(a, b) ** 2
        if score > best[0]:
            best = (score, k)
    score, k = best
    if k == 0 or score <= at_home:
        return None
    # A slow target resembles itself a row later: the copy must be nearer than the target's own neighbour is.
    neighbour = max(0.0, _correlation(y[:-1], y[1:])) ** 2
    if view.classes:
        sure = score >= 0.97
    else:
        sure = score >= _SAME or (score >= 0.97 and 1 - score <= 0.35 * (1 - max(neighbour, at_home)))
    if not sure:
        return None
    return Made("shift_future" if k > 0 else "shift_past", score, abs(k))


def _sum(x: FloatArray, y: FloatArray) -> Made | None:
    """A running sum (a counter with resets) or a running mean from the first row."""
    step = np.diff(x)
    if float(np.nanstd(step)) == 0:
        return None
    at = np.arange(1, len(x) + 1, dtype=np.float64)
    grown = np.diff(x * at)
    for series in (step, grown):
        middle = np.isfinite(series) & (np.abs(series - np.nanmedian(series)) <= 12 * _spread(series))
        if middle.mean() < 0.9:
            continue
        now = _correlation(np.where(middle, series, np.nan), y[1:]) ** 2
        before = _correlation(np.where(middle, series, np.nan), y[:-1]) ** 2
        if now >= 0.998 and now > before:
            return Made("sum", now, 1)
    return None


def _spread(series: FloatArray) -> float:
    low, high = np.nanquantile(series, (0.05, 0.95))
    return max(float(high - low), 1e-300)


def _average(x: FloatArray, known: BoolArray, windows: Windows) -> Made | None:
    """Compare with every moving average at once; the few best are then compared on the rows that both have."""
    if not windows.places:
        return None
    filled = np.where(known, x - x[known].mean(), 0.0)
    tie = np.abs(filled @ windows.unit)
    if tie.max() ** 2 < 0.6 * float(np.sum(filled**2)):
        return None
    best: tuple[float, tuple[int, int, int]] = (0.0, (0, 0, 0))
    for k in np.argsort(-tie, kind="stable")[:30]:
        score = _correlation(x, windows.values[:, k]) ** 2
        if score > best[0]:
            best = (score, windows.places[int(k)])
    score, (width, _, last) = best
    if score < 0.99:
        return None
    return Made("window" if last >= 0 else "past_window", score, width)


def _shapes(y: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    """What people compute over a few rows, each at every place that includes this row or a later one."""
    from scipy.ndimage import maximum_filter1d, median_filter, minimum_filter1d

    before = np.concatenate([[np.nan], y[:-1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(np.abs(before) > 1e-12, y / before, np.nan)
    yield 2, rate
    yield 2, np.concatenate([rate[1:], [np.nan]])
    for width in (3, 5, 7, 9, 10, 12, 24):
        for origin in sorted({-(width // 2), 0, (width - 1) // 2}):
            yield width, median_filter(y, width, origin=origin, mode="nearest")
            yield width, maximum_filter1d(y, width, origin=origin, mode="nearest")
            yield width, minimum_filter1d(y, width, origin=origin, mode="nearest")
        sums = np.convolve(y, np.ones(width), "valid"), np.convolve(y * y, np.ones(width), "valid")
        spread = np.sqrt(np.maximum(sums[1] / width - (sums[0] / width) ** 2, 0.0))
        for first in sorted({0, (width - 1) // 2, width - 1}):
            yield width, np.concatenate([np.full(first, np.nan), spread, np.full(width - 1 - first, np.nan)])


def _shaped(x: FloatArray, y: FloatArray, windows: Windows) -> Made | None:
    recent = x[-_SHAPED:]
    at_home = _correlation(recent, y[-_SHAPED:]) ** 2
    for width, shape in windows.shapes:
        score = _correlation(recent, shape) ** 2
        if score >= 0.995 and score > at_home + 0.2 * (1 - at_home):
            return Made("shape", score, width)
    return None


def _linear_window(x: FloatArray, known: BoolArray, y: FloatArray, windows: Windows) -> Made | None:
    """Any weighted sum of the target around the row: weights are fitted on half of the blocks and judged on the others."""
    if len(y) < 12 * (2 * _REACH + 1):
        return None
    inside = known.copy()
    inside[:_REACH] = inside[-_REACH:] = False
    design, wanted = windows.shifts[inside], x[inside]
    rough = design.T @ design
    rough[np.diag_indices_from(rough)] *= 1 + 1e-9
    centred = wanted - wanted.mean()
    tie = design.T @ centred
    if float(tie @ np.linalg.lstsq(rough, tie, rcond=1e-10)[0]) < 0.98 * float(np.sum(centred**2)):
        return None
    whole, only_past, only_now = (_judged(part, wanted) for part in (design, design[:, :_REACH], design[:, [_REACH]]))
    if whole < 0.985 or (1 - whole) > 0.25 * (1 - only_past) or (1 - whole) > 0.5 * (1 - only_now):
        return None
    return Made("window", whole, 2 * _REACH + 1)


def _judged(design: FloatArray, wanted: FloatArray) -> float:
    even = block_of(len(wanted)) % 2 == 0
    fitted = np.empty_like(wanted)
    for half in (even, ~even):
        a = np.column_stack([np.ones(int((~half).sum())), design[~half]])
        weights, *_ = np.linalg.lstsq(a, wanted[~half], rcond=1e-10)
        fitted[half] = np.column_stack([np.ones(int(half.sum())), design[half]]) @ weights
    rest = float(np.sum((wanted - fitted) ** 2))
    return 1.0 - rest / max(float(np.sum((wanted - wanted.mean()) ** 2)), 1e-300)


@dataclass(frozen=True)
class Identity:
    """Target and two columns that compute one another."""

    left: str
    right: str
    form: Literal["product", "sum"]
    score: float


def identities(columns: Mapping[str, FloatArray], y: FloatArray, generator: np.random.Generator) -> list[Identity]:
    """Find pairs of columns that give the target by a product, quotient, sum or difference.

    Args:
        columns: Numeric columns at the view's rows.
        y: A numeric target.
        generator: Chooses the rows that are compared.
    """
    names = list(columns)
    if len(y) < _FEWEST or len(names) < 2 or len(names) > 400:
        return []
    table = np.stack([columns[n] for n in names], axis=1)
    full = np.isfinite(table).mean(axis=0) > 0.5
    names = [n for n, keep in zip(names, full, strict=True) if keep]
    table = table[:, full]
    rows = np.flatnonzero(np.isfinite(table).all(axis=1)) if table.size else np.empty(0, dtype=np.int64)
    if len(rows) < _FEWEST:
        return []
    rows = np.sort(generator.choice(rows, min(len(rows), 1_500), replace=False))
    table, wanted = table[rows], y[rows]
    found = _pairs(names, table, wanted, "sum")
    positive = (table > 0).mean(axis=0) > 0.98
    if np.mean(wanted > 0) > 0.98 and positive.sum() >= 2:
        good = (table[:, positive] > 0).all(axis=1) & (wanted > 0)
        if good.sum() >= _FEWEST:
            kept = [n for n, keep in zip(names, positive, strict=True) if keep]
            found += _pairs(kept, np.log(table[:, positive][good]), np.log(wanted[good]), "product")
    return found


def _pairs(names: list[str], table: FloatArray, wanted: FloatArray, form: Literal["product", "sum"]) -> list[Identity]:
    centred = table - table.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0))
    spread[spread <= 0] = np.inf
    unit = centred / spread
    y = wanted - wanted.mean()
    length = float(np.sqrt(np.sum(y * y)))
    if length <= 0:
        return []
    alone = (unit.T @ (y / length)) ** 2
    out: list[Identity] = []
    for i in range(len(names)):
        if not np.isfinite(spread[i]) or alone[i] >= 0.998:
            continue
        # What is left of the target and of every other column once column i is taken out: an identity leaves a line.
        rest = y - unit[:, i] * float(unit[:, i] @ y)
        others = centred - np.outer(unit[:, i], unit[:, i] @ centred)
        size = np.sqrt((others**2).sum(axis=0))
        usable = (size > 1e-4 * np.where(np.isfinite(spread), spread, np.inf)) & (alone < 0.998)
        left = float(np.sqrt(np.sum(rest * rest)))
        if left <= 1e-3 * length:
            continue
        score = np.where(usable, ((others.T @ rest) / np.where(size > 0, size, 1.0) / left) ** 2, 0.0)
        out += [Identity(names[i], names[j], form, float(score[j])) for j in range(i + 1, len(names)) if score[j] >= 0.999]
    return out


def level_means(x: FloatArray, y: FloatArray) -> int:
    """Return into how many values a column bundles the rows when each value is the target's mean over its rows; else 0.

    Such a column was computed from the target (a lot mean, or the usual encoding of a category by the target).
    """
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 60:
        return 0
    levels, back = np.unique(x[known], return_inverse=True)
    if not 3 <= len(levels) <= known.sum() / 1.5:
        return 0
    means = np.bincount(back, weights=y[known]) / np.bincount(back)
    spread = float(np.std(y[known]))
    return len(levels) if spread > 0 and float(np.mean(np.abs(means - levels) <= 2e-3 * spread)) >= 0.95 else 0


@dataclass(frozen=True)
class Lead:
    """A column that shows the values of another one some rows earlier."""

    column: str
    of: str
    rows: int


def leading(columns: Mapping[str, FloatArray], reach: int = 16) -> list[Lead]:
    """Find columns that are another column from later rows, exactly.

    Args:
        columns: Numeric columns at neighbouring rows.
        reach: Longest shift looked for [rows].
    """
    names = [n for n, x in columns.items() if np.isfinite(x).mean() > 0.8 and len(np.unique(x[np.isfinite(x)])) > 0.1 * len(x)]
    if len(names) < 2 or len(names) > 200:
        return []
    table = np.stack([columns[n][-4_000:] for n in names], axis=1)
    if len(table) < 10 * reach:
        return []
    known = np.isfinite(table)
    mean = np.nanmean(table, axis=0)
    filled = np.where(known, table - mean, 0.0)
    unit = filled / (np.sqrt((filled**2).sum(axis=0)) + 1e-300)
    now = np.abs(unit.T @ unit)
    out = []
    for k in range(1, reach + 1):
        tie = np.abs(unit[:-k].T @ unit[k:])
        for i, j in zip(*np.nonzero((tie > 0.8) & (tie > now)), strict=True):
            if i != j and _correlation(table[:-k, i], table[k:, j]) > 0.99995:
                out.append(Lead(names[int(i)], names[int(j)], k))
    return out

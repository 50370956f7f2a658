"""How strongly one column tells the target: figures out of blocks, so that slow series do not look like knowledge."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from madang.models._frame import BoolArray, FloatArray, Frame, IntArray, Series, Task

MOST_ROWS: Final = 20_000
_BLOCKS: Final = 10
_LEVELS: Final = 60


@dataclass(frozen=True)
class View:
    """The rows and the target that the checks look at."""

    frame: Frame
    target: Series
    task: Task
    rows: IntArray
    """Rows that may be seen, rising."""
    y: FloatArray
    """Target at `rows`: numbers, or the position of its class among the classes present."""
    classes: int
    """How many classes the target has; 0 for a number."""
    horizon: int
    seed: int
    contiguous: bool
    """Whether the rows lie side by side, so that shifts mean something."""

    def values(self, series: Series) -> FloatArray:
        """Return a column at the rows."""
        return series.values[self.rows]


def make_view(frame: Frame, target: str, task: Task, horizon: int, seed: int, train: IntArray | None) -> View:
    """Take the last rows of training that hold a target, `MOST_ROWS` at most."""
    wanted = frame[target]
    rows = np.arange(len(frame), dtype=np.int64) if train is None else np.sort(np.asarray(train, dtype=np.int64))
    known = np.isfinite(wanted.values[rows])
    contiguous = bool(len(rows) > 1 and np.all(np.diff(rows) == 1) and known.mean() > 0.95)
    rows = rows[known][-MOST_ROWS:] if len(rows) else rows
    y = wanted.values[rows]
    classes = 0
    if task == "classification" or wanted.categorical:
        levels = np.unique(y)
        classes = len(levels)
        y = np.searchsorted(levels, y).astype(np.float64)
    return View(frame, wanted, task, rows, y, classes, horizon, seed, contiguous)


@dataclass(frozen=True)
class Strength:
    """How well a column alone tells the target."""

    score: float
    """R² for a number, share of the base error that vanishes for classes; out of block [-]."""
    exact: bool
    """Whether the rest is below the resolution of the data."""
    n: int
    concordance: float = 0.0
    """Goodman and Kruskal's gamma for numbers, 2 AUC - 1 for two classes; sign kept [-]."""
    equal: float = 0.0
    """Share of rows in which both are the same number."""
    coarse: bool = False
    """Whether the column has no more values than a label would have."""
    same_scale: bool = False
    """Whether mean and spread are those of the target, as in a copy."""


def strength(x: FloatArray, y: FloatArray, classes: int, categorical: bool, generator: np.random.Generator) -> Strength | None:
    """Say how well `x` alone tells `y`; None when too little is known."""
    known = np.isfinite(x) & np.isfinite(y)
    n = int(known.sum())
    if n < 30:
        return None
    x, y = x[known], y[known]
    levels = np.unique(x)
    if len(levels) < 2 or float(np.ptp(y)) == 0:
        return None
    coarse = categorical or len(levels) <= min(_LEVELS, n // 10)
    if classes:
        score = _error_reduction(x, y, classes, coarse, generator)
        auc, cases = (0.0, 0) if categorical else _best_auc(x, y, classes)
        few = len(levels) <= classes + 2
        return Strength(
            score, score >= 0.97 or (abs(auc) >= 0.9998 and cases >= 40), n, auc if cases >= 10 else 0.0, coarse=few
        )
    if categorical:
        score = _level_fit(x, y)
        ranked = _rank_levels(x, y)
        gamma = _concordance(ranked, y, generator) if n >= 10 * len(levels) else 0.0
        return Strength(score, gamma >= 0.9995 and len(levels) >= 2, n, gamma)
    score = max(_linear_fit(x, y), _smooth_fit(x, y, generator))
    gamma = _concordance(x, y, generator)
    spread = float(np.std(y))
    equal = float(np.mean(np.abs(x - y) <= 1e-9 * np.maximum(1.0, np.abs(y))))
    same = abs(float(x.mean() - y.mean())) < 0.1 * spread and 0.85 < float(np.std(x)) / max(spread, 1e-300) < 1.18
    parted = len(levels) > 6 or _cut_without_gap(x, y, levels)
    exact = equal >= 0.9 or score >= 0.999 or (abs(gamma) >= 0.9995 and parted)
    return Strength(score, exact, n, gamma, equal, same_scale=same)


def _cut_without_gap(x: FloatArray, y: FloatArray, levels: FloatArray) -> bool:
    """Whether values of `x` part the target where it is dense, as a limit on the result does.

    A state such as running or stopped parts it as well, but at a gap that the target has by itself.
    """
    ranges = sorted((float(y[x == level].min()), float(y[x == level].max())) for level in levels if np.sum(x == level) >= 10)
    gaps = [after[0] - before[1] for before, after in pairwise(ranges)]
    return bool(gaps) and max(gaps) <= 0.05 * float(np.std(y))


def _best_auc(x: FloatArray, y: FloatArray, classes: int) -> tuple[float, int]:
    """The clearest separation of one class from the rest: 2 AUC - 1 with its sign, and the cases of that class."""
    best = (0.0, 0)
    for code in range(1 if classes == 2 else 0, classes):
        mark = y == code
        cases = int(min(mark.sum(), len(y) - mark.sum()))
        value = 2.0 * auc_of(mark, x) - 1.0
        if cases >= 5 and abs(value) > abs(best[0]):
            best = (value, cases)
    return best


def block_of(n: int, blocks: int = _BLOCKS) -> IntArray:
    """Number of the contiguous block of each of `n` rows."""
    return (np.arange(n) * blocks // max(n, 1)).astype(np.int64)


def _halves(n: int) -> tuple[BoolArray, BoolArray]:
    even = block_of(n) % 2 == 0
    return even, ~even


def _r2(y: FloatArray, fitted: FloatArray) -> float:
    rest = float(np.sum((y - fitted) ** 2))
    return 1.0 - rest / max(float(np.sum((y - y.mean()) ** 2)), 1e-300)


def _linear_fit(x: FloatArray, y: FloatArray) -> float:
    fitted = np.empty_like(y)
    for half in _halves(len(y)):
        a, b = x[~half], y[~half]
        spread = float(np.var(a))
        slope = 0.0 if spread <= 0 else float(np.mean((a - a.mean()) * (b - b.mean()))) / spread
        fitted[half] = b.mean() + slope * (x[half] - a.mean())
    return _r2(y, fitted)


def _smooth_fit(x: FloatArray, y: FloatArray, generator: np.random.Generator) -> float:
    """Best of three running means over the order of `x`, each judged on blocks it did not see."""
    del generator
    best = -1.0
    for width in (1, 5, 21):
        fitted = np.empty_like(y)
        for half in _halves(len(y)):
            levels, back = np.unique(x[~half], return_inverse=True)
            count = np.bincount(back)
            total = np.bincount(back, weights=y[~half])
            kernel = np.ones(min(width, len(levels)))
            means = np.convolve(total, kernel, "same") / np.convolve(count, kernel, "same")
            fitted[half] = np.interp(x[half], levels, means)
        best = max(best, _r2(y, fitted))
    return best


def _level_fit(x: FloatArray, y: FloatArray) -> float:
    fitted = np.empty_like(y)
    for half in _halves(len(y)):
        levels, back = np.unique(x[~half], return_inverse=True)
        means = np.bincount(back, weights=y[~half]) / np.bincount(back)
        place = np.clip(np.searchsorted(levels, x[half]), 0, len(levels) - 1)
        fitted[half] = np.where(levels[place] == x[half], means[place], y[~half].mean())
    return _r2(y, fitted)


def _rank_levels(x: FloatArray, y: FloatArray) -> FloatArray:
    levels, back = np.unique(x, return_inverse=True)
    means = np.bincount(back, weights=y) / np.bincount(back)
    ranks = np.empty(len(levels))
    ranks[np.argsort(means, kind="stable")] = np.arange(len(levels))
    return ranks[back]


def _concordance(x: FloatArray, y: FloatArray, generator: np.random.Generator) -> float:
    """Gamma of Goodman and Kruskal (1954) over pairs drawn at random: 1 when the order of one gives that of the other."""
    i, j = generator.integers(0, len(x), (2, 60_000))
    sign = np.sign(x[i] - x[j]) * np.sign(y[i] - y[j])
    counted = sign[sign != 0]
    return float(counted.mean()) if len(counted) >= 200 else 0.0


def _error_reduction(x: FloatArray, y: FloatArray, classes: int, coarse: bool, generator: np.random.Generator) -> float:
    """One minus the error of the best class per value of `x` over the error of the commonest class.

    The halves are made of blocks; only for rows sorted by class, of which blocks would hold one class each, at random.
    """
    codes = y.astype(np.int64)
    base = 1.0 - np.bincount(codes).max() / len(codes)
    if base <= 0:
        return 0.0
    half, _ = _halves(len(y))
    if np.any(np.bincount(codes[half], minlength=classes) < 0.25 * np.bincount(codes, minlength=classes)) or np.any(
        np.bincount(codes[~half], minlength=classes) < 0.25 * np.bincount(codes, minlength=classes)
    ):
        half = generator.permutation(len(y)) % 2 == 0
    wrong = 0
    for seen in (half, ~half):
        if coarse:
            levels = np.unique(x[seen])
            place = np.clip(np.searchsorted(levels, x), 0, len(levels) - 1)
        else:
            bins = int(np.clip(seen.sum() / 8, 2, 200))
            levels = np.unique(np.quantile(x[seen], np.linspace(0, 1, bins + 1)[1:-1]))
            place = np.searchsorted(levels, x)
        table = np.zeros((len(levels) + 1, classes))
        np.add.at(table, (place[seen], codes[seen]), 1.0)
        best = np.where(table.sum(axis=1) > 0, table.argmax(axis=1), np.bincount(codes[seen]).argmax())
        wrong += int(np.sum(best[place[~seen]] != codes[~seen]))
    return 1.0 - wrong / len(y) / float(base)


@dataclass(frozen=True)
class Flag:
    """A mark on some rows, and how purely it tells one rare class."""

    marked: int
    purity: float
    base: float
    code: int
    sure: bool


def purity_of(mark: BoolArray, y: FloatArray) -> Flag | None:
    """Say whether marked rows all belong to one class that is otherwise not common."""
    marked = int(mark.sum())
    if marked < 8 or marked > len(y) - 8:
        return None
    codes = y.astype(np.int64)
    base = np.bincount(codes) / len(codes)
    inside = np.bincount(codes[mark], minlength=len(base)) / marked
    code = int(np.argmax(inside))
    log_chance = marked * float(inside[code]) * np.log(max(float(base[code]), 1e-12))
    sure = bool(base[code] < 0.6 and inside[code] >= 0.95 and log_chance < np.log(1e-9))
    return Flag(marked, float(inside[code]), float(base[code]), code, sure)


def auc_of(mark: BoolArray, y: FloatArray) -> float:
    """Chance that a marked row lies above an unmarked one in `y` (ties count half) [-]."""
    from scipy.stats import rankdata

    inside = int(mark.sum())
    if inside == 0 or inside == len(y):
        return 0.5
    ranks = rankdata(y)
    return float((ranks[mark].sum() - inside * (inside + 1) / 2) / (inside * (len(y) - inside)))
